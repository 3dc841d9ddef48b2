"""A real Chromium, headless, and a page in it: what it said, what it asked for, and when something holds there."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}

needs_chromium = pytest.mark.skipif(not CHROMIUM.is_file(), reason="needs chromium (or CHROMIUM=PATH)")


class Seen:
    """An open page, in a context of its own."""

    def __init__(self, browser: Any, url: str, route: Any = None, **how: Any) -> None:
        self.url = url
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.context.on("request", lambda request: self.asked.append(request.url))
        if route is not None:
            route(self.context)
        self.page.goto(url)

    def until(self, expression: str, seconds: float = 60) -> Any:
        """Wait for a JavaScript expression to be true, and return what it is."""
        # Not Playwright's own waiting: it evaluates in the page, which the pages' policies forbid.
        due = monotonic() + seconds
        while not (value := self._now(expression)):
            assert monotonic() < due, (
                f"not within {seconds} s: {expression}; {self.said[-8:]}; {self.text('body')[:600]}"
            )
            sleep(0.05)
        return value

    def _now(self, expression: str) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(expression)
        except Error as error:
            if "navigation" not in str(error):
                raise
            return None  # on its way to the next page

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))
