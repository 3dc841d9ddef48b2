"""One writer at a time: an advisory lock on a file that is being written, or in a folder that is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edge_nima.errors import OutputError, RequestError, printable, reason

LOCK = ".lock"
"""The file in a claimed folder."""


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file for as long as it stays open.

    Returns:
        False when another process has it, or has renamed it away since it was opened. True otherwise; also where the
        system has no such locks (Windows, some network file systems).
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def claimed(folder: Path, doing: str) -> Iterator[None]:
    """Make a folder and be the only one that is `doing` something in it.

    Raises:
        RequestError: another is.
        OutputError: it cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(path, "ab")  # noqa: SIM115
    except OSError as error:
        raise OutputError(f"cannot write '{printable(folder)}': {reason(error)}") from error
    with lock:
        if not try_lock(lock):
            raise RequestError(f"another run is {doing} into '{printable(folder)}': wait for it, or write elsewhere")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
