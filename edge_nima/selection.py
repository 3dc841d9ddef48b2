"""Which photographs are kept: the best by score, no two alike; and their stars. For a camera and for a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edge_nima.similarity import hamming, hamming_to

TIE = 0.02  # means that differ by no more say nothing about which photograph is better
STARS = ((99.0, 5), (95.0, 4), (80.0, 3), (50.0, 2))  # from which percentile on; below the last 1
_COPY = 2  # hashes that differ by at most so many bits are nearly always alike to the same third ones


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


def stacks(candidates: Iterable[C], policy: KeepPolicy, rank: Rank = by_mean) -> list[list[C]]:
    """Every candidate under the best one that excludes it: what `choose` takes when it may keep all.

    Args:
        candidates: any number; 20,000 take about a second.
        policy: of it `likeness` and `spacing_s`.
        rank: which of two is better.

    Returns:
        The stacks, best first; the first of each is the one that `choose` takes, the others are in order of rank.
    """
    made: list[list[C]] = []
    heads = np.zeros(64, np.uint64)
    for candidate in sorted(candidates, key=rank):
        alike = hamming_to(heads[: len(made)], candidate.hash) <= policy.likeness
        if policy.spacing_s:
            near = [abs(stack[0].taken_mono - candidate.taken_mono) < policy.spacing_s for stack in made]
            alike |= np.array(near, bool)
        if alike.any():
            made[int(alike.argmax())].append(candidate)
            continue
        if len(made) == len(heads):
            heads = np.concatenate([heads, np.zeros_like(heads)])
        heads[len(made)] = candidate.hash
        made.append([candidate])
    return made


def stars_of(percentile: float) -> int:
    """1..5 stars of a percentile, 0..100."""
    return next((stars for least, stars in STARS if percentile >= least), 1)
