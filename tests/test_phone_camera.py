"""The camera of the page for phones, as people use it: it opens at once, keeps what they want, fits what they hold."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chromium import CHROMIUM, FLAGS
from conftest import ROOT, skip_without
from edge_nima import percentiles
from edge_nima.phone.page import Asset, Page
from edge_nima.scorer import open_scorer

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import NO_SCORE, Seen, camera_flags, needs, page_served, pages, slideshow  # noqa: E402

skip_without("uvicorn", "edge-nima[web]")

pytestmark = needs()


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slideshow(tmp_path_factory.mktemp("film") / "film.y4m", 640, 480)


@pytest.fixture(scope="module")
def browser(started: Any, film: Path) -> Iterator[Any]:
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with page_served() as url:
        yield url


@pytest.fixture
def open_page(browser: Any, served: str) -> Iterator[Callable[..., Seen]]:
    with pages(browser, served) as opener:
        yield opener


def never_proven(page: Page) -> dict[str, Asset]:
    """A page whose models never come: as on a slow network, seen early."""
    return {name: Asset(b"", asset.kind) for name, asset in page.items() if name == "models/index.json"}


def test_the_camera_opens_before_the_model_is_proven_and_shows_no_number_until_then(
    open_page: Callable[..., Seen],
) -> None:
    with page_served(change=never_proven) as url:
        seen = open_page(url=url)
        seen.page.click("#start")
        seen.until("document.querySelector('#video').videoWidth > 0 && !document.querySelector('#pause').disabled")
        seen.page.wait_for_timeout(500)
        assert seen.text("#mean") == NO_SCORE
        assert seen.page.is_disabled("#shutter")
        assert seen.page.is_hidden(".veil"), "the picture is covered"


def test_the_camera_that_was_on_is_on_after_a_reload_and_one_that_was_closed_is_not(
    open_page: Callable[..., Seen],
) -> None:
    seen = open_page(permissions=["camera"])
    seen.ready()
    seen.live()
    seen.page.reload()
    seen.until("document.querySelector('#live').dataset.view === 'live'", 60)
    seen.page.click("#stop")
    seen.page.reload()
    seen.ready()
    assert seen.page.evaluate("document.querySelector('#live').dataset.view") == "off"


def test_the_focus_stays_with_who_opens_and_closes_the_camera(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.page.focus("#start")
    seen.page.keyboard.press("Enter")
    seen.until("document.activeElement.id === 'pause'")
    seen.page.focus("#stop")
    seen.page.keyboard.press("Enter")
    seen.until("document.activeElement.id === 'start'")


def test_the_score_is_of_ten_with_its_place_among_avas(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.page.click("#pause")
    mean, place = float(seen.page.get_attribute("#score", "data-mean") or 0), seen.text("#place")
    assert place == percentiles.AVA.told(mean)
    assert "of 10" in seen.text(".mean")


def test_the_percentiles_of_the_page_are_pythons() -> None:
    text = (ROOT / "examples/web/src/core/percentiles.ts").read_text(encoding="utf-8")
    quantiles = " ".join(part.strip() for part in re.findall(r"'([\d. ]+)'", text.split(".split")[0]))
    assert quantiles == percentiles._AVA


@pytest.mark.parametrize(("button", "called"), [("#shutter", "Kept"), ("#recent", "Kept"), ("#burst", "Kept")])
def test_a_kept_picture_is_a_frame_of_the_camera_and_survives_a_reload(
    open_page: Callable[..., Seen], button: str, called: str
) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.page.wait_for_timeout(1500)
    seen.page.click(button)
    seen.until("document.querySelector('#taken').dataset.count === '1'", 20)
    seen.page.reload()
    seen.until("document.querySelector('#taken').dataset.count === '1'")
    kept = "#taken li:not(#best)"
    assert called in seen.text(f"{kept} p")
    content = seen.saved(f"{kept} .save")
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (640, 480)
    # The very frame, apart from what JPEG costs.
    told = float(seen.text(f"{kept} b"))
    assert open_scorer().score(content).mean == pytest.approx(told, abs=0.15)
    seen.page.click(f"{kept} .away")
    seen.page.wait_for_timeout(300)
    seen.page.reload()
    seen.ready()
    assert seen.page.locator(kept).count() == 0


def test_the_best_of_the_last_ten_seconds_is_no_worse_than_what_was_seen(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.page.evaluate(
        "() => { window.best = 0; const box = document.querySelector('#score'); new MutationObserver(() => "
        "window.best = Math.max(window.best, Number(box.dataset.mean))).observe(box, {attributes: true}); }"
    )
    seen.page.wait_for_timeout(3000)
    best = seen.page.evaluate("window.best")
    seen.page.click("#recent")
    seen.until("document.querySelector('#taken').dataset.count === '1'", 20)
    assert float(seen.text("#taken li:not(#best) b")) >= round(best, 2) - 0.005


def test_another_model_begins_another_best(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    seen.until("!document.querySelector('#best').hidden")
    first = seen.page.get_attribute("#best", "data-mean")
    seen.page.select_option("#model-choice", "mobilenet-ava-float16.tflite")
    seen.until("document.querySelector('#model').dataset.name === 'mobilenet-ava-float16'")
    seen.until(f"document.querySelector('#best').dataset.mean !== '{first}'", 60)


def test_one_of_three_cameras_is_chosen_by_its_name_and_remembered(started: Any, served: str) -> None:
    three = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=3"]
    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *three])
    seen = Seen(browser, served, permissions=["camera"])
    seen.ready()
    seen.live()
    names = seen.page.eval_on_selector_all("#lens option", "all => all.map(e => e.textContent)")
    assert len(names) == len(set(names)) == 3
    device = "document.querySelector('#video').srcObject?.getVideoTracks()[0]"
    for name in (names[2], names[1]):
        seen.page.select_option("#lens", label=name)
        seen.until(f"{device}?.label === '{name}' && document.querySelector('#live').dataset.view === 'live'", 60)
    seen.page.reload()
    seen.until(f"{device}?.label === '{names[1]}'", 60)
    browser.close()


def test_the_zoom_and_the_torch_are_the_tracks_own(open_page: Callable[..., Seen]) -> None:
    def capable(context: Any) -> None:
        # No film has a zoom or a torch: what Chromium asks of a camera's driver is answered here.
        context.add_init_script("""
          const own = MediaStreamTrack.prototype.getCapabilities;
          MediaStreamTrack.prototype.getCapabilities = function () {
            return {...own.call(this), zoom: {min: 1, max: 8, step: 0.5}, torch: true};
          };
          window.asked = [];
          MediaStreamTrack.prototype.applyConstraints = async function (wanted) {
            if (window.hot) throw new DOMException('hot', 'UnknownError');
            window.asked.push(wanted.advanced[0]);
          };
        """)

    seen = open_page(route=capable)
    seen.ready()
    seen.live()
    seen.page.fill("#zoom", "3.5")
    seen.page.click("#torch")
    seen.until("document.querySelector('#torch').getAttribute('aria-pressed') === 'true'")
    assert seen.page.evaluate("window.asked") == [{"zoom": 3.5}, {"torch": True}]
    seen.page.evaluate("window.hot = true")
    seen.page.click("#torch")
    seen.page.wait_for_timeout(200)
    assert seen.page.get_attribute("#torch", "aria-pressed") == "true", "the lamp is still on"


def test_a_camera_without_zoom_or_torch_offers_none(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.live()
    assert [seen.page.is_hidden(one) for one in ("#torch", "#lens")] == [True, True]


def test_nothing_moves_while_the_page_loads_and_a_model_is_proven(open_page: Callable[..., Seen]) -> None:
    watch = """
      window.shift = 0;
      new PerformanceObserver(list => { for (const one of list.getEntries()) window.shift += one.value; })
        .observe({type: 'layout-shift', buffered: true});
    """
    seen = open_page(route=lambda context: context.add_init_script(watch))
    seen.ready()
    seen.page.wait_for_timeout(500)
    loaded = seen.page.evaluate("window.shift")
    seen.live()
    seen.page.wait_for_timeout(1500)
    print(f"layout shift: {loaded:.3f} until ready, {seen.page.evaluate('window.shift'):.3f} with the camera")
    assert seen.page.evaluate("window.shift") <= 0.1


def test_the_selected_tab_is_seen_in_forced_colours(open_page: Callable[..., Seen]) -> None:
    seen = open_page(forced_colors="active")
    seen.ready()
    look = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color].join()"
    looks = [seen.page.eval_on_selector(f"#tab-{tab}", look) for tab in ("camera", "photographs")]
    assert looks[0] != looks[1]
    bars = "[...document.querySelectorAll('#histogram rect')].map(e => getComputedStyle(e).fill)"
    seen.live()
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background not in seen.page.evaluate(bars)


@pytest.mark.parametrize("tab", ["camera", "photographs"])
def test_at_320_pixels_with_text_of_200_percent_nothing_scrolls_sideways_or_covers(
    open_page: Callable[..., Seen], tab: str
) -> None:
    seen = open_page(viewport={"width": 320, "height": 640})
    seen.page.evaluate("document.documentElement.style.fontSize = '200%'")
    seen.ready()
    if tab == "camera":
        seen.live()
    else:
        seen.photographs([ROOT / "examples/photos/cat.jpg", ROOT / "examples/photos/china.jpg"])
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 320
    overlaps = seen.page.evaluate(
        """(tab) => {
      const all = [...document.querySelectorAll(`#${tab} :is(button, p, h2, select, dd)`)];
      const seen = e => e.checkVisibility() && e.getClientRects().length && !e.closest('.frame, .picture, .hidden');
      const shown = all.filter(seen);
      const boxes = shown.map(e => [e, e.getBoundingClientRect()]);
      return boxes.flatMap(([a, r], i) => boxes.slice(i + 1).filter(([b, s]) => !a.contains(b) && !b.contains(a) &&
        r.left < s.right - 1 && s.left < r.right - 1 && r.top < s.bottom - 1 && s.top < r.bottom - 1)
        .map(([b]) => `${a.id || a.className || a.textContent} and ${b.id || b.className || b.textContent}`));
    }""",
        tab,
    )
    assert overlaps == []


def test_the_score_never_lies_over_the_picture(open_page: Callable[..., Seen]) -> None:
    for viewport in ({"width": 360, "height": 740}, {"width": 740, "height": 360}, {"width": 1280, "height": 800}):
        seen = open_page(viewport=viewport)
        seen.ready()
        seen.live()
        picture, score = (seen.page.locator(one).bounding_box() for one in (".frame", "#score"))
        assert picture is not None
        assert score is not None
        beside = score["x"] >= picture["x"] + picture["width"] - 1
        under = score["y"] >= picture["y"] + picture["height"] - 1
        assert beside or under, viewport
        seen.context.close()
