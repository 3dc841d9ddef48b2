"""The statistics of an evaluation in the order and the words in which a table and a page show them."""

from __future__ import annotations

from edge_nima.report.rows import PEOPLE, POINTS, Row, number
from edge_nima_train.evaluation import Evaluation, Statistic, too_few
from edge_nima_train.more_statistics import Tail

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
"""By `Row.field` of `Evaluation.statistics`."""


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
