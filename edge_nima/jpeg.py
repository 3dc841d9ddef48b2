"""JPEG files of which a part is missing without the decoder saying so: a picture that is not whole gets no score."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

EOI = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # not a stuffed byte, not a restart
_ZEROS = 64  # bytes: what was never written, or a flat part of a picture whose code for "the same" is 0
_FILLING = b"".join(
    bytes((37 * i + 91) % 251 + 1 for i in range(99)) + bytes((0xFF, 0xD0 + restart)) for restart in 3 * list(range(8))
)
"""Data, with restart markers in it: a decoder that still needs data takes it, one that is done does not."""


def is_whole(
    image: JpegImageFile, shown: Any, file: Any, open_picture: Callable[[Any], Image.Image], *, ended: bool = True
) -> bool:
    """Whether a JPEG's data lasts to the end of its picture.

    libjpeg fills up in silence what is missing before the end marker. So the picture is decoded once more, with other
    data appended: one that had all it needs stays the same. An ordinary sequential JPEG is only looked at again where
    it ends in libjpeg's mid-grey or in zeros.

    Args:
        image: as it was opened; of it the size at which it was drafted.
        shown: what was decoded: something that NumPy makes an array of, in the image's own mode.
        file: its file, open for reading.
        open_picture: opens a file, as Pillow does.
        ended: False where the decoder missed the end marker.
    """
    if ended and not _suspicious(image, file):
        return True
    file.seek(0)
    data = file.read()
    end, whole_scans = _end_of_picture(data)
    if not whole_scans:
        return False
    pixels = np.asarray(shown)

    def same(content: bytes) -> bool:
        again = _decode(open_picture, content + _FILLING + EOI, image)
        return again is not None and np.array_equal(again, pixels)

    body = data[:end].rstrip(b"\xff")  # half a marker
    zeros = len(body) - len(body.rstrip(b"\0"))
    if zeros < _ZEROS:
        return same(body)
    if any(same(body[: len(body) - zeros + own]) for own in range(3)):
        return True  # all but the first came after the picture
    # A picture that needs its zeros needs the last ones too; where the rest was never written there are more.
    return end < len(data) and not same(body[:-2]) and same(body)


def _suspicious(image: JpegImageFile, file: Any) -> bool:
    if image.info.get("progressive") or _components_of_first_scan(file) < image.layers:
        return True
    last = image.getpixel((image.width - 1, image.height - 1))
    # 127 where the four colours of print are stored inverted.
    if all(level in (127, 128) for level in (last if isinstance(last, tuple) else (last,))):
        return True
    file.seek(-4, os.SEEK_END)
    return b"\0\0" in file.read().removesuffix(EOI)[-2:]


def _components_of_first_scan(file: Any) -> int:
    at = 2
    while True:
        file.seek(at)
        head = file.read(5)
        if head[:2] == b"\xff\xff":  # fills
            at += 1
            continue
        if len(head) < 5 or head[0] != 0xFF or head[1] == 0xDA:
            return head[4] if len(head) == 5 and head[1] == 0xDA else 0
        at += 2 + int.from_bytes(head[2:4], "big")


def _decode(open_picture: Callable[[Any], Image.Image], data: bytes, like: JpegImageFile) -> NDArray[np.uint8] | None:
    with contextlib.suppress(OSError), open_picture(io.BytesIO(data)) as image:
        scale = round(max(image.size) / max(like.size))
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        image.load()
        return np.asarray(image)
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Kind of each marker and where it is, to the end marker or to the end of the data."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # fills
            at += 1
            continue
        yield kind, at
        if kind == EOI[1]:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:
            marker = _MARKER.search(data, at)
            if marker is None:
                return
            at = marker.start()
    if data[at : at + 2] == EOI:
        yield EOI[1], at


def _end_of_picture(data: bytes) -> tuple[int, bool]:
    """Where the end marker is or would be, and whether the scans hold every coefficient of a picture in full."""
    end, progressive = len(data), False
    missing: dict[int, set[int]] = {}
    for kind, at in _segments(data):
        if kind in {0xC0, 0xC1, 0xC2}:
            progressive = kind == 0xC2
            missing = {data[at + 10 + 3 * i]: set(range(64)) for i in range(data[at + 9])}
        elif kind == 0xDA and progressive:
            parts = data[at + 4]
            first, last, bits = data[at + 5 + 2 * parts : at + 8 + 2 * parts]
            if bits & 15 == 0:
                for i in range(parts):
                    missing.get(data[at + 5 + 2 * i], set()).difference_update(range(first, last + 1))
        elif kind == EOI[1]:
            end = at
    return end, not (progressive and any(missing.values()))
