"""The page in a real browser, headless: it shows what happens, and says so when nothing does."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from axe import broken, needs_axe
from chromium import CHROMIUM, DESKTOP, FLAGS, PHONE, Seen, needs_chromium
from conftest import skip_without
from edge_nima.outputs.web import WebServer, WebSettings
from edge_nima.watch.events import State
from watched import TOKEN, Kept, Watched, served

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
def kept(tmp_path: Path) -> Kept:
    gallery = Kept(tmp_path)
    for mean in (4.5, 6.25, 5.0):
        gallery.add(mean)
    return gallery


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    opened: list[Seen] = []

    def opener(watched: Watched, at: str = "", **how: Any) -> Seen:
        opened.append(Seen(browser, at or watched.server.url, **{"viewport": DESKTOP, **how}))
        return opened[-1]

    yield opener
    for seen in opened:
        seen.context.close()


LIVE = "document.querySelector('#live').dataset.view === 'live'"
HERE = f"document.querySelector('#live') && {LIVE}"
VIEW = "document.querySelector('#live').dataset.view"


def test_picture_score_and_histogram_change_and_nothing_comes_from_elsewhere(open_page: Any, kept: Kept) -> None:
    with served(kept) as watched, watched.running():
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
    open_page: Any, kept: Kept, size: dict[str, int], scheme: str
) -> None:
    with served(kept) as watched, watched.running():
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


def test_a_photograph_is_deleted_after_a_question_and_with_the_keyboard_alone(open_page: Any, kept: Kept) -> None:
    with served(kept) as watched, watched.running():
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
        assert kept.means() == [6.25, 5.0, 4.5]
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
        assert kept.means() == [5.0, 4.5]
        assert not seen.page.locator("#viewer").is_visible()
        seen.page.locator("#shots .open").first.click()
        with seen.page.expect_download() as download:
            seen.page.locator("#viewer").get_by_text("Download").click()
        assert download.value.suggested_filename == kept.of(5.0).path.name
        seen.page.keyboard.press("Escape")
        watched.server.kept(kept.add(6.5))
        seen.until("document.querySelector('#shots b').textContent === '6.50'")
        seen.page.select_option("#order", "newest")
        seen.until("document.querySelectorAll('#shots li').length === 3")
        assert seen.said == []


def test_favourites_are_marked_one_or_several_at_once_and_filtered_with_the_keyboard_alone(
    open_page: Any, kept: Kept
) -> None:
    kept.add(8.5, "porch", 1_796_000_000.0)

    def means() -> list[str]:
        return [str(text) for text in seen.page.locator("#shots b").all_inner_texts()]

    with served(kept) as watched, watched.running():
        seen = open_page(watched, viewport=PHONE)
        seen.until("document.querySelectorAll('#shots li').length === 4")
        heart = seen.page.locator("#shots .heart").nth(1)
        heart.focus()
        seen.page.keyboard.press("Enter")
        seen.until("document.querySelectorAll('.heart[aria-pressed=true]').length === 1")
        assert kept.of(6.25).favourite
        seen.until("document.querySelector('#said').textContent === '1 photograph marked as favourite'")
        assert seen.page.evaluate("document.activeElement.ariaLabel").startswith("Favourite: Photograph of")
        seen.page.locator("#by-favourite").press("Enter")
        seen.until("document.querySelectorAll('#shots li').length === 1")
        assert means() == ["6.25"]
        seen.page.locator("#by-favourite").press("Space")
        seen.until("document.querySelectorAll('#shots li').length === 4")
        seen.page.select_option("#by-stars", "5")
        seen.until("document.querySelectorAll('#shots li').length === 1")
        seen.page.select_option("#by-stars", "")
        days = seen.page.locator("#by-day option").evaluate_all("all => all.map(o => o.value)")
        assert len(days) == 3
        seen.page.select_option("#by-day", min(days[1:]) if days[1] > days[2] else days[2])
        seen.until("document.querySelectorAll('#shots li').length < 4")
        seen.page.select_option("#by-day", "")
        seen.until("document.querySelectorAll('#shots li').length === 4")
        assert not seen.page.locator("#bar").is_visible()
        seen.page.locator("#selecting").press("Enter")
        assert seen.page.locator("#bar-delete").is_disabled()
        for i in (2, 3):
            seen.page.locator(".tick").nth(i).press("Space")
        assert seen.text("#bar-said") == "2 selected"
        seen.page.locator("#bar-favourite").press("Enter")
        seen.until("document.querySelectorAll('.heart[aria-pressed=true]').length === 3")
        seen.page.locator("#bar-delete").press("Enter")
        assert "Delete 2 photographs?" in seen.text("#ask")
        assert "Favourites among them: 2" in seen.text("#ask")
        seen.page.locator("#ask-yes").press("Enter")
        seen.until("document.querySelectorAll('#shots li').length === 2")
        assert kept.means() == [8.5, 6.25]
        assert seen.said == []


def test_of_several_cameras_one_is_chosen_and_what_is_wrong_with_another_is_said(open_page: Any, kept: Kept) -> None:
    kept.add(8.5, "porch")
    with served(kept, cameras=("garden", "porch")) as watched, watched.running(10):
        seen = open_page(watched, viewport=PHONE)
        seen.until(LIVE)
        assert seen.page.locator("#cameras").input_value() == "garden"
        watched.change(State.lost, "no frames for 10 s", "garden")
        seen.until(f"{VIEW} === 'gone'")
        assert seen.text("#banner") == "garden: no frames for 10 s"
        seen.page.select_option("#cameras", "porch")
        seen.until(LIVE, 5)
        assert seen.page.title().endswith("porch")
        assert seen.page.url.endswith("#porch")
        assert "garden: no frames for 10 s" in seen.text("#banner")
        assert seen.page.locator("#cameras option").all_inner_texts() == ["garden (camera lost)", "porch"]
        seen.page.select_option("#by-camera", "porch")
        seen.until("document.querySelectorAll('#shots li').length === 1")
        seen.page.reload()
        seen.until(LIVE)
        assert seen.page.locator("#cameras").input_value() == "porch"
        assert seen.said == []


def test_on_a_phone_the_photographs_come_before_the_numbers(open_page: Any, kept: Kept) -> None:
    with served(kept) as watched, watched.running():
        seen = open_page(watched, viewport=PHONE)
        seen.until(LIVE)
        seen.until("document.querySelectorAll('#shots li').length === 3")
        parts = ["#live", "#gallery", "#hour", "#health"]
        tops = [seen.page.evaluate(f"document.querySelector('{part}').getBoundingClientRect().top") for part in parts]
        assert tops == sorted(tops)


@pytest.mark.parametrize("strips", [True, False])
def test_behind_a_proxy_in_a_frame_of_another_page(open_page: Any, kept: Kept, strips: bool) -> None:
    with (
        proxied("/camera/", strips) as (proxy, to),
        served(
            kept, web_token=TOKEN, web_base="/camera", web_proxy="127.0.0.1", web_frame_ancestors=f"self {proxy}"
        ) as watched,
        watched.running(),
    ):
        to["port"] = watched.server.port
        seen = open_page(watched, at=f"{proxy}/frame")
        frame = seen.page.frame_locator("iframe")
        frame.locator("#token").fill(TOKEN)
        frame.locator("button").click()
        frame.locator("#live[data-view=live]").wait_for(timeout=30_000)
        assert frame.locator("#shots li").count() == 3
        frame.locator("#shots .heart").first.click()
        frame.locator("#shots .heart[aria-pressed=true]").wait_for()
        frame.locator("#sign-out").click()
        frame.locator("#token").wait_for()


@contextlib.contextmanager
def proxied(path: str, strips: bool) -> Iterator[tuple[str, dict[str, int]]]:
    """A reverse proxy that serves what is at a port under a path, and a page with that in a frame."""
    to: dict[str, int] = {}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(path):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(f"<!doctype html><iframe src={path} width=900 height=700></iframe>".encode())
                return
            target = "/" + self.path.removeprefix(path) if strips else self.path
            asked = http.client.HTTPConnection("127.0.0.1", to["port"], timeout=30)
            forwarded = {"X-Forwarded-For": self.client_address[0], "X-Forwarded-Host": self.headers["Host"]}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.request(self.command, target, body or None, {**dict(self.headers.items()), **forwarded, "Host": "pi"})
            answer = asked.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError), contextlib.closing(asked):
                while chunk := answer.read1():
                    self.wfile.write(chunk)

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", to
        finally:
            server.shutdown()


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
            told = watched.statuses["garden"]
            counts = replace(told.counts, still=told.counts.still + 1)
            watched.statuses["garden"] = replace(told, counts=counts)
            if seen.page.evaluate(VIEW) == "still":
                break
            sleep(0.1)
        assert "Nothing moves. Picture of" in seen.text("#why")


def test_the_page_connects_again_after_the_server_was_gone(open_page: Any, kept: Kept) -> None:
    with served(kept) as watched, watched.running():
        seen = open_page(watched)
        seen.until(LIVE)
        port = watched.server.port
        watched.server.close()
        seen.until(f"{VIEW} === 'gone'", 4)
        assert "No connection" in seen.text("#banner")
        assert seen.text("#state") == "No connection"
        sleep(2)
        watched.server = WebServer(WebSettings(web=port), watched.context)
        seen.until(LIVE, 12)
        assert not seen.page.locator("#banner").is_visible()
        mean = seen.text("#mean")
        seen.until(f"document.querySelector('#mean').textContent !== '{mean}'")


def test_one_viewer_too_many_is_told_and_comes_in_when_there_is_room(open_page: Any) -> None:
    with served(web_viewers=1) as watched, watched.running():
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
        sleep(2)
        assert seen.text("#mean") == mean
        assert watched.viewers == 1
        seen.page.click("#pause")
        seen.until(LIVE, 6)
        seen.until(f"document.querySelector('#mean').textContent !== '{mean}'")
        assert seen.said == []


def test_signing_in_with_the_form_and_with_the_address_and_out_again(open_page: Any) -> None:
    with served(web_token=TOKEN) as watched, watched.running():
        seen = open_page(watched, viewport=PHONE)
        seen.page.wait_for_url("**/login")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
        seen.page.fill("#token", "wrong-wrong-wrong")
        seen.page.keyboard.press("Enter")
        seen.page.get_by_text("This is not the token.").wait_for()
        seen.page.fill("#token", TOKEN)
        seen.page.click("button")
        seen.until(HERE)
        assert seen.page.evaluate("document.cookie") == ""
        seen.page.click("#sign-out")
        # The click and the feed that is refused both go there; Playwright's own waiting fails at the first that is cut.
        seen.until("location.pathname === '/login'")
        seen.page.goto(f"{watched.server.url}?token={TOKEN}")
        seen.until(HERE)
        assert "token" not in seen.page.url
        assert TOKEN not in seen.page.content()
        # A link on another site's page: the cookie does not come along at first.
        seen.page.goto(f"data:text/html,<a href='{watched.server.url}'>look</a>")
        seen.page.click("a")
        seen.until(HERE)


@needs_axe
@pytest.mark.parametrize("look", ["light", "dark"])
def test_live_lost_and_logging_in_break_no_rule_of_accessibility(open_page: Any, kept: Kept, look: str) -> None:
    with served(kept) as watched:
        seen = open_page(watched, color_scheme=look, viewport=PHONE)
        with watched.running():
            seen.until(LIVE)
            assert broken(seen.page) == []
    seen.until(f"{VIEW} !== 'live'", 20)
    assert broken(seen.page) == []
    with served(kept, web_token=TOKEN) as watched:
        seen = open_page(watched, color_scheme=look, viewport=PHONE)
        seen.page.wait_for_url("**/login")
        assert broken(seen.page) == []
