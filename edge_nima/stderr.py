"""What native code writes to file descriptor 2, past Python's own stderr, caught and passed on in part."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

# The descriptor is one for the whole process: one thread at a time, and a thread may nest.
_TURN = threading.RLock()


@contextlib.contextmanager
def caught_stderr() -> Iterator[Callable[[], list[bytes]]]:
    """Catch what is written to file descriptor 2; the value returns its lines so far.

    Where nothing can be caught (stderr is closed, there is nowhere to write) it goes where it always did.
    """
    with _TURN, contextlib.ExitStack() as undo:
        try:
            saved = os.dup(2)
            undo.callback(os.close, saved)
            file = undo.enter_context(_scratch())
        except OSError:
            yield list
            return

        def lines() -> list[bytes]:
            file.seek(0)
            return file.read().splitlines(True)

        with contextlib.suppress(AttributeError, ValueError, OSError):  # a program without a stderr
            sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        undo.callback(os.dup2, saved, 2)
        yield lines


@contextlib.contextmanager
def filtered_stderr(dropped: bytes) -> Iterator[None]:
    """Keep lines that begin with `dropped` off file descriptor 2 and pass on the rest.

    Passed on before another thread's turn: its catch would swallow what arrives after it has read its lines.
    """
    with _TURN:
        lines: list[bytes] = []
        try:
            with caught_stderr() as caught:
                try:
                    yield
                finally:
                    lines = caught()
        finally:
            rest = b"".join(line for line in lines if not line.startswith(dropped))
            if rest:
                os.write(2, rest)


def _scratch() -> BinaryIO:
    if hasattr(os, "memfd_create"):  # Linux: also when the disk is full
        return os.fdopen(os.memfd_create("edge-nima"), "w+b")
    return tempfile.TemporaryFile()
