"""The page in a real browser, headless: it shows what happens, and says so when nothing does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from axe import broken, needs_axe
from chromium import CHROMIUM, DESKTOP, FLAGS, PHONE, Seen, needs_chromium
from conftest import skip_without
from edge_nima.watch.events import State
from edge_nima.web import Options, WebServer
from watched import TOKEN, Folder, Watched, served

skip_without("uvicorn", "edge-nima[web]")

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    gallery = Folder(tmp_path)
    for i, mean in enumerate((4.5, 6.25, 5.0)):
        gallery.add(f"garden_{i}_{mean}.jpg", mean)
    return gallery


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    opened: list[Seen] = []

    def opener(watched: Watched, **how: Any) -> Seen:
        opened.append(Seen(browser, watched.server.url, **{"viewport": DESKTOP, **how}))
        return opened[-1]

    yield opener
    for seen in opened:
        seen.context.close()


LIVE = "document.querySelector('#live').dataset.view === 'live'"
VIEW = "document.querySelector('#live').dataset.view"


def test_picture_score_and_histogram_change_and_nothing_comes_from_elsewhere(open_page: Any, folder: Folder) -> None:
    with served(gallery=folder) as watched, watched.running():
        seen = open_page(watched)
        seen.until(LIVE)
        shown = "[document.querySelector('#picture').src, document.querySelector('#mean').textContent, " + (
            "document.querySelector('#histogram rect:nth-of-type(5)').getAttribute('height')]"
        )
        before = seen.page.evaluate(shown)
        seen.until(f"JSON.stringify({shown}.map((now, i) => now !== {json.dumps(before)}[i])) === '[true,true,true]'")
        assert 4 <= float(seen.text("#mean")) <= 7.2
        assert seen.page.eval_on_selector_all("#histogram text", "all => all.map(t => t.textContent)") == [
            str(i) for i in range(1, 11)
        ]
        assert seen.text("#state") == "Live"
        assert seen.page.locator("#line path.mean-line").count() >= 1
        assert "54 °C" in seen.text("#health")
        assert "11 GB" in seen.text("#health")
        assert seen.page.title().endswith("garden")
        assert seen.said == []
        assert {url.split("/")[2] for url in seen.asked if not url.startswith("blob:")} == {
            f"127.0.0.1:{watched.server.port}"
        }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 320, "height": 600}, PHONE, {"width": 768, "height": 1024}, DESKTOP])
def test_nothing_is_wider_than_the_screen_and_everything_has_a_name(
    open_page: Any, folder: Folder, size: dict[str, int], scheme: str
) -> None:
    with served(gallery=folder) as watched, watched.running():
        watched.change(State.watching, "the disk is full: '" + "very-long-name" * 12 + "' cannot be written")
        seen = open_page(watched, viewport=size, color_scheme=scheme)
        seen.until(LIVE)
        seen.until("document.querySelectorAll('#shots li').length === 3")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        named = "e.innerText.trim() || e.getAttribute('aria-label') || e.alt"
        unnamed = f"all => all.filter(e => e.offsetParent && !({named})).map(e => e.outerHTML)"
        assert seen.page.eval_on_selector_all("button, a, img:not([alt=''])", unnamed) == []
        small = "all => all.filter(e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.outerHTML)"
        assert seen.page.eval_on_selector_all("button, a.button", small) == []
        assert seen.page.eval_on_selector("body", CONTRAST) == []


# Text on its background, as WCAG 2 measures it: 4.5 at least, 3 for large text. What lies over a picture is left out.
CONTRAST = """body => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const e of body.querySelectorAll('*')) {
    if (e.closest('.frame, svg, dialog:not([open]), :disabled') || !e.getClientRects().length) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e), a = light(parts(style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) bad.push(`${e.id || e.className || e.tagName} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


def test_a_photograph_is_deleted_after_a_question_and_with_the_keyboard_alone(open_page: Any, folder: Folder) -> None:
    with served(gallery=folder) as watched, watched.running():
        seen = open_page(watched)
        seen.until("document.querySelectorAll('#shots li').length === 3")
        assert [float(text) for text in seen.page.locator("#shots b").all_inner_texts()] == [6.25, 5.0, 4.5]
        seen.page.locator("#shots img").first.wait_for()
        seen.until("document.querySelector('#shots img').naturalWidth === 480")
        first = seen.page.locator("#shots li").first
        first.get_by_role("button", name="Delete").click()
        assert seen.page.locator("#ask").is_visible()
        assert "6.25" in seen.text("#ask-text")
        seen.page.get_by_role("button", name="Keep it").click()
        assert folder.deleted == []
        first.locator(".open").focus()
        seen.page.keyboard.press("Enter")
        seen.until("document.querySelector('#viewer-picture').naturalWidth === 1280")
        seen.page.keyboard.press("ArrowRight")
        seen.until("document.querySelector('#viewer-title').textContent.startsWith('5.00')")
        seen.page.keyboard.press("ArrowLeft")
        seen.page.locator("#viewer-delete").focus()
        seen.page.keyboard.press("Enter")
        seen.until("document.activeElement.id === 'ask-no'")
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        seen.until("document.querySelectorAll('#shots li').length === 2")
        assert folder.deleted == ["garden_1_6.25.jpg"]
        assert not seen.page.locator("#viewer").is_visible()
        with seen.page.expect_download() as download:
            seen.page.locator("#shots li").first.get_by_text("Download").click()
        assert download.value.suggested_filename == "garden_2_5.0.jpg"
        watched.server.kept(folder.add("garden_9_6.5.jpg", 6.5))
        seen.until("document.querySelector('#shots b').textContent === '6.50'")
        seen.page.get_by_role("button", name="Newest").click()
        assert seen.page.get_attribute("[data-order=newest]", "aria-pressed") == "true"
        assert seen.said == []


def test_a_lost_camera_is_said_and_its_old_picture_does_not_look_live(open_page: Any) -> None:
    with served() as watched, watched.running():
        seen = open_page(watched, viewport=PHONE)
        seen.until(LIVE)
        assert not seen.page.locator("#gallery").is_visible()
        watched.change(State.lost, "no frames from rtsp://garden for 10 s")
        seen.until(f"{VIEW} === 'gone'", 2)
        assert seen.text("#state") == "Camera lost"
        assert seen.text("#banner") == "no frames from rtsp://garden for 10 s"
        assert "Camera lost at" in seen.text("#why")
        seen.until("getComputedStyle(document.querySelector('#picture')).filter.includes('grayscale(1)')", 2)
        watched.change(State.watching)
        seen.until(LIVE, 3)
        assert not seen.page.locator("#banner").is_visible()


def test_a_picture_that_does_not_change_any_more_is_called_old(open_page: Any) -> None:
    with served() as watched:
        with watched.running():
            seen = open_page(watched)
            seen.until(LIVE)
        seen.until(f"{VIEW} === 'gone'", 9)
        assert "No new picture for" in seen.text("#why")
        late = open_page(watched)  # is given that picture, with its age
        late.until(f"{VIEW} === 'gone'", 9)


def test_where_nothing_moves_the_last_picture_stays_with_its_time(open_page: Any) -> None:
    with served() as watched:
        with watched.running():
            seen = open_page(watched)
            seen.until(LIVE)
        for _ in range(80):
            counts = watched.told.counts
            watched.told = replace(watched.told, counts=replace(counts, still=counts.still + 1))
            if seen.page.evaluate(VIEW) == "still":
                break
            sleep(0.1)
        assert "Nothing moves. Picture of" in seen.text("#why")


def test_the_page_connects_again_after_the_server_was_gone(open_page: Any, folder: Folder) -> None:
    with served(gallery=folder) as watched, watched.running():
        seen = open_page(watched)
        seen.until(LIVE)
        port = watched.server.port
        watched.server.close()
        seen.until(f"{VIEW} === 'gone'", 4)
        assert "No connection" in seen.text("#banner")
        assert seen.text("#state") == "No connection"
        sleep(2)
        watched.server = WebServer(Options(port=port), lambda: watched.told, folder)
        watched.server.start()
        seen.until(LIVE, 12)
        assert not seen.page.locator("#banner").is_visible()
        mean = seen.text("#mean")
        seen.until(f"document.querySelector('#mean').textContent !== '{mean}'")


def test_one_viewer_too_many_is_told_and_comes_in_when_there_is_room(open_page: Any) -> None:
    with served(Options(port=0, viewers=1)) as watched, watched.running():
        first = open_page(watched)
        first.until(LIVE)
        second = open_page(watched)
        second.until("!document.querySelector('#banner').hidden")
        assert "another page is watching" in second.text("#banner")
        assert second.text("#state") == "Full"
        first.page.goto("about:blank")
        second.until(LIVE, 15)


def test_pause_holds_the_picture_and_says_so(open_page: Any) -> None:
    with served() as watched, watched.running():
        seen = open_page(watched, reduced_motion="reduce")
        seen.until(LIVE)
        seen.page.click("#pause")
        seen.until(f"{VIEW} === 'paused'")
        assert seen.text("#why") == "Paused"
        sleep(0.5)
        mean = seen.text("#mean")
        sleep(7)  # longer than a viewer may take for a picture
        assert seen.text("#mean") == mean
        assert watched.server.viewers == 1
        seen.page.click("#pause")
        seen.until(LIVE, 6)
        seen.until(f"document.querySelector('#mean').textContent !== '{mean}'")
        assert seen.said == []


def test_signing_in_with_the_form_and_with_the_address_and_out_again(open_page: Any) -> None:
    with served(Options(port=0, token=TOKEN)) as watched, watched.running():
        seen = open_page(watched, viewport=PHONE)
        seen.page.wait_for_url("**/login")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
        seen.page.fill("#token", "wrong-wrong-wrong")
        seen.page.keyboard.press("Enter")
        seen.page.get_by_text("This is not the token.").wait_for()
        seen.page.fill("#token", TOKEN)
        seen.page.click("button")
        seen.until(LIVE)
        assert seen.page.evaluate("document.cookie") == ""
        seen.page.click("#sign-out")
        seen.page.wait_for_url("**/login")
        seen.page.goto(watched.server.login_url)
        seen.until(LIVE)
        assert "token" not in seen.page.url
        assert TOKEN not in seen.page.content()
        # A link on another site's page: the cookie does not come along at first.
        seen.page.goto(f"data:text/html,<a href='{watched.server.url}'>look</a>")
        seen.page.click("a")
        seen.until("document.querySelector('#live') && " + LIVE)


@needs_axe
@pytest.mark.parametrize("look", ["light", "dark"])
def test_live_lost_and_logging_in_break_no_rule_of_accessibility(open_page: Any, folder: Folder, look: str) -> None:
    with served(gallery=folder) as watched:
        seen = open_page(watched, color_scheme=look, viewport=PHONE)
        with watched.running():
            seen.until(LIVE)
            assert broken(seen.page) == []
    seen.until(f"{VIEW} !== 'live'", 20)
    assert broken(seen.page) == []
    with served(Options(port=0, token=TOKEN), gallery=folder) as watched:
        seen = open_page(watched, color_scheme=look, viewport=PHONE)
        seen.page.wait_for_url("**/login")
        assert broken(seen.page) == []
