"""Models held against people's ratings, beside what an answer gets that looks at no photograph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nima.agreement import (
    RESAMPLES,
    bootstrap_weights,
    is_good,
    pearson,
    percentile_interval,
    resampled_averages,
    resampled_means,
    spearman,
)
from edge_nima.distribution import Floats, earth_movers_distance, mean_rating

INFERRED = "the labels hold means only: people's histograms are the max-entropy ones of those means, wider than real"


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
    models = [_OneModel(truth, model[rated]) for model in (reference, candidate)]
    draws: list[dict[str, list[Floats]]] = [{}, {}]
    for weights in bootstrap_weights(len(truth), resamples, seed):
        for model, drawn in zip(models, draws, strict=True):
            for name, values in model.draw(weights).items():
                drawn.setdefault(name, []).append(values)
    ours, theirs = ({name: np.concatenate(parts) for name, parts in drawn.items()} for drawn in draws)
    return PeoplePart(
        source=source,
        n=len(truth),
        unrated=tuple(name for name, has in zip(names, rated, strict=True) if not has),
        inferred=inferred,
        reference=_estimates(models[0].values, ours),
        candidate=_estimates(models[1].values, theirs),
        difference=_estimates(
            {name: models[1].values[name] - value for name, value in models[0].values.items()},
            {name: theirs[name] - values for name, values in ours.items()},
        ),
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


class _OneModel:
    """One model beside people: its statistics, on all photographs and on resamples of them."""

    def __init__(self, truth: Floats, model: Floats) -> None:
        people, means = people_means(truth), mean_rating(model)
        self._people, self._means = people, means
        self._averaged = {
            "accuracy": (is_good(people) == is_good(means)).astype(np.float64),
            "emd_r1": earth_movers_distance(truth, model, r=1),
            "emd_r2": earth_movers_distance(truth, model, r=2),
            "mae": np.abs(means - people),
            "bias": means - people,
        }
        spread = float(people.std()) if np.ptp(people) > 0 else 0.0
        self.values = {
            "srcc": spearman(people, means),
            "plcc": pearson(people, means),
            "spread_ratio": float(means.std()) / spread if spread > 0 else math.nan,
            **{name: float(values.mean()) for name, values in self._averaged.items()},
        }

    def draw(self, weights: Floats) -> dict[str, Floats]:
        """Each statistic in each resample."""
        averaged = resampled_averages(self._averaged, weights)
        return {**resampled_means(self._people, self._means, weights), **averaged}


def _estimates(values: Mapping[str, float], draws: Mapping[str, Floats]) -> AgainstPeople:
    nothing = np.array([])
    return AgainstPeople(
        **{name: Estimate(value, *percentile_interval(draws.get(name, nothing))) for name, value in values.items()}
    )
