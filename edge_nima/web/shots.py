"""The kept photographs as the page shows them: a list, small pictures made when asked for, whole files."""

from __future__ import annotations

import io
import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from edge_nima.errors import PictureError, RequestError, printable, reason
from edge_nima.watch.events import Shot

SIDES = (480, 1280)
"""Of the small pictures, pixels: in the gallery, and opened."""
_NAME = 200  # characters
_CACHED = 16 * 2**20
_QUALITY = 80


class Gallery(Protocol):
    """Where the kept photographs are. May be asked from any thread."""

    def shots(self) -> Sequence[Shot]:
        """All of them, in any order."""

    def path_of(self, name: str) -> Path:
        """Where the photograph of this name is.

        Raises:
            RequestError: it is no name of one, or leads out of the folder.
        """

    def delete(self, name: str) -> None:
        """Remove one.

        Raises:
            RequestError: there is none of this name.
            OutputError: it cannot be removed.
        """


def listed(shots: Sequence[Shot], order: str, limit: int) -> dict[str, Any]:
    """The first `limit` shots, "best" or "newest" first, as the page reads them."""
    if order == "newest":
        ranked = sorted(shots, key=lambda shot: shot.taken_at, reverse=True)
    else:
        ranked = sorted(shots, key=lambda shot: (shot.mean, shot.taken_at), reverse=True)
    return {
        "total": len(ranked),
        "bytes": sum(shot.size for shot in ranked),
        "shots": [
            {
                "name": shot.path.name,
                "camera": shot.camera,
                "taken_at": shot.taken_at,
                "mean": shot.mean,
                "rating": shot.rating,
                "size": shot.size,
            }
            for shot in ranked[:limit]
        ],
    }


def find(gallery: Gallery, name: str) -> Path:
    r"""Where a photograph is, by a name that came from outside.

    Raises:
        RequestError: no such photograph. Names with "/", "\\", NUL or a leading "." never reach the gallery.
    """
    if not 0 < len(name) <= _NAME or name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in name):
        raise RequestError("no such photograph")
    return gallery.path_of(name)


def open_file(path: Path) -> tuple[IO[bytes], os.stat_result]:
    """Open a photograph for reading.

    Raises:
        RequestError: it is not there, is no plain file, or is a link: that could lead anywhere.
    """
    try:
        # Non-blocking: opening a named pipe would wait for a writer.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise RequestError("no such photograph") from error
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise RequestError("no such photograph")
    return os.fdopen(number, "rb"), status


class Thumbnails:
    """Small pictures of photographs, the ones asked for last kept in memory. For one thread."""

    def __init__(self, most: int = _CACHED) -> None:
        """`most`: bytes kept."""
        self._most = most
        self._kept: OrderedDict[tuple[Path, int, int, int], bytes] = OrderedDict()
        self.bytes = 0

    def jpeg(self, path: Path, side: int) -> bytes:
        """A photograph within `side` x `side`, JPEG, upright.

        Raises:
            RequestError: it is not there.
            PictureError: it cannot be read.
        """
        file, status = open_file(path)
        with file:
            key = (path, status.st_mtime_ns, status.st_size, side)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            small = _small(file, side, path)
        self._kept[key] = small
        self.bytes += len(small)
        while self.bytes > self._most:
            self.bytes -= len(self._kept.popitem(last=False)[1])
        return small


def _small(file: IO[bytes], side: int, path: Path) -> bytes:
    from PIL import Image, ImageOps

    try:
        with Image.open(file, formats=("JPEG",)) as image:
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = io.BytesIO()
        upright.save(buffer, "JPEG", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"cannot read '{printable(path.name)}': {reason(error)}") from error
    return buffer.getvalue()
