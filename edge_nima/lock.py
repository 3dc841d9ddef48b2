"""One writer at a time: an advisory lock on a file that is being written."""

from __future__ import annotations

import os
from typing import IO, Any


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
