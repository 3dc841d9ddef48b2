"""A source whose frames and faults a test decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from edge_nima.errors import SourceError
from edge_nima.frame import Frame


class FakeSource:
    """Gives what `script` says, one entry a read: "frame", "damaged", "quiet", "lost", "hang", "bug" or "end"."""

    def __init__(self, *script: str, drops: bool = True, every_s: float = 0.0, then: str = "end") -> None:
        self.label, self.drops, self.real_time = "fake", drops, drops
        self.script, self.then, self.every_s = list(script), then, every_s
        self.open_errors: list[str] = []
        self.opened = self.closed = self.reads = 0
        self.release = threading.Event()
        """Ends a hang."""
        self.rgb: Callable[[int], np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = default_rgb

    def open(self) -> None:
        self.opened += 1
        if self.open_errors:
            raise SourceError(self.open_errors.pop(0))

    def read(self) -> Frame | None:
        from edge_nima.errors import PictureError
        from edge_nima.sources import NothingYet

        self.reads += 1
        what = self.script.pop(0) if self.script else self.then
        if self.every_s:
            time.sleep(self.every_s)
        match what:
            case "damaged":
                raise PictureError("damaged: made so")
            case "quiet":
                time.sleep(0.01)
                raise NothingYet
            case "lost":
                raise SourceError("the cable was pulled")
            case "hang":
                self.release.wait()
            case "bug":
                raise ZeroDivisionError("in a driver")
            case "end":
                return None
        return Frame(self.rgb(self.reads), "fake")

    def close(self) -> None:
        self.closed += 1


def default_rgb(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((48, 64, 3), number % 251, np.uint8)
