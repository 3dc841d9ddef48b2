"""What was trained on cannot judge; photographs of other data sets can, whatever their numbers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_nima.errors import RequestError
from edge_nima.labels import Labels
from edge_nima.pixels import Preprocessing
from edge_nima_train.checkpoint import Checkpoint
from edge_nima_train.evaluate import guard
from edge_nima_train.leakage import Photograph, find_leaks, read_photographs
from edge_nima_train.manifest import Manifest

AVA_ROW = Photograph("953619", "", split="train")
OASIS = Photograph("1", "Acorns 1.jpg", split="train")


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (Photograph("953619", "images/953619.jpg"), AVA_ROW),
        (Photograph("", "953619.png"), AVA_ROW),
        (Photograph("1", "elsewhere/Acorns 1.jpg"), OASIS),
        (Photograph("", "Acorns 1.JPG"), OASIS),
        (Photograph("Acorns 1", "Acorns 1.jpg"), OASIS),
        (Photograph("7", "renamed.jpg", frozenset({"ab"})), Photograph("1", "a.jpg", frozenset({"ab"}), "train")),
        (Photograph("", "cafe\u0301.jpg"), Photograph("", "caf\u00e9.jpg", split="train")),
        (Photograph("", "1.jpg"), Photograph("", "train/1.jpg", split="train")),
    ],
)
def test_the_same_photograph_is_known_by_name_or_content(asked: Photograph, seen: Photograph) -> None:
    assert find_leaks([asked], [seen]).trained == (0,)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (Photograph("1", "1.jpg"), OASIS),  # both data sets have an id 1
        (Photograph("1", "Lake 9.jpg"), AVA_ROW),
        (Photograph("1", ""), OASIS),
        (Photograph("9", "Acorns 1.jpg"), OASIS),
        (Photograph("2", "b.jpg", frozenset({"cd"})), Photograph("1", "a.jpg", frozenset({"ab"}), "train")),
    ],
)
def test_another_photograph_is_not_refused(asked: Photograph, seen: Photograph) -> None:
    leaks = find_leaks([asked], [seen])
    assert leaks.trained == leaks.validated == ()


def test_one_name_in_several_folders_is_told_apart_by_the_folder() -> None:
    seen = [Photograph("", f"{folder}/1.jpg", split="train") for folder in ("cats", "dogs")]
    asked = [Photograph("", f"{folder}/1.jpg") for folder in ("birds", "dogs")]
    leaks = find_leaks(asked, seen)
    assert leaks.trained == (1,)
    assert leaks.namesakes == (0,)


def test_another_id_under_the_same_name_is_said_to_be_there() -> None:
    assert find_leaks([Photograph("9", "Acorns 1.jpg")], [OASIS]).namesakes == (0,)


def test_training_weighs_more_than_validation() -> None:
    seen = [Photograph("", "a.jpg", split="val"), Photograph("", "b.jpg", frozenset({"x"}), "train")]
    assert find_leaks([Photograph("", "a.jpg")], seen).validated == (0,)
    assert find_leaks([Photograph("", "a.jpg", frozenset({"x"}))], seen).trained == (0,)


def test_photographs_csv_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "photographs.csv"
    path.write_text("image_id,file,sha256,split\n1,a\\b.jpg,ff,train\n,c.jpg,,val\n2,,,\n")
    assert read_photographs(path) == (
        Photograph("1", "a/b.jpg", frozenset({"ff"}), "train"),
        Photograph("", "c.jpg", frozenset(), "val"),
        Photograph("2", "", frozenset(), "train"),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,file\n1,a\n", "no column image_id"),
        ("image_id,file,split\n1,a.jpg,half\n", "line 2"),
        ("image_id,file,split\n,,train\n", "line 2"),
        ("", "empty"),
    ],
)
def test_something_else_is_no_photographs_csv(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "photographs.csv"
    path.write_text(content)
    with pytest.raises(RequestError, match=words) as caught:
        read_photographs(path)
    assert "\n" not in str(caught.value)


def manifest(count: int = 4, **columns: Any) -> Manifest:
    names = tuple(f"{i}.jpg" for i in range(count))
    labels = Labels("l.csv", "0", ("",) * count, names, np.full(count, 5.0), np.ones((count, 10)))
    return Manifest(labels, Path(), ("",) * count, None, columns)


def trained(*photographs: Photograph, known: bool = False) -> Checkpoint:
    return Checkpoint(
        name="run", sha256="f" * 64, network=None, call=lambda x: x, preprocessing=Preprocessing(), stated="the run",
        source={}, licence="", attribution="", run=None, trained_on=photographs, known=known,
    )  # fmt: skip


def test_an_evaluation_on_what_was_trained_on_is_refused_by_name() -> None:
    seen = trained(*(Photograph("", f"{i}.jpg", split="train") for i in (1, 3)))
    with pytest.raises(
        RequestError, match=r"^2 of 4 photographs.* run was trained on.* 1\.jpg, 3\.jpg: --drop-trained"
    ):
        guard(seen, manifest())


def test_dropping_leaves_the_others_and_says_which_went() -> None:
    seen = trained(Photograph("", "1.jpg", split="train"), Photograph("", "2.jpg", split="val"))
    done = guard(seen, manifest(), drop=True)
    assert done.manifest.names == ("0.jpg", "2.jpg", "3.jpg")
    assert done.left_out == {"that it was trained on": ("1.jpg",)}
    assert len(done.warnings) == 1
    assert "best epoch" in done.warnings[0]
    with pytest.raises(RequestError, match="trained on all 1"):
        guard(seen, manifest().only([1]), drop=True)


def test_content_is_compared_by_the_manifests_hashes_or_by_the_files(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "3.jpg").write_bytes(b"three")
    asked, told = replace(manifest(sha256=("", "", "aa", "")), images=tmp_path), list[tuple[str, int, int, str]]()
    content = frozenset({hashlib.sha256(b"three").hexdigest()})
    seen = trained(*(Photograph("", "old.jpg", one, "train") for one in (content, frozenset({"aa"}))))
    done = guard(seen, asked, drop=True, jobs=2, progress=lambda *now: told.append(now))
    assert done.manifest.names == ("0.jpg", "1.jpg")  # 0.jpg is not there: that is for those who score it
    assert [now[1:3] for now in told] == [(1, 3), (2, 3), (3, 3)]
    assert guard(trained(Photograph("", "old.jpg", split="train")), asked).left_out == {}


def test_where_it_cannot_be_known_that_is_said() -> None:
    unknown = replace(trained(), trained_on=None)
    assert "cannot be known" in guard(unknown, manifest()).warnings[0]
    published = guard(replace(unknown, known=True), manifest())
    assert "overlaps AVA's official test list" in published.warnings[0]
    assert guard(trained(), manifest()).warnings == ()
