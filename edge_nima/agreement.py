"""How two opinions on the same photographs compare: a quantised model with its float model, or a model with people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edge_nima.distribution import Floats, as_distribution, earth_movers_distance, mean_rating, rating_std

FLIP_AT = 5.0


@dataclass(frozen=True)
class Agreement:
    """Candidate against reference on `n` photographs. Differences are candidate minus reference, in rating points.

    A statistic that is not defined is `nan`: correlations when n < 2 or when either side is constant, the spread
    ratio when the reference is constant.
    """

    n: int
    """Number of photographs."""
    mae: float
    """Mean absolute difference of the mean rating."""
    bias: float
    """Mean difference of the mean rating; positive where the candidate is kinder."""
    p99: float
    """99th percentile of the absolute difference of the mean rating."""
    maximum: float
    """Largest absolute difference of the mean rating."""
    std_mae: float
    """Mean absolute difference of the ratings' standard deviation."""
    emd_r1: float
    """Mean earth mover's distance, r=1."""
    emd_r2: float
    """Mean earth mover's distance, r=2."""
    srcc: float
    """Spearman's rank correlation of the mean ratings."""
    plcc: float
    """Pearson's linear correlation of the mean ratings."""
    flips: float
    """Share of photographs, 0..1, for which the two means fall on different sides of 5."""
    spread_ratio: float
    """Standard deviation of the candidate's means over that of the reference's; a collapsed model has a small one."""
    largest_bin: float
    """Largest absolute difference of any bin of any photograph."""


def measure_agreement(reference: ArrayLike, candidate: ArrayLike) -> Agreement:
    """Compare two sets of predicted distributions, row by row.

    Args:
        reference: shape (n, 10), votes or proportions, n at least 1.
        candidate: shape (n, 10), the same photographs in the same order.

    Returns:
        The `Agreement`.

    Raises:
        ValueError: the shapes differ, n is 0, or a row is no histogram.
    """
    ref, cand = np.asarray(reference, np.float64), np.asarray(candidate, np.float64)
    if ref.shape != cand.shape or ref.ndim != 2:
        raise ValueError(
            f"agreement compares two (n, 10) arrays of the same photographs, not {ref.shape} with {cand.shape}"
        )
    if len(ref) == 0:
        raise ValueError("agreement needs at least one photograph")
    ref, cand = as_distribution(ref), as_distribution(cand)
    a, b = mean_rating(ref), mean_rating(cand)
    gap = b - a
    spread = float(a.std()) if np.ptp(a) > 0 else 0.0  # the std of a constant need not be 0 to the last bit
    return Agreement(
        n=len(ref),
        mae=float(np.abs(gap).mean()),
        bias=float(gap.mean()),
        p99=float(np.percentile(np.abs(gap), 99)),
        maximum=float(np.abs(gap).max()),
        std_mae=float(np.abs(rating_std(cand) - rating_std(ref)).mean()),
        emd_r1=float(earth_movers_distance(ref, cand, r=1).mean()),
        emd_r2=float(earth_movers_distance(ref, cand, r=2).mean()),
        srcc=spearman(a, b),
        plcc=pearson(a, b),
        flips=float(((a >= FLIP_AT) != (b >= FLIP_AT)).mean()),
        spread_ratio=float(b.std()) / spread if spread > 0 else float("nan"),
        largest_bin=float(np.abs(cand - ref).max()),
    )


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's linear correlation of two (n,) arrays; `nan` when n < 2 or either is constant."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(_direction(x) @ _direction(y), -1.0, 1.0))


def _direction(values: Floats) -> Floats:
    """Deviations from the mean, at unit length; scaled first, so that squares of tiny ones do not underflow."""
    deviations = values - values.mean()
    deviations /= np.abs(deviations).max()
    unit: Floats = deviations / np.linalg.norm(deviations)
    return unit


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two (n,) arrays, ties sharing their mean rank; `nan` as `pearson`."""
    return pearson(_ranks(np.asarray(a, np.float64)), _ranks(np.asarray(b, np.float64)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of the ranks that they span."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2.0)[where]
    return ranks


RESAMPLES = 1000
LEVEL = 0.95
FEWEST = 10
"""Photographs below which an interval is not given: resamples of fewer are mostly the same few."""

_CELLS = 1 << 19  # of one chunk of resamples: a few megabytes an array, so that it stays in the cache


def bootstrap_weights(n: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Draw n of n photographs with replacement, again and again (Efron 1979).

    Statistics of the same weights are paired: their difference has an interval of its own.

    Args:
        n: photographs; fewer than `FEWEST` give no draws.
        resamples: how many draws.
        seed: of the draws; the same weights for the same n, resamples, seed and version of NumPy.

    Returns:
        float64, shape (some, n), a few draws at a time: how often each photograph is in each draw.
    """
    random = np.random.default_rng(seed)
    if n < FEWEST:
        return
    rows = max(1, _CELLS // n)
    for first in range(0, resamples, rows):
        draws = min(rows, resamples - first)
        drawn = random.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
        yield np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def percentile_interval(draws: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of a bootstrapped statistic (Efron and Tibshirani 1993, chapter 13).

    Args:
        draws: shape (resamples,), `nan` where a resample leaves the statistic undefined.
        level: share of the draws inside, in 0..1.

    Returns:
        Its two ends; `nan` for both when more than one draw in twenty is undefined, or there are no draws.
    """
    values = np.asarray(draws, np.float64)
    defined = values[np.isfinite(values)]
    if len(defined) == 0 or len(defined) < 0.95 * len(values):
        return float("nan"), float("nan")
    tail = 50 * (1 - level)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def resampled_means(a: Floats, b: Floats, weights: Floats) -> dict[str, Floats]:
    """SRCC, PLCC and spread ratio of `b` to `a` in each of many resamples.

    Args:
        a: mean ratings, shape (n,).
        b: mean ratings, shape (n,).
        weights: shape (resamples, n), how often each photograph is drawn.

    Returns:
        float64, shape (resamples,), by the names that `Agreement` has for them; `nan` where not defined.
    """
    spread = weighted_std(a, weights)
    return {
        "srcc": weighted_pearson(weighted_ranks(a, weights), weighted_ranks(b, weights), weights),
        "plcc": weighted_pearson(a, b, weights),
        "spread_ratio": np.divide(weighted_std(b, weights), spread, out=np.full_like(spread, np.nan), where=spread > 0),
    }


def resampled_averages(columns: Mapping[str, Floats], weights: Floats) -> dict[str, Floats]:
    """The average of each of several things in each of many resamples.

    Args:
        columns: shape (n,) each.
        weights: shape (resamples, n), how often each photograph is drawn.

    Returns:
        float64, shape (resamples,), by the same names.
    """
    averages = weights @ np.stack(list(columns.values()), axis=1) / weights.shape[1]
    return dict(zip(columns, averages.T, strict=True))


def weighted_pearson(x: ArrayLike, y: ArrayLike, weights: ArrayLike) -> Floats:
    """Pearson's correlation in each of many resamples.

    Args:
        x: shape (n,), or (resamples, n) where it differs from one to the next.
        y: the same.
        weights: shape (resamples, n), how often each photograph is drawn.

    Returns:
        float64, shape (resamples,), in -1..1; `nan` where either is constant among what is drawn.
    """
    w = np.asarray(weights, np.float64)
    a, b = _weighted_deviations(x, w), _weighted_deviations(y, w)
    length = np.sqrt(np.einsum("rn,rn,rn->r", w, a, a) * np.einsum("rn,rn,rn->r", w, b, b))
    together = np.einsum("rn,rn,rn->r", w, a, b)
    result: Floats = np.divide(together, length, out=np.full(len(w), np.nan), where=length > 0)
    return np.clip(result, -1.0, 1.0)


def weighted_ranks(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Ranks in each of many resamples, without sorting any of them; ties share their mean rank, copies are ties.

    Args:
        values: shape (n,).
        weights: shape (resamples, n), how often each photograph is drawn.

    Returns:
        float64, shape (resamples, n); meaningless where the weight is 0.
    """
    x, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    _, where = np.unique(x, return_inverse=True)
    order = np.argsort(where, kind="stable")
    starts = np.flatnonzero(np.diff(where[order], prepend=-1))
    counts = np.add.reduceat(w[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, where]
    return ranks


def weighted_std(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Standard deviation (of the population) in each of many resamples.

    Args:
        values: shape (n,).
        weights: shape (resamples, n), how often each photograph is drawn.

    Returns:
        float64, shape (resamples,).
    """
    w = np.asarray(weights, np.float64)
    x = np.asarray(values, np.float64)
    scale = float(np.abs(x - x.mean()).max())
    deviations = _weighted_deviations(x, w)
    std: Floats = scale * np.sqrt(np.einsum("rn,rn,rn->r", w, deviations, deviations) / w.sum(axis=1))
    return std


def _weighted_deviations(values: ArrayLike, w: Floats) -> Floats:
    """Deviations from each resample's mean, in units of the largest overall; 0 where a resample is constant."""
    x = np.asarray(values, np.float64)
    centred = x - x.mean(axis=-1, keepdims=True)
    largest = np.abs(centred).max(axis=-1, keepdims=True)
    # Below this is the rounding of a constant: its mean need not be the constant to the last bit.
    centred = np.divide(centred, largest, out=np.zeros_like(centred), where=largest > 1e-14 * np.abs(x).max())
    centred = np.broadcast_to(centred, w.shape)
    deviations: Floats = centred - (np.einsum("rn,rn->r", w, centred) / w.sum(axis=1))[:, None]
    deviations[np.abs(np.einsum("rn,rn,rn->r", w, deviations, deviations)) < 1e-24 * w.sum(axis=1)] = 0.0
    return deviations
