"""What a data set's ratings are like: the numbers of the exploratory page, each also in its JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats, as_distribution, rating_std
from edge_nima.errors import RequestError
from edge_nima.label_text import TEN
from edge_nima.labels import rating_bins, rating_edges
from edge_nima_train.explore_names import GroupNames
from edge_nima_train.manifest import SCALE_OF_SOURCE, Manifest

SHEET = 24
"""Photographs on a contact sheet."""
MEAN_WIDTH, STD_WIDTH = 0.1, 0.05
_COUNT_BARS = 50
_PROPERTIES = ("bytes", "width", "height", "aspect")
"""Columns that `verify` writes."""


@dataclass(frozen=True)
class Description:
    """A sample in eight numbers; quartiles interpolate linearly between order statistics (Hyndman and Fan, type 7)."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation, divided by n - 1; None for one value."""
    min: float
    q1: float
    median: float
    q3: float
    max: float


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; each bin holds its lower edge, the last also its upper one."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Box:
    """What a box plot shows beside the quartiles: whiskers to the last value within 1.5 box lengths (Tukey)."""

    low: float
    high: float
    below: int
    """Values beyond the lower whisker."""
    above: int


@dataclass(frozen=True)
class RatingBin:
    """Photographs whose mean rating lies in a tenth of 1..10."""

    low: float
    high: float
    n: int
    share: float
    mean_std: float | None
    """Mean of the standard deviations of their ratings; None without votes or photographs."""


@dataclass(frozen=True)
class Group:
    """Photographs of a challenge or with a tag."""

    key: str
    """Its number, or what the column says."""
    name: str
    n: int
    mean: float
    """Mean of their mean ratings."""


@dataclass(frozen=True, eq=False)
class Exploration:
    """All that the page shows."""

    manifest: Manifest
    scale: str
    """Of the ratings where they come from: "1..10", or a list of several."""
    seed: int
    mean_rating: Description
    means: Histogram
    box: Box
    bins: tuple[RatingBin, ...]
    votes: str
    """ "counts", "proportions", or "none" where only means are known."""
    number_of_ratings: Description | None
    """None unless votes are counts."""
    numbers: Histogram | None
    rating_std: Description | None
    """None without votes."""
    stds: Histogram | None
    std_of_each: Floats | None
    """float64, shape (n,)."""
    all_ratings: tuple[float, ...] | None
    """The mean of the photographs' histograms: shares of the ratings 1..10."""
    splits: dict[str, int]
    challenges: tuple[Group, ...]
    """Most photographs first."""
    tags: tuple[Group, ...]
    untagged: int
    """Photographs without a tag, where there are tags."""
    properties: dict[str, Description]
    sample: tuple[int, ...]
    """Rows, drawn at random by the seed."""
    best: tuple[int, ...]
    """Rows, best first; of equals the first in the manifest."""
    worst: tuple[int, ...]


def explore(manifest: Manifest, names: GroupNames, *, seed: int = 0) -> Exploration:
    """Count and describe.

    Args:
        manifest: photographs and ratings.
        names: of tags and challenges.
        seed: of the sample.

    Raises:
        RequestError: `seed` is negative.
    """
    if seed < 0:
        raise RequestError(f"seed is {seed}; possible: a whole number, 0 or more")
    labels = manifest.labels
    means, votes = labels.means, labels.votes
    totals = None if votes is None else votes.sum(axis=1)
    # Counts of one photograph add up to dozens; proportions to 1, or to 100 where they are percentages.
    counts = totals is not None and not (np.allclose(totals, 1, atol=0.02) or np.allclose(totals, 100, atol=1e-6))
    stds = None if votes is None else rating_std(votes)
    order = np.argsort(means, kind="stable")
    size = min(SHEET, len(means))
    best = np.argsort(-means, kind="stable")[:size]
    sample = np.sort(np.random.default_rng(seed).choice(len(means), size, replace=False))
    tags, untagged = _groups([manifest.columns.get(f"tag{place}") for place in (1, 2)], means, names.tags)
    challenges, _ = _groups([manifest.columns.get("challenge")], means, names.challenges)
    return Exploration(
        manifest=manifest,
        scale=", ".join(dict.fromkeys(manifest.columns.get(SCALE_OF_SOURCE, (str(TEN),)))),
        seed=seed,
        mean_rating=describe(means),
        means=_histogram(means, np.round(np.arange(1, 10 + MEAN_WIDTH / 2, MEAN_WIDTH), 12)),
        box=_box(means),
        bins=_bins(means, stds),
        votes="none" if votes is None else "counts" if counts else "proportions",
        number_of_ratings=describe(totals) if counts and totals is not None else None,
        numbers=_histogram(totals, _count_edges(totals)) if counts and totals is not None else None,
        rating_std=None if stds is None else describe(stds),
        stds=None if stds is None else _histogram(stds, np.round(np.arange(0, 4.5 + STD_WIDTH / 2, STD_WIDTH), 12)),
        std_of_each=stds,
        all_ratings=None if votes is None else tuple(as_distribution(votes).mean(axis=0).tolist()),
        splits={split: manifest.split.count(split) for split in dict.fromkeys(manifest.split)},
        challenges=challenges,
        tags=tags,
        untagged=untagged,
        properties=_properties(manifest),
        sample=tuple(sample.tolist()),
        best=tuple(best.tolist()),
        worst=tuple(order[:size].tolist()),
    )


def describe(values: Floats) -> Description:
    """A sample of one value or more in eight numbers."""
    q1, median, q3 = np.percentile(values, [25, 50, 75]).tolist()
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Description(
        len(values), float(values.mean()), sd, float(values.min()), q1, median, q3, float(values.max())
    )  # fmt: skip


def _histogram(values: Floats, edges: Floats) -> Histogram:
    # Rounded as rating bins are: a mean of 6.4 belongs to the bin that begins there.
    place = np.searchsorted(edges, values.round(12), side="right") - 1
    counts = np.bincount(np.clip(place, 0, len(edges) - 2), minlength=len(edges) - 1)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def _count_edges(totals: Floats) -> Floats:
    """Bins of whole width, so that each holds as many whole numbers as the others."""
    low, high = math.floor(totals.min()), math.ceil(totals.max())
    width = max(1, math.ceil((high + 1 - low) / _COUNT_BARS))
    return np.arange(low, high + 1 + width, width, dtype=np.float64)


def _box(values: Floats) -> Box:
    q1, q3 = np.percentile(values, [25, 75])
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    low, high = float(inside.min()), float(inside.max())
    return Box(low, high, int((values < low).sum()), int((values > high).sum()))


def _bins(means: Floats, stds: Floats | None) -> tuple[RatingBin, ...]:
    edges, place = rating_edges(), rating_bins(means)
    made = []
    for number in range(len(edges) - 1):
        chosen = place == number
        std = None if stds is None or not chosen.any() else float(stds[chosen].mean())
        low, high = float(edges[number]), float(edges[number + 1])
        made.append(RatingBin(low, high, int(chosen.sum()), float(chosen.mean()), std))
    return tuple(made)


def _groups(
    columns: Sequence[tuple[str, ...] | None], means: Floats, names: dict[str, str]
) -> tuple[tuple[Group, ...], int]:
    """Groups by what columns say, most photographs first; and how many photographs are in none."""
    members: dict[str, set[int]] = {}  # sets: a photograph may have one tag twice
    for column in columns:
        for row, key in enumerate(column or ()):
            if key and key != "0":
                members.setdefault(key, set()).add(row)
    found = [
        Group(key, names.get(key, key), len(rows), float(means[sorted(rows)].mean())) for key, rows in members.items()
    ]
    found.sort(key=lambda group: (-group.n, len(group.key), group.key))
    grouped = set().union(*members.values())
    return tuple(found), len(means) - len(grouped)


def _properties(manifest: Manifest) -> dict[str, Description]:
    found = {}
    for name in _PROPERTIES:
        values = _numbers(manifest.columns.get(name))
        if values is not None:
            found[name] = describe(values)
    return found


def _numbers(cells: Sequence[str] | None) -> NDArray[np.float64] | None:
    """A column as numbers; None where it is not there or says something else."""
    try:
        values = np.array(cells, dtype=np.float64) if cells else None
    except ValueError:
        return None
    return values if values is not None and np.isfinite(values).all() else None
