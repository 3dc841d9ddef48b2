"""ONNX Runtime on its CPU provider."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from mobilenet_onnx import pixels, write_onnx
from protocol import Model, main, photographs

TITLE = "ONNX Runtime"
ABOUT = "the network as ONNX, in ONNX Runtime on its CPU provider"
REQUIREMENTS = ("onnxruntime>=1.20,<2", "onnx>=1.17,<2", "h5py>=3.11,<4", "numpy>=1.26,<3", "pillow>=10.4")
VARIANTS = {
    "float32": "as it is",
    "int8": "quantize_static: QDQ, per channel, 200 calibration photographs",
    "int8-reduced": "the same with reduce_range, which its documentation asks for on processors without VNNI",
}
ACCURACY_ONLY = ("int8-reduced",)


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    whole = os.path.join(folder, "float32.onnx")
    write_onnx(weights, whole)
    if variant != "float32":
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(CalibrationDataReader):
            def __init__(self) -> None:
                self._paths = iter(photographs(calibration))

            def get_next(self) -> dict[str, np.ndarray] | None:
                path = next(self._paths, None)
                return None if path is None else {"input": pixels(path)}

        inferred = os.path.join(folder, "inferred.onnx")
        quant_pre_process(whole, inferred, skip_symbolic_shape=True)
        quantize_static(
            inferred, os.path.join(folder, f"{variant}.onnx"), Reader(), quant_format=QuantFormat.QDQ,
            per_channel=True, reduce_range=variant == "int8-reduced",
        )  # fmt: skip
        os.remove(inferred)
        os.remove(whole)


class Session(Model):
    def __init__(self, path: str, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._values = np.zeros((1, 3, 224, 224), np.float32)

    def score(self, path: str) -> np.ndarray:
        return self._session.run(None, {"input": pixels(path)})[0][0]

    def invoke(self) -> None:
        self._session.run(None, {"input": self._values})


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    return Session(os.path.join(folder, f"{variant}.onnx"), threads)


if __name__ == "__main__":
    main(prepare, open_model)
