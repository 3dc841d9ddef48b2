"""Numbers: histograms with their moments, and what an interpreter may put out."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_nima.distribution import BINS, as_distribution, mean_rating, rating_std
from edge_nima.errors import ModelError
from edge_nima.interpreter import proportions

_SEED = 20261125


def distributions() -> list[dict[str, Any]]:
    """Votes or proportions, and what they become."""
    random = np.random.default_rng(_SEED)
    votes = [
        *np.eye(BINS)[[0, 4, 9]],
        np.ones(BINS),
        np.array([1.0] + [0.0] * (BINS - 2) + [1.0]),
        np.full(BINS, 1e-9),
        *random.integers(0, 200, (8, BINS)).astype(float),
        *random.dirichlet(np.ones(BINS), 8),
    ]
    return [
        {
            "votes": row.tolist(),
            "distribution": as_distribution(row).tolist(),
            "mean": float(mean_rating(row)),
            "std": float(rating_std(row)),
        }
        for row in votes
    ]


def outputs() -> list[dict[str, Any]]:
    """Ten float32 values of a model's output, and the distribution; null where they are none."""
    random = np.random.default_rng(_SEED + 1)
    good = random.dirichlet(np.ones(BINS), 4)
    rounded = np.rint(good[0] * 256) / 256
    told = []
    for raw in (
        *good, rounded, good[1] * 1.019, good[1] * 0.981, good[1] * 1.03, good[2] * 0.97, np.zeros(BINS), np.ones(BINS),
        np.array([-9e-7, good[3][:2].sum(), *good[3][2:]]), np.array([-0.01, 1.01] + [0.0] * (BINS - 2)),
    ):  # fmt: skip
        values = raw.astype(np.float32).astype(np.float64)
        try:
            told.append({"raw": values.tolist(), "distribution": proportions(values).tolist(), "why": None})
        except ModelError as error:
            told.append({"raw": values.tolist(), "distribution": None, "why": str(error)})
    return told
