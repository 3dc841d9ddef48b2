"""How would a crowd rate this photograph? A NIMA aesthetics model, on small machines, with proof.

`import edge_nima` reads no other module: each public name is imported when it is first used, so that a program
on a Raspberry Pi pays only for what it calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_nima.agreement import Agreement, measure_agreement
    from edge_nima.batch_scorer import BatchScorer
    from edge_nima.distribution import (
        earth_movers_distance,
        max_entropy_distribution,
        mean_rating,
        rating_std,
    )
    from edge_nima.errors import EdgeNimaError
    from edge_nima.frame import Frame
    from edge_nima.records import ScoreRecord
    from edge_nima.scorer import Scorer, open_scorer

__version__ = "0.1.0"

__all__ = [
    "Agreement",
    "BatchScorer",
    "EdgeNimaError",
    "Frame",
    "ScoreRecord",
    "Scorer",
    "earth_movers_distance",
    "max_entropy_distribution",
    "mean_rating",
    "measure_agreement",
    "open_scorer",
    "rating_std",
]

_HOME = {
    "Agreement": "agreement",
    "BatchScorer": "batch_scorer",
    "EdgeNimaError": "errors",
    "Frame": "frame",
    "ScoreRecord": "records",
    "Scorer": "scorer",
    "earth_movers_distance": "distribution",
    "max_entropy_distribution": "distribution",
    "mean_rating": "distribution",
    "measure_agreement": "agreement",
    "open_scorer": "scorer",
    "rating_std": "distribution",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
