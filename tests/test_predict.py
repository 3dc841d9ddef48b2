"""Records of a trained network: what `edge-nima score` would write, and what `edge-nima compare` takes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import PHOTOS, skip_without
from edge_nima.cli import run
from edge_nima.records import FileStamp, RecordFile, ScoreRecord, read_records
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint
from edge_nima_train.predict import record_name, score_photographs

skip_without("keras", "edge-nima[train]")


Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tiny_keras: Path) -> Checkpoint:
    return open_checkpoint(tiny_keras)


@pytest.fixture
def photographs(noise_photographs: Path, tmp_path: Path) -> Path:
    """A folder with six pictures, one of them broken, and a manifest beside it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(noise_photographs.glob("*.png"))[:6]:
        shutil.copy(path, folder / path.name)
    (folder / "03.png").write_bytes(b"no picture")
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "mean_rating", "split"])
        for i in range(6):
            writer.writerow([f"photos/{i:02}.png", 4 + i / 2, "test" if i < 4 else "train"])
    return folder


def complaint(capsys: Captured, *arguments: object) -> str:
    """Run a command that must be refused; its one line."""
    assert run(["train", *map(str, arguments)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("edge-nima: assuming")]
    assert len(told) == 1, told
    return told[0]


def test_records_are_those_of_the_network_in_the_order_of_the_photographs(
    trained: Checkpoint, photographs: Path
) -> None:
    paths = sorted(photographs.iterdir(), reverse=True)
    for jobs in (1, 3):
        records = list(score_photographs(trained, iter(paths), jobs))
        assert [record.name for record in records] == [str(path) for path in paths]
        assert [record.error is None for record in records] == [path.name != "03.png" for path in paths]
        for record, path in zip(records, paths, strict=True):
            if record.error is None:
                whole = trained.predict(
                    np.asarray(Image.open(path).resize((224, 224), Image.Resampling.NEAREST))[None]
                )[0]
                assert record.distribution is not None
                np.testing.assert_allclose(record.distribution, whole, atol=1e-5)
                assert record.preprocessing == trained.preprocessing.describe()
                assert record.model == trained.label


def test_more_photographs_than_a_batch_come_out_once_each(trained: Checkpoint, photographs: Path) -> None:
    paths = [photographs / "00.png", photographs / "01.png"] * 40
    records = list(score_photographs(trained, paths))
    assert [record.name for record in records] == [str(path) for path in paths]
    assert len({record.mean for record in records}) == 2
    assert list(score_photographs(trained, [])) == []


def test_a_name_has_no_detours() -> None:
    assert record_name(Path("a/../b/./c.jpg")) == "b/c.jpg"


def test_predict_writes_what_convert_calls_the_reference(tiny_keras: Path, tmp_path: Path, capsys: Captured) -> None:
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    assert run(["train", "predict", str(tiny_keras), str(PHOTOS), "-o", str(ours)]) == 0
    assert "assuming 224x224" in capsys.readouterr().err
    assert run(["convert", str(tiny_keras), "--evaluate", str(PHOTOS), "--reference", str(theirs)]) == 0
    a, b = read_records(ours), read_records(theirs)
    assert len(a) > 1
    for (one, stamp), (other, other_stamp) in zip(a, b, strict=True):
        assert (one.name, one.model, one.preprocessing, one.error, stamp) == (
            other.name, other.model, other.preprocessing, other.error, other_stamp,
        )  # fmt: skip
        assert one.distribution is not None
        assert other.distribution is not None
        np.testing.assert_allclose(one.distribution, other.distribution, atol=1e-6)
    assert run(["compare", str(theirs), str(ours)]) == 0


def test_a_manifests_split_is_scored_and_what_cannot_be_read_is_said(
    tiny_keras: Path, photographs: Path, capsys: Captured
) -> None:
    out = photographs.parent / "r.csv"
    manifest = photographs.parent / "manifest.csv"
    assert (
        run(["train", "predict", str(tiny_keras), "--manifest", str(manifest), "--split", "test", "-o", str(out)]) == 3
    )
    assert "1 not scored" in capsys.readouterr().err
    records = [record for record, _ in read_records(out)]
    assert [Path(record.name).name for record in records] == ["00.png", "01.png", "02.png", "03.png"]
    assert records[3].error is not None


def test_resuming_keeps_what_is_unchanged(tiny_keras: Path, photographs: Path, capsys: Captured) -> None:
    out = photographs.parent / "r.jsonl"
    command = ["train", "predict", str(tiny_keras), str(photographs), "-o", str(out)]
    assert run(command) == 3
    first = out.read_text().splitlines()
    os.utime(photographs / "01.png", ns=(1, 1))
    capsys.readouterr()
    assert run([*command, "--resume"]) == 3
    assert "2 photographs in" in capsys.readouterr().err  # the one that changed, the one that failed
    again = out.read_text().splitlines()
    assert [json.loads(line)["name"] for line in again] == [json.loads(line)["name"] for line in first]
    assert again[0] == first[0]
    assert "made with" in complaint(capsys, *command[1:], "--resume", "--filter", "lanczos")
    assert "exists" in complaint(capsys, *command[1:])
    assert run([*command, "--overwrite", "--resume"]) == 2


def test_what_ctrl_c_leaves_is_gone_on_with(
    tiny_keras: Path, photographs: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(self: RecordFile, record: ScoreRecord, stamp: FileStamp) -> None:
        if record.name.endswith("02.png"):
            raise KeyboardInterrupt
        write(self, record, stamp)

    (photographs / "03.png").unlink()
    out, write = photographs.parent / "r.jsonl", RecordFile.write
    command = ["train", "predict", str(tiny_keras), str(photographs), "-o", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(RecordFile, "write", stops)
        assert run(command) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert not out.exists()
    assert run([*command, "--resume"]) == 0
    assert "3 photographs in" in capsys.readouterr().err
    assert [Path(record.name).stem for record, _ in read_records(out)] == ["00", "01", "02", "04", "05"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which photographs"),
        (["a.jpg", "--manifest", "m.csv"], "one of the two"),
        (["a.jpg", "--split", "test"], "give --manifest"),
        (["none.jpg"], "none.jpg"),
        (["--manifest", "none.csv"], "none.csv"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    arguments: list[str], words: str, tiny_keras: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert words in complaint(capsys, "predict", tiny_keras, *arguments, "-o", tmp_path / "r.jsonl")


def test_output_and_checkpoint_are_checked_too(tiny_keras: Path, tmp_path: Path, capsys: Captured) -> None:
    out, lost = tmp_path / "r.jsonl", tmp_path / "x.keras"
    assert ".jsonl" in complaint(capsys, "predict", tiny_keras, PHOTOS, "-o", tmp_path / "r.txt")
    assert "no such folder" in complaint(capsys, "predict", tiny_keras, PHOTOS, "-o", tmp_path / "no" / "r.jsonl")
    assert "no such checkpoint" in complaint(capsys, "predict", lost, PHOTOS, "-o", out)
    assert "--input-range" in complaint(capsys, "predict", tiny_keras, PHOTOS, "-o", out, "--input-range", "2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_idealos_reference_is_converts(weights: Path, data: Path, tmp_path: Path) -> None:
    ours, theirs, photos = tmp_path / "a.jsonl", tmp_path / "b.jsonl", str(data / "golden" / "images")
    assert run(["train", "predict", str(weights), photos, "-o", str(ours)]) == 0
    assert run(["convert", str(weights), "--evaluate", photos, "--reference", str(theirs)]) == 0
    for (one, _), (other, _) in zip(read_records(ours), read_records(theirs), strict=True):
        assert (one.name, one.model, one.preprocessing) == (other.name, other.model, other.preprocessing)
        assert one.mean == pytest.approx(other.mean, abs=1e-5)
