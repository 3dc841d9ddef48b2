"""What was scored, in one SQLite database a folder: `Records` writes it, `RecordReader` reads it meanwhile."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, TypeVar

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import FileStamp, ScoreRecord, format_record
from edge_nima.watch.events import Scored
from edge_nima.watch.units import utc_text

log = logging.getLogger("edge_nima.watch")
T = TypeVar("T")
Event = tuple[float, str, str]  # wall-clock time, seconds since 1970 UTC; kind; text

FILE = "scores.db"
VERSION = 2  # of the schema, in PRAGMA user_version; 1 lacks the table `files`
APPLICATION = 0x4E494D41  # in PRAGMA application_id: "NIMA"
PAGE = 4096
# Read in one go. Between two, no snapshot is held: a writer's log would grow for as long as a reader takes.
PAGE_ROWS = 2000

_BINS = ", ".join(f"p{rating}" for rating in range(1, 11))
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS models (id INTEGER PRIMARY KEY, model TEXT NOT NULL, preprocessing TEXT NOT NULL,"
    " UNIQUE (model, preprocessing))",
    "CREATE TABLE IF NOT EXISTS scores (id INTEGER PRIMARY KEY, taken_at REAL NOT NULL, camera TEXT NOT NULL,"
    f" name TEXT NOT NULL, mean REAL, std REAL, {_BINS.replace(',', ' REAL,')} REAL,"
    " model_id INTEGER NOT NULL REFERENCES models, elapsed_ms REAL NOT NULL, age_ms REAL NOT NULL, error TEXT)",
    # What `best` asks reads this index alone. One by mean would touch a page of its own for each row, which wears out
    # an SD card ten times as fast; so would one of the marks of files.
    "CREATE INDEX IF NOT EXISTS scores_by_time ON scores (taken_at, mean)",
    "CREATE TABLE IF NOT EXISTS events"
    " (id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)",
    "CREATE VIEW IF NOT EXISTS records AS SELECT scores.*, model, preprocessing,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', taken_at, 'unixepoch') AS taken FROM scores JOIN models ON models.id = model_id",
    "CREATE TABLE IF NOT EXISTS files (folder TEXT NOT NULL, mark INTEGER)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_INSERT = (
    f"INSERT INTO scores (taken_at, camera, name, mean, std, {_BINS}, elapsed_ms, age_ms, error, model_id)"
    f" VALUES ({', '.join('?' * 18)}, (SELECT id FROM models WHERE model = ? AND preprocessing = ?))"
)
_REMEMBER = "INSERT INTO files VALUES (?, ?)"
_READ = f"taken_at, camera, age_ms, name, mean, std, {_BINS}, model, elapsed_ms, error, preprocessing"
_EVENTS_KEPT = 100_000
# The same again would fail again, and hold up all that come after it.
_MISTAKES = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def format_scored(scored: Scored, form: str, shot: str | None = None) -> str:
    """One line of "jsonl" or "csv" as `edge-nima score` writes it, when and where; with `shot` when it is not None."""
    more: dict[str, str | float | None] = {"taken_at": utc_text(scored.taken_at), "camera": scored.camera}
    more |= {"age_ms": scored.age_ms} if shot is None else {"age_ms": scored.age_ms, "shot": shot}
    return format_record(scored.record, FileStamp(None, None), form, more)


class Records:
    """Writes scores.db of a folder that this process owns. Safe to call from several threads: they take turns."""

    def __init__(
        self, folder: Path, keep_s: float | None = None, max_bytes: int | None = None, clock: Callable[[], float] = time
    ) -> None:
        """Open or begin the database in `folder`. On a full disk that is put off until a write that succeeds.

        At each write some records go that are older than `keep_s` seconds by `clock`, and some of the oldest when the
        file and its log exceed `max_bytes`. OutputError: it cannot be written. RequestError: it is not for us.
        """
        self.path = folder / FILE
        self._keep_s, self._clock = keep_s, clock
        # An eighth for the log; 1000 pages is SQLite's own limit. It is written back when it has grown beyond that: as
        # much again for the one transaction.
        self._wal_pages = 1000 if max_bytes is None else min(max(max_bytes // 8 // PAGE, 16), 1000)
        self._max_pages = None if max_bytes is None else max(max_bytes // PAGE - 2 * self._wal_pages, 32)
        self._events_kept = _EVENTS_KEPT if max_bytes is None else min(max(max_bytes // 2000, 100), _EVENTS_KEPT)
        self._turn = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        # Done in the next transaction that succeeds, whatever else it does.
        self._later: list[Callable[[sqlite3.Connection], object]] = []
        try:
            self._in_transaction(lambda database: None)
        except OutputError:
            if shutil.disk_usage(folder).free > 1_000_000:
                raise

    def write(self, batch: Sequence[Scored] = (), events: Sequence[Event] = ()) -> None:
        """Write all in one transaction, durably. OutputError: nothing was written; a later write may succeed."""
        if batch or events or self._later:
            self._in_transaction(lambda database: self._put(database, batch, events))

    def memory(self, place: str) -> FolderMemory:
        """Which files of a watched folder were scored; `place` is its camera, as in `Scored.camera`."""
        return FolderMemory(self, _utf8(place))

    def recent(self, since: float, camera: str) -> list[tuple[float, float]]:
        """Times and means of a camera's frames since `since`, seconds since 1970 UTC, in order; empty if unreadable."""
        where, values = _where(RecordFilter(since, camera=camera, min_score=0))
        question = f"SELECT taken_at, mean FROM scores WHERE {where} ORDER BY taken_at"
        try:
            return self._in_transaction(lambda database: database.execute(question, values).fetchall())
        except OutputError as error:
            log.warning("no earlier scores: %s", error)  # which does not keep a camera from beginning
            return []

    def close(self) -> None:
        """Write the log back into the file and let go of it. May be called twice."""
        with self._turn:
            self._let_go()

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # All or nothing; once more on a new database when the old one turns out to be damaged.
        with self._turn:
            try:
                try:
                    return self._try(work)
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._set_aside(reason(error))
                return self._try(work)
            except _MISTAKES:
                raise
            except (sqlite3.Error, OSError) as error:
                raise OutputError(f"cannot write '{printable(self.path)}': {reason(error)}") from error

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            later = list(self._later)
            for each in later:
                each(database)
            answer = work(database)
            database.execute("COMMIT")
        except BaseException:
            self._let_go()  # which rolls back
            raise
        del self._later[: len(later)]
        return answer

    def _opened(self) -> sqlite3.Connection:
        # A database that cannot be opened is closed by `_try`.
        now = os.stat(self.path) if self.path.exists() else None
        if self._file is not None and not (now and now.st_size and os.path.samestat(self._file, now)):
            # Removed, replaced or emptied by hand: SQLite would write into the file that has no name, and then play its
            # log into the one that took its place.
            self._let_go()
            self._file = None
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        if self._database is None:
            self.path.parent.mkdir(exist_ok=True)  # removed by hand
            self._database = database = _connect(self.path)
            database.execute("PRAGMA cache_size = -512")
            version = _version(database, self.path, "give another --out")
            if not version:
                database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
            if version != VERSION:
                for statement in ("BEGIN IMMEDIATE", *_SCHEMA, "COMMIT"):
                    database.execute(statement)
            # FULL: what is committed has reached the disk.
            for setting in ("journal_mode = WAL", "synchronous = FULL", f"wal_autocheckpoint = {self._wal_pages}",
                            f"journal_size_limit = {self._wal_pages * PAGE}"):  # fmt: skip
                database.execute(f"PRAGMA {setting}")
            if self._file is None:
                _look_through(database)
            self._file = os.stat(self.path)
        return self._database

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _set_aside(self, damage: str) -> None:
        # Renamed to scores.db.damaged-TIME, with its log; the three newest of these are kept.
        self._let_go()
        self._file = None
        aside = self.path.with_name(f"{FILE}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        log.warning("'%s' is damaged: %s; moved to %s, begun again", printable(self.path), damage, aside.name)
        with suppress(FileNotFoundError):
            os.rename(f"{self.path}-wal", f"{aside}-wal")
        os.rename(self.path, aside)
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        for old in sorted(aside.parent.glob(f"{FILE}.damaged-*Z"))[:-3]:
            Path(f"{old}-wal").unlink(missing_ok=True)
            old.unlink(missing_ok=True)
        event = (time(), "damaged", f"{damage}; moved to {aside.name}, begun again")
        self._later.insert(0, lambda database: self._put(database, (), [event]))

    def _put(self, database: sqlite3.Connection, batch: Sequence[Scored], events: Sequence[Event]) -> None:
        rows = [_row(scored) for scored in batch]
        models = {row[-2:] for row in rows}
        database.executemany("INSERT OR IGNORE INTO models (model, preprocessing) VALUES (?, ?)", models)
        database.executemany(_INSERT, rows)
        marks = ((_utf8(scored.camera), scored.mark) for scored in batch if scored.mark is not None)
        database.executemany(_REMEMBER, marks)
        if events:
            told = [(at, _utf8(kind), _utf8(text)) for at, kind, text in events]
            database.executemany("INSERT INTO events (at, kind, text) VALUES (?, ?, ?)", told)
            database.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (self._events_kept,))
        if batch:
            self._prune(database, len(batch))

    def _prune(self, database: sqlite3.Connection, added: int) -> None:
        # Some rows that are too old or too many, and more than were added.
        step = max(300, 2 * added)  # of 300 rows: a few milliseconds
        if self._keep_s is not None:
            old = "SELECT id FROM scores WHERE taken_at < ? ORDER BY taken_at LIMIT ?"
            database.execute(f"DELETE FROM scores WHERE id IN ({old})", (self._clock() - self._keep_s, step))
        if self._max_pages is not None:
            pages, free = (_value(database, f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
            over = pages - free - self._max_pages
            if over > 0:
                first, last = (_value(database, f"SELECT {which}(id) FROM scores") for which in ("min", "max"))
                # As many as lie in so many pages, and never those that were just written.
                wanted = min((last - first + 1) * over // (pages - free) + 2 * added, step)
                database.execute("DELETE FROM scores WHERE id < ?", (min(first + wanted, last - added + 1),))
            for _ in range(min(free, pages - self._max_pages, 64)):  # the limit was lowered
                # Python steps it once: one page, whatever is asked.
                database.execute("PRAGMA incremental_vacuum(1)")


@dataclass(frozen=True)
class FolderMemory:
    """Which files of a watched folder are known, as marks (signed 64 bits); changes go with the next records."""

    _records: Records
    _place: str  # begun where there is a row of it without a mark

    def load(self) -> Iterable[int] | None:
        """The known marks; None when this place was never begun, or its database lost. OutputError: unreadable now."""

        def load(database: sqlite3.Connection) -> Iterable[int] | None:
            begun = database.execute("SELECT 1 FROM files WHERE folder = ? AND mark IS NULL", (self._place,)).fetchone()
            marks = database.execute("SELECT mark FROM files WHERE folder = ? AND mark NOT NULL", (self._place,))
            return None if begun is None else array("q", (mark for (mark,) in marks))

        return self._records._in_transaction(load)

    def begin(self, marks: Iterable[int]) -> None:
        """Know these and no others; from now on `load` is not None."""
        rows = [(self._place, mark) for mark in (None, *marks)]
        delete = "DELETE FROM files WHERE folder = ?"
        self._records._later += [
            lambda database: database.execute(delete, (self._place,)),
            lambda database: database.executemany(_REMEMBER, rows),
        ]

    def remember(self, mark: int) -> None:
        """Know a file that has no record: it is damaged, or was left out."""
        self._records._later.append(lambda database: database.execute(_REMEMBER, (self._place, mark)))

    def forget(self, marks: Iterable[int]) -> None:
        """Know these no longer: their files are gone."""
        if gone := list(marks):
            statement = "DELETE FROM files WHERE folder = ? AND mark IN (SELECT value FROM json_each(?))"
            values = (self._place, json.dumps(gone))
            self._records._later.append(lambda database: database.execute(statement, values))


def _row(scored: Scored) -> tuple[object, ...]:
    record = scored.record
    return (
        scored.taken_at, _utf8(scored.camera), _utf8(record.name), record.mean, record.std,
        *(record.distribution or (None,) * 10), record.elapsed_ms, scored.age_ms, record.error and _utf8(record.error),
        _utf8(record.model), _utf8(record.preprocessing or ""),
    )  # fmt: skip


def _utf8(text: str) -> str:
    # File names may hold bytes that are not UTF-8; SQLite cannot.
    return text.encode(errors="backslashreplace").decode()


def _value(database: sqlite3.Connection, question: str) -> int:
    return int(database.execute(question).fetchone()[0] or 0)


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    header_lost = str(error) == "unsupported file format"
    return header_lost or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: Path, how: str = "") -> sqlite3.Connection:
    # A URI, since a plain name that begins with "file:" would be taken for one.
    uri = f"{path.absolute().as_uri()}{how}"
    return sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)


def _version(database: sqlite3.Connection, path: Path, otherwise: str) -> int:
    """The version of a database's schema, 0 when nothing was begun in it; RequestError when it is not for us."""
    asked = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_schema")
    version, application, objects = (_value(database, question) for question in asked)
    if application not in (0, APPLICATION) or (objects and not application):
        raise RequestError(f"'{printable(path)}' is the database of another program: {otherwise}")
    if version > VERSION:
        known = f"this edge-nima knows {VERSION}: update it, or {otherwise}"
        raise RequestError(f"'{printable(path)}' is of schema {version}, {known}")
    return version if objects else 0


def _look_through(database: sqlite3.Connection) -> None:
    # Damage that is found in two seconds; the rest is found when it is read.
    until = monotonic() + 2.0
    database.set_progress_handler(lambda: monotonic() > until, 10_000)
    try:
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            damage = sqlite3.DatabaseError(found)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        database.set_progress_handler(None, 0)


@dataclass(frozen=True)
class RecordFilter:
    """Records to read: of a span of time, of one camera, of a least mean."""

    since: float = float("-inf")  # taken at this moment or later, seconds since 1970 UTC
    until: float = float("inf")  # taken before this moment
    camera: str | None = None
    min_score: float | None = None  # means of at least this, 1..10; leaves out what has no score


@dataclass(frozen=True)
class Summary:
    """What the wanted records amount to. None where there is none."""

    count: int
    errors: int  # without a score
    first: float | None  # when the earliest was taken, seconds since 1970 UTC
    last: float | None
    mean: float | None  # of the means, 1..10


class RecordReader:
    """Reads a scores.db, also while it is written; nothing is locked or changed. RequestError: it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._seen: tuple[int, ...] | None = None  # what it looked like, when it was opened as one that nobody writes

    def summary(self, wanted: RecordFilter) -> Summary:
        """What the wanted records amount to."""
        where, values = _where(wanted)
        asked = "count(*), count(*) - count(mean), min(taken_at), max(taken_at), avg(mean)"
        return Summary(*self._ask(f"SELECT {asked} FROM scores WHERE {where}", *values)[0])

    def best(self, wanted: RecordFilter, top: int) -> list[Scored]:
        """The `top` best of the wanted records, best first; of equals the earlier."""
        where, values = _where(replace(wanted, min_score=wanted.min_score or 0.0))
        order = "ORDER BY mean DESC, taken_at, id"
        # Found in the index alone.
        numbers = f"SELECT id FROM scores WHERE {where} {order} LIMIT ?"
        rows = self._ask(f"SELECT {_READ} FROM records WHERE id IN ({numbers}) {order}", *values, min(top, 2**31))
        return [_scored(row) for row in rows]

    def all(self, wanted: RecordFilter) -> Iterator[Scored]:
        """The wanted ones of the records that are there now, in the order of time."""
        newest = self._ask("SELECT max(id) FROM scores")[0][0]
        at, number = wanted.since, -1
        while True:
            where, values = _where(replace(wanted, since=at))
            where += " AND (taken_at > ? OR id > ?) AND id <= ? ORDER BY taken_at, id LIMIT ?"
            question = f"SELECT id, {_READ} FROM records WHERE {where}"
            rows = self._ask(question, *values, at, number, newest, PAGE_ROWS)
            if not rows:
                return
            yield from (_scored(row[1:]) for row in rows)
            number, at = rows[-1][:2]

    def cameras(self) -> list[str]:
        """All that there are records of, in the order of the alphabet."""
        return [row[0] for row in self._ask("SELECT DISTINCT camera FROM scores ORDER BY camera")]

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _ask(self, question: str, *values: float | str) -> list[tuple[Any, ...]]:
        # Again when a writer began, ended or moved the file meanwhile, which may look like any error.
        problem = ""
        for _ in range(20):
            try:
                rows = self._opened().execute(question, values).fetchall()
                if self._seen in (None, _stamp(self.path)):
                    return rows
                problem = "it is being changed all the time; try again"
            except (OSError, sqlite3.Error) as error:
                problem = reason(error)
                if _is_damage(error):
                    problem += f"; what is left: sqlite3 '{printable(self.path)}' .recover"
            self.close()
            sleep(0.05)
        raise RequestError(f"cannot read '{printable(self.path)}': {problem}")

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            with open(self.path, "rb"):
                pass  # SQLite does not say that permission is missing
            how, self._seen = "immutable=1", _stamp(self.path)
            if Path(f"{self.path}-wal").exists():
                how, self._seen = "readonly_shm=1" if Path(f"{self.path}-shm").exists() else "", None
            self._database = _connect(self.path, f"?mode=ro&{how}")
            if not _version(self._database, self.path, "give another folder"):
                raise RequestError(f"no records in '{printable(self.path)}' yet")
        return self._database


def _where(wanted: RecordFilter) -> tuple[str, list[float | str]]:
    limits: dict[str, float | str] = {"taken_at >=": wanted.since, "taken_at <": wanted.until}
    if wanted.camera is not None:
        limits["camera ="] = _utf8(wanted.camera)
    if wanted.min_score is not None:
        limits["mean >="] = wanted.min_score
    return " AND ".join(f"{limit} ?" for limit in limits), [*limits.values()]


def _stamp(path: Path) -> tuple[int, ...]:
    # Changes when somebody writes into a database, or begins to.
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, Path(f"{path}-shm").exists()


def _scored(row: Sequence[Any]) -> Scored:
    taken_at, camera, age_ms, name, mean, std, *shares, model, elapsed_ms, error, preprocessing = row
    bins = None if shares[0] is None else tuple(shares)
    record = ScoreRecord(name, mean, std, bins, model, elapsed_ms, error, preprocessing or None)
    return Scored(record, camera, taken_at, age_ms)
