"""When a camera is watched: hours of the week, and enough light; and whether its picture is frozen or black."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.errors import RequestError, printable
from edge_nima.similarity import small_grey

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = rf"({'|'.join(DAYS)})(?:[a-z]{{0,4}}day)?"
_DAYS = re.compile(f"{_DAY}(?:-{_DAY})?")
_HOURS = re.compile(r"(\d{1,2})(?::([0-5]\d))?-(\d{1,2})(?::([0-5]\d))?", re.ASCII)
_POSSIBLE = "06:00-20:00, 22:00-04:00, 'mon-fri 07:00-19:00', 'sat,sun 09:00-17:00', several with commas between"
SAMPLE_EVERY_S = 1.0
HYSTERESIS = 4.0  # grey levels above the threshold at which a dark picture counts as light again
_FEWEST_SAMPLES = 5  # equal pictures that make a frozen one: two equal snapshots, minutes apart, do not
_BLACK_MEAN, _BLACK_STD = 4.0, 2.0


@dataclass(frozen=True)
class Schedule:
    """Hours of the week in local time, as a clock on the wall shows it, also on days on which it is changed."""

    windows: tuple[tuple[int, int], ...]
    """The minute of the week (Monday, 00:00 is 0) at which each begins, and its length in minutes."""

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read hours such as "22:00-04:00" (until the next morning) or "mon-fri 07:00-19:00,sat,sun 09:00-17:00".

        Hours without days are of the days before them, or of every day. RequestError for anything else.
        """
        error = RequestError(f"--when is '{printable(text)}'; possible: {_POSSIBLE}")
        windows, named, days = [], set[int](), {*range(7)}
        for word in re.sub(r"\s*-\s*", "-", text.lower()).replace(",", " ").split():
            if found := _DAYS.fullmatch(word):
                first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
                named |= {day % 7 for day in range(first, last + 1 + 7 * (last < first))}
            elif found := _HOURS.fullmatch(word):
                hour, minute, end_hour, end_minute = (int(part or 0) for part in found.groups())
                begin, end = 60 * hour + minute, 60 * end_hour + end_minute
                if begin == end or begin >= 1440 or end > 1440:
                    raise error
                days, named = named or days, set()
                windows += [(1440 * day + begin, end - begin + 1440 * (end < begin)) for day in days]
            else:
                raise error
        if named or not windows:
            raise error
        return cls(tuple(windows))

    def active(self, at: float) -> bool:
        """Whether a moment, seconds since 1970 UTC, is within the hours; the end itself is outside."""
        now = datetime.fromtimestamp(at)
        minute = 1440 * now.weekday() + 60 * now.hour + now.minute
        return any((minute - begin) % (7 * 1440) < length for begin, length in self.windows)


class PictureMonitor:
    """Looks at a small grey copy of a camera's picture, at most once a second: too dark, black, or frozen."""

    def __init__(self, dark_below: float | None = None, frozen_after_s: float = 60.0) -> None:
        """Take the mean, 0 to 255, below which a picture is `dark`, and how long one may be the same or black."""
        self.dark = False
        self.problem: str | None = None  # what is wrong with the picture, on one line
        self._dark_below, self._after_s = dark_below, frozen_after_s
        self._looked_at = float("-inf")
        self._last: NDArray[np.uint8] | None = None
        self._same_since = self._black_since = 0.0
        self._same = 0

    def look(self, rgb: Pixels, now: float) -> None:
        """Take a frame, uint8, (height, width, 3), and its monotonic time, seconds; one that goes back begins anew."""
        if 0 <= now - self._looked_at < SAMPLE_EVERY_S:
            return
        grey = small_grey(rgb)
        mean = float(grey.mean())
        anew = self._last is None or now < self._looked_at
        if self._dark_below is not None:
            self.dark = mean < self._dark_below + HYSTERESIS * self.dark
        if anew or self._last is None or not np.array_equal(grey, self._last):
            self._same, self._same_since = 0, now
        if anew or mean >= _BLACK_MEAN or grey.std() >= _BLACK_STD:
            self._black_since = now
        self._same += 1
        self._last, self._looked_at, self.problem = grey, now, None
        if now - self._black_since >= self._after_s:
            self.problem = "black picture: lens cap, or no light"
        elif now - self._same_since >= self._after_s and self._same >= _FEWEST_SAMPLES:
            self.problem = f"frozen picture: unchanged for {self._after_s:.0f} s and more"
