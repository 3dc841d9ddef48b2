"""Files inside tar files: a path may go through one, as `photographs-00000.tar/231893.jpg` does.

A tar file's list of members is read once and kept; a member is read by one `pread`, from any number of threads.
"""

from __future__ import annotations

import os
import threading
import unicodedata
import weakref
from functools import lru_cache
from pathlib import Path

_OPENING = threading.Lock()  # so that threads that begin together do not all read the same list


class Tar:
    """An open tar file without compression: where the bytes of each regular file in it are."""

    def __init__(self, path: str, mtime_ns: int) -> None:
        """Read the list of members.

        Raises:
            OSError: it cannot be read, or is no such tar file.
        """
        import tarfile

        self.mtime_ns = mtime_ns
        self.members: dict[str, tuple[int, int]] = {}
        """Offset and length in bytes by name, composed Unicode without "./"; of a name that comes twice, the last."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        try:
            with open(self._descriptor, "rb", closefd=False) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if member.isreg():
                        self.members[_key(member.name)] = member.offset_data, member.size
        except tarfile.TarError as error:
            raise OSError(f"no tar file, or damaged: {error}") from error

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises:
            OSError: the tar file ends within it.
        """
        offset, length = self.members[name]
        content = os.pread(self._descriptor, length, offset)
        if len(content) != length:
            raise OSError(f"the tar file ends after {len(content)} of the member's {length} bytes")
        return content


def open_tar(path: str | os.PathLike[str]) -> Tar:
    """A tar file, kept open; read anew when it has changed.

    Raises:
        OSError: as `Tar`.
    """
    status = os.stat(path)
    with _OPENING:
        return _opened(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _opened(path: str, mtime_ns: int, size: int) -> Tar:
    return Tar(path, mtime_ns)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.removeprefix("./"))


def _member(path: str | os.PathLike[str]) -> tuple[Tar, str] | None:
    """The tar file that a path goes through, and the name in it; None where it goes through none, or has no such name.

    Raises:
        OSError: the file that it goes through is no tar file.
    """
    whole = Path(path)
    file = next((folder for folder in whole.parents if os.path.isfile(folder)), None)
    if file is None:
        return None
    tar, name = open_tar(file), _key(whole.relative_to(file).as_posix())
    return (tar, name) if name in tar.members else None


def stamp(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """A member's size in bytes, and its tar file's modification time in nanoseconds; None where it is none."""
    try:
        found = _member(path)
    except (OSError, ValueError):
        return None
    return found and (found[0].members[found[1]][1], found[0].mtime_ns)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file, or a member of a tar file."""
    return os.path.isfile(path) or stamp(path) is not None


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a member of a tar file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except NotADirectoryError:
        found = _member(path)
        if found is None:
            raise
        return found[0].read(found[1])
