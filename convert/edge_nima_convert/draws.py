"""Calibration photographs drawn evenly over bins of mean rating."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge_nima.ava import Labels, rating_bins, rating_edges
from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable
from edge_nima.names import Names

_LABELS, _MODEL = "labels", "the float model's predictions"


@dataclass(frozen=True)
class RatingBin:
    """What was drawn from one bin of mean rating, low <= mean < high (the last: <= high)."""

    low: float
    high: float
    available: int
    drawn: int
    """Of this bin, whatever for."""
    lent: int
    """How many of those stand in for photographs that a neighbour lacks."""
    filled: int
    """How many photographs of neighbours stand in for those that this bin lacks."""

    def __str__(self) -> str:
        return f"{self.low:.3g}-{self.high:.3g}"


@dataclass(frozen=True)
class Candidate:
    """A photograph that can be drawn."""

    path: Path
    id: str
    """What the labels call it; its file name without ending where there are none."""
    mean: float
    """Mean rating, 1..10."""
    bin: int


@dataclass(frozen=True)
class Draw:
    """Photographs drawn evenly over bins of mean rating."""

    chosen: tuple[Candidate, ...]
    """In the order of their paths."""
    bins: tuple[RatingBin, ...]
    per_bin: int
    seed: int
    means_from: str
    """"labels" or "the float model's predictions"."""
    labels: Mapping[str, Any] | None = None
    """Name and SHA-256 of the labels' file, whether it holds means only, and how many of it have no photograph."""
    gaps: tuple[str, ...] = ()
    """Photographs without labels and labels without photographs, a line each."""
    pool: tuple[Candidate, ...] = field(default=(), repr=False)
    """All that could be drawn."""

    @property
    def paths(self) -> list[Path]:
        """Of the photographs drawn."""
        return [candidate.path for candidate in self.chosen]

    @property
    def means(self) -> Floats:
        """Their mean ratings: float64, shape (n,)."""
        return np.array([candidate.mean for candidate in self.chosen], np.float64)

    def warnings(self) -> list[str]:
        """Lines for a person: gaps between labels and photographs, bins that were filled, a draw that fell short."""
        lines = list(self.gaps)
        thin = [f"{b} had {b.available} and took {b.filled}" for b in self.bins if b.available < self.per_bin]
        wanted = self.per_bin * len(self.bins)
        if len(self.chosen) < wanted:
            held = f"{len(self.pool)} photographs" if self.pool else "they"
            lines.append(f"{held} do not fill {len(self.bins)} bins of {self.per_bin}: {len(self.chosen)} are drawn")
        elif thin:
            lines.append(
                f"rating bins of fewer than {self.per_bin} were filled from their neighbours: {', '.join(thin)}"
            )
        return lines

    def empty_bins(self) -> list[str]:
        """A warning that names the bins of which no photograph calibrates."""
        empty = [str(one) for one in self.bins if not one.drawn]
        if not empty:
            return []
        plural = "s" if len(empty) > 1 else ""
        return [f"rating bin{plural} {', '.join(empty)}: empty, no photograph of such a mean rating calibrates"]

    def without(self, paths: Collection[Path]) -> Draw:
        """The same draw from what is left when these photographs are taken away."""
        left = tuple(candidate for candidate in self.pool if candidate.path not in paths)
        chosen, bins = _draw_candidates(left, self.per_bin, len(self.bins), self.seed)
        return replace(self, chosen=chosen, bins=bins, pool=left)

    def summary(self) -> dict[str, Any]:
        """What the card says of the draw."""
        return {
            "bins": [one.drawn for one in self.bins],
            "bins_by": f"mean rating by {self.means_from}, {len(self.bins)} equal bins of 1..10",
            "per_bin": self.per_bin,
            "filled_from_neighbours": sum(one.filled for one in self.bins),
            "labels": None if self.labels is None else dict(self.labels),
            "seed": self.seed,
        }


def draw_from_bins(
    names: Sequence[str], means: ArrayLike, per_bin: int, bins: int = 10, seed: int = 0
) -> tuple[list[int], tuple[RatingBin, ...]]:
    """Draw `per_bin` of each bin of mean rating; what thin bins lack comes from the nearest bins that have more.

    Which are drawn depends on the seed and the names, not on their order, and a photograph more or less changes little:
    each one's place in the queue of its bin is a hash of the seed and its file name.

    Args:
        names: n different ones, with or without folders.
        means: shape (n,), in 1..10.
        per_bin: how many of each bin, at least 1.
        bins: how many, equally wide.
        seed: another one, another draw.

    Returns:
        Indices of those drawn, rising, min(n, per_bin * bins) of them; and the bins.

    Raises:
        RequestError: a mean lies outside 1..10, or `per_bin` or `bins` is not one that is possible.
    """
    if per_bin < 1:
        raise RequestError(f"{per_bin} photographs of each rating bin; possible: 1 or more")
    edges, where = rating_edges(bins), rating_bins(means, bins)
    if len(where) != len(names):
        raise RequestError(f"{len(where)} mean ratings for {len(names)} photographs; possible: one each")
    places = [_place(seed, name) for name in names]
    queues: list[list[int]] = [[] for _ in range(bins)]
    for i in sorted(range(len(names)), key=places.__getitem__):
        queues[where[i]].append(i)
    own = [min(len(queue), per_bin) for queue in queues]
    lent, filled = [0] * bins, [0] * bins
    for distance in range(1, bins):
        for thin in range(bins):
            while own[thin] + filled[thin] < per_bin:
                near = [b for b in (thin - distance, thin + distance) if 0 <= b < bins]
                spare, lender = max((len(queues[b]) - own[b] - lent[b], -b) for b in near) if near else (0, 0)
                if not spare:
                    break
                lent[-lender] += 1
                filled[thin] += 1
    chosen = sorted(i for b in range(bins) for i in queues[b][: own[b] + lent[b]])
    summary = tuple(
        RatingBin(float(edges[b]), float(edges[b + 1]), len(queues[b]), own[b] + lent[b], lent[b], filled[b])
        for b in range(bins)
    )
    return chosen, summary


def _place(seed: int, name: str) -> tuple[bytes, str]:
    """Where a photograph stands in its bin's queue: by its file name, since folders differ from machine to machine."""
    return hashlib.sha256(f"{seed}\n{PurePosixPath(name).name}".encode()).digest(), name


def choose_calibration(
    photographs: Sequence[Path],
    *,
    labels: Labels | None = None,
    means: ArrayLike | None = None,
    per_bin: int,
    bins: int = 10,
    seed: int = 0,
) -> Draw:
    """Draw calibration photographs evenly over bins of mean rating, by people's labels or by the float model.

    Args:
        photographs: what can be drawn; with labels, those that have none are left out and counted.
        labels: what people said.
        means: shape (n,): what the float model predicts, see `predicted_means`. Either this or labels.
        per_bin: how many of each bin, at least 1.
        bins: how many, equally wide over 1..10.
        seed: of the draw.

    Raises:
        RequestError: no photograph has a label, one label has two photographs, a mean lies outside 1..10, both or none
            of labels and means are given, or a count is below 1.
    """
    if (labels is None) == (means is None):
        raise RequestError("rating bins are made by labels or by predicted means: give one of the two")
    gaps: list[str] = []
    told = None
    if labels is not None:
        rows = labels.match(photographs)
        gaps = labels.gaps(photographs, rows)
        rated = [(path, row) for path, row in zip(photographs, rows, strict=True) if row is not None]
        found = [(path, labels.called(row), float(labels.means[row])) for path, row in rated]
        told = {"file": printable(labels.name), "sha256": labels.sha256, "means_only": labels.inferred}
        told["without_photograph"] = len(labels) - len(rated)
    else:
        given = np.asarray(means, np.float64)
        if given.shape != (len(photographs),):
            raise RequestError(f"mean ratings of shape {given.shape} for {len(photographs)} photographs")
        found = [(path, path.stem, mean) for path, mean in zip(photographs, given.tolist(), strict=True)]
    where = rating_bins([mean for *_, mean in found], bins).tolist()
    by_path = sorted(zip(found, where, strict=True), key=lambda item: item[0][0].parts)
    pool = tuple(Candidate(path, name, mean, b) for (path, name, mean), b in by_path)
    chosen, summary = _draw_candidates(pool, per_bin, bins, seed)
    return Draw(chosen, summary, per_bin, seed, _MODEL if labels is None else _LABELS, told, tuple(gaps), pool)


def _draw_candidates(
    pool: Sequence[Candidate], per_bin: int, bins: int, seed: int
) -> tuple[tuple[Candidate, ...], tuple[RatingBin, ...]]:
    names = [Names.key(candidate.path) for candidate in pool]
    chosen, summary = draw_from_bins(names, [candidate.mean for candidate in pool], per_bin, bins, seed)
    return tuple(pool[i] for i in chosen), summary
