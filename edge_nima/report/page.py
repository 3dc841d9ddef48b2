"""A comparison as one HTML page: its style, plots and photographs are inside it, and it loads nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_nima import __version__
from edge_nima.comparison import Comparison, LayerError
from edge_nima.gate import Verdict
from edge_nima.report import plots
from edge_nima.report.parts import cell, document, figure, listing, table, text, tile, write_document
from edge_nima.report.photographs import worst_section
from edge_nima.report.rows import (
    AGREEMENT,
    BINS,
    PEOPLE,
    POINTS,
    Row,
    interval,
    number,
    of_spread,
    photographs,
    unscored_line,
)
from edge_nima.undefined import why_undefined

_TILES = ("mae", "bias", "p99", "srcc", "flips", "spread_ratio")


def write_report(
    path: str | os.PathLike[str],
    comparison: Comparison,
    *,
    layers: Sequence[LayerError] = (),
    photos: str | os.PathLike[str] | None = None,
    title: str = "Does the candidate agree with the reference?",
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
        PackageMissing: matplotlib is not installed.
        RequestError: `photos` is no folder, or `path` is one or is in none.
        OutputError: the page cannot be written.
    """
    plots.need_matplotlib()
    write_document(path, page(comparison, layers=layers, photos=photos, title=title, verdict=verdict))


def page(
    comparison: Comparison,
    *,
    layers: Sequence[LayerError] = (),
    photos: str | os.PathLike[str] | None = None,
    title: str = "Does the candidate agree with the reference?",
    verdict: Verdict | None = None,
) -> str:
    """The page that `write_report` writes.

    Raises:
        RequestError: `photos` is no folder.
    """
    c = comparison
    why = why_undefined(c)
    sections = [
        _head(c, title, verdict),
        _warnings(c),
        _tiles(c),
        _plots(c),
        _agreement(c, why),
        _people(c, why),
        _bins(c),
        worst_section(c, None if photos is None else Path(photos)),
        _layers(layers),
        _join(c),
        _foot(c),
    ]
    return document(title, sections)


def _head(c: Comparison, title: str, verdict: Verdict | None) -> str:
    on = f" ({text(c.on)})" if c.on else ""
    rows = [
        ('<span class="dot reference"></span>reference', text(c.reference_name)),
        ('<span class="dot candidate"></span>candidate', text(c.candidate_name)),
        ("photographs", f"n = {c.n:,}{on}" + (f", joined {text(c.join.told)}" if c.join else "")),
    ]
    if c.against_people:
        rows.append(("people", f"{text(c.against_people.source)}, n = {c.against_people.n:,}"))
    if c.preprocessing:
        rows.append(("preprocessing", text(c.preprocessing)))
    if verdict is not None:
        rows.append(("gate", text(verdict.describe())))
    sides = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<h1>{text(title)}</h1>\n<dl class="sides">{sides}</dl>'


def _warnings(c: Comparison) -> str:
    told = list(c.warnings)
    if c.join and (c.join.missing or c.join.extra or c.join.unscored):
        told.append(
            f"{photographs(len(c.join.missing))} of the reference missing in the candidate, "
            f"{len(c.join.extra):,} extra, {len({one.name for one in c.join.unscored}):,} without a score: listed below"
        )
    if not told:
        return ""
    return f'<ul class="warnings">{"".join(f"<li>{text(line)}</li>" for line in told)}</ul>'


def _tiles(c: Comparison) -> str:
    tiles = []
    for row in (row for name in _TILES for row in AGREEMENT if row.field == name):
        ends = interval(*c.intervals.get(row.field, (float("nan"),) * 2), row.form)
        value = number(getattr(c.agreement, row.field), row.form)
        detail = f"95 % {ends}" if ends != "-" else row.unit
        tiles.append(tile(row.label, value, detail))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _plots(c: Comparison) -> str:
    figures = [
        figure("Mean ratings", "on the dashed line the two agree; the thin lines are at 5", plots.scatter_of_means(c)),
        figure("Differences of the mean", f"n = {c.n:,}", plots.histogram_of_differences(c)),
        figure("Error per rating bin", "candidate against reference", plots.error_by_bin(c)),
    ]
    if c.against_people:
        what = "a line that falls to the right is a model whose ratings crowd in the middle"
        figures.append(figure("Error against people per rating bin", what, plots.error_to_people_by_bin(c)))
    return f'<div class="plots">{"".join(figures)}</div>'


def _label(row: Row) -> str:
    return f'{text(row.label)}<span class="unit">{text(row.unit)}</span>'


def _reason(why: Mapping[str, str], paths: Sequence[str]) -> str:
    told = dict.fromkeys(why[path] for path in paths if path in why)
    return "; ".join(told)


def _agreement(c: Comparison, why: Mapping[str, str]) -> str:
    rows = []
    for row in AGREEMENT:
        ends = interval(*c.intervals.get(row.field, (float("nan"),) * 2), row.form)
        undefined = _reason(why, (f"agreement.{row.field}",))
        meaning = f"{row.meaning}; undefined: {undefined}" if undefined else row.meaning
        value = number(getattr(c.agreement, row.field), row.form)
        share = cell(of_spread(c.agreement, row))
        rows.append([_label(row), cell(value, ends), share, f'<td class="text wide">{text(meaning)}</td>'])
    few = f" No intervals: {text(why['intervals'])}." if "intervals" in why else ""
    return (
        "<h2>Agreement with the reference</h2>"
        f'<p class="told">n = {c.n:,}. Intervals are 95 % percentile bootstrap, {c.resamples:,} resamples of the '
        f"photographs, seed {c.seed}; of SRCC and PLCC normal on Fisher's z with their draws, of flips Wilson's; "
        f"extremes have none.{few}</p>"
        + table(["statistic", "value, 95 % interval", "of the spread", "what it is"], rows)
    )


def _people(c: Comparison, why: Mapping[str, str]) -> str:
    part = c.against_people
    if part is None:
        return ""
    b = part.baselines
    # Of these the reader knows the constant's value without being told, or it is not defined.
    constant = {"accuracy": b.accuracy, "emd_r1": b.emd_r1, "emd_r2": b.emd_r2, "mae": b.mae, "bias": 0.0}
    rows = []
    for row in PEOPLE:
        cells = [_label(row)]
        for side in ("reference", "candidate", "difference"):
            one, signed = getattr(getattr(part, side), row.field), side == "difference"
            cells.append(
                cell(number(one.value, row.form, signed), interval(one.low, one.high, row.form, signed))
            )  # fmt: skip
        cells.append(cell("0.000" if row.field == "spread_ratio" else number(constant.get(row.field), row.form)))
        rows.append(cells)
    told = (
        f"{text(part.source)}, n = {part.n:,}. The difference is candidate minus reference, with its paired interval. "
        "The constant answer gives every photograph people's mean histogram of these very photographs; "
        f"always saying “good” is right for {number(b.good_accuracy, '%')}."
    )
    if part.inferred:
        told += " People's histograms are inferred from their means: both EMDs are against max-entropy histograms."
    if "people.intervals" in why:
        told += f" No intervals: {text(why['people.intervals'])}."
    undefined = _reason(why, [path for path in why if path.startswith("people.") and path != "people.intervals"])
    if undefined:
        told += f" Undefined: {text(undefined)}."
    headings = [
        "statistic", '<span class="dot reference"></span>reference', '<span class="dot candidate"></span>candidate',
        "difference", "constant answer",
    ]  # fmt: skip
    unrated = ""
    if part.unrated:
        unrated = listing(f"{photographs(len(part.unrated))} without ratings, left out here", part.unrated)
    return f'<h2>Against people</h2><p class="told">{told}</p>{table(headings, rows)}{unrated}'


def _bins(c: Comparison) -> str:
    shown = [row for name in BINS for row in AGREEMENT if row.field == name]
    headings = ["mean rating", "n", *BINS.values()]
    errors = c.against_people is not None
    if errors:
        headings += ["reference - people", "candidate - people"]
    rows = []
    for one in c.bins:
        cells = [f"{one.low:.1f} to {one.high:.1f}", cell(f"{one.agreement.n:,}")]
        cells += [cell(number(getattr(one.agreement, row.field), row.form)) for row in shown]
        if errors:
            cells += [cell(number(one.reference_error, "+.3f")), cell(number(one.candidate_error, "+.3f"))]
        rows.append(cells)
    whose = "people's mean rating" if c.bins_of == "people" else "the reference's mean rating"
    return (
        f'<h2>Per rating bin</h2><p class="told">Candidate against reference, in bins of {whose}; differences in '
        "rating points. A rank correlation inside a narrow bin is low by nature; “-” is not defined (one photograph, "
        f"or all means the same).</p>{table(headings, rows, 'tight')}"
    )


def _layers(layers: Sequence[LayerError]) -> str:
    if not layers:
        return ""
    rows = [
        [
            text(layer.name),
            f'<td class="text">{text(layer.kind)}</td>',
            f'<td class="text">{text(layer.precision)}</td>',
            cell(_decibels(layer.weight_snr_db)),
            cell(_decibels(layer.activation_snr_db)),
            cell(number(layer.mae, ".4f")),
        ]
        for layer in layers
    ]
    headings = ["layer", "kind", "precision", "weights, dB", "output, dB", f'MAE<span class="unit">{POINTS}</span>']
    return (
        '<h2>Error by layer</h2><p class="told">Signal-to-noise ratio against the float model, decibels: low is bad. '
        "MAE is that of the mean rating when this layer alone is quantised.</p>"
        + figure("Signal to noise by layer", f"{len(layers)} layers", plots.error_by_layer(layers), "tall")
        + table(headings, rows)
    )


def _decibels(value: float | None) -> str:
    return "exact" if value == float("inf") else number(value, ".1f")


def _join(c: Comparison) -> str:
    if c.join is None:
        return ""
    parts = [
        listing(f"{photographs(len(names))} {what}", names)
        for names, what in (
            (c.join.missing, "of the reference that the candidate lacks"),
            (c.join.extra, "of the candidate that the reference lacks"),
            (tuple(map(unscored_line, c.join.unscored)), "that one side could not score"),
            (c.join.other_size, "whose files differ in size"),
        )
        if names
    ]
    told = f"Records were joined {text(c.join.told)}."
    return (
        f'<h2>Which photographs</h2><p class="told">{told}{"" if parts else " None was left over."}</p>{"".join(parts)}'
    )


def _foot(c: Comparison) -> str:
    return (
        f"<footer>edge_nima {text(__version__)}. Mean ratings lie in 1 to 10. EMD is (1/10 · Σ |CDF gap|<sup>r</sup>)"
        "<sup>1/r</sup> of the ten-bin histograms (Talebi and Milanfar 2018). A flip is a photograph whose two means "
        "lie on different sides of 5.</footer>"
    )
