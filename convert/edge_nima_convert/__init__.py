"""Checkpoint to .tflite with its card. Needs TensorFlow; what it makes does not.

    from edge_nima_convert import convert

    for made in convert("weights.hdf5", ["int8-mixed"], calibration="photos", evaluate="others", out="models"):
        print(made.path, made.agreement.mae, made.verdict.status)

Importing it does not import TensorFlow.
"""

from edge_nima.comparison import compare_records as compare
from edge_nima_convert.conversion import Conversion, convert, reference
from edge_nima_convert.photographs import Photographs
from edge_nima_train.checkpoint import open_checkpoint

__all__ = ["Conversion", "Photographs", "compare", "convert", "open_checkpoint", "reference"]
