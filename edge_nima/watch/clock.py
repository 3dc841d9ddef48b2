"""A clock that what is deleted by age can trust."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, time

HOLD_S = 3600.0  # so long it must run on without a jump until it is believed
JUMP_S = 60.0  # a smaller step is a correction


class SteadyClock:
    """The wall-clock, believed only once it has run for an hour without a jump. Safe to use from several threads.

    Until then it is the time as believed before, going on (in the first hour 0.0, 1970), and never later than the
    wall-clock: one that is wrong for less than an hour deletes nothing. It must be asked now and then to notice a jump.
    """

    def __init__(self, wall: Callable[[], float] = time, mono: Callable[[], float] = monotonic) -> None:
        """`wall`: seconds since 1970 UTC, as somebody may set them; `mono`: seconds that nobody sets."""
        self._wall, self._mono = wall, mono
        self._turn = threading.Lock()
        # Wall-clock minus monotonic time, both.
        self._believed: float | None = None
        self._offset, self._since = wall() - mono(), mono()

    def now(self) -> float:
        """Seconds since 1970 UTC, by which things may be deleted; 0.0 in the first hour."""
        with self._turn:
            wall, mono = self._wall(), self._mono()
            if abs(wall - mono - self._offset) > JUMP_S:
                self._since = mono
            self._offset = wall - mono  # follows what NTP corrects bit by bit
            if mono - self._since >= HOLD_S:
                self._believed = self._offset
            return 0.0 if self._believed is None else min(wall, self._believed + mono)
