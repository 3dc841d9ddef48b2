"""An evaluation as one HTML page: its style, plots and photographs are inside it, and it loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from edge_nima import __version__
from edge_nima.distribution import mean_rating
from edge_nima.errors import PictureError
from edge_nima.people import people_means
from edge_nima.report.parts import cell, document, figure, listing, table, text, tile
from edge_nima.report.photographs import histograms
from edge_nima.report.rows import Row, interval, number, photographs
from edge_nima.report.thumbnails import thumbnail
from edge_nima_train import figures
from edge_nima_train.evaluation import (
    ROWS,
    Evaluation,
    Statistic,
    answer_line,
    constant_of,
    percent,
    tail_line,
    undefined,
)
from edge_nima_train.more_statistics import Tail

_TILES = ("srcc", "plcc", "accuracy", "emd_r2", "mae", "spread_ratio")
_NOT_SHOWN = "<span>not shown</span>"
_SHOWN = 8
"""Photographs of each kind."""


def page(e: Evaluation, paths: Sequence[Path] = ()) -> str:
    """The page.

    Args:
        e: the numbers.
        paths: n of them, where the photographs are; none to show none.
    """
    sections = [
        _head(e), _notes(e), _tiles(e), _plots(e), _statistics(e), _tails(e), _published(e), _bins(e),
        _photographs(e, paths), _left_out(e), _foot(e),
    ]  # fmt: skip
    return document(f"{e.subject.model} against people", sections)


def _head(e: Evaluation) -> str:
    s = e.subject
    rows = [
        ('<span class="dot candidate"></span>model', text(s.model)),
        ('<span class="dot reference"></span>people', f"{text(s.labels)}{', means only' if e.inferred else ''}"),
        ("photographs", f"n = {e.n:,}, split “{text(s.split)}”"),
    ]
    if s.preprocessing:
        rows.append(("preprocessing", text(s.preprocessing)))
    sides = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<h1>Does the model rate as people do?</h1>\n<dl class="sides">{sides}</dl>'


def _notes(e: Evaluation) -> str:
    """The gate's verdict in words, then what else a reader must know."""
    told = list(e.warnings)
    if e.collapse.status != "passed":
        told.insert(0, f"Collapse gate {e.collapse.status}: {e.collapse.told}")
    left = sum(len(names) for names in (e.subject.left_out or {}).values())
    if left:
        told.append(f"{photographs(left)} left out, listed below")
    lines = f'<ul class="warnings">{"".join(f"<li>{text(line)}</li>" for line in told)}</ul>' if told else ""
    passed = (
        f'<p class="told">Collapse gate passed: {text(e.collapse.told)}.</p>' if e.collapse.status == "passed" else ""
    )
    return lines + passed


def _tiles(e: Evaluation) -> str:
    tiles = []
    for row in (row for field in _TILES for row in ROWS if row.field == field):
        one = e.statistics[row.field]
        constant = f"constant {constant_of(one, row)}" if math.isfinite(one.constant) else row.unit
        tiles.append(tile(row.label, number(one.model.value, row.form), constant))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _plots(e: Evaluation) -> str:
    what = "a model that crowds puts none where people put some"
    drawn = [
        figure("Distributions of the mean", "the shaded tails are enlarged below", figures.distributions_of_means(e)),
        figure("Mean ratings", "on the dashed line the two agree; the thin lines are at 5", figures.scatter(e)),
        figure("The low tail", what, figures.tail_of_means(e, "below")),
        figure("The high tail", what, figures.tail_of_means(e, "above")),
        figure("Error by people's rating", "flat at 0 is right; a fall is crowding", figures.error_by_rating(e)),
        figure("All histograms together", "the mean of each share of ratings", figures.mean_histograms(e)),
    ]
    return f'<div class="plots">{"".join(drawn)}</div>'


def _statistics(e: Evaluation) -> str:
    rows = [
        [
            _label(row.label, row.unit),
            _estimate(one.model, row),
            cell(constant_of(one, row)),
            _estimate(one.difference, row, signed=True),
            f'<td class="text wide">{text(row.meaning)}</td>',
        ]
        for row, one in ((row, e.statistics[row.field]) for row in ROWS)
    ]
    missing = undefined(e)
    told = (
        f"n = {e.n:,}. Below each number its 95 % interval, percentile bootstrap, {e.resamples:,} resamples of the "
        f"photographs, seed {e.seed}; a difference is paired. {_sentence(answer_line(e))}"
        + (" EMD is against max-entropy histograms of people's means, wider than real ones." if e.inferred else "")
        + (f" Not defined: {missing}." if missing else "")
    )
    headings = ["statistic", '<span class="dot candidate"></span>model', "constant answer", "difference", "what it is"]
    return f'<h2>Against people</h2><p class="told">{text(told)}</p>{table(headings, rows)}'


def _label(name: str, unit: str) -> str:
    return f'{text(name)}<span class="unit">{text(unit)}</span>'


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _estimate(estimate: object, row: Row, signed: bool = False) -> str:
    value, low, high = (getattr(estimate, field) for field in ("value", "low", "high"))
    return cell(number(value, row.form, signed), interval(low, high, row.form, signed))


def _tails(e: Evaluation) -> str:
    def cells(tail: Tail) -> list[str]:
        return [
            f"{tail.side} {tail.edge:g}", cell(f"{tail.people:,}"), cell(f"{tail.model:,}"), cell(f"{tail.both:,}"),
            cell(number(tail.recall.value, "%"), interval(tail.recall.low, tail.recall.high, "%")),
            cell(number(tail.constant, "%")),
        ]  # fmt: skip

    headings = ["mean rating", "people", "model", "both", "recall", "constant answer"]
    told = "Photographs whose mean lies there. Recall is the share of people's that the model puts there too. "
    told += " ".join(_sentence(tail_line(tail)) for tail in e.tails)
    return f'<h2>The tails</h2><p class="told">{text(told)}</p>{table(headings, [cells(tail) for tail in e.tails])}'


def _published(e: Evaluation) -> str:
    official = e.subject.official
    if official is None:
        return ""

    def cells(name: str, split: str, accuracy: float | None, srcc: float | None, emd: str) -> list[str]:
        told = f'<td class="text wide">{text(split)}</td>'
        return [name, cell(percent(accuracy)), cell(number(srcc, ".3f")), cell(emd), told]

    def value(one: Statistic) -> float:
        return one.model.value

    s = e.statistics
    ours = f"{value(s['emd_r1']):.4f} (r=1), {value(s['emd_r2']):.4f} (r=2)"
    rows = [cells(f"<b>{text(e.subject.model)}</b>", "these photographs", value(s["accuracy"]), value(s["srcc"]), ours)]
    flat = f"{s['emd_r1'].constant:.4f} (r=1), {s['emd_r2'].constant:.4f} (r=2)"
    rows.append(cells("constant answer", "these photographs", s["accuracy"].constant, None, flat))
    rows += [
        cells(_label(one.name, one.source), one.split, one.accuracy, one.srcc, number(one.emd, ".3f"))
        for one in official.results
    ]
    headings = ["who", "accuracy at 5", "SRCC", "EMD", "on which photographs"]
    notes = "".join(f"<li>{text(line)}</li>" for line in official.notes)
    return (
        f'<h2>Beside published results on AVA</h2><p class="told">The official test list: {text(official.told)}.</p>'
        f'<ul class="warnings">{notes}</ul>{table(headings, rows)}'
    )


def _bins(e: Evaluation) -> str:
    rows = [
        [
            f"{one.low:.1f} to {one.high:.1f}", cell(f"{one.n:,}"), cell(number(one.bias, "+.3f")),
            cell(number(one.mae, ".3f")), cell(number(one.accuracy, "%")),
        ]
        for one in e.bins
    ]  # fmt: skip
    headings = ["people's mean", "n", "model - people", "MAE", "accuracy at 5"]
    return (
        '<h2>Per rating bin</h2><p class="told">By the mean rating of people; rating points. Too kind below and too '
        f"strict above is what crowding looks like.</p>{table(headings, rows, 'tight')}"
    )


def _photographs(e: Evaluation, paths: Sequence[Path]) -> str:
    kinds = (
        (e.best(_SHOWN), "Best by the model", "Highest predicted mean first."),
        (e.worst(_SHOWN), "Worst by the model", "Lowest predicted mean first."),
        (e.most_wrong(_SHOWN), "Most wrong", "Largest difference of the means first."),
    )
    found = {row: _picture(paths[row]) for row in {row for rows, _, _ in kinds for row in rows}} if paths else {}
    inferred = " (inferred from their mean)" if e.inferred else ""
    legend = (
        f'<p class="told">Histograms: share of ratings 1 to 10, <span class="dot reference"></span>people{inferred}, '
        '<span class="dot candidate"></span>model; above them their means, and model minus people.</p>'
    )
    parts = [
        f'<h2>{title}</h2><p class="told">{told}</p>{legend if place == 0 else ""}<div class="photographs">'
        f"{''.join(_card(e, row, found.get(row, _NOT_SHOWN)) for row in rows)}</div>"
        for place, (rows, title, told) in enumerate(kinds)
    ]
    return "".join(parts)


def _picture(path: Path) -> str:
    try:
        return f'<img src="{thumbnail(path)}" alt="">'
    except PictureError as error:
        return f"<span>{text(error)}</span>"


def _card(e: Evaluation, row: int, picture: str) -> str:
    a, b = float(people_means(e.people[row])), float(mean_rating(e.predicted[row]))
    return (
        f'<div class="card"><div class="picture">{picture}</div><div class="body"><div class="means">'
        f'<span class="dot reference"></span>{a:.2f} &nbsp;<span class="dot candidate"></span>{b:.2f} &nbsp;'
        f"<b>{number(b - a, '+.2f')}</b></div>"
        f"{histograms(e.people[row], e.predicted[row], what='Histograms of people and model, ratings 1 to 10')}"
        f'<div class="name">{text(e.names[row])}</div></div></div>'
    )


def _left_out(e: Evaluation) -> str:
    parts: Sequence[str] = [
        listing(f"{photographs(len(names))} {why}", names) for why, names in (e.subject.left_out or {}).items() if names
    ]
    return f"<h2>Left out</h2>{''.join(parts)}" if parts else ""


def _foot(e: Evaluation) -> str:
    return (
        f"<footer>edge_nima {text(__version__)}. Mean ratings lie in 1 to 10. EMD is (1/10 · Σ |CDF gap|<sup>r</sup>)"
        "<sup>1/r</sup> of the ten-bin histograms (Talebi and Milanfar 2018). “Good” is a mean of 5 or more. The "
        "spread ratio is the standard deviation of the model's means over that of people's; an honest least-squares "
        "answer has about its PLCC.</footer>"
    )
