"""The best frames of a window of time, no two alike or close together; and the best of a burst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_nima.watch.likeness import hamming

LIKENESS = 6
"""Hashes that differ by at most so many of 64 bits show the same."""
TIE = 0.02
"""Means that differ by less say nothing about which photograph is better, rating points."""


@dataclass(frozen=True)
class Candidate:
    """A frame that may be kept."""

    mean: float
    taken_mono: float
    taken_at: float
    hash: int
    payload: Any
    """Whatever is kept with it: its pixels, or the encoded file."""


class BestOfWindow:
    """The K best frames of a window, chosen as they come. Windows follow the frames' monotonic time only."""

    def __init__(
        self,
        keep: int,
        every_s: float,
        *,
        spacing_s: float = 0.0,
        min_score: float | None = None,
        likeness: int = LIKENESS,
    ) -> None:
        """Begin without a window: the first candidate begins it.

        Args:
            keep: how many at most.
            every_s: length of a window, seconds.
            spacing_s: two are at least this far apart, seconds; also the first of a window from the last before it.
            min_score: only means of at least this.
            likeness: of two whose hashes differ by at most so many bits only the better stays; -1 for never.
        """
        self._keep, self._every_s, self._spacing_s = keep, every_s, spacing_s
        self._min_score, self._likeness = min_score, likeness
        self._kept: list[Candidate] = []
        self._began: float | None = None
        self._before = float("-inf")

    def would_keep(self, mean: float, taken_mono: float, hash: int | None = None) -> bool:
        """Whether a frame would be kept as things are; without its hash: whether it might be. Changes nothing."""
        if mean != mean or (self._min_score is not None and mean < self._min_score):
            return False
        if 0 <= taken_mono - self._before < self._spacing_s:
            return False
        rivals = self._rivals(taken_mono, hash)
        if rivals:
            return all(mean > rival.mean for rival in rivals)
        if len(self._kept) < self._keep:
            return True
        return mean > min((kept.mean for kept in self._kept), default=float("inf"))

    def offer(self, mean: float, taken_mono: float, taken_at: float, hash: int, payload: Any) -> bool:
        """Take a frame when it is among the best; what it displaces is let go.

        A better one displaces all that look like it or are too close in time; of equals the first stays. So the best
        frame of a window is always kept.

        Args:
            mean: rating, 1..10.
            taken_mono: monotonic time, seconds. Call `due` with it before.
            taken_at: wall-clock time, for the file.
            hash: of `perceptual_hash`.
            payload: kept with it.

        Returns:
            Whether it was taken.
        """
        if not self.would_keep(mean, taken_mono, hash):
            return False
        rivals = self._rivals(taken_mono, hash)
        if not rivals and len(self._kept) >= self._keep:
            rivals = [min(self._kept, key=lambda kept: kept.mean)]
        gone = {id(rival) for rival in rivals}
        self._kept = [kept for kept in self._kept if id(kept) not in gone]
        self._kept.append(Candidate(mean, taken_mono, taken_at, hash, payload))
        if self._began is None:
            self._began = taken_mono
        return True

    @property
    def held(self) -> list[Candidate]:
        """Those that are kept as things are, in no order."""
        return list(self._kept)

    def due(self, mono: float) -> bool:
        """Whether the window is over at a monotonic time; also when a film has begun again from its start."""
        return self._began is not None and not 0 <= mono - self._began < self._every_s

    def close(self) -> list[Candidate]:
        """End the window: its best, best first. The next candidate begins the next."""
        kept, self._kept, self._began = self._kept, [], None
        if kept:
            self._before = max(candidate.taken_mono for candidate in kept)
        return sorted(kept, key=lambda candidate: -candidate.mean)

    def _rivals(self, taken_mono: float, hash: int | None) -> list[Candidate]:
        """Those kept that cannot stay beside such a frame."""
        return [
            kept
            for kept in self._kept
            if abs(kept.taken_mono - taken_mono) < self._spacing_s
            or (hash is not None and hamming(kept.hash, hash) <= self._likeness)
        ]


class Burst:
    """Of each stretch of time one frame goes on: that of the best mean, among equals (within 0.02) the sharpest."""

    def __init__(self, seconds: float = 1.0) -> None:
        """`seconds`: length of a stretch."""
        self._seconds = seconds
        self._began = 0.0
        self._top = 0.0
        self._sharp = 0.0
        self._held: Candidate | None = None

    def due(self, mono: float) -> bool:
        """Whether the stretch is over at a monotonic time."""
        return self._held is not None and not 0 <= mono - self._began < self._seconds

    def would_keep(self, mean: float) -> bool:
        """Whether a frame might be the one; only then is its sharpness worth measuring, and its pixels worth a copy."""
        return self._held is None or mean > self._top - TIE

    def offer(self, candidate: Candidate, sharp: float) -> bool:
        """Hold a frame when it is the best so far. Call `due` before.

        Args:
            candidate: the frame.
            sharp: of `sharpness`.
        """
        if self._held is None:
            self._began, self._top = candidate.taken_mono, candidate.mean
        else:
            top = max(self._top, candidate.mean)
            tied = self._held.mean > top - TIE and candidate.mean > top - TIE
            better = sharp > self._sharp if tied else candidate.mean > self._held.mean
            self._top = top
            if not better:
                return False
        self._held, self._sharp = candidate, sharp
        return True

    def close(self) -> Candidate | None:
        """End the stretch: its one frame, or None. The next frame begins the next."""
        held, self._held = self._held, None
        return held
