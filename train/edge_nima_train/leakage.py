"""Which photographs a network has seen in training: an evaluation on those says nothing.

The rule. A photograph is one of the run's when its content is (SHA-256), or when its file name without folder and
ending is and its id does not speak against it. Ids alone prove nothing: OASIS and AVA both have a photograph 1. An id
that merely repeats the file name says nothing more than the name; two ids that differ make two photographs. Where
several photographs of one side share a name, their folder's name must agree too. Two data sets that both number their
files from 1 cannot be told apart by names: such photographs are refused, not waved through.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_nima.errors import RequestError, printable
from edge_nima.label_text import read_text
from edge_nima_train.manifest import TRAIN, VALIDATION

PHOTOGRAPHS = "photographs.csv"
"""Of a run folder: what was trained on."""
_NEEDED = ("image_id", "file", "split")
HASHES = ("sha256", "source_sha256")
"""Columns of content hashes. In a run's photographs.csv of the packed picture, and of the file that was packed."""


@dataclass(frozen=True)
class Photograph:
    """One photograph by all that it can be known by; what is not known is empty."""

    image_id: str
    file: str
    hashes: frozenset[str] = frozenset()
    split: str = ""
    """"train" where weights were fitted to it, "val" where the best epoch was chosen by it."""

    @property
    def stem(self) -> str:
        """File name without folder and ending, as it is compared; the id where there is no file, as AVA has it."""
        return PurePosixPath(unicodedata.normalize("NFC", self.file or self.image_id)).stem.casefold()

    @property
    def own_id(self) -> str:
        """The id where it says more than the file name."""
        return "" if self.image_id.casefold() == self.stem else self.image_id

    @property
    def folder(self) -> str:
        """Name of the folder that it is in; "" where that is not said."""
        return PurePosixPath(unicodedata.normalize("NFC", self.file)).parent.name


@dataclass(frozen=True)
class Leaks:
    """Rows of the photographs that were asked about."""

    trained: tuple[int, ...]
    """Trained on."""
    validated: tuple[int, ...]
    """The best epoch was chosen by these."""
    namesakes: tuple[int, ...]
    """Of the same file name as one trained on, but of another id: taken as other photographs."""


def read_photographs(path: str | os.PathLike[str]) -> tuple[Photograph, ...]:
    """Read a run folder's photographs.csv.

    Raises:
        RequestError: it cannot be read, or is something else.
    """
    shown, possible = f"'{printable(path)}'", "the photographs.csv of a run folder"
    rows = csv.DictReader(io.StringIO(read_text(path, possible)[0], newline=""))
    header = rows.fieldnames or ()
    lacking = [column for column in _NEEDED if column not in header]
    if lacking:
        raise RequestError(f"{shown} has no column {lacking[0]}; possible: {possible}")
    found = []
    for row in rows:
        cells = {key: value or "" for key, value in row.items() if key is not None}
        if cells["split"] not in (TRAIN, VALIDATION, "") or not (cells["file"] or cells["image_id"]):
            raise RequestError(f"{shown} line {rows.line_num} is no photograph of a run; possible: {possible}")
        hashes = frozenset(cells[column] for column in HASHES if cells.get(column))
        found.append(Photograph(cells["image_id"], cells["file"].replace("\\", "/"), hashes, cells["split"] or TRAIN))
    return tuple(found)


def seen_by(run: Path) -> tuple[Photograph, ...] | None:
    """What a run was trained on; None where its folder does not say."""
    path = run / PHOTOGRAPHS
    return read_photographs(path) if path.is_file() else None


def find_leaks(asked: Sequence[Photograph], seen: Collection[Photograph]) -> Leaks:
    """Which photographs have been seen, by the rule at the head of this file.

    Args:
        asked: those that are to judge.
        seen: those of the run.
    """
    by_hash, by_stem = defaultdict[str, list[Photograph]](list), defaultdict[str, list[Photograph]](list)
    for one in seen:
        for digest in one.hashes:
            by_hash[digest].append(one)
        by_stem[one.stem].append(one)
    times = Counter(one.stem for one in asked)
    trained, validated, namesakes = [], [], []
    for row, one in enumerate(asked):
        alike = by_stem.get(one.stem, [])
        unique = len(alike) == 1 and times[one.stem] == 1
        same = [other for other in alike if _is_same(one, other, unique)]
        same += [other for digest in one.hashes for other in by_hash.get(digest, ())]
        if any(other.split == TRAIN for other in same):
            trained.append(row)
        elif same:
            validated.append(row)
        elif alike:
            namesakes.append(row)
    return Leaks(tuple(trained), tuple(validated), tuple(namesakes))


def _is_same(one: Photograph, other: Photograph, unique: bool) -> bool:
    """Whether two of one stem are one photograph."""
    if one.own_id and other.own_id:
        return one.own_id == other.own_id
    return unique or not one.folder or not other.folder or one.folder == other.folder
