"""The page: self-contained, whole for any numbers, and nothing in a name becomes markup."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import PHOTOS, skip_without
from edge_nima.comparison import Comparison, LayerError, compare
from edge_nima.errors import OutputError, PackageMissing, RequestError
from edge_nima.joining import Join, Unscored
from edge_nima.reports import pages
from edge_nima.reports.comparison import report, worst_photographs, write_report
from edge_nima.reports.model import interval, number
from edge_nima.reports.pages import need_report
from edge_nima.reports.thumbnails import find_pictures, thumbnail

skip_without("matplotlib", "edge-nima[report]")
skip_without("jinja2", "edge-nima[report]")

EVIL = "<script>alert('1')</script>&\"x\".jpg"
LAYERS = [
    LayerError("conv1", "convolution", 40.0, 30.0, 0.01, "int8"),
    LayerError("$x^2$ <b>", "depthwise <i>", 20.0, 8.0, None, "int8"),
    LayerError("softmax", "softmax", None, float("inf"), None, "float32"),
]


def opinions(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(10), n)


def comparison(n: int = 40, names: list[str] | None = None, people: bool = True, **options: Any) -> Comparison:
    names = names or [f"p/{i}.jpg" for i in range(n)]
    return compare(names, opinions(n, 0), opinions(n, 1), opinions(n, 2) if people else None, **options)


def page(c: Comparison, photos: Path | None = None, **options: Any) -> str:
    return pages.page(report(c, worst=worst_photographs(c, photos), **options))


class Tags(HTMLParser):
    """What a page holds; that elements close in order is checked on the way."""

    VOID = frozenset({"meta", "img", "br", "path", "rect", "use", "image"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def text() -> str:
    """A page of everything that a page can have."""
    return page(comparison(), layers=LAYERS, photos=PHOTOS)


def test_the_page_needs_nothing_beside_itself(text: str) -> None:
    tags = parsed(text)
    assert {tag for tag, _ in tags.found} & {"script", "link", "iframe", "object", "base", "form"} == set()
    for tag, attributes in tags.found:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "data", "poster"}:
                assert value is not None
                assert value.startswith(("data:image/", "#")), f"{tag} {name} {value}"
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    policy = next(attributes for tag, attributes in tags.found if "http-equiv" in attributes)
    assert "default-src 'none'" in str(policy["content"])


def test_the_page_says_every_number_with_its_n_and_whose_it_is() -> None:
    c = comparison(on="forty drawn", reference_name="float", candidate_name="int8", people_source="labels.csv")
    tags = parsed(page(c, layers=LAYERS, title="Ours"))
    for words in (
        "Ours", "float", "int8", "n = 40 (forty drawn)", "labels.csv, n = 40", "EMD r=1", "EMD r=2",
        f"{c.agreement.mae:.4f}", f"{c.agreement.srcc:.4f}", "rating points", "Against people", "constant answer",
        "Per rating bin", "Error by layer", "The 10 worst photographs", "exact", "1,000 resamples",
    ):  # fmt: skip
        assert words in tags.text, words
    assert sum(tag == "svg" for tag, _ in tags.found) == 5 + 10


def test_colours_come_from_the_page_so_that_dark_is_legible(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    colours = {colour for plot in plots for colour in re.findall(r"(?:fill|stroke): ?([^;\"]+)", plot)}
    assert {colour for colour in colours if colour.startswith("#")} == set()
    assert {"var(--ink)", "var(--candidate)", "var(--reference)"} <= colours
    assert 'name="viewport" content="width=device-width' in text


def test_the_ids_inside_plots_do_not_meet(text: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_names_are_text_wherever_they_come_from() -> None:
    join = Join("path", f"by path {EVIL}", (EVIL,), (EVIL,), (Unscored(EVIL, "candidate", EVIL),), (EVIL,))
    people = opinions(12, 2)
    people[0] = np.nan
    names = [f"{i}{EVIL}" for i in range(12)]
    c = compare(
        names, opinions(12, 0), opinions(12, 1), people, reference_name=EVIL, candidate_name=EVIL, on=EVIL,
        people_source=EVIL, join=join, preprocessing=EVIL, warnings=[EVIL],
    )  # fmt: skip
    layers = [LayerError(EVIL, EVIL, 1.0, 1.0, None, EVIL)]
    text = page(c, layers=layers, title=EVIL)
    tags = parsed(text)
    assert "<script" not in text
    assert {tag for tag, _ in tags.found} & {"script", "b1"} == set()
    assert tags.text.count("alert('1')") > 15


def test_control_characters_and_bytes_that_are_not_utf8_are_escapes(tmp_path: Path) -> None:
    names = ["a\x1b[31m.jpg", os.fsdecode(b"\xff.jpg"), "l\u2028s.jpg"]
    path = tmp_path / "r.html"
    write_report(path, comparison(3, names))
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert all(name in text for name in (r"a\x1b[31m.jpg", r"\xff.jpg", "l\u2028s.jpg"))


@pytest.mark.parametrize("n", [1, 2, 3, 12])
@pytest.mark.parametrize("constant", [False, True])
def test_few_photographs_and_constants_make_a_page_without_a_warning(n: int, constant: bool) -> None:
    p, q = opinions(n, 0), opinions(n, 1)
    if constant:
        p, q = np.tile(p[:1], (n, 1)), np.tile(p[:1], (n, 1))
    tags = parsed(page(compare([str(i) for i in range(n)], p, q, opinions(n, 2))))
    assert "nan" not in tags.text.lower().replace("talebi and milanfar", "")
    assert ("undefined" in tags.text.lower()) == (constant or n == 1)


def test_many_photographs_become_a_picture_and_the_page_stays_small() -> None:
    text = page(comparison(6000, people=False))
    assert "data:image/png;base64," in text
    assert len(text) < 1_000_000


def test_inferred_histograms_are_said_where_emd_is_shown() -> None:
    text = parsed(page(comparison(inferred=True))).text
    assert "both EMDs are against max-entropy histograms" in text
    assert "inferred from their mean" in text


# Photographs


def test_photographs_are_found_by_folder_by_id_or_as_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here/deep").mkdir(parents=True)
    for name in ("here/deep/a.jpg", "here/b.png", "own.jpg", "secret.jpg"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    found = find_pictures(
        ["/pi/photos/deep/a.jpg", "x/b.jpg", "own.jpg", "none.jpg", "../secret.jpg", "a\0b"], Path("here")
    )
    assert found == {
        "/pi/photos/deep/a.jpg": Path("here/deep/a.jpg"),
        "x/b.jpg": Path("here/b.png"),
        "own.jpg": Path("own.jpg"),
    }
    assert find_pictures(["own.jpg", "b.png"], None) == {"own.jpg": Path("own.jpg")}
    with pytest.raises(RequestError, match="no folder"):
        find_pictures(["a"], Path("own.jpg"))


def test_a_thumbnail_is_upright_and_small(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    image = Image.new("RGB", (1000, 500), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    uri = thumbnail(path)
    assert uri.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as small:
        assert small.size == (160, 320)


def test_photographs_that_are_not_there_or_damaged_are_said(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(b"not a picture")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "1.jpg")
    tags = parsed(page(comparison(3), photos=tmp_path))
    assert "not a picture in a format" in tags.text
    assert "1 of these photographs is not on this machine" in tags.text
    assert "--photos DIR" in tags.text
    assert sum(tag == "img" for tag, _ in tags.found) == 1


# Files


def test_the_page_appears_whole_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    write_report(path, comparison(5))
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert os.listdir(tmp_path) == ["r.html"]
    with pytest.raises(RequestError, match="mkdir -p"):
        write_report(tmp_path / "none" / "r.html", comparison(2))
    with pytest.raises(RequestError, match="is a folder"):
        write_report(tmp_path, comparison(2))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="No space left"):
        write_report("/dev/full", comparison(2))


def test_the_same_comparison_gives_the_same_page(text: str) -> None:
    assert page(comparison(), layers=LAYERS, photos=PHOTOS) == text


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_a_package_the_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pages._environment.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[report\]'"):
        need_report()
    with pytest.raises(PackageMissing, match="needs"):
        write_report("nowhere.html", comparison(2))


def test_numbers_as_a_person_reads_them() -> None:
    assert number(0.12345, ".4f") == "0.1235"
    assert number(0.0123, "%") == "1.2 %"
    assert number(0.0123, "%", signed=True) == "+1.2 pp"
    assert number(0.5, ".3f", signed=True) == "+0.500"
    assert number(-0.5, "+.3f", signed=True) == "-0.500"
    assert number(None, ".3f") == number(float("nan"), "%") == interval(float("nan"), 1.0, ".3f") == "-"
    assert interval(0.1, 0.2, ".1f") == "0.1 to 0.2"
