"""Records of a camera as JSON Lines or CSV: the lines that `edge-nima score` writes, and when and where."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from edge_nima.errors import OutputError, printable, reason
from edge_nima.records import COLUMNS, FileStamp, format_record, parse_row
from edge_nima.watch.events import Scored
from edge_nima.watch.line_file import LineFile, rotated_of
from edge_nima.watch.units import utc_moment, utc_text

MORE = ("taken_at", "camera", "age_ms")
"""Columns after those of every record."""
HEADER = ",".join((*COLUMNS, *MORE)) + "\n"
_NO_STAMP = FileStamp(None, None)
_EVENT_BYTES = 1024**2


class LineStore:
    """scores.jsonl or scores.csv in a folder, and events.jsonl beside it."""

    def __init__(self, folder: Path, form: str, keep_s: float | None = None, max_bytes: int | None = None) -> None:
        """Open or begin the files of a folder; `keep_s` and `max_bytes` as in `LineFile`.

        Raises:
            OutputError: they cannot be written.
        """
        self._form = form
        self._turn = threading.Lock()
        header = HEADER.encode() if form == "csv" else b""
        path = folder / f"scores.{form}"
        with contextlib.ExitStack() as opened:
            try:
                self._scores = LineFile(path, header, keep_s=keep_s, max_bytes=max_bytes)
                opened.callback(self._scores.close)
                path = folder / "events.jsonl"
                self._events = LineFile(path, keep_s=keep_s, max_bytes=_EVENT_BYTES)
            except OSError as error:
                raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error
            opened.pop_all()

    def write(self, batch: Sequence[Scored]) -> None:
        """Append a batch, all or nothing; it is on the disk when this returns.

        Raises:
            OutputError: the disk is full, say. A later write may succeed.
        """
        if batch:
            self._append(self._scores, "".join(format_scored(scored, self._form) for scored in batch))

    def event(self, at: float, kind: str, text: str) -> None:
        """Append what happened to events.jsonl; as `write`."""
        self._append(self._events, json.dumps({"at": utc_text(at), "kind": kind, "text": text}) + "\n")

    def recent(self, since: float) -> Iterable[tuple[float, float]]:
        """Nothing: reading lines back takes too long on a small machine."""
        return ()

    def close(self) -> None:
        """Let go of the files."""
        with self._turn:
            self._scores.close()
            self._events.close()

    def _append(self, file: LineFile, text: str) -> None:
        try:
            with self._turn:
                file.append(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise OutputError(f"cannot write '{printable(file.path)}': {reason(error)}") from error


def format_scored(scored: Scored, form: str, shot: str | None = None) -> str:
    r"""One line of a "jsonl" or "csv" file; with the column `shot` when it is not None.

    In "csv" line ends, NULs and bytes that are not UTF-8 are shown escaped (`\n`, `\xe9`): a record is one line.
    """
    record = scored.record
    if form == "csv":
        record = replace(
            record,
            name=printable(record.name),
            model=printable(record.model),
            error=None if record.error is None else printable(record.error),
            preprocessing=None if record.preprocessing is None else printable(record.preprocessing),
        )
    more: dict[str, str | float | None] = {
        "taken_at": utc_text(scored.taken_at),
        "camera": printable(scored.camera) if form == "csv" else scored.camera,
        "age_ms": scored.age_ms,
    }
    if shot is not None:
        more["shot"] = shot
    return format_record(record, _NO_STAMP, form, more)


def read_lines(path: Path, form: str, since: float | None = None) -> Iterator[Scored | None]:
    """The records of scores.jsonl or scores.csv and its rotated files, in the order of writing.

    Args:
        path: the file; another process may be writing it.
        form: "jsonl" or "csv".
        since: rotated files that were last written a day before this, seconds since 1970 UTC, are left out.

    Yields:
        A record, or None for a line that is damaged. A last line without its end is only half written yet, or torn.

    Raises:
        OSError: a file cannot be read.
    """
    with contextlib.ExitStack() as opened:
        # Opened before the others are listed: when it is rotated meanwhile it is among them, is known again, and ends
        # them: what comes after it was begun later.
        current, now = None, None
        with contextlib.suppress(FileNotFoundError):
            current = opened.enter_context(_open(path))
            now = os.fstat(current.fileno())
        for file in rotated_of(path):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                status = file.stat()
                if now is not None and os.path.samestat(status, now):
                    break
                # A day, for clocks that were set meanwhile.
                if since is None or status.st_mtime >= since - 86400:
                    with _open(file) as lines:
                        yield from _parsed_lines(lines, form)
        if current is not None:
            yield from _parsed_lines(current, form)


def _open(path: Path) -> IO[str]:
    return open(path, encoding="utf-8", errors="replace", newline="\n")


def _parsed_lines(lines: IO[str], form: str) -> Iterator[Scored | None]:
    names = next(lines, "") if form == "csv" else ""
    if form == "csv" and not names.endswith("\n"):
        return  # the header and what follows it may come just now
    columns = next(csv.reader([names]), [])
    for line in lines:
        if not line.endswith("\n"):
            return  # its rest may come between this and the next look, and would be a damaged line
        yield _parsed(line, form, columns)


def _parsed(line: str, form: str, columns: list[str]) -> Scored | None:
    try:
        row = json.loads(line) if form == "jsonl" else next(csv.DictReader(io.StringIO(line, newline=""), columns))
        if None in row:
            return None  # more cells than columns
        record, _ = parse_row(row, form)
        return Scored(record, str(row["camera"]), utc_moment(row["taken_at"]), float(row["age_ms"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, StopIteration, csv.Error):
        return None
