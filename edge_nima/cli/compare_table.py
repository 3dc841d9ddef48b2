"""A comparison as tables for a terminal or a text file."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from edge_nima.cli.sinks import can_show
from edge_nima.errors import escaped
from edge_nima.report.rows import AGREEMENT, BINS, PEOPLE, Row, interval, number, of_spread, photographs, unscored_line
from edge_nima.undefined import why_undefined

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from edge_nima.comparison import Comparison
    from edge_nima.gate import Verdict
    from edge_nima.people import Estimate

_WIDE = 1000  # so that rich cuts no number short: on a narrow terminal the line wraps
LISTED = 10
"""Photographs that are left over and named; JSON names all."""


def table(comparison: Comparison, to_terminal: bool, verdict: Verdict | None = None) -> str:
    """Every number of a comparison, each with its n.

    Args:
        comparison: the numbers.
        verdict: what the gate says of them.
        to_terminal: whether stdout is where it goes, and its encoding and width count.
    """
    return render(lambda fine: _parts(comparison, fine, verdict), to_terminal)


def render(parts: Callable[[bool], Iterable[RenderableType]], to_terminal: bool) -> str:
    """Lines and tables as text.

    Args:
        parts: is told whether there are characters to draw lines with; lines of it are escaped here.
        to_terminal: as `table`.
    """
    from rich.console import Console

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii") if to_terminal else "utf-8"
    live = to_terminal and sys.stdout is not None and sys.stdout.isatty()
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=_WIDE, force_terminal=live, safe_box=True, markup=False, highlight=False, emoji=False
    )
    for part in parts(can_show("─", encoding)):
        console.print(escaped(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _parts(c: Comparison, fine: bool, verdict: Verdict | None) -> Iterator[RenderableType]:
    why = why_undefined(c)
    on = f" ({c.on})" if c.on else ""
    joined = f", joined {c.join.told}" if c.join else ""
    yield f"reference  {c.reference_name}"
    yield f"candidate  {c.candidate_name}"
    yield f"n = {c.n:,} photographs{on}{joined}"
    if c.preprocessing:
        yield f"preprocessing  {c.preprocessing}"
    yield ""
    how = f"95 % percentile bootstrap, {c.resamples:,} resamples, seed {c.seed}; flips: Wilson's"
    yield f"Candidate against reference, n = {c.n:,}; {how}"
    yield _agreement(c, fine)
    yield from _people(c, fine)
    whose = "people's mean rating" if c.bins_of == "people" else "the reference's mean rating"
    yield f"Candidate against reference per bin of {whose}; differences in rating points"
    yield _bins(c, fine)
    told = _undefined(why)
    if told:
        yield f"undefined, shown as -: {told}"
    yield from _left_over(c)
    if verdict is not None:
        yield f"gate  {verdict.describe()}"


def new_table(headings: Sequence[str], fine: bool, texts: int = 1) -> Table:
    """A table whose last columns are numbers, its first `texts` ones words."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD if fine else box.ASCII, pad_edge=False)
    for place, heading in enumerate(headings):
        made.add_column(heading, justify="left" if place < texts else "right", no_wrap=True)
    return made


def _agreement(c: Comparison, fine: bool) -> RenderableType:
    made = new_table(("statistic", "unit", "value", "95 % interval", "of the spread"), fine, texts=2)
    for row in AGREEMENT:
        low, high = c.intervals.get(row.field, (float("nan"), float("nan")))
        value = number(getattr(c.agreement, row.field), row.form)
        made.add_row(row.label, row.unit, value, interval(low, high, row.form), of_spread(c.agreement, row))
    return made


def _people(c: Comparison, fine: bool) -> Iterator[RenderableType]:
    part = c.against_people
    if part is None:
        return
    what = "difference: candidate minus reference, paired; below each its 95 % interval"
    yield f"Against people: {part.source}, n = {part.n:,}; {what}"
    made = new_table(("statistic", "unit", "reference", "candidate", "difference", "constant answer"), fine, texts=2)
    b = part.baselines
    constant = {
        "accuracy": b.accuracy, "emd_r1": b.emd_r1, "emd_r2": b.emd_r2, "mae": b.mae, "bias": 0.0, "spread_ratio": 0.0,
    }  # fmt: skip
    for row in PEOPLE:
        cells = [with_interval(getattr(getattr(part, side), row.field), row, side == "difference") for side in _SIDES]
        inferred = " *" if part.inferred and row.field.startswith("emd") else ""
        made.add_row(row.label + inferred, row.unit, *cells, number(constant.get(row.field), row.form))
    yield made
    if part.inferred:
        yield "* the labels hold means only: against the max-entropy histograms of those means, wider than real ones"
    good = number(b.good_accuracy, "%")
    yield f"constant answer: the mean histogram of these n = {part.n:,}; always saying 'good' is right for {good}"
    if part.unrated:
        yield f"{photographs(len(part.unrated))} without ratings, left out above and in the bins:"
        yield from _first(part.unrated)
    yield ""


_SIDES = ("reference", "candidate", "difference")


def with_interval(estimate: Estimate, row: Row, signed: bool) -> str:
    """A number, and below it its interval where there is one."""
    ends = interval(estimate.low, estimate.high, row.form, signed)
    value = number(estimate.value, row.form, signed)
    return value if ends == "-" else f"{value}\n{ends}"


def _bins(c: Comparison, fine: bool) -> RenderableType:
    shown = [row for name in BINS for row in AGREEMENT if row.field == name]
    headings = ["mean rating", "n", *BINS.values()]
    if c.against_people:
        headings += ["ref - people", "cand - people"]
    made = new_table(headings, fine)
    for one in c.bins:
        cells = [number(getattr(one.agreement, row.field), row.form) for row in shown]
        if c.against_people:
            cells += [number(one.reference_error, "+.3f"), number(one.candidate_error, "+.3f")]
        made.add_row(f"{one.low:.1f} to {one.high:.1f}", f"{one.agreement.n:,}", *cells)
    return made


def _undefined(why: Mapping[str, str]) -> str:
    """Each reason once, with the statistics that it is of; those of bins are named together."""
    named: dict[str, list[str]] = {}
    for path, reason in why.items():
        what = "in bins" if path.startswith("bins.") else path.removeprefix("agreement.")
        of = named.setdefault(reason, [])
        if what not in of:
            of.append(what)
    return "; ".join(f"{', '.join(of)} ({reason})" for reason, of in named.items())


def _left_over(c: Comparison) -> Iterator[str]:
    if c.join is None:
        return
    for names, what in (
        (c.join.missing, "of the reference missing in the candidate"),
        (c.join.extra, "of the candidate that the reference does not have"),
        (tuple(map(unscored_line, c.join.unscored)), "without a score on one side, left out"),
    ):
        if names:
            yield f"{photographs(len(names))} {what}:"
            yield from _first(names)


def _first(names: Sequence[str]) -> Iterator[str]:
    yield from (f"  {name}" for name in names[:LISTED])
    if len(names) > LISTED:
        yield f"  and {len(names) - LISTED:,} more (--format json lists all)"
