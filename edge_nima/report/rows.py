"""The statistics in the order and the words in which a table and a page show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_nima.agreement import Agreement
from edge_nima.joining import Unscored


@dataclass(frozen=True)
class Row:
    """One statistic."""

    field: str
    """Of `Agreement` or `AgainstPeople`."""
    label: str
    unit: str
    form: str
    """A format for one number, or "%" for a share that is shown in percent."""
    meaning: str


POINTS = "rating points"

AGREEMENT = (
    Row("mae", "MAE of the mean", POINTS, ".4f", "mean absolute difference of the mean rating"),
    Row("bias", "bias of the mean", POINTS, "+.4f", "mean difference, candidate minus reference"),
    Row("p99", "p99 of the difference", POINTS, ".3f", "one photograph in a hundred is further off"),
    Row("maximum", "largest difference", POINTS, ".3f", "of the mean rating of any photograph"),
    Row("std_mae", "std error", POINTS, ".4f", "mean absolute difference of the ratings' standard deviation"),
    Row("emd_r1", "EMD r=1", "0 to 0.9", ".4f", "mean earth mover's distance of the histograms"),
    Row("emd_r2", "EMD r=2", "0 to 0.95", ".4f", "the same with r=2, NIMA's training loss"),
    Row("srcc", "SRCC", "-1 to 1", ".4f", "Spearman's rank correlation of the means: the order of photographs"),
    Row("plcc", "PLCC", "-1 to 1", ".4f", "Pearson's linear correlation of the means"),
    Row("flips", "flips at 5", "% of photographs", "%", "the two means fall on different sides of 5"),
    Row("spread_ratio", "spread ratio", "ratio", ".3f", "std of the candidate's means over the reference's"),
    Row("largest_bin", "largest bin difference", "share", ".1e", "of any bin of any histogram"),
    Row("reference_spread", "reference's spread", POINTS, ".4f", "std of its means; differences are shares of it"),
)

PEOPLE = (
    Row("srcc", "SRCC", "-1 to 1", ".4f", "rank correlation of the model's means with people's"),
    Row("plcc", "PLCC", "-1 to 1", ".4f", "linear correlation of the model's means with people's"),
    Row("accuracy", "accuracy at 5", "% of photographs", "%", "on the side of 5 where people have them"),
    Row("emd_r1", "EMD r=1", "0 to 0.9", ".4f", "mean earth mover's distance to people's histograms"),
    Row("emd_r2", "EMD r=2", "0 to 0.95", ".4f", "the same with r=2, NIMA's training loss"),
    Row("mae", "MAE of the mean", POINTS, ".4f", "mean absolute difference of the mean rating"),
    Row("bias", "bias of the mean", POINTS, "+.4f", "mean difference, model minus people"),
    Row("spread_ratio", "spread ratio", "ratio", ".3f", "std of the model's means over people's"),
)

BINS = {
    "mae": "MAE", "bias": "bias", "p99": "p99", "maximum": "max", "std_mae": "std error", "emd_r1": "EMD r=1",
    "emd_r2": "EMD r=2", "srcc": "SRCC", "flips": "flips at 5",
}  # fmt: skip
"""Of `Agreement`, what is shown per rating bin, with short headings; JSON has all."""


def number(value: float | None, form: str, signed: bool = False) -> str:
    """One number as a person reads it; "-" where it is not defined.

    Args:
        value: the number.
        form: as `Row.form`.
        signed: with a plus: a difference. Of percentages that is percentage points.
    """
    if value is None or not math.isfinite(value):
        return "-"
    if form == "%":
        return f"{100 * value:+.1f} pp" if signed else f"{100 * value:.1f} %"
    return format(value, form if not signed or form.startswith("+") else f"+{form}")


def interval(low: float, high: float, form: str, signed: bool = False) -> str:
    """The two ends of an interval; "-" where it is not defined."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "-"
    return f"{number(low, form, signed)} to {number(high, form, signed)}"


def of_spread(agreement: Agreement, row: Row) -> str:
    """A difference in rating points as a share of the reference's spread; "" for other statistics."""
    return number(agreement.share(row.field), "%") if row.unit == POINTS else ""


def photographs(count: int) -> str:
    """ "1 photograph", "629 photographs"."""
    return f"{count:,} photograph{'' if count == 1 else 's'}"


def unscored_line(one: Unscored) -> str:
    """A photograph that a side could not score, and why."""
    return f"{one.name}: no score in the {one.side}: {one.error}"
