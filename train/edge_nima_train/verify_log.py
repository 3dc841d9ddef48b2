"""What an interrupted verification has found so far, kept beside its output so that the same command goes on."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.records import FileStamp
from edge_nima_train.verify_files import Inspection

_FORMAT = "edge-nima verify 1"
_SYNC_EVERY_S = 5.0


class InspectionLog:
    """JSON Lines, one a file: what `inspect` found, by the file's name, size and time of its last change.

    Lines are appended as files are checked and synced to disk every few seconds. What a kill or a power cut tore is cut
    off. Whoever has written the output removes it: a later verification reads every file again, as its name promises.
    """

    def __init__(self, path: Path, images: Path) -> None:
        """Open the log, and read what is there of the same folder of photographs.

        Raises:
            RequestError: another run writes it, or the file is something else.
            OutputError: it cannot be written.
        """
        self.path = path
        self._known: dict[tuple[str, FileStamp], Inspection] = {}
        self._synced = monotonic()
        try:
            # Unbuffered: closing must not try again to write what a full disk did not take.
            self._file: FileIO = open(path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._failure(error) from error
        try:
            if not try_lock(self._file):
                raise RequestError(f"another run is writing '{printable(path)}': wait for it")
            self._begin(_line({"format": _FORMAT, "images": os.path.abspath(images)}))
        except OSError as error:
            self._file.close()
            raise self._failure(error) from error
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: str, stamp: FileStamp) -> Inspection | None:
        """What was found of a file that has not changed since; None when it is not known."""
        return self._known.get((name, stamp))

    def put(self, name: str, stamp: FileStamp, found: Inspection) -> None:
        """Append what was found of a file.

        Raises:
            OutputError: the disk is full, say. What was written before stays.
        """
        try:
            self._write(_line({"file": name, "stamp": [stamp.size, stamp.mtime_ns], "found": asdict(found)}))
            if monotonic() - self._synced > _SYNC_EVERY_S:
                os.fsync(self._file.fileno())
                self._synced = monotonic()
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _begin(self, header: bytes) -> None:
        self._file.seek(0)
        content = self._file.read()
        if not content.startswith(header):
            if content.strip(b"\0") and not header.startswith(content) and not content.startswith(_START):
                raise RequestError(
                    f"'{printable(self.path)}' is not what an interrupted verification left: move it away"
                )
            self._file.truncate(0)  # of another folder, or torn in its first line
            self._write(header)
            return
        good = len(header)
        while (end := content.find(b"\n", good) + 1) and (one := _parse(content[good:end])) is not None:
            self._known[one[0], one[1]] = one[2]
            good = end
        self._file.truncate(good)

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):  # a disk that fills up takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write '{printable(self.path)}': {reason(error)}; the same command goes on")


def _line(what: dict[str, Any]) -> bytes:
    return json.dumps(what).encode() + b"\n"


_START = _line({"format": _FORMAT})[:-2]


def _parse(line: bytes) -> tuple[str, FileStamp, Inspection] | None:
    """One line; None when it is no such line: then nothing from there on is trusted, and those files are read again."""
    try:
        told = json.loads(line)
        return told["file"], FileStamp(*told["stamp"]), Inspection(**told["found"])
    except (ValueError, KeyError, TypeError):
        return None
