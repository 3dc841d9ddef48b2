"""A card for a .tflite that was made elsewhere: what it says of itself, what somebody states of it, golden probes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from edge_nima.card import Card, read_card
from edge_nima.errors import CardError, ModelError, PackageMissing, RequestError, printable, reason
from edge_nima.interpreter import fitted, runtime_name
from edge_nima.pixels import Factor, Preprocessing
from edge_nima.registry import entries
from edge_nima.scorer import load_model
from edge_nima_convert.probes import pictures_from_card, score_probes
from edge_nima_convert.tflite.card import embed_card

REFERENCE = "the model itself, on the machine that wrote this card: its float model was not at hand"
TOLERANCE = 0.03
"""Rating points, as of converted models: what other processors' integer arithmetic may differ by."""


def preprocessing_like(other: str) -> Preprocessing:
    """How another model wants its pixels.

    Args:
        other: path of a .tflite with a card or of a card (.json), or a name that `edge-nima models list` shows.

    Raises:
        ModelError, CardError: there is none of that name, or it carries no card.
    """
    known = next((entry.preprocessing for entry in entries() if entry.name == other), None)
    if known is not None:
        return known
    if not other.endswith(".json"):
        return load_model(other).card.preprocessing
    try:
        return Card.from_json(Path(other).read_bytes()).preprocessing
    except (OSError, CardError) as error:
        raise CardError(f"cannot read the card '{printable(other)}': {reason(error)}") from error


def with_card(
    path: Path,
    like: Preprocessing | None = None,
    *,
    filter: str | None = None,
    fit: str | None = None,
    input_range: tuple[float, float] | None = None,
    mean: Factor | None = None,
    std: Factor | None = None,
    channel_order: str | None = None,
    layout: str | None = None,
    longest_edge: int | None = None,
    name: str | None = None,
    licence: str = "unknown",
    attribution: str = "",
) -> tuple[bytes, Card]:
    """Put a card into a .tflite scorer that has none.

    Width, height and layout come from the file, the rest from what is stated, then from `like`. The golden probes'
    pictures are those of the bundled model; this model scores them here.

    Args:
        path: the .tflite.
        like: how a model of the same training wants its pixels.
        filter, fit, input_range, mean, std, channel_order, longest_edge: as `Preprocessing.with_overrides`.
        layout: "NHWC" or "NCHW"; needed only where the file leaves it open.
        name: what records call it; None for the file's own name.
        licence, attribution: of the weights.

    Returns:
        The .tflite with its card, and the card.

    Raises:
        RequestError: the filter or the range is neither stated nor in `like`.
        ModelError: not a .tflite, or not one picture in and ten proportions out.
        CardError: it has a card; something stated is impossible, or contradicts the file.
        PackageMissing: LiteRT or flatbuffers is not installed.
    """
    _need_packages()
    shown, content = printable(path), _read(path)
    if like is None and (filter is None or input_range is None):
        raise RequestError(
            f"'{shown}' does not say how it wants its pixels: give --like MODEL, or --set filter=bilinear and "
            "--set input_range=-1,1 (what 0 and 255 become), as it was trained"
        )
    card = Card(
        name=printable(path.stem) if name is None else name,
        preprocessing=like or Preprocessing(), licence=licence, attribution=attribution,
        source={"file": printable(path.name), "sha256": hashlib.sha256(content).hexdigest(), "reference": REFERENCE},
        converter={"edge-nima": version("edge-nima"), "runtime": runtime_name()},
        tolerance={"own": TOLERANCE, "reference": TOLERANCE},
    )  # fmt: skip
    try:
        how = card.preprocessing.with_overrides(filter, fit, input_range, longest_edge, mean, std, channel_order)
        card = replace(card, preprocessing=fitted(content, how, layout))
        card = replace(card, probes=score_probes(pictures_from_card(load_model().card), card, content))
        return embed_card(content, Card.from_json(card.to_json())), card
    except (ModelError, CardError) as error:
        raise type(error)(f"'{shown}': {error}") from error


def _read(path: Path) -> bytes:
    """A .tflite that has no card."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot open the model '{printable(path)}': {reason(error)}") from error
    if read_card(content) is not None:
        raise CardError(f"'{printable(path)}' carries a card already: edge-nima card shows it")
    return content


def _need_packages() -> None:
    try:
        import ai_edge_litert.schema_py_generated  # noqa: F401
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise PackageMissing("writing a card needs LiteRT's schema: pip install ai-edge-litert flatbuffers") from error
