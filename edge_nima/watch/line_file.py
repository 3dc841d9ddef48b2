"""A file of lines that is appended to for months: whole lines only, durable, and rotated by size."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

LARGEST_PART = 64 * 1024**2
SMALLEST_PART = 64 * 1024
_STAMP = "%Y%m%dT%H%M%SZ"
_CHUNK = 1024**2


class LineFile:
    """Appends lines to a file, all of a batch or none; what a power cut tore is cut away when it is opened.

    At a certain size NAME.jsonl becomes NAME-YYYYmmddTHHMMSSZ.jsonl. Not safe for several threads at once.
    """

    def __init__(
        self, path: Path, header: bytes = b"", *, keep_s: float | None = None, max_bytes: int | None = None
    ) -> None:
        """Open a file, or begin one with `header`.

        Args:
            path: the file.
            header: its first line with the line end, or nothing. A file that begins with another is rotated away.
            keep_s: rotated files whose last line is older, seconds, are removed.
            max_bytes: the oldest rotated files are removed beyond this size of all together; at least 128 KiB. A
                file is rotated at an eighth of it.

        Raises:
            OSError: it cannot be written.
        """
        self.path = path
        self._header, self._keep_s = header, keep_s
        self._part = LARGEST_PART if max_bytes is None else min(max(max_bytes // 8, SMALLEST_PART), LARGEST_PART)
        self._max_rotated = None if max_bytes is None else max(max_bytes, 2 * SMALLEST_PART) - self._part
        self._file = -1
        self._size = 0
        """Bytes of whole, synced lines."""
        self._open()

    def append(self, lines: bytes) -> None:
        """Write whole lines; they are on the disk when this returns.

        Raises:
            OSError: the disk is full, say: none of them is in the file, and a later call may succeed.
        """
        self._open()
        begun = self._size > len(self._header)
        if begun and self._size + len(lines) > self._part:
            self._rotate()
        content = lines if self._size else self._header + lines
        try:
            os.ftruncate(self._file, self._size)  # what an earlier failure may have left
            _write_all(self._file, content)
            os.fsync(self._file)
        except OSError:
            self._cut()
            raise
        self._size += len(content)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self) -> None:
        """Open the file, also when it was removed or replaced by hand since."""
        if self._file >= 0:
            try:
                if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                    return
            except FileNotFoundError:
                pass  # begun again below
            self.close()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._size = _mend(self._file)
            _sync_folder(self.path.parent)
            if self._header and self._size and os.pread(self._file, len(self._header), 0) != self._header:
                self._rotate()
            self._remove_old()
        except BaseException:
            self.close()
            raise

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()  # the next append opens and mends it

    def _rotate(self) -> None:
        # Named after the clock, but never before an earlier one: sorted by name they are in the order of writing.
        stamp = datetime.now(UTC).replace(microsecond=0)
        earlier = self.rotated()
        if earlier:
            stamp = max(stamp, _stamp_of(earlier[-1]) + timedelta(seconds=1))
        os.rename(self.path, self.path.with_stem(f"{self.path.stem}-{stamp.strftime(_STAMP)}"))
        self.close()
        self._open()

    def rotated(self) -> list[Path]:
        """The rotated files, in the order of writing."""
        return rotated_of(self.path)

    def _remove_old(self) -> None:
        files = self.rotated()
        sizes = [file.stat().st_size for file in files]
        total = sum(sizes)
        for file, size in zip(files, sizes, strict=True):
            too_old = self._keep_s is not None and _stamp_of(file).timestamp() < time() - self._keep_s
            if not too_old and (self._max_rotated is None or total <= self._max_rotated):
                break
            file.unlink(missing_ok=True)
            total -= size


def rotated_of(path: Path) -> list[Path]:
    """The files that were rotated away from `path`, in the order of writing."""
    found = []
    for file in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        try:
            _stamp_of(file)
        except ValueError:
            continue  # a file of somebody's own
        found.append(file)
    return sorted(found)


def _stamp_of(rotated: Path) -> datetime:
    return datetime.strptime(rotated.stem.rpartition("-")[2], _STAMP).replace(tzinfo=UTC)


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last through a power cut."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _mend(file: int) -> int:
    """Cut away what a power cut tore at the end of a file, and keep every whole line; the size that is left.

    A line without its end is torn. So is one with zeros in it: some file systems show them for what never reached the
    disk, and lines after them did.
    """
    size = os.fstat(file).st_size
    start, tail = size, b""
    while start > 0:
        # Back to the last line that was surely written: a chunk without zeros that holds a line's end.
        length = min(_CHUNK, start)
        start -= length
        chunk = os.pread(file, length, start)
        tail = chunk + tail
        if b"\n" in chunk and b"\0" not in chunk:
            break
    lines = tail.split(b"\n")
    torn = lines.pop()
    if not torn and not any(b"\0" in line for line in lines):
        return size
    good = 0
    while good < len(lines) and b"\0" not in lines[good]:
        good += 1
    kept = start + sum(len(line) + 1 for line in lines[:good])
    after = b"".join(line + b"\n" for line in lines[good:] if b"\0" not in line)
    os.ftruncate(file, kept)
    _write_all(file, after)
    os.fsync(file)
    return kept + len(after)
