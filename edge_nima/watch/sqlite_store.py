"""Records of a camera in SQLite: one transaction a batch, pruned in small steps, begun again when damaged."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
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
        # An eighth for the log; 1000 pages is SQLite's own limit.
        self._wal_pages = 1000 if max_bytes is None else min(max(max_bytes // 8 // PAGE, 16), 1000)
        self._max_pages = None if max_bytes is None else max(max_bytes // PAGE - self._wal_pages, 32)
        self._step = 50
        self._turn = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._models: dict[tuple[str, str], int] = {}
        self._failures = 0
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
            self._in_transaction(lambda database: _put_event(database, at, kind, text))

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
                self._begin_again(str(damage))
                continue
            self._failures = 0
            return

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            work(database)
            database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, OutputError):
                raise
            self._roll_back()
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
            try:
                if self._file is not None and os.path.samestat(self._file, os.stat(self.path)):
                    return self._database
            except FileNotFoundError:
                pass
            self._let_go()  # removed or replaced by hand: SQLite would write into the file that has no name
        self._database = open_database(self.path, self._wal_pages)
        self._file = os.stat(self.path)
        return self._database

    def _let_go(self) -> None:
        database, self._database, self._file = self._database, None, None
        self._models.clear()
        if database is not None:
            database.close()

    def _begin_again(self, damage: str) -> None:
        self._let_go()
        self._failures = 0
        try:
            aside = move_aside(self.path)
        except OSError as error:
            raise OutputError(
                f"'{printable(self.path)}' is damaged ({damage}) and cannot be moved aside: {reason(error)}"
            ) from error
        text = f"{damage}; moved to {printable(aside.name)}, begun again"
        self._try(lambda database: _put_event(database, time(), "damaged", text))

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
        model = (record.model, record.preprocessing or "")
        if model not in self._models:
            database.execute("INSERT OR IGNORE INTO models (model, preprocessing) VALUES (?, ?)", model)
            found = database.execute("SELECT id FROM models WHERE model = ? AND preprocessing = ?", model)
            self._models[model] = found.fetchone()[0]
        return (
            scored.taken_at, scored.camera, record.name, record.mean, record.std, *(record.distribution or _NO_BINS),
            self._models[model], record.elapsed_ms, scored.age_ms, record.error,
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
            if pages - free > self._max_pages:
                removed += database.execute(
                    "DELETE FROM scores WHERE id IN (SELECT id FROM scores ORDER BY id LIMIT ?)", (step,)
                ).rowcount
            if pages > self._max_pages and free:  # the limit was lowered
                database.execute(f"PRAGMA incremental_vacuum({min(free, pages - self._max_pages, 64)})").fetchall()
        seconds = perf_counter() - started
        if removed >= step and seconds < _STEP_S / 2:
            self._step = min(2 * self._step, 5000)
        elif seconds > _STEP_S:
            self._step = max(self._step // 2, 10)


def _put_event(database: sqlite3.Connection, at: float, kind: str, text: str) -> None:
    database.execute("INSERT INTO events (at, kind, text) VALUES (?, ?, ?)", (at, kind, text))
    database.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (_EVENTS_KEPT,))
