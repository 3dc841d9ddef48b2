"""Label files as text: lines and cells to numbers, and one line that says where they are none."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nima.distribution import BINS, Floats, mean_rating
from edge_nima.errors import LabelError, RequestError, printable, reason
from edge_nima.names import Names

VOTES = tuple(f"n{rating}" for rating in range(1, BINS + 1))
"""Columns of votes."""
_MOST_VOTES = 1e9  # a larger count is a damaged file, and sums of such counts could overflow
# Not float(): it takes "1_000", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


def read_text(path: str | os.PathLike[str], possible: str) -> tuple[str, str]:
    """A file's text without byte-order mark, and the SHA-256 of its bytes; `possible` says what it could be.

    Raises:
        RequestError: it cannot be read, is not UTF-8 or is empty.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"'{printable(path)}' is not text in UTF-8 (byte {error.start}); possible: {possible}"
        ) from error
    if "\0" in text:
        raise RequestError(f"'{printable(path)}' is not text: it holds zero bytes; possible: {possible}")
    if not text.strip():
        raise RequestError(f"'{printable(path)}' is empty; possible: {possible}")
    return text, hashlib.sha256(content).hexdigest()


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1. Not splitlines(): it also breaks at form feeds."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            yield number, line


COLUMNS, NUMBER, RATING, TWICE, OTHER = "columns", "number", "rating", "twice", "other"
"""Kinds of what can be wrong with a line: too few or many cells, no number, an impossible one, a second row."""


def refusal(path: str | os.PathLike[str], line: int, what: str, possible: str, kind: str = OTHER) -> LabelError:
    """The error for one line of a file."""
    return LabelError(path, line, kind, f"{what}; possible: {possible}")


def shown(cell: str) -> str:
    """A cell in a message: quoted, cut where it is long."""
    return f"'{printable(cell if len(cell) <= 40 else cell[:40] + '…')}'" if cell else "empty"


def check_once(path: str | os.PathLike[str], line: int, column: str, name: str, seen: dict[str, int]) -> None:
    """Note the line of a name in `seen`, or refuse the name's second line."""
    refuse_second(path, line, column, name, seen)
    seen[name] = line


def refuse_second(path: str | os.PathLike[str], line: int, column: str, name: str, seen: dict[str, int]) -> None:
    """Refuse a name that is in `seen`."""
    if name in seen:
        what = f"{column} {shown(name)} is that of line {seen[name]} too"
        raise refusal(path, line, what, "each photograph once", TWICE)


def whole_number(path: str | os.PathLike[str], line: int, column: str, cell: str) -> str:
    """A cell's whole number, without leading zeros; anything else is refused."""
    if not _WHOLE.fullmatch(cell):
        raise refusal(path, line, f"{column} is {shown(cell)}", "a whole number, 0 or more", NUMBER)
    return str(int(cell))


def check_votes(path: str | os.PathLike[str], line: int, votes: Sequence[float]) -> None:
    """Refuse ten counts of which one is negative or too large, or that are all zero."""
    for column, count in zip(VOTES, votes, strict=True):
        if not 0 <= count <= _MOST_VOTES:
            raise refusal(path, line, f"{column} is {count:g}", f"votes from 0 to {_MOST_VOTES:g}", RATING)
    if not sum(votes) > 0:
        raise refusal(path, line, f"{VOTES[0]}..{VOTES[-1]} are all zero", "at least one vote", RATING)


Seen = dict[str, dict[str, int]]
"""The line of each name, under "image_id" and "file"."""


def no_names() -> Seen:
    """Of a file of which nothing is read yet."""
    return {"image_id": {}, "file": {}}


def is_filled(cells: Sequence[str]) -> bool:
    """Whether a row of a CSV holds anything."""
    return any(cell.strip() for cell in cells)


@dataclass(frozen=True)
class CsvHeader:
    """The first row of a CSV of labels."""

    width: int
    """Cells in it, and in every row."""
    columns: dict[str, int]
    """Where the columns are that are read."""

    @property
    def rated(self) -> tuple[str, ...]:
        """The columns of the ratings: `n1`..`n10`, or `mean_rating` alone."""
        return VOTES if VOTES[0] in self.columns else ("mean_rating",)


def csv_header(path: str | os.PathLike[str], line: int, cells: Sequence[str]) -> CsvHeader:
    """Read the first row of a CSV of labels.

    Raises:
        LabelError: it is no such header.
    """
    return CsvHeader(len(cells), _columns(path, line, [cell.strip().lower() for cell in cells]))


def csv_row(
    path: str | os.PathLike[str], line: int, cells: Sequence[str], header: CsvHeader, seen: Seen
) -> tuple[dict[str, str], list[float]]:
    """Read one row of a CSV of labels.

    Args:
        path: the file.
        line: the row's.
        cells: of the row.
        header: the first row.
        seen: the lines of the names so far, under "image_id" and "file"; the row's are added when all is well with it.

    Returns:
        The row's names by column, as they are compared, and its values under `header.rated`.

    Raises:
        LabelError: what is wrong with it.
    """
    if len(cells) != header.width:
        raise refusal(path, line, f"{len(cells)} cells", f"{header.width}, as in the header", COLUMNS)
    names = {}
    for column in (column for column in seen if column in header.columns):
        cell = cells[header.columns[column]].strip()
        if not cell:
            raise refusal(path, line, f"{column} is empty", "a name")
        names[column] = Names.key(cell, written=True)
        refuse_second(path, line, column, names[column], seen[column])
    values = [_number(path, line, column, cells[header.columns[column]].strip()) for column in header.rated]
    if header.rated is VOTES:
        check_votes(path, line, values)
    elif not 1 <= values[0] <= 10:
        raise refusal(path, line, f"mean_rating is {values[0]!r}", "1 to 10", RATING)
    for column, name in names.items():
        seen[column][name] = line
    return names, values


def read_csv(path: str | os.PathLike[str], text: str) -> tuple[tuple[str, ...], tuple[str, ...], Floats | None, Floats]:
    """Read a CSV of labels, see `ava.read_labels`.

    Returns:
        n ids and n files, "" where there are none; votes, shape (n, 10), or None; mean ratings, shape (n,).

    Raises:
        LabelError: a line cannot be used.
        RequestError: there are no lines.
    """
    # strict: a quote that is never closed would otherwise swallow the rest of the file in silence.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    seen, numbers = no_names(), []
    try:
        first = next((row for row in reader if is_filled(row)), [])
        header = csv_header(path, reader.line_num, first)
        for row in reader:
            if is_filled(row):
                numbers.append(csv_row(path, reader.line_num, row, header, seen)[1])
    except csv.Error as error:
        raise RequestError(f"'{printable(path)}' line {reader.line_num}: no CSV: {reason(error)}") from error
    if not numbers:
        raise RequestError(f"'{printable(path)}' holds a header and no labels; possible: one photograph on a line")
    given, none = np.array(numbers), ("",) * len(numbers)
    votes = given if header.rated is VOTES else None
    means = given[:, 0] if votes is None else mean_rating(votes)
    return tuple(seen["image_id"]) or none, tuple(seen["file"]) or none, votes, means


def _columns(path: str | os.PathLike[str], line: int, header: list[str]) -> dict[str, int]:
    """Where the columns are that are read."""
    wanted = ("image_id", "file", "mean_rating", *VOTES)
    columns = {name: place for place, name in enumerate(header) if name in wanted}
    possible = "image_id or file or both, and n1 to n10 or mean_rating, with commas between; or the lines of AVA.txt"
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise refusal(path, line, f"the header names {twice[0]} twice", possible)
    votes = [name for name in VOTES if name in columns]
    if 0 < len(votes) < BINS and "mean_rating" not in columns:
        missing = next(name for name in VOTES if name not in columns)
        raise refusal(path, line, f"the header names {votes[0]} but not {missing}", possible)
    if not {"image_id", "file"} & set(columns) or not (votes or "mean_rating" in columns):
        raise refusal(path, line, f"the header is {shown(','.join(header))}", possible)
    return columns if len(votes) == BINS else {name: columns[name] for name in columns if name not in votes}


def _number(path: str | os.PathLike[str], line: int, column: str, cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise refusal(path, line, f"{column} is {shown(cell)}", "a number, such as 4 or 16.5", NUMBER)
    return float(cell)
