"""Why a statistic of a comparison is not defined."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from edge_nima.agreement import FEWEST
from edge_nima.comparison import Comparison
from edge_nima.distribution import Floats, mean_rating
from edge_nima.people import AgainstPeople, people_means

_OF_MEANS = ("srcc", "plcc", "spread_ratio")
"""The statistics that may be `nan`."""


def why_undefined(comparison: Comparison) -> dict[str, str]:
    """Reasons, one line each, by the path that a statistic has in `report.as_document`; empty when all are defined.

    "agreement.srcc", "bins.0.srcc" (the first bin), "people.candidate.srcc"; "intervals.srcc" and
    "people.candidate.srcc.interval" where the statistic is defined and its interval is not, "intervals" and
    "people.intervals" where there are too few photographs for any.
    """
    a, b = mean_rating(comparison.reference), mean_rating(comparison.candidate)
    told = {
        f"agreement.{name}": _why(a, b, "the reference's", "the candidate's")
        for name in _OF_MEANS
        if math.isnan(getattr(comparison.agreement, name))
    }
    if comparison.n < FEWEST:
        told["intervals"] = _too_few(comparison.n)
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
                why = _why(people, means, "people's", f"the {side}'s")
                told[f"people.{side}.{name}"] = told[f"people.difference.{name}"] = why
    if part.n < FEWEST:
        return told | {"people.intervals": _too_few(part.n)}
    for side in ("reference", "candidate", "difference"):
        for field in fields(AgainstPeople):
            path = f"people.{side}.{field.name}"
            if path not in told and math.isnan(getattr(getattr(part, side), field.name).low):
                told[f"{path}.interval"] = _MOSTLY_CONSTANT
    return told


_MOSTLY_CONSTANT = "one side is constant in too many of the resamples"


def _too_few(n: int) -> str:
    return f"{n} photograph{'' if n == 1 else 's'}; an interval takes {FEWEST}"


def _why(a: Floats, b: Floats, whose: str, other: str) -> str:
    if len(a) < 2:
        return "one photograph only"
    return f"all of {whose if np.ptp(a) == 0 else other} means are the same"
