"""The windows of a camera: the best frames of each, chosen as they come, and stars by what was seen lately."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic

import numpy as np

from edge_nima.selection import TIE, C, KeepPolicy, Rank, by_mean, by_sharpness, choose, stars_of

_BINS = 900  # from 1 to 10 in steps of 0.01


class Window(Generic[C]):
    """The best frames of a window, chosen as they come. Windows follow the frames' monotonic time only.

    What a better frame excludes may return when a still better one excludes that, so the best of the excluded are held
    as well, `policy.reserve` altogether. The choice is `choose` over all frames as long as they are no more than that;
    beyond, those go first that look the same as most better ones and so can hardly return, of these the worst.
    """

    def __init__(self, policy: KeepPolicy, rank: Rank = by_mean) -> None:
        """Begin without a window: the first candidate begins it."""
        self._policy, self._rank = policy, rank
        self.held: list[C] = []
        self.began: float | None = None  # monotonic time of the first candidate
        self._floor = self._before = float("-inf")

    def may_hold(self, mean: float, taken_mono: float) -> bool:
        """Whether a frame might be held, whatever it looks like."""
        policy = self._policy
        if not mean >= (policy.min_score or 0.0) or 0 <= taken_mono - self._before < policy.spacing_s:
            return False
        return len(self.held) < policy.reserve or mean > self._floor - (TIE if self._rank is by_sharpness else 0.0)

    def offer(self, candidate: C) -> C | None:
        """Hold a candidate; ask `due` and `may_hold` before. Returns the one that is let go for it, perhaps itself."""
        if self.began is None:
            self.began = candidate.taken_mono
        self.held.append(candidate)
        self._floor = float("-inf")
        if len(self.held) <= self._policy.reserve:
            return None
        taken = choose(self.held, self._policy, self._rank)
        ranked = sorted(self.held, key=self._rank)
        gone, most = ranked[-1], -1
        for place, one in enumerate(ranked):
            copies = sum(one.copies(better, self._policy) for better in ranked[:place])
            if one not in taken and copies >= most:
                gone, most = one, copies
        self.held = [one for one in ranked if one is not gone]
        # What is worse than all is worth no look while there are enough: looking takes longer than all else here.
        if len(taken) == self._policy.keep:
            self._floor = self.held[-1].mean
        return gone

    def due(self, mono: float) -> bool:
        """Whether the window is over at a monotonic time; also when a video has begun again from its start."""
        return self.began is not None and not 0 <= mono - self.began < self._policy.every_s

    def close(self) -> tuple[list[C], list[C]]:
        """End the window: its best, best first, and the rest. The next candidate begins the next."""
        chosen = choose(self.held, self._policy, self._rank)
        rest = [one for one in self.held if one not in chosen]
        self.held, self.began = [], None
        self._before = max((one.taken_mono for one in chosen), default=self._before)
        return chosen, rest


class Ratings:
    """Stars by percentile: a histogram of recent means, in steps of 0.01, that forgets slowly."""

    def __init__(self, recent: Iterable[float] = (), half_life_s: float = 86400.0) -> None:
        """Begin with earlier means; a mean counts half after `half_life_s`."""
        self._half_life_s = half_life_s
        self._weights = np.zeros(_BINS)
        self._added: float | None = None
        for mean in recent:
            self._weights[_bin(mean)] += 1.0

    def add(self, mean: float, mono: float) -> None:
        """Count a mean, 1..10, of a monotonic time in seconds."""
        passed = 0.0 if self._added is None else max(mono - self._added, 0.0)
        self._weights *= 0.5 ** (passed / self._half_life_s)
        self._added = mono
        self._weights[_bin(mean)] += 1.0

    def stars(self, mean: float) -> int:
        """1..5, by the share of recent means below this one and half of those equal to it; 2 when there are none."""
        total, at = float(self._weights.sum()), _bin(mean)
        below = float(self._weights[:at].sum()) + float(self._weights[at]) / 2
        percentile = 100.0 * below / total if total else 50.0
        return stars_of(percentile)


def _bin(mean: float) -> int:
    return min(max(int((mean - 1.0) * 100), 0), _BINS - 1)
