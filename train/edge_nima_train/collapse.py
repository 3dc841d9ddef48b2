"""The collapse gate: predictions that crowd around the average score well by accuracy and EMD, and say nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_nima.agreement import pearson
from edge_nima.distribution import Floats
from edge_nima.people import Estimate

MIN_SPREAD = 0.4
"""Spread ratio below which predictions count as collapsed. Least squares spreads its predictions by exactly its
correlation (PLCC) of people's spread, so an honest network has about that; the published MobileNet with the lowest
correlation on AVA has .51 to .52. What lies below .4 has either collapsed or hardly correlates: both are no scorer."""
_SAME = 0.01
"""Rating points of spread below which predictions count as one and the same."""


@dataclass(frozen=True)
class Collapse:
    """Whether the predictions have collapsed."""

    status: str
    """"passed", "failed" or "not judged"."""
    told: str
    """Why, in words."""
    min_spread: float
    people_std: float
    """Standard deviation of people's means, rating points."""
    model_std: float


def judge_spread(
    people: Floats, means: Floats, min_spread: float, ratio: Estimate, tails: Sequence[tuple[str, int, int]] = ()
) -> Collapse:
    """Judge the spread of predicted means.

    Args:
        people: mean ratings, shape (n,).
        means: predicted ones, shape (n,).
        min_spread: the least ratio that passes.
        ratio: of the two spreads, with its interval.
        tails: what each is called, how many photographs people put there and how many of them the network does.
    """
    theirs, ours = float(people.std()), float(means.std())

    def verdict(status: str, told: str) -> Collapse:
        return Collapse(status, told, min_spread, theirs, ours)

    if min_spread == 0:
        return verdict("not judged", f"the gate is off (--min-spread 0); the spread ratio is {ratio.value:.2f}")
    if math.isnan(ratio.value) or theirs < _SAME:
        return verdict("not judged", "people rate all these photographs alike: a spread ratio is not defined")
    if ours < _SAME:
        return verdict(
            "failed",
            f"every photograph is given the same rating, {means.mean():.2f}: the network has learned the average and "
            "looks at nothing",
        )
    spread = f"their spread is {ratio.value:.2f} of people's ({ours:.2f} against {theirs:.2f} rating points)"
    correlation = pearson(people, means)
    if ratio.value >= min_spread:
        told = f"the predictions do not crowd: {spread}, at least {min_spread:g}"
        if correlation > 0 and ratio.value < 0.8 * correlation:
            told += f"; yet a correlation of {correlation:.2f} would allow for that spread, {correlation:.2f}"
        return verdict("passed", told)
    told = f"the predictions crowd around {means.mean():.2f}: {spread}, below the {min_spread:g} asked for"
    lost = [
        f"of {there} photographs that people rate {what} it puts {found} there" for what, there, found in tails if there
    ]
    if lost:
        told += "; " + ", ".join(lost)
    if correlation > ratio.value:
        told += f"; at its correlation of {correlation:.2f} an honest network spreads about {correlation:.2f}"
    if ratio.low <= min_spread <= ratio.high:
        told += f"; with {len(means)} photographs the interval, {ratio.low:.2f} to {ratio.high:.2f}, includes the limit"
    return verdict("failed", told)
