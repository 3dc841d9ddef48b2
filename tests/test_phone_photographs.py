"""Photographs on the page for phones: one list, one model, whatever is done in whatever order; and judged by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from axe import broken, needs_axe
from conftest import PHOTOS, skip_without
from edge_nima.joining import read_opinions
from edge_nima.phone.page import Asset, Page
from edge_nima.records import read_records
from edge_nima.scorer import BUNDLED
from edge_nima.similarity import perceptual_hash

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import Seen, bundled, lying, needs, page_served

skip_without("uvicorn", "edge-nima[web]")

pytestmark = needs()

INT8, FLOAT16 = "mobilenet-ava-int8-mixed", "mobilenet-ava-float16"
SEEDS = range(int(os.environ.get("EDGE_NIMA_PAGE_SEEDS", "0")))
"""Sequences of steps; all that were tried by hand: EDGE_NIMA_PAGE_SEEDS=20."""


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small photographs, no two alike: parts of the examples."""
    folder = tmp_path_factory.mktemp("album")
    chance = np.random.default_rng(18)
    for i in range(40):
        with Image.open(sorted(PHOTOS.glob("*.jpg"))[i % 6]) as image:
            left, top = (int(chance.integers(0, side // 2)) for side in image.size)
            part = image.crop((left, top, left + image.width // 2, top + image.height // 2)).resize((240, 180))
            part.rotate(90 * int(chance.integers(4)), expand=True).save(folder / f"{i:02}.jpg", quality=88)
    return folder


SETTLED = """document.documentElement.dataset.state === 'ready' && document.querySelector('#model-beside').hidden &&
    document.querySelector('#working').hidden"""


def settled(seen: Seen, seconds: float = 60) -> None:
    """Wait until nothing is under way."""
    seen.until(SETTLED, seconds)
    seen.page.wait_for_timeout(30)  # a draw that was put off
    seen.until(SETTLED, seconds)


def drop(seen: Seen, *files: Path, wait: bool = True) -> None:
    """Choose photographs."""
    if seen.page.is_hidden("#photographs"):
        seen.page.click("#tab-photographs")
    seen.page.set_input_files("#files", list(files))
    if wait:
        settled(seen)


def exported(seen: Seen, folder: Path) -> list[dict[str, Any]]:
    """The page's records, which `compare` reads: of one model, each name once."""
    path = folder / "page.jsonl"
    path.write_bytes(seen.saved("#export-jsonl"))
    assert len(read_records(path)) == len(read_opinions(path).records)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {record["model"] for record in records} == {seen.page.get_attribute("#results", "data-model")}
    return records


def shown(seen: Seen) -> list[str]:
    """Names in the grid, in order."""
    seen.page.wait_for_timeout(50)
    names: list[str] = seen.page.eval_on_selector_all("#shots li", "all => all.map(e => e.dataset.name)")
    return names


def states(seen: Seen) -> None:
    """From here on note in `window.states` what the page was."""
    seen.page.evaluate(
        "() => { const root = document.documentElement; window.states = [root.dataset.state]; new MutationObserver("
        "() => window.states.push(root.dataset.state)).observe(root, { attributeFilter: ['data-state'] }); }"
    )


# One model


def test_another_model_while_photographs_are_scored_scores_them_all_again(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    seen = open_page()
    seen.ready()
    states(seen)
    seen.page.evaluate("document.querySelector('#stacked').checked = false")
    drop(seen, *album.iterdir(), wait=False)
    seen.until("document.querySelector('#progress').value > 8")
    seen.page.select_option("#model-choice", f"{FLOAT16}.tflite")
    lists = []
    while not seen.page.evaluate(SETTLED):
        lists.append(seen.page.evaluate("[document.querySelector('#results').dataset.model, "
            "document.querySelectorAll('#shots li').length]"))  # fmt: skip
        if len(lists) % 20 == 1:
            (tmp_path / "meanwhile.jsonl").write_bytes(seen.saved("#export-jsonl"))
            read_opinions(tmp_path / "meanwhile.jsonl")
    records = exported(seen, tmp_path)
    assert {record["model"].partition("@")[0] for record in records} == {FLOAT16}
    assert sorted(record["name"] for record in records) == sorted(path.name for path in album.iterdir())
    assert {model.partition("@")[0] for model, _ in lists} >= {INT8}
    assert [count for _, count in lists] == sorted(count for _, count in lists), "scores were taken away meanwhile"
    assert set(seen.page.evaluate("window.states")) == {"ready"}
    # And back: what was scored by both is there at once.
    seen.page.select_option("#model-choice", f"{INT8}.tflite")
    seen.until(f"document.querySelector('#results').dataset.model.startsWith('{INT8}')")
    settled(seen)
    assert len(exported(seen, tmp_path)) == 40


def test_a_stopped_queue_of_another_model_leaves_the_list_and_can_go_on(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    files = sorted(album.iterdir())
    seen = open_page()
    seen.ready()
    drop(seen, *files[:36])
    seen.page.select_option("#model-choice", f"{FLOAT16}.tflite")
    seen.until(
        "!document.querySelector('#working').hidden && document.querySelector('#progress').value > 2 &&"
        f"document.querySelector('#model').dataset.name === '{FLOAT16}'"
    )
    seen.page.set_input_files("#files", files[36:])
    seen.page.evaluate("document.querySelector('#cancel').click()")  # at once: Playwright's own click takes its time
    settled(seen)
    records = exported(seen, tmp_path)
    assert len(records) == 36
    assert {record["model"].partition("@")[0] for record in records} == {INT8}
    assert FLOAT16 in seen.text("#again")
    seen.page.click("#again")
    settled(seen)
    records = exported(seen, tmp_path)
    assert len(records) == 36, "those that were stopped before their first score are left out"
    assert {record["model"].partition("@")[0] for record in records} == {FLOAT16}
    assert seen.page.is_hidden("#again")


def test_a_bad_model_leaves_the_good_one_at_work(open_page: Callable[..., Seen], album: Path, tmp_path: Path) -> None:
    seen = open_page()
    seen.ready()
    seen.page.select_option("#model-choice", f"{FLOAT16}.tflite")
    seen.until(f"document.querySelector('#model').dataset.name === '{FLOAT16}'")
    settled(seen)
    states(seen)
    drop(seen, *album.iterdir(), wait=False)
    seen.until("document.querySelector('#progress').value > 5")
    bad = {"name": "bad.tflite", "mimeType": "", "buffer": BUNDLED.read_bytes()[:-5000]}
    seen.page.set_input_files("#model-file", bad)
    assert FLOAT16 in seen.told(), "which one goes on"
    assert seen.page.is_hidden("#problem-again")
    settled(seen)
    records = exported(seen, tmp_path)
    assert len(records) == 40
    assert {record["model"].partition("@")[0] for record in records} == {FLOAT16}
    assert seen.page.input_value("#model-choice") == f"{FLOAT16}.tflite"
    assert set(seen.page.evaluate("window.states")) == {"ready"}
    drop(seen, PHOTOS / "cat.jpg")
    assert seen.page.is_hidden("#problem"), "an old error stands after a good drop"


def test_a_forced_backend_that_fails_leaves_the_other_at_work_and_can_be_chosen_again(
    open_page: Callable[..., Seen], tmp_path: Path
) -> None:
    with page_served(change=lying("_threaded")) as url:
        seen = open_page(url=url)
        assert seen.ready() == "wasm"
        states(seen)
        for _ in range(2):
            seen.page.select_option("#setting", "threads")
            why = seen.told()
            assert "golden probes" in why, why
            assert "WebAssembly stays in use" in why, why
            settled(seen)
            assert seen.page.input_value("#setting") == "auto"
            assert seen.page.get_attribute("html", "data-backend") == "wasm"
            drop(seen, PHOTOS / "cat.jpg")
            assert seen.page.is_hidden("#problem")
        assert len(exported(seen, tmp_path)) == 1
        assert set(seen.page.evaluate("window.states")) == {"ready"}
        seen.page.select_option("#setting", "wasm")
        settled(seen)
        assert seen.page.input_value("#setting") == "wasm"


def test_the_camera_goes_on_while_another_model_is_proven(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    states(seen)
    seen.page.evaluate(
        "() => { window.views = new Set(); const live = document.querySelector('#live'); new MutationObserver("
        "() => views.add(live.dataset.view)).observe(live, { attributeFilter: ['data-view'] }); }"
    )
    seen.page.select_option("#model-choice", f"{FLOAT16}.tflite")
    frames = "Number(document.querySelector('#score').dataset.frames)"
    seen.until("!document.querySelector('#model-beside').hidden")
    before = seen.page.evaluate(frames)
    seen.until(f"{frames} > {before} + 3")
    seen.until(f"document.querySelector('#model').dataset.name === '{FLOAT16}'")
    before = seen.page.evaluate(frames)
    seen.until(f"{frames} > {before} + 3")
    assert set(seen.page.evaluate("window.states")) == {"ready"}
    assert set(seen.page.evaluate("[...window.views]")) <= {"live"}


FOLDER = """async (names) => {
  const given = new DataTransfer();
  for (const [name, content] of names) {
    given.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name, { lastModified: 1e12 }));
  }
  document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: given, bubbles: true, cancelable: true }));
}"""


def dropped(seen: Seen, **files: bytes) -> None:
    """Drop files with these names and contents; "__" in a name is a dot."""
    named = [[name.replace("__", "."), base64.b64encode(content).decode()] for name, content in files.items()]
    seen.page.evaluate(FOLDER, named)


def test_photographs_with_a_model_beside_them_are_scored_and_the_model_is_left_out(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    seen = open_page()
    seen.ready()
    content = [path.read_bytes() for path in sorted(album.iterdir())[:3]]
    dropped(
        seen, a__jpg=content[0], other__tflite=BUNDLED.with_name(f"{FLOAT16}.tflite").read_bytes(), b__jpg=content[1]
    )
    seen.until("document.querySelectorAll('#shots li').length === 2")
    settled(seen)
    assert "Left out other.tflite" in seen.text("#drop-said")
    assert {record["model"].partition("@")[0] for record in exported(seen, tmp_path)} == {INT8}
    assert seen.page.input_value("#model-choice") == f"{INT8}.tflite"
    dropped(seen, c__jpg=content[2], notes__txt=b"no photograph")
    seen.until("document.querySelectorAll('#shots li').length === 3")
    assert seen.text("#drop-said") == "Left out notes.txt: no photograph."
    dropped(seen, c__jpg=content[2], notes__txt=b"no photograph", more__txt=b"neither", film__mp4=b"nor this")
    seen.until("document.querySelector('#drop-said').textContent.includes('and 2 more: no photographs.')")
    dropped(seen, notes__txt=b"no photograph", more__txt=b"neither")
    seen.until("document.querySelector('#drop-said').textContent.startsWith('No photographs')")
    dropped(seen, c__jpg=content[2])
    seen.until("!document.querySelector('#drop-said').textContent.startsWith('No photographs')")
    assert "Left out" not in seen.text("#drop-said")
    assert "No photographs" not in seen.text("#drop-said"), "an old error stands after a good drop"


def test_a_slow_network_shows_how_much_of_the_model_is_there(open_page: Callable[..., Seen], browser: Any) -> None:
    def slow(context: Any) -> None:
        # Piece by piece, as a phone far from its mast gets it.
        context.add_init_script(
            """const get = fetch; window.heard = [];
            new MutationObserver(() => heard.push(document.querySelector('#state-text').textContent))
              .observe(document, { subtree: true, childList: true, characterData: true });
            window.fetch = async (...given) => {
              const answer = await get(...given);
              if (!String(given[0]).endsWith('.tflite')) return answer;
              const all = new Uint8Array(await answer.arrayBuffer());
              let at = 0;
              return new Response(new ReadableStream({ async pull(to) {
                if (at >= all.length) return to.close();
                await new Promise(done => setTimeout(done, 30));
                to.enqueue(all.slice(at, at += Math.ceil(all.length / 8)));
              } }));
            };"""
        )

    seen = open_page(route=slow)
    seen.ready()
    heard = seen.page.evaluate("window.heard")
    percent = [int(found[1]) for text in heard if (found := re.search(r"(\d+) %", text))]
    assert percent == sorted(percent)
    assert len(set(percent)) >= 6, heard
    assert percent[-1] == 100


# Kept


def test_results_and_judgements_survive_a_reload_until_they_are_cleared(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    files = sorted(album.iterdir())[:6]
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    seen = open_page()
    seen.ready()
    drop(seen, *files, tmp_path / "cut.jpg")
    seen.page.focus("#shots li:first-child .picture")
    seen.page.keyboard.press("p")
    before, order = exported(seen, tmp_path), shown(seen)
    seen.page.reload()
    seen.ready()
    seen.page.click("#tab-photographs")
    settled(seen)
    assert sorted(exported(seen, tmp_path), key=lambda r: r["name"]) == sorted(before, key=lambda r: r["name"])
    assert shown(seen) == order
    assert seen.page.get_attribute("#shots li:first-child", "data-flag") == "picked"
    assert "choose the same files again" in seen.text("#list-note")
    # The same files again: none twice, none scored again, and the large view has them whole.
    drop(seen, *files)
    assert shown(seen) == order
    again = {record["name"]: record["elapsed_ms"] for record in exported(seen, tmp_path)}
    assert again == {record["name"]: record["elapsed_ms"] for record in before}
    assert seen.text("#list-note") == ""
    seen.page.click("#clear")
    assert seen.page.is_hidden("#results")
    seen.page.reload()
    seen.ready()
    seen.page.click("#tab-photographs")
    settled(seen)
    assert seen.page.is_hidden("#results")
    assert shown(seen) == []


def test_after_a_reload_with_another_model_the_list_stays_that_of_the_old_one(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    files = sorted(album.iterdir())[:5]
    seen = open_page()
    seen.ready()
    seen.page.select_option("#model-choice", f"{FLOAT16}.tflite")
    seen.until(f"document.querySelector('#model').dataset.name === '{FLOAT16}'")
    drop(seen, *files)
    seen.page.reload()
    assert seen.ready()
    seen.page.click("#tab-photographs")
    settled(seen)
    assert {record["model"].partition("@")[0] for record in exported(seen, tmp_path)} == {FLOAT16}
    drop(seen, *files[:2])  # which can be scored by the model of today
    records = exported(seen, tmp_path)
    assert {record["model"].partition("@")[0] for record in records} == {INT8}
    assert len(records) == 2
    assert "3 more were scored by another model" in seen.text("#list-note")
    drop(seen, *files)
    assert len(exported(seen, tmp_path)) == 5


def test_a_browser_that_keeps_nothing_says_so(open_page: Callable[..., Seen], album: Path) -> None:
    def without(context: Any) -> None:
        context.add_init_script(
            "IDBFactory.prototype.open = () => { throw new DOMException('no storage', 'SecurityError'); }"
        )

    seen = open_page(route=without)
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:2])
    assert "not kept over a reload" in seen.told()
    assert len(shown(seen)) == 2


def test_two_photographs_of_one_name_are_two_and_the_same_one_is_not(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    first, second = sorted(album.iterdir())[:2]
    for folder, path in (("a", first), ("b", second)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "IMG_1.jpg").write_bytes(path.read_bytes())
    seen = open_page()
    seen.ready()
    for folder in ("a", "b", "a", "b"):
        drop(seen, tmp_path / folder / "IMG_1.jpg")
    assert sorted(record["name"] for record in exported(seen, tmp_path)) == ["IMG_1 (2).jpg", "IMG_1.jpg"]


# Judged


def test_the_hash_is_pythons(browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    page.add_script_tag(path=str(bundled(tmp_path, "page/alike.ts")))
    for path in sorted(PHOTOS.glob("*.jpg")):
        with Image.open(path) as image:
            image.thumbnail((360, 360))
            rgba = np.asarray(image.convert("RGBA"))
        upper, lower = page.evaluate(
            "([text, width, height]) => { const data = Uint8Array.from(atob(text), c => c.charCodeAt(0));"
            " return bundle.perceptualHash({ data, width, height }); }",
            [base64.b64encode(rgba.tobytes()).decode(), rgba.shape[1], rgba.shape[0]],
        )
        assert upper << 32 | lower == perceptual_hash(rgba[..., :3]), path.name
    assert page.evaluate("bundle.hamming([0xffffffff, 0], [0, 5])") == 34
    page.close()


@pytest.fixture
def similar(tmp_path: Path) -> list[Path]:
    """Three photographs, and of the first two near-duplicates."""
    paths = []
    for name in ("cat", "china", "coffee"):
        with Image.open(PHOTOS / f"{name}.jpg") as image:
            image.save(tmp_path / f"{name}.jpg", quality=90)
            paths.append(tmp_path / f"{name}.jpg")
            if name != "cat":
                continue
            for i in (1, 2):
                image.crop((i, i, image.width - i, image.height - i)).save(tmp_path / f"cat-{i}.jpg", quality=60)
                paths.append(tmp_path / f"cat-{i}.jpg")
    return paths


def test_near_duplicates_are_one_stack_that_opens(open_page: Callable[..., Seen], similar: list[Path]) -> None:
    seen = open_page()
    seen.ready()
    drop(seen, *similar)
    assert len(shown(seen)) == 3
    (head,) = [name for name in shown(seen) if name.startswith("cat")]
    card = f"#shots li[data-name='{head}']"
    assert seen.text(f"{card} .stack") == "+ 2 alike"
    seen.page.click(f"{card} .stack")
    assert len(shown(seen)) == 5
    assert seen.page.get_attribute(f"{card} .stack", "aria-expanded") == "true"
    place = shown(seen).index(head)
    assert {name.partition(".")[0].partition("-")[0] for name in shown(seen)[place : place + 3]} == {"cat"}
    seen.page.click(f"{card} .stack")
    # The best one rejected: the next best stands for the rest.
    seen.page.focus(f"{card} .picture")
    seen.page.keyboard.press("x")
    heads = [name for name in shown(seen) if name.startswith("cat")]
    assert len(heads) == 1
    assert heads != [head]
    seen.page.uncheck("#stacked")
    assert len(shown(seen)) == 5


def test_the_best_so_many_from_a_score_on_and_what_is_judged(
    open_page: Callable[..., Seen], album: Path, tmp_path: Path
) -> None:
    seen = open_page()
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:12])
    seen.page.uncheck("#stacked")
    ranked = sorted(exported(seen, tmp_path), key=lambda record: -record["mean"])
    names = [record["name"] for record in ranked]
    assert shown(seen) == names
    seen.page.fill("#top", "4")
    assert shown(seen) == names[:4]
    seen.page.fill("#top", "")
    seen.page.fill("#least", str(ranked[6]["mean"] - 1e-6))
    assert shown(seen) == names[:7]
    # One that is picked stays; one that is rejected leaves its place to the next.
    seen.page.fill("#least", "")
    seen.page.focus("#shots li:nth-child(9) .picture")
    seen.page.keyboard.press("p")
    seen.page.keyboard.press("ArrowLeft")
    seen.page.keyboard.press("x")
    assert seen.page.evaluate("document.activeElement.closest('li').dataset.name") == names[7]
    seen.page.focus("#shots li:first-child .picture")
    seen.page.keyboard.press("x")
    seen.page.fill("#top", "2")
    assert shown(seen) == [*names[:3], names[8]]
    kept = [*names[1:3], names[8]]
    assert seen.saved("#names-save").decode().splitlines() == kept
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.page.click("#names-copy")
    seen.until("document.querySelector('#shown-said').textContent === '3 names copied'")
    assert seen.page.evaluate("navigator.clipboard.readText()").splitlines() == kept
    seen.page.fill("#top", "")
    for value, there in {"picked": [names[8]], "rejected": [names[0], names[7]]}.items():
        seen.page.select_option("#flagged", value)
        assert shown(seen) == there
        assert seen.saved("#names-save").decode().splitlines() == there
    seen.page.focus("#shots li .picture")
    seen.page.keyboard.press("u")  # it is no longer among the rejected; the focus goes to the one that took its place
    assert shown(seen) == [names[7]]
    assert seen.page.evaluate("document.activeElement.closest('li')?.dataset.name") == names[7]


def now(seen: Seen) -> str:
    """The photograph that is large."""
    return seen.text("#large-name")


def test_large_with_keys_and_the_focus_comes_back(open_page: Callable[..., Seen], album: Path) -> None:
    seen = open_page()
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:5])
    names = shown(seen)
    press = seen.page.keyboard.press
    seen.page.focus("#shots li:nth-child(2) .picture")
    press("Enter")
    assert now(seen) == names[1]
    seen.until("document.querySelector('#large-now img').naturalWidth >= 180")
    press("ArrowRight")
    press("p")
    assert now(seen) == names[2]
    assert "3 of 5" in seen.text("#large-said")
    assert "Picked" in seen.text("#large-said")
    assert seen.page.get_attribute("#large-pick", "aria-pressed") == "true"
    press("ArrowLeft")
    press("x")
    press("End")
    press("ArrowRight")
    assert now(seen) == names[-1]
    press("x")
    press("u")
    press("Home")
    assert now(seen) == names[0]
    press("ArrowRight")
    press("Escape")
    assert seen.page.is_hidden("#large")
    assert seen.page.evaluate("document.activeElement.closest('li').dataset.name") == names[1]
    flags = seen.page.eval_on_selector_all("#shots li", "all => all.map(e => [e.dataset.name, e.dataset.flag])")
    assert {name: flag for name, flag in flags if flag} == {names[1]: "rejected", names[2]: "picked"}


def test_two_beside_each_other(open_page: Callable[..., Seen], album: Path) -> None:
    seen = open_page()
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:4])
    names = shown(seen)
    seen.page.click("#shots li:nth-child(2) .picture")
    assert seen.page.is_hidden("#large-held")
    seen.page.click("#large-compare")
    assert [seen.page.get_attribute(f"#large-{one} img", "alt") for one in ("held", "now")] == [names[1], names[2]]
    seen.until("[...document.querySelectorAll('#large img')].every(e => e.naturalWidth > 0)")
    for there in (names[0], names[2], names[3]):
        seen.page.keyboard.press("Home" if there == names[0] else "ArrowRight")
        assert now(seen) == there, "never beside itself"
    seen.page.keyboard.press("p")
    assert "Picked" in seen.text("#large-now figcaption")
    assert "Picked" not in seen.text("#large-held figcaption")
    seen.page.keyboard.press("c")
    assert seen.page.is_hidden("#large-held")
    assert now(seen) == names[3]
    assert "4 of 4" in seen.text("#large-said")


def test_swipes_and_buttons_of_a_phone(open_page: Callable[..., Seen], album: Path) -> None:
    seen = open_page(has_touch=True, is_mobile=True)
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:3])
    names = shown(seen)
    seen.page.tap("#shots li:first-child .picture")
    control = seen.context.new_cdp_session(seen.page)

    def swipe(by: int) -> None:
        for kind, x in (("touchStart", 180), ("touchMove", 180 + by // 2), ("touchMove", 180 + by), ("touchEnd", None)):
            points = [] if x is None else [{"x": x, "y": 300}]
            control.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    swipe(-120)
    seen.until(f"document.querySelector('#large-name').textContent === '{names[1]}'")
    swipe(120)
    seen.until(f"document.querySelector('#large-name').textContent === '{names[0]}'")
    swipe(10)
    assert now(seen) == names[0]
    seen.page.tap("#large-next")
    seen.page.tap("#large-reject")
    seen.page.tap("#large-close")
    seen.until(f"document.querySelector('[data-flag=rejected]')?.dataset.name === '{names[1]}'")


def test_failures_are_a_link_to_their_reasons(open_page: Callable[..., Seen], album: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    seen = open_page()
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:2], tmp_path / "cut.jpg")
    assert seen.text("#to-failures") == "1 without a score"
    seen.page.click("#to-failures")
    assert seen.page.is_visible("#failed li")
    assert "cut.jpg" in seen.text("#failed")
    assert seen.page.evaluate("document.activeElement.id") == "failures-said"


@needs_axe
@pytest.mark.parametrize("look", ["light", "dark"])
def test_no_state_of_the_photographs_breaks_a_rule(
    open_page: Callable[..., Seen], similar: list[Path], look: str
) -> None:
    seen = open_page(color_scheme=look)
    seen.ready()
    drop(seen, *similar)
    for place, key in enumerate("px", 1):
        seen.page.focus(f"#shots li:nth-child({place}) .picture")
        seen.page.keyboard.press(key)
    found = {"judged": broken(seen.page)}
    seen.page.click("#shots li:first-child .picture")
    found["large"] = broken(seen.page)
    seen.page.keyboard.press("c")
    found["two"] = broken(seen.page)
    assert {state: rules for state, rules in found.items() if rules} == {}


def test_it_fits_a_small_phone_with_large_text(open_page: Callable[..., Seen], similar: list[Path]) -> None:
    seen = open_page(viewport={"width": 320, "height": 640})
    seen.ready()
    seen.page.evaluate("document.documentElement.style.fontSize = '200%'")
    drop(seen, *similar)
    wide = """[...document.querySelectorAll('#photographs *')].filter(e => e.getClientRects().length &&
        !e.closest('[class=hidden]') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"""
    assert seen.page.evaluate(wide) == []
    seen.page.click("#shots li:first-child .picture")
    seen.page.keyboard.press("c")
    assert seen.page.evaluate(wide) == []
    for button in ("close", "compare", "before", "reject", "pick", "next"):
        seen.page.locator(f"#large-{button}").scroll_into_view_if_needed()
        seen.page.click(f"#large-{button}", trial=True)


def test_judgements_can_be_told_apart_in_forced_colours(open_page: Callable[..., Seen], album: Path) -> None:
    seen = open_page(forced_colors="active")
    seen.ready()
    drop(seen, *sorted(album.iterdir())[:3])
    for place, key in enumerate("px", 1):
        seen.page.focus(f"#shots li:nth-child({place}) .picture")
        seen.page.keyboard.press(key)
    seen.page.wait_for_timeout(100)
    borders = seen.page.eval_on_selector_all("#shots li", "all => all.map(e => getComputedStyle(e).border)")
    assert len(set(borders)) == 3
    assert seen.page.eval_on_selector_all("#shots .flag", "all => all.map(e => e.textContent)") == [
        "Picked", "Rejected", ""
    ]  # fmt: skip
    seen.page.click("#shots li:first-child .picture")
    pressed = "[...document.querySelectorAll('#large .judge button')].map(e => getComputedStyle(e).backgroundColor)"
    _, reject, pick, _ = seen.page.evaluate(pressed)
    assert reject != pick


# Orders of use


# In place of the worker that runs the model: it opens in no time, and fails as a phone's may, only far more often.
FRAIL = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const seldom = (share) => Math.random() < share;
const probe = { name: 'probe', pixelsSame: true, mean: 5, ownMean: 5 };
let model = '';
const handlers = {
  async open({ sha256 }) {
    await wait(60 * Math.random());
    if (seldom(0.1)) throw new Error('no memory');
    model = LABELS[sha256];
    return { probes: [{ ...probe, problem: seldom(0.1) ? 'wrong' : null }], runMs: 1 };
  },
  async photograph({ file, name }) {
    await wait(20 * Math.random());
    if (seldom(0.02)) throw Object.assign(new Error('lost'), { broken: true });
    const canvas = new OffscreenCanvas(48, 36);
    const context = canvas.getContext('2d');
    const bitmap = await createImageBitmap(file);
    context.drawImage(bitmap, 0, 0, 48, 36);
    const thumbnail = await canvas.convertToBlob({ type: 'image/jpeg' });
    const distribution = Array(10).fill(0.1);
    const score = { mean: 5.5, std: 2.87, distribution, error: null };
    const record = { name, ...score, model, preprocessing: 'as ' + model, elapsed_ms: 1 };
    return { record, thumbnail };
  },
};
let last = Promise.resolve();
onmessage = ({ data: { id, kind, ask } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, value: await (handlers[kind]?.(ask) ?? null) });
    } catch (error) {
      postMessage({ id, error: error.message, broken: error.broken ?? false });
    }
  });
};
"""


def frail(page: Page) -> dict[str, Asset]:
    """Have models that open at once and break often."""
    labels = {}
    for name in (INT8, FLOAT16):
        digest = hashlib.sha256(BUNDLED.with_name(f"{name}.tflite").read_bytes()).hexdigest()
        labels[digest] = f"{name}@{digest[:8]}"
    (worker,) = [name for name in page if name.startswith("assets/worker-") and name.endswith(".js")]
    return {worker: Asset(f"const LABELS = {json.dumps(labels)};{FRAIL}".encode(), page[worker].kind)}


KEPT = """() => new Promise((done) => {
  const asked = indexedDB.open('edge-nima-photographs');
  asked.onsuccess = () => {
    const all = asked.result.transaction('shots').objectStore('shots').getAll();
    all.onsuccess = () => { asked.result.close(); done(all.result.map(({ name }) => name)); };
  };
})"""


class Sequence:
    """A person who does anything in any order."""

    def __init__(self, seen: Seen, album: Path, folder: Path, seed: str) -> None:
        self.seen, self.page, self.folder = seen, seen.page, folder
        self.chance = random.Random(seed)
        self.pool = sorted(album.iterdir())[:12]
        self.steps: list[str] = []
        self.owed: set[str] = set()
        """Names that must be there once nothing is under way."""
        self.sure: set[str] = set()
        """Names that were there when nothing was under way."""

    def drop(self) -> None:
        some = self.chance.sample(self.pool, self.chance.randint(1, 4))
        self.page.set_input_files("#files", some)
        self.owed |= {path.name for path in some}

    def model(self) -> None:
        choices = self.page.eval_on_selector_all("#model-choice option", "all => all.map(e => e.value)")
        if choices:
            self.page.evaluate("document.querySelector('#model').open = true")
            self.page.select_option("#model-choice", self.chance.choice(choices))

    def own(self) -> None:
        content = BUNDLED.with_name(f"{self.chance.choice([INT8, FLOAT16])}.tflite").read_bytes()
        if self.chance.random() < 0.5:
            content = content[:-5000]
        self.page.set_input_files("#model-file", {"name": "own.tflite", "mimeType": "", "buffer": content})

    def backend(self) -> None:
        self.page.evaluate("document.querySelector('#model').open = true")
        self.page.select_option("#setting", self.chance.choice(["auto", "threads", "wasm", "webgpu"]))

    def stop(self) -> None:
        if self.page.is_visible("#cancel"):
            self.page.evaluate("document.querySelector('#cancel').click()")
            self.owed = set(self.sure)  # what was not scored yet is left out

    def again(self) -> None:
        if self.page.is_visible("#again"):
            self.page.evaluate("document.querySelector('#again').click()")

    def reload(self) -> None:
        self.page.reload()
        self.seen.until("document.querySelectorAll('#model-choice option').length > 0")
        self.page.click("#tab-photographs")
        self.owed = set(self.sure)

    def judge(self) -> None:
        cards = self.page.locator("#shots .picture")
        if cards.count():
            self.page.evaluate("document.querySelector('#shots .picture').focus()")
            self.page.keyboard.press(self.chance.choice("pxu"))

    def clear(self) -> None:
        if self.page.is_visible("#clear") and self.chance.random() < 0.3:
            self.page.evaluate("document.querySelector('#clear').click()")
            self.owed, self.sure = set(), set()

    def step(self) -> None:
        kinds = {self.drop: 6, self.model: 4, self.own: 1, self.backend: 3, self.stop: 3, self.again: 2, self.judge: 2,
                 self.reload: 1, self.clear: 1}  # fmt: skip
        (kind,) = self.chance.choices(list(kinds), list(kinds.values()))
        self.steps.append(kind.__name__)
        kind()

    def check(self) -> None:
        """Once nothing is under way, the list is of one model, nothing is lost, and Python reads it."""
        for _ in range(9):
            self.seen.until(f"{SETTLED} || document.documentElement.dataset.state === 'rejected'")
            if self.page.is_visible("#problem-again"):
                self.page.evaluate("document.querySelector('#problem-again').click()")
                self.page.wait_for_timeout(30)
        settled(self.seen)
        kept = set(self.page.evaluate(KEPT))
        assert kept >= self.owed
        self.sure, self.owed = kept, set(kept)
        if self.page.is_hidden("#results"):
            assert not kept
            return
        names = {record["name"] for record in exported(self.seen, self.folder)}
        note = re.search(r"(\d+) more were scored", self.seen.text("#list-note"))
        assert names <= kept
        assert len(kept - names) == (int(note[1]) if note else 0)
        assert self.page.input_value("#setting") in {"auto", self.page.get_attribute("html", "data-backend")}


@pytest.fixture(scope="module")
def frail_page() -> Iterator[str]:
    with page_served(change=frail) as url:
        yield url


@pytest.mark.parametrize(("seed", "steps"), [("real", 20), *((str(seed), 200) for seed in SEEDS)])
def test_any_order_of_use_leaves_a_list_of_one_model_and_nothing_stuck(
    open_page: Callable[..., Seen], frail_page: str, album: Path, tmp_path: Path, seed: str, steps: int
) -> None:
    seen = open_page(None if seed == "real" else frail_page)
    seen.until("document.documentElement.dataset.state !== 'loading'")
    seen.page.click("#tab-photographs")
    sequence = Sequence(seen, album, tmp_path, seed)
    try:
        for _ in range(steps):
            sequence.step()
            if sequence.chance.random() < 0.25:
                sequence.check()
        sequence.check()
    except BaseException:
        print(f"seed {seed}, {len(sequence.steps)} steps, the last: {sequence.steps[-12:]}")
        raise
    assert [line for line in seen.said if line.startswith("error")] == []
