"""Where the scaling of uint8 pixels to -1..1 goes: size, latency and parity of each way, for float32 and int8.

usage: input_scaling.py WEIGHTS PHOTOGRAPHS CALIBRATION [--runs 60]

Ways: "host" (float32 input, scaled by the caller), "mul_add" (CAST, MUL, ADD), "sub_mul" (CAST, SUB; the factor folds
into the first convolution), "quantize" (int8 only: the input's own scale and zero point). `tflite.keras` there
uses sub_mul for the float recipes and quantize for int8; this is the measurement behind that choice.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import keep, percentiles

from edge_nima.interpreter import open_runtime
from edge_nima_convert.photographs import load_inputs
from edge_nima_convert.tflite.keras import quiet_tensorflow
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint


def make(checkpoint: Checkpoint, way: str, calibration: np.ndarray | None) -> bytes:
    """Convert with the scaling done in one way; int8 when there is a calibration."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    floats = way in {"host", "quantize"}

    def network(x: Any) -> Any:
        pixels = x if floats else tf.cast(x, tf.float32)
        scaled = {
            "host": lambda: pixels,
            "quantize": lambda: pixels,
            "mul_add": lambda: pixels * (1 / 127.5) - 1.0,
            "sub_mul": lambda: (pixels - 127.5) * (1 / 127.5),
        }[way]()
        return checkpoint.call(scaled)

    spec = tf.TensorSpec((1, 224, 224, 3), tf.float32 if floats else tf.uint8)
    frozen = convert_variables_to_constants_v2(tf.function(network, input_signature=[spec]).get_concrete_function())
    module = tf.Module()
    module.serve = frozen
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=frozen)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if calibration is not None:
            examples = calibration / np.float32(127.5) - np.float32(1) if floats else calibration
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([picture[None]] for picture in examples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
            converter.inference_input_type = tf.float32 if way == "host" else tf.uint8
        return bytes(converter.convert())


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--runs", type=int, default=60)
    args = parser.parse_args()

    with quiet_tensorflow():
        checkpoint = open_checkpoint(args.weights)
        judge = load_inputs(sorted(args.photographs.iterdir())[:100], checkpoint.preprocessing).pixels
        calibration = load_inputs(sorted(args.calibration.iterdir())[:200], checkpoint.preprocessing).pixels
        reference = checkpoint.predict(judge)
        made = {("float32", way): make(checkpoint, way, None) for way in ("host", "mul_add", "sub_mul")}
        made |= {("int8", way): make(checkpoint, way, calibration) for way in ("quantize", "mul_add", "sub_mul")}
    runtimes = {key: open_runtime(content, 1) for key, content in made.items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in made}
    for _ in range(args.runs):
        for key, runtime in runtimes.items():
            started = perf_counter()
            runtime.invoke()
            times[key].append((perf_counter() - started) * 1e3)
    ratings = np.arange(1, 11)
    for key, runtime in runtimes.items():
        (into,), (out,) = runtime.get_input_details(), runtime.get_output_details()
        predictions = []
        for picture in judge:
            scaled = picture / np.float32(127.5) - np.float32(1) if into["dtype"] == np.float32 else picture
            runtime.set_tensor(into["index"], scaled[None])
            runtime.invoke()
            predictions.append(runtime.get_tensor(out["index"])[0].copy())
        gap = np.array(predictions) - reference
        keep(
            "input_scaling",
            {
                "recipe": key[0],
                "way": key[1],
                "bytes": len(made[key]),
                "ms": percentiles(times[key]),
                "n": len(judge),
                "largest_bin": float(np.abs(gap).max()),
                "mae_of_mean": float(np.abs(gap @ ratings).mean()),
            },
        )


if __name__ == "__main__":
    main()
