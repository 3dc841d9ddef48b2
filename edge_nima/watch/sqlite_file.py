"""The database file of a watcher: opened so that it survives a power cut, and moved aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from edge_nima.errors import RequestError, printable

VERSION = 1
"""Of the schema, in PRAGMA user_version."""
APPLICATION = 0x4E494D41
"""In PRAGMA application_id: "NIMA"."""
CHECK_S = 2.0
"""A large database is looked through for damage for so long at most, seconds."""
DAMAGED_KEPT = 3
PAGE = 4096

_SCHEMA = (
    "CREATE TABLE models (id INTEGER PRIMARY KEY, model TEXT NOT NULL, preprocessing TEXT NOT NULL,"
    " UNIQUE (model, preprocessing))",
    "CREATE TABLE scores (id INTEGER PRIMARY KEY, taken_at REAL NOT NULL, camera TEXT NOT NULL, name TEXT NOT NULL,"
    f" mean REAL, std REAL, {', '.join(f'p{rating} REAL' for rating in range(1, 11))},"
    " model_id INTEGER NOT NULL REFERENCES models, elapsed_ms REAL NOT NULL, age_ms REAL NOT NULL, error TEXT)",
    # Both what `best` asks and the recent means read this index alone. An index by mean would touch a page of its own
    # for each row: ten times the wear of an SD card.
    "CREATE INDEX scores_by_time ON scores (taken_at, mean)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL)",
    # For people with the sqlite3 program.
    "CREATE VIEW records AS SELECT scores.*, model, preprocessing,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', taken_at, 'unixepoch') AS taken FROM scores JOIN models ON models.id = model_id",
)


class Damaged(Exception):
    """The file is no database, or its content contradicts itself."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite means that the file is damaged."""
    if str(error) == "unsupported file format":  # of code SQLITE_ERROR, as many are; a header that was written over
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_database(path: Path, wal_pages: int) -> sqlite3.Connection:
    """Open or begin a database; usable from several threads that take turns.

    Args:
        path: the file.
        wal_pages: pages of 4 KiB after which the log is written back into the file.

    Raises:
        Damaged: it has to be moved aside.
        RequestError: it is of a newer version, or of another program.
        sqlite3.Error: it cannot be opened or begun.
    """
    # A URI, since a plain name that begins with "file:" would be taken for one.
    database = sqlite3.connect(
        path.absolute().as_uri(), timeout=2.0, isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        database.execute("PRAGMA cache_size = -512")
        version, application, objects = identity(database)
        if application not in (0, APPLICATION) or (objects and not application):
            raise RequestError(f"'{printable(path)}' is the database of another program: give another --out")
        if version > VERSION:
            raise RequestError(
                f"'{printable(path)}' is of schema {version}, this edge-nima writes {VERSION}: "
                "update edge-nima, or give another --out"
            )
        if not objects:
            _begin(database)
        database.execute("PRAGMA journal_mode = WAL")
        # FULL: what is committed has reached the disk.
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
        database.execute(f"PRAGMA journal_size_limit = {wal_pages * PAGE}")
        if objects:
            _look_through(database)
    except sqlite3.Error as error:
        database.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise
    except BaseException:
        database.close()
        raise
    return database


def identity(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Version of the schema, application, and how many tables and the like it has."""
    asked = ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_schema")
    version, application, objects = (int(database.execute(question).fetchone()[0]) for question in asked)
    return version, application, objects


def _begin(database: sqlite3.Connection) -> None:
    # Before the first table; afterwards it would need a VACUUM.
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _look_through(database: sqlite3.Connection) -> None:
    """Raise Damaged for what is found in two seconds; the rest is found when it is read."""
    until = monotonic() + CHECK_S
    database.set_progress_handler(lambda: monotonic() > until, 10_000)
    try:
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return
    finally:
        database.set_progress_handler(None, 0)
    if found != "ok":
        raise Damaged(str(found).splitlines()[-1])


def move_aside(path: Path) -> Path:
    """Rename a damaged database to scores.db.damaged-TIME, with its log; the three newest of these are kept.

    Raises:
        OSError: it cannot be renamed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    with suppress(FileNotFoundError):
        os.rename(f"{path}-wal", f"{aside}-wal")
    os.rename(path, aside)
    Path(f"{path}-shm").unlink(missing_ok=True)
    earlier = (file for file in path.parent.glob(f"{path.name}.damaged-*") if not file.name.endswith("-wal"))
    for old in sorted(earlier)[:-DAMAGED_KEPT]:
        Path(f"{old}-wal").unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return aside
