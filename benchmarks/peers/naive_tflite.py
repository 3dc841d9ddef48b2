"""A .tflite as most samples run one: OpenCV's decoder, cv2.resize, no checks."""

from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from protocol import Model, main

TITLE = "TFLite, the usual sample"
ABOUT = "our float16 .tflite as samples run one: cv2.imread, cv2.resize (bilinear), no checks"
REQUIREMENTS = ("ai-edge-litert>=1.2,<3", "opencv-python-headless>=4.9,<6", "numpy>=1.26,<3")
VARIANTS = {
    "one-interpreter": "opened once",
    "new-interpreter": "a new interpreter for each photograph",
}
WEIGHTS = "mobilenet-ava-float16"


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    shutil.copyfile(weights, os.path.join(folder, "model.tflite"))


class Sample(Model):
    def __init__(self, path: str, threads: int | None, keep: bool) -> None:
        self._path, self._threads = path, threads
        self._kept = self._opened() if keep else None

    def _opened(self) -> Interpreter:
        interpreter = Interpreter(model_path=self._path, num_threads=self._threads)
        interpreter.allocate_tensors()
        return interpreter

    def score(self, path: str) -> np.ndarray:
        interpreter = self._kept or self._opened()
        taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        _, height, width, _ = taken["shape"]
        rgb = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        values = np.expand_dims(cv2.resize(rgb, (width, height)), 0)
        if taken["dtype"] == np.float32:
            values = (np.float32(values) - 127.5) / 127.5
        interpreter.set_tensor(taken["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])[0].copy()

    def invoke(self) -> None:
        (self._kept or self._opened()).invoke()


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    return Sample(os.path.join(folder, "model.tflite"), threads, keep=variant == "one-interpreter")


if __name__ == "__main__":
    main(prepare, open_model)
