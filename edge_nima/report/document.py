"""A comparison as one JSON document, format_version 1. Keys are added, not renamed, while that number stays."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from edge_nima.agreement import FLIP_AT, LEVEL
from edge_nima.comparison import BIN_WIDTH, Comparison, LayerError
from edge_nima.distribution import mean_rating
from edge_nima.gate import Verdict
from edge_nima.people import AgainstPeople, PeoplePart
from edge_nima.undefined import why_undefined

FORMAT = "edge-nima comparison"
FORMAT_VERSION = 1


def as_document(
    comparison: Comparison, layers: Sequence[LayerError] = (), verdict: Verdict | None = None
) -> dict[str, Any]:
    """A comparison as what JSON holds: objects, lists, text, finite numbers and None.

    What is not defined is None; `undefined` says why, by path.

    Args:
        comparison: the numbers.
        layers: what quantising each layer costs; none are left out of the document.
        verdict: what the gate says of it; None is left out.
    """
    c = comparison
    a, b = mean_rating(c.reference), mean_rating(c.candidate)
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "reference": c.reference_name,
        "candidate": c.candidate_name,
        "on": c.on,
        "preprocessing": c.preprocessing,
        "n": c.n,
        "flip_at": FLIP_AT,
        "agreement": asdict(c.agreement),
        "bootstrap": {"kind": "percentile", "level": LEVEL, "resamples": c.resamples, "seed": c.seed},
        "intervals": {name: _ends(*ends) for name, ends in c.intervals.items()},
        "bins": {
            "of": c.bins_of,
            "width": BIN_WIDTH,
            "rows": [
                {
                    "low": one.low,
                    "high": one.high,
                    **asdict(one.agreement),
                    "reference_error": one.reference_error,
                    "candidate_error": one.candidate_error,
                }
                for one in c.bins
            ],
        },
        "people": None if c.against_people is None else _people(c.against_people),
        "worst": [
            {
                "name": c.names[row],
                "reference": float(a[row]),
                "candidate": float(b[row]),
                "difference": float(b[row] - a[row]),
            }
            for row in c.worst()
        ],
        "join": None if c.join is None else asdict(c.join),
        "undefined": why_undefined(c),
        "warnings": list(c.warnings),
    }
    if layers:
        document["layers"] = [asdict(layer) for layer in layers]
    if verdict is not None:
        document["gate"] = asdict(verdict)
    clean: dict[str, Any] = finite(document)
    return clean


def as_json(comparison: Comparison, layers: Sequence[LayerError] = (), verdict: Verdict | None = None) -> str:
    """`as_document` as text, with a line end."""
    return json.dumps(as_document(comparison, layers, verdict), indent=1, allow_nan=False) + "\n"


def _people(part: PeoplePart) -> dict[str, Any]:
    b = part.baselines
    return {
        "source": part.source,
        "n": part.n,
        "unrated": list(part.unrated),
        "inferred_histograms": part.inferred,
        **{side: _against(getattr(part, side)) for side in ("reference", "candidate", "difference")},
        "baselines": {
            "always_good": {"accuracy": b.good_accuracy},
            "mean_histogram": {
                "histogram": list(b.histogram),
                "accuracy": b.accuracy,
                "emd_r1": b.emd_r1,
                "emd_r2": b.emd_r2,
                "mae": b.mae,
            },
        },
    }


def _against(model: AgainstPeople) -> dict[str, Any]:
    found = {}
    for field in fields(model):
        estimate = getattr(model, field.name)
        found[field.name] = {"value": estimate.value, "interval": _ends(estimate.low, estimate.high)}
    return found


def _ends(low: float, high: float) -> list[float] | None:
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None


def finite(value: Any) -> Any:
    """The same with None for what JSON has no number for, and lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
