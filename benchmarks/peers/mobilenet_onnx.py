"""MobileNetV1 with NIMA's head as ONNX, built from a Keras checkpoint without Keras; batch norm is folded."""

from __future__ import annotations

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIZE = 224
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
EPSILON = 1e-3
"""Of Keras' batch normalisation in keras.applications.MobileNet."""


def pixels(path: str) -> np.ndarray:
    """A photograph as the network learnt: RGB, Pillow NEAREST to 224x224, in [-1, 1]; float32, (1, 3, 224, 224)."""
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.NEAREST), np.float32)
    return np.ascontiguousarray((rgb / 127.5 - 1).transpose(2, 0, 1)[None])


def write_onnx(weights: str, path: str) -> None:
    """Build the network.

    Args:
        weights: keras.applications.MobileNet(include_top=False, pooling="avg"), Dense(10, softmax), HDF5.
        path: the ONNX file; input "input" (1, 3, 224, 224) float32 in [-1, 1], output "output" (1, 10).
    """
    with h5py.File(weights) as file:
        held = {layer: {name.rsplit("/", 1)[-1]: np.asarray(value) for name, value in _arrays(file[layer])}
                for layer in file}  # fmt: skip
    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    six = [constant("zero", np.float32(0)), constant("six", np.float32(6))]

    def convolution(layer: str, before: str, stride: int) -> str:
        norm = held[f"{layer}_bn"]
        factor = norm["gamma:0"] / np.sqrt(norm["moving_variance:0"] + EPSILON)
        if "depthwise_kernel:0" in held[layer]:  # (height, width, channels, 1)
            kernel, groups = held[layer]["depthwise_kernel:0"].transpose(2, 3, 0, 1), len(factor)
        else:  # (height, width, in, out)
            kernel, groups = held[layer]["kernel:0"].transpose(3, 2, 0, 1), 1
        size = kernel.shape[2]
        first = 1 if size == 3 and stride == 1 else 0
        inputs = [before, constant(f"{layer}_w", kernel * factor[:, None, None, None]),
                  constant(f"{layer}_b", norm["beta:0"] - norm["moving_mean:0"] * factor)]  # fmt: skip
        nodes.append(helper.make_node(
            "Conv", inputs, [layer], layer, group=groups, kernel_shape=[size, size], strides=[stride, stride],
            pads=[first, first, size // 2, size // 2],
        ))  # fmt: skip
        nodes.append(helper.make_node("Clip", [layer, *six], [f"{layer}_relu6"], f"{layer}_relu6"))
        return f"{layer}_relu6"

    last = convolution("conv1", "input", 2)
    for number, stride in enumerate(STRIDES, 1):
        last = convolution(f"conv_pw_{number}", convolution(f"conv_dw_{number}", last, stride), 1)
    head = held[next(name for name in held if name.startswith("dense"))]
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", constant("dense_w", head["kernel:0"]), constant("dense_b", head["bias:0"])],
                         ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["output"], "softmax", axis=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "nima",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 10))],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _arrays(group: h5py.Group) -> list[tuple[str, np.ndarray]]:
    found: list[tuple[str, np.ndarray]] = []
    group.visititems(lambda name, item: found.append((name, item[()])) if isinstance(item, h5py.Dataset) else None)
    return found
