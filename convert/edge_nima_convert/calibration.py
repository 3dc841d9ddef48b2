"""The photographs that calibrate: a sample that is even over bins of mean rating, read, checked and written down."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_nima.decode import Pixels
from edge_nima.distribution import mean_rating
from edge_nima.errors import RequestError, printable
from edge_nima.labels import Labels, rating_bins, rating_edges
from edge_nima.names import Names, name_of
from edge_nima.photographs import draw_photographs
from edge_nima.pixels import Preprocessing
from edge_nima_convert.calibration_checks import check_pictures, check_repeats
from edge_nima_convert.photographs import Inputs, Pool, load_inputs, log
from edge_nima_convert.recipes import Progress

FORMAT = "edge-nima calibration 1"
MOST_PREDICTED = 2400
"""Photographs that the float model looks at to make rating bins, at most: two minutes on two cores."""
_AT_A_TIME = 128  # pixels of more are not kept

Predict = Callable[[Pixels], NDArray[np.float32]]
"""uint8, shape (n, height, width, 3), to float32, shape (n, 10)."""


@dataclass(frozen=True)
class RatingBin:
    """What was drawn from one bin of mean rating, low <= mean < high (the last: <= high)."""

    low: float
    high: float
    available: int
    drawn: int
    """Of this bin, for itself and for others."""
    lent: int
    """How many of those replace photographs that a neighbour lacks."""
    filled: int
    """How many photographs of neighbours replace those that this bin lacks."""

    def __str__(self) -> str:
        return f"{self.low:.3g}-{self.high:.3g}"


@dataclass(frozen=True)
class Rated:
    """A photograph with its mean rating, 1..10, and what the labels call it."""

    path: Path
    id: str
    mean: float


@dataclass(frozen=True)
class StratifiedSample:
    """`per_bin` photographs of each bin of mean rating, as far as there are any."""

    chosen: tuple[Rated, ...]
    """In the order of their paths."""
    bins: tuple[RatingBin, ...]
    pool: tuple[Rated, ...] = field(repr=False)
    """All that could be drawn."""
    per_bin: int
    seed: int

    @classmethod
    def draw(cls, pool: Sequence[Rated], per_bin: int, bins: int = 10, seed: int = 0) -> StratifiedSample:
        """Draw from a pool, whose order does not matter; raises as `draw_from_bins`."""
        ordered = tuple(sorted(pool, key=lambda one: one.path.parts))
        names = [Names.key(one.path) for one in ordered]
        rows, table = draw_from_bins(names, [one.mean for one in ordered], per_bin, bins, seed)
        return cls(tuple(ordered[row] for row in rows), table, ordered, per_bin, seed)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of the photographs drawn."""
        return tuple(one.path for one in self.chosen)

    def without(self, paths: Collection[Path]) -> StratifiedSample:
        """The same draw from what is left when these photographs are taken away."""
        left = [one for one in self.pool if one.path not in paths]
        return self.draw(left, self.per_bin, len(self.bins), self.seed)

    def warnings(self) -> list[str]:
        """A line each: a sample that fell short, bins that were filled from neighbours, bins that are empty."""
        lines = []
        thin = [f"{one} had {one.available} and took {one.filled}" for one in self.bins if one.filled]
        if len(self.chosen) < self.per_bin * len(self.bins):
            few = f"{len(self.pool)} photographs do not fill {len(self.bins)} bins of {self.per_bin}"
            lines.append(f"{few}: {len(self.chosen)} are drawn")
        elif thin:
            few = f"rating bins of fewer than {self.per_bin}"
            lines.append(f"{few} were filled from their neighbours: {', '.join(thin)}")
        empty = [str(one) for one in self.bins if not one.drawn]
        if empty:
            told = f"rating bin{'s' if len(empty) > 1 else ''} {', '.join(empty)}"
            lines.append(f"{told}: empty, no photograph of such a mean rating calibrates")
        return lines


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
    return chosen, tuple(
        RatingBin(float(edges[b]), float(edges[b + 1]), len(queues[b]), own[b] + lent[b], lent[b], filled[b])
        for b in range(bins)
    )


def _place(seed: int, name: str) -> tuple[bytes, str]:
    """Where a photograph stands in its bin's queue: by its file name, since folders differ from machine to machine."""
    return hashlib.sha256(f"{seed}\n{PurePosixPath(name).name}".encode("utf-8", "surrogateescape")).digest(), name


@dataclass(frozen=True)
class Calibration:
    """Photographs that calibrate."""

    sample: StratifiedSample
    inputs: Inputs
    """In the order of the sample."""
    means_from: str
    """"labels" or "the float model's predictions"."""
    labels: Mapping[str, Any] | None
    """Name and SHA-256 of the labels' file, whether it holds means only, and how many of it have no photograph."""
    how: Preprocessing

    def summary(self) -> dict[str, Any]:
        """What the card says; a photograph's id is its file name."""
        ids, bins = sorted(path.name for path in self.inputs.paths), self.sample.bins
        return {
            "n": len(ids), "different": len(set(self.inputs.sha256)),
            "ids_sha256": hashlib.sha256("\n".join(ids).encode("utf-8", "surrogateescape")).hexdigest(),
            "pixels_sha256": hashlib.sha256("\n".join(sorted(self.inputs.sha256)).encode()).hexdigest(),
            "bins": [one.drawn for one in bins],
            "bins_by": f"mean rating by {self.means_from}, {len(bins)} equal bins of 1..10",
            "per_bin": self.sample.per_bin, "filled_from_neighbours": sum(one.filled for one in bins),
            "labels": self.labels, "seed": self.sample.seed,
        }  # fmt: skip

    def document(self) -> bytes:
        """What NAME.calibration.json holds: each photograph with its bin, mean and the SHA-256 of its pixels."""
        chosen = self.sample.chosen
        # Relative: a document that travels says nothing of whose machine it was made on.
        folder = os.path.commonpath([one.path.absolute().parent for one in chosen])
        files = [name_of(one.path.absolute().relative_to(folder)) for one in chosen]
        where = rating_bins([one.mean for one in chosen], len(self.sample.bins)).tolist()
        photographs = [
            {"id": one.id, "file": file, "bin": place, "mean": one.mean, "pixels_sha256": digest}
            for one, file, place, digest in zip(chosen, files, where, self.inputs.sha256, strict=True)
        ]
        document = {
            "format": FORMAT, "n": len(chosen), "different": len(set(self.inputs.sha256)), "seed": self.sample.seed,
            "per_bin": self.sample.per_bin, "means_from": self.means_from, "labels": self.labels,
            "preprocessing": self.how.to_json(), "bins": [asdict(one) for one in self.sample.bins],
            "photographs": photographs,
        }  # fmt: skip
        return (json.dumps(document, indent=1) + "\n").encode()


def read_calibration(
    pool: Pool, how: Preprocessing, predict: Predict, progress: Progress = lambda *_: None
) -> Calibration:
    """Draw photographs evenly over bins of mean rating, by people's labels or else by `predict`, and read them.

    In place of one that cannot be read the next of its bin is drawn. What is doubtful is logged.

    Raises:
        CalibrationError: too few different photographs, mostly one and the same, or mostly none at all.
        RequestError: no photograph has a label, one label has two photographs, or a count is below 1.
    """
    rated, told = _by_labels(pool, pool.labels) if pool.labels else (_by_model(pool, how, predict, progress), None)
    sample = StratifiedSample.draw(rated, pool.drawn.per_bin, pool.drawn.bins, pool.drawn.seed)
    loaded: dict[Path, tuple[Pixels, str]] = {}
    while True:
        inputs = load_inputs([path for path in sample.paths if path not in loaded], how, progress, "calibration")
        loaded.update(zip(inputs.paths, zip(inputs.pixels, inputs.sha256, strict=True), strict=True))
        if not inputs.unreadable:
            break
        sample = sample.without(inputs.unreadable)
    pixels = np.stack([loaded[path][0] for path in sample.paths]) if sample.paths else inputs.pixels
    inputs = Inputs(pixels, sample.paths, tuple(loaded[path][1] for path in sample.paths), {})
    names = [printable(path.name) for path in inputs.paths]
    for warning in (*check_repeats(names, inputs.sha256), *check_pictures(names, pixels), *sample.warnings()):
        log.warning(warning)
    return Calibration(sample, inputs, "labels" if told else "the float model's predictions", told, how)


def _by_labels(pool: Pool, labels: Labels) -> tuple[list[Rated], dict[str, Any]]:
    rows = labels.match(pool.paths)
    for line in labels.gaps(pool.paths, rows):
        log.warning(line)
    found = [(path, row) for path, row in zip(pool.paths, rows, strict=True) if row is not None]
    told = {"file": labels.name, "sha256": labels.sha256, "means_only": labels.inferred}
    rated = [Rated(path, labels.called(row), float(labels.means[row])) for path, row in found]
    return rated, {**told, "without_photograph": len(labels) - len(rated)}


def _by_model(pool: Pool, how: Preprocessing, predict: Predict, progress: Progress) -> list[Rated]:
    paths = draw_photographs(pool.paths, MOST_PREDICTED, pool.drawn.seed)
    if len(paths) < len(pool.paths):
        log.info(f"making rating bins of {len(paths)} of {len(pool.paths)} photographs; with --labels all can be drawn")
    rated: list[Rated] = []
    for start in range(0, len(paths), _AT_A_TIME):
        inputs = load_inputs(paths[start : start + _AT_A_TIME], how)
        means = mean_rating(predict(inputs.pixels)).tolist() if inputs.paths else []
        rated += [Rated(path, path.stem, mean) for path, mean in zip(inputs.paths, means, strict=True)]
        progress("rating bins by the float model", min(start + _AT_A_TIME, len(paths)), len(paths), "")
    return rated
