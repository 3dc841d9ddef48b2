"""What the page is told: the status as JSON, once a second for all viewers together, and at once after a change."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from time import time
from typing import Any

from edge_nima.watch.events import Status
from edge_nima.web.history import History
from edge_nima.web.latest import Latest
from edge_nima.web.live import score_fields
from edge_nima.web.viewers import Viewers

_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class Teller:
    """Asks for the watcher's status while somebody looks."""

    def __init__(self, status: Callable[[], Status], history: History, viewers: Viewers) -> None:
        self.told: Latest[str] = Latest()
        self.gallery = 0
        """Grows when photographs come or go."""
        self._status = status
        self._history = history
        self._viewers = viewers
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Tell now. On the event loop's thread."""
        self._poked.set()

    def gallery_changed(self) -> None:
        """Photographs came or went. On the event loop's thread."""
        self.gallery += 1
        self.poke()

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            if self._viewers.count:
                try:
                    self.told.put(json.dumps(self.fields()))
                except Exception:  # the page goes on, and shows that its numbers are old
                    _log.exception("cannot tell the page the watcher's status")
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._poked.wait()
            except TimeoutError:
                pass
            self._poked.clear()

    def fields(self) -> dict[str, Any]:
        """The watcher's status, as JSON takes it."""
        status = self._status()
        now = time()
        return {
            "camera": status.camera,
            "model": status.model,
            "state": str(status.state),
            "since": status.since,
            "now": now,
            "uptime_s": round(status.uptime_s, 1),
            "fps": round(status.fps, 2),
            "problem": status.problem,
            "counts": asdict(status.counts),
            "health": None if status.health is None else asdict(status.health),
            "last": None if status.last is None else score_fields(status.last),
            "age_s": None if status.last is None else round(max(0.0, now - status.last.taken_at), 2),
            "viewers": self._viewers.count,
            "gallery": self.gallery,
            "step": round(self._history.now(), 3),
            "point": self._history.last(),
        }
