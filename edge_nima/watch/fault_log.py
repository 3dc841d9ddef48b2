"""A log that does not repeat itself: one line a fault, then one a minute with how often it came."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import monotonic

from edge_nima.errors import reason

log = logging.getLogger("edge_nima.watch")

REPEAT_S = 60.0  # between two log lines about the same fault


class FaultLog:
    """Logs a fault when it is new, then at most once a minute with how often it came. Numbers do not make it new."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def log(self, level: int, text: str) -> None:
        """Log `text`, or count it."""
        kind, now = re.sub(r"\d+", "0", text), self._clock()
        since, count = self._seen.get(kind, (float("-inf"), 0))
        if now - since < REPEAT_S:
            self._seen[kind] = since, count + 1
            return
        if len(self._seen) > 100:
            self._seen.clear()
        self._seen[kind] = now, 0
        log.log(level, "%s%s", text, f" ({count} more since)" if count else "")

    def mistake(self, text: str, error: BaseException) -> None:
        """Log an error of the program, which must not end what comes after; its traceback for --verbose alone."""
        self.log(logging.ERROR, f"{text}: {error.__class__.__name__}: {reason(error)}")
        log.debug("%s", text, exc_info=error)
