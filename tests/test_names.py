"""Names are what is on the disk, in everything that a machine reads; the assembled commands are run."""

from __future__ import annotations

import csv
import html
import json
import os
import subprocess
import sys
import tarfile
import unicodedata
from pathlib import Path

import pytest

from command import photographs
from conftest import skip_without
from edge_nima.errors import RequestError, escaped, printable
from edge_nima.records import csv_line, read_records

skip_without("matplotlib", "edge-nima[report]")

NAMES = [
    "Screenshot 2026-01-02 at 9.41.00\u202fAM.jpg", "no-break\u00a0space.jpg", "\u3000写真\u30001.jpg",
    "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}.jpg", " leading.jpg", os.fsdecode(b"caf\xe9.jpg"), "new\nline.jpg",
    "return\r and\ttab.jpg", 'u\u0308ber, "quoted".jpg', "\u202egpj.right-to-left.jpg", "\x1b[31mred.jpg",
    "gr\u00fcn.jpg", r"#1 \u202f.jpg",
]  # fmt: skip
THERE = {f"p/{name}" for name in NAMES[:-1]}  # the last is none for a manifest, where a backslash is a folder


def edge_nima(folder: Path, *arguments: str | Path) -> bytes:
    """What a command that must succeed writes to stdout."""
    command = [sys.executable, "-m", "edge_nima", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stderr.decode() == escaped(done.stderr.decode(), keep="\n")
    return done.stdout


def data_set(folder: Path, names: list[str]) -> Path:
    """Photographs in FOLDER/p, and FOLDER/labels.csv that composes what the disk decomposes, and the reverse."""
    for path, name in zip(photographs(folder / "p", len(names)), names, strict=True):
        path.rename(folder / "p" / name)
    labels = [unicodedata.normalize("NFD" if unicodedata.is_normalized("NFC", name) else "NFC", name) for name in names]
    write_csv(folder / "labels.csv", *((label, 2 + n / 3) for n, label in enumerate(labels)))
    return folder / "p"


def write_csv(path: Path, *rows: tuple[object, ...]) -> None:
    path.write_bytes("".join(map(csv_line, [("file", "mean_rating"), *rows])).encode("utf-8", "surrogateescape"))


def column(path: Path, name: str = "file") -> set[str]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {row[name] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs, their records and a manifest."""
    folder = tmp_path_factory.mktemp("names")
    data_set(folder, NAMES[:-1])
    for file in ("a.jsonl", "b.csv"):
        edge_nima(folder, "score", "p", "--output", file)
    edge_nima(folder, "data", "verify", "labels.csv", "p", "--out", "good.csv", "--strict")
    return folder


def test_records_name_files(place: Path) -> None:
    for more in ("", "--top 20"):  # with stderr on a terminal, where a bar is drawn
        script = f"exec {sys.executable} -m edge_nima score p --format csv {more} > piped.csv"
        terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", "sh", "-c", script]
        subprocess.run(terminal, cwd=place, capture_output=True, timeout=300, check=True)
        assert column(place / "piped.csv", "name") == column(place / "b.csv", "name") == THERE
    for file in ("a.jsonl", "b.csv"):
        resumed = (place / file).read_bytes(), edge_nima(place, "score", "p", "--output", file, "--resume")
        assert resumed == ((place / file).read_bytes(), b"")
        assert {record.name for record, _ in read_records(place / file)} == THERE
    told = edge_nima(place, "score", "p").decode()
    assert told == escaped(told, keep="\n")
    assert all(name in told for name in (r"caf\xe9.jpg", r"new\nline.jpg", NAMES[0]))


def test_manifests_shards_and_splits_name_files(place: Path) -> None:
    edge_nima(place, "data", "split", "good.csv", "--out", "split.csv", "--validation", "0.3")
    edge_nima(place, "data", "pack", "split.csv", "--out", "packed", "--size", "224")
    assert column(place / "good.csv") == column(place / "split.csv") == column(place / "packed" / "index.csv") == THERE
    labels = []
    for path in (place / "packed").glob("*.tar"):
        with tarfile.open(path) as tar:
            labels += [json.load(tar.extractfile(one)) for one in tar if one.name.endswith(".json")]  # type: ignore[arg-type]
    edge_nima(place, "data", "explore", "split.csv", "--out", "explored")
    sheets = json.loads((place / "explored" / "statistics.json").read_text())["sheets"]
    assert {one["file"] for one in labels} == {one["name"] for one in sheets["sample"]} == THERE


def test_a_comparison_joins_all_and_names_files(place: Path) -> None:
    more = ("--labels", "good.csv", "--html", "c.html", "--photos", "p")
    edge_nima(place, "compare", "a.jsonl", "b.csv", "--output", "c.json", *more)
    edge_nima(place, "examine", "p", "--count", "2", "--json", "e.json")
    document, examined = (json.loads((place / file).read_text("ascii")) for file in ("c.json", "e.json"))
    assert document["n"] == document["people"]["n"] == len(THERE)
    assert document["join"]["missing"] == document["join"]["extra"] == []
    assert {one["name"] for one in (*document["worst"], *examined["photographs"])} <= THERE
    page = html.unescape((place / "c.html").read_text("utf-8"))
    assert page.count("data:image/jpeg") == 10
    assert all(one["name"] in page for one in document["worst"] if one["name"] == escaped(one["name"]))


def test_left_out_photographs_are_named_as_they_are(tmp_path: Path) -> None:
    images = data_set(tmp_path, NAMES)
    for name in NAMES[:2]:
        (images / name).write_bytes(b"\xff\xd8\xff none")
    (images / NAMES[2]).rename(images / "other\u202f.jpg")
    edge_nima(tmp_path, "data", "verify", "labels.csv", "p", "--out", "good.csv")
    faulty = json.loads((tmp_path / "good.report.json").read_text("ascii"))["faulty"]
    assert {(one["kind"], one["file"]) for one in faulty} == {
        ("damaged", NAMES[0]), ("damaged", NAMES[1]), ("missing", NAMES[2]), ("extra", "other\u202f.jpg"),
        ("missing", NAMES[-1].replace("\\", "/")), ("extra", NAMES[-1]),
    }  # fmt: skip
    edge_nima(tmp_path, "data", "pack", "labels.csv", "--images", "p", "--out", "packed", "--size", "224")
    left_out = {name for name, _ in json.loads((tmp_path / "packed" / "shards.json").read_text("ascii"))["left_out"]}
    assert left_out == {*NAMES[:3], NAMES[-1].replace("\\", "/")}


@pytest.mark.parametrize("way", ["in full", "through a link", "outside"])
def test_absolute_paths_count_each_photograph_once(tmp_path: Path, way: str) -> None:
    paths = photographs(tmp_path / "real" / "p", 12)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    photographs(tmp_path / "none" / "p", 1, start=50)
    paths[-1].write_bytes(b"\xff\xd8\xff none")  # faulty; row 11 has no row, one row has no photograph
    folder = tmp_path / ("link" if way == "through a link" else "real")
    rows: list[tuple[object, ...]] = [(folder / "p" / path.name, 2 + n / 2) for n, path in enumerate(paths) if n != 10]
    images = tmp_path / "none" / "p" if way == "outside" else tmp_path / "real" / "p"
    twice = os.path.relpath(paths[0], images)
    write_csv(tmp_path / "labels.csv", *rows, (folder / "p" / "gone.jpg", 5), (twice, 5))
    edge_nima(tmp_path, "data", "verify", "labels.csv", images, "--out", "good.csv")
    report = json.loads((tmp_path / "good.report.json").read_text())
    counts = {kind: one["count"] for kind, one in report["faults"].items() if one["count"]}
    assert counts == {"missing": 1, "extra": 1, "damaged": 1, "twice": 1}
    assert report["labels"]["rows"] == report["good"] + sum(one["line"] is not None for one in report["faulty"])
    assert report["images"]["photographs"] == report["good"] + 2 == 12
    assert all((tmp_path / file).is_file() for file in column(tmp_path / "good.csv"))
    edge_nima(tmp_path, "data", "split", "good.csv", "--out", "split.csv", "--validation", "0.3")
    assert b"10 photographs" in edge_nima(tmp_path, "data", "pack", "split.csv", "--out", "packed", "--size", "224")
    edge_nima(tmp_path, "score", folder / "p" / "000[0-4].jpg", "--output", "a.jsonl")
    edge_nima(tmp_path, "score", "link/p/000[0-4].jpg", "--output", "b.jsonl")
    given = ("--records", "a.jsonl", "--manifest", "split.csv", "--split", "all", "--min-spread", "0")
    assert b"n = 5 photographs" in edge_nima(tmp_path, "train", "evaluate", *given)
    for labels in ("split.csv", "labels.csv"):
        edge_nima(tmp_path, "compare", "a.jsonl", "b.jsonl", "--labels", labels, "--output", f"{labels}.json")
        assert json.loads((tmp_path / f"{labels}.json").read_text())["people"]["n"] == 5


def test_what_terminals_show_is_one_rule() -> None:
    assert [printable(name) for name in NAMES[:5]] == NAMES[:5]
    hidden = "\x1b\x9b\n\t\u200e\u202e\u2066\u2028\ufeff" + os.fsdecode(b"\xe9")
    assert escaped(hidden) == r"\x1b\x9b\n\t\u200e\u202e\u2066\u2028\ufeff\xe9"
    assert str(RequestError(hidden)) == escaped(hidden)
