"""One scored photograph, and the files that hold many: JSON Lines and CSV that survive an interruption."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from edge_nima import tar_members
from edge_nima.distribution import BINS
from edge_nima.errors import EdgeNimaError, OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.storage import StoredPath


@dataclass(frozen=True)
class ScoreRecord:
    """What a model said of one photograph. Either `error` is None, or the numbers are."""

    name: str
    """Path of the photograph, or the name that was given."""
    mean: float | None
    """Mean rating, 1..10."""
    std: float | None
    """Standard deviation of the ratings, rating points."""
    distribution: tuple[float, ...] | None
    """Proportions of the ratings 1..10, summing to 1."""
    model: str
    """The model's name and the first eight digits of its SHA-256."""
    elapsed_ms: float
    """Decoding, resizing and inference, milliseconds."""
    error: str | None = None
    """Why there is no score, on one line."""
    preprocessing: str | None = None
    """How the model had its pixels, as `Preprocessing.describe` says it; None in files of earlier versions."""


COLUMNS = (
    "name", "mean", "std", *(f"p{rating}" for rating in range(1, BINS + 1)), "model", "elapsed_ms", "error",
    "preprocessing", "size", "mtime_ns",
)  # fmt: skip
_LATER = frozenset({"preprocessing"})
"""Columns that files of earlier versions lack."""
_ENCODING = ("utf-8", "surrogateescape")
"""Of files. A name that is not UTF-8 is kept: a CSV holds its bytes, JSON has escapes for them."""


@dataclass(frozen=True)
class FileStamp:
    """Size in bytes and modification time in nanoseconds: by these a resumed run knows an unchanged photograph."""

    size: int | None
    mtime_ns: int | None

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileStamp:
        """The stamp of a file as it is now, of an object as it was listed; empty when it cannot be asked."""
        if isinstance(path, StoredPath):
            return cls(path.size, path.mtime_ns)
        try:
            status = os.stat(path)
        except NotADirectoryError:
            return cls(*(tar_members.stamp(path) or (None, None)))
        except (OSError, ValueError):
            return cls(None, None)
        return cls(status.st_size, status.st_mtime_ns)


def format_record(
    record: ScoreRecord, stamp: FileStamp, form: str, more: Mapping[str, str | float | None] | None = None
) -> str:
    """One line of a "jsonl" or "csv" file, with its line end; `more` columns follow those of every record."""
    row: dict[str, Any] = {**vars(record), **vars(stamp), **(more or {})}  # asdict would copy each of them deeply
    if form == "jsonl":
        return json.dumps(row) + "\n"
    row.update({f"p{i + 1}": p for i, p in enumerate(record.distribution or ())})
    return csv_line([row.get(column) for column in (*COLUMNS, *(more or {}))])


def parse_row(row: Mapping[str, Any], form: str) -> tuple[ScoreRecord, FileStamp]:
    """A record out of one object of a "jsonl" file, or one row of a "csv" file under its header.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: it is something else.
    """
    return _from_json(row) if form == "jsonl" else _from_csv(row)


def read_records(path: str | os.PathLike[str], form: str | None = None) -> list[tuple[ScoreRecord, FileStamp]]:
    """Read a file that a sink wrote. A last line that a power cut tore is left out.

    Args:
        path: a JSON Lines or CSV file.
        form: "jsonl" or "csv"; None to go by the name's ending.

    Raises:
        RequestError: the file cannot be read or holds something else, with the line.
    """
    form = form or form_of(path)
    try:
        content = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
        whole, end, torn = content.rpartition(b"\n")
        text = (whole + end).decode(*_ENCODING)
    except OSError as error:
        raise RequestError(f"cannot read records from '{printable(path)}': {reason(error)}") from error
    records = list(_parse(text, form, path))
    torn = torn.rstrip(b"\0")  # some file systems fill up with these what a power cut kept from the disk
    try:
        header = text.partition("\n")[0] + "\n" if form == "csv" and text else ""
        records += _parse(header + torn.decode(*_ENCODING), form, path)
    except RequestError as error:
        if not text and not _begins_as_ours(torn, form):
            raise RequestError(f"'{printable(path)}' is not a file of score records ({form})") from error
    return records


def _begins_as_ours(torn: bytes, form: str) -> bool:
    since_ever = [column for column in COLUMNS[: COLUMNS.index("size")] if column not in _LATER]
    start = (",".join(since_ever) if form == "csv" else '{"name": "').encode()
    return start.startswith(torn) or torn.startswith(start)


def form_of(path: str | os.PathLike[str]) -> str:
    """The format that a file name's ending means.

    Raises:
        RequestError: neither .jsonl nor .csv.
    """
    form = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}.get(Path(path).suffix.lower())
    if form is None:
        raise RequestError(f"'{printable(path)}' ends in neither .jsonl nor .csv; say --format jsonl, csv or table")
    return form


def _parse(text: str, form: str, path: str | os.PathLike[str]) -> Iterator[tuple[ScoreRecord, FileStamp]]:
    rows = _json_rows(text) if form == "jsonl" else _csv_rows(text)
    for number in count(1):
        try:
            row = next(rows, None)
            if row is None:
                return
            item = parse_row(row, form)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, csv.Error) as error:
            raise RequestError(
                f"'{printable(path)}' is not a file of score records ({form}) at record {number}"
            ) from error
        yield item


def _json_rows(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.split("\n"):
        if line and not line.isspace():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a record is an object")
            yield row


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if rows.fieldnames is not None and not set(COLUMNS) - _LATER <= set(rows.fieldnames):
        raise ValueError("other columns")
    for row in rows:
        if None in row or None in row.values():
            raise ValueError("more or fewer cells than columns")
        yield row


def _from_json(row: Mapping[str, Any]) -> tuple[ScoreRecord, FileStamp]:
    bins = row["distribution"]
    if bins is not None and len(bins) != BINS:
        raise ValueError("a distribution has ten bins")
    record = ScoreRecord(
        name=str(row["name"]),
        mean=None if row["mean"] is None else float(row["mean"]),
        std=None if row["std"] is None else float(row["std"]),
        distribution=None if bins is None else tuple(float(p) for p in bins),
        model=str(row["model"]),
        elapsed_ms=float(row["elapsed_ms"]),
        error=None if row["error"] is None else str(row["error"]),
        preprocessing=None if row.get("preprocessing") is None else str(row["preprocessing"]),
    )
    if (record.mean is None) == (record.error is None):
        raise ValueError("a record has a mean or an error")
    return record, FileStamp(_whole(row.get("size")), _whole(row.get("mtime_ns")))


def _whole(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("a stamp is made of whole numbers")
    return value


def _from_csv(row: Mapping[str, str]) -> tuple[ScoreRecord, FileStamp]:
    bins = [row[f"p{rating}"] for rating in range(1, BINS + 1)]
    numbers: dict[str, Any] = {
        "mean": float(row["mean"]) if row["mean"] else None,
        "std": float(row["std"]) if row["std"] else None,
        "distribution": [float(p) for p in bins] if all(bins) else None,
        "error": row["error"] or None,
        "preprocessing": row.get("preprocessing") or None,
        "size": int(row["size"]) if row["size"] else None,
        "mtime_ns": int(row["mtime_ns"]) if row["mtime_ns"] else None,
    }
    return _from_json({**row, **numbers})


def csv_line(cells: Iterable[Any]) -> str:
    """One row of a CSV, with its line end; None is an empty cell."""
    line = io.StringIO()
    # Python quotes the characters of its line end, and leaves a lone "\r" that is none of them to tear the line.
    csv.writer(line, lineterminator="\r\n").writerow(["" if cell is None else cell for cell in cells])
    return line.getvalue().removesuffix("\r\n") + "\n"


def is_special(path: Path) -> bool:
    """Whether `path` is a pipe or a device: it cannot be renamed onto and is written as it goes.

    Raises:
        RequestError: it is a folder, or in one that is not there.
        OutputError: it cannot be asked.
    """
    try:
        if path.is_dir():
            raise RequestError(f"'{printable(path)}' is a folder; give a file name in it")
        if not path.parent.is_dir():
            raise RequestError(f"no such folder: '{printable(path.parent)}' (mkdir -p it first)")
        return path.exists() and not path.is_file()
    except RequestError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error


def partial_path(path: str | os.PathLike[str]) -> Path:
    """Where an output is written until it is complete."""
    return Path(f"{os.fspath(path)}.partial")


class RecordFile:
    """A file of records that appears whole: written beside as NAME.partial, line by line, then renamed.

    Leaving the `with` block puts the file in place, also when `complete` is False and there was no earlier file. An
    earlier file stays as it was unless the new one is complete or goes on from it. After an exception, a failed write
    say, NAME.partial stays.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        form: str,
        held: Iterable[tuple[ScoreRecord, FileStamp]] = (),
        order: Sequence[str] = (),
    ) -> None:
        """Open `path` for writing, beginning with the records `held` from an earlier run.

        Args:
            path: the file.
            form: "jsonl" or "csv".
            held: what to begin with.
            order: the names in the order in which one uninterrupted run writes them; records under `held` and new ones
                are brought into it at the end. Names that it lacks come first.

        Raises:
            RequestError: its folder does not exist, or another run is writing it.
            OutputError: its folder cannot be written.
        """
        self.path, self.form = Path(path), form
        self._special = is_special(self.path)
        held = list(held)
        self._keeps_earlier = self.path.is_file() and not held
        self.partial = self.path if self._special else partial_path(path)
        self.complete = True
        """Set to False when the run was cut short; decides whether an earlier file may be replaced."""
        self.left_at: Path | None = self.path
        """After the `with` block: where the records are."""
        self._header = csv_line(list(COLUMNS)) if form == "csv" else ""
        self._rank = {name: rank for rank, name in enumerate(order)} if held else {}
        self._lines = [(self._rank.get(record.name, -1), format_record(record, stamp, form)) for record, stamp in held]
        try:
            self._file = self._claim()
            if held:
                # What an earlier run left may be in NAME.partial itself: replaced in one step, never emptied.
                with self._file:
                    self._write_lines()
                self._file = self._claim()
            elif not self._special:
                self._file.truncate(0)
        except OSError as error:
            if isinstance(error, EdgeNimaError):
                raise
            raise OutputError(f"cannot write '{printable(self.partial)}': {reason(error)}") from error
        if not held:
            try:
                self._put(self._header)
            except OutputError:
                self._abandon()
                raise

    def write(self, record: ScoreRecord, stamp: FileStamp) -> None:
        """Append one record; it is in the operating system's hands when this returns.

        Raises:
            OutputError: the disk is full, say. What was written before stays.
        """
        line = format_record(record, stamp, self.form)
        self._put(line)
        if self._rank:
            self._lines.append((self._rank.get(record.name, -1), line))

    def _claim(self) -> IO[str]:
        mode = "w" if self._special else "a"
        file = open(self.partial, mode, encoding=_ENCODING[0], errors=_ENCODING[1], newline="")  # noqa: SIM115
        if not self._special and not try_lock(file):
            file.close()
            raise RequestError(
                f"another run is writing '{printable(self.path)}': wait for it, or give another --output"
            )
        return file

    def _put(self, line: str) -> None:
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputError:
        kept = "" if self._special else f"; what was scored so far is in '{printable(self.partial)}', --resume goes on"
        return OutputError(f"cannot write '{printable(self.path)}': {reason(error)}{kept}")

    def _write_lines(self) -> None:
        write_whole(self.partial, (self._header + "".join(line for _, line in self._lines)).encode(*_ENCODING))

    def _abandon(self) -> None:
        # The buffer still holds the line that did not fit; closing would try it again and fail again.
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, OutputError):
            self._abandon()
            return
        try:
            with self._file:
                if not self._special:
                    os.fsync(self._file.fileno())
            if self._special:
                return
            if kind is not None or (self._keeps_earlier and not self.complete):
                self.left_at = self.partial
                return
            ranks = [rank for rank, _ in self._lines]
            if ranks != sorted(ranks):
                self._lines.sort(key=lambda line: line[0])
                self._write_lines()
            os.replace(self.partial, self.path)
        except OSError as failed:
            raise self._failure(failed) from failed


def write_whole(
    path: str | os.PathLike[str], content: bytes | Iterable[bytes], mode: int = 0o666, mark: str = ""
) -> None:
    """Write a file that is either there in full or not at all: beside, synced, renamed.

    Args:
        path: where it appears.
        content: what it holds, or parts of it in order.
        mode: its permissions before the umask, from the first byte on.
        mark: makes the name beside it another, where two may write the same file at once.

    Raises:
        OSError: it cannot be written; what was there before is as it was.
    """
    beside = Path(f"{os.fspath(path)}{mark}.new")
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


Photograph = TypeVar("Photograph", bound=str | os.PathLike[str])

Held = list[tuple[ScoreRecord, FileStamp]]
"""Records that an earlier run left, each with what its photograph was then."""


def held_records(output: Path, form: str, label: str) -> Held:
    """What an earlier run left: in NAME.partial when it was stopped, else in NAME; nothing when neither is there.

    Raises:
        RequestError: it is of another model than `label`, or cannot be read.
    """
    left = next((path for path in (partial_path(output), output) if path.is_file()), None)
    if left is None:
        return []
    held = read_records(left, form)
    others = {record.model for record, _ in held} - {label}
    if others:
        raise RequestError(
            f"'{printable(left)}' holds scores of {sorted(others)[0]}, this run is {label}: "
            "score with that one, or --overwrite"
        )
    return held


def still_to_do(
    photographs: Sequence[Photograph], names: Sequence[str], held: Held
) -> tuple[list[tuple[Photograph, FileStamp]], Held]:
    """What of the photographs is not `held` as it is now, each with its stamp, and what of `held` stays.

    `names` are the photographs' in records. They are stamped before they are scored: one that changes meanwhile is
    scored again by the next run that resumes.
    """
    stamps = {record.name: stamp for record, stamp in held if record.error is None}
    stamped = [(name, path, FileStamp.of(path)) for name, path in zip(names, photographs, strict=True)]
    todo = [(name, path, stamp) for name, path, stamp in stamped if stamps.get(name) != stamp]
    again = {name for name, _, _ in todo}
    return [(path, stamp) for _, path, stamp in todo], [(one, stamp) for one, stamp in held if one.name not in again]
