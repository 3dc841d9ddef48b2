"""What is wrong with pixels that are to calibrate: too few, repeated, constant, noise, or not brought to the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.ava import few
from edge_nima.errors import CalibrationError
from edge_nima.pixels import Pixels, Preprocessing

FEWEST = 10
"""Fewer calibration photographs than this are refused; the ranges would be those of the few."""
ENOUGH = 100
"""Below this a calibration is warned about. 100 and 400 measured the same."""
MOST = 0.5
"""A set of which more than this share is faulty is refused; below, the faulty ones are named."""

CONSTANT_BELOW = 0.5
"""Standard deviation of each colour, in 0..255, below which a picture is constant. A single colour has 0; the flattest
of 3,337 real photographs 0.98, the next 1.5."""

NOISE_BELOW = 0.33
"""Correlation of neighbours below which a picture is noise, see `neighbour_correlation`.

Measured at 224x224. Noise (uniform, Gaussian of deviation 40 or 3, grey, black and white; 224 to 4000 pixels wide): at
most .17 by nearest, box, hamming, bicubic and Lanczos, .28 by bilinear, whose triangle reaches over two neighbours.
Photographs (2,700 of BIQ2021, 629 of OASIS, 5 of AVA, 3 of 24 megapixels): at least .41 by nearest, .54 by Lanczos, .67
by bilinear; gravel and walls are the lowest. Pixels alone do not tell the two apart: nearest makes a wall as rough as
.14. Faint noise (deviation 3) that was a JPEG has .5 from the codec's own blocks and passes.
"""

_BLOCK = 8
_FEWEST_BLOCKS = 256  # of fewer, noise itself correlates by chance
_DARKEST_SPAN = 128


@dataclass(frozen=True)
class Faults:
    """Which of n pictures are not photographs; indices."""

    constant: tuple[int, ...]
    noise: tuple[int, ...]
    unscaled: tuple[int, ...]
    """Those of nothing but 0, 1 and 255: what pixels of -1..1 or 0..1 become when they are cast to uint8."""


def find_faults(pixels: Pixels) -> Faults:
    """Look at each picture: uint8, shape (n, height, width, 3)."""
    constant, noise, unscaled = [], [], []
    for i, picture in enumerate(pixels):
        levels = np.flatnonzero(np.bincount(picture.ravel(), minlength=256))
        if 1 in levels and set(levels) <= {0, 1, 255}:
            unscaled.append(i)
        elif picture.std(axis=(0, 1)).max() < CONSTANT_BELOW:
            constant.append(i)
        elif neighbour_correlation(picture) < NOISE_BELOW:
            noise.append(i)
    return Faults(tuple(constant), tuple(noise), tuple(unscaled))


def neighbour_correlation(picture: Pixels) -> float:
    """How much a pixel tells of the next, at two scales: see `NOISE_BELOW`.

    Args:
        picture: uint8, shape (height, width, 3).

    Returns:
        -1..1: the largest correlation, across or down, of the brightness of pixels, or of means of 8x8 pixels. 1 where
        nothing varies, or there are too few pixels to tell.
    """
    grey = picture.mean(axis=2, dtype=np.float64)
    height, width = (side // _BLOCK * _BLOCK for side in grey.shape)
    blocks = grey[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    if blocks.size < _FEWEST_BLOCKS:
        return 1.0
    return max(_correlation(g[:, 1:], g[:, :-1]) for g in (grey, grey.T, blocks, blocks.T))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    # Not agreement.pearson: that is nan of one shade, of which nothing bad is to be said here.
    x, y = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 1e-9 else 1.0


def check_form(pixels: NDArray[Any], how: Preprocessing | None = None) -> None:
    """Refuse an array that `load_inputs` did not make.

    Args:
        pixels: what is to be uint8, shape (n, height, width, 3).
        how: the specification whose size they are to have.

    Raises:
        CalibrationError: another dtype or shape.
    """
    if pixels.dtype != np.uint8:
        raise CalibrationError(
            f"calibration pixels are {pixels.dtype}; possible: uint8 0..255, unscaled, as load_inputs makes them"
        )
    size = None if how is None else (how.height, how.width)
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or (size is not None and pixels.shape[1:3] != size):
        told = "height, width" if size is None else f"{size[0]}, {size[1]}"
        raise CalibrationError(f"calibration pixels have shape {pixels.shape}; possible: (n, {told}, 3)")


def check_repeats(names: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Warnings about too few different photographs, and about repeated ones.

    Args:
        names: n of them.
        sha256: of each one's pixels.

    Raises:
        CalibrationError: fewer than `FEWEST` are different, or more than `MOST` are one and the same.
    """
    times, first = Counter(sha256), {digest: i for i, digest in reversed([*enumerate(sha256)])}
    if len(times) < FEWEST:
        raise CalibrationError(
            f"{len(times)} different photographs cannot calibrate int8: give {ENOUGH} or more, at least {FEWEST}"
        )
    commonest, count = times.most_common(1)[0]
    if count > MOST * len(sha256):
        name = names[first[commonest]]
        raise CalibrationError(
            f"{count} of {len(sha256)} calibration photographs are one and the same ('{name}'): give each once"
        )
    warnings = []
    if len(times) < ENOUGH:
        warnings.append(f"only {len(times)} different calibration photographs; {ENOUGH} or more are advised")
    if len(times) < len(sha256):
        again = [name for i, name in enumerate(names) if first[sha256[i]] != i]
        warnings.append(f"{len(again)} calibration photographs are duplicates: {few(again)}")
    return warnings


def check_pictures(names: Sequence[str], pixels: Pixels) -> list[str]:
    """Warnings about pictures that are no photographs.

    Args:
        names: n of them.
        pixels: uint8, shape (n, height, width, 3), n at least 1.

    Raises:
        CalibrationError: most hold nothing but 0, 1 and 255, or most are constant or noise.
    """
    faults, n = find_faults(pixels), len(pixels)
    cast = "hold nothing but 0, 1 and 255, as scaled pixels (-1..1 or 0..1) do when they are cast to uint8"
    if len(faults.unscaled) > MOST * n:
        raise CalibrationError(f"{len(faults.unscaled)} of {n} calibration pictures {cast}: give them unscaled, 0..255")
    if len(faults.constant) + len(faults.noise) + len(faults.unscaled) > MOST * n:
        kinds = ((faults.constant, "of one colour"), (faults.noise, "noise"), (faults.unscaled, "of 0, 1 and 255 only"))
        told = " and ".join(f"{len(which)} {what}" for which, what in kinds if which)
        raise CalibrationError(f"most of {n} calibration pictures are no photographs, {told}: give real photographs")
    warnings = []
    for which, what in (
        (faults.constant, "are of one colour"),
        (faults.noise, "look like noise"),
        (faults.unscaled, cast),
    ):
        if which:
            warnings.append(f"{len(which)} of {n} calibration photographs {what}: {few([names[i] for i in which])}")
    low, high = int(pixels.min()), int(pixels.max())
    if high - low < _DARKEST_SPAN:
        warnings.append(
            f"all calibration pixels together lie in {low}..{high} of 0..255: were they scaled before the model scales?"
        )
    return warnings
