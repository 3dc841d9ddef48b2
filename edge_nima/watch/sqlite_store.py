"""Records of a camera in SQLite: one transaction a batch, pruned in small steps, begun again when damaged."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter, time

from edge_nima.errors import OutputError, printable, reason
from edge_nima.watch.events import Scored
from edge_nima.watch.sqlite_file import PAGE, Damaged, is_damage, move_aside, open_database

log = logging.getLogger("edge_nima.watch")

_INSERT = (
    "INSERT INTO scores (taken_at, camera, name, mean, std, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, model_id,"
    f" elapsed_ms, age_ms, error) VALUES ({', '.join('?' * 19)})"
)
_NO_BINS = (None,) * 10
_STEP_S = 0.02
"""What pruning may add to a write, seconds; it starts small and finds its size."""
_EVENTS_KEPT = 100_000
_MISTAKES = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""A record that is none, say: the same again would fail again, and hold up all that come after it."""
_TRIES = 20
"""Read errors in a row, with room on the disk, until a file counts as damaged: ten seconds' worth."""


class SqliteStore:
    """scores.db in a folder. Safe to call from several threads: they take turns."""

    def __init__(self, folder: Path, keep_s: float | None = None, max_bytes: int | None = None) -> None:
        """Open or begin the database of a folder. On a full disk that is put off until the first write that succeeds.

        Args:
            folder: where scores.db lies.
            keep_s: rows older than this, seconds, are removed, a few at each write.
            max_bytes: the oldest rows are removed when the file and its log are larger.

        Raises:
            OutputError: it cannot be written.
            RequestError: it is of a newer version, or of another program.
        """
        self.path = folder / "scores.db"
        self._keep_s = keep_s
        # An eighth for the log; 1000 pages is SQLite's own limit. It is written back when it has grown beyond that: as
        # much again for the one transaction.
        self._wal_pages = 1000 if max_bytes is None else min(max(max_bytes // 8 // PAGE, 16), 1000)
        self._max_pages = None if max_bytes is None else max(max_bytes // PAGE - 2 * self._wal_pages, 32)
        self._step = 50
        self._turn = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._log_path = folder / "scores.db-wal"
        self._file: os.stat_result | None = None
        self._log: os.stat_result | None = None
        self._events_kept = _EVENTS_KEPT if max_bytes is None else min(max(max_bytes // 2000, 100), _EVENTS_KEPT)
        self._models: dict[tuple[str, str], int] = {}
        self._failures = 0
        self._damage: list[tuple[float, str, str]] = []
        """Events of files moved aside, until they are written."""
        with self._turn:
            try:
                self._in_transaction(lambda database: None)
            except OutputError:
                if not self._disk_is_full():
                    raise

    def write(self, batch: Sequence[Scored]) -> None:
        """Write a batch in one transaction; it is on the disk when this returns.

        Raises:
            OutputError: the disk is full, say: nothing of it was written, and a later write may succeed.
        """
        if batch:
            with self._turn:
                self._in_transaction(lambda database: self._write(database, batch))

    def event(self, at: float, kind: str, text: str) -> None:
        """Write what happened at a wall-clock time; as `write`."""
        with self._turn:
            self._in_transaction(lambda database: self._put_event(database, at, kind, text))

    def recent(self, since: float) -> Iterator[tuple[float, float]]:
        """Times and means of the frames taken since a wall-clock time, seconds since 1970 UTC, in order of time.

        As far as they can be read: what cannot be is logged, and does not keep a watcher from beginning.
        """
        if self._file is None:
            return  # the disk is full, and nothing was begun yet
        try:
            # A connection of its own: writing goes on meanwhile.
            database = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            try:
                question = (
                    "SELECT taken_at, mean FROM scores WHERE taken_at >= ? AND mean IS NOT NULL ORDER BY taken_at"
                )
                yield from database.execute(question, (since,))
            finally:
                database.close()
        except sqlite3.Error as error:
            log.warning("cannot read '%s': %s", printable(self.path), reason(error))

    def close(self) -> None:
        """Write the log back into the file and let go of it. May be called twice."""
        with self._turn:
            self._let_go()

    def _in_transaction(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do work, all or nothing; once more on a new database when the old one turns out to be damaged."""
        for last in (False, True):
            try:
                self._try(work)
            except Damaged as damage:
                if last:
                    raise OutputError(f"cannot write '{printable(self.path)}': {damage}, again and again") from damage
                self._set_aside(str(damage))
                continue
            self._failures = 0
            return

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            for event in self._damage:
                self._put_event(database, *event)
            work(database)
            database.execute("COMMIT")
            self._damage.clear()
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            if isinstance(error, _MISTAKES):
                raise
            damaged = isinstance(error, sqlite3.Error) and is_damage(error)
            if not damaged and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
                self._let_go()
                self._failures += not self._disk_is_full()
                damaged = self._failures >= _TRIES
            if damaged:
                raise Damaged(reason(error)) from error
            raise OutputError(f"cannot write '{printable(self.path)}': {reason(error)}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._models.clear()  # what was put there in this transaction
        try:
            if self._database is not None and self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error:
            self._let_go()  # which rolls back

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None:
            if _is(self.path, self._file):
                if self._log is None:
                    with suppress(FileNotFoundError):
                        self._log = os.stat(self._log_path)
                return self._database
            # Removed or replaced by hand: SQLite would write into the file that has no name, and then play its log
            # into the one that took its place.
            log_of_old = self._log
            self._let_go()
            if _is(self._log_path, log_of_old):
                for path in (self._log_path, Path(f"{self.path}-shm")):
                    path.unlink(missing_ok=True)
        self._database = open_database(self.path, self._wal_pages)
        self._file = os.stat(self.path)
        return self._database

    def _let_go(self) -> None:
        database, self._database, self._file, self._log = self._database, None, None, None
        self._models.clear()
        if database is not None:
            database.close()

    def _set_aside(self, damage: str) -> None:
        self._let_go()
        self._failures = 0
        try:
            aside = move_aside(self.path)
        except OSError as error:
            raise OutputError(
                f"'{printable(self.path)}' is damaged ({damage}) and cannot be moved aside: {reason(error)}"
            ) from error
        self._damage.append((time(), "damaged", f"{damage}; moved to {printable(aside.name)}, begun again"))

    def _disk_is_full(self) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free < 1_000_000
        except OSError:
            return False

    def _write(self, database: sqlite3.Connection, batch: Sequence[Scored]) -> None:
        database.executemany(_INSERT, [self._row(database, scored) for scored in batch])
        self._prune(database, len(batch))

    def _row(self, database: sqlite3.Connection, scored: Scored) -> tuple[object, ...]:
        record = scored.record
        model = (_utf8(record.model), _utf8(record.preprocessing or ""))
        if model not in self._models:
            database.execute("INSERT OR IGNORE INTO models (model, preprocessing) VALUES (?, ?)", model)
            found = database.execute("SELECT id FROM models WHERE model = ? AND preprocessing = ?", model)
            row = found.fetchone()
            if row is None:
                raise Damaged("an index contradicts its table")
            self._models[model] = row[0]
        return (
            scored.taken_at, _utf8(scored.camera), _utf8(record.name), record.mean, record.std,
            *(record.distribution or _NO_BINS), self._models[model], record.elapsed_ms, scored.age_ms,
            record.error and _utf8(record.error),
        )  # fmt: skip

    def _prune(self, database: sqlite3.Connection, added: int) -> None:
        """Remove some rows that are too old or too many, as many as the time allows, and more than were added."""
        started = perf_counter()
        step = max(self._step, 2 * added)
        removed = 0
        if self._keep_s is not None:
            removed = database.execute(
                "DELETE FROM scores WHERE id IN (SELECT id FROM scores WHERE taken_at < ? ORDER BY taken_at LIMIT ?)",
                (time() - self._keep_s, step),
            ).rowcount
        if self._max_pages is not None:
            pages, free = (
                database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
            over = pages - free - self._max_pages
            if over > 0:
                first, last = database.execute(
                    "SELECT (SELECT min(id) FROM scores), (SELECT max(id) FROM scores)"
                ).fetchone()
                # As many as lie in so many pages, and never those that were just written.
                wanted = min((last - first + 1) * over // (pages - free) + 2 * added, step)
                removed += database.execute(
                    "DELETE FROM scores WHERE id < ?", (min(first + wanted, last - added + 1),)
                ).rowcount
            if pages > self._max_pages and free:  # the limit was lowered
                for _ in range(min(free, pages - self._max_pages, 64)):
                    database.execute(
                        "PRAGMA incremental_vacuum(1)"
                    )  # Python steps it once: one page, whatever is asked
        seconds = perf_counter() - started
        if removed >= step and seconds < _STEP_S / 2:
            self._step = min(2 * self._step, 5000)
        elif seconds > _STEP_S:
            self._step = max(self._step // 2, 10)

    def _put_event(self, database: sqlite3.Connection, at: float, kind: str, text: str) -> None:
        database.execute("INSERT INTO events (at, kind, text) VALUES (?, ?, ?)", (at, _utf8(kind), _utf8(text)))
        database.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (self._events_kept,))


def _is(path: Path, seen: os.stat_result | None) -> bool:
    """Whether a path is still the file that was seen there."""
    try:
        return seen is not None and os.path.samestat(seen, os.stat(path))
    except FileNotFoundError:
        return False


def _utf8(text: str) -> str:
    r"""The same, with bytes that are not UTF-8 (surrogates) as `\xNN`: SQLite cannot hold them."""
    return text if text.isascii() else re.sub(r"[\ud800-\udfff]", lambda found: printable(found[0]), text)
