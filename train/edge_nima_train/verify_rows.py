"""Every row of AVA.txt or of a label CSV that can be used, and what is wrong with each of the others."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from edge_nima.errors import LabelError, RequestError, printable, reason
from edge_nima.label_text import (
    TEN,
    CsvHeader,
    Scale,
    csv_header,
    csv_row,
    is_filled,
    lines_of,
    no_names,
    read_text,
    refusal,
    refuse_scale_of_votes,
)  # fmt: skip
from edge_nima.labels import ava_row, is_ava
from edge_nima_train.inspection import Fault
from edge_nima_train.manifest import OWN_COLUMNS, split_of, weight_of

_LOOKED_AT = 20
"""Lines by which AVA.txt is known: its first may be the one that is wrong."""


@dataclass(frozen=True)
class Rated:
    """One usable row."""

    line: int
    image_id: str
    """ "" where the file has none."""
    file: str
    """As it is written, with "/"; "" where the file has none."""
    ratings: tuple[float, ...]
    """Ten votes, or one mean."""
    split: str = ""
    weight: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """All other cells."""


@dataclass(frozen=True)
class RatedRows:
    """A label file, read row by row."""

    name: str
    sha256: str
    """Of its bytes."""
    total: int
    """Rows that are not blank, without a CSV's header."""
    rows: tuple[Rated, ...]
    faults: tuple[Fault, ...]
    scale: Scale
    """What means were on before they were brought to 1..10."""


def read_rows(path: str | os.PathLike[str], scale: str | None = None) -> RatedRows:
    """Read every row that can be read; see `edge_nima.labels.read_labels` for what a row is, and `scale`.

    Raises:
        RequestError: the file cannot be read or is something else, the scale of its means is not known, or no row can
            be used: then it says what is wrong with the first.
    """
    text, sha256 = read_text(path, "AVA.txt, or a CSV with a header, in UTF-8")
    ava = any(is_ava(content) for _, content in islice(lines_of(text), _LOOKED_AT))
    stated = None if scale is None else Scale.parse(scale)
    if ava:
        refuse_scale_of_votes(path, stated)
    records = iter(()) if ava else _records(path, text)
    header, names = (None, []) if ava else _header(path, records, stated)
    rows, faults = [], []
    first: LabelError | None = None
    for one in _ava(path, text) if header is None else _csv(path, records, header, names):
        if isinstance(one, Rated):
            rows.append(one)
            continue
        first = first or one
        faults.append(Fault(one.kind, one.what, one.line))
    if not rows:
        raise first or RequestError(f"'{printable(path)}' holds no labels; possible: one photograph on a line")
    had = TEN if header is None else header.settle(path, [row.ratings[0] for row in rows])
    return RatedRows(Path(path).name, sha256, len(rows) + len(faults), tuple(rows), tuple(faults), had)


def _ava(path: str | os.PathLike[str], text: str) -> Iterator[Rated | LabelError]:
    seen: dict[str, int] = {}
    for line, content in lines_of(text):
        try:
            row = ava_row(path, line, content, seen)
        except LabelError as error:
            yield error
            continue
        tags = (*map(str, row.tags), "", "")
        columns = {"tag1": tags[0], "tag2": tags[1], "challenge": str(row.challenge)}
        yield Rated(line, row.image_id, "", row.votes, columns=columns)


_Records: TypeAlias = Iterator[tuple[int, list[str] | LabelError]]


def _header(path: str | os.PathLike[str], records: _Records, scale: Scale | None) -> tuple[CsvHeader, list[str]]:
    """The first row of a CSV, and all its headings."""
    line, first = next(records)
    if isinstance(first, LabelError):
        raise first
    return csv_header(path, line, first, scale), [cell.strip().lower() for cell in first]


def _csv(
    path: str | os.PathLike[str], records: _Records, header: CsvHeader, names: list[str]
) -> Iterator[Rated | LabelError]:
    seen = no_names()
    for line, cells in records:
        if isinstance(cells, LabelError):
            yield cells
            continue
        try:
            by_name = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
            split = split_of(path, line, by_name.get("split", ""))
            weight = weight_of(path, line, by_name["weight"]) if "weight" in by_name else None
            # Last, since it notes the row's names: those of a faulty row do not count as taken.
            found, values = csv_row(path, line, cells, header, seen)
        except LabelError as error:
            yield error
            continue
        others = {name: cell for name, cell in by_name.items() if name and name not in OWN_COLUMNS}
        yield Rated(line, found.get("image_id", ""), found.get("file", ""), tuple(values), split, weight, others)


def _records(path: str | os.PathLike[str], text: str) -> _Records:
    """Rows of a CSV with the line that each begins on.

    A quote that is never closed reaches to the end of the file; it costs its own line, and the next begins a row again.
    """
    lines = io.StringIO(text, newline="").readlines()
    at = 0

    def rest() -> Iterator[str]:
        nonlocal at
        while at < len(lines):
            at += 1
            yield lines[at - 1]

    reader = csv.reader(rest(), strict=True)
    while True:
        start = at
        try:
            row = next(reader, None)
        except csv.Error as error:
            at = start + 1
            reader = csv.reader(rest(), strict=True)
            yield at, refusal(path, at, f"no CSV: {reason(error)}", "cells with commas between, quotes closed")
            continue
        if row is None:
            return
        if is_filled(row):
            yield start + 1, row
