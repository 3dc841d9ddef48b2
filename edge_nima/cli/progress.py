"""A progress bar on stderr when somebody is looking, silence otherwise."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from time import monotonic

SPOKEN_EVERY = 60.0
"""Seconds between lines about long work where there is no terminal to draw a bar on."""


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far `what` is, with rate and time left; the value is called after each step.

    Args:
        what: the word before the bar.
        total: steps in all.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps a second."""

        def render(self, task: Task) -> Text:
            """Draw it, once it is known."""
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a download; the value is called with the bytes that are there and the bytes in all, 0 for not known."""
    if not sys.stderr.isatty():
        yield lambda have, size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda have, size: bar.update(task, completed=have, total=size or None)


@contextlib.contextmanager
def stages(what: str) -> Iterator[Callable[[str, int, int, str], None]]:
    """Show work in stages whose lengths are not known beforehand; where nobody is looking, one line a minute.

    The value is called with the stage, how much of it is done, of how much (0: not known), and a note.
    """
    if not sys.stderr.isatty():
        yield _spoken(what)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, note="", visible=False)
        at = ""

        def show(stage: str, done: int, total: int, note: str) -> None:
            nonlocal at
            if stage != at:
                at = stage
                bar.reset(task, total=total or None, visible=True)  # so that the time left is of this stage
            bar.update(
                task, description=escape(f"{what}: {stage}"), completed=done, total=total or None, note=escape(note)
            )

        yield show


def _spoken(what: str) -> Callable[[str, int, int, str], None]:
    last = monotonic()

    def tell(stage: str, done: int, total: int, note: str) -> None:
        nonlocal last
        now = monotonic()
        if now - last >= SPOKEN_EVERY:
            last = now
            told = f"{what}: {stage} {done}{f'/{total}' if total else ''}{f', {note}' if note else ''}"
            print(f"edge-nima: {told}", file=sys.stderr, flush=True)

    return tell
