"""Encoded pictures: PNG of every kind a phone meets, JPEG with each EXIF orientation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge_nima.card import Card
from edge_nima.decode import Pixels, read_rgb

ORIENTATION_TAG = 0x0112

_AS_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored so that its EXIF orientation makes it upright again (EXIF 2.3, tag 0x0112)."""


@dataclass(frozen=True)
class Picture:
    """One file, and what `read_rgb` makes of it."""

    name: str
    format: str
    """"png" or "jpeg"."""
    content: bytes
    orientation: int = 1
    every: bool = False
    """Whether it is resized in every way, not only as the card says."""
    edges: bool = False
    """Whether it is resized in each of the ways that reduce its longest edge first."""

    @property
    def upright(self) -> Pixels:
        """uint8, shape (height, width, 3)."""
        return read_rgb(self.content)


def photographs(card: Card) -> list[Image.Image]:
    """The photographs inside a card's probes, RGB, largest first; without the one above 640, of few colours."""
    found = [Image.fromarray(read_rgb(probe.picture)) for probe in card.probes]
    small = [image for image in found if max(image.size) <= 640]
    return sorted(small or found, key=lambda image: -image.width * image.height)


def pictures(card: Card) -> Iterator[Picture]:
    """All of them, the same for the same card."""
    for number, probe in enumerate(card.probes, 1):
        yield Picture(f"probe-{number}", "png", probe.picture, every=number <= 3)
    large, *_, small = photographs(card)
    yield from _png(large, small)
    yield from _jpeg(large, small)
    yield from _above_640(large)


def _png(large: Image.Image, small: Image.Image) -> Iterator[Picture]:
    kinds = {
        "one-pixel": small.crop((9, 9, 10, 10)),
        "one-row": large.resize((301, 1)),
        "one-column": large.resize((1, 301)),
        "tall": large.resize((83, 419)),
        "three-fold": large.resize((672, 672)),
        "vga": large.resize((640, 480)),
        "grey": small.convert("L"),
        "palette": small.quantize(32),
        "grey-alpha": _with_alpha(small).convert("LA"),
        "alpha": _with_alpha(small),
        "palette-transparent": small.quantize(32),
        "bilevel": small.convert("1"),
    }
    for name, image in kinds.items():
        more: dict[str, Any] = {"transparency": 3} if name == "palette-transparent" else {}
        yield Picture(f"png-{name}", "png", _encoded(image, "PNG", **more), every=name in {"one-row", "tall"})
    stored = small.transpose(Image.Transpose.ROTATE_90)
    yield Picture("png-exif-6", "png", _encoded(stored, "PNG", exif=_exif(6)), orientation=6)


def _jpeg(large: Image.Image, small: Image.Image) -> Iterator[Picture]:
    for orientation, way in _AS_STORED.items():
        stored = small if way is None else small.transpose(way)
        content = _encoded(stored, "JPEG", quality=90, subsampling="4:4:4", exif=_exif(orientation))
        yield Picture(f"jpeg-exif-{orientation}", "jpeg", content, orientation)
    yield Picture("jpeg-exif-big-endian-8", "jpeg", _big_endian(small), 8)
    yield Picture("jpeg-420", "jpeg", _encoded(large.resize((320, 240)), "JPEG", quality=85, subsampling="4:2:0"))
    yield Picture("jpeg-420-odd", "jpeg", _encoded(large.resize((331, 251)), "JPEG", quality=85, subsampling="4:2:0"))
    yield Picture("jpeg-422", "jpeg", _encoded(large.resize((320, 240)), "JPEG", quality=85, subsampling="4:2:2"))
    yield Picture("jpeg-progressive", "jpeg", _encoded(large, "JPEG", quality=90, subsampling=0, progressive=True))
    yield Picture("jpeg-grey", "jpeg", _encoded(large.convert("L"), "JPEG", quality=90))


def _above_640(large: Image.Image) -> Iterator[Picture]:
    """Pictures that `longest_edge` reduces; the tall one in height first (see `edge_nima.pixels`)."""
    sizes = {
        "landscape": (1280, 720),
        "portrait": (720, 1280),
        "tall": (300, 1700),
        "flat": (1601, 2),
        "641": (641, 480),
    }
    for name, size in sizes.items():
        picture = large.resize(size, Image.Resampling.BICUBIC)
        yield Picture(f"png-large-{name}", "png", _encoded(picture, "PNG"), edges=True)
    upright = large.resize((801, 601), Image.Resampling.BICUBIC)
    for orientation, way in _AS_STORED.items():
        stored = upright if way is None else upright.transpose(way)
        content = _encoded(stored, "JPEG", quality=80, subsampling="4:4:4", exif=_exif(orientation))
        yield Picture(f"jpeg-large-exif-{orientation}", "jpeg", content, orientation)
    yield Picture(
        "jpeg-large-420", "jpeg", _encoded(large.resize((1024, 768)), "JPEG", quality=85, subsampling="4:2:0")
    )


def _with_alpha(image: Image.Image) -> Image.Image:
    """With an alpha channel that takes every value there is."""
    width, height = image.size
    alpha = (np.arange(width * height).reshape(height, width) * 7 % 256).astype(np.uint8)
    return Image.merge("RGBA", (*image.split(), Image.fromarray(alpha)))


def _encoded(image: Image.Image, format: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **how)
    return file.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


def _big_endian(image: Image.Image) -> bytes:
    exif = _exif(8)
    exif.endian = ">"
    stored = image.transpose(Image.Transpose.ROTATE_270)
    return _encoded(stored, "JPEG", quality=90, subsampling=0, exif=exif.tobytes())
