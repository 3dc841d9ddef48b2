"""Which photographs an epoch shows, in which order, and how each is cropped and flipped: a pure function of its number.

Nothing here remembers anything, so a run that was killed goes on with the very batches that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats
from edge_nima.labels import rating_bins

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

    def at(self, places: Rows) -> Epoch:
        """The draws at some places, in their order."""
        return Epoch(self.rows[places], self.left[places], self.top[places], self.mirrored[places])


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


def plan_view(seed: int, view: int, rows: Rows, slack: int, *, crop: bool, flip: bool) -> Epoch:
    """One view of each of some photographs, in their order: 0 is the centre, 1 its mirror image, others are drawn.

    Args:
        seed: of the run.
        view: its number.
        rows: the photographs.
        slack: as for `plan_epoch`.
        crop: as for `plan_epoch`.
        flip: as for `plan_epoch`; without it view 1 is drawn too.
    """
    n = len(rows)
    if view == 0 or (view == 1 and flip):
        middle = np.full(n, slack // 2)
        return Epoch(rows, middle, middle, np.full(n, view == 1))
    drawn = plan_epoch(seed, 0, view, np.arange(n), batch=1, slack=slack, crop=crop, flip=flip)
    place = np.argsort(drawn.rows)
    return Epoch(rows, drawn.left[place], drawn.top[place], drawn.mirrored[place])


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


def draw_views(seed: int, epoch: int, views: int, n: int) -> Rows:
    """Which of its views each draw of an epoch of phase 1 shows: shape (n,), below `views`."""
    drawn: Rows = np.random.Generator(np.random.Philox(key=[seed, 3 << 32 | epoch])).integers(0, views, n)
    return drawn


def draw_shares(means: Floats, weights: Floats | None, rows: Rows, rare: float) -> Floats | None:
    """How often each training photograph is drawn; None for once each.

    Args:
        means: mean ratings of the training photographs, shape (len(rows),).
        weights: of all photographs, or None.
        rows: those to train on.
        rare: as `most` of `rare_shares`; 1 is off.
    """
    shares = None if weights is None else weights[rows]
    if rare > 1:
        more = rare_shares(means, rare)
        shares = more if shares is None else shares * more
    return shares


def rare_shares(means: Floats, most: float, bins: int = 10) -> Floats:
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
