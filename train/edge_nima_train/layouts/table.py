"""AVA.txt, and tables as text: comma, semicolon, tab, bar or spaces between the cells, any column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePath

from edge_nima.decode import photograph_suffixes
from edge_nima.errors import RequestError, printable, reason
from edge_nima.label_text import lines_of, read_text
from edge_nima.labels import is_ava
from edge_nima_train.columns import Record, recognise
from edge_nima_train.layouts import Layout, Opened

_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")
_AVA = ("", "image_id", *(f"n{rating}" for rating in range(1, 11)), "tag1", "tag2", "challenge")


def _open(sources: Sequence[str], stated: Mapping[str, str]) -> Opened:
    tables = [(Path(source), *_read(Path(source))) for source in sources]
    path, names, rows = tables[0]
    line, first = next(rows, (0, []))
    tables[0] = (path, names, chain([(line, first)] if first else [], rows))
    other = next((table for table in tables if table[1] != names), None)
    if other is not None:
        raise RequestError(f"'{printable(other[0])}' has other columns than '{printable(path)}': import one at a time")
    lists = [name for name, cell in zip(names, first, strict=False) if cell[:1] in {"[", "("} or len(cell.split()) > 2]
    columns = recognise(names, lists, stated, f"'{printable(path)}'")
    return Opened(columns, chain.from_iterable(_records(*table) for table in tables))


def _read(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """A table's column names, and the other rows with their lines."""
    text, _ = read_text(path, "a table: a header and one photograph on a line")
    if is_ava(text):
        return [*_AVA], ((line, content.split()) for line, content in lines_of(text))
    marks = {mark: next(lines_of(text))[1].count(mark) for mark in ",;\t|"}
    most = max(marks, key=lambda mark: marks[mark])
    rows = _split(path, text, most if marks[most] else " ")
    line, first = next(rows)
    if any(Path(cell).suffix.lower() in photograph_suffixes() for cell in first):  # no header
        return [f"column{place}" for place in range(1, len(first) + 1)], chain([(line, first)], rows)
    twice = next((name for name in first if name and first.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"'{printable(path)}' line {line}: the header names {printable(twice)} twice")
    return first, rows


def _split(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if delimiter == " ":
                cells = [cell for cell in cells if cell]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise RequestError(f"'{printable(path)}' line {reader.line_num}: no table: {reason(error)}") from error


def _records(path: PurePath, names: Sequence[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[Record]:
    for line, cells in rows:
        # A row that is cut lacks columns, which `Columns.ratings` or the missing name tells.
        yield Record(path, line, dict(zip(names, cells, strict=False)))


LAYOUT = Layout(
    "table",
    "AVA.txt, or CSV, TSV and the like with a header",
    1,
    lambda source: source.lower().endswith(_ENDINGS),
    _open,
)
