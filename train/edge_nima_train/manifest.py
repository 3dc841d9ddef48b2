"""The manifest: one CSV row a photograph, with its file, ratings, split and weight. What every step reads and writes.

A manifest is a label CSV (see `edge_nima.labels.read_labels`) with more columns, so any label CSV, and AVA.txt itself,
is a manifest that says less.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.label_text import NUMBER, SCALE_OPTION, TEN, VOTES, refusal
from edge_nima.labels import Labels, read_ava, read_labels
from edge_nima.names import name_of
from edge_nima.records import csv_line, write_whole

TRAIN, VALIDATION, TEST = "train", "val", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
READ_AS = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
            "test": TEST, "testing": TEST, "": ""}  # fmt: skip
OWN_COLUMNS = ("image_id", "file", *VOTES, "mean_rating", "scale", "split", "weight")
"""Columns with a meaning here; all others are kept as they are."""


SCALE_OF_SOURCE = "scale_of_source"
"""The column that says on which scale means were before they were brought to 1..10; where there is none, on that."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Photographs with ratings, and what earlier steps found out about each."""

    labels: Labels
    images: Path
    """The folder that `labels.files` are relative to."""
    split: tuple[str, ...]
    """n of "train", "val", "test" and "" (in none)."""
    weights: Floats | None
    """float64, shape (n,): how often each is to be drawn in training, relative to the others; None for evenly."""
    columns: Mapping[str, tuple[str, ...]]
    """The other columns, as text: tag1, tag2, challenge, bytes, width, height, sha256, ..."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each photograph is called: its file, or its id where the labels have no files. All different."""
        return tuple(file or image_id for file, image_id in zip(self.labels.files, self.labels.ids, strict=True))

    def photograph(self, row: int) -> Path:
        """Where a photograph should be; labels without files mean `<id>.jpg`, as AVA has it."""
        return self.images / (self.labels.files[row] or f"{self.labels.ids[row]}.jpg")

    def rows(self, split: str) -> NDArray[np.intp]:
        """The rows of a split, in order."""
        return np.flatnonzero(np.array(self.split, dtype=object) == split)

    def only(self, rows: Sequence[int] | NDArray[np.intp]) -> Manifest:
        """Some of the rows, in the order given."""
        chosen = [int(row) for row in rows]
        labels = Labels(
            self.labels.name, self.labels.sha256,
            tuple(self.labels.ids[row] for row in chosen), tuple(self.labels.files[row] for row in chosen),
            self.labels.means[chosen], None if self.labels.votes is None else self.labels.votes[chosen],
            self.labels.scale,
        )  # fmt: skip
        return Manifest(
            labels, self.images, tuple(self.split[row] for row in chosen),
            None if self.weights is None else self.weights[chosen],
            {name: tuple(cells[row] for row in chosen) for name, cells in self.columns.items()},
        )  # fmt: skip


def read_manifest(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    scale: str | None = None,
    ask: str = SCALE_OPTION,
) -> Manifest:
    """Read a manifest, a label CSV or AVA.txt. Headings in any case; columns without one are left out.

    Args:
        path: the file.
        images: the folder that its files are relative to; None for the folder that the manifest is in.
        scale: of its means, and `ask`: as of `read_labels`.

    Raises:
        RequestError: as `read_labels`, a split or weight that is none, two columns of one name, with the line; or no
            such folder.
    """
    labels = read_labels(path, scale, ask)
    folder = Path(path).parent if images is None else Path(images)
    if not folder.is_dir():
        raise RequestError(f"no such folder of photographs: '{printable(folder)}'")
    labels = replace(labels, files=tuple(_on_disk(folder, file) for file in labels.files))
    n = len(labels)
    if not any(labels.files) and "," not in _first_line(path):
        rows = read_ava(path)
        tags = [(*(str(tag) for tag in row.tags), "", "")[:2] for row in rows]
        columns = {"tag1": tuple(one for one, _ in tags), "tag2": tuple(two for _, two in tags),
                   "challenge": tuple(str(row.challenge) for row in rows)}  # fmt: skip
        return Manifest(labels, folder, ("",) * n, None, columns)
    numbers, cells = _cells(path)
    split = tuple(
        split_of(path, line, cell) for line, cell in zip(numbers, cells.pop("split", ("",) * n), strict=True)
    )  # fmt: skip
    given = cells.pop("weight", None)
    weights = None if given is None else np.array([weight_of(path, *one) for one in zip(numbers, given, strict=True)])
    if weights is not None and not weights.sum() > 0:
        raise RequestError(f"'{printable(path)}': every weight is 0; possible: at least one above 0")
    columns = {name: column for name, column in cells.items() if name not in OWN_COLUMNS}
    return Manifest(labels, folder, split, weights, columns | scale_column(labels, columns))


def scale_column(labels: Labels, columns: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """`SCALE_OF_SOURCE` for labels whose means were on another scale than 1..10; nothing where the columns have it."""
    if labels.scale == TEN or SCALE_OF_SOURCE in columns:
        return {}
    return {SCALE_OF_SOURCE: (str(labels.scale),) * len(labels)}


def write_manifest(path: str | os.PathLike[str], manifest: Manifest) -> None:
    """Write a manifest; it appears whole, and replaces what is there. Files become relative to its folder.

    Raises:
        OutputError: it cannot be written.
    """
    out = Path(path)
    # Not the paths as they are written: ".." of a linked folder is not the folder that the link is in.
    here, there = os.path.realpath(out.parent), Path(os.path.realpath(manifest.images))
    moved = replace(manifest, images=there)
    files = [name_of(os.path.relpath(moved.photograph(row), here)) for row in range(len(manifest))]
    try:
        write_whole(out, as_csv(manifest, files).encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise OutputError(f"cannot write '{printable(out)}': {reason(error)}") from error


def as_csv(manifest: Manifest, files: Sequence[str]) -> str:
    """A manifest's text, with other files: n of them, "" in all for a manifest that has ids alone."""
    labels, votes = manifest.labels, manifest.labels.votes
    columns: dict[str, Iterable[str]] = {}
    if any(labels.ids):
        columns["image_id"] = labels.ids
    if any(files):
        columns["file"] = files
    if votes is not None:
        columns |= {name: _numbers(votes[:, place]) for place, name in enumerate(VOTES)}
    columns["mean_rating"] = _numbers(labels.means)
    if votes is None:
        columns["scale"] = (str(TEN),) * len(labels)
    columns["split"] = manifest.split
    if manifest.weights is not None:
        columns["weight"] = _numbers(manifest.weights)
    columns |= manifest.columns
    return "".join(map(csv_line, (columns, *zip(*columns.values(), strict=True))))


def _on_disk(folder: Path, file: str) -> str:
    """A file as it is called in a folder: tables compose what macOS decomposes, and put spaces around it."""
    if file.isascii() and file == file.strip():
        return file
    alike = (file, unicodedata.normalize("NFD", file), unicodedata.normalize("NFC", file), file.strip())
    return next((one for one in alike if os.path.exists(folder / one)), file)


def _numbers(values: Floats) -> list[str]:
    return [f"{value:.10g}" for value in values.tolist()]


def _first_line(path: str | os.PathLike[str]) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return next((line for line in file if line.strip()), "")


def _cells(path: str | os.PathLike[str]) -> tuple[list[int], dict[str, tuple[str, ...]]]:
    """Line numbers, and every column's cells by its heading; `read_labels` has checked that they are a table."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header: list[str] = []
        lines, rows = [], []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
                twice = next((name for name in header if name and header.count(name) > 1), None)
                if twice is not None:
                    raise refusal(path, reader.line_num, f"the header names {printable(twice)} twice", "each once")
                continue
            lines.append(reader.line_num)
            rows.append([cell.strip() for cell in row])
    return lines, {name: tuple(row[place] for row in rows) for place, name in enumerate(header) if name}


def split_of(path: str | os.PathLike[str], line: int, cell: str) -> str:
    """A cell's split: "train", "val", "test" or "".

    Raises:
        LabelError: it is none.
    """
    if cell.lower() not in READ_AS:
        raise refusal(path, line, f"split is '{printable(cell)}'", f"{', '.join(SPLITS)}, or empty")
    return READ_AS[cell.lower()]


def weight_of(path: str | os.PathLike[str], line: int, cell: str) -> float:
    """A cell's weight, 0 to 1e9.

    Raises:
        LabelError: it is none.
    """
    try:
        weight = float(cell)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1e9:
        raise refusal(path, line, f"weight is '{printable(cell)}'", "0 to 1e9", NUMBER)
    return weight
