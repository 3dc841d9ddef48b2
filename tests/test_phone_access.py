"""Whether people who do not see well, or do not point, can use the page: axe's rules in every state it can be in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from axe import broken, needs_axe
from chromium import DESKTOP, PHONE
from conftest import PHOTOS, skip_without

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import Seen, needs

skip_without("uvicorn", "edge-nima[web]")

pytestmark = [*needs(), needs_axe]


@pytest.mark.parametrize(("size", "look"), [(PHONE, "light"), (DESKTOP, "dark")], ids=["phone", "desktop"])
def test_no_state_of_the_page_breaks_a_rule(
    open_page: Callable[..., Seen], look: str, size: dict[str, int], tmp_path: Path
) -> None:
    seen = open_page(color_scheme=look, viewport=size)
    seen.ready()
    found = {"off": broken(seen.page)}
    seen.page.click("#details summary")
    found["details"] = broken(seen.page)
    seen.live()
    seen.until("!document.querySelector('#best').hidden")
    found["live"] = broken(seen.page)
    seen.page.click("#pause")
    found["paused"] = broken(seen.page)
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    seen.photographs([*sorted(PHOTOS.glob("*.jpg")), tmp_path / "cut.jpg"])
    seen.page.click("#failures summary")
    found["photographs"] = broken(seen.page)
    seen.page.evaluate("document.querySelector('#target').hidden = false")
    found["dragging"] = broken(seen.page)
    seen.page.evaluate("document.querySelector('#target').hidden = true")
    seen.page.set_input_files("#model-file", {"name": "no.tflite", "mimeType": "", "buffer": b"no model"})
    seen.told()
    found["refused"] = broken(seen.page)
    offline = open_page(
        color_scheme=look, viewport=size, route=lambda context: context.route("**/*.tflite", lambda it: it.abort())
    )
    offline.rejected()
    found["rejected"] = broken(offline.page)
    assert {state: rules for state, rules in found.items() if rules} == {}


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_page_without_a_camera_breaks_no_rule(open_page: Callable[..., Seen], look: str) -> None:
    seen = open_page(color_scheme=look)
    seen.ready()
    seen.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError')); }"
    )
    seen.page.click("#start")
    seen.until("document.querySelector('#live').dataset.problem === 'none'")
    assert broken(seen.page) == []


def test_a_rule_that_is_broken_is_found(open_page: Callable[..., Seen]) -> None:
    seen = open_page()
    seen.ready()
    seen.page.evaluate("document.documentElement.style.setProperty('--soft', '#b9c0ca')")
    assert any(rule.startswith("color-contrast: ") for rule in broken(seen.page))
