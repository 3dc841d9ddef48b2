"""Golden probes run on this machine: its decoding, its resizing, its arithmetic, each held against the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edge_nima.card import Probe
from edge_nima.decode import read_rgb
from edge_nima.distribution import mean_rating
from edge_nima.errors import CardError, EdgeNimaError, reason
from edge_nima.interpreter import Interpreter, OpenRuntime, open_runtime
from edge_nima.pixels import Preprocessing, pixels_sha256, to_input
from edge_nima.scorer import ModelFile


@dataclass(frozen=True)
class ProbeResult:
    """What one probe gave here."""

    name: str
    pixels_same: bool | None = None
    """Decoded to the very pixels; None when that far it did not come."""
    input_same: bool | None = None
    """Resized to the very input. Another Pillow may round a level otherwise: told, and judged by the score."""
    mean: float = float("nan")
    """Mean rating here."""
    own_mean: float = float("nan")
    """Mean rating that this model gave where it was made."""
    reference_mean: float = float("nan")
    """Mean rating of the float checkpoint."""
    largest_bin: float = float("nan")
    """Largest difference of a bin from what this model gave where it was made."""
    problem: str | None = None
    """Why it fails; None when it passes."""

    @property
    def own_gap(self) -> float:
        """Mean here less the mean where the model was made, rating points."""
        return self.mean - self.own_mean

    @property
    def reference_gap(self) -> float:
        """Mean here less the float checkpoint's, rating points."""
        return self.mean - self.reference_mean


def check_model(model: ModelFile, threads: int = 1, open_model: OpenRuntime = open_runtime) -> list[ProbeResult]:
    """Run a model's golden probes through this machine's decoding, resizing and interpreter.

    A probe fails when the picture decodes to other pixels, when the mean or a bin lies further from this model's own
    answer than the card's `tolerance.own`, or the mean further from the float checkpoint's than `tolerance.reference`;
    `edge_nima.gate.probe_tolerance` says where these come from.

    Raises:
        CardError: the card holds no probes.
        ModelError: the model cannot be run at all.
    """
    card = model.card
    if not card.probes:
        raise CardError(f"{card.name} carries no golden probes, so there is nothing to check it by; convert it again")
    interpreter = Interpreter(model.content, card.preprocessing, threads, open_model)
    return [_run(probe, interpreter, card.preprocessing, card.tolerance) for probe in card.probes]


def _run(probe: Probe, interpreter: Interpreter, how: Preprocessing, limits: Mapping[str, float]) -> ProbeResult:
    own_mean, reference_mean = float(mean_rating(probe.own)), float(mean_rating(probe.reference))
    result = ProbeResult(probe.name, own_mean=own_mean, reference_mean=reference_mean)
    try:
        rgb = read_rgb(probe.picture)
        result = replace(result, pixels_same=pixels_sha256(rgb) == probe.pixels_sha256)
        to_input(rgb, how, out=interpreter.pixels)
        result = replace(result, input_same=pixels_sha256(interpreter.pixels) == probe.input_sha256)
        distribution = interpreter.run()
    except EdgeNimaError as error:
        return replace(result, problem=reason(error))
    bins = np.abs(distribution - np.array(probe.own))
    result = replace(result, mean=float(mean_rating(distribution)), largest_bin=float(bins.max()))
    return _judged(result, limits["own"], limits["reference"])


def _judged(result: ProbeResult, own: float, reference: float) -> ProbeResult:
    problems = []
    if not result.pixels_same:
        problems.append("decodes to other pixels")
    if not (abs(result.own_gap) <= own and result.largest_bin <= own):  # written so that NaN fails
        where = "" if result.input_same else ", and resizes to another input"
        problems.append(f"scores otherwise than where it was made (limit {own:g}{where})")
    if not abs(result.reference_gap) <= reference:
        problems.append(f"too far from the float model (limit {reference:g})")
    return replace(result, problem="; ".join(problems) or None)
