"""What `edge_nima.people` does not measure: balanced accuracy, RMSE, both tails, the ratings' standard deviation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_nima.agreement import (
    at_least,
    bootstrap_weights,
    is_good,
    pearson,
    percentile_interval,
    resampled_averages,
    spearman,
    weighted_pearson,
    weighted_ranks,
)
from edge_nima.distribution import Floats, mean_rating, rating_std
from edge_nima.people import Estimate, people_means

LOW_TAIL, HIGH_TAIL = 4.0, 7.0
"""People's means below the one and above the other are the tails: what a collapsed network loses first."""
_LOW: Callable[[Any], Any] = lambda means: ~at_least(means, LOW_TAIL)  # noqa: E731
_HIGH: Callable[[Any], Any] = lambda means: ~at_least(-means, -HIGH_TAIL)  # noqa: E731


@dataclass(frozen=True)
class Tail:
    """One end of the ratings."""

    side: str
    """"below" or "above"."""
    edge: float
    people: int
    """Photographs that people rate beyond the edge."""
    model: int
    """Photographs that the network puts there."""
    both: int
    recall: Estimate
    """Share of people's, 0..1, that the network puts there too; `nan` where there are none."""
    constant: float
    """What the constant answer's recall is: 0, or 1 where its mean lies there."""


class MoreStatistics:
    """What `hold_against_people` has not, on all photographs and on the same resamples of them."""

    def __init__(self, truth: Floats, model: Floats, resamples: int, seed: int) -> None:
        """Take distributions, shape (n, 10) each, and the bootstrap's numbers."""
        self._people, self._means = people_means(truth), mean_rating(model)
        self._stds = np.round(rating_std(truth), 9), rating_std(model)
        people, means = self._people, self._means
        good, right = is_good(people), is_good(people) == is_good(means)
        self._columns: dict[str, Floats] = {
            name: values.astype(np.float64)
            for name, values in {
                "good": good, "good_right": good & right, "bad": ~good, "bad_right": ~good & right,
                "low": _LOW(people), "low_both": _LOW(people) & _LOW(means),
                "high": _HIGH(people), "high_both": _HIGH(people) & _HIGH(means),
                "square": (means - people) ** 2,
            }.items()
        }  # fmt: skip
        whole = self._of({name: np.array([values.mean()]) for name, values in self._columns.items()})
        self.values = {name: float(values[0]) for name, values in whole.items()}
        self.values |= {"std_srcc": spearman(*self._stds), "std_plcc": pearson(*self._stds)}
        draws: dict[str, list[Floats]] = {}
        for weights in bootstrap_weights(len(truth), resamples, seed):
            drawn = self._of(resampled_averages(self._columns, weights))
            theirs, ours = self._stds
            drawn["std_plcc"] = weighted_pearson(theirs, ours, weights)
            ranks = weighted_ranks(theirs, weights), weighted_ranks(ours, weights)
            drawn["std_srcc"] = weighted_pearson(*ranks, weights)
            for name, values in drawn.items():
                draws.setdefault(name, []).append(values)
        self._draws = {name: np.concatenate(parts) for name, parts in draws.items()}

    @staticmethod
    def _of(averages: Mapping[str, Floats]) -> dict[str, Floats]:
        """Statistics of the columns' averages; `nan` where there is nothing to divide by."""

        def share(part: str, of: str) -> Floats:
            whole = averages[of]
            result: Floats = np.divide(averages[part], whole, out=np.full_like(whole, np.nan), where=whole > 0)
            return result

        return {
            "balanced_accuracy": (share("good_right", "good") + share("bad_right", "bad")) / 2,
            "low_recall": share("low_both", "low"),
            "high_recall": share("high_both", "high"),
            "rmse": np.sqrt(averages["square"]),
        }

    def estimate(self, name: str) -> Estimate:
        """One statistic with its interval."""
        low, high = percentile_interval(self._draws.get(name, np.array([])))
        if low == high:  # a share of all, or of none, is the same in every resample: that is not certainty
            low = high = math.nan
        return Estimate(self.values[name], low, high)

    def tails(self, constant: float) -> tuple[Tail, Tail]:
        """Both tails, beside an answer that is always `constant`."""
        people, means = self._people, self._means

        def tail(name: str, side: str, edge: float, is_beyond: Callable[[Any], Any]) -> Tail:
            theirs, ours = is_beyond(people), is_beyond(means)
            there = int(theirs.sum())
            return Tail(
                side, edge, there, int(ours.sum()), int((theirs & ours).sum()), self.estimate(f"{name}_recall"),
                float(is_beyond(constant)) if there else math.nan,
            )  # fmt: skip

        return tail("low", "below", LOW_TAIL, _LOW), tail("high", "above", HIGH_TAIL, _HIGH)

    def why_undefined(self) -> dict[str, str]:
        """A reason for each statistic that may not be defined."""

        def why(a: Floats, b: Floats, what: str) -> str:
            if len(a) < 2:
                return "one photograph only"
            whose = "people's" if np.ptp(a) == 0 else "the model's"
            return f"all of {whose} {what} are the same"

        of_means, of_stds = why(self._people, self._means, "means"), why(*self._stds, "stds")
        one_side = "people put all photographs on one side of 5"
        return {
            "srcc": of_means, "plcc": of_means, "spread_ratio": of_means, "std_srcc": of_stds, "std_plcc": of_stds,
            "balanced_accuracy": one_side,
        }  # fmt: skip
