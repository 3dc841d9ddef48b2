"""A checkpoint to finished .tflite files: converted, measured against the float model, carded, written whole."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.agreement import Agreement, measure_agreement
from edge_nima.card import Card
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Pixels
from edge_nima.records import write_whole
from edge_nima_convert.checkpoint import Checkpoint
from edge_nima_convert.embed import embed_card
from edge_nima_convert.probes import Picture, model_input, score_probes
from edge_nima_convert.recipes import Recipe, convert

Step = Callable[[], None]


@dataclass(frozen=True)
class Yardstick:
    """Photographs with the float model's opinion of them."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    reference: NDArray[np.float32]
    """float32, shape (n, 10)."""
    on: str
    """Which photographs, in words."""


@dataclass(frozen=True)
class Converted:
    """One finished file."""

    recipe: Recipe
    path: Path
    size: int
    """Bytes, card included."""
    agreement: Agreement
    seconds: float


def make_yardstick(checkpoint: Checkpoint, pixels: Pixels, on: str, step: Step = lambda: None) -> Yardstick:
    """Ask the float model about photographs.

    Args:
        checkpoint: the float model.
        pixels: uint8, shape (n, height, width, 3), n at least 1.
        on: which photographs these are, in words.
        step: called after each photograph.
    """
    opinions = []
    for part in checkpoint.predict_parts(pixels):
        opinions.append(part)
        for _ in part:
            step()
    return Yardstick(pixels, np.concatenate(opinions), on)


def output_paths(checkpoint: Checkpoint, recipes: Sequence[Recipe], out: Path, overwrite: bool) -> dict[str, Path]:
    """Where each recipe's file will be.

    Raises:
        RequestError: one exists and `overwrite` is False.
        OutputError: the folder cannot be made.
    """
    paths = {recipe.name: out / f"{checkpoint.name}-{recipe.name}.tflite" for recipe in recipes}
    there = [path for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise RequestError(f"'{printable(there[0])}' exists: --overwrite replaces it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{printable(out)}': {reason(error)}") from error
    return paths


def convert_one(
    checkpoint: Checkpoint,
    recipe: Recipe,
    path: Path,
    yardstick: Yardstick,
    pictures: Sequence[Picture],
    calibration: tuple[Pixels, dict[str, Any]] | None = None,
    step: Step = lambda: None,
) -> Converted:
    """Convert, measure, and write one file with its card.

    Args:
        checkpoint: the float model.
        recipe: how.
        path: where.
        yardstick: what the agreement is measured on.
        pictures: golden probes to be.
        calibration: pixels and their description, for recipes that need them.
        step: called after each photograph of the yardstick.

    Raises:
        CalibrationError, CheckpointError: as `recipes.convert`.
        OutputError: the file cannot be written.
    """
    started = perf_counter()
    plain = convert(checkpoint, recipe, calibration[0] if calibration else None)
    interpreter = Interpreter(plain, checkpoint.preprocessing, threads=1)
    candidate = []
    for pixels in yardstick.pixels:
        interpreter.pixels[...] = pixels
        candidate.append(interpreter.run())
        step()
    agreement = measure_agreement(yardstick.reference, np.stack(candidate))
    expected = checkpoint.predict(np.stack([model_input(picture, checkpoint.preprocessing) for picture in pictures]))
    card = Card(
        name=f"{checkpoint.name}-{recipe.name}",
        preprocessing=checkpoint.preprocessing,
        recipe=recipe.name,
        licence=checkpoint.licence,
        attribution=checkpoint.attribution,
        source=checkpoint.source,
        converter={
            "edge-nima": version("edge-nima"),
            "tensorflow": version("tensorflow"),
            "keras": version("keras"),
            "python": platform.python_version(),
        },
        calibration=calibration[1] if calibration and recipe.needs_calibration else None,
        agreement={"with": "the float checkpoint", "on": yardstick.on, **asdict(agreement)},
        tolerance={"own": recipe.own_tolerance, "reference": recipe.reference_tolerance},
        probes=score_probes(pictures, checkpoint, plain, expected),
    )
    content = embed_card(plain, card)
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error
    return Converted(recipe, path, len(content), agreement, perf_counter() - started)
