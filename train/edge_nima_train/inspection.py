"""Each file of a data set: what it holds, what is wrong with it, what is odd about it, and a log of what was found."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import numpy as np

from edge_nima import tar_members
from edge_nima.decode import MAX_MEGAPIXELS, Pixels, read_rgb
from edge_nima.errors import OutputError, PictureError, RequestError, printable, reason
from edge_nima.label_text import COLUMNS, NUMBER, OTHER, RATING, TWICE
from edge_nima.lock import try_lock
from edge_nima.records import FileStamp

ROW_FAULTS = {
    COLUMNS: "rows with too few or too many columns",
    NUMBER: "rows with a cell that is no number",
    RATING: "rows with negative, all-zero or impossible ratings",
    TWICE: "rows of a photograph that has one",
    OTHER: "rows that are wrong otherwise",
}
"""What is wrong with rows, by the kind of a `LabelError`."""

MISSING, EXTRA, UNREADABLE, EMPTY, NOT_A_PICTURE, ZERO_SIZE, TRUNCATED, DAMAGED, COPY = (
    "missing", "extra", "unreadable", "empty", "not a picture", "zero size", "truncated", "damaged", "copy",
)  # fmt: skip
FILE_FAULTS = {
    MISSING: "rows whose photograph is not there",
    EXTRA: "photographs that no row names",
    UNREADABLE: "files that cannot be opened",
    EMPTY: "files of 0 bytes",
    NOT_A_PICTURE: "files that are no picture",
    ZERO_SIZE: "pictures 0 pixels wide or high",
    TRUNCATED: "pictures that end early",
    DAMAGED: "pictures that cannot be decoded",
    COPY: "files with the same bytes as an earlier one",
}
"""What is wrong with files."""


@dataclass(frozen=True)
class Fault:
    """One row or file that cannot be used."""

    kind: str
    """Of `ROW_FAULTS` or `FILE_FAULTS`."""
    what: str
    """Words for a person, one line."""
    line: int | None = None
    """Of the label file; None for a file that no row names."""
    file: str | None = None
    """Beneath the folder of photographs; None for a row that cannot be read."""


_SINGLE_COLOUR = 2  # levels of 255
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"RIFF": "WebP",
    b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
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
    """A kind of `FILE_FAULTS`."""
    why: str = ""
    """The fault in words."""


def inspect(path: Path) -> Inspection:
    """Read a file once, hash it, decode every pixel; nothing that is wrong with it raises."""
    try:
        data = tar_members.read_file(path)
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

    why, begins = reason(error).removeprefix("damaged: "), signature(data)
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


def signature(data: bytes) -> str | None:
    """The format that a file's first bytes are those of; None where that is none of the usual ones."""
    return next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)


def _is_without_size(data: bytes) -> bool:
    """Whether a PNG or JPEG says that a side is 0: Pillow calls such a file no picture at all."""
    kind = signature(data)
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
            self._file: io.FileIO = open(path, "a+b", buffering=0)  # noqa: SIM115
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


TINY, ASPECT, BYTES, COLOUR, ENDING = "tiny", "aspect", "bytes_per_pixel", "single_colour", "ending"
TINY_BELOW = 64
LONG_BEYOND = 4.0
FENCE = 3.0
FEWEST = 20
"""Photographs that a distribution takes before some of it is called unusual."""

_SAME = {"MPO": "JPEG"}  # a JPEG with a second picture behind it: cameras name it .jpg


@dataclass(frozen=True)
class Rules:
    """What is called an anomaly."""

    bytes_per_pixel: tuple[float, float] | None
    """Outside of these it is unusual; None where there are too few photographs to tell."""

    def told(self) -> dict[str, str]:
        """Each rule in words, by its flag."""
        usual = f"not judged: fewer than {FEWEST} photographs"
        if self.bytes_per_pixel is not None:
            low, high = self.bytes_per_pixel
            usual = (
                f"file size over pixels below {low:.4g} or above {high:.4g} bytes: beyond the quartiles of its "
                f"logarithm by more than {FENCE:g} times their distance (Tukey's outer fences)"
            )
        return {
            TINY: f"a side below {TINY_BELOW} pixels",
            ASPECT: f"one side more than {LONG_BEYOND:g} times the other",
            BYTES: usual,
            COLOUR: "no sample more than 2 of 255 levels from that of the first pixel",
            ENDING: "the content is of another format than the file name's ending says",
        }


def find_anomalies(names: Sequence[str], found: Sequence[Inspection]) -> tuple[list[str], Rules]:
    """Flags of each photograph, with spaces between, "" for none; and the rules they were given by.

    Args:
        names: n file names.
        found: n inspections without a fault.
    """
    density = np.log([one.size / (one.width * one.height) for one in found])
    rules = Rules(None)
    if len(found) >= FEWEST:
        q1, q3 = np.percentile(density, [25, 75])
        reach = FENCE * (q3 - q1)
        rules = Rules((float(np.exp(q1 - reach)), float(np.exp(q3 + reach))))
    return [_flags(name, one, rules) for name, one in zip(names, found, strict=True)], rules


def _flags(name: str, one: Inspection, rules: Rules) -> str:
    short, long = sorted((one.width, one.height))
    low, high = rules.bytes_per_pixel or (0.0, float("inf"))
    told = {
        TINY: short < TINY_BELOW,
        ASPECT: long > LONG_BEYOND * short,
        BYTES: not low <= one.size / (one.width * one.height) <= high,
        COLOUR: one.single_colour,
        ENDING: _is_of_another_kind(name, one.format),
    }
    return " ".join(flag for flag, raised in told.items() if raised)


def _is_of_another_kind(name: str, format: str) -> bool:
    from PIL import Image

    Image.init()
    expected = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
    return _SAME.get(expected or "", expected) != _SAME.get(format, format)
