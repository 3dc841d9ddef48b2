"""Where a watcher's records go: a database, lines, or nowhere; one writer a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Protocol

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.watch.events import Scored
from edge_nima.watch.line_store import LineStore
from edge_nima.watch.sqlite_store import SqliteStore

FORMS = ("sqlite", "jsonl", "csv", "none")


class Store(Protocol):
    """Takes scored frames in batches, for months."""

    def write(self, batch: Sequence[Scored]) -> None:
        """Write a batch, all or nothing; it is on the disk when this returns.

        Raises:
            OutputError: the disk is full, say: nothing of it was written, and a later write may succeed.
        """

    def event(self, at: float, kind: str, text: str) -> None:
        """Write what happened at a wall-clock time, seconds since 1970 UTC; as `write`."""

    def recent(self, since: float) -> Iterable[tuple[float, float]]:
        """Times and means of the frames taken since a wall-clock time, oldest first.

        Of a database only, else nothing. What cannot be read is logged and left out.
        """

    def close(self) -> None:
        """Let go of the files. May be called twice."""


class NoStore:
    """Keeps nothing."""

    def write(self, batch: Sequence[Scored]) -> None:
        """Keep nothing."""

    def event(self, at: float, kind: str, text: str) -> None:
        """Keep nothing."""

    def recent(self, since: float) -> Iterable[tuple[float, float]]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Nothing to let go of."""


class _Claimed:
    """A store of a folder that is this process's."""

    def __init__(self, store: Store, claim: IO[bytes]) -> None:
        self._store, self._claim = store, claim
        self.write, self.event, self.recent = store.write, store.event, store.recent

    def close(self) -> None:
        self._store.close()
        self._claim.close()


def open_store(form: str, folder: Path, *, keep_s: float | None = None, max_bytes: int | None = None) -> Store:
    """Open a folder's records for writing, or begin them; the folder is made.

    Args:
        form: "sqlite" (scores.db), "jsonl" (scores.jsonl), "csv" (scores.csv) or "none".
        folder: where they lie. With "none" it is neither made nor claimed.
        keep_s: records older than this, seconds, are removed; None for never.
        max_bytes: the oldest records are removed beyond this size, bytes; None for no limit.

    Raises:
        RequestError: another form; another process writes this folder; the database is of a newer version.
        OutputError: the folder cannot be written.
    """
    if form == "none":
        return NoStore()
    if form not in FORMS:
        raise RequestError(f"records are '{printable(form)}'; possible: {', '.join(FORMS)}")
    claim = claim_folder(folder)
    try:
        if form == "sqlite":
            store: Store = SqliteStore(folder, keep_s, max_bytes)
        else:
            store = LineStore(folder, form, keep_s, max_bytes)
    except BaseException:
        claim.close()
        raise
    return _Claimed(store, claim)


def claim_folder(folder: Path) -> IO[bytes]:
    """Make a folder, and make it this process's for as long as the returned file stays open.

    Raises:
        RequestError: another process has it.
        OutputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "ab")  # noqa: SIM115
    except OSError as error:
        raise OutputError(f"cannot write in '{printable(folder)}': {reason(error)}") from error
    if not try_lock(file):
        file.close()
        raise RequestError(f"another process writes in '{printable(folder)}': stop it, or give another --out")
    return file
