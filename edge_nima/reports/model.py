"""A report: what every kind of it is made of, for a terminal, a page and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_nima.errors import PictureError

POINTS = "rating points"
Draw = Callable[[Any], None]
"""Draws on the axes that it is given."""


@dataclass(frozen=True)
class Row:
    """How one statistic is shown."""

    field: str
    """Its name among the statistics."""
    label: str
    unit: str
    form: str
    """A format for one number, or "%" for a share that is shown in percent."""
    meaning: str


@dataclass(frozen=True)
class Cell:
    """One value of a table as text, and what is said below it: an interval, a unit."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Column:
    """A column; `below` heads what the cells say below their values where a renderer gives that a column of its own."""

    heading: str
    below: str = ""
    text: bool = False
    """Whether words are in it, set from the left; the first column's always are."""
    page_only: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells, one a column; the first names the row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Plot:
    """A drawing, on pages alone."""

    title: str
    what: str
    draw: Draw
    height: float = 3.7
    """Inches, of a width of 4.6."""
    tall: bool = False
    """Whether it grows with what is drawn."""


@dataclass(frozen=True)
class Card:
    """A photograph, or the two of a pair, on pages alone."""

    name: str
    pictures: tuple[str | PictureError | None, ...]
    """Data URIs, or why there is none; None: not found."""
    value: str
    detail: str = ""
    label: str = ""
    histograms: tuple[tuple[float, ...], ...] = ()
    """Shares of the ratings 1..10 by both sides, and those of people to draw around them."""


@dataclass(frozen=True)
class Cards:
    """Photographs beside each other; of `kind` "", "sheet" (small) or "pairs"."""

    cards: tuple[Card, ...]
    kind: str = ""
    legend: bool = False
    """Whether the colours of the two sides are explained."""


@dataclass(frozen=True)
class Listing:
    """Lines below a summary: a page unfolds all, a terminal shows the first."""

    summary: str
    lines: tuple[str, ...]


Block = Table | Plot | Cards | Listing


@dataclass(frozen=True)
class Section:
    """A heading, what is to be known of what follows, and that."""

    title: str
    told: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Report:
    """All of a report but its JSON."""

    title: str
    head: tuple[tuple[str, str], ...]
    """What it is about, by what that is."""
    notes: tuple[str, ...]
    """What a reader must know first."""
    tiles: tuple[tuple[str, str, str], ...]
    """Label, value, detail."""
    plots: tuple[Plot, ...]
    sections: tuple[Section, ...]
    foot: str
    sides: tuple[str, str] = ("", "")
    """What two colours stand for, in `head` and in headings of columns."""


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


def estimate(value: float, ends: tuple[float, float], form: str, signed: bool = False) -> Cell:
    """A number above its interval, where it has one."""
    below = interval(*ends, form, signed)
    return Cell(number(value, form, signed), "" if below == "-" else below)


def cells(*values: str) -> tuple[Cell, ...]:
    """A row of text."""
    return tuple(map(Cell, values))


def columns(*headings: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(map(Column, headings))


def statistics_columns(*values: Column) -> tuple[Column, ...]:
    """Columns of a table with a row a statistic: its name and unit, values, and what it is."""
    return (Column("statistic", "unit"), *values, Column("what it is", text=True, page_only=True))


def photographs(count: int) -> str:
    """ "1 photograph", "629 photographs"."""
    return f"{count:,} photograph{'' if count == 1 else 's'}"


def listings(*found: tuple[str, Sequence[str]]) -> tuple[Listing, ...]:
    """Photographs by what is said of their number; kinds without any are left out."""
    return tuple(Listing(f"{photographs(len(names))} {what}", tuple(names)) for what, names in found if names)


def finite(value: Any) -> Any:
    """The same with None for what JSON has no number for, and lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
