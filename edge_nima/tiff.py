"""TIFF files and the RAW files of cameras, which are TIFF in their shape: which of their pictures is the photograph."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from edge_nima.errors import PictureError, reason

_RAW = "3fr arw cr2 cr3 crw dcr dng erf iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
RAW_SUFFIXES = frozenset(map(".{}".format, _RAW.split(" ")))
"""File name endings of RAW files, lower case with their dot."""
LEAST_PREVIEW = 640
"""Pixels on the longest edge: a RAW file's smaller previews are thumbnails."""

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANAR, _SUBIFDS, _FORMAT, _DNG = 274, 277, 284, 330, 339, 50706
_WANTED = {
    _SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _SUBIFDS, _FORMAT,
    _DNG, _ORIENTATION,
}  # fmt: skip
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOSAIC = {32803, 34892}  # photometric: a colour filter array; linear sensor data
_RAW_COMPRESSION = {32767, 34713, 65000}  # Sony, Nikon, Pentax and Kodak
_MOST = 64  # directories that are looked at


@dataclass(frozen=True)
class Directory:
    """One picture of a file: some tags of it, whole numbers, and where it is."""

    offset: int
    tags: Mapping[int, tuple[int, ...]]

    def get(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def orientation(self) -> int | None:
        """As EXIF has it, 1..8; None where nothing is said."""
        return self.tags.get(_ORIENTATION, (None,))[0]

    @property
    def is_reduced(self) -> bool:
        """Whether it says of itself that it is a thumbnail, or a mask of another one."""
        return bool(self.get(_SUBFILE, 0) & 5) or self.get(_OLD_SUBFILE, 1) == 2

    @property
    def is_sensor_data(self) -> bool:
        """Whether it is what a sensor saw, not a picture."""
        return self.get(_PHOTOMETRIC, 0) in _MOSAIC or self.get(_COMPRESSION, 1) in _RAW_COMPRESSION

    @property
    def whites_first(self) -> bool:
        """Whether 0 is white."""
        return self.get(_PHOTOMETRIC, 1) == 0

    @property
    def is_unsigned(self) -> bool:
        """Whether its samples are whole numbers without a sign."""
        return self.get(_FORMAT, 1) == 1

    def describe(self) -> str:
        """ "3 x 32-bit floating-point samples"."""
        kind = {2: "signed ", 3: "floating-point "}.get(self.get(_FORMAT, 1), "")
        apart = ", a plane each" if self.get(_PLANAR, 1) == 2 else ""
        return f"{self.get(_SAMPLES, 1)} x {self.get(_BITS, 1)}-bit {kind}samples{apart}"


def directories(file: Any) -> list[Directory]:
    """The pictures of a TIFF file in its order, each followed by those inside it; none where it is no TIFF."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return []
    version = struct.unpack(order + "H", head[2:4])[0]
    if version not in {42, 43} or (version == 43 and len(head) < 16):
        return []
    first = struct.unpack(order + ("Q" if version == 43 else "I"), head[8:16] if version == 43 else head[4:8])[0]
    found: list[Directory] = []
    waiting = [first]
    while waiting and len(found) < _MOST:
        offset = waiting.pop(0)
        if not offset or any(offset == one.offset for one in found):
            continue
        try:
            one, following = _directory(file, offset, order, version == 43)
        except (struct.error, OSError, OverflowError):
            continue  # a damaged one; what Pillow says of the file is told
        found.append(one)
        waiting = [*one.tags.get(_SUBIFDS, ()), following, *waiting]
    return found


def _directory(file: Any, offset: int, order: str, big: bool) -> tuple[Directory, int]:
    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    file.seek(offset)
    count = read("Q" if big else "H")[0]
    size, inside = (20, 8) if big else (12, 4)
    entries = file.read(size * count)
    following = read("Q" if big else "I")[0]
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(count):
        entry = entries[size * place : size * (place + 1)]
        tag, kind, number = struct.unpack(order + ("HHQ" if big else "HHI"), entry[: size - inside])
        if tag not in _WANTED or kind not in _TYPES or not 0 < number <= _MOST:
            continue
        form = f"{number}{_TYPES[kind]}"
        length = struct.calcsize(order + form)
        if length > inside:
            file.seek(struct.unpack(order + ("Q" if big else "I"), entry[-inside:])[0])
            tags[tag] = read(form)
        else:
            tags[tag] = struct.unpack(order + form, entry[-inside:][:length])
    return Directory(offset, tags), following


def is_raw(file: Any, found: list[Directory]) -> bool:
    """Whether a file holds sensor data. Others than TIFF in their shape are known by their name alone."""
    file.seek(8)
    return file.read(2) == b"CR" or any(one.is_sensor_data or _DNG in one.tags for one in found)


def photograph(found: list[Directory]) -> Directory | None:
    """Of several pictures the first that is no thumbnail; where all say they are, the largest; None for none."""
    whole = [one for one in found if not one.is_reduced]
    return whole[0] if whole else max(found, key=lambda one: one.get(_WIDTH, 0) * one.get(_HEIGHT, 0), default=None)


def refuse_misread(one: Directory) -> None:
    """Refuse what Pillow opens and reads wrongly.

    Raises:
        PictureError: saying what it is.
    """
    if one.get(_PLANAR, 1) == 2 and one.get(_SAMPLES, 1) > 1 and one.get(_BITS, 8) > 8:
        raise PictureError(f"a TIFF of {one.describe()}, which Pillow reads wrongly; save it with interleaved samples")


def beginning_with(file: Any, one: Directory) -> io.BytesIO:
    """The same file with another of its pictures as the first."""
    file.seek(0)
    data = bytearray(file.read())
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack(order + "H", data[2:4])[0] == 43:
        data[8:16] = struct.pack(order + "Q", one.offset)
    else:
        data[4:8] = struct.pack(order + "I", one.offset)
    return io.BytesIO(data)


def preview(file: Any) -> Image.Image:
    """The picture that a RAW file carries for looking at, upright.

    Raises:
        PictureError: it has none, only a thumbnail, or cannot be read; or rawpy is not installed.
    """
    try:
        import rawpy
    except ImportError as error:
        raise PictureError("a RAW file; pip install 'edge-nima[raw]' has its embedded preview scored") from error
    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            found, flip = raw.extract_thumb(), raw.sizes.flip
    except rawpy.LibRawError as error:
        raise PictureError(f"a RAW file without a preview that can be read: {_libraw(error)}") from error
    if found.format == rawpy.ThumbFormat.JPEG:
        image: Image.Image = Image.open(io.BytesIO(found.data))
    else:
        image = Image.fromarray(found.data).convert("RGB")
    if max(image.size) < LEAST_PREVIEW:
        raise PictureError(f"a RAW file whose only preview is a thumbnail, {image.width}x{image.height}")
    return _upright(image, flip)


def _libraw(error: BaseException) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else reason(error)


_FLIPS = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}


def _upright(image: Image.Image, flip: int) -> Image.Image:
    """By what the preview says of itself, else by what the sensor data says."""
    from PIL import ImageOps

    image.load()
    if image.getexif().get(0x0112, 1) != 1:
        return ImageOps.exif_transpose(image)
    return image.transpose(_FLIPS[flip]) if flip in _FLIPS else image
