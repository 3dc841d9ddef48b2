"""Which of a watcher's records are wanted, what they amount to, and which are the best of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge_nima.watch.events import Scored


@dataclass(frozen=True)
class Wanted:
    """Records to read: of a span of time, of one camera, of a least mean."""

    since: float = float("-inf")
    """Taken at this moment or later, seconds since 1970 UTC."""
    until: float = float("inf")
    """Taken before this moment."""
    camera: str | None = None
    min_score: float | None = None
    """Means of at least this, 1..10; leaves out what has no score."""

    def spans(self, scored: Scored) -> bool:
        """Whether a record is of the span and the camera."""
        return self.since <= scored.taken_at < self.until and self.camera in (None, scored.camera)

    def enough(self, scored: Scored) -> bool:
        """Whether a record's mean is."""
        return self.min_score is None or (scored.record.mean is not None and scored.record.mean >= self.min_score)


@dataclass
class Summary:
    """What the records of a span and a camera amount to, whatever their means."""

    count: int = 0
    errors: int = 0
    """Without a score."""
    first: float | None = None
    """When the earliest was taken, seconds since 1970 UTC."""
    last: float | None = None
    mean: float | None = None
    """Mean of the means, 1..10."""
    enough: int = 0
    """With a mean of at least the one wanted."""

    def add(self, scored: Scored, wanted: Wanted) -> None:
        """Count one more record, of the span and the camera."""
        at, mean = scored.taken_at, scored.record.mean
        self.count += 1
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)
        if mean is None:
            self.errors += 1
        else:
            before = 0.0 if self.mean is None else self.mean
            self.mean = before + (mean - before) / (self.count - self.errors)
            self.enough += wanted.enough(scored)


def selected(records: Iterable[Scored], wanted: Wanted, summary: Summary) -> Iterator[Scored]:
    """The wanted ones as they come; `summary` counts along."""
    for scored in records:
        if wanted.spans(scored):
            summary.add(scored, wanted)
            if wanted.enough(scored):
                yield scored


def best_of(records: Iterable[Scored], wanted: Wanted, top: int) -> tuple[Summary, list[Scored]]:
    """What the wanted ones amount to, and the `top` best of them, best first; of equals the earlier."""
    summary = Summary()
    # Earlier is greater; the number comes last so that two records are never compared.
    heap: list[tuple[float, float, int, Scored]] = []
    for number, scored in enumerate(selected(records, wanted, summary)):
        if scored.record.mean is not None:
            item = (scored.record.mean, -scored.taken_at, -number, scored)
            if len(heap) < top:
                heapq.heappush(heap, item)
            elif item > heap[0]:
                heapq.heapreplace(heap, item)
    return summary, [item[-1] for item in sorted(heap, reverse=True)]
