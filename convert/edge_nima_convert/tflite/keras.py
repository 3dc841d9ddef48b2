"""A Keras network to a .tflite by TensorFlow's own converter."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge_nima.decode import Pixels
from edge_nima.errors import CheckpointError
from edge_nima.stderr import caught_stderr
from edge_nima_train.backend import cause
from edge_nima_train.checkpoint import Checkpoint


def to_tflite(checkpoint: Checkpoint, recipe: str, calibration: Pixels | None = None) -> bytes:
    """The .tflite of a recipe that TensorFlow knows, without its card."""
    import tensorflow as tf

    how = checkpoint.preprocessing
    whole = recipe == "int8"
    with tempfile.TemporaryDirectory(prefix="edge-nima-") as folder, quiet_tensorflow() as said:
        _save(checkpoint, folder, tf.float32 if whole else tf.uint8)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if recipe != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if recipe == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if whole:

            def representative() -> Iterator[list[Any]]:
                for picture in calibration if calibration is not None else ():
                    yield [how.scaled(picture[None])]

            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32
        try:
            return bytes(converter.convert())
        except Exception as error:
            # The converter lets out its own error classes by version; its log has the cause.
            told = next((line for line in said() if "error:" in line), "")[:300] or cause(error)
            raise CheckpointError(f"TensorFlow cannot convert {checkpoint.name} to {recipe}: {told}") from error


def _save(checkpoint: Checkpoint, folder: str, dtype: Any) -> None:
    """Write the network as a SavedModel with its weights frozen, batch 1, and a uint8 input's scaling in the graph.

    Frozen first: from Keras 3 variables the converter otherwise makes VAR_HANDLE operations without their values,
    a 90 kB model that answers nan.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    how = checkpoint.preprocessing
    scale, offset = (np.asarray(factor, np.float32) for factor in (how.scale, how.offset))
    zero = -offset / scale  # the pixel value that becomes 0

    def distribution(rgb: Any) -> Any:
        scaled = (tf.cast(rgb, tf.float32) - zero) * scale if dtype == tf.uint8 else rgb
        return {"distribution": checkpoint.call(scaled)}

    spec = tf.TensorSpec((1, how.height, how.width, 3), dtype, name="rgb")
    frozen = convert_variables_to_constants_v2(
        tf.function(distribution, input_signature=[spec]).get_concrete_function()
    )
    module = tf.Module()
    module.serve = frozen
    # swish has a gradient of its own, which saving would trace and cannot.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, folder, signatures=frozen, options=options)


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[Callable[[], list[str]]]:
    """Catch what TensorFlow's C++ writes to stderr; the value returns its lines so far."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with caught_stderr() as caught:
        yield lambda: [line.decode("utf-8", "replace").strip() for line in caught()]
