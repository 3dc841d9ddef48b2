"""What `edge-nima watch` shows: on a terminal one line that is always the newest, to a program a line a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, Self

from edge_nima.cli.options import bars
from edge_nima.cli.sinks import put_out
from edge_nima.errors import OutputError
from edge_nima.frame import Frame
from edge_nima.watch.events import Listener, Scored, Status
from edge_nima.watch.records import format_scored
from edge_nima.watch.units import duration_text

_EVERY_S = 0.2


class Screen(Listener):
    """A live line a camera on stderr: the newest mean with its bars, the rate, what was kept."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._console = Console(stderr=True)
        self._live: Any = Live(console=self._console, auto_refresh=False, transient=True)
        self._due: dict[str, float] = {}
        self._status: dict[str, Status] = {}
        self._lines: dict[str, Any] = {}
        self._turn = Lock()

    @staticmethod
    def wanted() -> bool:
        """Whether somebody is looking."""
        return sys.stderr is not None and sys.stderr.isatty()

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Show the newest, five times a second at most."""
        now = monotonic()
        if now < self._due.get(scored.camera, 0.0):
            return
        self._due[scored.camera] = now + _EVERY_S
        record, status = scored.record, self._status.get(scored.camera)
        if record.mean is None or record.distribution is None:
            told = f"not scored: {record.error}"
        else:
            shape = bars(record.distribution, self._console.encoding)
            told = f"{record.mean:5.2f} ±{record.std:.2f}  {shape}"
        more = "" if status is None else _told(status)
        self._show(scored.camera, self._text(f"{scored.camera}  {told}{more}", overflow="ellipsis", no_wrap=True))

    def changed(self, status: Status) -> None:
        """Show the state, and what is wrong."""
        self._status[status.camera] = status
        if status.problem:
            text = f"{status.camera}  {status.state.value}: {status.problem}"
            self._show(status.camera, self._text(text, "yellow"))

    def _show(self, camera: str, line: Any) -> None:
        with self._turn:
            self._lines[camera] = line
            self._live.update(self._text("\n").join(self._lines.values()), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


class Lines(Listener):
    """Each record to stdout as a JSON line."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        """`on_closed`: called when nobody reads any more."""
        self._on_closed, self._turn = on_closed, Lock()

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Print one."""
        try:
            with self._turn:
                put_out(format_scored(scored, "jsonl"))
        except (BrokenPipeError, OutputError):
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), sys.stdout.fileno())
            self._on_closed()


def _told(status: Status) -> str:
    counts = status.counts
    parts = [f"{status.fps:.1f}/s", f"{counts.scored} scored", f"{counts.dropped} dropped"]
    parts += [f"{counts.still} still"] if counts.still else []
    parts += [f"{counts.shots} kept"] if counts.shots else []
    return f"  {', '.join(parts)}, {duration_text(status.uptime_s)}"
