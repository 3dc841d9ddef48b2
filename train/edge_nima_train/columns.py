"""Which column of somebody's table is what: names that are usual are recognised, others are said, none is guessed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from edge_nima.distribution import BINS
from edge_nima.errors import LabelError, RequestError, printable
from edge_nima.label_text import NUMBER, OTHER, RATING, check_votes, number, refusal, shown

ROLES = ("id", "file", "mean", "votes", "split")
"""What --columns can say."""
_USUAL = {
    "id": ("image_id", "image_num", "img_id", "imageid", "photo_id", "id", "key"),
    "file": ("file", "filename", "file_name", "image_name", "imagename", "image_path", "img_path", "filepath", "path",
             "image", "img", "photo", "name"),
    "mean": ("mean_rating", "mean", "mean_score", "mos", "score", "rating", "average", "average_score", "avg_score",
             "average_rating", "aesthetic_score", "quality_score", "mean_opinion_score", "cls", "txt"),
    "split": ("split", "set", "partition"),
}  # fmt: skip
"""The first of a role that a table has is it; of ratings only one may be there."""
_LISTS = ("rating_counts", "ratings", "votes", "histogram", "distribution", "counts", "label", "labels")
"""Columns that may hold all votes of a photograph, as a list."""
_NUMBERED = ("n", "vote_", "votes_", "score_", "rating_", "ratings_", "count_", "c", "r", "q", "")
"""What usual columns of votes begin with, before the number of the rating."""


@dataclass(frozen=True)
class Record:
    """One photograph as its source tells it."""

    path: PurePath
    """The file that the row is in, and `line`: its number there, from 1. For messages."""
    line: int
    cells: Mapping[str, object]
    """Text, numbers or lists, by column."""
    split: str = ""
    """What the file's own name says."""
    name: str = ""
    """Of the photograph, where no column says one."""
    picture: str = ""
    """Where its file is, perhaps in a tar file; "" where that is not known yet, or it is embedded."""

    def refusal(self, what: str, possible: str, kind: str = OTHER) -> LabelError:
        """The error for it."""
        return refusal(self.path, self.line, what, possible, kind)

    def number(self, column: str, value: object) -> float:
        """A value as a number.

        Raises:
            LabelError: it is none.
        """
        if isinstance(value, int | float) and value == value:
            return float(value)
        return number(self.path, self.line, column, "" if value is None else str(value).strip())


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns by what they hold; "" where there is none."""

    id: str
    file: str
    mean: str
    """"" where there are votes."""
    votes: tuple[str, ...]
    """k columns of counts, the worst rating first; one that holds lists; or none."""
    split: str

    @property
    def used(self) -> frozenset[str]:
        """Those that are read as something; all others are kept as they are."""
        return frozenset({self.id, self.file, self.mean, self.split, *self.votes})

    def told(self) -> str:
        """For a person."""
        single = [f"{role} in {name}" for role in ("id", "file", "split") if (name := getattr(self, role))]
        return printable(
            ", ".join([f"votes in {_range(self.votes)}" if self.votes else f"means in {self.mean}", *single])
        )

    def ratings(self, record: Record) -> tuple[float, ...]:
        """A row's votes, k counts, or its mean alone.

        Raises:
            LabelError: they are no numbers, too few or many, negative or all zero.
        """
        if not self.votes:
            return (record.number(self.mean, record.cells.get(self.mean)),)
        given: object = [record.cells.get(name) for name in self.votes]
        if len(self.votes) == 1:
            given = record.cells.get(self.votes[0])
            if isinstance(given, str):
                given = re.findall(r"[^\s,;()\[\]{}]+", given)
        if not isinstance(given, list):
            raise record.refusal(f"{self.votes[0]} is no list of counts", "such as [0, 1, 5, 17, 9]", NUMBER)
        votes = tuple(record.number(_range(self.votes), value) for value in given)
        if not 2 <= len(votes) <= BINS:
            raise record.refusal(f"{_range(self.votes)} holds {len(votes)} counts", f"2 to {BINS}", RATING)
        check_votes(record.path, record.line, (*votes, *(0.0,) * (BINS - len(votes))))
        return votes


def recognise(
    names: Collection[str], lists: Collection[str], stated: Mapping[str, str], where: str, named: bool = False
) -> Columns:
    """Find out which column is what.

    Args:
        names: of the table's columns.
        lists: of those that hold lists.
        stated: columns by role, as `parse_columns` gives them; "" for none.
        where: the table, for messages.
        named: whether photographs have names that are in no column.

    Raises:
        RequestError: no rating or name is recognised, several are, or a stated column is not there.
    """
    lower = {name.strip().lower(): name for name in reversed([*names])}
    listed = ", ".join(map(printable, [*names][:30])) + (", ..." if len(names) > 30 else "")

    def unclear(what: str) -> RequestError:
        first, *rest = map(printable, names or ["NAME"])
        example = f"--columns file={first},mean={[first, *rest][-1]}"
        return RequestError(f"{where}: {what}; its columns: {listed}; say which is what, such as {example}")

    found = {role: _stated(role, said) for role, said in stated.items()}
    gone = next((name for stated_names in found.values() for name in stated_names if name.lower() not in lower), None)
    if gone is not None:
        raise RequestError(f"{where} has no column {shown(gone)}; its columns: {listed}")
    found = {role: tuple(lower[name.lower()] for name in stated_names) for role, stated_names in found.items()}
    votes, mean = found.get("votes", ()), "".join(found.get("mean", ()))
    if not {"votes", "mean"} & found.keys():
        options = _votes(lower, lists)
        if not options:
            options = [(lower[name],) for name in _USUAL["mean"] if name in lower]
            options = options or [(lower[name],) for name in lower if re.fullmatch(r"mos_.*|.*_mos", name)]
            mean = options[0][0] if options else ""
        else:
            votes = options[0]
        if len(options) > 1 and mean != "mean_rating":
            raise unclear(f"the rating may be {printable(' or '.join(map(_range, options)))}")
    if not votes and not mean:
        raise unclear("no column is recognised as the rating")
    for role in {"id", "file", "split"} - found.keys():
        free = (lower[name] for name in _USUAL[role] if name in lower and lower[name] not in {*votes, mean, *lists})
        found[role] = (next(free, ""),)
    image_id, file, split = ("".join(found[role]) for role in ("id", "file", "split"))
    if not (image_id or file or named):
        raise unclear("no column is recognised as the photograph's id or file")
    return Columns(image_id, file, mean, votes, split)


def parse_columns(text: str | None) -> dict[str, str]:
    """Read `mean=MOS,file=name,votes=c1..c5`.

    Raises:
        RequestError: it is something else.
    """
    stated = {}
    for part in text.split(",") if text else ():
        role, equals, name = (piece.strip() for piece in part.partition("="))
        if role not in ROLES or not equals:
            possible = ", ".join(f"{one}=NAME" for one in ROLES)
            raise RequestError(f"--columns {shown(part)}; possible: {possible}, with commas between, and votes=c1..c5")
        stated[role] = name
    return stated


def _stated(role: str, said: str) -> tuple[str, ...]:
    ends = re.fullmatch(r"(.*?)(\d+)\.\.\1(\d+)", said)
    if role == "votes" and ends:
        return tuple(f"{ends[1]}{place}" for place in range(int(ends[2]), int(ends[3]) + 1))
    return (said,) if said else ()


def _votes(lower: Mapping[str, str], lists: Collection[str]) -> list[tuple[str, ...]]:
    """Columns that are votes together, in every way in which they may be."""
    found: list[tuple[str, ...]] = [(lower[name],) for name in _LISTS if lower.get(name) in lists]
    for prefix in _NUMBERED:
        count = next(place for place in range(1, len(lower) + 2) if f"{prefix}{place}" not in lower) - 1
        if 3 <= count <= BINS:
            found.append(tuple(lower[f"{prefix}{place}"] for place in range(1, count + 1)))
            if (prefix, count) == ("n", BINS):
                return found[-1:]  # our own name goes before all others
    return found


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"
