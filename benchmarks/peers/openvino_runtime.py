"""OpenVINO on its CPU plug-in, with NNCF for int8."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import openvino
from mobilenet_onnx import pixels, write_onnx
from protocol import Model, main, photographs

TITLE = "OpenVINO"
ABOUT = "the network in OpenVINO on its CPU plug-in; it computes in bf16 where the processor has it"
REQUIREMENTS = ("openvino>=2025.0,<2027", "nncf>=2.15,<4", "onnx>=1.17,<2", "h5py>=3.11,<4", "numpy>=1.26,<3",
                "pillow>=10.4")  # fmt: skip
VARIANTS = {
    "float32": "as it is",
    "int8": "nncf.quantize: its defaults (fast bias correction), 200 calibration photographs",
    "int8-reduced": "the same with overflow_fix, which its documentation asks for on processors without VNNI",
}
ACCURACY_ONLY = ("int8-reduced",)


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    whole = os.path.join(folder, "float32.onnx")
    write_onnx(weights, whole)
    model = openvino.Core().read_model(whole)
    if variant != "float32":
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

        paths = photographs(calibration)
        fix = AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE) if variant == "int8-reduced" else None
        model = nncf.quantize(
            model, nncf.Dataset(paths, pixels), subset_size=len(paths), advanced_parameters=fix
        )  # fmt: skip
    openvino.save_model(model, os.path.join(folder, "model.xml"), compress_to_fp16=False)
    os.remove(whole)


class Compiled(Model):
    def __init__(self, path: str, threads: int | None) -> None:
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config |= {"INFERENCE_NUM_THREADS": threads}
        self._model = openvino.Core().compile_model(path, "CPU", config)
        self._request = self._model.create_infer_request()
        self._values = np.zeros((1, 3, 224, 224), np.float32)

    def score(self, path: str) -> np.ndarray:
        self._request.infer([pixels(path)], share_inputs=True)
        return self._request.get_output_tensor().data[0].copy()

    def invoke(self) -> None:
        self._request.infer([self._values], share_inputs=True)

    def facts(self) -> dict[str, Any]:
        return {"precision": str(self._model.get_property("INFERENCE_PRECISION_HINT"))}


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    return Compiled(os.path.join(folder, "model.xml"), threads)


if __name__ == "__main__":
    main(prepare, open_model)
