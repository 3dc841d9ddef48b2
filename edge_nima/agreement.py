"""How two opinions on the same photographs compare: a quantised model with its float model, or a model with people."""

from __future__ import annotations

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
    spread = float(a.std())
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
