"""The contact sheet of `edge-nima score --html`: what the command writes, and what it is in a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from axe import broken, needs_axe
from chromium import CHROMIUM, DESKTOP, FLAGS, PHONE, Seen, needs_chromium
from conftest import PHOTOS, skip_without
from edge_nima.cli import run
from edge_nima.errors import OutputError
from edge_nima.percentiles import AVA
from edge_nima.reports import sheet as module
from edge_nima.scorer import open_scorer

skip_without("jinja2", "edge-nima[report]")

HOSTILE = ["<img src=x onerror=alert(1)>.jpg", "</script><script>alert(1)</script>.jpg", "\"'&.jpg", "a\u202egpj.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photographs in two folders, two near-duplicates of one, one that is damaged, names of all kinds."""
    made = tmp_path / "photos #1"
    (made / "more").mkdir(parents=True)
    for place, path in enumerate(sorted(PHOTOS.glob("*.jpg"))):
        shutil.copy(path, made / ("more" if place % 2 else "") / path.name)
    with Image.open(PHOTOS / "flower.jpg") as flower:
        flower.save(made / "flower again.jpg", quality=80)
        flower.save(made / "flower once more.png")
    for name in HOSTILE:
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (90, 120, 3), np.uint8)).save(
            made / name.replace("/", "\u2215"), "JPEG"
        )
    (made / "cut.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:9000])
    return made


def written(folder: Path, *more: str, code: int = 3) -> Path:
    page = folder.parent / "out" / "sheet.html"
    page.parent.mkdir(exist_ok=True)
    assert run(["score", str(folder), "--html", str(page), *more]) == code
    return page


def test_the_sheet_is_written_beside_whatever_else_comes_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = written(folder, "--format", "csv")
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 13
    assert f"the contact sheet is '{page}'" in err
    content = page.read_text(encoding="utf-8")
    assert "12 photographs scored by mobilenet-ava-int8-mixed" in content
    assert "1 not scored" in content
    assert content.count("<script") == 2
    assert run(["score", str(folder), "--html", str(page)]) == 2
    assert f"'{page}' exists: --overwrite replaces it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("html", "told"),
    [
        (".", "'.' is a folder; give a file name in it"),
        ("nowhere/sheet.html", "no such folder: 'nowhere' (mkdir -p it first)"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_before_any_work(
    html: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["score", str(PHOTOS), "--html", html]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""


def test_no_input_and_no_other_output_is_replaced(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cat = folder / "more" / "cat.jpg"
    cat = cat if cat.exists() else folder / "cat.jpg"
    before, both = cat.read_bytes(), str(tmp_path / "both.csv")
    for more, told in (
        (["--html", str(cat)], "is one of the inputs; write somewhere else"),
        (["--html", both, "-o", both], "--output and --html are both"),
    ):
        assert run(["score", str(folder), "--overwrite", *more]) == 2
        assert told in capsys.readouterr().err
    assert cat.read_bytes() == before
    assert not Path(both).exists()


def test_without_jinja_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_nima.reports import pages

    pages._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run(["score", str(PHOTOS), "--html", str(tmp_path / "sheet.html")]) == 2
    assert "pip install 'edge-nima[report]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_page_of_thumbnails_stays_within_its_size_whatever_they_show(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    for total in (1, 600, module.INSIDE):
        with module.ContactSheet(tmp_path / "sheet.html", total) as sheet:
            sheet.look("noise.jpg", noise)
        assert len(sheet._looks["noise.jpg"].thumbnail) * total < 12e6


def test_many_photographs_have_a_folder_beside_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "INSIDE", 5)
    page = written(folder)
    beside = page.with_name("sheet_files")
    assert len(list(beside.glob("*.jpg"))) == 12
    assert sorted(path.name for path in page.parent.iterdir()) == ["sheet.html", "sheet_files"]
    assert "data:image" not in page.read_text(encoding="utf-8")
    written(folder, "--overwrite", "--top", "3")
    assert '"photographs":[' in page.read_text(encoding="utf-8")
    assert len(list(beside.glob("*.jpg"))) == 12


def test_thumbnails_of_a_sheet_are_no_photographs_of_the_next_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "INSIDE", 5)
    command = ["score", str(folder), "--overwrite", "--html", str(folder / "sheet.html"), "--format", "jsonl"]
    for _ in range(2):
        assert run(command) == 3
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 13
    assert "12 in sheet_files" in err


@pytest.mark.parametrize("name", ["sheet_files", "sheet_files.partial"])
def test_a_folder_of_somebody_else_is_never_replaced(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "INSIDE", 5)
    mine = folder.parent / "out" / name / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    written(folder, "--overwrite", code=2)
    assert f"'{mine.parent}' holds something else than a contact sheet's thumbnails" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "mine"


def test_two_runs_for_one_sheet_do_not_take_each_others_thumbnails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "INSIDE", 5)
    page = folder.parent / "out" / "sheet.html"
    page.parent.mkdir()
    with module.ContactSheet(page, 9) as first:
        first.look("cat.jpg", Image.open(PHOTOS / "cat.jpg").convert("RGB"))
        assert run(["score", str(folder), "--html", str(page)]) == 2
        assert "another run writes " in capsys.readouterr().err
        assert len(list(page.with_name("sheet_files.partial").glob("*.jpg"))) == 1
    assert not list(page.parent.iterdir())
    written(folder)


def test_a_page_that_cannot_be_written_leaves_the_earlier_one_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "INSIDE", 5)
    page = written(folder)
    before = {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}

    def full(path: Path, content: str) -> None:
        raise OutputError(f"cannot write '{path}': No space left on device")

    monkeypatch.setattr(module, "write_page", full)
    assert run(["score", str(PHOTOS), "--html", str(page), "--overwrite"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()} == before


def test_what_was_scored_before_is_on_the_sheet_too(folder: Path, tmp_path: Path) -> None:
    records = str(tmp_path / "r.jsonl")
    assert run(["score", str(folder / "more"), "-o", records]) == 0
    page = tmp_path / "sheet.html"
    more = ["-o", records, "--resume", "--html", str(page)]
    assert run(["score", str(folder / "more"), str(PHOTOS / "cat.jpg"), *more]) == 0
    assert page.read_text(encoding="utf-8").count("data:image/jpeg") == 4


def test_ctrl_c_leaves_the_sheet_of_what_was_scored(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3000):
        os.link(PHOTOS / "cat.jpg", photos / f"{number}.jpg") if os.stat(PHOTOS).st_dev == os.stat(photos).st_dev else (
            shutil.copy(PHOTOS / "cat.jpg", photos / f"{number}.jpg")
        )
    page = tmp_path / "sheet.html"
    started = subprocess.Popen(
        [sys.executable, "-m", "edge_nima", "score", str(photos), "--html", str(page)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial = tmp_path / "sheet_files.partial"
    while not (partial.is_dir() and len(os.listdir(partial)) > 20):
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert f"the contact sheet is '{page}', of what was scored" in err
    assert 0 < len(os.listdir(tmp_path / "sheet_files")) < 3000
    assert not partial.exists()


# In a browser

in_browser = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Seen]]:
    opened: list[Seen] = []

    def opener(page: Path, **how: Any) -> Seen:
        opened.append(Seen(browser, page.as_uri(), **{"viewport": DESKTOP, **how}))
        opened[-1].until("document.querySelectorAll('.card').length > 0")
        return opened[-1]

    yield opener
    for seen in opened:
        assert [line for line in seen.said if "error" in line.lower()] == []
        seen.context.close()


CARDS = "[...document.querySelectorAll('#grid .card')].map((card) => card.innerText.split(/\\s+/).join(' '))"
IN_VIEW = """[...document.querySelectorAll('.card img')].some((img) => {
  const { top } = img.getBoundingClientRect();
  return top > 0 && top < innerHeight && img.complete;
})"""
LOADED = "document.querySelector('#large-picture').naturalWidth"


@pytest.mark.slow
@needs_chromium
def test_best_first_filtered_sorted_and_stacked(folder: Path, open_page: Callable[..., Seen]) -> None:
    seen = open_page(written(folder))
    page = seen.page
    scores = {record.name: record.mean for record in open_scorer().score_batch(sorted(PHOTOS.glob("*.jpg")))}
    labels = seen.until(CARDS)
    means = [float(label.split()[0]) for label in labels]
    assert len(labels) == 10
    assert means == sorted(means, reverse=True)
    assert sum("+2 near-duplicates" in label for label in labels) == 1
    cat = scores[str(PHOTOS / "cat.jpg")]
    assert f"{cat:.2f} above {int(AVA.of(cat))} % of AVA cat.jpg" in labels
    assert "10 of 12 shown; 2 near-duplicates are under their best" in seen.text("#status")
    page.uncheck("#stacked")
    assert len(seen.until(CARDS)) == 12
    page.select_option("#sort", "name")
    assert seen.until(CARDS)[-1].endswith("rocket.jpg")
    page.select_option("#folder", label=str(folder / "more"))
    assert len(seen.until(CARDS)) == 3
    page.click("#reset")
    page.fill("#low", "5.5")
    assert all(float(label.split()[0]) >= 5.495 for label in seen.until(CARDS))
    page.fill("#low", "9")
    assert seen.text("#nothing").startswith("No photograph matches.")
    page.click("#nothing button")
    page.fill("#search", "CAT")
    assert len(seen.until(CARDS)) == 1
    page.click("#reset")
    tallest = page.locator("#distribution button").first
    tallest.click()
    assert tallest.get_attribute("aria-pressed") == "true"
    assert 0 < len(seen.until(CARDS)) < 12
    page.click("[data-view=failed]")
    assert "data ends before the picture" in seen.text("#failures") or "truncated" in seen.text("#failures")


@pytest.mark.slow
@needs_chromium
def test_the_large_view_goes_by_arrows_shows_the_file_itself_and_gives_the_focus_back(
    folder: Path, open_page: Callable[..., Seen]
) -> None:
    seen = open_page(written(folder, "--exclude", "cut.jpg", "--against", "ava", code=0))
    page = seen.page
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    name = seen.text("#large-name")
    seen.until(f"{LOADED} > 0")
    assert seen.until(CARDS)[1].endswith(name)
    page.keyboard.press("ArrowRight")
    assert seen.text("#large-place") == "3 of 10"
    page.keyboard.press("Home")
    assert page.is_disabled("#previous")
    mean = float(seen.text("#large-mean"))
    assert f"better than {int(AVA.of(mean))} % of AVA" in seen.text("#large-references")
    assert page.locator("#large-bars li").count() == 10
    page.keyboard.press("End")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('#large').open")
    assert page.evaluate("document.activeElement === [...document.querySelectorAll('.card')].at(-1)")
    page.fill("#search", "flower")
    page.locator(".card").first.click()
    assert page.locator("#large-stack button").count() == 3
    page.locator("#large-stack button").nth(2).click()
    seen.until(f"{LOADED} === 600")


@pytest.mark.slow
@needs_chromium
def test_where_nothing_was_scored_the_reasons_are_shown(tmp_path: Path, browser: Any) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_bytes(b"junk")
    page = written(tmp_path / "p")
    seen = Seen(browser, page.as_uri(), viewport=DESKTOP)
    seen.until("!document.querySelector('#failures').hidden")
    assert "not a picture in a format" in seen.text("main")
    seen.context.close()


@pytest.mark.slow
@needs_chromium
def test_names_are_text_and_nothing_else(folder: Path, open_page: Callable[..., Seen]) -> None:
    seen = open_page(written(folder))
    labels = " ".join(seen.until(CARDS))
    assert "<img src=x onerror=alert(1)>.jpg" in labels
    assert "a\\u202egpj.jpg" in labels
    assert seen.page.locator("#grid script, #grid [onerror]").count() == 0
    assert [asked for asked in seen.asked if not asked.startswith(("file:", "data:"))] == []


@pytest.mark.slow
@needs_chromium
@needs_axe
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_no_state_of_the_page_breaks_a_rule(
    folder: Path, open_page: Callable[..., Seen], size: dict[str, int], look: str
) -> None:
    seen = open_page(written(folder), viewport=size, color_scheme=look)
    found = {"grid": broken(seen.page)}
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    seen.page.locator(".card").first.click()
    found["large"] = broken(seen.page)
    seen.page.keyboard.press("Escape")
    seen.page.click("[data-view=failed]")
    found["failed"] = broken(seen.page)
    seen.page.click("#help")
    found["keys"] = broken(seen.page)
    seen.page.keyboard.press("Escape")
    seen.page.click("#theme")
    found["other theme"] = broken(seen.page)
    assert {state: rules for state, rules in found.items() if rules} == {}


@pytest.mark.slow
@needs_chromium
def test_twenty_thousand_are_scrolled_without_a_page_full_of_elements(
    tmp_path: Path, open_page: Callable[..., Seen]
) -> None:
    rows = [
        {
            "n": f"{n}.jpg",
            "f": 0,
            "m": 8 - n / 4000,
            "s": 1.4,
            "d": [100] * 10,
            "p": [5, 5],
            "t": "1.jpg",
            "u": "",
        }
        for n in range(20_000)
    ]
    (tmp_path / "sheet_files").mkdir()
    Image.new("RGB", (240, 160), "teal").save(tmp_path / "sheet_files" / "1.jpg")
    data = {
        "photographs": rows, "folders": ["."], "stacks": [], "references": ["AVA", "these photographs"],
        "thumbnails": "sheet_files/", "failed": [], "model": "m",
    }  # fmt: skip
    (tmp_path / "sheet.html").write_text(module.page(data), encoding="utf-8")
    seen = open_page(tmp_path / "sheet.html")
    for share in (0.3, 0.7, 1.0):
        seen.page.evaluate(f"scrollTo(0, {share} * document.body.scrollHeight)")
        seen.until(IN_VIEW)
        assert seen.page.evaluate("document.querySelectorAll('.card').length") < 150
    assert "19999.jpg" in " ".join(seen.until(CARDS))
