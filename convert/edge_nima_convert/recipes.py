"""Recipes: how a float checkpoint becomes a .tflite. Each is named by what it does.

float32   weights and arithmetic in float32: the checkpoint itself, to rounding.
float16   weights stored in half precision, arithmetic in float32 (float16 where a delegate offers it).
dynamic   weights in int8, one scale a channel; activations quantised as they come, arithmetic in int8.
int8      weights and activations in int8, the activations' ranges from calibration photographs; plain, uncorrected.

All take uint8 RGB (1, height, width, 3) and return float32 (1, 10); scaling is inside the graph. In the float recipes
that is CAST, SUB 127.5 and a factor that the converter folds into the first convolution's weights: one operation less
than CAST, MUL, ADD, the same score. In int8 it is the input's own scale and zero point, a single QUANTIZE
(benchmarks/input_scaling.py measures both).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_nima.errors import CalibrationError, CheckpointError, reason
from edge_nima.pixels import Pixels
from edge_nima.stderr import caught_stderr
from edge_nima_convert.checkpoint import Checkpoint


@dataclass(frozen=True)
class Recipe:
    """One way to convert."""

    name: str
    what: str
    needs_calibration: bool
    own_tolerance: float
    """How far a probe's mean may lie from what this model said where it was made: runtimes and processors differ in
    rounding. Measured: float16 1e-6 between x86, wasm and aarch64; int8 .02 between LiteRT and tflite-runtime 2.14."""
    reference_tolerance: float
    """How far a probe's mean may lie from the float checkpoint: the 99th percentile measured on 900 photographs with
    idealo's weights (float16 .03, dynamic .20, int8 .53), rounded up."""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32 weights and arithmetic", False, 0.0005, 0.001),
        Recipe("float16", "float16 weights, float32 arithmetic", False, 0.001, 0.05),
        Recipe("dynamic", "int8 weights, activations quantised as they come", False, 0.03, 0.25),
        Recipe("int8", "int8 weights and activations, plain", True, 0.03, 0.6),
    )
}


def convert(checkpoint: Checkpoint, recipe: Recipe, calibration: Pixels | None = None) -> bytes:
    """Make a .tflite, without its card.

    Args:
        checkpoint: the float network.
        recipe: one of `RECIPES`.
        calibration: uint8, shape (n, height, width, 3): the model's input before scaling, for recipes that need it.

    Returns:
        The flatbuffer: uint8 (1, height, width, 3) to float32 (1, 10).

    Raises:
        CalibrationError: the recipe needs calibration photographs and has none.
        CheckpointError: TensorFlow cannot convert this network.
    """
    import tensorflow as tf

    if recipe.needs_calibration and (calibration is None or len(calibration) == 0):
        raise CalibrationError(f"recipe {recipe.name} needs photographs to calibrate with: --calibration PHOTOS")
    how = checkpoint.preprocessing
    whole = recipe.name == "int8"
    with tempfile.TemporaryDirectory(prefix="edge-nima-") as folder, quiet_tensorflow() as said:
        _save(checkpoint, folder, tf.float32 if whole else tf.uint8)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if recipe.name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if recipe.name == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if whole:

            def representative() -> Iterator[list[Any]]:
                for picture in calibration if calibration is not None else ():
                    yield [picture[None].astype(np.float32) * np.float32(how.scale) + np.float32(how.offset)]

            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32
        try:
            return bytes(converter.convert())
        except Exception as error:
            # The converter lets out its own error classes by version; its log has the cause.
            cause = next((line for line in said() if "error:" in line), "") or reason(error)
            raise CheckpointError(
                f"TensorFlow cannot convert {checkpoint.name} to {recipe.name}: {cause[:300]}"
            ) from error


def _save(checkpoint: Checkpoint, folder: str, dtype: Any) -> None:
    """Write the network as a SavedModel with its weights frozen, batch 1, and a uint8 input's scaling in the graph.

    Frozen first: from Keras 3 variables the converter otherwise makes VAR_HANDLE operations without their values,
    a 90 kB model that answers nan.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    how = checkpoint.preprocessing
    zero = -how.offset / how.scale  # the pixel value that becomes 0

    def distribution(rgb: Any) -> Any:
        scaled = (tf.cast(rgb, tf.float32) - zero) * how.scale if dtype == tf.uint8 else rgb
        return {"distribution": checkpoint.call(scaled)}

    spec = tf.TensorSpec((1, how.height, how.width, 3), dtype, name="rgb")
    frozen = convert_variables_to_constants_v2(
        tf.function(distribution, input_signature=[spec]).get_concrete_function()
    )
    module = tf.Module()
    module.serve = frozen
    tf.saved_model.save(module, folder, signatures=frozen)


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[Callable[[], list[str]]]:
    """Catch what TensorFlow's C++ writes to stderr; the value returns its lines so far."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with caught_stderr() as caught:
        yield lambda: [line.decode("utf-8", "replace").strip() for line in caught()]
