"""A network's opinion of photographs held against people's: every number beside an answer that looks at nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_nima.agreement import FEWEST, RESAMPLES, is_good, pearson
from edge_nima.distribution import BINS, Floats, as_distribution, mean_rating
from edge_nima.errors import RequestError
from edge_nima.labels import rating_bins, rating_edges
from edge_nima.people import INFERRED, Estimate, PeoplePart, hold_against_people, people_means
from edge_nima.report.rows import PEOPLE, POINTS, Row, number
from edge_nima_train.more_statistics import MoreStatistics, Tail
from edge_nima_train.published import Official

RATING_BINS = 18
"""Of mean rating, half a point each."""
MIN_SPREAD = 0.4
"""Spread ratio below which predictions count as collapsed. Least squares spreads its predictions by exactly its
correlation (PLCC) of people's spread, so an honest network has about that; the published MobileNet with the lowest
correlation on AVA has .51 to .52. What lies below .4 has either collapsed or hardly correlates: both are no scorer."""
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
    """By the names of `ROWS`."""
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
    part = hold_against_people(names, flat, model, truth, subject.labels, inferred, resamples, seed)
    more = MoreStatistics(truth, model, resamples, seed)
    constant = Constant(
        tuple(average.tolist()),
        f"the {len(truth):,} photographs themselves" if training is None else f"the {len(training):,} to train on",
        float(mean_rating(average)),
        part.baselines.good_accuracy,
    )
    statistics = _statistics(part, more, MoreStatistics(truth, flat, 0, seed), inferred)
    tails = more.tails(constant.mean)
    ends = [(f"{tail.side} {tail.edge:g}", tail.people, tail.both) for tail in tails]
    means = people_means(truth), mean_rating(model)
    return Evaluation(
        subject=subject,
        names=tuple(names),
        people=truth,
        predicted=model,
        inferred=inferred,
        statistics=statistics,
        tails=tails,
        constant=constant,
        collapse=judge_spread(*means, min_spread, statistics["spread_ratio"].model, ends),
        bins=tuple(_bins(*means)),
        warnings=(*subject.warnings, *([INFERRED] if inferred else [])),
        resamples=resamples,
        seed=seed,
    )


def _statistics(part: PeoplePart, more: MoreStatistics, flat: MoreStatistics, inferred: bool) -> dict[str, Statistic]:
    """All of them; those of `hold_against_people` with the difference to the constant answer."""
    compared = ("accuracy", "emd_r1", "emd_r2", "mae")
    found = {
        name: Statistic(
            getattr(part.candidate, name),
            # A constant has no spread; computed from equal numbers that need not be 0 to the last bit.
            0.0 if name == "spread_ratio" and part.n > 1 else getattr(part.reference, name).value,
            getattr(part.difference, name) if name in compared else UNKNOWN,
        )
        for name in ("accuracy", "srcc", "plcc", "mae", "bias", "emd_r1", "emd_r2", "spread_ratio")
    }
    for name in ("balanced_accuracy", "rmse"):
        found[name] = Statistic(more.estimate(name), flat.values[name])
    for name in ("std_srcc", "std_plcc"):
        found[name] = Statistic(more.estimate(name), math.nan)
    why = more.why_undefined()
    if inferred:
        for name in ("std_srcc", "std_plcc"):
            found[name] = Statistic(UNKNOWN, math.nan)
            why[name] = "the labels hold means only"
    return {
        name: replace(one, undefined=why.get(name, "")) if math.isnan(one.model.value) else one
        for name, one in found.items()
    }


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


def too_few(n: int) -> str:
    """Why there are no intervals; "" where there are."""
    return f"{n} photograph{'' if n == 1 else 's'}; an interval takes {FEWEST}" if n < FEWEST else ""


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


_KNOWN = {row.field: row for row in PEOPLE}

ROWS = (
    _KNOWN["accuracy"],
    Row(
        "balanced_accuracy", "balanced accuracy", "% of photographs", "%", "mean of the accuracies on either side of 5"
    ),
    _KNOWN["srcc"],
    _KNOWN["plcc"],
    Row("std_srcc", "SRCC of the std", "-1 to 1", ".4f", "rank correlation of the ratings' standard deviations"),
    Row("std_plcc", "PLCC of the std", "-1 to 1", ".4f", "linear correlation of the ratings' standard deviations"),
    _KNOWN["mae"],
    Row("rmse", "RMSE of the mean", POINTS, ".4f", "root of the mean squared difference of the mean rating"),
    _KNOWN["bias"],
    _KNOWN["emd_r1"],
    _KNOWN["emd_r2"],
    _KNOWN["spread_ratio"],
)
"""The statistics in the order and the words of tables and pages, by `Row.field` of `Evaluation.statistics`."""


def undefined(e: Evaluation) -> str:
    """Why numbers are missing, in one line; "" where none is."""
    named: dict[str, list[str]] = {}
    for row in ROWS:
        why = e.statistics[row.field].undefined
        if why:
            named.setdefault(why, []).append(row.label)
    told = [f"{', '.join(labels)} ({why})" for why, labels in named.items()]
    return "; ".join(told + ([f"all intervals ({too_few(e.n)})"] if too_few(e.n) else []))


def constant_of(statistic: Statistic, row: Row) -> str:
    """The constant answer's number."""
    return number(statistic.constant, row.form)


def percent(share: float | None) -> str:
    """A share as published results give theirs: two decimals."""
    return "-" if share is None else f"{100 * share:.2f} %"


def tail_line(tail: Tail) -> str:
    """What became of one tail, in words."""
    of = f"{tail.side} {tail.edge:g}"
    if tail.people == 0:
        return f"nobody's mean is {of}: recall is undefined; the model puts {tail.model:,} there"
    return (
        f"people rate {tail.people:,} {of}, the model puts {tail.both:,} of them there "
        f"({number(tail.recall.value, '%')}), and {tail.model - tail.both:,} others"
    )


def answer_line(e: Evaluation) -> str:
    """What the constant answer is."""
    return (
        f"the constant answer gives every photograph the mean histogram of {e.constant.of} (mean "
        f"{e.constant.mean:.3f}); always saying “good” is right for {number(e.constant.good_accuracy, '%')}"
    )
