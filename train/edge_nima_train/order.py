"""Which photographs an epoch shows, in which order, and how each is cropped and flipped: a pure function of its number.

Nothing here remembers anything, so a run that was killed goes on with the very batches that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_nima.ava import rating_bins
from edge_nima.distribution import Floats

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Epoch:
    """An epoch's draws: equally long columns, a whole number of batches."""

    rows: Rows
    """Of the photographs."""
    left: NDArray[np.int64]
    """Of the crop, in pixels."""
    top: NDArray[np.int64]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)


def plan_epoch(
    seed: int,
    phase: int,
    epoch: int,
    rows: Rows,
    *,
    batch: int,
    slack: int,
    crop: bool = True,
    flip: bool = True,
    shares: Floats | None = None,
) -> Epoch:
    """Draw an epoch.

    Args:
        seed: of the run.
        phase: of the run, 1 or 2; the phases draw differently.
        epoch: from 0.
        rows: photographs to train on.
        batch: photographs in a step; what is left over after whole batches is not shown in this epoch.
        slack: how much larger a packed photograph is than the crop, pixels.
        crop: whether crops lie anywhere; else in the centre.
        flip: whether half are mirrored.
        shares: how often each row is drawn, shape (len(rows),), relative to the others; an epoch then still has
            len(rows) draws. None shows each once.
    """
    random = np.random.Generator(np.random.Philox(key=[seed, phase << 32 | epoch]))
    if shares is None:
        drawn = random.permutation(rows)
    else:
        drawn = random.permutation(rows[spread_draws(shares, len(rows), random)])
    size = min(batch, len(drawn))
    drawn = drawn[: len(drawn) // size * size]
    n = len(drawn)
    # Drawn in any case, so that switching one thing off leaves the others as they were.
    left, top = random.integers(0, slack + 1, (2, n))
    mirrored = random.random(n) < 0.5
    if not crop:
        left, top = np.full((2, n), slack // 2)
    return Epoch(drawn, left, top, mirrored if flip else np.zeros(n, bool))


def spread_draws(shares: Floats, n: int, random: np.random.Generator) -> Rows:
    """Indices drawn in proportion to `shares`, as evenly as can be (systematic resampling, Kitagawa 1996).

    Args:
        shares: shape (m,), not negative, not all 0.
        n: how many.
        random: where the one random offset comes from.

    Returns:
        Shape (n,), ascending; index i comes up floor or ceil of n * shares[i] / sum(shares) times.
    """
    ends = np.cumsum(shares)
    points = (np.arange(n) + random.random()) * (ends[-1] / n)
    drawn: Rows = np.minimum(np.searchsorted(ends, points, side="right"), len(shares) - 1)
    return drawn


def rare_shares(means: Floats, most: int, bins: int = 10) -> Floats:
    """How often each photograph is shown so that rare rating bins are learnt too: 1 in the fullest bin, up to `most`.

    The square root of how much rarer its bin is than the fullest: half way, in factors, to bins that are all alike.

    Args:
        means: mean ratings, shape (n,).
        most: the largest factor, at least 1.
        bins: how many equally wide ones.
    """
    where = rating_bins(means, bins)
    counts = np.bincount(where, minlength=bins)
    shares: Floats = np.minimum(np.sqrt(counts.max() / counts[where]), float(most))
    return shares
