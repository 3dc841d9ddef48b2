"""Two models on the same photographs, beside people where their ratings are known: everything a report shows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from edge_nima.agreement import (
    FEWEST,
    RESAMPLES,
    Agreement,
    bootstrap_weights,
    correlation_interval,
    differences,
    measure_agreement,
    percentile_interval,
    resampled_averages,
    resampled_means,
    wilson_interval,
)
from edge_nima.distribution import BINS, Floats, as_distribution, mean_rating
from edge_nima.errors import RequestError, printable
from edge_nima.joining import Join, Opinions, join_opinions, ratings_of, read_opinions
from edge_nima.labels import read_labels
from edge_nima.people import (
    INFERRED,
    AgainstPeople,
    PeoplePart,
    hold_against_people,
    people_means,
    too_few,
    why_constant,
)

BIN_WIDTH = 0.5
"""Of the bins of mean rating, rating points: models crowd around 5, and whole points would leave four bins."""


@dataclass(frozen=True)
class LayerError:
    """What quantising one layer costs."""

    name: str
    kind: str
    """"depthwise convolution", say."""
    weight_snr_db: float | None
    """Signal to noise of its weights, decibels; None for a layer without."""
    activation_snr_db: float
    """Signal to noise of what it puts out, decibels, against the float model on the same photographs."""
    mae: float | None
    """Mean absolute difference of the mean rating when this layer alone is quantised; None where not measured."""
    precision: str
    """"int8" or "float16", say: how the finished model holds it."""


@dataclass(frozen=True)
class RatingBin:
    """The photographs of one stretch of mean rating."""

    low: float
    high: float
    """Outside the bin, but for the last."""
    agreement: Agreement
    reference_error: float | None
    """Mean of reference minus people, rating points; None without ratings."""
    candidate_error: float | None


@dataclass(frozen=True)
class Comparison:
    """Candidate against reference on `n` photographs."""

    reference_name: str
    candidate_name: str
    on: str
    """Which photographs, in words."""
    names: tuple[str, ...]
    reference: Floats
    """Distributions, shape (n, 10), likewise below."""
    candidate: Floats
    people: Floats | None
    """`nan` where a photograph has no ratings."""
    agreement: Agreement
    intervals: Mapping[str, tuple[float, float]]
    """95 % intervals of `agreement`, by field: Wilson's of `flips`, else bootstrapped; extremes have none."""
    bins_of: str
    """Whose means make the bins: "reference" or "people"."""
    bins: tuple[RatingBin, ...]
    """Those that hold photographs, lowest first."""
    against_people: PeoplePart | None
    join: Join | None
    """How files were brought together; None for arrays."""
    preprocessing: str | None
    warnings: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def n(self) -> int:
        """Photographs that both scored."""
        return len(self.names)

    def worst(self, count: int = 10) -> list[int]:
        """Rows of the photographs whose means differ most, the worst first."""
        gap = np.abs(mean_rating(self.candidate) - mean_rating(self.reference))
        return sorted(range(self.n), key=lambda row: (-gap[row], self.names[row]))[:count]


def compare_records(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None = None,
    *,
    scale: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two files of score records; names join by path, or by id.

    `labels`, of a `scale`, are read by `labels.read_labels`.

    Raises:
        RequestError: a file is not what it should be, the preprocessings differ, or nothing is in common.
    """
    ours, theirs = read_opinions(reference), read_opinions(candidate)
    names, p, q, join = join_opinions(ours, theirs)
    rated = None if labels is None else read_labels(labels, scale)
    people, source = None, ""
    if rated is not None:
        people = ratings_of(names, rated)
        used = int((~np.isnan(people[:, 0])).sum())
        source = rated.name + (f", {used:,} of its {len(rated):,} labels" if used < len(rated) else "")
    return compare(
        names, p, q, people,
        reference_name=f"{ours.model} ({ours.source})", candidate_name=f"{theirs.model} ({theirs.source})",
        people_source=source, inferred=rated is not None and rated.inferred,
        join=join, preprocessing=ours.preprocessing or theirs.preprocessing,
        warnings=_doubts(ours, theirs, join), resamples=resamples, seed=seed,
    )  # fmt: skip


def compare(
    names: Sequence[str],
    reference: ArrayLike,
    candidate: ArrayLike,
    people: ArrayLike | None = None,
    *,
    reference_name: str = "reference",
    candidate_name: str = "candidate",
    on: str = "",
    people_source: str = "people",
    inferred: bool = False,
    join: Join | None = None,
    preprocessing: str | None = None,
    warnings: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare distributions, row by row.

    Args:
        names: n of them, of the photographs; paths where a report is to show them.
        reference: shape (n, 10), votes or proportions, n at least 1.
        candidate: shape (n, 10), the same photographs in the same order.
        people: shape (n, 10), people's votes; a row of `nan` where there are none.
        reference_name: what reports call it.
        candidate_name: what reports call it.
        people_source: the labels' name.
        on: which photographs these are, in words.
        inferred: whether `people` holds max-entropy histograms of known means.
        join: how files were brought together.
        preprocessing: of both, in words.
        warnings: what a reader of the numbers should know, one line each.
        resamples: of the bootstrap, at least 1.
        seed: of the bootstrap.

    Raises:
        RequestError: the shapes differ, n is 0, a row is no histogram, or no photograph has ratings.
    """
    try:
        agreement = measure_agreement(reference, candidate)
        p, q = as_distribution(reference), as_distribution(candidate)
        if len(names) != len(p):
            raise ValueError(f"{len(names)} names for {len(p)} photographs")
        ratings = None if people is None else _ratings(people, len(p))
    except ValueError as error:
        raise RequestError(f"cannot compare: {error}") from error
    part = None
    if ratings is not None:
        part = hold_against_people(names, p, q, ratings, people_source, inferred, resamples, seed)
    return Comparison(
        reference_name=reference_name, candidate_name=candidate_name, on=on, names=tuple(names),
        reference=p, candidate=q, people=ratings, agreement=agreement,
        intervals=_intervals(p, q, agreement, resamples, seed),
        bins_of="reference" if ratings is None else "people", bins=tuple(_bins(p, q, ratings)),
        against_people=part, join=join, preprocessing=preprocessing,
        warnings=(*warnings, *([INFERRED] if part is not None and inferred else [])),
        resamples=resamples, seed=seed,
    )  # fmt: skip


def _doubts(ours: Opinions, theirs: Opinions, join: Join) -> list[str]:
    doubts = [
        f"{side.unsaid} of {len(side.records)} records in {side.source} do not say their preprocessing: "
        "whether both models had the same pixels cannot be checked"
        for side in (ours, theirs)
        if side.unsaid
    ]
    if ours.model == theirs.model:
        doubts.append(f"both files hold scores of {ours.model}: this compares machines, not models")
    if join.other_size:
        told = f"{len(join.other_size)} photographs are files of another size on the other machine"
        doubts.append(f"{told} ('{printable(join.other_size[0])}'): perhaps other pictures under the same name")
    return doubts


def _ratings(people: ArrayLike, n: int) -> Floats:
    votes = np.asarray(people, np.float64)
    if votes.shape != (n, BINS):
        raise ValueError(f"people's ratings have shape {votes.shape}, the photographs need {(n, BINS)}")
    rated = ~np.isnan(votes).all(axis=1)
    if not rated.any():
        raise ValueError("none of the photographs has people's ratings")
    ratings = np.full((n, BINS), np.nan)
    ratings[rated] = as_distribution(votes[rated])
    return ratings


def _intervals(p: Floats, q: Floats, agreement: Agreement, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Intervals of `Agreement`, but for its extremes: resamples cannot exceed what is there."""
    a, b, averaged = mean_rating(p), mean_rating(q), differences(p, q)
    drawn = [
        resampled_averages(averaged, weights) | resampled_means(a, b, weights)
        for weights in bootstrap_weights(len(a), resamples, seed)
    ]
    if not drawn:
        return dict.fromkeys((*averaged, "srcc", "plcc", "spread_ratio"), (np.nan, np.nan))
    draws = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    found = {name: percentile_interval(values) for name, values in draws.items()}
    found |= {name: correlation_interval(getattr(agreement, name), draws[name]) for name in ("srcc", "plcc")}
    return found | {"flips": wilson_interval(agreement.flips, agreement.n)}


def _bins(p: Floats, q: Floats, ratings: Floats | None) -> Iterator[RatingBin]:
    of = p if ratings is None else ratings
    rated = ~np.isnan(of).any(axis=1)
    p, q = p[rated], q[rated]
    means, a, b = people_means(of[rated]), mean_rating(p), mean_rating(q)
    last = round((BINS - 1) / BIN_WIDTH) - 1
    where = np.minimum(np.floor((means - 1) / BIN_WIDTH).astype(int), last)
    for number in np.unique(where).tolist():
        inside = where == number
        low = 1 + number * BIN_WIDTH
        errors = (None, None) if ratings is None else tuple(float((m - means)[inside].mean()) for m in (a, b))
        yield RatingBin(low, low + BIN_WIDTH, measure_agreement(p[inside], q[inside]), *errors)


_OF_MEANS = ("srcc", "plcc", "spread_ratio")
"""The statistics that may be `nan`."""


def why_undefined(comparison: Comparison) -> dict[str, str]:
    """Reasons, one line each, by the path that a statistic has in the JSON document; empty when all are defined.

    "agreement.srcc", "bins.0.srcc" (the first bin), "people.candidate.srcc"; "intervals.srcc" and
    "people.candidate.srcc.interval" where the statistic is defined and its interval is not, "intervals" and
    "people.intervals" where there are too few photographs for any.
    """
    a, b = mean_rating(comparison.reference), mean_rating(comparison.candidate)
    told = {
        f"agreement.{name}": why_constant(a, b, "the reference's", "the candidate's")
        for name in _OF_MEANS
        if math.isnan(getattr(comparison.agreement, name))
    }
    if comparison.n < FEWEST:
        told["intervals"] = too_few(comparison.n)
    else:
        for name, (low, _) in comparison.intervals.items():
            if math.isnan(low) and f"agreement.{name}" not in told:
                told[f"intervals.{name}"] = _MOSTLY_CONSTANT
    for number, one in enumerate(comparison.bins):
        for name in _OF_MEANS:
            if math.isnan(getattr(one.agreement, name)):
                few = one.agreement.n < 2
                told[f"bins.{number}.{name}"] = "one photograph only" if few else "all means of one side are the same"
    return told | _of_people(comparison, a, b)


def _of_people(comparison: Comparison, a: Floats, b: Floats) -> dict[str, str]:
    part, ratings = comparison.against_people, comparison.people
    if part is None or ratings is None:
        return {}
    rated = ~np.isnan(ratings).any(axis=1)
    people = people_means(ratings[rated])
    told: dict[str, str] = {}
    for side, means in (("reference", a[rated]), ("candidate", b[rated])):
        for name in _OF_MEANS:
            if math.isnan(getattr(getattr(part, side), name).value):
                why = why_constant(people, means, "people's", f"the {side}'s")
                told[f"people.{side}.{name}"] = told[f"people.difference.{name}"] = why
    if part.n < FEWEST:
        return told | {"people.intervals": too_few(part.n)}
    for side in ("reference", "candidate", "difference"):
        for field in fields(AgainstPeople):
            path = f"people.{side}.{field.name}"
            if path not in told and math.isnan(getattr(getattr(part, side), field.name).low):
                told[f"{path}.interval"] = _MOSTLY_CONSTANT
    return told


_MOSTLY_CONSTANT = "one side is constant in too many of the resamples"
