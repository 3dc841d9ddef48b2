"""`edge-nima data explore`: AVA's numbers against ones computed from its lines alone; a page that loads nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import statistics
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_nima.cli import run
from edge_nima.errors import LabelError, RequestError
from edge_nima.reports.pages import page
from edge_nima_train.exploration_report import as_document, report
from edge_nima_train.explore import SHEET, describe, explore
from edge_nima_train.explore_names import GroupNames, find_names, read_names
from edge_nima_train.manifest import Manifest, read_manifest

VOTES = ",".join(f"n{rating}" for rating in range(1, 11))


def data_set(tmp_path: Path, rows: int = 30, lost: int = 0) -> Path:
    """A label CSV with votes, tags and challenges, and its photographs but for the last `lost`."""
    random = np.random.default_rng(1)
    lines = [f"image_id,file,{VOTES},tag1,tag2,challenge,split"]
    for row in range(rows):
        counts = random.multinomial(100 + row, random.dirichlet(np.ones(10)))
        tags = f"{1 + row % 3},{[0, 2, ''][row % 3]}"
        lines.append(f"{row},{row}.jpg,{','.join(map(str, counts))},{tags},{7 + row % 2},{['train', 'val'][row % 2]}")
        if row < rows - lost:
            Image.new("RGB", (400, 300), (row * 8, 90, 30)).save(tmp_path / f"{row}.jpg")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(lines) + "\n")
    return labels


def look(path: Path, **how: Any) -> dict[str, Any]:
    document = as_document(explore(read_manifest(path), GroupNames(), **how))
    loaded: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return loaded


def check(told: dict[str, float], values: list[float]) -> None:
    """A description against Python's own statistics module."""
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    expected = {
        "n": len(values), "mean": statistics.fmean(values), "sd": statistics.stdev(values), "min": min(values),
        "q1": q1, "median": median, "q3": q3, "max": max(values),
    }  # fmt: skip
    assert told == pytest.approx(expected, rel=1e-9)


@pytest.fixture(scope="module")
def ava(data: Path) -> Path:
    return data / "ava" / "AVA_part.txt"


@pytest.fixture(scope="module")
def rows(ava: Path) -> list[list[int]]:
    with open(ava, newline="") as file:
        return [[int(cell) for cell in row] for row in csv.reader(file, delimiter=" ")]


@pytest.fixture(scope="module")
def told(ava: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    out = tmp_path_factory.mktemp("explore")
    assert run(["data", "explore", str(ava), "--out", str(out)]) == 0
    return json.loads((out / "statistics.json").read_text()), (out / "index.html").read_text()


def test_descriptive_statistics_of_ava(rows: list[list[int]], told: tuple[dict[str, Any], str]) -> None:
    document = told[0]
    votes = [row[2:12] for row in rows]
    counts = [sum(one) for one in votes]
    means = [sum(k * v for k, v in enumerate(one, 1)) / sum(one) for one in votes]
    stds = [
        math.sqrt(sum(v * (k - mean) ** 2 for k, v in enumerate(one, 1)) / sum(one))
        for one, mean in zip(votes, means, strict=True)
    ]
    assert document["n"] == len(rows) == 25_551
    assert document["votes"] == "counts"
    check(document["number_of_ratings"], list(map(float, counts)))
    check(document["mean_rating"], means)
    check(document["rating_std"], stds)
    low, high = (document["mean_rating"][side] for side in ("q1", "q3"))
    inside = [mean for mean in means if low - 1.5 * (high - low) <= mean <= high + 1.5 * (high - low)]
    box = document["box_of_means"]
    assert (box["low"], box["high"]) == pytest.approx((min(inside), max(inside)))
    assert box["below"] + box["above"] == len(means) - len(inside)


def test_it_is_as_the_whole_of_ava_is_said_to_be(told: tuple[dict[str, Any], str]) -> None:
    # Published of all 255,508: 210.14 (sd 61.51) and 5.38 (sd .73). A part differs by sampling.
    number, mean = told[0]["number_of_ratings"], told[0]["mean_rating"]
    assert number["mean"] == pytest.approx(210.14, abs=4 * 61.51 / math.sqrt(25_551))
    assert mean["mean"] == pytest.approx(5.38, abs=0.005 + 4 * 0.73 / math.sqrt(25_551))
    assert (round(mean["sd"], 2), number["max"]) == (0.73, 549)


def test_histograms_and_bins_of_ava(rows: list[list[int]], told: tuple[dict[str, Any], str]) -> None:
    document = told[0]
    exact = [(sum(k * v for k, v in enumerate(row[2:12], 1)), sum(row[2:12])) for row in rows]
    tenths = [0] * 90
    ninths = [0] * 10
    for total, count in exact:  # in whole numbers: bin by 10 * mean and by (mean - 1) / 0.9
        tenths[min((10 * (total - count)) // count, 89)] += 1
        ninths[min((10 * (total - count)) // (9 * count), 9)] += 1
    assert document["histograms"]["mean_rating"]["counts"] == tenths
    assert [one["n"] for one in document["bins"]] == ninths
    numbers = document["histograms"]["number_of_ratings"]
    expected, _ = np.histogram([count for _, count in exact], numbers["edges"])
    assert numbers["counts"] == expected.tolist()
    assert sum(document["histograms"]["rating_std"]["counts"]) == len(rows)
    shares = np.mean([np.array(row[2:12]) / sum(row[2:12]) for row in rows], axis=0)
    assert document["share_of_ratings"] == pytest.approx(shares.tolist())


def test_challenges_and_tags_of_ava(ava: Path, rows: list[list[int]], told: tuple[dict[str, Any], str]) -> None:
    document, html = told
    challenges, tags = defaultdict[int, int](int), defaultdict[int, int](int)
    for row in rows:
        challenges[row[14]] += 1
        for tag in {row[12], row[13]} - {0}:
            tags[tag] += 1
    assert {group["key"]: group["n"] for group in document["challenges"]} == {
        str(key): n for key, n in challenges.items()
    }
    assert {group["key"]: group["n"] for group in document["tags"]} == {str(key): n for key, n in tags.items()}
    assert document["untagged"] == sum(row[12] == row[13] == 0 for row in rows)
    for groups in (document["challenges"], document["tags"]):
        assert [group["n"] for group in groups] == sorted((group["n"] for group in groups), reverse=True)
    named = dict(line.split(" ", 1) for line in (ava.parent / "tags.txt").read_text().splitlines())
    assert {group["key"]: group["name"] for group in document["tags"] if group["key"] in named} == {
        key: named[key] for key in map(str, tags) if key in named
    }
    assert f"{len(challenges) - 30:,} more are in statistics.json" in html


def test_without_images_it_says_so(told: tuple[dict[str, Any], str]) -> None:
    assert "None of those that the contact sheets would show is in" in told[1]
    assert "<img" not in told[1]


def test_sheets_are_the_extremes(rows: list[list[int]], told: tuple[dict[str, Any], str]) -> None:
    means = {str(row[1]): sum(k * v for k, v in enumerate(row[2:12], 1)) / sum(row[2:12]) for row in rows}
    ordered = sorted(means.values())
    sheets = told[0]["sheets"]
    assert [one["mean"] for one in sheets["worst"]] == pytest.approx(ordered[:SHEET])
    assert [one["mean"] for one in sheets["best"]] == pytest.approx(ordered[::-1][:SHEET])
    for one in [*sheets["worst"], *sheets["best"], *sheets["sample"]]:
        assert means[one["name"]] == pytest.approx(one["mean"])


@given(st.lists(st.floats(1, 10), min_size=2, max_size=60))
def test_a_description_is_that_of_the_statistics_module(values: list[float]) -> None:
    told = describe(np.array(values))
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    assert (told.q1, told.median, told.q3) == pytest.approx((q1, median, q3))
    assert told.sd == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert told.min <= told.q1 <= told.median <= told.q3 <= told.max


def test_one_photograph_has_no_standard_deviation(tmp_path: Path) -> None:
    document = look(data_set(tmp_path, 1))
    assert document["mean_rating"]["sd"] is None
    assert document["mean_rating"]["n"] == 1
    made, shown = report(explore(read_manifest(tmp_path / "labels.csv"), GroupNames()))
    assert shown == 3
    assert "<td>-</td>" in page(made)


def test_means_alone_leave_the_votes_out_and_say_so(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,mean_rating\n" + "".join(f"{row}.jpg,{1 + row / 3:.3f}\n" for row in range(28)))
    document = look(labels)
    for key in ("number_of_ratings", "rating_std", "share_of_ratings"):
        assert document[key] is None
    assert document["votes"] == "none"
    assert document["histograms"]["rating_std"] is None
    assert document["bins"][-1]["n"] == 3  # 9.333, 9.667 and 10; 10 belongs to the last bin
    content = page(report(explore(read_manifest(labels), GroupNames()))[0])
    assert "Only mean ratings are known here" in content
    for absent in (
        "Number of ratings",
        "Spread of the ratings",
        "All ratings",
        "mean rating std",
        "Challenges",
        "Tags",
    ):
        assert absent not in content


@pytest.mark.parametrize("total", [1, 100])
def test_proportions_are_not_taken_for_a_number_of_ratings(tmp_path: Path, total: int) -> None:
    labels = tmp_path / "labels.csv"
    rows = [",".join(f"{total * share:g}" for share in np.roll([0.5, 0.25, 0.25, *[0] * 7], row)) for row in range(8)]
    labels.write_text(f"file,{VOTES}\n" + "".join(f"{row}.jpg,{one}\n" for row, one in enumerate(rows)))
    document = look(labels)
    assert document["votes"] == "proportions"
    assert document["number_of_ratings"] is None
    assert document["rating_std"] is not None
    content = page(report(explore(read_manifest(labels), GroupNames()))[0])
    assert "proportions, not counts" in content


class Reader(HTMLParser):
    """What a browser would load, and the text that it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    labels = data_set(tmp_path)
    (tmp_path / "evil.txt").write_text("1 <script>alert(1)</script>\n2 \x1b[31m\n3 a&b\n")
    out = tmp_path / "out"
    command = ["data", "explore", str(labels), "--out", str(out), "--tags", str(tmp_path / "evil.txt")]
    assert run(command) == 0
    html = (out / "index.html").read_text()
    reader = Reader()
    reader.feed(html)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert all(address.startswith(("data:image/", "#")) for address in reader.addresses)
    assert "default-src 'none'" in html
    assert not re.search(r"url\((?!#)", html)
    assert "\x1b" not in html
    assert sum(address.startswith("data:image/jpeg") for address in reader.addresses) == 3 * SHEET
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_photographs_that_are_not_there_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = data_set(tmp_path, rows=20, lost=5)
    (tmp_path / "0.jpg").write_bytes(b"no picture")
    assert run(["data", "explore", str(labels), "--out", str(tmp_path / "out")]) == 0
    assert "18 of 60 photographs" in capsys.readouterr().err
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("6 of 20 cannot be shown") == 3
    assert "18 photographs not shown" in html
    assert "0.jpg: not a picture" in html


def test_the_sample_is_the_seed_s_and_the_same_command_writes_the_same(tmp_path: Path) -> None:
    labels = data_set(tmp_path, rows=60)
    command = ["data", "explore", str(labels), "--out"]
    contents = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run([*command, str(tmp_path / name), "--seed", seed]) == 0
        contents.append([(tmp_path / name / file).read_bytes() for file in ("index.html", "statistics.json")])
    assert contents[0] == contents[1]
    samples = [[one["name"] for one in json.loads(content[1])["sheets"]["sample"]] for content in contents]
    assert samples[0] != samples[2]
    assert len(set(samples[0])) == SHEET


def test_tags_and_challenges_are_counted_once_a_photograph(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,mean_rating,tag1,tag2,challenge\na,2,5,5,\nb,4,5,6,x\nc,6,0,,x\nd,7,6,0,y\n"
    )  # fmt: skip
    document = look(labels)
    assert [(one["key"], one["n"], one["mean"]) for one in document["tags"]] == [("5", 2, 3.0), ("6", 2, 5.5)]
    assert document["untagged"] == 1
    assert [(one["name"], one["n"], one["mean"]) for one in document["challenges"]] == [("x", 2, 5.0), ("y", 1, 7.0)]


def test_properties_of_a_verified_manifest_are_described(tmp_path: Path) -> None:
    labels = data_set(tmp_path)
    assert run(["data", "verify", str(labels), str(tmp_path), "--out", str(tmp_path / "m.csv")]) == 0
    document = look(tmp_path / "m.csv")
    assert document["properties"]["width"]["median"] == 400
    assert document["properties"]["aspect"]["max"] == pytest.approx(4 / 3, abs=1e-4)
    sizes = [float((tmp_path / f"{row}.jpg").stat().st_size) for row in range(30)]
    check(document["properties"]["bytes"], sizes)
    assert document["splits"] == {"train": 15, "val": 15}


def test_names_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "challenges.txt"
    path.write_bytes("1396 100_Meters\n07 Caf\xe9  du_Monde\n\n".encode("latin-1"))
    assert read_names(path) == {"1396": "100 Meters", "7": "Café du Monde"}
    path.write_bytes("\ufeff1 Café\n".encode())
    assert read_names(path) == {"1": "Café"}
    assert find_names(tmp_path / "AVA.txt") == GroupNames({}, {"1": "Café"})
    path.write_text("1 one\nname 2\n")
    with pytest.raises(LabelError, match="line 2: it says 'name 2'; possible: a number, a space and a name"):
        read_names(path)
    with pytest.raises(RequestError, match="cannot read"):
        find_names(tmp_path / "AVA.txt", tags=tmp_path / "nowhere.txt")


def test_bad_requests_are_one_line_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = data_set(tmp_path, 3)
    out = tmp_path / "out"
    assert run(["data", "explore", str(labels), "--out", str(out)]) == 0
    before = hashlib.sha256((out / "index.html").read_bytes()).hexdigest()
    capsys.readouterr()
    for arguments, says in (
        ([str(labels), "--out", str(out)], "exists: --overwrite replaces it"),
        ([str(labels), "--out", str(labels)], "is a file; possible: a folder"),
        ([str(tmp_path / "no.csv"), "--out", str(tmp_path / "x")], "cannot read"),
        ([str(labels), "--images", str(tmp_path / "no"), "--out", str(tmp_path / "x")], "no such folder"),
        ([str(labels), "--tags", str(tmp_path / "no"), "--out", str(tmp_path / "x")], "cannot read"),
        ([str(labels), "--seed", "-1", "--out", str(tmp_path / "x")], "--seed"),
    ):
        assert run(["data", "explore", *arguments]) == 2
        told = capsys.readouterr().err
        assert says in told
        assert told.count("\n") == 1
    assert not (tmp_path / "x").exists()
    assert hashlib.sha256((out / "index.html").read_bytes()).hexdigest() == before
    assert run(["data", "explore", str(labels), "--out", str(out), "--seed", "9", "--overwrite"]) == 0
    assert hashlib.sha256((out / "index.html").read_bytes()).hexdigest() != before


def test_what_is_drawn_is_what_the_json_says(tmp_path: Path) -> None:
    exploration = explore(read_manifest(data_set(tmp_path)), GroupNames())
    content = page(report(exploration)[0])
    assert isinstance(exploration.manifest, Manifest)
    assert f"mean {exploration.mean_rating.mean:,.2f}" in content
    assert exploration.number_of_ratings is not None
    assert f"median {exploration.number_of_ratings.median:,.2f}" in content
    assert content.count("<figure") == 8
