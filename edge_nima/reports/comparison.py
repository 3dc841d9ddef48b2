"""Two models' agreement as a report, and as one JSON document."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.agreement import FLIP_AT, LEVEL
from edge_nima.comparison import BIN_WIDTH, Comparison, LayerError, why_undefined
from edge_nima.distribution import mean_rating
from edge_nima.people import AgainstPeople, PeoplePart
from edge_nima.reports import plots
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
    interval,
    listings,
    number,
    photographs,
    statistics_columns,
)
from edge_nima.reports.pages import need_report, page, write_page
from edge_nima.reports.thumbnails import thumbnails
from edge_nima.verdict import Verdict

FORMAT = "edge-nima comparison"
FORMAT_VERSION = 1
TITLE = "Does the candidate agree with the reference?"
SIDES = ("reference", "candidate")
_NONE = (math.nan, math.nan)
_TILES = ("mae", "bias", "p99", "srcc", "flips", "spread_ratio")

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


def write_report(
    path: str | os.PathLike[str],
    comparison: Comparison,
    *,
    layers: Sequence[LayerError] = (),
    photos: str | os.PathLike[str] | None = None,
    title: str = TITLE,
    verdict: Verdict | None = None,
) -> None:
    """Write a comparison as one self-contained HTML page; it appears whole, and replaces what is there.

    Args:
        path: the file.
        comparison: what it shows.
        layers: what quantising each layer costs; a section of its own when there are any.
        photos: folder of the photographs; without it, names are tried as paths.
        title: its heading.
        verdict: what the gate says of it.

    Raises:
        PackageMissing: Jinja2 or matplotlib is not installed.
        RequestError: `photos` is no folder, or `path` is one or is in none.
        OutputError: the page cannot be written.
    """
    need_report()
    worst = worst_photographs(comparison, None if photos is None else Path(photos))
    write_page(path, page(report(comparison, layers=layers, worst=worst, title=title, verdict=verdict)))


def report(
    comparison: Comparison,
    *,
    layers: Sequence[LayerError] = (),
    worst: Section | None = None,
    title: str = TITLE,
    verdict: Verdict | None = None,
) -> Report:
    """The report; arguments as of `write_report`, and `worst` as `worst_photographs` returns it."""
    c, why = comparison, why_undefined(comparison)
    sections = (_agreement(c, why), _people(c, why), _bins(c), worst, _layers(layers), _join(c))
    return Report(
        title, tuple(_head(c, verdict)), tuple(_notes(c)), tuple(_tiles(c)), tuple(_plots(c)),
        tuple(one for one in sections if one is not None),
        "Mean ratings lie in 1 to 10. EMD is (1/10 · Σ |CDF gap|^r)^(1/r) of the ten-bin histograms (Talebi and "
        "Milanfar 2018). A flip is a photograph whose two means lie on different sides of 5.",
        SIDES,
    )  # fmt: skip


def _head(c: Comparison, verdict: Verdict | None) -> Iterable[tuple[str, str]]:
    yield "reference", c.reference_name
    yield "candidate", c.candidate_name
    joined = f", joined {c.join.told}" if c.join else ""
    yield "photographs", f"n = {c.n:,}{f' ({c.on})' if c.on else ''}{joined}"
    if c.against_people:
        yield "people", f"{c.against_people.source}, n = {c.against_people.n:,}"
    if c.preprocessing:
        yield "preprocessing", c.preprocessing
    if verdict is not None:
        yield "gate", verdict.describe()


def _notes(c: Comparison) -> Iterable[str]:
    yield from c.warnings
    if c.join and (c.join.missing or c.join.extra or c.join.unscored):
        yield (
            f"{photographs(len(c.join.missing))} of the reference missing in the candidate, "
            f"{len(c.join.extra):,} extra, {len({one.name for one in c.join.unscored}):,} without a score: listed below"
        )


def _tiles(c: Comparison) -> Iterable[tuple[str, str, str]]:
    for row in (row for name in _TILES for row in AGREEMENT if row.field == name):
        ends = interval(*c.intervals.get(row.field, _NONE), row.form)
        value = number(getattr(c.agreement, row.field), row.form)
        yield row.label, value, f"95 % {ends}" if ends != "-" else row.unit


def _agreement(c: Comparison, why: Mapping[str, str]) -> Section:
    rows = []
    for row in AGREEMENT:
        undefined = why.get(f"agreement.{row.field}")
        share = number(c.agreement.share(row.field), "%") if row.unit == POINTS else ""
        value = estimate(getattr(c.agreement, row.field), c.intervals.get(row.field, _NONE), row.form)
        meaning = f"{row.meaning}; undefined: {undefined}" if undefined else row.meaning
        rows.append((Cell(row.label, row.unit), value, Cell(share), Cell(meaning)))
    told = (
        f"n = {c.n:,}. Intervals are 95 % percentile bootstrap, {c.resamples:,} resamples of the photographs, seed "
        f"{c.seed}; of SRCC and PLCC normal on Fisher's z with their draws, of flips Wilson's; extremes have none."
        + _undefined({path: one for path, one in why.items() if not path.startswith("people.")})
    )
    headings = statistics_columns(Column("value", "95 % interval"), Column("of the spread"))
    return Section("Agreement with the reference", told, (Table(headings, tuple(rows)),))


def _undefined(why: Mapping[str, str]) -> str:
    """Each reason once, with the statistics that it is of; those of bins are explained beside them."""
    named: dict[str, list[str]] = {}
    missing = ""
    for path, reason in why.items():
        if path in ("intervals", "people.intervals"):
            missing = f" No intervals: {reason}."
        elif not path.startswith("bins."):
            named.setdefault(reason, []).append(path.removeprefix("agreement."))
    told = "; ".join(f"{', '.join(of)} ({reason})" for reason, of in named.items())
    return missing + (f" Undefined, shown as -: {told}." if told else "")


def _people(c: Comparison, why: Mapping[str, str]) -> Section | None:
    part = c.against_people
    if part is None:
        return None
    b = part.baselines
    # Of the correlations the constant's value is not defined.
    constant = {
        "accuracy": b.accuracy, "emd_r1": b.emd_r1, "emd_r2": b.emd_r2, "mae": b.mae, "bias": 0.0, "spread_ratio": 0.0,
    }  # fmt: skip
    rows = []
    for row in PEOPLE:
        values = []
        for side in (*SIDES, "difference"):
            one = getattr(getattr(part, side), row.field)
            values.append(estimate(one.value, (one.low, one.high), row.form, side == "difference"))
        flat = Cell(number(constant.get(row.field), row.form))
        rows.append((Cell(row.label, row.unit), *values, flat, Cell(row.meaning)))
    told = (
        f"{part.source}, n = {part.n:,}. Below each number its 95 % interval; the difference is candidate minus "
        "reference, paired. The constant answer gives every photograph people's mean histogram of these very "
        f"photographs; always saying 'good' is right for {number(b.good_accuracy, '%')}."
    )
    if part.inferred:
        told += (
            " The labels hold means only: both EMDs are against max-entropy histograms of those means, wider than real "
            "ones."
        )
    told += _undefined({path: one for path, one in why.items() if path.startswith("people.")})
    headings = statistics_columns(*columns(*SIDES, "difference", "constant answer"))
    unrated = listings(("without ratings, left out here and in the bins", part.unrated))
    return Section("Against people", told, (Table(headings, tuple(rows)), *unrated))


def _bins(c: Comparison) -> Section:
    shown = [row for name in BINS for row in AGREEMENT if row.field == name]
    people = c.against_people is not None
    headings = ("mean rating", "n", *BINS.values(), *(("ref - people", "cand - people") if people else ()))
    rows = []
    for one in c.bins:
        values = [number(getattr(one.agreement, row.field), row.form) for row in shown]
        if people:
            values += [number(one.reference_error, "+.3f"), number(one.candidate_error, "+.3f")]
        rows.append(cells(f"{one.low:.1f} to {one.high:.1f}", f"{one.agreement.n:,}", *values))
    told = (
        f"Candidate against reference, in bins of {_whose(c)}; differences in rating points. A rank correlation inside "
        "a narrow bin is low by nature; '-' is not defined (one photograph, or all means the same)."
    )
    return Section("Per rating bin", told, (Table(columns(*headings), tuple(rows)),))


def _whose(c: Comparison) -> str:
    return "people's mean rating" if c.bins_of == "people" else "the reference's mean rating"


def worst_photographs(c: Comparison, folder: Path | None) -> Section:
    """The photographs whose means differ most.

    Args:
        c: the numbers.
        folder: where the photographs are; None tries their names as paths.

    Raises:
        RequestError: there is no such folder.
    """
    rows = c.worst()
    pictures = thumbnails([c.names[row] for row in rows], folder)
    a, b = mean_rating(c.reference), mean_rating(c.candidate)
    made = []
    for row in rows:
        people = None if c.people is None or np.isnan(c.people[row, 0]) else c.people[row]
        detail = f"{a[row]:.3f} → {b[row]:.3f}" + (
            "" if people is None else f", people {float(mean_rating(people)):.2f}"
        )
        sides = [side.tolist() for side in (c.reference[row], c.candidate[row], people) if side is not None]
        made.append(
            Card(
                c.names[row], (pictures.get(c.names[row]),), number(b[row] - a[row], "+.3f"), detail,
                histograms=tuple(map(tuple, sides)),
            )
        )  # fmt: skip
    told = "Largest difference of the mean first, reference → candidate, rating points."
    if c.people is not None:
        inferred = c.against_people is not None and c.against_people.inferred
        told += f" Outlined in the histograms: people{' (inferred from their mean)' if inferred else ''}."
    lost = sum(c.names[row] not in pictures for row in rows)
    if lost:
        told += (
            f" {lost} of these photographs {'is' if lost == 1 else 'are'} not on this machine under the recorded name: "
            "edge-nima compare … --photos DIR points at the folder that they are in."
        )
    return Section(f"The {len(rows)} worst photographs", told, (Cards(tuple(made), legend=True),))


def _layers(layers: Sequence[LayerError]) -> Section | None:
    if not layers:
        return None
    headings = (
        Column("layer"), Column("kind", text=True), Column("precision", text=True),
        *columns("weights, dB", "output, dB", f"MAE, {POINTS}"),
    )  # fmt: skip
    rows = [
        cells(
            layer.name, layer.kind, layer.precision, _decibels(layer.weight_snr_db), _decibels(layer.activation_snr_db),
            number(layer.mae, ".4f"),
        )
        for layer in layers
    ]  # fmt: skip
    told = (
        "Signal-to-noise ratio against the float model, decibels: low is bad. MAE is that of the mean rating when this "
        "layer alone is quantised."
    )
    plot = Plot(
        "Signal to noise by layer", f"{len(layers)} layers", _draw_layers(layers), 0.9 + 0.19 * len(layers), tall=True
    )
    return Section("Error by layer", told, (plot, Table(headings, tuple(rows))))


def _decibels(value: float | None) -> str:
    return "exact" if value == float("inf") else number(value, ".1f")


def _join(c: Comparison) -> Section | None:
    if c.join is None:
        return None
    unscored = [f"{one.name}: no score in the {one.side}: {one.error}" for one in c.join.unscored]
    parts = listings(
        ("of the reference missing in the candidate", c.join.missing),
        ("of the candidate that the reference does not have", c.join.extra),
        ("without a score on one side, left out", unscored),
        ("whose files differ in size", c.join.other_size),
    )
    told = f"Records were joined {c.join.told}.{'' if parts else ' None was left over.'}"
    return Section("Which photographs", told, parts)


def _plots(c: Comparison) -> Iterable[Plot]:
    a, b = mean_rating(c.reference), mean_rating(c.candidate)
    what = "on the dashed line the two agree; the thin lines are at 5"
    yield Plot("Mean ratings", what, plots.scatter(a, b, SIDES, ("same side of 5", "other side of 5")))
    yield Plot("Differences of the mean", f"n = {c.n:,}", _draw_differences(b - a, c.agreement.p99))
    yield Plot("Error per rating bin", "candidate against reference", _draw_bins(c))
    if c.against_people:
        what = "a line that falls to the right is a model whose ratings crowd in the middle"
        yield Plot("Error against people per rating bin", what, _draw_people(c))


def _draw_differences(gap: Any, p99: float) -> Draw:
    """How many photographs differ by how much."""

    def draw(axes: Any) -> None:
        reach = max(float(np.abs(gap).max()), 1e-3) * 1.02
        axes.hist(gap, bins=np.linspace(-reach, reach, 52).tolist(), color=plots.REFERENCE, alpha=0.75, linewidth=0)
        axes.axvline(0, color=plots.SOFT, linewidth=0.9)
        axes.axvline(gap.mean(), color=plots.CANDIDATE, linewidth=1.6, label=f"bias {gap.mean():+.4f}")
        for side in (-p99, p99):
            label = f"p99 {p99:.3f}" if side < 0 else None
            axes.axvline(side, color=plots.INK, linewidth=1.0, linestyle=(0, (2, 2)), label=label)
        axes.grid(False, axis="x")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="candidate minus reference, rating points", ylabel="photographs")
        plots.legend(axes)

    return draw


def _draw_bins(comparison: Comparison) -> Draw:
    bins = comparison.bins
    middles = [one.low + BIN_WIDTH / 2 for one in bins]

    def draw(axes: Any) -> None:
        width = 0.82 * BIN_WIDTH
        axes.bar(middles, [one.agreement.mae for one in bins], width, color=plots.REFERENCE, alpha=0.6, label="MAE")
        axes.plot(middles, [one.agreement.bias for one in bins], "D", color=plots.CANDIDATE, markersize=5, label="bias")
        axes.axhline(0, color=plots.SOFT, linewidth=0.9)
        tops = [max(one.agreement.mae, one.agreement.bias) for one in bins]
        plots.annotate(axes, zip(middles, tops, (f"{one.agreement.n:,}" for one in bins), strict=True))
        axes.margins(y=0.14)
        axes.grid(False, axis="x")
        axes.set(xlabel=f"{_whose(comparison)}, bins of {BIN_WIDTH:g}", ylabel="rating points (n above)")
        plots.legend(axes)

    return draw


def _draw_people(comparison: Comparison) -> Draw:
    bins = comparison.bins
    middles = [one.low + BIN_WIDTH / 2 for one in bins]

    def draw(axes: Any) -> None:
        for label, colour, values in (
            ("reference", plots.REFERENCE, [one.reference_error for one in bins]),
            ("candidate", plots.CANDIDATE, [one.candidate_error for one in bins]),
        ):
            axes.plot(middles, values, "o-", color=colour, markersize=4, linewidth=1.6, label=label)
        axes.axhline(0, color=plots.SOFT, linewidth=0.9)
        axes.grid(False, axis="x")
        axes.set(xlabel=f"{_whose(comparison)}, bins of {BIN_WIDTH:g}", ylabel="model minus people, rating points")
        plots.legend(axes)

    return draw


def _draw_layers(layers: Sequence[LayerError]) -> Draw:
    def draw(axes: Any) -> None:
        places = np.arange(len(layers))
        outputs = [layer.activation_snr_db for layer in layers]
        top = max([db for db in outputs if np.isfinite(db)], default=0.0)
        # A layer that is exact has a bar to the edge; one of which nothing is known has none.
        drawn = np.nan_to_num(outputs, nan=0.0, posinf=1.1 * top, neginf=0.0)
        axes.barh(places, drawn, 0.7, color=plots.REFERENCE, alpha=0.6, label="output")
        with_weights = [
            (place, layer.weight_snr_db)
            for place, layer in enumerate(layers)
            if layer.weight_snr_db is not None and np.isfinite(layer.weight_snr_db)
        ]
        if with_weights:
            axes.plot(
                [db for _, db in with_weights], [place for place, _ in with_weights], "D", color=plots.CANDIDATE,
                markersize=4.5, label="weights",
            )  # fmt: skip
        plots.rows(axes, [layer.name for layer in layers])
        axes.set(xlabel="signal to noise, dB (each 6 dB: half the error)")
        plots.legend(axes)

    return draw


def as_document(
    comparison: Comparison, layers: Sequence[LayerError] = (), verdict: Verdict | None = None
) -> dict[str, Any]:
    """A comparison as what JSON holds: objects, lists, text, finite numbers and None.

    What is not defined is None; `undefined` says why, by path.

    Args:
        comparison: the numbers.
        layers: what quantising each layer costs; none are left out of the document.
        verdict: what the gate says of it; None is left out.
    """
    c = comparison
    a, b = mean_rating(c.reference), mean_rating(c.candidate)
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "reference": c.reference_name,
        "candidate": c.candidate_name,
        "on": c.on,
        "preprocessing": c.preprocessing,
        "n": c.n,
        "flip_at": FLIP_AT,
        "agreement": asdict(c.agreement),
        "bootstrap": {"kind": "percentile", "level": LEVEL, "resamples": c.resamples, "seed": c.seed},
        "intervals": {name: _ends(*ends) for name, ends in c.intervals.items()},
        "bins": {
            "of": c.bins_of,
            "width": BIN_WIDTH,
            "rows": [
                {
                    "low": one.low,
                    "high": one.high,
                    **asdict(one.agreement),
                    "reference_error": one.reference_error,
                    "candidate_error": one.candidate_error,
                }
                for one in c.bins
            ],
        },
        "people": None if c.against_people is None else _people_document(c.against_people),
        "worst": [
            {
                "name": c.names[row],
                "reference": float(a[row]),
                "candidate": float(b[row]),
                "difference": float(b[row] - a[row]),
            }
            for row in c.worst()
        ],
        "join": None if c.join is None else asdict(c.join),
        "undefined": why_undefined(c),
        "warnings": list(c.warnings),
    }
    if layers:
        document["layers"] = [asdict(layer) for layer in layers]
    if verdict is not None:
        document["gate"] = asdict(verdict)
    clean: dict[str, Any] = finite(document)
    return clean


def as_json(comparison: Comparison, layers: Sequence[LayerError] = (), verdict: Verdict | None = None) -> str:
    """`as_document` as text, with a line end."""
    return json.dumps(as_document(comparison, layers, verdict), indent=1, allow_nan=False) + "\n"


def _people_document(part: PeoplePart) -> dict[str, Any]:
    b = part.baselines
    return {
        "source": part.source,
        "n": part.n,
        "unrated": list(part.unrated),
        "inferred_histograms": part.inferred,
        **{side: _against(getattr(part, side)) for side in ("reference", "candidate", "difference")},
        "baselines": {
            "always_good": {"accuracy": b.good_accuracy},
            "mean_histogram": {
                "histogram": list(b.histogram),
                "accuracy": b.accuracy,
                "emd_r1": b.emd_r1,
                "emd_r2": b.emd_r2,
                "mae": b.mae,
            },
        },
    }


def _against(model: AgainstPeople) -> dict[str, Any]:
    found = {}
    for field in fields(model):
        estimate = getattr(model, field.name)
        found[field.name] = {"value": estimate.value, "interval": _ends(estimate.low, estimate.high)}
    return found


def _ends(low: float, high: float) -> list[float] | None:
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None
