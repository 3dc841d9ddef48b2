"""One file of a data set, read and decoded whole: what it holds, or what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.errors import PictureError, reason
from edge_nima.pixels import MAX_MEGAPIXELS, Pixels, read_rgb
from edge_nima_train.faults import DAMAGED, EMPTY, NOT_A_PICTURE, TRUNCATED, UNREADABLE, ZERO_SIZE

_SINGLE_COLOUR = 2
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"RIFF": "WebP",
}  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """What one file holds. Either `fault` is None, or only `size` and perhaps `sha256` are known."""

    size: int
    """Bytes."""
    sha256: str = ""
    """Of the file's bytes, hexadecimal."""
    width: int = 0
    """Pixels, upright."""
    height: int = 0
    format: str = ""
    """As Pillow calls it: "JPEG", "PNG", ..."""
    single_colour: bool = False
    """Whether no sample is more than 2 levels of 255 from that of the first pixel."""
    fault: str | None = None
    """A kind of `faults.FILE_FAULTS`."""
    why: str = ""
    """The fault in words."""


def inspect(path: Path) -> Inspection:
    """Read a file once, hash it, decode every pixel; nothing that is wrong with it raises."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        return Inspection(0, fault=UNREADABLE, why=reason(error))
    if not data:
        return Inspection(0, fault=EMPTY, why="0 bytes")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        rgb = read_rgb(data)
    except PictureError as error:
        kind, why = _fault(data, error)
        return Inspection(len(data), sha256, fault=kind, why=why)
    height, width = rgb.shape[:2]
    return Inspection(len(data), sha256, width, height, _format(data), _is_single_colour(rgb))


def _fault(data: bytes, error: PictureError) -> tuple[str, str]:
    """The kind of a file that cannot be decoded, and words for it."""
    if _is_without_size(data):
        return ZERO_SIZE, "its header says 0 pixels wide or high"
    from PIL import UnidentifiedImageError

    why, begins = reason(error).removeprefix("damaged: "), _signature(data)
    if isinstance(error.__cause__, UnidentifiedImageError):
        if begins is None:
            return NOT_A_PICTURE, why
        return DAMAGED, f"begins as a {begins}, and its header cannot be read"
    cut = begins == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little")
    if cut or "truncated" in why.lower() or "ends before" in why:  # Pillow's words, and those of edge_nima.pixels
        return TRUNCATED, why
    if " megapixels" in why:
        return DAMAGED, f"larger than {MAX_MEGAPIXELS:g} megapixels"
    return DAMAGED, why


def _signature(data: bytes) -> str | None:
    return next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)


def _is_without_size(data: bytes) -> bool:
    """Whether a PNG or JPEG says that a side is 0: Pillow calls such a file no picture at all."""
    kind = _signature(data)
    if kind == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        return data[16:20] == bytes(4) or data[20:24] == bytes(4)
    at = 2
    while kind == "JPEG" and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # a frame header, not a table
            return data[at + 5 : at + 7] == bytes(2) or data[at + 7 : at + 9] == bytes(2)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _format(data: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.format or ""


def _is_single_colour(rgb: Pixels) -> bool:
    first: Any = rgb[0, 0].astype(np.int16)
    # A few pixels first: nearly every photograph is told by them.
    return all(bool((np.abs(part - first) <= _SINGLE_COLOUR).all()) for part in (rgb[::37, ::41], rgb))


def ending(path: str | os.PathLike[str]) -> str:
    """A file name's ending, lower case, with its dot."""
    return os.path.splitext(path)[1].lower()
