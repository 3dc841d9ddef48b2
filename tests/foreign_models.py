"""Small .tflite scorers as others make them, without cards: `python tests/foreign_models.py FOLDER`.

All hold the same random network of 64x64 pixels; they differ in what they take and give.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SIDE = 64


def make(folder: Path) -> Path:
    """Write them, in a process of their own: TensorFlow stays out of the tests'."""
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _write(folder: Path) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(7)
    first, second, dense = (
        random.normal(0, size, shape).astype(np.float32)
        for size, shape in ((0.2, (5, 5, 3, 8)), (0.2, (3, 3, 8, 16)), (1, (16, 10)))
    )

    def logits(x):  # type: ignore[no-untyped-def]
        x = tf.nn.relu(tf.nn.conv2d(x, first, 4, "VALID"))
        x = tf.nn.relu(tf.nn.conv2d(x, second, 2, "VALID"))
        return tf.reduce_mean(x, [1, 2]) @ dense

    def proportions(x):  # type: ignore[no-untyped-def]
        return tf.nn.softmax(logits(x))

    ratings = np.arange(1, 11, dtype=np.float32)[:, None]
    nhwc, nchw = (1, SIDE, SIDE, 3), (1, 3, SIDE, SIDE)
    for name, graph, shape in (
        ("nhwc", proportions, nhwc),
        ("nchw", lambda x: proportions(tf.transpose(x, [0, 2, 3, 1])), nchw),
        ("bgr", lambda x: proportions(x[..., ::-1]), nhwc),
        ("int8", proportions, nhwc),
        ("logits", logits, nhwc),
        ("mean", lambda x: proportions(x) @ ratings, nhwc),
        ("flat", lambda x: proportions(tf.reshape(x, nhwc)), (1, SIDE * SIDE * 3)),
    ):
        serve = tf.function(graph, input_signature=[tf.TensorSpec(shape)]).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([serve], tf.Module())
        if name == "int8":
            ends = np.linspace(-2.2, 2.7, SIDE * SIDE * 3, dtype=np.float32)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda ends=ends: (
                [random.permutation(ends).reshape(nhwc)] for _ in "ab"
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
