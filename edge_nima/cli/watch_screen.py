"""What `edge-nima watch` shows: on a terminal one line that is always the newest, to a program a line a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any, Self

from edge_nima.cli.options import bars
from edge_nima.cli.sinks import put_out
from edge_nima.errors import OutputError
from edge_nima.frames import Frame
from edge_nima.watch.events import Listener, Scored, Status
from edge_nima.watch.line_store import format_scored
from edge_nima.watch.units import duration_text

_EVERY_S = 0.2


class Screen(Listener):
    """A live line on stderr: the newest mean with its bars, the rate, what was kept; nothing where nobody looks."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._console = Console(stderr=True)
        self._live: Any = Live(console=self._console, auto_refresh=False, transient=True)
        self._due = 0.0
        self._status: Status | None = None

    @staticmethod
    def wanted() -> bool:
        """Whether somebody is looking."""
        return sys.stderr is not None and sys.stderr.isatty()

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Show the newest, five times a second at most."""
        now = monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY_S
        record, status = scored.record, self._status
        if record.mean is None or record.distribution is None:
            told = f"not scored: {record.error}"
        else:
            shape = bars(record.distribution, self._console.encoding)
            told = f"{record.mean:5.2f} ±{record.std:.2f}  {shape}"
        more = "" if status is None else _told(status)
        self._live.update(self._text(f"{scored.camera}  {told}{more}", overflow="ellipsis", no_wrap=True), refresh=True)

    def changed(self, status: Status) -> None:
        """Show the state, and what is wrong."""
        self._status = status
        if status.problem:
            line = self._text(f"{status.camera}  {status.state.value}: {status.problem}", "yellow")
            self._live.update(line, refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class Lines(Listener):
    """Each record to stdout as a JSON line."""

    def __init__(self) -> None:
        self.on_closed: Callable[[], None] = lambda: None
        """Called when nobody reads any more."""

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Print one."""
        try:
            put_out(format_scored(scored, "jsonl"))
        except (BrokenPipeError, OutputError):
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), sys.stdout.fileno())
            self.on_closed()


def _told(status: Status) -> str:
    counts = status.counts
    parts = [f"{status.fps:.1f}/s", f"{counts.scored} scored", f"{counts.dropped} dropped"]
    parts += [f"{counts.still} still"] if counts.still else []
    parts += [f"{counts.shots} kept"] if counts.shots else []
    return f"  {', '.join(parts)}, {duration_text(status.uptime_s)}"
