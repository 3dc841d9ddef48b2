"""Photographs as model inputs: those that calibrate, and those that judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.ava import few
from edge_nima.distribution import mean_rating
from edge_nima.errors import CalibrationError, PictureError, printable
from edge_nima.pixels import Pixels, Preprocessing, pixels_sha256, read_input
from edge_nima_convert.lint import check_form, check_pictures, check_repeats

if TYPE_CHECKING:
    from edge_nima_convert.draws import Draw

_AT_A_TIME = 64


@dataclass(frozen=True)
class Inputs:
    """Photographs brought to a model's size."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    """Of each one's pixels, see `pixels_sha256`."""
    unreadable: tuple[str, ...]
    """"name: reason" of those left out."""

    @cached_property
    def hashes(self) -> frozenset[str]:
        """Of the pixels, to tell duplicates and overlaps."""
        return frozenset(self.sha256)


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
    return Inputs(stacked, tuple(paths), tuple(map(pixels_sha256, stacked)), tuple(unreadable))


def predicted_means(
    photographs: Sequence[Path],
    how: Preprocessing,
    predict: Callable[[Pixels], NDArray[Any]],
    step: Callable[[], None] = lambda: None,
) -> tuple[list[Path], NDArray[np.float64], list[str]]:
    """The float model's mean ratings, which make the bins where there are no labels. Pixels are not kept.

    Args:
        photographs: paths.
        how: the specification.
        predict: uint8, shape (n, height, width, 3), to distributions, shape (n, 10).
        step: called after each photograph.

    Returns:
        The photographs that can be read, their means, shape (n,), and "name: reason" of the others.
    """
    paths: list[Path] = []
    unreadable: list[str] = []
    means: list[NDArray[np.float64]] = []
    for start in range(0, len(photographs), _AT_A_TIME):
        inputs = load_inputs(photographs[start : start + _AT_A_TIME], how, step)
        paths += inputs.paths
        unreadable += inputs.unreadable
        if inputs.paths:
            means.append(mean_rating(predict(inputs.pixels)))
    return paths, np.concatenate([np.zeros(0), *means]), unreadable


def check_calibration(
    inputs: Inputs, *, how: Preprocessing | None = None, draw: Draw | None = None, judging: Set[str] = frozenset()
) -> list[str]:
    """Warnings about a calibration set, one line each.

    Args:
        inputs: the photographs.
        how: the specification that they should have passed.
        draw: how they were drawn, where from rating bins.
        judging: hashes of the pixels of the photographs that judge the conversion.

    Raises:
        CalibrationError: too few different photographs, mostly one and the same, mostly constant or noise, or pixels
            that are not of the model's input.
    """
    names = [printable(path.name) for path in inputs.paths]
    check_form(inputs.pixels, how)
    if not len(inputs.pixels) == len(names) == len(inputs.sha256):
        raise CalibrationError(f"{len(inputs.pixels)} pictures with {len(names)} names and {len(inputs.sha256)} hashes")
    warnings = check_repeats(names, inputs.sha256) + check_pictures(names, inputs.pixels)
    if draw is not None:
        warnings += draw.empty_bins()
    return warnings + check_overlap(inputs, judging)


def check_overlap(inputs: Inputs, judging: Set[str]) -> list[str]:
    """A warning when photographs both calibrate and judge, by the hashes of their pixels."""
    shared = [printable(p.name) for p, digest in zip(inputs.paths, inputs.sha256, strict=True) if digest in judging]
    if not shared:
        return []
    return [f"{len(shared)} photographs both calibrate and judge; the agreement flatters int8: {few(shared)}"]


def describe_calibration(
    inputs: Inputs, seed: int, means: NDArray[np.float64], *, draw: Draw | None = None
) -> dict[str, Any]:
    """The card's summary of a calibration; a photograph's id is its file name.

    Args:
        inputs: the photographs.
        seed: of their draw.
        means: shape (n,): the mean ratings that the float checkpoint predicts; their counts in ten equal bins of 1..10
            say how much of the scale was seen.
        draw: how they were drawn, where from rating bins; then the counts are those of its bins and means.
    """
    counts, _ = np.histogram(means, bins=10, range=(1, 10))
    ids = "\n".join(sorted(path.name for path in inputs.paths))
    described = {
        "n": len(inputs.paths),
        "different": len(inputs.hashes),
        "ids_sha256": hashlib.sha256(ids.encode("utf-8", "surrogateescape")).hexdigest(),
        "pixels_sha256": hashlib.sha256("\n".join(sorted(inputs.sha256)).encode()).hexdigest(),
        "bins": counts.tolist(),
        "bins_by": "mean rating that the float checkpoint predicts, ten equal bins of 1..10",
        "seed": seed,
    }
    return described if draw is None else {**described, **draw.summary()}
