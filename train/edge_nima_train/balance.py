"""Rare ratings made less rare in training: common ones discarded, as the seed project did, or all drawn by weight."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats
from edge_nima.errors import RequestError
from edge_nima.labels import rating_bins, rating_edges
from edge_nima_train.manifest import TRAIN, Manifest
from edge_nima_train.shards import splits_of
from edge_nima_train.split import ids_of, place

BINS = 10
TOP, RANDOM = "top", "random"


@dataclass(frozen=True)
class BalancedBin:
    """One bin of mean rating, low <= mean < high (the last: <= high), of the photographs to train on."""

    low: float
    high: float
    before: int
    after: float
    """Photographs that are kept; by weights, those drawn in an epoch of as many draws as photographs."""

    def __str__(self) -> str:
        return f"{self.low:.3g}-{self.high:.3g}"


@dataclass(frozen=True)
class Balancing:
    """A manifest balanced by bins of mean rating."""

    manifest: Manifest
    bins: tuple[BalancedBin, ...]
    untouched: int
    """Photographs outside the training split, kept as they are."""
    notes: tuple[str, ...]


def undersample(manifest: Manifest, per_bin: int, *, bins: int = BINS, choose: str = TOP, seed: int = 0) -> Balancing:
    """Keep at most `per_bin` photographs of each bin of mean rating in "train"; other splits stay whole.

    Args:
        manifest: the photographs; all train where it has no splits.
        per_bin: how many.
        bins: how many equally wide ones over 1..10.
        choose: "top", those with most votes, which know their mean best, earlier rows first where votes are equal or
            only means are known; or "random".
        seed: of "random": each photograph's place is a hash of seed and id, so more photographs change little.

    Raises:
        RequestError: `per_bin` is not below the largest bin, nothing trains, or `bins` is none that is possible.
    """
    if per_bin < 1:
        raise RequestError(f"--per-bin {per_bin}; possible: 1 or more")
    if choose not in (TOP, RANDOM):
        raise RequestError(f"choose {choose!r}; possible: {TOP}, {RANDOM}")
    rows, where = _training(manifest, bins)
    before = np.bincount(where, minlength=bins)
    largest = int(before.argmax())
    if before[largest] == 1:
        raise RequestError("no rating bin has more than one photograph: there is nothing to balance")
    if per_bin >= before[largest]:
        edges = rating_edges(bins)
        raise RequestError(
            f"--per-bin {per_bin}: no rating bin has more, nothing would be balanced; the largest, "
            f"{edges[largest]:.3g}-{edges[largest + 1]:.3g}, has {before[largest]:,}: possible are 1 to "
            f"{before[largest] - 1:,}"
        )
    order = _by_votes(manifest, rows) if choose == TOP else _by_hash(manifest, rows, seed)
    rank = np.empty(len(rows), np.intp)
    seen = np.zeros(bins, np.intp)
    for at in order:
        rank[at] = seen[where[at]]
        seen[where[at]] += 1
    kept = np.ones(len(manifest), bool)
    kept[rows] = rank < per_bin
    table = _table(before, np.minimum(before, per_bin))
    thin = [f"{one} has {one.before:,}" for one in table if 0 < one.before < per_bin]
    notes = _empty(table)
    if thin:
        notes.append(f"rating bins of fewer than {per_bin:,} are kept whole: {', '.join(thin)}")
    return Balancing(manifest.only(np.flatnonzero(kept)), table, len(manifest) - len(rows), tuple(notes))


def weigh(manifest: Manifest, *, bins: int = BINS, most: float = 10.0) -> Balancing:
    """Weigh each photograph in "train" by one over the number in its bin of mean rating; discard none.

    Weights are on average 1; those of other splits are 1.

    Args:
        manifest: the photographs; all train where it has no splits.
        bins: how many equally wide ones over 1..10.
        most: how many times as often as one of the fullest bin a photograph may be drawn, at most.

    Raises:
        RequestError: `most` is not above 1, nothing trains, or `bins` is none that is possible.
    """
    if not 1 < most <= 1e6:
        raise RequestError(f"--most {most:g}; possible: above 1, to 1e6")
    rows, where = _training(manifest, bins)
    before = np.bincount(where, minlength=bins)
    per_bin = np.minimum(before.max() / np.maximum(before, 1), most)
    per_bin = per_bin * len(rows) / (per_bin @ before)
    weights: Floats = np.ones(len(manifest))
    weights[rows] = per_bin[where]
    table = _table(before, per_bin * before)
    notes = _empty(table)
    capped = [str(one) for one in table if one.before and before.max() / one.before > most]
    if capped:
        notes.append(f"rating bins held to {most:g} times the weight of the fullest: {', '.join(capped)}")
    if manifest.weights is not None:
        notes.append("the manifest had weights: they are replaced")
    return Balancing(replace(manifest, weights=weights), table, len(manifest) - len(rows), tuple(notes))


def _training(manifest: Manifest, bins: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that train, and the bin of each."""
    rows = np.flatnonzero(np.array(splits_of(manifest), dtype=object) == TRAIN)
    where = rating_bins(manifest.labels.means[rows], bins)
    if not len(rows):
        raise RequestError("no photograph is in the training split; edge-nima data split makes one")
    return rows, where


def _by_votes(manifest: Manifest, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    if manifest.labels.votes is None:
        return np.arange(len(rows))
    # Rounded: proportions that sum to 1 but for the last digit are equally many.
    votes = manifest.labels.votes[rows].sum(axis=1).round(6)
    return np.argsort(-votes, kind="stable")


def _by_hash(manifest: Manifest, rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    keys = ids_of(manifest)
    return np.argsort([place(f"{seed}\n", keys[row]) for row in rows], kind="stable")


def _table(before: NDArray[np.intp], after: NDArray[np.intp] | Floats) -> tuple[BalancedBin, ...]:
    edges = rating_edges(len(before))
    return tuple(
        BalancedBin(float(edges[b]), float(edges[b + 1]), int(before[b]), float(after[b])) for b in range(len(before))
    )


def _empty(table: tuple[BalancedBin, ...]) -> list[str]:
    empty = [str(one) for one in table if not one.before]
    plural = "s" if len(empty) > 1 else ""
    return [f"warning: rating bin{plural} {', '.join(empty)}: no photograph to train on"] if empty else []
