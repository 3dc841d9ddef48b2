"""What is wrong with photographs that are to calibrate: too few, repeated, of one colour, or noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.errors import CalibrationError
from edge_nima.labels import few

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
by bilinear; gravel and walls are the lowest. Faint noise (deviation 3) that was a JPEG has .5 from the codec's own
blocks and passes.
"""

_BLOCK = 8
_FEWEST_BLOCKS = 256  # of fewer, noise itself correlates by chance


def check_repeats(names: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Warnings about too few different photographs, and about repeated ones, by names and SHA-256 of the pixels.

    Raises:
        CalibrationError: fewer than `FEWEST` are different, or more than `MOST` are one and the same.
    """
    times = Counter(sha256)
    if len(times) < FEWEST:
        told = f"{len(times)} different photographs cannot calibrate int8"
        raise CalibrationError(f"{told}: give {ENOUGH} or more, at least {FEWEST}")
    commonest, count = times.most_common(1)[0]
    if count > MOST * len(sha256):
        told = f"{count} of {len(sha256)} calibration photographs are one and the same"
        raise CalibrationError(f"{told} ('{names[sha256.index(commonest)]}'): give each once")
    warnings = []
    if len(times) < ENOUGH:
        warnings.append(f"only {len(times)} different calibration photographs; {ENOUGH} or more are advised")
    again = [name for i, name in enumerate(names) if sha256.index(sha256[i]) != i]
    if again:
        warnings.append(f"{len(again)} calibration photographs are duplicates: {few(again)}")
    return warnings


def check_pictures(names: Sequence[str], pixels: Pixels) -> list[str]:
    """Warnings about pictures, uint8 (n, height, width, 3), that are no photographs.

    Raises:
        CalibrationError: most are of one colour or noise.
    """
    found: dict[str, list[str]] = {}
    for name, picture in zip(names, pixels, strict=True):
        fault = picture_fault(picture)
        if fault:
            found.setdefault(fault, []).append(name)
    if sum(map(len, found.values())) > MOST * len(pixels):
        told = " and ".join(f"{len(which)} {fault}" for fault, which in found.items())
        raise CalibrationError(f"most of {len(pixels)} calibration pictures are no photographs: {told}")
    n = len(pixels)
    return [f"{len(which)} of {n} calibration photographs {fault}: {few(which)}" for fault, which in found.items()]


def picture_fault(picture: Pixels) -> str:
    """Why a picture, uint8 (height, width, 3), is no photograph, as a verb phrase; "" where nothing is wrong."""
    if picture.std(axis=(0, 1)).max() < CONSTANT_BELOW:
        return "are of one colour"
    return "look like noise" if neighbour_correlation(picture) < NOISE_BELOW else ""


def neighbour_correlation(picture: Pixels) -> float:
    """How much a pixel of a picture, uint8 (height, width, 3), tells of the next, at two scales: see `NOISE_BELOW`.

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
