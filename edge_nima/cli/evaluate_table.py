"""An evaluation as tables for a terminal or a text file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_nima.cli.compare_table import LISTED, new_table, render, with_interval
from edge_nima.report.rows import interval, number, photographs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_nima_train.evaluation import Evaluation


def table(evaluation: Evaluation) -> str:
    """Every number of an evaluation for stdout, each beside the constant answer's."""
    return render(lambda fine: _parts(evaluation, fine), to_terminal=True)


def _parts(e: Evaluation, fine: bool) -> Iterator[RenderableType]:
    from edge_nima_train.evaluation import ROWS, answer_line, constant_of, tail_line, undefined

    s = e.subject
    yield f"model   {s.model}"
    yield f"people  {s.labels}{', means only' if e.inferred else ''}"
    yield f"n = {e.n:,} photographs, split {s.split}"
    if s.preprocessing:
        yield f"preprocessing  {s.preprocessing}"
    yield ""
    how = f"95 % percentile bootstrap, {e.resamples:,} resamples, seed {e.seed}"
    yield f"Against people; below each number its interval: {how}"
    made = new_table(("statistic", "unit", "model", "constant answer", "difference"), fine, texts=2)
    for row in ROWS:
        one = e.statistics[row.field]
        inferred = " *" if e.inferred and row.field.startswith("emd") else ""
        cells = with_interval(one.model, row, False), constant_of(one, row), with_interval(one.difference, row, True)
        made.add_row(row.label + inferred, row.unit, *cells)
    yield made
    if e.inferred:
        yield "* the labels hold means only: against the max-entropy histograms of those means, wider than real ones"
    missing = undefined(e)
    if missing:
        yield f"undefined, shown as -: {missing}"
    yield answer_line(e)
    yield ""
    for tail in e.tails:
        ends = interval(tail.recall.low, tail.recall.high, "%")
        yield f"tail {tail.side} {tail.edge:g}: {tail_line(tail)}" + (f"; recall 95 % {ends}" if ends != "-" else "")
    yield ""
    yield from _published(e, fine)
    yield f"collapse gate {e.collapse.status}: {e.collapse.told}"
    yield from _left_out(e)


def _published(e: Evaluation, fine: bool) -> Iterator[RenderableType]:
    from edge_nima_train.evaluation import percent

    official = e.subject.official
    if official is None:
        return
    yield f"Beside published results on AVA; the official test list: {official.told}"
    made = new_table(("who", "accuracy at 5", "SRCC", "EMD r=1", "EMD r=2", "EMD, r not known", "on which"), fine)
    made.columns[-1].justify = "left"
    emds = ("emd_r1", "emd_r2")
    s = e.statistics
    values = [percent(s["accuracy"].model.value), number(s["srcc"].model.value, ".3f")]
    values += [number(s[name].model.value, ".4f") for name in emds]
    made.add_row(e.subject.model, *values, "", "these photographs")
    flat = [percent(s["accuracy"].constant), "-", *(number(s[name].constant, ".4f") for name in emds)]
    made.add_row("constant answer", *flat, "", "these photographs")
    for one in official.results:
        theirs = [percent(one.accuracy), number(one.srcc, ".3f"), "", "", number(one.emd, ".3f")]
        made.add_row(f"{one.name} ({one.source})", *theirs, one.split)
    yield made
    yield from (f"note: {line}" for line in official.notes)
    yield ""


def _left_out(e: Evaluation) -> Iterator[str]:
    for why, names in (e.subject.left_out or {}).items():
        yield f"{photographs(len(names))} {why}:"
        yield from (f"  {name}" for name in names[:LISTED])
        if len(names) > LISTED:
            yield f"  and {len(names) - LISTED:,} more"
