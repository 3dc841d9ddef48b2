"""An evaluation as one JSON document, format_version 1. Keys are added, not renamed, while that number stays."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from edge_nima.agreement import FLIP_AT, LEVEL
from edge_nima.distribution import mean_rating
from edge_nima.people import Estimate, people_means
from edge_nima_train.evaluation import Evaluation

FORMAT = "edge-nima evaluation"
FORMAT_VERSION = 1
LISTED = 24


def as_document(e: Evaluation) -> dict[str, Any]:
    """An evaluation as what JSON holds; what is not defined is None, and `undefined` says why."""
    s = e.subject
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": s.model,
        "labels": s.labels,
        "split": s.split,
        "preprocessing": s.preprocessing,
        "n": e.n,
        "good_at": FLIP_AT,
        "inferred_histograms": e.inferred,
        "statistics": {
            name: {
                **_estimate(one.model),
                "constant": _finite(one.constant),
                "difference": None if math.isnan(one.difference.value) else _estimate(one.difference),
            }
            for name, one in e.statistics.items()
        },
        "undefined": {name: one.undefined for name, one in e.statistics.items() if one.undefined},
        "tails": [
            {**asdict(tail), "recall": _estimate(tail.recall), "constant": _finite(tail.constant)} for tail in e.tails
        ],
        "constant": asdict(e.constant),
        "collapse": asdict(e.collapse),
        "bins": [asdict(one) for one in e.bins],
        "bootstrap": {"kind": "percentile", "level": LEVEL, "resamples": e.resamples, "seed": e.seed},
        "best": _photographs(e, e.best(LISTED)),
        "worst": _photographs(e, e.worst(LISTED)),
        "most_wrong": _photographs(e, e.most_wrong(LISTED)),
        "official": None if s.official is None else asdict(s.official),
        "left_out": {why: list(names) for why, names in (s.left_out or {}).items()},
        "warnings": list(e.warnings),
    }


def as_json(e: Evaluation) -> str:
    """`as_document` as text, with a line end."""
    return json.dumps(as_document(e), indent=1, allow_nan=False) + "\n"


def _photographs(e: Evaluation, rows: list[int]) -> list[dict[str, Any]]:
    people, model = people_means(e.people), mean_rating(e.predicted)
    return [
        {"name": e.names[row], "people": float(people[row]), "model": float(model[row])} for row in rows
    ]  # fmt: skip


def _estimate(estimate: Estimate) -> dict[str, Any]:
    ends = [estimate.low, estimate.high]
    return {"value": _finite(estimate.value), "interval": ends if all(map(math.isfinite, ends)) else None}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
