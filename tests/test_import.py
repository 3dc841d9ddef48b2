"""`edge-nima data import`: every form in which people have rated photographs, made of the repository's own."""

from __future__ import annotations

import csv
import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from conftest import PHOTOS, skip_without
from edge_nima import tar_members
from edge_nima.cli import run
from edge_nima.distribution import mean_rating
from edge_nima.lock import claimed
from edge_nima.pixels import Preprocessing, read_input
from edge_nima_convert.photographs import find_pool, load_inputs
from edge_nima_train import importing
from edge_nima_train.manifest import Manifest, read_manifest
from edge_nima_train.pack import pack
from edge_nima_train.shards import open_shards

skip_without("pyarrow", "edge-nima[import]")

FILES = sorted(PHOTOS.glob("*.jpg"))
NAMES = [file.stem for file in FILES]
VOTES = [[1, 2, 4, 9, 20, 30, 20, 9, 4, 2 + row] for row in range(len(FILES))]
MEANS = [float(mean_rating(np.array(votes, float))) for votes in VOTES]
ROWS = range(len(FILES))
HOW = Preprocessing(filter="bilinear", antialias=True)


def tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def parquet(path: Path, columns: Mapping[str, Sequence[Any]], group: int = 2) -> Path:
    import pyarrow
    import pyarrow.parquet as pq

    pq.write_table(pyarrow.table(dict(columns)), path, row_group_size=group)
    return path


def images(rows: Sequence[int], paths: bool = True) -> list[dict[str, Any]]:
    return [{"bytes": FILES[row].read_bytes(), "path": FILES[row].name if paths else None} for row in rows]


def table(path: Path, rows: Sequence[Sequence[object]], mark: str = ",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=mark).writerows(rows)
    return path


def trojblue(folder: Path) -> list[Path]:
    """As trojblue/AVA-Huggingface: train and test, ids and all votes."""
    return [
        parquet(folder / f"{split}-00000-of-00001.parquet", {
            "image_id": [NAMES[row] for row in rows], "image": images(rows), "mean_score": [MEANS[row] for row in rows],
            "label": [f"score_{row}" for row in rows], "rating_counts": [VOTES[row] for row in rows],
        })
        for split, rows in (("train", (0, 1, 2, 3)), ("test", (4, 5)))
    ]  # fmt: skip


def will33am(folder: Path) -> list[Path]:
    """As will33am/AVA: file names."""
    parquet(folder / "data.parquet", {
        "image": images(ROWS, paths=False), "filename": [file.name for file in FILES], "rating_counts": VOTES,
        "text_tag_0": ["sea"] * 6, "text_tag_1": [None] * 6,
    }, group=4)  # fmt: skip
    return [folder]


def our_tars(folder: Path) -> list[Path]:
    rows = [["image_id", "file", "mean_rating"], *([NAMES[row], str(FILES[row]), 4 + row] for row in ROWS)]
    assert run(["data", "pack", str(table(folder / "m.csv", rows)), "--out", str(folder / "packed")]) == 0
    return [folder / "packed"]


def foreign_tars(folder: Path) -> list[Path]:
    """KEY.jpg and KEY.json; one photograph has no rating and one rating no photograph."""
    members = {"lonely.jpg": FILES[0].read_bytes(), "lost.json": b'{"score": 4}'}
    for row, file in enumerate(FILES):
        told = {"id": NAMES[row], "score": 4 + row}
        members |= {f"{row}.jpg": file.read_bytes(), f"{row}.json": json.dumps(told).encode()}
    return [tar(folder / "part-0.tar", members)]


def kaggle(folder: Path) -> list[Path]:
    header = ["image_num", *(f"vote_{rating}" for rating in range(1, 11))]
    return [table(folder / "ground_truth.csv", [header, *([NAMES[row], *VOTES[row]] for row in ROWS)]), PHOTOS]


def idealo(folder: Path) -> list[Path]:
    """JSON; the photographs are in a tar file."""
    labels = folder / "ava_labels.json"
    labels.write_text(json.dumps([{"image_id": NAMES[row], "label": VOTES[row]} for row in ROWS]))
    return [labels, tar(folder / "pictures.tar", {f"in/{file.name}": file.read_bytes() for file in FILES})]


def nested(folder: Path) -> list[Path]:
    """A TSV beside folders in folders."""
    for row, file in enumerate(FILES):
        place = folder / "pictures" / str(row % 2) / "deep"
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).write_bytes(file.read_bytes())
    rows = [["image_name", "mean", "set"], *([FILES[row].name, 4 + row, "training"] for row in ROWS)]
    return [table(folder / "labels.tsv", rows, "\t")]


def koniq(folder: Path) -> list[Path]:
    """Votes on 1..5, beside a MOS that is not needed."""
    header = ["image_name", *(f"c{rating}" for rating in range(1, 6)), "c_total", "MOS"]
    return [
        table(folder / "scores.csv", [header, *([FILES[row].name, row, 1, 2, 4, 3, 10, 3.5] for row in ROWS)]),
        PHOTOS,
    ]


def by_folder(folder: Path) -> list[Path]:
    for row, file in enumerate(FILES):
        (folder / "rated" / str(row)).mkdir(parents=True)
        (folder / "rated" / str(row) / file.name).write_bytes(file.read_bytes())
    return [folder / "rated"]


TEN = [4.0 + row for row in ROWS]
FIVE = [1 + 9 * ((row + 2 + 6 + 16 + 15) / (row + 10) - 1) / 4 for row in ROWS]
LAYOUTS: dict[str, tuple[Any, list[float], str]] = {
    "trojblue": (trojblue, MEANS, ""), "will33am": (will33am, MEANS, ""), "our tars": (our_tars, TEN, ""),
    "foreign tars": (foreign_tars, TEN, ""), "Kaggle": (kaggle, MEANS, ""), "idealo": (idealo, MEANS, ""),
    "nested": (nested, TEN, ""), "KonIQ": (koniq, FIVE, ""),
    "folders": (by_folder, [1 + 9 * row / 5 for row in ROWS], "0..5"),
}  # fmt: skip


def imported(sources: Sequence[object], out: Path, *more: str) -> Manifest:
    assert run(["data", "import", *map(str, sources), "--out", str(out), *more]) == 0
    return read_manifest(out / "manifest.csv")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must be refused; its one line."""
    capsys.readouterr()
    assert run(["data", "import", *map(str, arguments)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1, told
    return told[0]


def stored(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_to_a_manifest(name: str, tmp_path: Path) -> None:
    make, means, scale = LAYOUTS[name]
    out = tmp_path / "out"
    manifest = imported(make(tmp_path), out, *(["--scale", scale] if scale else []))
    assert sorted(manifest.labels.ids) == NAMES
    rows = [NAMES.index(image_id) for image_id in manifest.labels.ids]
    np.testing.assert_allclose(manifest.labels.means, [means[row] for row in rows], rtol=1e-6)
    for place, row in enumerate(rows):
        if name != "our tars":
            assert tar_members.read_file(manifest.photograph(place)) == FILES[row].read_bytes()
        assert read_input(manifest.photograph(place), HOW).shape == (224, 224, 3)
    wanted = {"trojblue": {"train", "test"}, "our tars": {"train"}, "nested": {"train"}}.get(name, {""})
    assert set(manifest.split) == wanted
    assert not [path for path in out.rglob("*") if path.suffix == ".jpg"], "no loose photographs"
    verify = ["data", "verify", str(out / "manifest.csv"), str(out), "--out", str(tmp_path / "v.csv"), "--strict"]
    assert run(verify) == (name == "foreign tars"), "one of its photographs has no rating"
    assert len(read_manifest(tmp_path / "v.csv")) == 6


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_to_shards(name: str, tmp_path: Path) -> None:
    make, _, scale = LAYOUTS[name]
    more = ["--pack", "240", "--validation", "0.3", *(["--scale", scale] if scale else [])]
    manifest = imported(make(tmp_path), tmp_path / "out", *more)
    shards = open_shards(tmp_path / "out" / "shards")
    assert sorted(shards.image_ids) == sorted(manifest.labels.ids) == NAMES
    assert dict(zip(shards.image_ids, shards.split, strict=True)) == dict(
        zip(manifest.labels.ids, manifest.split, strict=True)
    )
    assert set(manifest.split) == {"train", "val"} | ({"test"} if name == "trojblue" else set())
    for place, (image_id, split) in enumerate(zip(manifest.labels.ids, manifest.split, strict=True)):
        path, original = manifest.photograph(place), FILES[NAMES.index(image_id)]
        assert tar_members.read_file(path) == shards.read(shards.image_ids.index(image_id))
        if split != "train" and name != "our tars":
            assert (read_input(path, HOW) == read_input(original, HOW)).all(), "the same scores"
    if name != "our tars":
        assert {*shards.source_sha256} == {hashlib.sha256(file.read_bytes()).hexdigest() for file in FILES}


def test_what_comes_out_is_worked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(will33am(tmp_path), tmp_path / "out")

    def data(command: str, source: str, *more: str) -> Path:
        out = tmp_path / f"{command}.csv"
        assert run(["data", command, str(tmp_path / source), "--out", str(out), *more]) == 0
        return out

    data("verify", "out/manifest.csv", str(tmp_path / "out"))
    data("split", "verify.csv", "--validation", "0.3")
    data("balance", "split.csv", "--weights")
    assert len(open_shards(data("pack", "balance.csv"))) == 6
    calibrates = find_pool(tmp_path / "balance.csv", "train").paths
    assert len(load_inputs(calibrates, HOW).pixels) == len(calibrates) > 2
    data("explore", "balance.csv")
    assert "scale 1..10" in capsys.readouterr().out
    page = (tmp_path / "explore.csv" / "index.html").read_text()
    assert page.count("data:image/jpeg") == 18
    picture = tmp_path / "out" / "photographs-00000.tar" / FILES[0].name
    assert run(["score", "--format", "jsonl", str(picture), str(FILES[0])]) == 0
    means = [json.loads(line)["mean"] for line in capsys.readouterr().out.splitlines()]
    assert means[0] == means[1]
    assert run(["score", "--format", "jsonl", str(picture.parent)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_scales_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = imported(by_folder(tmp_path), tmp_path / "out", "--scale", "0..5")
    assert "means on 0..5 are brought to 1..10: 1 + 9 (mean - 0) / 5" in capsys.readouterr().err
    assert manifest.columns["scale_of_source"] == ("0..5",) * 6
    assert run(["data", "explore", str(tmp_path / "out/manifest.csv"), "--out", str(tmp_path / "page")]) == 0
    assert "scale 1..10, brought to it from 0..5" in capsys.readouterr().out
    told = json.loads((tmp_path / "page/statistics.json").read_text())
    assert told["scale"] == {"of_source": "0..5", "here": "1..10"}
    assert "1..10, brought to it from 0..5" in (tmp_path / "page/index.html").read_text()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """A server that answers as huggingface.co does, with two data sets: `o/n`, and `o/csv` that it has converted."""
    files = {path.name: path.read_bytes() for path in trojblue(tmp_path)}

    class Hub(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if "/tree/" in path:
                there = path.startswith("/api/datasets/o/n/") or path.split("/tree/")[1].startswith("refs")
                tree = [{"type": "file", "path": f"data/{name}", "size": len(content), "oid": "a" * 40}
                        for name, content in files.items() if there]  # fmt: skip
                self.answer(200, json.dumps(tree).encode())
            elif path.startswith(("/api/datasets/o/n", "/api/datasets/o/csv")):
                self.answer(200, json.dumps({"id": "o/n", "sha": "b" * 40, "siblings": []}).encode())
            elif "/resolve/" in path and path.rpartition("/")[2] in files:
                first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                self.answer(206, files[path.rpartition("/")[2]][first : last + 1])
            else:
                self.answer(404, b"")

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def command(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    line = [sys.executable, "-m", "edge_nima", "data", "import", *map(str, arguments)]
    return subprocess.run(line, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", ["o/n", "o/csv"])
def test_from_the_hub(name: str, hub: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs edge-nima[import]")
    at = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf")}
    done = command(f"hf://datasets/{name}", "--out", tmp_path / "out", **at)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "out/manifest.csv")
    assert sorted(manifest.labels.ids) == NAMES
    for row, image_id in enumerate(manifest.labels.ids):
        original = FILES[NAMES.index(image_id)].read_bytes()
        assert tar_members.read_file(manifest.photograph(row)) == original
    gone = command("hf://datasets/o/gone", "--out", tmp_path / "none", **at)
    assert (gone.returncode, len(gone.stderr.splitlines())) == (2, 1), gone.stderr
    assert "hf://datasets/o/gone" in gone.stderr


def test_pictures_on_the_hub_are_scored_where_they_are(hub: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs edge-nima[import]")
    line = [sys.executable, "-m", "edge_nima", "score", "hf://datasets/o/n/data/*.parquet", "--format", "jsonl"]
    env = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = [json.loads(record) for record in done.stdout.splitlines()]
    assert all(record["name"].startswith("hf://datasets/o/n/data/") for record in records)
    from edge_nima.scorer import open_scorer

    assert sorted(record["mean"] for record in records) == sorted(
        open_scorer().score(file).mean or 0 for file in FILES[: len(NAMES)]
    )


@pytest.mark.parametrize("packed", [False, True])
def test_interrupted_it_goes_on(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = trojblue(tmp_path)
    more = ["--jobs", "1", *(["--pack", "224", "--validation", "0"] if packed else [])]
    monkeypatch.setattr(importing, "PER_TAR", 1)
    monkeypatch.setattr(importing, "pack", functools.partial(pack, per_shard=1))
    imported(sources, tmp_path / "whole", *more)
    reads: list[int] = []
    read = importing._stream

    def stopping(*arguments: Any) -> Any:
        stream = read(*arguments)
        assert stream is not None

        def some(rows: Sequence[int]) -> Iterator[tuple[int, Path | bytes]]:
            for row, picture in stream(rows):
                reads.append(row)
                if len(reads) == 6 and row == 5:
                    raise KeyboardInterrupt
                yield row, picture

        return some

    monkeypatch.setattr(importing, "_stream", stopping)
    arguments = ["data", "import", *map(str, sources), "--out", str(tmp_path / "out"), *more]
    assert run(arguments) == 130
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.tar")}
    assert before
    assert not (tmp_path / "out/manifest.csv").exists()
    assert run(arguments) == 0
    assert 0 not in reads[6:], "what is complete is not read again"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert stored(tmp_path / "out") == stored(tmp_path / "whole")
    assert run(arguments) == 0, "nothing to do"
    assert stored(tmp_path / "out") == stored(tmp_path / "whole")


def test_its_own_output_is_no_source(tmp_path: Path) -> None:
    foreign_tars(tmp_path)
    for _ in range(2):
        assert len(imported([tmp_path], tmp_path / "out", "--pack", "224", "--validation", "0")) == 6


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = ["image_id", *(f"n{rating}" for rating in range(1, 11))]
    rows = [[NAMES[row], *VOTES[row]] for row in range(3)]
    rows += [
        [NAMES[0], *VOTES[0]],
        [NAMES[3], *[0] * 10],
        [NAMES[4], *"abcdefghij"],
        ["gone", *VOTES[0]],
        [NAMES[5], 1],
    ]
    manifest = imported([table(tmp_path / "l.csv", [header, *rows]), PHOTOS], tmp_path / "out")
    assert sorted(manifest.labels.ids) == NAMES[:3]
    told = json.loads((tmp_path / "out/import.json").read_text())
    assert told["left_out"] == {"twice": 1, "rating": 1, "number": 2, "missing": 1, "extra": 3}
    said = capsys.readouterr().err
    for count, what in ((3, "photographs that no row names"), (1, "rows whose photograph is not there")):
        assert f"left out: {count} {what}, such as " in said
    columns = {"image_id": ["a", "b", "c"], "mean": [4.0, 5, 6], "image": [
        {"bytes": content, "path": None} for content in (FILES[0].read_bytes(), b"no picture", None)]}  # fmt: skip
    for out, more in (("kept", []), ("packed", ["--pack", "224", "--validation", "0"])):
        embedded = imported([parquet(tmp_path / "p.parquet", columns)], tmp_path / out, *more)
        assert embedded.labels.ids == ("a",)
        assert "left out: 2 pictures that cannot be decoded, such as b: " in capsys.readouterr().err


def test_columns_are_recognised_or_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def labels(*rows: Sequence[object], mark: str = ",") -> Path:
        return table(tmp_path / "labels.csv", rows, mark)

    out, photo = tmp_path / "out", FILES[0].name
    other = labels(["pic", "quality", "sharpness"], [photo, 6, 2])
    told = refused(capsys, other, PHOTOS, "--out", out)
    assert "no column is recognised as the rating; its columns: pic, quality, sharpness" in told
    assert "--columns file=pic,mean=sharpness" in told
    manifest = imported([other, PHOTOS], out, "--columns", "file=pic,mean=Quality")
    assert manifest.labels.means.tolist() == [6]
    assert manifest.columns["sharpness"] == ("2",)
    for mark in ",;\t| ":
        spread = imported(
            [labels(["name", "MOS_x"], [photo, 40], mark=mark), PHOTOS], out, "--scale", "0..100", "--overwrite"
        )
        assert spread.labels.means.tolist() == [4.6]
    headless = imported([labels([photo, 7]), PHOTOS], out, "--columns", "file=column1,mean=column2", "--overwrite")
    assert headless.labels.means.tolist() == [7]
    for columns, says in (
        ("mean=gone", "has no column 'gone'; its columns: name, mean, score"),
        ("score=mean", "--columns 'score=mean'; possible: id=NAME, file=NAME, mean=NAME, votes=NAME, split=NAME"),
        ("votes=n1..n3", "has no column 'n1'"),
        ("id=", "the rating may be mean or score; its columns: name, mean, score"),
    ):
        path = labels(["name", "mean", "score"], [photo, 6, 6])
        assert says in refused(capsys, path, PHOTOS, "--out", out, "--overwrite", "--columns", columns)


def test_scales_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, mean, says in (
        ("mean", 4.5, "'mean' lie within 4.5..4.5 and nothing says on which scale; possible: --scale 1..5 (they are"),
        ("MOS", 7, "possible: --scale 0..10 (they are brought to 1..10) or --scale 1..10 (they are what they are)"),
        ("score", 71, "possible: --scale 0..100 (they are brought to 1..10) or --scale 1..100"),
    ):
        path = table(tmp_path / "l.csv", [["name", name], [FILES[0].name, mean]])
        assert says in refused(capsys, path, PHOTOS, "--out", tmp_path / "out")
    assert "within 0..5 and nothing says on which" in refused(capsys, *by_folder(tmp_path), "--out", tmp_path / "out")
    assert "their scale is not 1..10" in refused(
        capsys, *koniq(tmp_path), "--out", tmp_path / "out", "--scale", "1..10"
    )
    assert not (tmp_path / "out").exists()


def test_impossible_sources_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "x").write_text("x")
    for name in ("bad.parquet", "bad.json", "bad.tar", "bad.bin"):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 99)
    lost = table(tmp_path / "lost.csv", [["file", "mean"], ["nowhere.jpg", 6]])
    good = will33am(tmp_path / "d") if (tmp_path / "d").mkdir() is None else []
    for arguments, says in (
        ([tmp_path / "bad.parquet"], "cannot be read as parquet"),
        ([tmp_path / "bad.json"], "is no JSON"),
        ([tmp_path / "bad.tar"], "bad.tar' cannot be read: no tar file, or damaged"),
        ([tmp_path / "bad.bin"], "is in no form that is known; possible: parquet: Hugging Face data sets"),
        ([tmp_path / "gone*"], "no such file, folder or pattern"),
        ([PHOTOS], "has no folders in it and no labels are among the sources"),
        ([lost], "none of the 1 photographs is found, such as 'nowhere.jpg': give the folder or the tar files"),
        ([*good, "--validation", "0.2"], "--validation and --test go with --pack"),
        ([*good, "--scale", "5"], "--scale is '5'; possible: LOW..HIGH"),
        ([*good, "--out", other], "holds something else, such as 'x'"),
    ):
        assert says in refused(capsys, *arguments, *([] if "--out" in arguments else ["--out", out]))
    with claimed(out, "testing"):
        assert "another run is importing into" in refused(capsys, *good, "--out", out)
    imported(good, out)
    assert "holds another import (packing differ): --overwrite" in refused(capsys, *good, "--out", out, "--pack", "224")
    imported(good, out, "--pack", "224", "--overwrite")
    assert not list(out.glob("photographs-*")), "what the other import wrote is gone"


def test_members_of_tar_files(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"./x/été.jpg": b"one", "y.txt": b"two"})
    assert {tar_members.read_file(path / name) for name in ("x/été.jpg", "x/e\u0301te\u0301.jpg")} == {b"one"}
    assert tar_members.stamp(path / "y.txt") == (3, path.stat().st_mtime_ns)
    assert [tar_members.is_file(path / name) for name in ("y.txt", "x", "z")] == [True, False, False]
    for gone in (path / "z", tmp_path / "b.tar" / "z"):
        with pytest.raises(OSError, match=r"Not a directory|No such file"):
            tar_members.read_file(gone)
    tar(path, {"y.txt": b"other"})
    assert tar_members.read_file(path / "y.txt") == b"other", "read anew when it has changed"
    path.write_bytes(path.read_bytes()[:515])
    assert not tar_members.is_file(path / "z")
