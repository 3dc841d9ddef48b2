"""An examination as a report, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from edge_nima.changes import EDGES, WORSE, Change, Make, Photograph
from edge_nima.errors import PictureError
from edge_nima.examine import Effect, Examination, Examined, Steadiness
from edge_nima.reports import plots
from edge_nima.reports.model import (
    Card,
    Cards,
    Cell,
    Column,
    Draw,
    Plot,
    Report,
    Section,
    Table,
    cells,
    columns,
    finite,
    interval,
    listings,
    number,
    photographs,
)
from edge_nima.reports.pages import need_report, page, write_page
from edge_nima.reports.thumbnails import as_uri

FORMAT = "edge-nima examination"
FORMAT_VERSION = 1
_LINES = 60


def report(e: Examination, on_page: bool = False) -> Report:
    """The report; the worst examples, which are made again from their files, are for pages alone."""
    lost = listings(("not readable", [f"{name}: {why}" for name, why in e.failures.items()]))
    sections = [*_tables(e)]
    if on_page:
        sections.append(_worst(e))
    if lost and on_page:
        sections.append(Section("Left out", "", lost))
    return Report(
        "Is the score steady, and does a worse picture score lower?",
        tuple(_head(e).items()),
        tuple(_left_out(e)),
        tuple((one.family, f"{one.mean:.3f}", f"std; worst {one.worst:.3f}") for one in e.steadiness),
        tuple(_plots(e)),
        tuple(sections),
        "Scores are mean ratings, 1 to 10. Standard deviations are of the population; intervals are Wilson's.",
    )


def _tables(e: Examination) -> list[Section]:
    """Steadiness, its versions, and the pictures made worse."""
    worse = [effect for effect in e.effects if effect.change.family == WORSE]
    done = {effect.change.name for effect in e.effects}
    missing = [change.label for change in e.changes if change.name not in done]
    without = f" Nothing here allows: {', '.join(missing)}." if missing else ""
    what = Column("what it is", text=True, page_only=True)
    steady = tuple(
        cells(one.family, f"{one.n:,}", f"{one.mean:.3f}", f"{one.worst:.3f}", number(one.of_spread, "%"))
        for one in e.steadiness
    )
    versions = tuple(
        cells(one.change.label, f"{one.n:,}", *_moves(one), one.change.what)
        for one in e.effects if one.change.family != WORSE
    )  # fmt: skip
    lower = tuple(
        (
            *cells(one.change.label, f"{one.n:,}"),
            Cell(number(one.lower, "%"), interval(*one.lower_interval, "%")),
            *cells(*_moves(one), one.change.what),
        )
        for one in worse
    )
    share = Column("lower", "95 % interval")
    return [
        Section(
            "Steadiness",
            "Standard deviation of one photograph's score, as it is and in its versions, rating points; spread: that "
            f"of all photographs' scores, {number(e.spread, '.3f')}.",
            (Table(columns("should not depend on", "n", "mean", "worst", "mean / spread"), steady),),
        ),
        Section(
            "Versions",
            f"Score minus that of the photograph as it is, decoded in full, rating points.{without}",
            (Table((*columns("version", "n", "mean", "lowest", "highest"), what), versions),),
        ),
        Section(
            "Does a worse picture score lower?",
            f"Photographs at a longest edge of {e.edge} pixels at most, then changed: the share that scores lower with "
            "its 95 % interval, and after minus before, rating points.",
            (Table((*columns("change", "n"), share, *columns("mean", "lowest", "highest"), what), lower),),
        ),
    ]  # fmt: skip


def _moves(effect: Effect) -> tuple[str, ...]:
    return tuple(f"{round(value, 3) + 0:+.3f}" for value in (effect.mean, effect.lowest, effect.highest))


def _head(e: Examination) -> dict[str, str]:
    """Model, photographs and their scores, by what they are."""
    edges = [max(one.width, one.height) for one in e.photographs]
    size = f"{min(edges)}" if min(edges) == max(edges) else f"{min(edges)} to {max(edges)}"
    drawn = f", {e.drawn:,} of {e.found:,} drawn with seed {e.seed}" if e.drawn < e.found else ""
    return {
        "model": e.model,
        "preprocessing": e.preprocessing,
        "photographs": f"n = {e.n:,}{drawn}; longest edge {size} pixels",
        "their scores": f"mean {e.mean:.3f}, standard deviation {number(e.spread, '.3f')} (the spread)",
    }


def _left_out(e: Examination) -> list[str]:
    """What the numbers do not cover, one line each."""
    told = []
    if not e.complete:
        told.append(f"interrupted after {e.n + len(e.failures):,} of {photographs(e.drawn)}")
    if e.failures:
        told.append(f"{photographs(len(e.failures))} not readable, left out")
    if not e.opencv:
        told.append("OpenCV is not installed, its decoder left out: pip install 'edge-nima[camera]'")
    return told


def as_json(examination: Examination) -> str:
    """All numbers, format_version 1: keys are added, not renamed, while that stays. Undefined numbers are null."""
    e = examination
    content: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **_plain(e, "photographs", "max_megapixels"),
        "n": e.n,
        "mean": e.mean,
        "spread": e.spread,
        "steadiness": [{**_plain(one), "example": one.example.name} for one in e.steadiness],
        "changes": [
            {**_plain(one.change, "make", "against"), **_plain(one, "change"), "example": one.example.name}
            for one in e.effects
        ],
        "photographs": [_plain(one, "path") for one in e.photographs],
    }
    return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"


def _plain(one: Examination | Examined | Steadiness | Effect | Change, *leave: str) -> dict[str, Any]:
    return {item.name: getattr(one, item.name) for item in fields(one) if item.name not in leave}


def write_report(path: str | os.PathLike[str], examination: Examination) -> None:
    """Write an examination as one self-contained HTML page; it appears whole, and replaces what is there.

    Raises:
        PackageMissing: Jinja2 or matplotlib is not installed.
        RequestError: `path` is a folder or is in none.
        OutputError: the page cannot be written.
    """
    need_report()
    write_page(path, page(report(examination, on_page=True)))


def _plots(e: Examination) -> list[Plot]:
    reduced = [(change, edge) for change in e.changes for edge in EDGES if change.name == f"edge_{edge}"]
    lines = []
    for one in e.photographs:
        points = [(edge, one.difference(change)) for change, edge in reduced if change.name in one.scores]
        if points:
            lines.append([(max(one.width, one.height), 0.0), *points])

    def draw(axes: Any) -> None:
        for line in lines[:_LINES]:
            axes.plot(*zip(*line, strict=True), color=plots.REFERENCE, alpha=0.35, linewidth=1.0)
        known = {effect.change.name: effect.mean for effect in e.effects}
        means = [(edge, known[change.name]) for change, edge in reduced if change.name in known]
        label = "mean of those that are larger"
        axes.plot(*zip(*means, strict=True), "o", color=plots.CANDIDATE, markersize=5, label=label)
        axes.axhline(0, color=plots.SOFT, linewidth=0.9)
        axes.axvline(e.edge, color=plots.INK, linewidth=0.9, linestyle=(0, (2, 2)), label=f"{e.edge} px")
        axes.set_xscale("log", base=2)
        low, high = axes.get_xlim()
        ticks = [tick for tick in (320, 640, 1280, 2560, 5120) if low <= tick <= high]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set(xlabel="longest edge of the source, pixels", ylabel="change of the score, rating points")
        plots.legend(axes)

    which = f", the first {_LINES} of {len(lines):,}" if len(lines) > _LINES else ""
    over = [Plot("Score over the size of the source", f"one line a photograph{which}", draw)] if lines else []
    what = "one dot a photograph, the mean marked; left of 0 the score drops"
    return [*over, Plot("Pictures made worse", what, _draw_worse(e))]


def _draw_worse(e: Examination) -> Draw:
    effects = [effect for effect in e.effects if effect.change.family == WORSE]

    def draw(axes: Any) -> None:
        for place, effect in enumerate(effects):
            moves = [one.difference(effect.change) for one in e.photographs if effect.change.name in one.scores]
            places = place + np.random.default_rng(0).uniform(-0.3, 0.3, len(moves))
            many, size = len(moves) > plots.MANY // 10, float(np.clip(900 / len(moves), 3, 20))
            colour = plots.PICTURE_COLOURS[plots.REFERENCE] if many else plots.REFERENCE
            axes.scatter(moves, places, s=size, color=colour, alpha=0.5, linewidths=0, rasterized=many)
            axes.plot([effect.mean] * 2, [place - 0.38, place + 0.38], color=plots.CANDIDATE, linewidth=2.2)
        axes.axvline(0, color=plots.SOFT, linewidth=0.9)
        plots.rows(axes, [effect.change.label for effect in effects])
        axes.set(xlabel="change of the score, rating points")

    return draw


def _worst(e: Examination) -> Section:
    found: list[tuple[str, Examined, Change]] = []
    for part in (part for part in e.steadiness if part.worst > 0):
        done = [change for change in e.changes if change.family == part.family and change.name in part.example.scores]
        furthest = max(done, key=lambda change: abs(part.example.difference(change)))
        found.append((f"{part.family}: {furthest.label}", part.example, furthest))
    found += [(one.change.label, one.example, one.change) for one in e.effects if one.change.family == WORSE]
    made = []
    for (label, one, change), pair in zip(found, _pairs(e, found), strict=True):
        before, after = one.against[change.name], one.scores[change.name]
        made.append(Card(one.name, pair, f"{after - before:+.3f}", f"{before:.3f} → {after:.3f}", label))
    told = (
        "Before and after. Of what a score should not depend on, the photograph with the largest standard deviation, "
        "in its furthest version; of each kind of damage, the one that drops least or rises most."
    )
    return Section("The worst examples", told, (Cards(tuple(made), "pairs"),))


Shown = tuple[str | PictureError | None, ...]


def _pairs(e: Examination, examples: Sequence[tuple[str, Examined, Change]]) -> list[Shown]:
    """Both pictures of each example; each photograph is decoded once."""
    made: list[Shown] = [()] * len(examples)
    for path in dict.fromkeys(one.path for _, one, _ in examples):
        photograph: Photograph | PictureError
        try:
            photograph = Photograph(path, e.edge, seed=e.seed, max_megapixels=e.max_megapixels)
        except PictureError as error:
            photograph = error
        for place, (_, one, change) in enumerate(examples):
            if one.path == path:
                made[place] = _picture(change.against, photograph), _picture(change.make, photograph)
    return made


def _picture(make: Make, photograph: Photograph | PictureError) -> str | PictureError | None:
    if isinstance(photograph, PictureError):
        return photograph
    try:
        image = make(photograph)
    except PictureError as error:
        return error
    return None if image is None else as_uri(image)
