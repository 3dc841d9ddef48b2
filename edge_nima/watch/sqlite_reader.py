"""A watcher's database read back: while it is being written, from a folder that may only be read, and when damaged."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from edge_nima.errors import RequestError, printable, reason
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Scored
from edge_nima.watch.selection import Summary, Wanted, best_of, selected
from edge_nima.watch.sqlite_file import APPLICATION, VERSION, Damaged, identity, is_damage

Row = tuple[Any, ...]
T = TypeVar("T")

PAGE_ROWS = 2000
"""Read in one go. Between two, no snapshot is held: a writer's log would grow for as long as a reader takes."""
_TRIES = 40
_WAIT_S = 0.05
_SKIP_AT_MOST = 64
"""Rows skipped at once where a damaged database does not answer; a page of it holds about 20."""
_COLUMNS = (
    "id, taken_at, camera, name, mean, std, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, model_id, elapsed_ms, age_ms,"
    " error"
)
_LAST_MOMENT = 253402300799.0  # of the year 9999
_FOR_NOW = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
"""What a writer that begins, ends or mends its log at this moment causes."""


class DatabaseRecords:
    """The records of a scores.db. Nothing in its folder is made, locked against a writer or changed.

    A damaged database gives what can be read of it; `lost` says so afterwards.
    """

    def __init__(self, path: Path) -> None:
        """Open a database.

        Raises:
            RequestError: it cannot be read, is of a newer version, of another program, or nothing is left of it.
        """
        self.path = path
        self.lost: str | None = None
        """Why some of it could not be read, after a question was answered."""
        self._database: sqlite3.Connection | None = None
        self._seen: tuple[int, ...] | None = None
        self._empty = False
        try:
            self._empty = os.stat(path).st_size == 0 or self._ask(_check(path))
        except Damaged as damage:
            self._begin_salvage(damage)
        except OSError as error:
            raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error

    def best(self, wanted: Wanted, top: int) -> tuple[Summary, list[Scored]]:
        """What the wanted records amount to, and the `top` best of them, best first; of equals the earlier."""
        if self._empty:
            return Summary(), []
        if self.lost is None:
            try:
                return self._ask(lambda database: _best(database, wanted, min(top, 2**31)))
            except Damaged as damage:
                self._begin_salvage(damage)
        return best_of(self._salvaged(), wanted, top)

    def all(self, wanted: Wanted, summary: Summary) -> Iterator[Scored]:
        """The wanted ones of the records that are there now, in the order of time; `summary` counts along."""
        return selected(self._in_order(wanted), wanted, summary)

    def cameras(self) -> set[str]:
        """All there are."""
        if self._empty:
            return set()
        if self.lost is None:
            try:
                return set(
                    self._ask(
                        lambda database: [row[0] for row in database.execute("SELECT camera FROM scores GROUP BY 1")]
                    )
                )
            except Damaged as damage:
                self._begin_salvage(damage)
        return {scored.camera for scored in self._salvaged()}

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _in_order(self, wanted: Wanted) -> Iterator[Scored]:
        if self._empty:
            return
        after = (wanted.since, -1)
        if self.lost is None:
            try:
                newest = self._ask(lambda database: database.execute("SELECT max(id) FROM scores").fetchone()[0]) or 0
                while page := self._ask(partial(_page, after=after, until=wanted.until, newest=newest)):
                    yield from (scored for _, scored in page)
                    after = page[-1][1].taken_at, page[-1][0]
                return
            except Damaged as damage:
                self._begin_salvage(damage)
        # In the order of writing from here on, without what came before.
        for number, scored in self._salvaged_rows():
            if (scored.taken_at, number) > after:
                yield scored

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Answer one question, again when a writer came in between.

        Raises:
            Damaged: the file contradicts itself.
            RequestError: it cannot be read, now or for this user.
        """
        for left in reversed(range(_TRIES)):
            try:
                database = self._opened()
                answer = question(database)
            except sqlite3.Error as error:
                changed = self._changed()
                self.close()
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                refused = _refused(self.path)
                if left and not refused and (changed or code in _FOR_NOW):
                    sleep(_WAIT_S)
                    continue
                if is_damage(error) or code == sqlite3.SQLITE_IOERR:
                    raise Damaged(reason(error)) from error
                raise RequestError(f"cannot read '{printable(self.path)}': {refused or reason(error)}") from error
            except OSError as error:  # moved aside or removed just now
                self.close()
                if not left:
                    raise RequestError(f"cannot read '{printable(self.path)}': {reason(error)}") from error
                sleep(_WAIT_S)
                continue
            except (ValueError, TypeError) as error:  # of a row that is none
                self.close()
                if isinstance(error, RequestError):
                    raise
                raise Damaged(reason(error)) from error
            if not self._changed():
                return answer
            self.close()
            sleep(_WAIT_S)
        raise RequestError(f"cannot read '{printable(self.path)}': it is being changed all the time; try again")

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database, self._seen = _connect(self.path)
        return self._database

    def _changed(self) -> bool:
        """Whether somebody wrote into what was opened as if nobody would."""
        try:
            return self._seen is not None and self._seen != _stamp(self.path)
        except OSError:
            return False

    def _begin_salvage(self, damage: Damaged) -> None:
        self.lost = str(damage)
        self.close()

    def _salvaged(self) -> Iterator[Scored]:
        return (scored for _, scored in self._salvaged_rows())

    def _salvaged_rows(self) -> Iterator[tuple[int, Scored]]:
        """Whatever rows of a damaged database can be read, with their numbers, in the order of writing.

        Raises:
            RequestError: there is none.
        """
        found = False
        try:
            database, _ = _connect(self.path)
            try:
                # Lets SQLite read a file that is shorter than it says.
                database.execute("PRAGMA writable_schema = ON")
                for number, scored in _rows_around_damage(database):
                    found = True
                    yield number, scored
            finally:
                database.close()
        except sqlite3.Error as error:
            self.lost = reason(error)
        if not found:
            raise RequestError(f"'{printable(self.path)}' is damaged, nothing of it can be read: {self.lost}")


def _connect(path: Path) -> tuple[sqlite3.Connection, tuple[int, ...] | None]:
    """A connection that makes and changes no file; with what the file looked like when nobody may write to it."""
    log, shared = (Path(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
    try:
        log_bytes = log.stat().st_size
    except FileNotFoundError:
        log_bytes = None
    seen = None
    if log_bytes is None or (log_bytes == 0 and not shared.exists()):
        how, seen = "immutable=1", _stamp(path)
    elif shared.exists():
        how = "readonly_shm=1"
    else:
        # A log without its index, from a copy say: nobody writes it, and SQLite can make the index in memory.
        how, seen = "vfs=unix-none", _stamp(path)
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&{how}",
        uri=True,
        timeout=2.0,
        isolation_level=None,
        check_same_thread=False,
    )
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    if how == "vfs=unix-none":
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
    return database, seen


def _stamp(path: Path) -> tuple[int, ...]:
    found = []
    for file in (path, Path(f"{path}-wal")):
        try:
            status = os.stat(file)
            found += [status.st_ino, status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            found += [0, 0, 0]
    return tuple(found) if found[4] else tuple(found[:3])  # an empty log that appears is none


def _refused(path: Path) -> str | None:
    """Which of the files this user may not read."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and not os.access(file, os.R_OK):
            return f"no permission for '{printable(file.name)}'"
    return None


def _check(path: Path) -> Callable[[sqlite3.Connection], bool]:
    """A question: whether nothing was begun in it yet; raises RequestError where it is not ours."""

    def ask(database: sqlite3.Connection) -> bool:
        version, application, objects = identity(database)
        if objects and application != APPLICATION:
            raise RequestError(f"'{printable(path)}' is the database of another program")
        if version > VERSION:
            raise RequestError(
                f"'{printable(path)}' is of schema {version}, this edge-nima reads {VERSION}: update edge-nima"
            )
        return not objects

    return ask


def _best(database: sqlite3.Connection, wanted: Wanted, top: int) -> tuple[Summary, list[Scored]]:
    where = "taken_at >= ? AND taken_at < ?" + (" AND camera = ?" if wanted.camera is not None else "")
    values = [wanted.since, wanted.until, *([wanted.camera] if wanted.camera is not None else [])]
    least = 0.0 if wanted.min_score is None else wanted.min_score
    database.execute("BEGIN")  # one snapshot for all
    try:
        count, scored, first, last, mean, enough = database.execute(
            "SELECT count(*), count(mean), min(taken_at), max(taken_at), avg(mean), coalesce(sum(mean >= ?), 0)"
            f" FROM scores WHERE {where}",
            (least, *values),
        ).fetchone()
        # The numbers first: found in the index alone.
        numbers = [
            number
            for (number,) in database.execute(
                f"SELECT id FROM scores WHERE {where} AND mean >= ? ORDER BY mean DESC, taken_at, id LIMIT ?",
                (*values, least, top),
            )
        ]
        models = _models(database)
        rows = []
        for number in numbers:
            row = database.execute(f"SELECT {_COLUMNS} FROM scores WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise ValueError("its index names rows that are not there")
            rows.append(_scored(row, models))
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
    return Summary(count, count - scored, first, last, mean, enough), rows


def _page(
    database: sqlite3.Connection, after: tuple[float, int], until: float, newest: int
) -> list[tuple[int, Scored]]:
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM scores WHERE taken_at >= ? AND (taken_at > ? OR id > ?) AND taken_at < ? AND id <= ?"
        " ORDER BY taken_at, id LIMIT ?",
        (after[0], *after, until, newest, PAGE_ROWS),
    ).fetchall()
    models = _models(database)
    return [(row[0], _scored(row, models)) for row in rows]


def _models(database: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    return {number: (model, how) for number, model, how in database.execute("SELECT * FROM models")}


def _scored(row: Row, models: dict[int, tuple[str, str]]) -> Scored:
    """A row of `_COLUMNS` as what was written.

    Raises:
        ValueError, TypeError: damage gave it other values.
    """
    _, taken_at, camera, name, mean, std = row[:6]
    model_id, elapsed_ms, age_ms, error = row[16:]
    bins = None if row[6] is None else tuple(float(share) for share in row[6:16])
    numbers = [taken_at, elapsed_ms, age_ms, *(() if mean is None else (mean, std)), *(bins or ())]
    if not (isinstance(camera, str) and isinstance(name, str) and all(map(math.isfinite, numbers))):
        raise ValueError("a row holds what was never written")
    if not 0 <= taken_at < _LAST_MOMENT:
        raise ValueError("a row is of no moment")
    model, how = models.get(model_id, ("unknown", ""))
    return Scored(ScoreRecord(name, mean, std, bins, model, elapsed_ms, error, how or None), camera, taken_at, age_ms)


def _rows_around_damage(database: sqlite3.Connection) -> Iterator[tuple[int, Scored]]:
    try:
        models = _models(database)
    except sqlite3.Error:
        models = {}
    try:
        newest, skip_at_most = database.execute("SELECT max(id) FROM scores").fetchone()[0] or 0, _SKIP_AT_MOST
    except sqlite3.Error as error:
        if not _is_of_pages(error):
            raise
        newest, skip_at_most = 2**40, 2**40
    last, skip = -1, 1
    while last < newest:
        rows: list[Row] = []
        try:
            for row in database.execute(
                f"SELECT {_COLUMNS} FROM scores NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?", (last, PAGE_ROWS)
            ):
                rows.append(row)
            whole = True
        except sqlite3.Error as error:
            if not _is_of_pages(error):
                raise
            whole = False
        for row in rows:
            try:
                yield row[0], _scored(row, models)
            except (ValueError, TypeError):
                continue
        if rows:
            last, skip = rows[-1][0], 1
        elif whole:
            return
        if not whole:
            last += skip
            skip = min(2 * skip, skip_at_most)


def _is_of_pages(error: sqlite3.Error) -> bool:
    """Whether an error is of some pages, and others may be read."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR)
