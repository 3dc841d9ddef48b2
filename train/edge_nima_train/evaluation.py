"""A network's opinion of photographs held against people's: every number beside an answer that looks at nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_nima.agreement import RESAMPLES, is_good, pearson
from edge_nima.distribution import BINS, Floats, as_distribution, mean_rating, rating_std
from edge_nima.errors import RequestError
from edge_nima.labels import rating_bins, rating_edges
from edge_nima.people import INFERRED, Estimate, Measured, Tail, measure, people_means, tails, why_constant
from edge_nima_train.published import Official

RATING_BINS = 18
"""Of mean rating, half a point each."""
MIN_SPREAD = 0.4
"""Spread ratio below which predictions count as collapsed. Least squares spreads its predictions by exactly its
correlation (PLCC) of people's spread, so an honest network has about that; the published MobileNet with the lowest
correlation on AVA has .51 to .52. What lies below .4 has either collapsed or hardly correlates: both are no scorer."""
STATISTICS = (
    "accuracy", "srcc", "plcc", "mae", "bias", "emd_r1", "emd_r2", "spread_ratio", "balanced_accuracy", "rmse",
    "std_srcc", "std_plcc",
)  # fmt: skip
_SAME = 0.01
"""Rating points of spread below which predictions count as one and the same."""
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Statistic:
    """One number for the network and for the constant answer; `nan` where it is not defined."""

    model: Estimate
    constant: float
    difference: Estimate = UNKNOWN
    """Network minus constant answer, by the same resamples; unknown where that is not measured."""
    undefined: str = ""
    """Why `model` has no value; "" where it has one."""


@dataclass(frozen=True)
class Constant:
    """The answer that looks at no photograph."""

    histogram: tuple[float, ...]
    of: str
    """Whose mean histogram it is, in words."""
    mean: float
    good_accuracy: float
    """Accuracy at 5 of always saying "good"."""


@dataclass(frozen=True)
class ErrorBin:
    """The photographs of one stretch of people's mean rating."""

    low: float
    high: float
    """Outside the bin, but for the last."""
    n: int
    bias: float
    """Mean of network minus people, rating points."""
    mae: float
    accuracy: float


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


@dataclass(frozen=True)
class Subject:
    """What is evaluated on what, in words for a report."""

    model: str
    labels: str
    split: str
    """"test", say, or "all"."""
    preprocessing: str | None = None
    left_out: Mapping[str, tuple[str, ...]] | None = None
    """Photographs that take no part, by the reason."""
    warnings: tuple[str, ...] = ()
    official: Official | None = None


@dataclass(frozen=True)
class Evaluation:
    """A network against people on `n` photographs."""

    subject: Subject
    names: tuple[str, ...]
    people: Floats
    """Distributions, shape (n, 10), as the next."""
    predicted: Floats
    inferred: bool
    """Whether people's are max-entropy histograms of known means."""
    statistics: Mapping[str, Statistic]
    """By the names of `STATISTICS`."""
    tails: tuple[Tail, Tail]
    """Low and high."""
    constant: Constant
    collapse: Collapse
    bins: tuple[ErrorBin, ...]
    """Those that hold photographs, lowest first."""
    warnings: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def n(self) -> int:
        """Photographs."""
        return len(self.names)

    def most_wrong(self, count: int) -> list[int]:
        """Rows of the photographs whose means are furthest from people's, the worst first."""
        return self._first(-np.abs(mean_rating(self.predicted) - people_means(self.people)), count)

    def best(self, count: int) -> list[int]:
        """Rows of the photographs with the highest predicted means, the highest first."""
        return self._first(-mean_rating(self.predicted), count)

    def worst(self, count: int) -> list[int]:
        """Rows of the photographs with the lowest predicted means, the lowest first."""
        return self._first(mean_rating(self.predicted), count)

    def _first(self, by: Floats, count: int) -> list[int]:
        return sorted(range(self.n), key=lambda row: (by[row], self.names[row]))[:count]


def evaluate(
    names: Sequence[str],
    people: Floats,
    predicted: Floats,
    subject: Subject,
    *,
    inferred: bool = False,
    training: Floats | None = None,
    min_spread: float = MIN_SPREAD,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Hold a network's distributions against people's.

    Args:
        names: n of them, of the photographs.
        people: votes or proportions, shape (n, 10), n at least 1.
        predicted: the network's, of the same photographs in the same order.
        subject: what this is about.
        inferred: whether `people` are max-entropy histograms of known means. Correlations of the ratings' standard
            deviation are then left out: they would be correlations with a function of the mean.
        training: distributions of the training photographs, shape (m, 10), whose mean is the constant answer; None
            takes that of these very photographs.
        min_spread: spread ratio below which the predictions count as collapsed.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        RequestError: the shapes differ, n is 0, or a row is no histogram.
    """
    try:
        truth, model = as_distribution(people), as_distribution(predicted)
        if truth.shape != model.shape or truth.shape != (len(names), BINS) or not len(names):
            raise ValueError(f"{len(names)} names with {truth.shape} of people and {model.shape} of the model")
    except ValueError as error:
        raise RequestError(f"cannot evaluate: {error}") from error
    # Of the training photographs where they are known: the mean histogram of these would have seen the answers.
    average = truth.mean(axis=0) if training is None else as_distribution(training).mean(axis=0)
    flat = np.tile(average, (len(truth), 1))
    answer, measured = measure(truth, (flat, model), resamples, seed, more=True)
    constant = Constant(
        tuple(average.tolist()),
        f"the {len(truth):,} photographs themselves" if training is None else f"the {len(training):,} to train on",
        float(mean_rating(average)),
        float(is_good(people_means(truth)).mean()),
    )
    statistics = _statistics(truth, model, measured, answer, inferred)
    both_tails = tails(truth, model, measured, constant.mean)
    ends = [(f"{tail.side} {tail.edge:g}", tail.people, tail.both) for tail in both_tails]
    means = people_means(truth), mean_rating(model)
    return Evaluation(
        subject=subject,
        names=tuple(names),
        people=truth,
        predicted=model,
        inferred=inferred,
        statistics=statistics,
        tails=both_tails,
        constant=constant,
        collapse=judge_spread(*means, min_spread, statistics["spread_ratio"].model, ends),
        bins=tuple(_bins(*means)),
        warnings=(*subject.warnings, *([INFERRED] if inferred else [])),
        resamples=resamples,
        seed=seed,
    )


def _statistics(
    truth: Floats, model: Floats, measured: Measured, answer: Measured, inferred: bool
) -> dict[str, Statistic]:
    """All of them, beside those of the constant answer."""
    difference = measured.minus(answer)
    flat = dict(answer.values)
    if len(truth) > 1:  # a constant has no spread; computed from equal numbers that need not be 0 to the last bit
        flat["spread_ratio"] = 0.0
    of_means = why_constant(people_means(truth), mean_rating(model), "people's", "the model's")
    of_stds = why_constant(np.round(rating_std(truth), 9), rating_std(model), "people's", "the model's", "stds")
    stds = ("std_srcc", "std_plcc")
    why = dict.fromkeys(("srcc", "plcc", "spread_ratio"), of_means) | dict.fromkeys(stds, of_stds)
    why["balanced_accuracy"] = "people put all photographs on one side of 5"
    found = {}
    for name in STATISTICS:
        one = Statistic(
            measured.estimate(name),
            math.nan if name in stds else flat[name],
            difference.estimate(name) if name in ("accuracy", "emd_r1", "emd_r2", "mae") else UNKNOWN,
        )
        if inferred and name in stds:
            one, why[name] = Statistic(UNKNOWN, math.nan), "the labels hold means only"
        found[name] = replace(one, undefined=why.get(name, "")) if math.isnan(one.model.value) else one
    return found


def _bins(people: Floats, means: Floats) -> list[ErrorBin]:
    edges, where = rating_edges(RATING_BINS), rating_bins(people, RATING_BINS)
    found = []
    for place in np.unique(where).tolist():
        a, b = people[where == place], means[where == place]
        found.append(
            ErrorBin(
                float(edges[place]), float(edges[place + 1]), len(a), float((b - a).mean()),
                float(np.abs(b - a).mean()), float((is_good(a) == is_good(b)).mean()),
            )
        )  # fmt: skip
    return found


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
