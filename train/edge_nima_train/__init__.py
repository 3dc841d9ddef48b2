"""Photographs with ratings to a Keras checkpoint, and checkpoints held against people.

    from edge_nima_train import Judges, evaluate_checkpoint, read_config
    from edge_nima_train.fit import fit

    fit(read_config("config.toml"), Path("run"))
    print(evaluate_checkpoint("run", Judges("manifest.csv")).statistics["srcc"].model)

What is named here is loaded when it is asked for: importing it imports neither Keras nor TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_nima_train.checkpoint import open_checkpoint
    from edge_nima_train.config import read_config
    from edge_nima_train.evaluate import Judges, evaluate_checkpoint, evaluate_records
    from edge_nima_train.importing import ImportReport, Packing, import_ratings
    from edge_nima_train.predict import score_to_file

_HOMES = {
    "ImportReport": "importing", "Judges": "evaluate", "Packing": "importing", "evaluate_checkpoint": "evaluate",
    "evaluate_records": "evaluate", "import_ratings": "importing", "open_checkpoint": "checkpoint",
    "read_config": "config", "score_to_file": "predict",
}  # fmt: skip
__all__ = [
    "ImportReport", "Judges", "Packing", "evaluate_checkpoint", "evaluate_records", "import_ratings",
    "open_checkpoint", "read_config", "score_to_file",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
