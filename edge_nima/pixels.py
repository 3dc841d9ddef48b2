"""Upright RGB to the model's input, by the one specification that its card holds.

The same code runs in training evaluation, calibration, the reference, and on the device: a resize filter that differs
moves the score by more than int8 does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.decode import MAX_MEGAPIXELS, Pixels, open_rgb
from edge_nima.errors import CardError

Factor = float | tuple[float, float, float]
"""One number, or three: one a channel, in the order in which the model takes them."""

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's resampling filters by the names a card uses. All but nearest are antialiased when they shrink."""

FITS = ("stretch", "crop")
LAYOUTS = ("NHWC", "NCHW")

DCT_MARGIN = 3
"""JPEGs may be decoded at a DCT scale of 1/2, 1/4 or 1/8 that keeps at least this many times `longest_edge`."""

_LARGEST_EDGE = 65535
_LARGEST_FACTOR = 1e9


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pixels: the part of a card that decides the score most.

    With a `longest_edge`, a picture whose longest edge is above it is reduced first, whole and in proportion, by
    `longest_edge_filter`; `reduced_size` defines to which size. Smaller pictures stay as they are.
    Then `fit` "stretch" ignores the aspect ratio; "crop" takes the largest centred part of the model's aspect ratio.
    A pixel p in 0..255 becomes `p * scale + offset`, inside the graph when `scaling` is "graph" (the model takes
    uint8) and on this side of it when "host" (the model takes float32, or integers with a scale). `layout` is the order
    of the input's axes: "NHWC", channels last, or "NCHW", a plane a channel.
    """

    width: int = 224
    height: int = 224
    fit: str = "stretch"
    filter: str = "nearest"
    antialias: bool = False
    channel_order: str = "RGB"
    scale: Factor = 1 / 127.5
    offset: Factor = -1.0
    scaling: str = "graph"
    longest_edge: int | None = None
    longest_edge_filter: str = "lanczos"
    layout: str = "NHWC"

    def __post_init__(self) -> None:
        possible: dict[str, tuple[Any, ...]] = {
            "fit": FITS,
            "filter": tuple(FILTERS),
            "antialias": (self.filter != "nearest",),
            "channel_order": ("RGB", "BGR"),
            "scaling": ("graph", "host"),
            "longest_edge_filter": tuple(filter for filter in FILTERS if filter != "nearest"),
            "layout": LAYOUTS,
        }
        for field, allowed in possible.items():
            given = getattr(self, field)
            if not any(type(given) is type(value) and given == value for value in allowed):
                told = ", ".join(str(value).lower() if isinstance(value, bool) else value for value in allowed)
                what = f" with filter {self.filter!r}" if field == "antialias" else ""
                raise CardError(f"preprocessing {field} is {_short(given)}{what}; possible: {told}")
        for side in ("width", "height"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096:
                raise CardError(f"preprocessing {side} is {_short(value)}; possible: a whole number from 1 to 4096")
        edge = self.longest_edge
        if edge is not None and (isinstance(edge, bool) or not isinstance(edge, int) or not 1 <= edge <= _LARGEST_EDGE):
            possible_edges = f"null, a whole number from 1 to {_LARGEST_EDGE}"
            raise CardError(f"preprocessing longest_edge is {_short(edge)}; possible: {possible_edges}")
        for factor in ("scale", "offset"):
            given = getattr(self, factor)
            values = given if isinstance(given, tuple) and len(given) == 3 else (given,)
            if not all(_is_factor(value, factor == "offset") for value in values):
                other = " other than 0" if factor == "scale" else ""
                shown = list(given) if isinstance(given, tuple) else given
                raise CardError(
                    f"preprocessing {factor} is {_short(shown)}; possible: a finite number{other}, or three"
                )

    @classmethod
    def from_json(cls, raw: Any) -> Preprocessing:
        """Read what `to_json` gives; without `longest_edge`, or with null, there is no such step; `layout` is NHWC.

        Raises:
            CardError: a part is missing, unknown or impossible. Nothing is guessed: each moves the score by more than
                quantisation does.
        """
        if not isinstance(raw, Mapping):
            raise CardError(f"preprocessing is {_short(raw)}; possible: an object")
        later = ("longest_edge", "longest_edge_filter")
        given = {key: value for key, value in raw.items() if key not in later or value is not None}
        names = {item.name for item in fields(cls)}
        needed = names.difference(("layout",) if "longest_edge" in given else ("layout", *later))
        unknown, missing = sorted(set(given) - names), sorted(needed - set(given))
        if unknown or missing:
            told = "; ".join(
                f"{what} {', '.join(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys
            )
            raise CardError(f"preprocessing is not as it must be: {repr(told)[1:-1]:.200}")
        factors = {key: tuple(given[key]) for key in ("scale", "offset") if isinstance(given[key], list)}
        return cls(**{**given, **factors})

    def to_json(self) -> dict[str, Any]:
        """As cards and run folders hold it; what a card's `format` does not know is left out."""
        given = asdict(self)
        if self.longest_edge is None:
            del given["longest_edge"], given["longest_edge_filter"]
        if self.layout == "NHWC":
            del given["layout"]
        return given

    @property
    def format(self) -> int:
        """Of cards that can say this: 1; 2 with a `longest_edge`; 3 with factors a channel or planes."""
        if self.layout != "NHWC" or isinstance(self.scale, tuple) or isinstance(self.offset, tuple):
            return 3
        return 1 if self.longest_edge is None else 2

    def scaled(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """`pixels * scale + offset` in single precision; the last axis of `pixels` is the channels."""
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        return pixels.astype(np.float32) * scale + offset

    def with_overrides(
        self,
        filter: str | None = None,
        fit: str | None = None,
        input_range: tuple[float, float] | None = None,
        longest_edge: int | None = None,
        mean: Factor | None = None,
        std: Factor | None = None,
        channel_order: str | None = None,
    ) -> Preprocessing:
        """The same with what somebody states of it.

        Args:
            filter: resampling to the input's size; with its own antialiasing.
            fit: "stretch" or "crop".
            input_range: what pixel values 0 and 255 became; before `mean` and `std`, where they are given.
            longest_edge: pixels; 0 for no such step.
            mean: then subtracted, in units of `input_range`; of each channel in `channel_order`, or one of all.
            std: then divided by, likewise.
            channel_order: "RGB" or "BGR".

        Raises:
            CardError: there is no such filter, fit, channel order or longest edge, or `mean` or `std` comes without an
                `input_range`.
        """
        how = self
        if filter is not None:
            how = replace(how, filter=filter, antialias=filter != "nearest")
        if fit is not None:
            how = replace(how, fit=fit)
        if channel_order is not None:
            how = replace(how, channel_order=channel_order)
        if input_range is not None:
            scale, offset = _factors(input_range, 0.0 if mean is None else mean, 1.0 if std is None else std)
            how = replace(how, scale=scale, offset=offset)
        elif mean is not None or std is not None:
            raise CardError("mean and std need input_range, what 0 and 255 are before them: 0,1 in PyTorch, or 0,255")
        if longest_edge is not None:
            how = replace(how, longest_edge=longest_edge or None)
        return how

    def reduced_size(self, width: int, height: int) -> tuple[int, int]:
        """Size of an upright picture after the step `longest_edge`: width, height.

        A picture up to `longest_edge` stays as it is. Of a larger one the longest edge becomes exactly that, the other
        side * longest_edge / longest, rounded half to even, at least 1.
        """
        longest = max(width, height)
        if self.longest_edge is None or longest <= self.longest_edge:
            return width, height
        edge = self.longest_edge
        return max(1, round(width * edge / longest)), max(1, round(height * edge / longest))

    def describe(self) -> str:
        """One line for a person."""
        smooth = "antialiased" if self.antialias else "no antialias"
        where = "inside the graph" if self.scaling == "graph" else "by the caller"
        first = ""
        if self.longest_edge is not None:
            first = (
                f"longest edge at most {self.longest_edge} by Pillow {self.longest_edge_filter.upper()} "
                f"(JPEG at any DCT scale of {DCT_MARGIN * self.longest_edge} or more), then "
            )
        if isinstance(self.scale, tuple) or isinstance(self.offset, tuple):
            scaled = f"p * {_three(self.scale)} + {_three(self.offset)}"
        else:
            scaled = f"p * {self.scale:.6g} {'-' if self.offset < 0 else '+'} {abs(self.offset):g}"
        return (
            f"{first}{self.width}x{self.height}, {self.fit}, Pillow {self.filter.upper()} ({smooth}), "
            f"{self.channel_order}, {scaled} {where}{'' if self.layout == 'NHWC' else f', {self.layout}'}"
        )


def _is_factor(value: Any, zero: bool) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _LARGEST_FACTOR and (zero or value != 0)


def _factors(input_range: tuple[float, float], mean: Factor, std: Factor) -> tuple[Factor, Factor]:
    """Scale and offset of `(p * (high - low) / 255 + low - mean) / std`; one number where the three are the same.

    Raises:
        CardError: `std` is 0.
    """
    low, high = input_range
    means, stds = np.broadcast_to(mean, 3).tolist(), np.broadcast_to(std, 3).tolist()
    if 0 in stds:
        raise CardError(f"std is {_short(std)}; possible: numbers other than 0")
    scales = [(high - low) / 255 / std for std in stds]
    offsets = [(low - mean) / std for mean, std in zip(means, stds, strict=True)]
    return _factor(scales), _factor(offsets)


def _factor(values: list[float]) -> Factor:
    first, second, third = values
    return first if first == second == third else (first, second, third)


def _three(factor: Factor) -> str:
    return f"({', '.join(f'{value:.6g}' for value in factor)})" if isinstance(factor, tuple) else f"{factor:.6g}"


def _short(value: object) -> str:
    """A value as Python writes it, cut where it would flood a message."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number too long to print"
    return text if len(text) <= 60 else text[:60] + "…"


def read_input(
    source: str | os.PathLike[str] | bytes,
    how: Preprocessing,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
    exact: bool = False,
    look: Callable[[Image.Image], None] | None = None,
    out: Pixels | None = None,
) -> Pixels:
    """Decode a photograph straight to the model's size: `to_input(read_rgb(source), how)` without the copies between.

    Where `how` has a `longest_edge`, a JPEG of at least 2 * DCT_MARGIN times that is decoded at the smallest of
    libjpeg's scales 1/2, 1/4 and 1/8 that keeps DCT_MARGIN times it: faster, and another input by a few levels.

    Args:
        source: a path, or the bytes of an encoded picture.
        how: the card's specification.
        max_megapixels: refuse larger pictures, in millions of pixels.
        exact: decode every JPEG in full.
        look: is shown the upright picture, mode RGB, once it is reduced to `how.longest_edge`.
        out: where to write, uint8, shape (how.height, how.width, 3); made when None.

    Returns:
        `out`, as `to_input`.

    Raises:
        PictureError: as `read_rgb`.
    """
    least = 0 if exact or how.longest_edge is None else DCT_MARGIN * how.longest_edge
    return _finish(_resize(*open_rgb(source, max_megapixels, least), how, look), how, out)


def to_input(rgb: Pixels, how: Preprocessing, out: Pixels | None = None) -> Pixels:
    """Bring an upright RGB picture to the model's size, as its card says.

    Args:
        rgb: uint8, shape (height, width, 3), red first. Any strides.
        how: the card's specification.
        out: where to write, uint8, shape (how.height, how.width, 3); made when None.

    Returns:
        `out`, still 0..255 and unscaled, in `how.channel_order`.
    """
    height, width = rgb.shape[:2]
    if how.filter == "nearest" and how.reduced_size(width, height) == (width, height):
        # Pillow's NEAREST takes the pixel under each output centre; picking them does the same without two copies
        # of a camera frame (a test holds the two equal).
        return _pick(rgb, how, out)
    return _finish(_resize(Image.fromarray(np.ascontiguousarray(rgb)), (width, height), how), how, out)


def _resize(
    image: Image.Image, size: tuple[int, int], how: Preprocessing, look: Callable[[Image.Image], None] | None = None
) -> Pixels:
    """`size` is the photograph's own: at a DCT scale the sides of `image` are rounded up."""
    reduced = how.reduced_size(*size)
    if reduced != image.size:  # else Pillow would copy it
        whole = (0.0, 0.0, float(image.width), float(image.height))
        image = _resample(image, reduced, how.longest_edge_filter, whole)
    if look is not None:
        look(image)
    return np.asarray(_resample(image, (how.width, how.height), how.filter, _box(*image.size, how)))


def _resample(
    image: Image.Image, size: tuple[int, int], filter: str, box: tuple[float, float, float, float]
) -> Image.Image:
    """Pillow's resize, with the order of its two passes as Pillow 13 has it (its pull request 9549) in any version.

    The order shows in the last bit or two: between the passes samples are rounded to 8 bits.
    """
    way, (width, height), (left, top, right, bottom) = FILTERS[filter], size, box
    down_first = image.height > height and image.height - height > 2 * (image.width - width)
    if down_first and filter != "nearest":
        down = image.resize((image.width, height), way, box=(0, top, image.width, bottom))
        return down.resize(size, way, box=(left, 0, right, height))
    return image.resize(size, way, box=box)


def _finish(picked: Pixels, how: Preprocessing, out: Pixels | None) -> Pixels:
    if out is None:
        out = np.empty((how.height, how.width, 3), np.uint8)
    out[...] = picked if how.channel_order == "RGB" else picked[..., ::-1]
    return out


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of a picture's shape and samples, as hexadecimal: "height,width,3:" in ASCII, then the bytes."""
    digest = hashlib.sha256(",".join(map(str, pixels.shape)).encode() + b":")
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _box(width: int, height: int, how: Preprocessing) -> tuple[float, float, float, float]:
    """The part of the picture that is used: left, top, right, bottom, in pixels."""
    used_width, used_height = float(width), float(height)
    # The side that limits is used whole, exactly: Pillow refuses a box that rounding moved past the edge.
    if how.fit == "crop" and width * how.height > height * how.width:
        used_width = height * how.width / how.height
    elif how.fit == "crop":
        used_height = width * how.height / how.width
    left, top = (width - used_width) / 2, (height - used_height) / 2
    # Pillow keeps a box in single precision; rounded here, it is the same for every filter.
    single = np.array([left, top, left + used_width, top + used_height], np.float32)
    left, top, right, bottom = single.tolist()
    return left, top, right, bottom


@lru_cache(maxsize=8)
def _where(width: int, height: int, how: Preprocessing) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of the source: the row of each row of the model's input, and the place in it of each of a row's samples.

    Kept: cameras do not change their size.
    """
    left, top, right, bottom = _box(width, height, how)
    channels = np.arange(3) if how.channel_order == "RGB" else np.arange(3)[::-1]
    columns = (_centres(left, right, how.width)[:, None] * 3 + channels).ravel()
    return _centres(top, bottom, how.height), columns


class _Kept(threading.local):
    """Of each thread: the rows of a frame that are looked at. Made anew for each they cost a hundredth of its score."""

    rows: Pixels = np.empty((0, 0, 3), np.uint8)


_KEPT = _Kept()


def _pick(rgb: Pixels, how: Preprocessing, out: Pixels | None) -> Pixels:
    height, width = rgb.shape[:2]
    if out is None:
        out = np.empty((how.height, how.width, 3), np.uint8)
    rows, samples = _where(width, height, how)
    # Whole rows, then single bytes: NumPy has a loop of its own for bytes, none for pixels of three. In mode "raise"
    # `out` would be buffered.
    if rgb.flags.c_contiguous:
        if _KEPT.rows.shape != (how.height, width, 3):
            _KEPT.rows = np.empty((how.height, width, 3), np.uint8)
        picked = rgb.take(rows, axis=0, out=_KEPT.rows, mode="clip").reshape(how.height, -1)
    else:  # of which `take` would copy the whole
        picked = rgb[rows].reshape(how.height, -1)
    if out.flags.c_contiguous:
        picked.take(samples, axis=1, out=out.reshape(how.height, -1), mode="clip")
    else:
        out[...] = picked.take(samples, axis=1).reshape(out.shape)
    return out


def _centres(start: float, stop: float, count: int) -> NDArray[np.intp]:
    """Index of the source pixel under each of `count` output centres, summed up step by step as Pillow does."""
    steps = np.full(count, float(np.float32(stop) - np.float32(start)) / count)
    steps[0] = start + steps[0] * 0.5
    indices: NDArray[np.intp] = np.clip(np.cumsum(steps).astype(np.intp), 0, int(np.ceil(stop)) - 1)
    return indices
