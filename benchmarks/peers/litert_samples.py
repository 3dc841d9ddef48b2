"""NIMA as litert-samples converts it (compiled_model_api/image_quality_assessment/conversion)."""

from __future__ import annotations

import os

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from protocol import Model, main

TITLE = "litert-samples"
ABOUT = "TFLiteConverter's float16 of the Keras model, float input; bilinear resize as its reference, no checks"
REQUIREMENTS = ("tensorflow>=2.18,<3", "keras>=3.6,<4", "h5py>=3.11,<4", "ai-edge-litert>=1.2,<3",
                "opencv-python-headless>=4.9,<6", "pillow>=10.4")  # fmt: skip
VARIANTS = {"float16": "from_keras_model, Optimize.DEFAULT, float16"}


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow

    base = keras.applications.MobileNet((224, 224, 3), include_top=False, pooling="avg", weights=None)
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.Dropout(0.0)(base.output))
    model = keras.Model(base.inputs, x)
    model.load_weights(weights)
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tensorflow.float16]
    with open(os.path.join(folder, "model.tflite"), "wb") as file:
        file.write(converter.convert())


class Opened(Model):
    def __init__(self, path: str, threads: int | None) -> None:
        self._interpreter = Interpreter(model_path=path, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._taken = self._interpreter.get_input_details()[0]["index"]
        self._given = self._interpreter.get_output_details()[0]["index"]

    def score(self, path: str) -> np.ndarray:
        with Image.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        values = cv2.resize(rgb, (224, 224)).astype(np.float32)  # not antialiased, as tf.image.resize there
        self._interpreter.set_tensor(self._taken, values[None] / 127.5 - 1)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._given)[0].copy()

    def invoke(self) -> None:
        self._interpreter.invoke()


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    return Opened(os.path.join(folder, "model.tflite"), threads)


if __name__ == "__main__":
    main(prepare, open_model)
