"""Which frames are kept: the best of each window of time, no two alike or close together; and their stars."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from edge_nima.watch.similarity import hamming

TIE = 0.02  # means that differ by no more say nothing about which photograph is better
STARS = ((99.0, 5), (95.0, 4), (80.0, 3), (50.0, 2))  # from which percentile on; below the last 1
_COPY = 2  # hashes that differ by at most so many bits are nearly always alike to the same third ones
_BINS = 900  # from 1 to 10 in steps of 0.01


@dataclass(frozen=True)
class KeepPolicy:
    """What is kept of a camera."""

    keep: int = 3  # the best so many of each window
    every_s: float = 600.0  # length of a window
    spacing_s: float = 0.0  # least time between two
    min_score: float | None = None  # only means of at least this
    likeness: int = 6  # hashes that differ by at most so many of 64 bits show the same; -1 for never
    burst_s: float = 0.0  # of each such stretch only the best frame is a candidate
    quality: int = 92  # of the JPEG
    alike_for_s: float = 3600.0  # so long a photograph stands for all alike, unless one is better by more than 0.02

    @property
    def reserve(self) -> int:
        """The most candidates that are held at a time."""
        if self.likeness < 0 and not self.spacing_s:
            return self.keep
        return max(4 * self.keep, self.keep + 8) * (2 if self.spacing_s else 1)


@dataclass(eq=False)
class Candidate:
    """A frame that may be kept."""

    mean: float
    taken_mono: float  # monotonic time, seconds
    hash: int  # of `perceptual_hash`
    taken_at: float = 0.0  # wall-clock time, seconds since 1970 UTC
    window: int = 0  # those of one window are chosen from together; rises with time
    sharp: float = 0.0  # of `sharpness`; decides within a burst

    def excludes(self, other: Candidate, policy: KeepPolicy) -> bool:
        """Whether only one of two can be kept."""
        near = abs(self.taken_mono - other.taken_mono) < policy.spacing_s
        return near or hamming(self.hash, other.hash) <= policy.likeness

    def copies(self, better: Candidate, policy: KeepPolicy) -> bool:
        """Whether nearly every later frame that excludes a better one excludes this one too."""
        if policy.likeness >= 0:
            return hamming(self.hash, better.hash) <= _COPY
        return better.taken_mono - self.taken_mono <= policy.spacing_s / 8


C = TypeVar("C", bound=Candidate)
Rank = Callable[[Candidate], tuple[float, float]]


def by_mean(candidate: Candidate) -> tuple[float, float]:
    """Sorts the best mean first, of equals the earlier."""
    return -candidate.mean, candidate.taken_mono


def by_sharpness(candidate: Candidate) -> tuple[float, float]:
    """Sorts the best mean first, of those that are equal in steps of 0.02 the sharpest."""
    return -round(candidate.mean / TIE), -candidate.sharp


def choose(candidates: Iterable[C], policy: KeepPolicy, rank: Rank = by_mean) -> list[C]:
    """The best of a window, best first: each is taken that no better one taken excludes."""
    taken: list[C] = []
    for candidate in sorted(candidates, key=rank):
        if len(taken) < policy.keep and not any(candidate.excludes(other, policy) for other in taken):
            taken.append(candidate)
    return taken


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
        return next((stars for least, stars in STARS if percentile >= least), 1)


def _bin(mean: float) -> int:
    return min(max(int((mean - 1.0) * 100), 0), _BINS - 1)
