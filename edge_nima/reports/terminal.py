"""A report as tables for a terminal or a text file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edge_nima.errors import escaped
from edge_nima.reports.model import Listing, Report, Section, Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable

_WIDE = 1000  # so that rich cuts no number short: on a narrow terminal the line wraps
LISTED = 10
"""Lines of a listing that are shown; JSON has all."""


def table(report: Report, to_terminal: bool = True, notes: bool = False) -> str:
    """Head, tables and listings; plots and photographs are for pages.

    Args:
        report: what it shows.
        to_terminal: whether stdout is where it goes, and its encoding and width count.
        notes: whether its notes are shown; False where the command says them on stderr.
    """
    return render(_parts(report, notes), to_terminal)


def render(parts: Iterable[str | Table], to_terminal: bool = True) -> str:
    """Lines, which are escaped here, and tables as text."""
    from rich.console import Console

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii") if to_terminal else "utf-8"
    live = to_terminal and sys.stdout is not None and sys.stdout.isatty()
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=_WIDE, force_terminal=live, safe_box=True, markup=False, highlight=False, emoji=False
    )
    for part in parts:
        drawn = escaped(part) if isinstance(part, str) else _drawn(part, can_show("─", encoding))
        console.print(drawn, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _parts(report: Report, notes: bool) -> Iterator[str | Table]:
    width = max(len(name) for name, _ in report.head)
    yield from (f"{name:{width}}  {value}" for name, value in report.head)
    yield from (f"note: {note}" for note in report.notes if notes)
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str | Table]:
    shown = [block for block in section.blocks if isinstance(block, Table | Listing)]
    if not shown:
        return
    yield ""
    yield f"{section.title}{'' if section.title.endswith('?') else '.'} {section.told}"
    for block in shown:
        if isinstance(block, Table):
            yield block
            continue
        yield f"{block.summary}:"
        yield from (f"  {line}" for line in block.lines[:LISTED])
        if len(block.lines) > LISTED:
            yield f"  and {len(block.lines) - LISTED:,} more (JSON lists all)"


def _drawn(table: Table, fine: bool) -> RichTable:
    """A table; with `fine` there are characters to draw lines with."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(box=box.SIMPLE_HEAD if fine else box.ASCII, pad_edge=False)
    for place, column in enumerate(table.columns):
        side = "left" if column.text or place == 0 else "right"
        for heading in (column.heading, column.below)[: 0 if column.page_only else 2 if column.below else 1]:
            words = heading == "unit"
            made.add_column(heading, justify="left" if words or side == "left" else "right", no_wrap=True)
    for row in table.rows:
        line = []
        for column, cell in zip(table.columns, row, strict=True):
            if column.below:
                line += [cell.text, cell.below]
            elif not column.page_only:
                line.append(f"{cell.text}\n{cell.below}" if cell.below else cell.text)
        made.add_row(*(Text("\n".join(map(escaped, value.split("\n")))) for value in line))
    return made


def can_show(text: str, encoding: str) -> bool:
    """Whether an encoding has the characters of `text`."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
