"""JPEG files whose lower part is missing without Pillow saying so: a half-grey picture must not get a score."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any

import numpy as np
from PIL import Image


def ends_early(image: Image.Image, file: Any) -> bool:
    """Whether the lower part of a decoded JPEG is missing though Pillow does not say so.

    When the end marker comes too early, libjpeg fills up with mid-grey. A picture that ends in this grey is decoded
    once more without the marker: a whole one is there to its last row all the same, a cut one leaves that row
    unwritten (black). When the disk was never written, zeros stand for the rest and there is no end marker.
    Told for the usual kind only, one sequential scan; a progressive file lacks sharpness, not a part.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    # 127 where the four colours of print are stored inverted.
    grey = all(level in (127, 128) for level in (last if isinstance(last, tuple) else (last,)))
    file.seek(-2, os.SEEK_END)
    if not grey and file.read() != b"\0\0":
        return False
    file.seek(0)
    data = file.read()
    end = _end_of_only_scan(data)
    if end is None or end == len(data):
        return end is not None
    if not grey:
        return False
    # libjpeg reads a few bytes ahead; at a marker it would see zero bits.
    with Image.open(io.BytesIO(data[:end] + bytes(16))) as again:
        with contextlib.suppress(OSError):  # that the end marker is missing
            again.load()
        again.tile = []  # what is decoded is all there will be
        last_row = np.asarray(again)[-1]
    return not last_row.any()


_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # not a stuffed byte, not a restart


def _end_of_only_scan(data: bytes) -> int | None:
    """Where the end marker of a JPEG with one sequential Huffman scan is, or would be; None for other kinds."""
    sequential, at = False, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        sequential |= kind in {0xC0, 0xC1}
        at += 2 + length
        if kind == 0xDA:
            marker = _MARKER.search(data, at)
            if not sequential or (marker and marker[1] != b"\xd9"):
                return None
            return marker.start() if marker else len(data)
    return None
