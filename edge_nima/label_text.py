"""Label files as text: lines and cells to numbers, and one line that says where they are none."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
        RequestError: it cannot be read, is no text or is empty.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error
    text = content.decode("utf-8-sig", "surrogateescape")  # file names need not be UTF-8
    if "\0" in text:
        raise RequestError(f"'{printable(path)}' is not text in UTF-8: it holds zero bytes; possible: {possible}")
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
"""The line of each name, as names are compared, under "image_id" and "file"."""


def no_names() -> Seen:
    """Of a file of which nothing is read yet."""
    return {"image_id": {}, "file": {}}


def is_filled(cells: Sequence[str]) -> bool:
    """Whether a row of a CSV holds anything."""
    return any(cell.strip() for cell in cells)


@dataclass(frozen=True)
class Scale:
    """What a mean rating may be: from the worst to the best."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.10g}..{self.high:.10g}"

    @classmethod
    def parse(cls, text: str, where: str = "the scale") -> Scale:
        """Read LOW..HIGH, such as 1..5.

        Raises:
            RequestError: it is no such text; `where` says whose.
        """
        low, dots, high = text.partition("..")
        if not (dots and _NUMBER.fullmatch(low.strip()) and _NUMBER.fullmatch(high.strip())):
            raise RequestError(f"{where} is {shown(text)}; possible: LOW..HIGH, such as 1..5 or 0..100")
        if not float(low) < float(high):
            raise RequestError(f"{where} is {shown(text)}; possible: the lower number first")
        return cls(float(low), float(high))

    def to_ten(self, mean: float) -> float:
        """A mean of this scale on 1..10: 1 + 9 (mean - low) / (high - low)."""
        return mean if self == TEN else min(10.0, max(1.0, 1 + 9 * (mean - self.low) / (self.high - self.low)))


TEN = Scale(1, 10)
"""The scale of everything here."""
_USUAL = (Scale(1, 5), TEN, Scale(0, 1), Scale(0, 10), Scale(0, 5), Scale(0, 100), Scale(1, 100))
SCALE_OPTION = "--scale {}"
"""How a command states a scale."""


def ask_for_scale(
    path: str | os.PathLike[str], column: str, means: Sequence[float], ask: str = SCALE_OPTION, *, always: bool = False
) -> None:
    """Refuse mean ratings of unstated scale that may be on another one than 1..10.

    That are means that all lie within 1..5, of which one lies outside 1..10, or of a column called MOS.

    Args:
        path: where they are from.
        column: its name there.
        means: as they are there.
        ask: how a caller states a scale, with {} for it.
        always: whether to refuse whatever they are.

    Raises:
        RequestError: with what can be stated.
    """
    low, high = min(means), max(means)
    mos = re.fullmatch(r"mos(_.*)?|.*_mos", column.lower())
    if low >= 1 and high <= 10 and high > 5 and not mos and not always:
        return
    fitting = [scale for scale in _USUAL if scale.low <= low and high <= scale.high][:2]
    possible: list[Scale | str] = [*fitting] or ["LOW..HIGH"]
    ways = [f"{ask.format(scale)} (they are brought to 1..10)" for scale in possible if scale != TEN]
    if TEN in possible or low < 1 or high > 10:
        ways.append(f"{ask.format(TEN)} ({'they are what they are' if TEN in possible else 'a row outside is wrong'})")
    raise RequestError(
        f"'{printable(path)}': the mean ratings in '{printable(column)}' lie within {low:.6g}..{high:.6g} and nothing "
        f"says on which scale; possible: {' or '.join(ways)}"
    )


def refuse_scale_of_votes(path: str | os.PathLike[str], scale: Scale | None, ratings: int = BINS) -> None:
    """Refuse a stated scale that is not that of votes on the ratings 1..`ratings`."""
    if scale not in (None, Scale(1, ratings)):
        raise RequestError(f"'{printable(path)}' holds votes on the ratings 1..{ratings}: their scale is not {scale}")


@dataclass(frozen=True)
class CsvHeader:
    """The first row of a CSV of labels."""

    width: int
    """Cells in it, and in every row."""
    columns: dict[str, int]
    """Where the columns are that are read."""
    padded: bool
    """Whether spaces around cells are the table's; else those around a file are its own."""
    said: dict[Scale, int]
    """The scale of the means and the line that says so; none as long as nothing does."""

    @property
    def rated(self) -> tuple[str, ...]:
        """The columns of the ratings: `n1`..`n10`, or `mean_rating` alone."""
        return VOTES if VOTES[0] in self.columns else ("mean_rating",)

    def settle(self, path: str | os.PathLike[str], means: Sequence[float], ask: str = SCALE_OPTION) -> Scale:
        """The scale that the means of all rows have, or had.

        Raises:
            RequestError: as `ask_for_scale`.
        """
        if self.rated is not VOTES and not self.said:
            ask_for_scale(path, "mean_rating", means, ask)
        return next(iter(self.said), TEN)


def csv_header(path: str | os.PathLike[str], line: int, cells: Sequence[str], scale: Scale | None = None) -> CsvHeader:
    """Read the first row of a CSV of labels, of which `scale` is stated elsewhere.

    Raises:
        LabelError: it is no such header.
    """
    names = [cell.strip() for cell in cells]
    said = {} if scale is None else {scale: line}
    header = CsvHeader(len(cells), _columns(path, line, [name.lower() for name in names]), list(cells) != names, said)
    if header.rated is VOTES:
        refuse_scale_of_votes(path, scale)
    return header


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
        The row's names by column, files with "/" and without "./", and its values under `header.rated`.

    Raises:
        LabelError: what is wrong with it.
    """
    if len(cells) != header.width:
        raise refusal(path, line, f"{len(cells)} cells", f"{header.width}, as in the header", COLUMNS)
    names, keys = {}, {}
    for column in (column for column in seen if column in header.columns):
        cell = cells[header.columns[column]]
        if not cell.strip():
            raise refusal(path, line, f"{column} is empty", "a name")
        cell = cell if column == "file" and not header.padded else cell.strip()
        names[column] = str(PurePosixPath(cell.replace("\\", "/"))) if column == "file" else cell
        keys[column] = Names.key(names[column])
        refuse_second(path, line, column, keys[column], seen[column])
    values = [number(path, line, column, cells[header.columns[column]].strip()) for column in header.rated]
    if header.rated is VOTES:
        check_votes(path, line, values)
    else:
        values = [_on_ten(path, line, values[0], cells, header)]
    for column, key in keys.items():
        seen[column][key] = line
    return names, values


def _on_ten(path: str | os.PathLike[str], line: int, mean: float, cells: Sequence[str], header: CsvHeader) -> float:
    """A mean on 1..10, from the scale that is stated; as it is where none is."""
    if "scale" in header.columns:
        scale = Scale.parse(cells[header.columns["scale"]].strip(), f"'{printable(path)}' line {line}: scale")
        other = next((one for one in header.said if one != scale), None)
        if other is not None:
            raise refusal(path, line, f"scale is {scale}", f"{other}, as is stated before")
        header.said.setdefault(scale, line)
    for scale in header.said:
        if not scale.low <= mean <= scale.high:
            raise refusal(path, line, f"mean_rating is {mean!r}", f"{scale.low:g} to {scale.high:g}", RATING)
        return scale.to_ten(mean)
    return mean


def read_csv(
    path: str | os.PathLike[str], text: str, scale: Scale | None, ask: str
) -> tuple[tuple[str, ...], tuple[str, ...], Floats | None, Floats, Scale]:
    """Read a CSV of labels, see `labels.read_labels`.

    Returns:
        n ids and n files, "" where there are none; votes, shape (n, 10), or None; mean ratings, shape (n,); the scale
        that the means had.

    Raises:
        LabelError: a line cannot be used.
        RequestError: there are no lines, or the scale is not known.
    """
    # strict: a quote that is never closed would otherwise swallow the rest of the file in silence.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    seen, numbers = no_names(), []
    named: dict[str, list[str]] = {column: [] for column in seen}
    try:
        first = next((row for row in reader if is_filled(row)), [])
        header = csv_header(path, reader.line_num, first, scale)
        for row in reader:
            if is_filled(row):
                names, values = csv_row(path, reader.line_num, row, header, seen)
                numbers.append(values)
                for column, name in names.items():
                    named[column].append(name)
    except csv.Error as error:
        raise RequestError(f"'{printable(path)}' line {reader.line_num}: no CSV: {reason(error)}") from error
    if not numbers:
        raise RequestError(f"'{printable(path)}' holds a header and no labels; possible: one photograph on a line")
    given, none = np.array(numbers), ("",) * len(numbers)
    votes = given if header.rated is VOTES else None
    means = given[:, 0] if votes is None else mean_rating(votes)
    had = header.settle(path, means.tolist(), ask)
    return tuple(named["image_id"]) or none, tuple(named["file"]) or none, votes, means, had


def _columns(path: str | os.PathLike[str], line: int, header: list[str]) -> dict[str, int]:
    """Where the columns are that are read."""
    wanted = ("image_id", "file", "mean_rating", "scale", *VOTES)
    columns = {name: place for place, name in enumerate(header) if name in wanted}
    possible = (
        "image_id or file or both, and n1 to n10 or mean_rating, with commas between; or the lines of AVA.txt; "
        "edge-nima data import takes other columns"
    )
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


def number(path: str | os.PathLike[str], line: int, column: str, cell: str) -> float:
    """A cell's number; anything else is refused."""
    if not _NUMBER.fullmatch(cell):
        raise refusal(path, line, f"{column} is {shown(cell)}", "a number, such as 4 or 16.5", NUMBER)
    return float(cell)
