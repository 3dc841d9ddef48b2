"""How two opinions on the same photographs compare: a quantised model with its float model, or a model with people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_nima.distribution import Floats, as_distribution, earth_movers_distance, mean_rating, rating_std

FLIP_AT = 5.0
_ROUNDING = 5e-6
"""Ten times what float32 arithmetic moves a mean by; far below the step of a mean of votes."""


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
    reference_spread: float
    """Standard deviation of the reference's means, rating points; 0 where they are all the same."""

    def share(self, statistic: str) -> float:
        """A statistic in rating points as a share of the reference's spread; `nan` where there is no spread."""
        value: float = getattr(self, statistic)
        return value / self.reference_spread if self.reference_spread > 0 else math.nan


def is_good(means: ArrayLike) -> NDArray[np.bool_]:
    """Whether mean ratings are on the good side of 5, to which 5 itself belongs, however it was rounded.

    A histogram around 5 has a mean of 5 but for the last bits of float32 or float64, which differ between runtimes.
    """
    return at_least(means, FLIP_AT)


def at_least(means: ArrayLike, edge: float) -> NDArray[np.bool_]:
    """Whether mean ratings are `edge` or more; one that is `edge` but for its rounding is."""
    there: NDArray[np.bool_] = np.asarray(means, np.float64) >= edge - _ROUNDING
    return there


def measure_agreement(reference: ArrayLike, candidate: ArrayLike) -> Agreement:
    """Compare two sets of predicted distributions, row by row.

    Args:
        reference: shape (n, 10), votes or proportions, n at least 1.
        candidate: shape (n, 10), the same photographs in the same order.

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
    a, b, whole = mean_rating(ref), mean_rating(cand), np.ones((1, len(ref)))
    gap = np.abs(b - a)
    return Agreement(
        n=len(ref),
        p99=float(np.percentile(gap, 99)),
        maximum=float(gap.max()),
        largest_bin=float(np.abs(cand - ref).max()),
        reference_spread=float(weighted_std(a, whole)[0]),
        **{name: float(values.mean()) for name, values in differences(ref, cand).items()},
        **{name: float(values[0]) for name, values in resampled_means(a, b, whole).items()},
    )


def differences(reference: Floats, candidate: Floats) -> dict[str, Floats]:
    """What `Agreement` averages, by its names: of distributions of shape (n, 10), shape (n,) each."""
    a, b = mean_rating(reference), mean_rating(candidate)
    return {
        "mae": np.abs(b - a),
        "bias": b - a,
        "std_mae": np.abs(rating_std(candidate) - rating_std(reference)),
        "emd_r1": earth_movers_distance(reference, candidate, r=1),
        "emd_r2": earth_movers_distance(reference, candidate, r=2),
        "flips": (is_good(a) != is_good(b)).astype(np.float64),
    }


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's linear correlation of two (n,) arrays; `nan` when n < 2 or either is constant."""
    return float(weighted_pearson(a, b, np.ones((1, np.size(a))))[0])


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two (n,) arrays, ties sharing their mean rank; `nan` as `pearson`."""
    whole = np.ones((1, np.size(a)))
    return float(weighted_pearson(weighted_ranks(a, whole), weighted_ranks(b, whole), whole)[0])


RESAMPLES = 1000
LEVEL = 0.95
NORMAL = 1.959964
"""Standard deviations either side of a normal mean that hold `LEVEL`."""
FEWEST = 10
"""Photographs below which an interval is not given: resamples of fewer are mostly the same few."""

_CELLS = 1 << 19  # of one chunk of resamples: a few megabytes an array, so that it stays in the cache


def bootstrap_weights(n: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Draw n of n photographs with replacement, again and again (Efron 1979).

    Statistics of the same weights are paired: their difference has an interval of its own.

    Returns:
        float64, shape (some, n), a few draws at a time: how often each photograph is in each draw; none for fewer than
        `FEWEST`. The same for the same n, resamples, seed and version of NumPy.
    """
    random = np.random.default_rng(seed)
    if n < FEWEST:
        return
    rows = max(1, _CELLS // n)
    for first in range(0, resamples, rows):
        draws = min(rows, resamples - first)
        drawn = random.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
        yield np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def percentile_interval(draws: ArrayLike) -> tuple[float, float]:
    """95 % percentile interval of a bootstrapped statistic (Efron and Tibshirani 1993, chapter 13).

    Args:
        draws: shape (resamples,), `nan` where a resample leaves the statistic undefined; more than one in twenty, or no
            draw at all, leave both ends `nan`.
    """
    values = np.asarray(draws, np.float64)
    defined = values[np.isfinite(values)]
    if len(defined) == 0 or len(defined) < 0.95 * len(values):
        return float("nan"), float("nan")
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def correlation_interval(value: float, draws: Floats) -> tuple[float, float]:
    """95 % interval of a correlation near 1: normal on Fisher's z, less the bias that the draws show.

    Copies in a resample are ties, so draws of a rank correlation lie below it. Of 300 samples of 300 photographs with
    .9992 in truth, the percentile interval's upper end lay below that in 77 %, this one's in 3 %; of 100, 64 % and 9 %.
    """
    if math.isnan(percentile_interval(draws)[0]):
        return math.nan, math.nan
    z, centre = (np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)) for r in (draws[np.isfinite(draws)], value))
    low, high = (np.tanh(2 * centre - z.mean() + way * NORMAL * z.std()) for way in (-1, 1))
    return min(value, float(low)), max(value, float(high))


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of `n` (JASA 22, 1927): it holds for 0 of n as well."""
    centre = share + NORMAL**2 / (2 * n)
    reach = NORMAL * math.sqrt(share * (1 - share) / n + NORMAL**2 / (4 * n * n))
    low, high = ((centre + way) / (1 + NORMAL**2 / n) for way in (-reach, reach))
    return max(0.0, low), min(1.0, high)


def resampled_means(a: Floats, b: Floats, weights: Floats) -> dict[str, Floats]:
    """SRCC, PLCC and spread ratio of `b` to `a`, mean ratings of shape (n,), in each of many resamples.

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
    """The average of each of several things, shape (n,), in each of many resamples, shape (resamples,)."""
    averages = weights @ np.stack(list(columns.values()), axis=1) / weights.shape[1]
    return dict(zip(columns, averages.T, strict=True))


def weighted_pearson(x: ArrayLike, y: ArrayLike, weights: ArrayLike) -> Floats:
    """Pearson's correlation in each of many resamples.

    `x` and `y` have shape (n,), or (resamples, n) where they differ from one resample to the next. Returns float64,
    shape (resamples,), in -1..1; `nan` where either is constant among what is drawn.
    """
    w = np.asarray(weights, np.float64)
    a, b = _weighted_deviations(x, w), _weighted_deviations(y, w)
    length = np.sqrt(np.einsum("rn,rn,rn->r", w, a, a) * np.einsum("rn,rn,rn->r", w, b, b))
    together = np.einsum("rn,rn,rn->r", w, a, b)
    result: Floats = np.divide(together, length, out=np.full(len(w), np.nan), where=length > 0)
    return np.clip(result, -1.0, 1.0)


def weighted_ranks(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Ranks of (n,) values in each of many resamples, shape (resamples, n); meaningless where the weight is 0.

    No resample is sorted for itself. Ties share their mean rank; copies are ties.
    """
    x, w = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    _, where = np.unique(x, return_inverse=True)
    order = np.argsort(where, kind="stable")
    starts = np.flatnonzero(np.diff(where[order], prepend=-1))
    counts = np.add.reduceat(w[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, where]
    return ranks


def weighted_std(values: ArrayLike, weights: ArrayLike) -> Floats:
    """Standard deviation (of the population) of (n,) values in each of many resamples, shape (resamples,)."""
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
