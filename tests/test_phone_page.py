"""The page for phones in a real headless Chromium, with a real film for a camera: it says what Python says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chromium import CHROMIUM, FLAGS
from conftest import PHOTOS, skip_without
from edge_nima import cli
from edge_nima.phone.page import Asset, Page
from edge_nima.records import read_records
from edge_nima.scorer import BUNDLED, load_model, open_scorer

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import (
    NO_SCORE,
    Seen,
    camera_flags,
    kill_camera_process,
    needs,
    page_served,
    pages,
    proof_of,
    slideshow,
)
from phones import with_card

skip_without("uvicorn", "edge-nima[web]")

pytestmark = needs()

INT8, FLOAT16 = "mobilenet-ava-int8-mixed", "mobilenet-ava-float16"


def nearest_of(film: Path, frame: np.ndarray) -> tuple[float, np.ndarray]:
    """The film's frame, as OpenCV decodes it, that is least different; by how many levels on average."""
    import cv2

    reader = cv2.VideoCapture(str(film))
    best = (256.0, frame)
    while True:
        more, bgr = reader.read()
        if not more:
            return best
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        gap = float(np.abs(rgb[::8, ::8].astype(int) - frame[::8, ::8]).mean())
        if gap < best[0]:
            best = (gap, rgb)


@pytest.mark.parametrize(("model", "mean"), [pytest.param(FLOAT16, 1e-4, marks=pytest.mark.exhaustive), (INT8, 1e-4)])
def test_live_scores_are_pythons_on_the_same_frames(
    open_page: Callable[..., Seen], film: Path, model: str, mean: float
) -> None:
    seen = open_page()
    seen.ready()
    seen.page.select_option("#model-choice", f"{model}.tflite")
    seen.until(f"document.querySelector('#model').dataset.name === '{model}'")
    backend = seen.ready()
    seen.live()
    seen.page.wait_for_timeout(1200)
    proof = proof_of(seen.saved("#proof"))
    assert len(proof.records) == len(proof.frames) == 20
    assert seen.elsewhere == []
    scorer = open_scorer(model)
    largest_bin = largest_mean = 0.0
    for record in proof.records:
        own = scorer.score(proof.frames[record["name"]])
        assert own.distribution is not None
        assert own.mean is not None
        largest_bin = max(
            largest_bin, *(abs(a - b) for a, b in zip(own.distribution, record["distribution"], strict=True))
        )
        largest_mean = max(largest_mean, abs(own.mean - record["mean"]))
        assert (record["model"], record["preprocessing"]) == (own.model, own.preprocessing)
    print(f"{model} on {backend}: largest difference of a mean {largest_mean:.1e}, of a bin {largest_bin:.1e}")
    assert largest_mean <= mean
    assert largest_bin <= 1 / 256  # one step of an eight-bit output
    assert len({round(record["mean"], 6) for record in proof.records}) > 1, "one still picture proves little"
    nearest = [nearest_of(film, frame) for frame in proof.frames.values()]
    means = [
        abs(scorer.score(rgb).mean - record["mean"]) for (_, rgb), record in zip(nearest, proof.records, strict=True)
    ]
    print(f"OpenCV's decoding of the film: levels off {max(gap for gap, _ in nearest):.2f}, means {max(means):.3f}")
    # Another converter of YUV, with interpolated chroma: the frames are those of the film, not equal to the bit.
    assert max(gap for gap, _ in nearest) < 2


def without_vectors(page: Page) -> dict[str, Asset]:
    """The page's own WebAssembly damaged, as in a browser that does not know its instructions."""
    module = base64.b64encode(b"\0asm\1\0\0\0")[:8]
    damaged = {
        name: Asset(asset.content.replace(module, b"AAAAAAAA"), asset.kind, asset.lasting)
        for name, asset in page.items()
        if module in asset.content and name.endswith(".js")
    }
    assert len(damaged) == 1
    return damaged


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(None, id="WebAssembly"),
        pytest.param(without_vectors, id="JavaScript", marks=pytest.mark.exhaustive),
    ],
)
def test_frames_above_the_longest_edge_score_as_in_python(
    started: Any, tmp_path: Path, change: Callable[[Page], dict[str, Asset]] | None
) -> None:
    card = load_model().card
    how = replace(card.preprocessing, longest_edge=640, longest_edge_filter="lanczos")
    (tmp_path / "edge.tflite").write_bytes(with_card(replace(card, preprocessing=how)))
    scorer = open_scorer(str(tmp_path / "edge.tflite"))
    large = slideshow(tmp_path / "large.y4m", 1280, 720)
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(large)])
    with page_served(str(tmp_path / "edge.tflite"), change) as url, pages(browser, url) as opener:
        seen = opener()
        seen.ready()
        seen.live()
        seen.page.wait_for_timeout(1200)
        proof = proof_of(seen.saved("#proof"))
    browser.close()
    assert {frame.shape for frame in proof.frames.values()} == {(720, 1280, 3)}
    for record in proof.records:
        own = scorer.score(proof.frames[record["name"]])
        assert record["preprocessing"] == own.preprocessing
        assert own.mean == pytest.approx(record["mean"], abs=1e-4)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edge_nima.vectors import export_vectors

    folder = tmp_path_factory.mktemp("vectors") / "int8"
    export_vectors(load_model(), folder)
    return folder


def test_photographs_score_as_the_vectors_say_through_the_browsers_own_decoders(
    open_page: Callable[..., Seen], vectors: Path
) -> None:
    told = {Path(item["file"]).name: item for item in json.loads((vectors / "vectors.json").read_bytes())["pictures"]}
    seen = open_page()
    seen.ready()
    records = seen.photographs([vectors / item["file"] for item in told.values()])
    assert sorted(record["name"] for record in records) == sorted(told)
    assert [record["error"] for record in records if record["error"]] == []
    gaps = {record["name"]: abs(record["mean"] - told[record["name"]]["mean"]) for record in records}
    worst = max(gaps, key=lambda name: gaps[name])
    print(f"{len(gaps)} pictures, largest difference of a mean {gaps[worst]:.1e} ({worst})")
    assert gaps[worst] <= 0.005
    assert max(gap for name, gap in gaps.items() if name.endswith(".png")) <= 1e-6


def test_what_the_page_exports_is_what_the_command_line_reads_and_compares(
    open_page: Callable[..., Seen], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = open_page()
    seen.ready()
    photographs = sorted(PHOTOS.glob("*.jpg"))
    seen.photographs(photographs)
    for ending in ("jsonl", "csv"):
        (tmp_path / f"page.{ending}").write_bytes(seen.saved(f"#export-{ending}"))
    from_lines, from_csv = (read_records(tmp_path / f"page.{ending}") for ending in ("jsonl", "csv"))
    assert from_lines == from_csv
    assert {(record.name, stamp.size) for record, stamp in from_lines} == {
        (path.name, path.stat().st_size) for path in photographs
    }
    assert cli.run(["score", str(PHOTOS), "--output", str(tmp_path / "desktop.jsonl")]) == 0
    capsys.readouterr()
    assert cli.run(["compare", str(tmp_path / "desktop.jsonl"), str(tmp_path / "page.jsonl")]) == 0
    shown = seen.page.eval_on_selector_all("#shots .name", "all => all.map(e => e.textContent.trim())")
    ranked = [record.name for record, _ in sorted(from_lines, key=lambda item: -(item[0].mean or 0))]
    assert shown == ranked


def test_nothing_comes_from_elsewhere_and_no_policy_is_broken(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.photographs([PHOTOS / "cat.jpg"])
    assert seen.elsewhere == []
    assert [line for line in seen.said if line.startswith("error") or "Content Security Policy" in line] == []


def test_the_best_frame_of_the_session_is_kept_at_full_size(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.until(
        "Number(document.querySelector('#score').dataset.frames) > 60 && !document.querySelector('#best').hidden"
    )
    seen.page.click("#stop")
    seen.page.wait_for_timeout(1500)
    best = float(seen.page.inner_text("#best b"))
    (tmp_path / "best.jpg").write_bytes(seen.saved("#best .save"))
    with Image.open(tmp_path / "best.jpg") as image:
        assert image.size == (640, 480)
    # The very frame, apart from what JPEG costs.
    own = open_scorer().score(tmp_path / "best.jpg").mean
    assert own == pytest.approx(best, abs=0.15)
    assert float(seen.page.evaluate("document.querySelector('#score').dataset.mean")) <= best + 0.005


def test_the_model_that_the_server_offers_is_the_one_in_use(open_page: Callable[..., Seen]) -> None:
    with page_served(FLOAT16) as url:
        seen = open_page(url)
        seen.ready()
        assert seen.page.get_attribute("#model", "data-name") == FLOAT16


def test_a_model_of_ones_own_is_remembered_until_it_is_forgotten(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    content = BUNDLED.with_name(f"{FLOAT16}.tflite").read_bytes()
    seen.page.set_input_files("#model-file", {"name": "mine.tflite", "mimeType": "", "buffer": content})
    seen.until(f"document.querySelector('#model').dataset.name === '{FLOAT16}'")
    seen.ready()
    seen.until("document.querySelector('#model-choice').value === 'own'")
    seen.page.wait_for_timeout(1500)  # it is written beside, and nothing waits for it
    seen.page.reload()
    seen.ready()
    assert seen.page.get_attribute("#model", "data-name") == FLOAT16
    seen.page.click("#model-forget")
    seen.until(f"document.querySelector('#model').dataset.name === '{INT8}'")
    seen.ready()
    seen.page.reload()
    seen.ready()
    assert seen.page.get_attribute("#model", "data-name") == INT8


def test_a_camera_that_is_lost_says_so_and_starts_again(started: Any, served: str, film: Path) -> None:
    # A browser of its own: its process that holds the camera is killed, as an unplugged camera or a crash ends it.
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)])
    seen = Seen(browser, served)
    seen.ready()
    seen.live()
    kill_camera_process(browser)
    seen.until("document.querySelector('#live').dataset.problem === 'lost'")
    assert "was lost: unplugged, or taken by another app" in seen.page.inner_text("#why")
    assert seen.text("#mean") == NO_SCORE
    seen.live()
    browser.close()


DROP = """([name, content]) => {
  const given = new DataTransfer();
  given.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
  document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: given, bubbles: true, cancelable: true }));
}"""


def test_photographs_and_models_can_be_dropped_anywhere(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.page.evaluate(DROP, ["cat.jpg", base64.b64encode((PHOTOS / "cat.jpg").read_bytes()).decode()])
    seen.until("document.querySelector('#shots li')?.dataset.name === 'cat.jpg'")
    assert seen.page.is_visible("#photographs")
    model = BUNDLED.with_name(f"{FLOAT16}.tflite").read_bytes()
    seen.page.evaluate(DROP, ["mine.tflite", base64.b64encode(model).decode()])
    seen.until(f"document.querySelector('#model').dataset.name === '{FLOAT16}'")
    seen.ready()


def test_a_dropped_folder_is_scored_with_all_below_it(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    album = tmp_path / "Müller & Söhne"
    (album / "1" / "more").mkdir(parents=True)
    photograph = (PHOTOS / "cat.jpg").read_bytes()
    names = [f"{album.name}/first.jpg", f"{album.name}/1/second.JPG", f"{album.name}/1/more/third.jpg"]
    names += [f"{album.name}/1/{i:03}.jpg" for i in range(120)]  # a browser lists a hundred at a time
    for name in names:
        (tmp_path / name).write_bytes(photograph)
    (album / "1" / "notes.txt").write_text("no photograph", encoding="utf-8")
    seen = open_page()
    seen.ready()
    control = seen.context.new_cdp_session(seen.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(album)], "dragOperationsMask": 1}
        control.send("Input.dispatchDragEvent", {"type": kind, "x": 180, "y": 400, "data": data})
        if kind == "dragOver":
            seen.until("!document.querySelector('#target').hidden")
    seen.until("!document.querySelector('#results').hidden && document.querySelector('#working').hidden", 120)
    assert seen.page.is_hidden("#target")
    records = [json.loads(line) for line in seen.saved("#export-jsonl").decode().splitlines()]
    assert sorted(record["name"] for record in records) == sorted(names)
    assert {record["error"] for record in records} == {None}


def test_a_long_queue_can_be_stopped_and_keeps_what_is_scored(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    for i in range(150):
        (tmp_path / f"{i:03}.jpg").write_bytes((PHOTOS / "china.jpg").read_bytes())
    seen = open_page()
    seen.ready()
    seen.page.click("#tab-photographs")
    seen.page.set_input_files("#files", sorted(tmp_path.glob("*.jpg")))
    seen.until("document.querySelector('#progress').value > 3")
    seen.page.click("#cancel")
    seen.until("document.querySelector('#working').hidden")
    records = seen.saved("#export-jsonl").decode().splitlines()
    assert 3 < len(records) < 150


def test_the_keyboard_reaches_everything_and_everything_has_a_name(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.page.focus("#tab-camera")
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate("document.activeElement.id") == "tab-photographs"
    assert seen.page.is_visible("#photographs")
    assert seen.page.is_hidden("#camera")
    reached = set()
    for _ in range(20):
        seen.page.keyboard.press("Tab")
        reached.add(seen.page.evaluate("document.activeElement.id || document.activeElement.parentElement.id"))
    assert {"choose", "choose-folder", "model-choice", "model-open", "setting", "details"} <= reached
    nameless = """[...document.querySelectorAll('button, select, input, video, img, svg[role]')].filter(e =>
        !e.hidden && !e.textContent.trim() && !e.labels?.length && !e.hasAttribute('aria-label') &&
        !e.hasAttribute('aria-labelledby') && !e.hasAttribute('alt')).map(e => e.outerHTML)"""
    assert seen.page.evaluate(nameless) == []


def test_after_the_first_visit_it_can_be_installed_and_works_without_a_network(browser: Any) -> None:
    with page_served() as url:
        seen = Seen(browser, url, service_workers="allow")
        seen.ready()
        seen.until("document.documentElement.dataset.offline === 'ready'", 60)
        before = seen.photographs([PHOTOS / "cat.jpg"])
        told = seen.context.new_cdp_session(seen.page).send("Page.getInstallabilityErrors")["installabilityErrors"]
        # Playwright's contexts are incognito, where Chromium installs nothing; the page itself lacks nothing.
        assert {error["errorId"] for error in told} == {"in-incognito"}
    # The server is gone, not only the network.
    seen.page.goto(url)
    backend = seen.ready()
    after = seen.photographs([PHOTOS / "cat.jpg"])
    assert after[0]["distribution"] == pytest.approx(before[0]["distribution"], abs=1e-6)
    assert backend in {"threads", "wasm"}
    assert seen.page.evaluate("crossOriginIsolated")
    seen.context.close()


def test_a_hundred_photographs_at_once_leave_the_page_responsive(
    open_page: Callable[..., Seen], tmp_path: Path
) -> None:
    for i in range(100):
        with Image.open(PHOTOS / "china.jpg") as image:
            image.crop((i, i, i + 220, i + 180)).save(tmp_path / f"{i:03}.jpg", quality=85)
    seen = open_page()
    seen.ready()
    seen.page.click("#tab-photographs")
    # How late the page's own clock is, at worst: what a finger would feel.
    seen.page.evaluate(
        "() => { let last = performance.now(); window.late = 0; setInterval(() => { const now = performance.now(); "
        "window.late = Math.max(window.late, now - last - 20); last = now; }, 20); }"
    )
    began = monotonic()
    records = seen.photographs(sorted(tmp_path.glob("*.jpg")))
    took = monotonic() - began
    late = seen.page.evaluate("window.late") / 1000
    print(f"100 photographs in {took:.1f} s, the page at most {1000 * late:.0f} ms late")
    assert len(records) == len({record["name"] for record in records}) == 100
    assert all(record["error"] is None for record in records)
    assert late < took / 10
