"""Recipes: how a float checkpoint becomes a .tflite. Each is named by what it does.

float32   weights and arithmetic in float32: the checkpoint itself, to rounding.
float16   weights stored in half precision, arithmetic in float32 (float16 where a delegate offers it).
dynamic   weights in int8, one scale a channel; activations quantised as they come, arithmetic in int8.
int8      weights and activations in int8, the activations' ranges from calibration photographs; plain, uncorrected.

int8-corrected   int8, equalised across channels, rounded by what a layer puts out and not by its weights, and with
                 weights and biases fitted layer by layer to the float model (`correct`); average and head in float.
int8-distilled   int8-corrected, then trained, with its rounding in the loop, to repeat the float model's opinion of
                 unlabelled photographs (`distil`).
int8-mixed       int8-corrected, with the leading layers in float whose rounding is measured to cost the score most,
                 as far as an ARM processor's budget goes (`mixed`).

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
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.errors import CalibrationError, CheckpointError, reason
from edge_nima.pixels import Pixels
from edge_nima.stderr import caught_stderr
from edge_nima_convert.chain import read_chain
from edge_nima_convert.checkpoint import Checkpoint

Progress = Callable[[str, int, int, str], None]


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
    idealo's weights (float16 .03, dynamic .20, int8 .53, corrected .07, mixed .04), doubled for the corrected ones,
    since probes are odd pictures, and rounded up."""
    needs_training: bool = False
    """Whether it imitates the float model on photographs, in a run that takes long and resumes."""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32 weights and arithmetic", False, 0.0005, 0.001),
        Recipe("float16", "float16 weights, float32 arithmetic", False, 0.001, 0.05),
        Recipe("dynamic", "int8 weights, activations quantised as they come", False, 0.03, 0.25),
        Recipe("int8", "int8 weights and activations, plain", True, 0.03, 0.6),
        Recipe("int8-corrected", "int8, corrected layer by layer against the float model", True, 0.03, 0.15),
        Recipe("int8-distilled", "int8-corrected, trained to repeat the float model", True, 0.03, 0.15, True),
        Recipe("int8-mixed", "int8-corrected, its costliest leading layers in float", True, 0.03, 0.1),
    )
}

LADDER = ("int8", "int8-corrected", "int8-distilled", "int8-mixed", "float16")
"""Recipes that `--recipe auto` tries in turn until one passes the gate: by size, then by what they take to make."""


def convert(
    checkpoint: Checkpoint,
    recipe: Recipe,
    calibration: Pixels | None = None,
    *,
    training: Pixels | None = None,
    work: Path | None = None,
    progress: Progress = lambda *_: None,
) -> bytes:
    """Make a .tflite, without its card.

    Args:
        checkpoint: the float network.
        recipe: one of `RECIPES`.
        calibration: uint8, shape (n, height, width, 3): the model's input before scaling, for recipes that need it.
        training: likewise, what a recipe that trains imitates the float model on; the calibration photographs without.
        work: folder from which a recipe that trains goes on where it was interrupted.
        progress: called with the stage, how much of it is done, of how much, and a note.

    Returns:
        The flatbuffer: uint8 (1, height, width, 3) to float32 (1, 10).

    Raises:
        CalibrationError: the recipe needs calibration photographs and has none.
        CheckpointError: TensorFlow cannot convert this network, or it is no chain and the recipe takes only those.
    """
    if recipe.needs_calibration and (calibration is None or len(calibration) == 0):
        raise CalibrationError(f"recipe {recipe.name} needs photographs to calibrate with: --calibration PHOTOS")
    if recipe.name not in CORRECTED or calibration is None:
        return _by_tensorflow(checkpoint, recipe, calibration)
    from edge_nima_convert.correct import correct
    from edge_nima_convert.mixed import costly_stem

    chain = read_chain(_by_tensorflow(checkpoint, RECIPES["float32"], None))
    floats = costly_stem(chain, calibration) if recipe.name == "int8-mixed" else 0
    corrected = correct(chain, calibration, floats, progress=progress)
    if recipe.needs_training:
        from edge_nima_convert.distil import distil

        corrected = distil(chain, corrected, calibration if training is None else training, work, progress)
    return corrected.to_tflite()


CORRECTED = ("int8-corrected", "int8-distilled", "int8-mixed")


def _by_tensorflow(checkpoint: Checkpoint, recipe: Recipe, calibration: Pixels | None) -> bytes:
    import tensorflow as tf

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
