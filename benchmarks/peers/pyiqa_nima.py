"""pyiqa's NIMA on PyTorch: another network (InceptionResNetV2), so for its start and speed alone.

At 299x299, as that network was trained; pyiqa by itself takes a photograph whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyiqa
import timm
import torch
from PIL import Image
from protocol import Model, main

TITLE = "pyiqa"
ABOUT = "pyiqa's nima on PyTorch, on the processor; random weights, which cost the same time: it downloads its own"
REQUIREMENTS = ("pyiqa>=0.1.13,<0.2", "torch>=2.4,<3", "pillow>=10.4")
VARIANTS = {"random-weights": "InceptionResNetV2 of its own, not the network of the others; scores mean nothing"}
SAME_NETWORK = False
LARGE = "about 7 GB with the PyTorch of PyPI"


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    opened()


def opened() -> Any:
    create = timm.create_model
    # The network asks for ImageNet's weights even where it is to be untrained.
    timm.create_model = lambda *names, **options: create(*names, **{**options, "pretrained": False})
    try:
        return pyiqa.create_metric("nima", device=torch.device("cpu"), pretrained=False)
    finally:
        timm.create_model = create


class Metric(Model):
    def __init__(self, threads: int | None) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._metric = opened()
        self._net = self._metric.net.eval()

    def score(self, path: str) -> np.ndarray:
        with Image.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR), np.float32)
        with torch.inference_mode():
            values = torch.from_numpy(rgb.transpose(2, 0, 1)[None] / 255)
            return self._net(values, return_mos=False, return_dist=True)[0].numpy()

    def invoke(self) -> None:
        with torch.inference_mode():
            self._net(torch.zeros((1, 3, 299, 299)))

    def facts(self) -> dict[str, Any]:
        return {"weights": "random"}


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    return Metric(threads)


if __name__ == "__main__":
    main(prepare, open_model)
