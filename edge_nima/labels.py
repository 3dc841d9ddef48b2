"""People's ratings at rest: rows of AVA.txt, label CSVs, the official lists, and bins of the mean rating.

AVA: Murray, Marchesotti and Perronnin, "AVA: A Large-Scale Database for Aesthetic Visual Analysis" (CVPR 2012).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_nima.distribution import BINS, RATINGS, Floats, as_distribution, max_entropy_distribution, mean_rating
from edge_nima.errors import RequestError, printable
from edge_nima.label_text import (
    COLUMNS,
    SCALE_OPTION,
    TEN,
    VOTES,
    Scale,
    check_once,
    check_votes,
    lines_of,
    read_csv,
    read_text,
    refusal,
    refuse_scale_of_votes,
    whole_number,
)  # fmt: skip
from edge_nima.names import Names

_AVA_COLUMNS = ("index", "id", *VOTES, "tag1", "tag2", "challenge")
_DIGITS = 12


@dataclass(frozen=True)
class AvaRow:
    """One line of AVA.txt."""

    image_id: str
    """The number by which AVA knows the photograph, without leading zeros."""
    votes: tuple[int, ...]
    """Ten counts, of the ratings 1..10."""
    tags: tuple[int, ...]
    """None to two numbers of tags.txt; AVA's 0, "no tag", is left out."""
    challenge: int
    """A number of challenges.txt."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What people said of photographs, by file name, relative path or id."""

    name: str
    """Of the file they were read from, without its folder."""
    sha256: str
    """Of that file's bytes."""
    ids: tuple[str, ...]
    """n of them, "" where the file has none."""
    files: tuple[str, ...]
    """n relative paths or file names with "/", "" where the file has none."""
    means: Floats
    """float64, shape (n,), mean ratings in 1..10."""
    votes: Floats | None
    """float64, shape (n, 10), votes or proportions of the ratings 1..10; None where only means are known."""
    scale: Scale = TEN
    """What the means were on before they were brought to 1..10."""

    def __len__(self) -> int:
        return len(self.means)

    @property
    def inferred(self) -> bool:
        """Whether `distributions` are guesses from the means alone: results that use them must say so."""
        return self.votes is None

    @cached_property
    def distributions(self) -> Floats:
        """float64, shape (n, 10), rows summing to 1; of maximum entropy where only a mean is known."""
        if self.votes is not None:
            return as_distribution(self.votes)
        return np.stack([max_entropy_distribution(float(mean)) for mean in self.means])

    @cached_property
    def _names(self) -> Names:
        return Names(self.files, self.ids)

    def find(self, photograph: str | os.PathLike[str]) -> int | None:
        """The row of a photograph, None when there is none; see `Names.find` for what matches.

        Raises:
            RequestError: two rows could be meant.
        """
        return self._names.find(photograph)

    def called(self, row: int) -> str:
        """What a row is called: its id, or its file where it has none."""
        return self.ids[row] or self.files[row]

    def match(self, photographs: Sequence[str | os.PathLike[str]]) -> list[int | None]:
        """The row of each photograph; None where there is none.

        Raises:
            RequestError: no photograph has a row, two photographs have the same, or as `find`.
        """
        rows = [self.find(photograph) for photograph in photographs]
        claimed: dict[int, str | os.PathLike[str]] = {}
        for photograph, row in zip(photographs, rows, strict=True):
            if row is not None and row in claimed:
                both = f"'{printable(claimed[row])}' and '{printable(photograph)}'"
                raise RequestError(
                    f"{both} are both '{printable(self.called(row))}' of '{printable(self.name)}': "
                    "give one of them, or labels with relative paths under 'file'"
                )
            if row is not None:
                claimed[row] = photograph
        if not claimed:
            given = f" (such as '{printable(photographs[0])}')" if photographs else ""
            raise RequestError(
                f"none of the {len(photographs)} photographs{given} is among the {len(self)} labels of "
                f"'{printable(self.name)}' (such as '{printable(self.files[0] or self.ids[0])}'): "
                "they join by file name, relative path or id"
            )
        return rows

    def gaps(self, photographs: Sequence[str | os.PathLike[str]], rows: Sequence[int | None]) -> list[str]:
        """Lines that tell which photographs have no label and which labels no photograph, after `match`."""
        bare = [printable(path) for path, row in zip(photographs, rows, strict=True) if row is None]
        used = set(rows)
        idle = [printable(self.files[row] or self.ids[row]) for row in range(len(self)) if row not in used]
        lines = []
        if bare:
            lines.append(f"{len(bare)} of {len(rows)} photographs have no label in {printable(self.name)}: {few(bare)}")
        if idle:
            lines.append(f"{len(idle)} of {len(self)} labels of {printable(self.name)} have no photograph: {few(idle)}")
        return lines


def spread_votes(votes: Floats) -> Floats:
    """Votes on the ratings 1..k as votes on 1..10.

    A vote on rating r goes to 1 + 9 (r - 1) / (k - 1), shared by the two whole ratings beside it so that the mean is
    exactly that.

    Args:
        votes: shape (n, k), k in 2..10.

    Returns:
        float64, shape (n, 10); `votes` themselves for k = 10.
    """
    k = votes.shape[1]
    if k == BINS:
        return votes
    to = 1 + 9 * np.arange(k) / (k - 1)
    shares = np.clip(1 - np.abs(to[:, None] - RATINGS), 0, None)
    return np.asarray(votes @ shares, np.float64)


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def read_ava(path: str | os.PathLike[str]) -> list[AvaRow]:
    """Read AVA.txt: lines of `index id n1..n10 tag1 tag2 challenge`, whole numbers with spaces between.

    Raises:
        RequestError: the file cannot be read, or a line is no such row or repeats an id; with the line.
    """
    return _ava_rows(path, read_text(path, "the lines of AVA.txt")[0])


def read_labels(path: str | os.PathLike[str], scale: str | None = None, ask: str = SCALE_OPTION) -> Labels:
    """Read AVA.txt, or a CSV whose header names `image_id` or `file` or both, and `n1`..`n10` or `mean_rating`.

    Votes may be fractions or proportions. Other columns are ignored; `n1`..`n10` go before `mean_rating`. UTF-8 (a file
    that is not called so keeps its bytes), with or without a byte-order mark, any line ends. Means are brought to 1..10
    from their scale, which `scale` or a column `scale` states.

    Args:
        path: the file.
        scale: of its means, LOW..HIGH such as "1..5"; None where the file says it, or where it is 1..10 beyond doubt.
        ask: how the caller states a scale, for messages, with {} in place of it.

    Raises:
        RequestError: the file cannot be read or is something else, votes do not parse, are negative or all zero, a mean
            lies outside its scale, a photograph comes twice; with the line. Or no scale is stated, and the means all
            lie within 1..5 or one of them outside 1..10.
    """
    stated = None if scale is None else Scale.parse(scale)
    text, sha256 = read_text(path, "AVA.txt, or a CSV with a header, in UTF-8")
    if is_ava(text):
        refuse_scale_of_votes(path, stated)
        rows = _ava_rows(path, text)
        counts = np.array([row.votes for row in rows], np.float64)
        numbers = tuple(row.image_id for row in rows)
        return Labels(Path(path).name, sha256, numbers, ("",) * len(rows), mean_rating(counts), counts)
    ids, files, votes, means, had = read_csv(path, text, stated, ask)
    return Labels(Path(path).name, sha256, ids, files, means, votes, had)


def read_id_list(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a list of AVA ids, one on a line, such as the official generic_test.jpgl; in its order.

    Raises:
        RequestError: the file cannot be read, holds no id, or a line is none or repeats one.
    """
    ids: dict[str, int] = {}
    for number, line in lines_of(read_text(path, "ids in UTF-8, one on a line")[0]):
        check_once(path, number, "id", whole_number(path, number, "the id", line.strip()), ids)
    if not ids:
        raise RequestError(f"'{printable(path)}' holds no ids; possible: one whole number on a line")
    return tuple(ids)


def rating_edges(bins: int = 10) -> Floats:
    """Edges of equally wide bins over the ratings 1..10: float64, shape (bins + 1,).

    Raises:
        RequestError: `bins` is not in 1..1000.
    """
    if not 1 <= bins <= 1000:
        raise RequestError(f"{bins} rating bins; possible: 1 to 1000")
    return np.linspace(1.0, 10.0, bins + 1).round(_DIGITS)


def rating_bins(means: ArrayLike, bins: int = 10) -> NDArray[np.intp]:
    """The bin of each mean rating. A bin holds its lower edge and not its upper one; the last holds 10 too.

    Means and edges are rounded to twelve digits first: 6.4 is on the edge 6.4, be it written so or a mean of votes.

    Args:
        means: shape (n,), in 1..10.
        bins: how many equally wide ones, see `rating_edges`.

    Returns:
        Shape (n,), in 0..bins-1.

    Raises:
        RequestError: a mean lies outside 1..10 or is not a number, or `bins` is not in 1..1000.
    """
    edges, m = rating_edges(bins), np.asarray(means, np.float64)
    outside = ~((m >= 1) & (m <= 10))
    if outside.any():
        raise RequestError(f"a mean rating is {float(m[outside][0])!r}; possible: 1 to 10")
    return np.minimum(np.searchsorted(edges, m.round(_DIGITS), side="right") - 1, bins - 1)


def is_ava(text: str) -> bool:
    """Whether a label file's text is AVA.txt's kind, not a CSV."""
    first = text.lstrip().partition("\n")[0]
    return "," not in first and len(first.split()) > 2 and first.split()[0].isdecimal()


def ava_row(path: str | os.PathLike[str], line: int, content: str, seen: dict[str, int]) -> AvaRow:
    """Read one line of AVA.txt.

    Args:
        path: the file.
        line: its number.
        content: what it says.
        seen: lines of the ids so far; this one's is added when all is well with it.

    Raises:
        LabelError: what is wrong with it.
    """
    cells = content.split()
    if len(cells) != len(_AVA_COLUMNS):
        possible = f"AVA's {len(_AVA_COLUMNS)}, {' '.join(_AVA_COLUMNS)}"
        raise refusal(path, line, f"{len(cells)} columns", possible, COLUMNS)
    numbers = [int(whole_number(path, line, column, cell)) for column, cell in zip(_AVA_COLUMNS, cells, strict=True)]
    _, image_id, *votes, tag1, tag2, challenge = numbers
    check_votes(path, line, votes)
    check_once(path, line, "id", str(image_id), seen)
    return AvaRow(str(image_id), tuple(votes), tuple(tag for tag in (tag1, tag2) if tag), challenge)


def _ava_rows(path: str | os.PathLike[str], text: str) -> list[AvaRow]:
    seen = dict[str, int]()
    return [ava_row(path, line, content, seen) for line, content in lines_of(text)]
