"""A checkpoint to finished .tflite files: converted, measured against the float model, judged, carded, written."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.agreement import Agreement
from edge_nima.card import Card
from edge_nima.comparison import Comparison, compare
from edge_nima.distribution import Floats
from edge_nima.gate import Gate, Verdict, judge
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Pixels
from edge_nima_convert.checkpoint import Checkpoint
from edge_nima_convert.embed import embed_card
from edge_nima_convert.output import work_folder
from edge_nima_convert.probes import Picture, model_input, score_probes
from edge_nima_convert.recipes import Recipe, convert

Step = Callable[[], None]
Progress = Callable[[str, int, int, str], None]
"""Called with the stage, how much of it is done, of how much, and a note such as "MAE .021"."""


def _unseen(stage: str, done: int, total: int, note: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Yardstick:
    """Photographs with the float model's opinion of them."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    reference: NDArray[np.float32]
    """float32, shape (n, 10)."""
    names: tuple[str, ...]
    """Of the photographs: paths, where they are files."""
    on: str
    """Which photographs, in words."""
    seen: str = ""
    """Why they cannot prove that a conversion passes; "" where nothing speaks against them."""
    people: Floats | None = None
    """float64, shape (n, 10): people's ratings, `nan` where a photograph has none; None where none has."""
    people_source: str = ""
    """Whose ratings they are."""
    inferred: bool = False
    """Whether `people` are max-entropy histograms of known means."""


@dataclass(frozen=True)
class Material:
    """Photographs that recipes learn from; those that need none leave them alone."""

    calibration: Pixels | None = None
    """uint8, shape (n, height, width, 3): what sets the integer ranges."""
    names: tuple[str, ...] = ()
    """Of those photographs."""
    described: dict[str, Any] | None = None
    """The calibration, for the card."""
    document: dict[str, Any] | None = None
    """The calibration, photograph by photograph."""
    training: Pixels | None = None
    """uint8, shape (n, height, width, 3), without ratings: what a recipe that trains imitates the float model on."""


@dataclass(frozen=True)
class Converted:
    """One finished conversion."""

    recipe: Recipe
    path: Path
    """Where it belongs; `output.write_model` puts it there."""
    content: bytes
    """The .tflite, card included."""
    comparison: Comparison
    """With the float model, on the yardstick."""
    verdict: Verdict
    seconds: float

    @property
    def agreement(self) -> Agreement:
        """With the float model, on the yardstick."""
        return self.comparison.agreement

    @property
    def size(self) -> int:
        """Bytes, card included."""
        return len(self.content)


def ask_float(checkpoint: Checkpoint, pixels: Pixels, step: Step = lambda: None) -> NDArray[np.float32]:
    """The float model's opinion of photographs.

    Args:
        checkpoint: the float model.
        pixels: uint8, shape (n, height, width, 3), n at least 1.
        step: called after each photograph.

    Returns:
        float32, shape (n, 10).
    """
    opinions = []
    for part in checkpoint.predict_parts(pixels):
        opinions.append(part)
        for _ in part:
            step()
    return np.concatenate(opinions)


def convert_one(
    checkpoint: Checkpoint,
    recipe: Recipe,
    path: Path,
    yardstick: Yardstick,
    pictures: Sequence[Picture],
    gate: Gate,
    material: Material | None = None,
    progress: Progress = _unseen,
) -> Converted:
    """Convert, measure and judge; nothing is written but, by recipes that take long, the folder they resume from.

    Args:
        checkpoint: the float model.
        recipe: how.
        path: where the file belongs.
        yardstick: what the agreement is measured on.
        pictures: golden probes to be.
        gate: the tolerances that it is held against.
        material: photographs for recipes that need them.
        progress: called by recipes that take long, and after each photograph of the yardstick.

    Raises:
        CalibrationError, CheckpointError: as `recipes.convert`.
        RequestError: the yardstick is none: no photographs, or ratings that are no histograms.
    """
    started = perf_counter()
    material = material or Material()
    plain = _flatbuffer(checkpoint, recipe, material, work_folder(path), progress)
    distributions = score_pixels(plain, checkpoint, yardstick.pixels, progress)
    label = f"{checkpoint.name}-{recipe.name}"
    comparison = compare(
        yardstick.names, yardstick.reference, distributions, yardstick.people,
        reference_name=f"{checkpoint.name} (float)", candidate_name=label, on=yardstick.on,
        people_source=yardstick.people_source, inferred=yardstick.inferred,
        preprocessing=checkpoint.preprocessing.describe(), warnings=[yardstick.seen] if yardstick.seen else (),
    )  # fmt: skip
    expected = checkpoint.predict(np.stack([model_input(picture, checkpoint.preprocessing) for picture in pictures]))
    card = Card(
        name=label,
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
        calibration=material.described if recipe.needs_calibration else None,
        agreement=_described(comparison),
        tolerance={"own": recipe.own_tolerance, "reference": recipe.reference_tolerance},
        probes=score_probes(pictures, checkpoint, plain, expected),
    )
    # The size is judged with a verdict in the card already: one that passes is the very same, of the same length.
    sized = embed_card(plain, replace(card, gate=_judge(gate, comparison, yardstick)))
    verdict = _judge(gate, comparison, yardstick, len(sized))
    content = embed_card(plain, replace(card, gate=verdict))
    return Converted(recipe, path, content, comparison, verdict, perf_counter() - started)


def _judge(gate: Gate, comparison: Comparison, yardstick: Yardstick, size: int | None = None) -> Verdict:
    people = comparison.against_people
    return judge(
        gate, comparison.agreement, yardstick.on, seen=yardstick.seen, size=size,
        people_srcc_change=people.difference.srcc.value if people else None,
    )  # fmt: skip


def _described(comparison: Comparison) -> dict[str, Any]:
    """A comparison for the card."""
    described = {"with": "the float checkpoint", "on": comparison.on, **asdict(comparison.agreement)}
    people = comparison.against_people
    if people is not None:
        described |= {
            "people": people.source, "people_n": people.n, "people_srcc": people.candidate.srcc.value,
            "people_srcc_float": people.reference.srcc.value,
        }  # fmt: skip
    return described


def needs_training(recipe: Recipe) -> bool:
    """Whether a recipe imitates the float model on photographs of its own, in a run that takes long."""
    return bool(getattr(recipe, "needs_training", False))


def _flatbuffer(checkpoint: Checkpoint, recipe: Recipe, material: Material, work: Path, progress: Progress) -> bytes:
    """The one call of `recipes.convert`."""
    trains: dict[str, Any] = {"training": material.training, "work": work, "progress": progress}
    return convert(checkpoint, recipe, material.calibration, **(trains if needs_training(recipe) else {}))


def score_pixels(
    model: bytes, checkpoint: Checkpoint, pixels: Pixels, progress: Progress = _unseen
) -> NDArray[np.float32]:
    """What a .tflite says of inputs.

    Args:
        model: the file, with or without a card.
        checkpoint: where the preprocessing comes from.
        pixels: uint8, shape (n, height, width, 3).
        progress: called after each.

    Returns:
        float32, shape (n, 10).
    """
    interpreter = Interpreter(model, checkpoint.preprocessing, threads=1)
    distributions = []
    for picture in pixels:
        interpreter.pixels[...] = picture
        distributions.append(interpreter.run())
        progress("measuring", len(distributions), len(pixels), "")
    return np.stack(distributions)


def best_of(converted: Iterable[Converted]) -> Converted:
    """The smallest that passed its gate; where none did, the one nearest to the float model by MAE.

    Args:
        converted: at least one.
    """
    everyone = list(converted)
    passed = [one for one in everyone if one.verdict.status == "passed"]
    if passed:
        return min(passed, key=lambda one: one.size)
    return min(everyone, key=lambda one: (not np.isfinite(one.agreement.mae), one.agreement.mae))
