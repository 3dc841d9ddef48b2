"""The mathematics of rating histograms: ten proportions for the ratings 1..10. NumPy only, no input or output.

Notation follows Talebi and Milanfar, "NIMA: Neural Image Assessment" (IEEE TIP 2018, arXiv:1709.05424).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RATINGS: Floats = np.arange(1.0, 11.0)
RATINGS.setflags(write=False)
BINS = len(RATINGS)


def as_distribution(histogram: ArrayLike) -> Floats:
    """Scale votes or proportions so that each row sums to 1.

    Args:
        histogram: shape (..., 10), votes or proportions of the ratings 1..10, finite and not negative.

    Returns:
        float64 of the same shape, each row summing to 1.

    Raises:
        ValueError: the last axis is not ten long, a value is negative or not finite, or a row is all zero.
    """
    h = np.asarray(histogram, dtype=np.float64)
    if h.ndim == 0 or h.shape[-1] != BINS:
        raise ValueError(f"a rating histogram has {BINS} bins on its last axis, this one has shape {h.shape}")
    if not np.isfinite(h).all():
        raise ValueError("a rating histogram holds a value that is not finite")
    if (h < 0).any():
        raise ValueError(f"a rating histogram holds a negative value ({h.min():g})")
    total = h.sum(axis=-1, keepdims=True)
    if (total == 0).any():
        raise ValueError("a rating histogram is all zero: nobody rated")
    scaled: Floats = h / total
    return scaled


def mean_rating(distribution: ArrayLike) -> Floats:
    """Mean opinion score, sum over k of k * p_k (Talebi and Milanfar, section III-A).

    Args:
        distribution: shape (..., 10), votes or proportions.

    Returns:
        float64, shape (...), in 1..10.

    Raises:
        ValueError: as `as_distribution`.
    """
    mean: Floats = as_distribution(distribution) @ RATINGS
    return np.clip(mean, 1.0, 10.0)


def rating_std(distribution: ArrayLike) -> Floats:
    """Standard deviation of the ratings around their mean, in rating points, 0..4.5.

    Args:
        distribution: shape (..., 10), votes or proportions.

    Returns:
        float64, shape (...).

    Raises:
        ValueError: as `as_distribution`.
    """
    p = as_distribution(distribution)
    gap = RATINGS - (p @ RATINGS)[..., None]
    std: Floats = np.sqrt((p * gap**2).sum(axis=-1))
    return std


def moments(distribution: Floats) -> tuple[float, float]:
    """`mean_rating` and `rating_std` of one distribution that is known to be one, to the bit: without their checks.

    Args:
        distribution: float64, shape (10,), finite, not negative, not all zero.
    """
    p = distribution / distribution.sum()
    mean = p @ RATINGS
    gap = RATINGS - mean
    return min(max(float(mean), 1.0), 10.0), math.sqrt((p * gap**2).sum())


def earth_movers_distance(p: ArrayLike, q: ArrayLike, r: float = 2.0) -> Floats:
    """Earth mover's distance between rating histograms: (1/10 * sum_k |CDF_p(k) - CDF_q(k)|^r)^(1/r).

    Equation 1 of Talebi and Milanfar, after Levina and Bickel (2001). r=2 is the NIMA training loss; r=1 is also
    published: always say which.

    Args:
        p: shape (..., 10), votes or proportions.
        q: shape (..., 10), broadcast against `p`.
        r: exponent, at least 1, finite.

    Returns:
        float64 in 0..(9/10)^(1/r), of the broadcast leading shape.

    Raises:
        ValueError: `r` is below 1 or infinite, or as `as_distribution`.
    """
    if not 1 <= r < float("inf"):
        raise ValueError(f"the exponent r of the earth mover's distance is at least 1 and finite, not {r}")
    gap = np.abs(np.cumsum(as_distribution(p), axis=-1) - np.cumsum(as_distribution(q), axis=-1))
    distance: Floats = np.mean(gap**r, axis=-1) ** (1.0 / r)
    return distance


def max_entropy_distribution(mean: float) -> Floats:
    """The least presuming histogram with a given mean: p_k proportional to exp(a * k) (Jaynes 1957).

    For data sets that publish only a mean. The real histogram is narrower: say so wherever this one is used.

    Args:
        mean: in 1..10. At the ends all mass is in one bin.

    Returns:
        float64, shape (10,), sums to 1, its mean within 1e-9 of `mean`.

    Raises:
        ValueError: `mean` is outside 1..10 or not a number.
    """
    if not 1.0 <= mean <= 10.0:
        raise ValueError(f"a mean rating lies in 1..10, not {mean}")
    low, high = (
        -750.0,
        750.0,
    )  # exp() of a shifted exponent cannot overflow, and beyond this every bin but one is 0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _exponential(middle) @ RATINGS < mean:
            low = middle
        else:
            high = middle
    return _exponential((low + high) / 2)


def _exponential(a: float) -> Floats:
    exponent = a * RATINGS
    p = np.exp(exponent - exponent.max())
    scaled: Floats = p / p.sum()
    return scaled
