"""What a watcher wrote, read back: its records in whatever form they are, and the photograph that was kept of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge_nima.errors import RequestError, printable, reason
from edge_nima.watch.events import Scored
from edge_nima.watch.line_file import rotated_of
from edge_nima.watch.line_store import read_lines
from edge_nima.watch.selection import Summary, Wanted, best_of, selected
from edge_nima.watch.shots import label_in_names, list_shots
from edge_nima.watch.sqlite_reader import DatabaseRecords
from edge_nima.watch.units import utc_text

FILES = {"sqlite": "scores.db", "jsonl": "scores.jsonl", "csv": "scores.csv"}
"""What each form is called in a watcher's folder; where there are several, the first is read."""


class Records(Protocol):
    """Records of a watcher, to be read only."""

    path: Path
    lost: str | None
    """Why some could not be read, after a question was answered; or None."""

    def best(self, wanted: Wanted, top: int) -> tuple[Summary, list[Scored]]:
        """What the wanted ones amount to, and the `top` best of them, best first; of equals the earlier."""

    def all(self, wanted: Wanted, summary: Summary) -> Iterator[Scored]:
        """The wanted ones, lines in the order of writing and a database in that of time; `summary` counts along."""

    def cameras(self) -> set[str]:
        """All that there are records of."""

    def close(self) -> None:
        """Let go of the files. May be called twice."""


class LineRecords:
    """The records of a scores.jsonl or scores.csv and of the files that were rotated away from it."""

    def __init__(self, path: Path, form: str) -> None:
        """Nothing is opened yet.

        Args:
            path: the file; it may be gone while there are rotated ones.
            form: "jsonl" or "csv".
        """
        self.path, self._form = path, form
        self.lost: str | None = None

    def best(self, wanted: Wanted, top: int) -> tuple[Summary, list[Scored]]:
        """What the wanted ones amount to, and the `top` best of them, best first; of equals the earlier."""
        return best_of(self._read(wanted.since), wanted, top)

    def all(self, wanted: Wanted, summary: Summary) -> Iterator[Scored]:
        """The wanted ones, in the order of writing; `summary` counts along."""
        return selected(self._read(wanted.since), wanted, summary)

    def cameras(self) -> set[str]:
        """All that there are records of."""
        return {scored.camera for scored in self._read()}

    def close(self) -> None:
        """Nothing is left open."""

    def _read(self, since: float = float("-inf")) -> Iterator[Scored]:
        whole = damaged = 0
        try:
            for scored in read_lines(self.path, self._form, since if math.isfinite(since) else None):
                if scored is None or not math.isfinite(scored.record.mean or 0.0):
                    damaged += 1
                else:
                    whole += 1
                    yield scored
        except OSError as error:
            raise RequestError(f"cannot read '{printable(self.path)}': {reason(error)}") from error
        if damaged and not whole:
            raise RequestError(f"'{printable(self.path)}' holds no records: none of its {damaged} lines is one")
        if damaged:
            self.lost = f"{damaged} damaged line{'s' if damaged > 1 else ''} left out"


def forms_in(folder: Path) -> list[str]:
    """The forms of records that a folder holds: "sqlite", "jsonl", "csv", in this order.

    Raises:
        OSError: it cannot be read.
    """
    names = {file.name for file in folder.iterdir()}
    return [
        form for form, name in FILES.items() if name in names or (form != "sqlite" and bool(rotated_of(folder / name)))
    ]


def open_records(folder: Path, form: str) -> Records:
    """Open the records of a folder for reading.

    Args:
        folder: a watcher's; or one file of records, one that was moved aside or rotated, say.
        form: "sqlite", "jsonl" or "csv".

    Raises:
        RequestError: they cannot be read.
    """
    path = folder if folder.is_file() else folder / FILES[form]
    return DatabaseRecords(path) if form == "sqlite" else LineRecords(path, form)


class KeptShots:
    """Which photograph was kept of a record: its file's name holds the camera, the millisecond and the mean."""

    def __init__(self, folder: Path) -> None:
        """Read the names of what is kept.

        Raises:
            OSError: a folder cannot be read.
        """
        self._names: dict[tuple[str, str, str], str] = {}
        for shot in sorted(list_shots(folder), key=lambda shot: shot.path, reverse=True):
            name = shot.path.relative_to(folder).as_posix()
            self._names[shot.camera, utc_text(shot.taken_at), f"{shot.mean:.3f}"] = name

    def of(self, scored: Scored) -> str | None:
        """Where its photograph is, relative to the folder; None where none was kept."""
        if not self._names or scored.record.mean is None:
            return None
        camera = label_in_names(scored.camera)
        return self._names.get((camera, utc_text(scored.taken_at), f"{scored.record.mean:.3f}"))
