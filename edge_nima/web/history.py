"""The last hour of scores, in steps of ten seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import floor
from threading import Lock
from time import monotonic, time

STEP_S = 10
STEPS = 360

Point = tuple[int, float, float, float, int]
"""Which step of the clock, then the lowest, mean and highest score in it, and how many there were."""


class History:
    """The lowest, mean and highest score of each ten seconds of the last hour. Safe to use from several threads.

    Counted on the monotonic clock: setting the machine's time moves nothing.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._past: deque[Point] = deque(maxlen=STEPS)
        self._step: int | None = None
        self._low, self._high, self._sum, self._count = 0.0, 0.0, 0.0, 0
        self._turn = Lock()

    def now(self) -> float:
        """The clock, in steps."""
        return self._clock() / STEP_S

    def add(self, mean: float) -> None:
        """A score, now."""
        with self._turn:
            self._add(floor(self.now()), mean)

    def seed(self, scores: Iterable[tuple[float, float]], at: float | None = None) -> None:
        """Begin with scores from before: pairs of wall-clock time (seconds since 1970 UTC) and mean, oldest first."""
        at = time() if at is None else at
        now = self.now()
        with self._turn:
            for taken_at, mean in scores:
                step = floor(now - (at - taken_at) / STEP_S)
                if step <= now and now - step < STEPS and (self._step is None or step >= self._step):
                    self._add(step, mean)

    def points(self) -> list[Point]:
        """What there is of the last hour, oldest first; steps without a score are absent."""
        oldest = self.now() - STEPS
        with self._turn:
            return [point for point in (*self._past, *self._current()) if point[0] >= oldest]

    def last(self) -> Point | None:
        """The newest point."""
        with self._turn:
            return next(iter(self._current()), None)

    def _add(self, step: int, mean: float) -> None:
        if step != self._step:
            self._past.extend(self._current())
            self._step, self._low, self._high, self._sum, self._count = step, mean, mean, 0.0, 0
        self._low, self._high = min(self._low, mean), max(self._high, mean)
        self._sum += mean
        self._count += 1

    def _current(self) -> tuple[Point, ...]:
        if self._step is None:
            return ()
        return ((self._step, self._low, self._sum / self._count, self._high, self._count),)
