"""Rounding weights to int8 so that a layer's output, not its weights, stays where it was.

For a linear layer the expected squared error of one output is e H e', where e is the row's rounding error and H the
covariance of its inputs (the mean is the bias's business). Rounding to nearest minimises e e' instead, which is the
same only for uncorrelated inputs; neighbouring pixels and channels are anything but.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

LIMIT = 127
SWEEPS = 6


def row_scales(rows: Doubles, smallest: Doubles | float) -> Doubles:
    """Scale of each row (rows, 1) at which its largest weight is 127, and no smaller than `smallest`."""
    return np.asarray(np.maximum(np.abs(rows).max(1, keepdims=True) / LIMIT, smallest))


def round_together(rows: Doubles, scales: Doubles, covariance: Doubles) -> Doubles:
    """Round rows that see the same inputs: GPTQ (Frantar et al. 2022, algorithm 1), then coordinate descent.

    Args:
        rows: (rows, k) weights.
        scales: (rows, 1).
        covariance: (k, k) of the inputs, not negative.

    Returns:
        (rows, k) whole numbers in -127..127.
    """
    k = rows.shape[1]
    order = np.argsort(-np.diag(covariance))
    damped = covariance[np.ix_(order, order)] + np.eye(k) * (1e-3 * np.trace(covariance) / k + 1e-12)
    inverse = np.linalg.inv(damped)
    spread = np.linalg.cholesky((inverse + inverse.T) / 2).T
    left, rounded = rows[:, order].copy(), np.zeros_like(rows)
    for i in range(k):
        rounded[:, i] = _whole(left[:, i] / scales[:, 0])
        error = (left[:, i] - rounded[:, i] * scales[:, 0]) / spread[i, i]
        left[:, i + 1 :] -= error[:, None] * spread[i, i + 1 :]
    back = np.empty_like(rounded)
    back[:, order] = rounded
    return descend(rows, scales, covariance[None], back)


def round_apart(rows: Doubles, smallest: Doubles | float, covariances: Doubles) -> tuple[Doubles, Doubles]:
    """Round rows that each see inputs of their own, as depthwise kernels do, each at its best scale.

    With nine weights a row every scale can be tried: 26 of them, from half of the largest weight's to all of it.

    Args:
        rows: (rows, k) weights.
        smallest: no scale is below this; one, or one a row (rows, 1).
        covariances: (rows, k, k).

    Returns:
        Whole numbers (rows, k) in -127..127, and scales (rows, 1).
    """
    best, best_scales = np.zeros_like(rows), row_scales(rows, smallest)
    least = np.full(len(rows), np.inf)
    for share in np.linspace(0.5, 1.0, 26):
        scales = np.maximum(row_scales(rows, smallest) * share, smallest)
        rounded = descend(rows, scales, covariances, _whole(rows / scales))
        error = rounded * scales - rows
        cost = np.einsum("rk,rkj,rj->r", error, covariances, error)
        better = cost < least
        least[better], best[better], best_scales[better] = cost[better], rounded[better], scales[better]
    return best, best_scales


def descend(rows: Doubles, scales: Doubles, covariances: Doubles, start: Doubles) -> Doubles:
    """Move one weight at a time, by whole steps, while that lowers e H e'; arguments as `round_apart`'s.

    `covariances` may have a single (1, k, k) for all rows.
    """
    shared = len(covariances) == 1
    rounded = start.copy()
    error = scales * rounded - rows
    slope = error @ covariances[0] if shared else np.matmul(error[:, None, :], covariances)[:, 0]
    for _ in range(SWEEPS):
        moved = False
        for i in range(rows.shape[1]):
            curve = np.maximum(covariances[:, i, i], 1e-30) * scales[:, 0]
            after = np.clip(rounded[:, i] - np.rint(slope[:, i] / curve), -LIMIT, LIMIT)
            step = after - rounded[:, i]
            where = np.flatnonzero(step)
            if len(where):
                moved = True
                rounded[where, i] = after[where]
                slope[where] += (step[where] * scales[where, 0])[:, None] * covariances[0 if shared else where, i]
        if not moved:
            break
    return rounded


def _whole(values: Doubles) -> Doubles:
    return np.asarray(np.clip(np.rint(values), -LIMIT, LIMIT))
