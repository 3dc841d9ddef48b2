"""Models held against people's ratings, beside what an answer gets that looks at no photograph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_nima.agreement import (
    FEWEST,
    RESAMPLES,
    at_least,
    bootstrap_weights,
    is_good,
    pearson,
    percentile_interval,
    resampled_averages,
    resampled_means,
    spearman,
    weighted_pearson,
    weighted_ranks,
)
from edge_nima.distribution import Floats, earth_movers_distance, mean_rating, rating_std

INFERRED = "the labels hold means only: people's histograms are the max-entropy ones of those means, wider than real"
LOW_TAIL, HIGH_TAIL = 4.0, 7.0
"""People's means below the one and above the other are the tails: what a collapsed network loses first."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrapped 95 % interval; `nan` where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstPeople:
    """A model held against people's ratings, or the difference of two models that were."""

    srcc: Estimate
    """Spearman's rank correlation of the means."""
    plcc: Estimate
    """Pearson's linear correlation of the means."""
    accuracy: Estimate
    """Share of photographs, 0..1, that it puts on the side of 5 where people have them."""
    emd_r1: Estimate
    """Mean earth mover's distance, r=1."""
    emd_r2: Estimate
    """Mean earth mover's distance, r=2."""
    mae: Estimate
    """Mean absolute difference of the mean rating."""
    bias: Estimate
    """Mean difference of the mean rating, model minus people."""
    spread_ratio: Estimate
    """Standard deviation of the model's means over that of people's."""


@dataclass(frozen=True)
class Baselines:
    """What an answer gets that looks at no photograph."""

    good_accuracy: float
    """Accuracy at 5 of always saying "good"."""
    histogram: tuple[float, ...]
    """People's mean histogram of these very photographs."""
    accuracy: float
    """What always giving that histogram gets, here and below."""
    emd_r1: float
    emd_r2: float
    mae: float


@dataclass(frozen=True)
class PeoplePart:
    """Both models against people."""

    source: str
    """The labels' name."""
    n: int
    """Photographs with ratings."""
    unrated: tuple[str, ...]
    """Photographs without; they are left out here and in bins."""
    inferred: bool
    """Whether only means are known, and histograms are max-entropy ones."""
    reference: AgainstPeople
    candidate: AgainstPeople
    difference: AgainstPeople
    """Candidate minus reference, paired: the same resamples."""
    baselines: Baselines


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


def hold_against_people(
    names: Sequence[str],
    reference: Floats,
    candidate: Floats,
    ratings: Floats,
    source: str,
    inferred: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PeoplePart:
    """Hold two models against people's ratings.

    Args:
        names: of n photographs.
        reference: distributions, shape (n, 10).
        candidate: distributions, shape (n, 10).
        ratings: people's distributions, shape (n, 10); rows of `nan` where there are none, not everywhere.
        source: the labels' name.
        inferred: whether `ratings` are max-entropy histograms of known means.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The statistics of those that have ratings.
    """
    rated = ~np.isnan(ratings[:, 0])
    truth = ratings[rated]
    ours, theirs = measure(truth, (reference[rated], candidate[rated]), resamples, seed)
    return PeoplePart(
        source=source,
        n=len(truth),
        unrated=tuple(name for name, has in zip(names, rated, strict=True) if not has),
        inferred=inferred,
        **{
            side: AgainstPeople(**{field.name: one.estimate(field.name) for field in fields(AgainstPeople)})
            for side, one in (("reference", ours), ("candidate", theirs), ("difference", theirs.minus(ours)))
        },
        baselines=_baselines(truth),
    )


def people_means(ratings: Floats) -> Floats:
    """Mean ratings of people, to nine digits: votes are few, so means tie and fall on 5 exactly, but for rounding.

    Args:
        ratings: distributions, shape (..., 10).

    Returns:
        float64, shape (...).
    """
    return np.round(mean_rating(ratings), 9)


def _baselines(truth: Floats) -> Baselines:
    people, average = people_means(truth), truth.mean(axis=0)
    good = float(is_good(people).mean())
    return Baselines(
        good_accuracy=good,
        histogram=tuple(average.tolist()),
        accuracy=good if is_good(people_means(average)) else 1 - good,
        emd_r1=float(earth_movers_distance(truth, average, r=1).mean()),
        emd_r2=float(earth_movers_distance(truth, average, r=2).mean()),
        mae=float(np.abs(people - mean_rating(average)).mean()),
    )


def beyond(means: ArrayLike, side: str) -> NDArray[np.bool_]:
    """Whether mean ratings lie in the tail "below" `LOW_TAIL` or "above" `HIGH_TAIL`, however they were rounded."""
    values = np.asarray(means, np.float64)
    return ~at_least(values, LOW_TAIL) if side == "below" else ~at_least(-values, -HIGH_TAIL)


@dataclass(frozen=True)
class Measured:
    """One model's statistics, by name, on all photographs and on each of the same resamples of them."""

    values: Mapping[str, float]
    draws: Mapping[str, Floats]
    """None of them where photographs are too few."""

    def estimate(self, name: str) -> Estimate:
        """One statistic with its interval."""
        low, high = percentile_interval(self.draws.get(name, np.array([])))
        if low == high and name in _SHARES:  # the same in every resample: that is not certainty
            low = high = math.nan
        return Estimate(self.values[name], low, high)

    def minus(self, other: Measured) -> Measured:
        """The paired differences."""
        return Measured(
            {name: value - other.values[name] for name, value in self.values.items()},
            {name: values - other.draws[name] for name, values in self.draws.items()},
        )


_SHARES = ("balanced_accuracy", "low_recall", "high_recall", "rmse", "std_srcc", "std_plcc")


def measure(
    truth: Floats, models: Sequence[Floats], resamples: int = RESAMPLES, seed: int = 0, more: bool = False
) -> list[Measured]:
    """Statistics of models against people.

    Args:
        truth: people's distributions, shape (n, 10).
        models: distributions of each, shape (n, 10).
        resamples: of the bootstrap.
        seed: of the bootstrap.
        more: whether balanced accuracy, RMSE, both tails' recall and correlations of the ratings' standard deviation
            are measured as well as the fields of `AgainstPeople`.
    """
    sides = [_Side(truth, model, more) for model in models]
    draws: list[dict[str, list[Floats]]] = [{} for _ in sides]
    for weights in bootstrap_weights(len(truth), resamples, seed):
        for side, drawn in zip(sides, draws, strict=True):
            for name, values in side.draw(weights).items():
                drawn.setdefault(name, []).append(values)
    return [
        Measured(side.values(), {name: np.concatenate(parts) for name, parts in drawn.items()})
        for side, drawn in zip(sides, draws, strict=True)
    ]


class _Side:
    """One model beside people."""

    def __init__(self, truth: Floats, model: Floats, more: bool) -> None:
        people, means = self._people, self._means = people_means(truth), mean_rating(model)
        right = is_good(people) == is_good(means)
        self._columns = {
            "accuracy": right.astype(np.float64),
            "emd_r1": earth_movers_distance(truth, model, r=1),
            "emd_r2": earth_movers_distance(truth, model, r=2),
            "mae": np.abs(means - people),
            "bias": means - people,
        }
        self._stds = (np.round(rating_std(truth), 9), rating_std(model)) if more else None
        self._more: dict[str, Floats] = {}
        if more:
            good, low, high = is_good(people), beyond(people, "below"), beyond(people, "above")
            self._more = {
                name: values.astype(np.float64)
                for name, values in {
                    "good": good, "good_right": good & right, "bad": ~good, "bad_right": ~good & right,
                    "low": low, "low_both": low & beyond(means, "below"),
                    "high": high, "high_both": high & beyond(means, "above"),
                    "square": (means - people) ** 2,
                }.items()
            }  # fmt: skip

    def values(self) -> dict[str, float]:
        """Each statistic."""
        people, means = self._people, self._means
        spread = float(people.std()) if np.ptp(people) > 0 else 0.0
        found = {
            "srcc": spearman(people, means),
            "plcc": pearson(people, means),
            "spread_ratio": float(means.std()) / spread if spread > 0 else math.nan,
            **{name: float(values.mean()) for name, values in self._columns.items()},
        }
        if self._stds is not None:
            averages = {name: np.array([values.mean()]) for name, values in self._more.items()}
            found |= {name: float(values[0]) for name, values in _shares(averages).items()}
            found |= {"std_srcc": spearman(*self._stds), "std_plcc": pearson(*self._stds)}
        return found

    def draw(self, weights: Floats) -> dict[str, Floats]:
        """Each statistic in each resample."""
        found = resampled_averages(self._columns, weights) | resampled_means(self._people, self._means, weights)
        if self._stds is not None:
            theirs, ours = self._stds
            found |= _shares(resampled_averages(self._more, weights))
            found["std_plcc"] = weighted_pearson(theirs, ours, weights)
            ranks = weighted_ranks(theirs, weights), weighted_ranks(ours, weights)
            found["std_srcc"] = weighted_pearson(*ranks, weights)
        return found


def _shares(averages: Mapping[str, Floats]) -> dict[str, Floats]:
    """Statistics of averages; `nan` where there is nothing to divide by."""

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


def tails(truth: Floats, model: Floats, measured: Measured, constant: float) -> tuple[Tail, Tail]:
    """The low and the high tail, beside an answer whose mean is always `constant`."""

    def tail(name: str, side: str, edge: float) -> Tail:
        theirs, ours = beyond(people_means(truth), side), beyond(mean_rating(model), side)
        there = int(theirs.sum())
        recall = measured.estimate(f"{name}_recall")
        flat = float(beyond(constant, side)) if there else math.nan
        return Tail(side, edge, there, int(ours.sum()), int((theirs & ours).sum()), recall, flat)

    return tail("low", "below", LOW_TAIL), tail("high", "above", HIGH_TAIL)


def why_constant(a: Floats, b: Floats, whose: str, other: str, what: str = "means") -> str:
    """Why a correlation of `a` with `b`, shape (n,), is not defined."""
    if len(a) < 2:
        return "one photograph only"
    return f"all of {whose if np.ptp(a) == 0 else other} {what} are the same"


def too_few(n: int) -> str:
    """Why there are no intervals."""
    return f"{n} photograph{'' if n == 1 else 's'}; an interval takes {FEWEST}"
