"""What idealo's predict does, with Keras alone: load_img with nearest, model.predict in batches of 32.

The other side of against_keras.py. usage: keras_predict.py WEIGHTS PHOTOGRAPH_OR_FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main(weights: str, source: str) -> None:
    """Print one JSON line a photograph."""
    base = keras.applications.MobileNet((224, 224, 3), include_top=False, pooling="avg", weights=None)
    x = keras.layers.Dropout(0.75)(base.output)
    model = keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(x))
    model.load_weights(weights)

    def batches() -> object:
        paths = sorted(Path(source).iterdir()) if Path(source).is_dir() else [Path(source)]
        for start in range(0, len(paths), 32):
            chunk = paths[start : start + 32]
            pixels = [
                np.asarray(keras.utils.load_img(p, target_size=(224, 224), interpolation="nearest")) for p in chunk
            ]
            yield chunk, keras.applications.mobilenet.preprocess_input(np.stack(pixels).astype("float32"))

    for chunk, pixels in batches():
        for path, p in zip(chunk, model.predict(pixels, batch_size=32, verbose=0), strict=True):
            print(json.dumps({"name": str(path), "mean": float(p @ np.arange(1, 11)), "distribution": p.tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
