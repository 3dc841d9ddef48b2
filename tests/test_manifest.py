"""A manifest keeps what it was given, wherever it is written; what is none is refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.errors import OutputError, RequestError
from edge_nima_train.manifest import Manifest, read_manifest, write_manifest

VOTES = "n1,n2,n3,n4,n5,n6,n7,n8,n9,n10"
AVA = "1 66 7 7 8 14 22 11 8 6 2 0 0 7 2\n2 126 0 1 6 5 16 25 24 23 9 2 3 4 5\n"


def manifest_of(folder: Path, text: str, name: str = "m.csv") -> Manifest:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_manifest(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(RequestError) as caught:
        manifest_of(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ava_is_a_manifest(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, AVA, "AVA.txt")
    assert len(manifest) == 2
    assert manifest.split == ("", "")
    assert manifest.weights is None
    assert dict(manifest.columns) == {"tag1": ("7", "3"), "tag2": ("", "4"), "challenge": ("2", "5")}
    assert manifest.photograph(0) == tmp_path / "66.jpg"
    assert manifest.names == ("66", "126")


def test_a_label_csv_is_a_manifest(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, "\ufeffFile,Mean_Rating,Theme,\nsub/a.jpg,4,sea,1\n\nb.jpg,5.5,,2\n")
    assert manifest.labels.inferred
    assert manifest.names == ("sub/a.jpg", "b.jpg")
    assert manifest.photograph(0) == tmp_path / "sub" / "a.jpg"
    assert dict(manifest.columns) == {"theme": ("sea", "")}


@pytest.mark.parametrize(
    ("written", "read"),
    [("train", "train"), ("Training", "train"), ("VALIDATION", "val"), ("valid", "val"), (" test ", "test"), ("", "")],
)
def test_splits_by_their_usual_names(tmp_path: Path, written: str, read: str) -> None:
    assert manifest_of(tmp_path, f"file,mean_rating,split\na.jpg,6,{written}\n").split == (read,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "file,mean_rating,split\na,6,train\n\nb,6,holdout\n",
            "line 4: split is 'holdout'; possible: train, val, test",
        ),
        ("file,mean_rating,weight\na,6,-1\n", "line 2: weight is '-1'; possible: 0 to 1e9"),
        ("file,mean_rating,weight\na,6,nan\n", "weight is 'nan'"),
        ("file,mean_rating,weight\na,6,\n", "weight is ''"),
        ("file,mean_rating,weight\na,6,0\nb,6,0\n", "every weight is 0; possible: at least one above 0"),
        ("file,mean_rating,split,SPLIT\na,6,train,val\n", "line 1: the header names split twice"),
        ("file,mean_rating,tag1,tag1\na,6,1,2\n", "line 1: the header names tag1 twice"),
        ("file,mean_rating\na,6\na,5\n", "line 3: file 'a' is that of line 2 too"),
        ("file,split\na,train\n", "the header is 'file,split'"),
    ],
)
def test_bad_manifests(tmp_path: Path, text: str, told: str) -> None:
    assert told in refused(tmp_path, text)


def test_no_such_folders(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("file,mean_rating\na,6\n")
    with pytest.raises(RequestError, match=r"no such folder of photographs: '.*nowhere'"):
        read_manifest(path, tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"cannot read '.*gone\.csv'"):
        read_manifest(tmp_path / "gone.csv")
    with pytest.raises(OutputError, match=r"cannot write '.*m\.csv': No such file"):
        write_manifest(tmp_path / "nowhere" / "m.csv", read_manifest(path))


def same(one: Manifest, other: Manifest) -> None:
    assert one.labels.ids == other.labels.ids
    assert one.split == other.split
    assert dict(one.columns) == dict(other.columns)
    np.testing.assert_allclose(one.labels.means, other.labels.means, rtol=1e-9)
    np.testing.assert_allclose(one.labels.distributions, other.labels.distributions, atol=1e-8)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None and other.weights is not None:
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-9)
    for row in range(len(one)):
        assert os.path.realpath(one.photograph(row)) == os.path.realpath(other.photograph(row))


@pytest.mark.parametrize("where", [".", "deep/deeper", "../beside"])
@pytest.mark.parametrize(
    "text",
    [
        f'image_id,file,{VOTES},split,weight,t\n1,a.jpg,{"1," * 9}5,train,.25,x\n2,s/b.jpg,{"0.1," * 10}test,3,"y,z"\n',
        "file,mean_rating\na/x.jpg,6.123456789\nb/x.jpg,5\n",  # no ids, and file names that are the same
        "image_id,mean_rating\n7,6\n8,5\n",
        "file,mean_rating\n../elsewhere/x.jpg,6\n/absolute/y.jpg,2\n",
    ],
)
def test_written_and_read_again_it_is_the_same(tmp_path: Path, text: str, where: str) -> None:
    home = tmp_path / "home"
    out = home / where
    home.mkdir()
    out.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(home, text)
    write_manifest(out / "new.csv", manifest)
    same(read_manifest(out / "new.csv"), manifest)


def test_beside_a_link_the_photographs_are_found(tmp_path: Path) -> None:
    for folder in ("a/b/photos", "disk/manifests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/b/photos/x.jpg").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "disk/manifests")
    (tmp_path / "photos").symlink_to(tmp_path / "a/b/photos")
    manifest = manifest_of(tmp_path / "photos", "file,mean_rating\nx.jpg,6\n")
    write_manifest(tmp_path / "link" / "new.csv", manifest)
    assert read_manifest(tmp_path / "link" / "new.csv").photograph(0).read_text() == "x"
    assert read_manifest(tmp_path / "disk" / "manifests" / "new.csv").photograph(0).read_text() == "x"


def test_ava_written_keeps_all_but_its_index(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, AVA, "AVA.txt")
    write_manifest(tmp_path / "m.csv", manifest)
    same(read_manifest(tmp_path / "m.csv"), manifest)


def test_rows_and_only(tmp_path: Path) -> None:
    text = "file,mean_rating,split,weight,tag\na,1,val,1,x\nb,2,train,2,y\nc,7,val,3,z\n"
    manifest = manifest_of(tmp_path, text)
    assert manifest.rows("val").tolist() == [0, 2]
    assert manifest.rows("test").tolist() == []
    part = manifest.only([2, 1])
    assert part.names == ("c", "b")
    assert part.labels.means.tolist() == [7, 2]
    assert part.split == ("val", "train")
    assert part.columns["tag"] == ("z", "y")
    assert part.weights is not None
    assert part.weights.tolist() == [3, 2]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=8)


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, st.floats(5.1, 10), NAMES), min_size=1, max_size=5))
def test_any_text_survives_two_journeys(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, str]]
) -> None:
    """Names stay as they are; the spaces around other cells go with the first reading."""
    folder = tmp_path_factory.mktemp("names")
    files = {f"{name}{place}": (mean, tag) for place, (name, mean, tag) in enumerate(rows)}
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in (f, str(m), t)) for f, (m, t) in files.items()]
    first = manifest_of(folder, "file,mean_rating,tag\n" + "\n".join(quoted) + "\n")
    write_manifest(folder / "two.csv", first)
    second = read_manifest(folder / "two.csv")
    assert second.names == first.names == tuple(files)
    assert dict(second.columns) == dict(first.columns)
    same(second, first)
