"""Changes to a photograph, to see whether its score stays or drops. A new kind is an entry of `changes`."""

from __future__ import annotations

import io
import math
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from edge_nima.decode import MAX_MEGAPIXELS, read_rgb
from edge_nima.errors import PictureError, reason
from edge_nima.pixels import DCT_MARGIN

EDGE = 640
"""Pixels: stands for a card's `longest_edge` where it has none."""
EDGES = (6000, 4000, 3000, 2000, 1500, 1280, 1000, 800, 640, 500, 400, 320)
"""Longest edges, pixels, to which a photograph is reduced, as far as it is larger."""
WORSE = "worse picture"
"""The family of changes after which a person would rate the photograph lower."""

_CROP = 0.02
_TILT = 7.0
_LARGEST_JPEG = 65500
_SMALLEST_PART = 16


class Photograph:
    """One photograph, decoded once, in full."""

    def __init__(
        self, path: str | os.PathLike[str], edge: int = EDGE, *, seed: int = 0, max_megapixels: float = MAX_MEGAPIXELS
    ) -> None:
        """Decode it.

        Args:
            path: a file.
            edge: longest edge of `small`, pixels.
            seed: of noise, together with the pixels: the same photograph gets the same noise under any name.
            max_megapixels: refuse larger ones.

        Raises:
            PictureError: it cannot be read, with the reason.
        """
        self.path, self.edge, self.seed = Path(path), edge, seed
        self.image = Image.fromarray(read_rgb(path, max_megapixels=max_megapixels))

    def at(self, longest: int) -> Image.Image:
        """Reduced by Lanczos to this longest edge, pixels; as it is when it is not larger."""
        edge = max(self.image.size)
        if edge <= longest:
            return self.image
        width, height = (max(1, round(side * longest / edge)) for side in self.image.size)
        return self.image.resize((width, height), Image.Resampling.LANCZOS)

    @cached_property
    def small(self) -> Image.Image:
        """At `edge`. It is this that is made worse: noise and JPEG blocks of a larger one would be averaged away."""
        return self.at(self.edge)

    def jpeg(self) -> bytes | None:
        """The file's bytes when it is a JPEG."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise PictureError(f"cannot be opened: {reason(error)}") from error
        return content if content.startswith(b"\xff\xd8\xff") else None


Make = Callable[[Photograph], Image.Image | None]
"""Makes a version of a photograph; None where the photograph does not allow it: too small, not a JPEG."""


def _whole(photograph: Photograph) -> Image.Image:
    return photograph.image


def _small(photograph: Photograph) -> Image.Image:
    return photograph.small


@dataclass(frozen=True)
class Change:
    """One kind of change."""

    name: str
    """Unique; its key in JSON."""
    family: str
    """`WORSE`, or what a score should not depend on."""
    label: str
    what: str
    """Its definition with all parameters."""
    make: Make
    against: Make = _whole
    """The version that it is compared with."""


def changes(edge: int = EDGE) -> tuple[Change, ...]:
    """All changes, in the order of a report.

    Args:
        edge: longest edge that the model reduces to, pixels; divides the source sizes into two families.
    """
    above, below = f"source of {edge} px and more", f"source below {edge} px"
    jpeg, decoder, crop, least = "JPEG quality", "decoder", "crop and shift", DCT_MARGIN * edge
    corners = {"centre": (0.5, 0.5), "top left": (0, 0), "top right": (1, 0), "bottom left": (0, 1),
               "bottom right": (1, 1)}  # fmt: skip
    return (
        *(Change(f"edge_{to}", above if to >= edge else below, f"{to} px",
                 f"longest edge reduced to {to} pixels by Lanczos", partial(_reduced, to=to)) for to in EDGES),
        *(Change(f"quality_{q}", jpeg, f"JPEG {q}", f"encoded again at full size, quality {q}, 4:2:0",
                 partial(_encoded, quality=q)) for q in (95, 75, 50)),
        Change("dct", decoder, "DCT-scaled", f"JPEGs of {2 * least} px and more, at the smallest DCT scale that keeps "
               f"{least} px", _dct_scaled),
        Change("opencv", decoder, "OpenCV", "JPEGs by cv2.imdecode", _by_opencv),
        *(Change(f"crop_{where.replace(' ', '_')}", crop, f"crop, {where}",
                 f"{100 * (1 - _CROP):g} % of both sides, {where}",
                 partial(_cropped, at=at)) for where, at in corners.items()),
        Change("mirror", "mirror", "mirrored", "left and right exchanged",
               lambda p: p.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        _worse("misfocus", "misfocus .15 %", "Gaussian blur, sigma .15 % of the longest edge",
               lambda image: image.filter(ImageFilter.GaussianBlur(0.0015 * max(image.size)))),
        _worse("motion", "motion 1 %", "horizontal box blur, as long as 1 % of the longest edge",
               lambda image: image.filter(ImageFilter.BoxBlur((max(0.0, (0.01 * max(image.size) - 1) / 2), 0)))),
        Change("noise", WORSE, "noise, sigma 15", "Gaussian, of 255 levels, in each sample", _noisy, _small),
        _worse("jpeg_20", "JPEG 20", "encoded at quality 20, 4:2:0", partial(_jpeg, quality=20)),
        _worse("jpeg_5", "JPEG 5", "encoded at quality 5, 4:2:0", partial(_jpeg, quality=5)),
        _worse("contrast", "contrast x .4", "differences to the mean grey times .4",
               lambda image: ImageEnhance.Contrast(image).enhance(0.4)),
        _worse("over", "over-exposed", "gamma .4: washed out", partial(_gamma, gamma=0.4)),
        _worse("under", "under-exposed", "gamma 2.5: too dark", partial(_gamma, gamma=2.5)),
        Change("tilt", WORSE, f"tilt {_TILT:g} degrees", "turned; the largest part of the same shape without empty "
               "corners, against the same part not turned", partial(_part, degrees=_TILT), partial(_part, degrees=0)),
        _worse("upside_down", "upside down", "turned by 180 degrees",
               lambda image: image.transpose(Image.Transpose.ROTATE_180)),
    )  # fmt: skip


def opencv() -> Any | None:
    """The module cv2; None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def _worse(name: str, label: str, what: str, damage: Callable[[Image.Image], Image.Image | None]) -> Change:
    return Change(name, WORSE, label, what, lambda photograph: damage(photograph.small), _small)


def _reduced(photograph: Photograph, to: int) -> Image.Image | None:
    return photograph.at(to) if max(photograph.image.size) > to else None


def _jpeg(image: Image.Image, quality: int) -> Image.Image | None:
    if max(image.size) > _LARGEST_JPEG:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(buffer).convert("RGB")


def _encoded(photograph: Photograph, quality: int) -> Image.Image | None:
    return _jpeg(photograph.image, quality)


def _dct_scaled(photograph: Photograph) -> Image.Image | None:
    least, content = DCT_MARGIN * photograph.edge, photograph.jpeg()
    if content is None or max(photograph.image.size) < 2 * least:
        return None
    return Image.fromarray(read_rgb(content, max_megapixels=math.inf, least_edge=least))


def _by_opencv(photograph: Photograph) -> Image.Image | None:
    cv2, content = opencv(), photograph.jpeg()
    bgr = None if cv2 is None or content is None else cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))


def _cropped(photograph: Photograph, at: tuple[float, float]) -> Image.Image:
    image = photograph.image
    width, height = (max(1, round((1 - _CROP) * side)) for side in image.size)
    left, top = round(at[0] * (image.width - width)), round(at[1] * (image.height - height))
    return image.crop((left, top, left + width, top + height))


def _noisy(photograph: Photograph) -> Image.Image:
    pixels = np.asarray(photograph.small)
    random = np.random.default_rng([photograph.seed, zlib.crc32(pixels.tobytes())])
    noisy = pixels + 15 * random.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def _gamma(image: Image.Image, gamma: float) -> Image.Image:
    return image.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)


def _part(photograph: Photograph, degrees: float) -> Image.Image | None:
    """The largest centred part that keeps its shape and has no empty corners when turned by `_TILT`; turned or not.

    Of twice `edge`, where there is as much, so that the model loses no detail to the crop and the interpolation.
    """
    image = photograph.at(2 * photograph.edge)
    (width, height), angle = image.size, math.radians(_TILT)
    cos, sin = math.cos(angle), math.sin(angle)
    share = min(width / (width * cos + height * sin), height / (width * sin + height * cos))
    # Two pixels less: the interpolation at the edge of the part reaches beyond it.
    wide, tall = int(share * width) - 2, int(share * height) - 2
    if min(wide, tall) < _SMALLEST_PART:
        return None
    left, top = (width - wide) // 2, (height - tall) // 2
    turned = image.rotate(degrees, Image.Resampling.BICUBIC) if degrees else image
    return turned.crop((left, top, left + wide, top + tall))
