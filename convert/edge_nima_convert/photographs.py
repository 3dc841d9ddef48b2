"""Photographs as model inputs: those that calibrate, and those that judge."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import CalibrationError, PictureError, printable
from edge_nima.pixels import Pixels, Preprocessing, pixels_sha256, read_input

FEWEST = 10
"""Fewer calibration photographs than this are refused; the ranges would be those of the few."""
ENOUGH = 100
"""Below this a calibration is warned about. 100 and 400 measured the same."""


@dataclass(frozen=True)
class Inputs:
    """Photographs brought to a model's size."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    paths: tuple[Path, ...]
    hashes: frozenset[str]
    """Of the pixels, to tell duplicates and overlaps."""
    unreadable: tuple[str, ...]
    """"name: reason" of those left out."""


def load_inputs(photographs: Sequence[Path], how: Preprocessing, step: Callable[[], None] = lambda: None) -> Inputs:
    """Decode and resize photographs as the card says; those that cannot be read are left out and named.

    Args:
        photographs: paths.
        how: the specification.
        step: called after each.
    """
    pixels, paths, unreadable = [], [], []
    for path in photographs:
        try:
            pixels.append(read_input(path, how))
            paths.append(path)
        except PictureError as error:
            unreadable.append(f"{printable(path)}: {error}")
        step()
    stacked = np.stack(pixels) if pixels else np.zeros((0, how.height, how.width, 3), np.uint8)
    return Inputs(stacked, tuple(paths), frozenset(map(pixels_sha256, stacked)), tuple(unreadable))


def draw(photographs: Sequence[Path], count: int, seed: int) -> list[Path]:
    """Draw `count` photographs, the same for the same seed, in their own order; all when there are no more."""
    if len(photographs) <= count:
        return list(photographs)
    chosen = sorted(random.Random(seed).sample(range(len(photographs)), count))
    return [photographs[i] for i in chosen]


def check_calibration(inputs: Inputs) -> list[str]:
    """Warnings about a calibration set.

    Raises:
        CalibrationError: too few different photographs.
    """
    different = len(inputs.hashes)
    if different < FEWEST:
        raise CalibrationError(
            f"{different} different photographs cannot calibrate int8: give {ENOUGH} or more, at least {FEWEST}"
        )
    warnings = []
    if different < ENOUGH:
        warnings.append(f"only {different} different calibration photographs; {ENOUGH} or more are advised")
    if different < len(inputs.paths):
        warnings.append(f"{len(inputs.paths) - different} calibration photographs are duplicates")
    return warnings


def describe_calibration(inputs: Inputs, seed: int, means: NDArray[np.float64]) -> dict[str, Any]:
    """The card's summary of a calibration; a photograph's id is its file name.

    Args:
        inputs: the photographs.
        seed: of their draw.
        means: shape (n,): the mean ratings that the float checkpoint predicts; their counts in ten equal bins of 1..10
            say how much of the scale was seen.
    """
    counts, _ = np.histogram(means, bins=10, range=(1, 10))
    ids = "\n".join(sorted(path.name for path in inputs.paths))
    return {
        "n": len(inputs.paths),
        "different": len(inputs.hashes),
        "ids_sha256": hashlib.sha256(ids.encode("utf-8", "surrogateescape")).hexdigest(),
        "bins": counts.tolist(),
        "bins_by": "mean rating that the float checkpoint predicts, ten equal bins of 1..10",
        "seed": seed,
    }
