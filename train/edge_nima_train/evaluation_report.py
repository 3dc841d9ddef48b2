"""An evaluation as a report, and as one JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.agreement import FEWEST, FLIP_AT, LEVEL
from edge_nima.distribution import RATINGS, Floats, mean_rating
from edge_nima.errors import PictureError
from edge_nima.people import HIGH_TAIL, LOW_TAIL, Estimate, Tail, beyond, people_means, too_few
from edge_nima.reports import plots
from edge_nima.reports.comparison import PEOPLE
from edge_nima.reports.model import (
    POINTS,
    Card,
    Cards,
    Cell,
    Column,
    Draw,
    Plot,
    Report,
    Row,
    Section,
    Table,
    cells,
    columns,
    estimate,
    finite,
    listings,
    number,
    photographs,
    statistics_columns,
)
from edge_nima.reports.thumbnails import thumbnail
from edge_nima_train.evaluation import Evaluation

FORMAT = "edge-nima evaluation"
FORMAT_VERSION = 1
LISTED = 24
SIDES = ("people", "model")
_TILES = ("srcc", "plcc", "accuracy", "emd_r2", "mae", "spread_ratio")
_SHOWN = 8
"""Photographs of each kind."""
_BIN, _TAIL_BIN = 0.2, 0.1  # rating points
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


def _undefined(e: Evaluation) -> str:
    """Why numbers are missing, in one line; "" where none is."""
    named: dict[str, list[str]] = {}
    for row in ROWS:
        why = e.statistics[row.field].undefined
        if why:
            named.setdefault(why, []).append(row.label)
    told = [f"{', '.join(labels)} ({why})" for why, labels in named.items()]
    return "; ".join(told + ([f"all intervals ({too_few(e.n)})"] if e.n < FEWEST else []))


def report(e: Evaluation, paths: Sequence[Path] | None = None) -> Report:
    """The report.

    Args:
        e: the numbers.
        paths: n of them, where the photographs are; None leaves these out, for a terminal.
    """
    left = listings(*((why, names) for why, names in (e.subject.left_out or {}).items()))
    sections = [_statistics(e), _tails(e), *_published(e), _bins(e)]
    sections += [] if paths is None else _photographs(e, paths)
    sections += [Section("Left out", "", left)] if left else []
    return Report(
        "Does the model rate as people do?",
        tuple(_head(e)),
        tuple(_notes(e)),
        tuple(_tiles(e)),
        tuple(_plots(e)),
        tuple(sections),
        "Mean ratings lie in 1 to 10. EMD is (1/10 · Σ |CDF gap|^r)^(1/r) of the ten-bin histograms (Talebi and "
        "Milanfar 2018). “Good” is a mean of 5 or more. The spread ratio is the standard deviation of the model's "
        "means over that of people's; an honest least-squares answer has about its PLCC.",
        SIDES,
    )


def _head(e: Evaluation) -> Iterable[tuple[str, str]]:
    s = e.subject
    yield "model", s.model
    yield "people", f"{s.labels}{', means only' if e.inferred else ''}"
    yield "photographs", f"n = {e.n:,} photographs, split {s.split}"
    if s.preprocessing:
        yield "preprocessing", s.preprocessing
    yield "collapse gate", f"{e.collapse.status}: {e.collapse.told}"


def _notes(e: Evaluation) -> Iterable[str]:
    if e.collapse.status != "passed":
        yield f"Collapse gate {e.collapse.status}: {e.collapse.told}"
    yield from e.warnings
    left = sum(map(len, (e.subject.left_out or {}).values()))
    if left:
        yield f"{photographs(left)} left out, listed below"


def _tiles(e: Evaluation) -> Iterable[tuple[str, str, str]]:
    for row in (row for field in _TILES for row in ROWS if row.field == field):
        one = e.statistics[row.field]
        flat = f"constant {number(one.constant, row.form)}" if math.isfinite(one.constant) else row.unit
        yield row.label, number(one.model.value, row.form), flat


def _cell(one: Estimate, row: Row, signed: bool = False) -> Cell:
    return estimate(one.value, (one.low, one.high), row.form, signed)


def _statistics(e: Evaluation) -> Section:
    rows = tuple(
        (
            Cell(row.label, row.unit), _cell(one.model, row), Cell(number(one.constant, row.form)),
            _cell(one.difference, row, signed=True), Cell(row.meaning),
        )
        for row, one in ((row, e.statistics[row.field]) for row in ROWS)
    )  # fmt: skip
    missing = _undefined(e)
    told = (
        f"n = {e.n:,}. Below each number its 95 % interval, percentile bootstrap, {e.resamples:,} resamples of the "
        f"photographs, seed {e.seed}; a difference is paired. {_answer_line(e)}."
        + (" EMD is against max-entropy histograms of people's means, wider than real ones." if e.inferred else "")
        + (f" Undefined, shown as -: {missing}." if missing else "")
    )
    headings = statistics_columns(*columns("model", "constant answer", "difference"))
    return Section("Against people", told, (Table(headings, rows),))


def _tails(e: Evaluation) -> Section:
    rows = tuple(
        (
            *cells(f"{tail.side} {tail.edge:g}", f"{tail.people:,}", f"{tail.model:,}", f"{tail.both:,}"),
            estimate(tail.recall.value, (tail.recall.low, tail.recall.high), "%"), Cell(number(tail.constant, "%")),
        )
        for tail in e.tails
    )  # fmt: skip
    told = "Photographs whose mean lies there. Recall is the share of people's that the model puts there too. "
    told += " ".join(map(_tail_line, e.tails))
    return Section(
        "The tails", told, (Table(columns("mean rating", *SIDES, "both", "recall", "constant answer"), rows),)
    )


def _published(e: Evaluation) -> Iterable[Section]:
    official = e.subject.official
    if official is None:
        return
    s, here = e.statistics, "these photographs"
    emds = ("emd_r1", "emd_r2")
    rows = [
        cells(
            e.subject.model, _percent(s["accuracy"].model.value), number(s["srcc"].model.value, ".3f"),
            *(number(s[name].model.value, ".4f") for name in emds), "", here,
        ),
        cells(
            "constant answer", _percent(s["accuracy"].constant), "-",
            *(number(s[name].constant, ".4f") for name in emds), "", here,
        ),
        *(
            (
                Cell(one.name, one.source),
                *cells(_percent(one.accuracy), number(one.srcc, ".3f"), "", "", number(one.emd, ".3f"), one.split),
            )
            for one in official.results
        ),
    ]  # fmt: skip
    headings = columns("who", "accuracy at 5", "SRCC", "EMD r=1", "EMD r=2", "EMD, r not known")
    told = f"The official test list: {official.told}. {' '.join(f'{line}.' for line in official.notes)}"
    table = Table((*headings, Column("on which photographs", text=True)), tuple(rows))
    yield Section("Beside published results on AVA", told, (table,))


def _bins(e: Evaluation) -> Section:
    rows = tuple(
        cells(
            f"{one.low:.1f} to {one.high:.1f}", f"{one.n:,}", number(one.bias, "+.3f"), number(one.mae, ".3f"),
            number(one.accuracy, "%"),
        )
        for one in e.bins
    )  # fmt: skip
    told = (
        "By the mean rating of people; rating points. Too kind below and too strict above is what crowding looks like."
    )
    headings = columns("people's mean", "n", "model - people", "MAE", "accuracy at 5")
    return Section("Per rating bin", told, (Table(headings, rows),))


def _photographs(e: Evaluation, paths: Sequence[Path]) -> Iterable[Section]:
    kinds = (
        (e.best(_SHOWN), "Best by the model", "Highest predicted mean first"),
        (e.worst(_SHOWN), "Worst by the model", "Lowest predicted mean first"),
        (e.most_wrong(_SHOWN), "Most wrong", "Largest difference of the means first"),
    )
    found = {row: _picture(paths[row]) for row in {row for rows, _, _ in kinds for row in rows}}
    inferred = " (people's histograms are inferred from their mean)" if e.inferred else ""
    for rows, title, told in kinds:
        made = []
        for row in rows:
            a, b = float(people_means(e.people[row])), float(mean_rating(e.predicted[row]))
            sides = tuple(e.people[row].tolist()), tuple(e.predicted[row].tolist())
            detail = f"{a:.2f} → {b:.2f}"
            made.append(Card(e.names[row], (found[row],), number(b - a, "+.2f"), detail, histograms=sides))
        yield Section(title, f"{told}; people → model{inferred}.", (Cards(tuple(made), legend=title == kinds[0][1]),))


def _picture(path: Path) -> str | PictureError:
    try:
        return thumbnail(path)
    except PictureError as error:
        return error


def _percent(share: float | None) -> str:
    """A share as published results give theirs: two decimals."""
    return "-" if share is None else f"{100 * share:.2f} %"


def _tail_line(tail: Tail) -> str:
    """What became of one tail, in words."""
    of = f"{tail.side} {tail.edge:g}"
    if tail.people == 0:
        return f"Nobody's mean is {of}: recall is undefined; the model puts {tail.model:,} there."
    return (
        f"People rate {tail.people:,} {of}, the model puts {tail.both:,} of them there "
        f"({number(tail.recall.value, '%')}), and {tail.model - tail.both:,} others."
    )


def _answer_line(e: Evaluation) -> str:
    """What the constant answer is."""
    return (
        f"The constant answer gives every photograph the mean histogram of {e.constant.of} (mean "
        f"{e.constant.mean:.3f}); always saying 'good' is right for {number(e.constant.good_accuracy, '%')}"
    )


def _plots(e: Evaluation) -> Iterable[Plot]:
    people, model = people_means(e.people), mean_rating(e.predicted)
    sides = ("right side of 5", "wrong side of 5")
    tail = "a model that crowds puts none where people put some"
    yield Plot("Distributions of the mean", "the shaded tails are enlarged below", _draw_means(people, model))
    what = "on the dashed line the two agree; the thin lines are at 5"
    yield Plot("Mean ratings", what, plots.scatter(people, model, SIDES, sides))
    yield Plot("The low tail", tail, _draw_tail(people, model, "below"))
    yield Plot("The high tail", tail, _draw_tail(people, model, "above"))
    yield Plot("Error by people's rating", "flat at 0 is right; a fall is crowding", _draw_errors(e))
    yield Plot("All histograms together", "the mean of each share of ratings", _draw_histograms(e))


def _draw_means(people: Floats, model: Floats) -> Draw:
    def draw(axes: Any) -> None:
        _outlines(axes, people, model, np.arange(1.0, 10.0 + _BIN / 2, _BIN), density=True)
        low, high = _range(people, model)
        for edges in ((1.0, LOW_TAIL), (HIGH_TAIL, 10.0)):
            axes.axvspan(*edges, color=plots.LINE, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(FLIP_AT, color=plots.SOFT, linewidth=0.7)
        axes.set(xlim=(min(low, LOW_TAIL - 0.5), max(high, HIGH_TAIL + 0.5)))
        axes.set(xlabel="mean rating (the tails shaded)", ylabel="share of photographs per rating point")
        plots.legend(axes)

    return draw


def _draw_tail(people: Floats, model: Floats, side: str) -> Draw:
    low, high = (1.0, LOW_TAIL) if side == "below" else (HIGH_TAIL, 10.0)
    inside = [means[beyond(means, side)] for means in (people, model)]

    def draw(axes: Any) -> None:
        _outlines(axes, inside[0], inside[1], np.arange(low, high + _TAIL_BIN / 2, _TAIL_BIN), density=False)
        reach = np.concatenate(inside)
        if not len(reach):
            axes.text(0.5, 0.5, "no photograph of either", transform=axes.transAxes, ha="center", color=plots.SOFT)
            axes.set_xlim(low, high)
        elif side == "below":
            axes.set_xlim(min(float(np.floor(reach.min() * 2) / 2), high - 0.5), high)
        else:
            axes.set_xlim(low, max(float(np.ceil(reach.max() * 2) / 2), low + 0.5))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(bottom=0)
        axes.set(xlabel=f"mean rating, {side} {high if side == 'below' else low:g}", ylabel="photographs")
        if len(reach):
            plots.legend(axes)

    return draw


def _outlines(axes: Any, people: Floats, model: Floats, edges: Floats, *, density: bool) -> None:
    """Two histograms over each other: people's filled, the network's a line."""
    style: dict[str, Any] = {"bins": edges.tolist(), "density": density}
    told = [f" ({len(means):,})" if not density else "" for means in (people, model)]
    if len(people) or len(model):
        axes.hist(people, color=plots.REFERENCE, alpha=0.45, linewidth=0, label=f"people{told[0]}", **style)
        axes.hist(model, histtype="step", color=plots.CANDIDATE, linewidth=1.8, label=f"model{told[1]}", **style)
    axes.grid(False, axis="x")


def _range(*sides: Floats) -> tuple[float, float]:
    every = np.concatenate(sides)
    return max(1.0, float(every.min()) - 0.2), min(10.0, float(every.max()) + 0.2)


def _draw_errors(e: Evaluation) -> Draw:
    middles = [(one.low + one.high) / 2 for one in e.bins]

    def draw(axes: Any) -> None:
        constant = [e.constant.mean - middle for middle in middles]
        axes.plot(middles, constant, color=plots.SOFT, linewidth=1.1, linestyle=(0, (4, 3)), label="constant answer")
        axes.plot(
            middles,
            [one.bias for one in e.bins],
            "o-",
            color=plots.CANDIDATE,
            markersize=4,
            linewidth=1.6,
            label="model",
        )
        axes.axhline(0, color=plots.INK, linewidth=0.8)
        plots.annotate(axes, [(middle, one.bias, f"{one.n:,}") for middle, one in zip(middles, e.bins, strict=True)])
        axes.margins(y=0.14)
        axes.grid(False, axis="x")
        axes.set(xlabel="people's mean rating, bins of 0.5", ylabel="model minus people (n above)")
        plots.legend(axes)

    return draw


def _draw_histograms(e: Evaluation) -> Draw:
    people, model = e.people.mean(axis=0), e.predicted.mean(axis=0)

    def draw(axes: Any) -> None:
        for place, share, colour, label in (
            (-0.2, people, plots.REFERENCE, "people"),
            (0.2, model, plots.CANDIDATE, "model"),
        ):
            axes.bar(RATINGS + place, share, 0.38, color=colour, alpha=0.75, linewidth=0, label=label)
        axes.set_xticks(RATINGS)
        axes.grid(False, axis="x")
        axes.set(xlabel="rating", ylabel="share of ratings")
        plots.legend(axes)

    return draw


def as_document(e: Evaluation) -> dict[str, Any]:
    """An evaluation as what JSON holds; what is not defined is None, and `undefined` says why."""
    s = e.subject
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": s.model,
        "labels": s.labels,
        "split": s.split,
        "preprocessing": s.preprocessing,
        "n": e.n,
        "good_at": FLIP_AT,
        "inferred_histograms": e.inferred,
        "statistics": {
            name: {
                **_estimate_document(one.model),
                "constant": finite(one.constant),
                "difference": None if math.isnan(one.difference.value) else _estimate_document(one.difference),
            }
            for name, one in e.statistics.items()
        },
        "undefined": {name: one.undefined for name, one in e.statistics.items() if one.undefined},
        "tails": [
            {**asdict(tail), "recall": _estimate_document(tail.recall), "constant": finite(tail.constant)}
            for tail in e.tails
        ],
        "constant": asdict(e.constant),
        "collapse": asdict(e.collapse),
        "bins": [asdict(one) for one in e.bins],
        "bootstrap": {"kind": "percentile", "level": LEVEL, "resamples": e.resamples, "seed": e.seed},
        "best": _photographs_document(e, e.best(LISTED)),
        "worst": _photographs_document(e, e.worst(LISTED)),
        "most_wrong": _photographs_document(e, e.most_wrong(LISTED)),
        "official": None if s.official is None else asdict(s.official),
        "left_out": {why: list(names) for why, names in (s.left_out or {}).items()},
        "warnings": list(e.warnings),
    }


def as_json(e: Evaluation) -> str:
    """`as_document` as text, with a line end."""
    return json.dumps(as_document(e), indent=1, allow_nan=False) + "\n"


def _photographs_document(e: Evaluation, rows: list[int]) -> list[dict[str, Any]]:
    people, model = people_means(e.people), mean_rating(e.predicted)
    return [
        {"name": e.names[row], "people": float(people[row]), "model": float(model[row])} for row in rows
    ]  # fmt: skip


def _estimate_document(estimate: Estimate) -> dict[str, Any]:
    ends = [estimate.low, estimate.high]
    return {"value": finite(estimate.value), "interval": ends if all(map(math.isfinite, ends)) else None}
