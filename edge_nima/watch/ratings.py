"""Stars for photographs: where a mean stands among the camera's recent means."""

from __future__ import annotations

import threading

import numpy as np

_BINS = 900
_LOWEST, _HIGHEST = 1.0, 10.0
STARS = ((99.0, 5), (95.0, 4), (80.0, 3), (50.0, 2))
"""From which percentile on a mean has so many stars; below the last it has 1."""
_LARGEST = 2.0**40


class Ratings:
    """A running histogram of means in steps of 0.01 that forgets slowly. Safe to use from several threads."""

    def __init__(self, half_life_s: float = 86400.0) -> None:
        """Begin without any.

        Args:
            half_life_s: a mean counts half after so long, seconds. Of a camera at a window, a day.
        """
        self._half_life_s = half_life_s
        self._weights = np.zeros(_BINS)
        self._since: float | None = None
        self._turn = threading.Lock()

    def add(self, mean: float, mono: float = 0.0) -> None:
        """Count a mean.

        Args:
            mean: rating, 1..10.
            mono: monotonic time, seconds; without it: as old as the first one.
        """
        with self._turn:
            if self._since is None:
                self._since = mono
            # The new ones weigh more in place of the old ones less: one addition, not nine hundred multiplications.
            age = max(mono - self._since, 0.0) / self._half_life_s if mono else 0.0
            weight = 2.0 ** min(age, 1000.0)
            if weight > _LARGEST:
                self._weights /= weight
                self._since, weight = mono, 1.0
            self._weights[_bin(mean)] += weight

    def percentile(self, mean: float) -> float:
        """The share of recent means below this one, and half of those equal to it: 0..100; 50 when there are none."""
        with self._turn:
            total = float(self._weights.sum())
            if not total:
                return 50.0
            at = _bin(mean)
            below = float(self._weights[:at].sum()) + float(self._weights[at]) / 2
            return 100.0 * below / total

    def stars(self, mean: float) -> int:
        """1..5: five from the 99th percentile on, four from the 95th, three from the 80th, two from the 50th."""
        percentile = self.percentile(mean)
        return next((stars for least, stars in STARS if percentile >= least), 1)


def _bin(mean: float) -> int:
    return min(max(int((mean - _LOWEST) / (_HIGHEST - _LOWEST) * _BINS), 0), _BINS - 1)
