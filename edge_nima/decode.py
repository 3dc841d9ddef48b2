"""Files and bytes to upright RGB: the right picture of each file, or the reason why there is none."""

from __future__ import annotations

import importlib.util
import io
import os
import stat
import struct
import threading
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory

from edge_nima import storage, tar_members, tiff
from edge_nima.errors import PictureError, reason
from edge_nima.jpeg import EOI, is_whole

Pixels = NDArray[np.uint8]

MAX_MEGAPIXELS = 128.0
"""Larger pictures are refused unless asked for: they are decompression bombs, or would not fit a Pi's memory."""


HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})

_READ_WHOLE = 1 << 24
"""Bytes. A file up to this is read at once: decoding looks at its head and its end as well, and seeking reads again."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}
"""Those that make the width the height."""


@cache
def photograph_suffixes() -> frozenset[str]:
    """File name endings, lower case with their dot, that can be opened here."""
    Image.init()
    # Registered by Pillow, but documents, films and scientific containers rather than photographs.
    foreign = {".pdf", ".ps", ".eps", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".fits", ".wmf", ".emf", ".fli"}
    known = {suffix.lower() for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    known |= {".mpo"}  # Pillow opens it as a JPEG
    known -= HEIF_SUFFIXES | tiff.RAW_SUFFIXES
    known |= HEIF_SUFFIXES if _has("pillow_heif") else set()
    known |= tiff.RAW_SUFFIXES if _has("rawpy") else set()
    return frozenset(known - foreign)


def missing_extra(suffix: str) -> str:
    """The extra of edge-nima with which photographs of this ending could be opened; "" for none."""
    if suffix in photograph_suffixes():
        return ""
    return "heif" if suffix in HEIF_SUFFIXES else "raw" if suffix in tiff.RAW_SUFFIXES else ""


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def read_rgb(
    source: str | os.PathLike[str] | bytes, *, max_megapixels: float = MAX_MEGAPIXELS, least_edge: int = 0
) -> Pixels:
    """Decode a photograph to upright RGB: EXIF orientation applied, alpha over white, first frame of an animation.

    Greyscale, palette and CMYK become RGB, 16-bit samples lose their low byte. Embedded colour profiles are not
    applied: the networks were trained without.

    Args:
        source: a path, or the bytes of an encoded picture.
        max_megapixels: refuse larger pictures, in millions of pixels.
        least_edge: decode a JPEG at the smallest DCT scale that keeps this longest edge, pixels; 0 for in full.

    Returns:
        uint8, shape (height, width, 3), red first, C-contiguous.

    Raises:
        PictureError: with the reason, on one line.
    """
    return np.ascontiguousarray(open_rgb(source, max_megapixels, least_edge)[0])


def check_rgb(rgb: NDArray[Any]) -> Pixels:
    """Return `rgb` when it is what the scorer takes: uint8, shape (height, width, 3), at least 1x1.

    Raises:
        PictureError: saying what it is instead.
    """
    if not isinstance(rgb, np.ndarray):
        raise PictureError(f"a picture is a path, bytes, a Frame or a uint8 array, not {type(rgb).__name__}")
    if rgb.dtype != np.uint8:
        hint = "; multiply by 255 and cast" if rgb.dtype.kind == "f" else ""
        raise PictureError(f"pixels are uint8 0..255, this array is {rgb.dtype}{hint}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        hint = "; drop the fourth channel with rgb[..., :3]" if rgb.ndim == 3 and rgb.shape[-1] == 4 else ""
        raise PictureError(f"pixels have shape (height, width, 3), this array has {rgb.shape}{hint}")
    return rgb


def open_rgb(
    source: str | os.PathLike[str] | bytes, max_megapixels: float, least_edge: int = 0
) -> tuple[Image.Image, tuple[int, int]]:
    """A photograph, upright, mode RGB, and its size in full: a JPEG is at a DCT scale that keeps `least_edge` pixels.

    Args:
        source: a path, or the bytes of an encoded picture.
        max_megapixels: refuse larger pictures, in millions of pixels.
        least_edge: pixels; 0 decodes in full.

    Raises:
        PictureError: with the reason, on one line.
    """
    if not isinstance(source, bytes) and storage.is_stored(source):
        source = storage.fetch(os.fspath(source))
    if isinstance(source, storage.Fetched):
        if source.error is not None:
            raise PictureError(source.error)
        return _decode_bytes(source, source.name, max_megapixels, least_edge)
    if isinstance(source, bytes):
        return _decode_bytes(source, "", max_megapixels, least_edge)
    try:
        # Asked and opened here, not by Pillow, so that "no permission" and "a pipe" are told from "not a picture".
        status = os.stat(source)
        if stat.S_ISDIR(status.st_mode):
            raise PictureError("a folder that cannot be read" if not os.access(source, os.R_OK) else "a folder")
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("not a regular file")
        if status.st_size == 0:
            raise PictureError("empty file: 0 bytes")
        with open(source, "rb") as file:
            if status.st_size > _READ_WHOLE:
                return _decode(file, max_megapixels, least_edge)
            return _decode_bytes(file.read(), os.fspath(source), max_megapixels, least_edge)
    except PictureError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, NotADirectoryError) and tar_members.is_file(source):
            return _decode_bytes(_read_member(source), os.fspath(source), max_megapixels, least_edge)
        raise PictureError(f"cannot be opened: {reason(error)}") from error


def _decode_bytes(
    content: bytes, name: str, max_megapixels: float, least_edge: int
) -> tuple[Image.Image, tuple[int, int]]:
    if not content:
        raise PictureError("empty: 0 bytes")
    file = io.BytesIO(content)
    file.name = name  # its ending tells RAW files from TIFF
    return _decode(file, max_megapixels, least_edge)


def _read_member(path: str | os.PathLike[str]) -> bytes:
    try:
        return tar_members.read_file(path)
    except OSError as error:
        raise PictureError(f"cannot be read: {reason(error)}") from error


_OPENING = threading.Lock()


def _open(file: Any) -> Image.Image:
    """Pillow's, told of HEIC when it meets some; lazy, as Pillow's."""
    file.seek(0)
    start = file.read(12)
    if start[4:8] == b"ftyp":
        _register_heif()
    file.seek(0)
    if start.startswith(b"\xff\xd8\xff"):
        try:
            return jpeg_factory(file)  # Image.open imports all common plugins before it looks
        except (SyntaxError, IndexError, TypeError, struct.error):
            file.seek(0)
    with _OPENING:
        # Pillow's own limit is a global and warns on stderr; ours is checked before any pixel is decoded.
        pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = pillows


@cache
def _register_heif() -> None:
    if _has("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _decode(file: Any, max_megapixels: float, least_edge: int) -> tuple[Image.Image, tuple[int, int]]:
    try:
        directories = tiff.directories(file)
        if directories or _suffix(file) in tiff.RAW_SUFFIXES:
            return _decode_tiff(file, directories, max_megapixels)
        try:
            return _decode_picture(file, max_megapixels, least_edge)
        except (ValueError, SyntaxError, UnidentifiedImageError) as error:
            bare = None if isinstance(error, PictureError) else _without_metadata(file)
            if bare is None:
                raise
            return _decode_picture(bare, max_megapixels, least_edge)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(_unknown(file)) from error
    except MemoryError as error:
        raise PictureError("does not fit in memory") from error
    except Exception as error:
        # Pillow's decoders let out almost every exception there is on damaged files, format by format.
        raise PictureError(f"damaged: {reason(error)}") from error


def _suffix(file: Any) -> str:
    name = getattr(file, "name", "")
    return os.path.splitext(name)[1].lower() if isinstance(name, str) else ""


def _decode_picture(
    file: Any, max_megapixels: float, least_edge: int, directory: tiff.Directory | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    with _open(file) as image:
        if image.format == "EPS":
            raise PictureError("a PostScript document, not a picture")  # Pillow would start Ghostscript
        if image.format == "AVIF" and image.mode == "RGBA":
            # Chromium takes its alpha for limited range: a picture must not have two scores.
            raise PictureError("AVIF with transparency, which decoders read differently: export as PNG or WebP")
        _refuse_large(image, max_megapixels)
        full = None
        if least_edge and isinstance(image, JpegImageFile):
            full = image.size
            _draft(image, least_edge)
        loaded = image
        if isinstance(image, JpegImageFile):
            loaded = _load_jpeg(image, file, least_edge)
        else:
            image.load()
        width, height = full or image.size  # a TIFF turns itself as it is loaded
        turn = _turn(image)
        upright = loaded if turn is None else loaded.transpose(turn)
        return to_rgb(upright, image.format, directory), ((height, width) if turn in _SWAPS else (width, height))


def _refuse_large(image: Image.Image, max_megapixels: float) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise PictureError(
            f"{image.width}x{image.height} is {megapixels:.4g} megapixels, the limit is {max_megapixels:g} "
            "(raise it with --max-megapixels)"
        )


def _load_jpeg(image: JpegImageFile, file: Any, least_edge: int) -> Image.Image:
    """Decode a JPEG: one that lacks only its end marker is whole.

    Raises:
        PictureError: a part of the picture is missing.
    """
    loaded: Image.Image = image
    try:
        image.load()
        whole = is_whole(image, image, file, _open)
    except OSError:
        # Pillow misses data or the marker; with the marker libjpeg fills up what is missing.
        file.seek(0)
        with _open(io.BytesIO(file.read() + EOI)) as ended:
            if least_edge and isinstance(ended, JpegImageFile):
                _draft(ended, least_edge)
            ended.load()
        whole, loaded = is_whole(image, ended, file, _open, ended=False), ended
    if not whole:
        raise PictureError("damaged: the JPEG's data ends before the picture does")
    return loaded


def _decode_tiff(file: Any, found: list[tiff.Directory], max_megapixels: float) -> tuple[Image.Image, tuple[int, int]]:
    if _suffix(file) in tiff.RAW_SUFFIXES or tiff.is_raw(file, found):
        image = tiff.preview(file)
        _refuse_large(image, max_megapixels)
        return to_rgb(image, image.format), image.size
    chosen = tiff.photograph(found)
    if chosen is None:
        return _decode_picture(file, max_megapixels, 0)
    tiff.refuse_misread(chosen)
    begun = file if chosen is found[0] else tiff.beginning_with(file, chosen)
    try:
        image, size = _decode_picture(begun, max_megapixels, 0, chosen)
        # Of a file whose photograph is inside its thumbnail's directory, the outer one says how it is turned.
        turn = _UPRIGHT.get(found[0].orientation or 1) if chosen.orientation is None else None
        if turn is None:
            return image, size
        return image.transpose(turn), (size[::-1] if turn in _SWAPS else size)
    except UnidentifiedImageError as error:
        raise PictureError(f"a TIFF of {chosen.describe()}, which Pillow does not read") from error


def _without_metadata(file: Any) -> io.BytesIO | None:
    """A PNG with nothing in it but its pixels and its orientation; None for other files.

    Texts and profiles may be larger than Pillow takes, or damaged: the picture is not.
    """
    file.seek(0)
    data = file.read()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}:
            kept.append(data[at:end])
        at = end
    return io.BytesIO(b"".join(kept))


def _unknown(file: Any) -> str:
    file.seek(4)
    if file.read(4) == b"ftyp" and not _has("pillow_heif"):
        return "HEIC or AVIF that Pillow does not read: pip install 'edge-nima[heif]'"
    return "not a picture in a format that Pillow reads"


def _draft(image: JpegImageFile, least_edge: int) -> None:
    """Have a JPEG decoded at the smallest of libjpeg's scales that keeps `least_edge` pixels on its longest edge."""
    scale = max(scale for scale in (1, 2, 4, 8) if scale == 1 or max(image.size) >= scale * least_edge)
    if scale > 1:
        # Pillow takes the largest scale that keeps this size; the shorter side may have fewer pixels than `scale`.
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes a picture upright, by its EXIF orientation."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        orientation = 1  # a damaged EXIF block says nothing about orientation; the pixels are still good
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def to_rgb(image: Image.Image, format: str | None, directory: tiff.Directory | None = None) -> Image.Image:
    """A decoded picture in mode RGB: alpha over white, 16-bit samples by their high byte.

    Args:
        image: as Pillow decoded it.
        format: of its file.
        directory: what a TIFF file says of it.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;"):
        return _deep_grey(image, format, directory)
    if image.mode == "LAB":
        return _lab(image)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        if image.mode in {"La", "RGBa"}:
            image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image.Image, format: str | None, directory: tiff.Directory | None) -> Image.Image:
    """16-bit integers keep their high byte (Pillow's own conversion clips at 255); floats in 0..1 are spread.

    Pillow's mode "I" says nothing of the depth: from a PNG or PGM it is 16 bits, elsewhere the largest value tells. It
    is signed, also where the file's numbers are not. What is stored with white as 0 is turned by Pillow up to 8 bits.
    """
    grey = np.asarray(image)
    if grey.dtype.kind == "f":
        if not np.isfinite(grey).all():
            raise PictureError("floating-point pixels that are not finite")
        top = float(grey.max(initial=0))
        if top > 65535:
            raise PictureError(f"floating-point pixels up to {top:g}; possible: 0..1, 0..255, 0..65535")
        grey = np.rint(grey * 255) if top <= 1 else np.rint(grey) if top <= 255 else grey // 256
    elif (
        image.mode == "I"
        and directory is not None
        and directory.is_unsigned
        and grey.view(np.uint32).max(initial=0) > 65535
    ):
        grey = grey.view(np.uint32) >> 24
    elif image.mode.startswith("I;16") or format in {"PNG", "PPM"} or grey.max(initial=0) > 255:
        grey = grey >> 8
    levels = np.clip(grey, 0, 255).astype(np.uint8)
    turned = directory is not None and directory.whites_first
    return Image.fromarray(255 - levels if turned else levels).convert("RGB")


def _lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise PictureError("LAB colours that cannot be converted to RGB")
    return converted
