"""What can be wrong with a row of labels or with a photograph's file, by kind."""

from __future__ import annotations

from dataclasses import dataclass

from edge_nima.label_text import COLUMNS, NUMBER, OTHER, RATING, TWICE

ROW_FAULTS = {
    COLUMNS: "rows with too few or too many columns",
    NUMBER: "rows with a cell that is no number",
    RATING: "rows with negative, all-zero or impossible ratings",
    TWICE: "rows of a photograph that has one",
    OTHER: "rows that are wrong otherwise",
}
"""What is wrong with rows, by the kind of a `LabelError`."""

MISSING, EXTRA, UNREADABLE, EMPTY, NOT_A_PICTURE, ZERO_SIZE, TRUNCATED, DAMAGED, COPY = (
    "missing", "extra", "unreadable", "empty", "not a picture", "zero size", "truncated", "damaged", "copy",
)  # fmt: skip
FILE_FAULTS = {
    MISSING: "rows whose photograph is not there",
    EXTRA: "photographs that no row names",
    UNREADABLE: "files that cannot be opened",
    EMPTY: "files of 0 bytes",
    NOT_A_PICTURE: "files that are no picture",
    ZERO_SIZE: "pictures 0 pixels wide or high",
    TRUNCATED: "pictures that end early",
    DAMAGED: "pictures that cannot be decoded",
    COPY: "files with the same bytes as an earlier one",
}
"""What is wrong with files."""


@dataclass(frozen=True)
class Fault:
    """One row or file that cannot be used."""

    kind: str
    """Of `ROW_FAULTS` or `FILE_FAULTS`."""
    what: str
    """Words for a person, one line."""
    line: int | None = None
    """Of the label file; None for a file that no row names."""
    file: str | None = None
    """Beneath the folder of photographs; None for a row that cannot be read."""
