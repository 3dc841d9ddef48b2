"""Where a mean stands: among AVA's, and in somebody's own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import PHOTOS
from edge_nima.cli import run
from edge_nima.distribution import as_distribution, mean_rating
from edge_nima.labels import read_ava
from edge_nima.percentiles import AVA, percentiles_of


def test_avas_table_is_that_of_its_labels_to_half_a_point(data: Path) -> None:
    rows = read_ava(data / "ava" / "AVA_part.txt")
    means = np.sort([float(mean_rating(as_distribution(np.array(row.votes)))) for row in rows])
    assert len(means) == 25_551
    for mean in means[::50]:
        below = (np.searchsorted(means, mean, "left") + np.searchsorted(means, mean, "right")) / 2
        assert abs(AVA.of(float(mean)) - 100 * below / len(means)) <= 0.5
    assert (AVA.of(1.0), AVA.of(10.0)) == (0.0, 100.0)


def test_among_a_library_half_of_the_equal_ones_are_below() -> None:
    library = percentiles_of([5.0, 5.0, None, 6.0, 4.0], "mine")
    assert library is not None
    assert [library.of(mean) for mean in (3.0, 4.0, 5.0, 5.5, 7.0)] == [0.0, 12.5, 50.0, 75.0, 100.0]
    assert library.told(5.5) == "better than 75 % of mine"
    assert library.mean_at(50) == 5.0
    assert percentiles_of([None], "none") is None
    assert AVA.of(AVA.mean_at(83)) == pytest.approx(83)


def test_the_table_places_photographs_among_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = str(tmp_path / "mine.jsonl")
    assert run(["score", str(PHOTOS), "-o", records]) == 0
    assert run(["score", str(PHOTOS / "flower.jpg"), "--against", records]) == 0
    out = capsys.readouterr().out
    assert "% of mine.jsonl" in out
    assert " 92 " in out  # the best of six: five are below, and half of itself
    assert run(["score", str(PHOTOS / "flower.jpg"), "--against", "ava"]) == 0
    assert "% of AVA" in capsys.readouterr().out


def test_what_is_no_file_of_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for given in ("nowhere.jsonl", str(tmp_path / "empty.jsonl"), str(PHOTOS / "cat.jpg")):
        assert run(["score", str(PHOTOS), "--against", given]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
