"""Every row of AVA.txt or of a label CSV that can be used, and what is wrong with each of the others."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge_nima.ava import ava_row, is_ava
from edge_nima.errors import LabelError, RequestError, printable, reason
from edge_nima.label_text import (
    csv_header,
    csv_row,
    is_filled,
    lines_of,
    no_names,
    read_text,
    refusal,
)  # fmt: skip
from edge_nima_train.faults import Fault
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


def read_rows(path: str | os.PathLike[str]) -> RatedRows:
    """Read every row that can be read; see `edge_nima.ava.read_labels` for what a row is.

    Raises:
        RequestError: the file cannot be read or is something else, or no row can be used: then it says what is wrong
            with the first.
    """
    text, sha256 = read_text(path, "AVA.txt, or a CSV with a header, in UTF-8")
    ava = any(is_ava(content) for _, content in islice(lines_of(text), _LOOKED_AT))
    rows, faults = [], []
    first: LabelError | None = None
    for one in _ava(path, text) if ava else _csv(path, text):
        if isinstance(one, Rated):
            rows.append(one)
            continue
        first = first or one
        faults.append(Fault(one.kind, one.what, one.line))
    if not rows:
        raise first or RequestError(f"'{printable(path)}' holds no labels; possible: one photograph on a line")
    return RatedRows(Path(path).name, sha256, len(rows) + len(faults), tuple(rows), tuple(faults))


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


def _csv(path: str | os.PathLike[str], text: str) -> Iterator[Rated | LabelError]:
    records = _records(path, text)
    line, first = next(records)
    if isinstance(first, LabelError):
        raise first
    header, names = csv_header(path, line, first), [cell.strip().lower() for cell in first]
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
            values = csv_row(path, line, cells, header, seen)[1]
        except LabelError as error:
            yield error
            continue
        others = {name: cell for name, cell in by_name.items() if name and name not in OWN_COLUMNS}
        file = by_name.get("file", "").replace("\\", "/")
        yield Rated(line, by_name.get("image_id", ""), file, tuple(values), split, weight, others)


def _records(path: str | os.PathLike[str], text: str) -> Iterator[tuple[int, list[str] | LabelError]]:
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
