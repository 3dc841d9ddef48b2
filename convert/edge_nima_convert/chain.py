"""A float network as a chain of folded convolutions: what the corrected recipes work on.

The chain is read back from the float32 .tflite, where the converter has folded every batch norm into the weights
before it, so that what is corrected is what would be quantised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import CheckpointError
from edge_nima.pixels import Pixels

Array = NDArray[np.float32]

BATCH = 16
_CEILINGS = {0: None, 1: np.inf, 3: 6.0}  # fused activation in the schema: none, ReLU, ReLU6


@dataclass(frozen=True)
class Layer:
    """One convolution with its bias and activation."""

    name: str
    depthwise: bool
    weights: Array
    """(out, height, width, in), or (1, height, width, channels) when depthwise, as TFLite stores them."""
    bias: Array
    """(out,)."""
    stride: int
    same: bool
    """Padded so that only the stride reduces the picture; otherwise not padded."""
    ceiling: float | None
    """Where the activation stops: 6 for ReLU6, inf for ReLU, None for none at all."""

    @property
    def rows(self) -> NDArray[np.float64]:
        """Weights as (out, inputs of one output)."""
        w = self.weights.astype(np.float64)
        return w.reshape(-1, w.shape[3]).T if self.depthwise else w.reshape(len(w), -1)

    def shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """`rows` in the shape of `weights`."""
        return rows.T.reshape(self.weights.shape) if self.depthwise else rows.reshape(self.weights.shape)

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        """Output height and width."""
        kh, kw = self.weights.shape[1:3]
        if self.same:
            return -(-height // self.stride), -(-width // self.stride)
        return (height - kh) // self.stride + 1, (width - kw) // self.stride + 1

    def linear(self, x: Array, weights: Array | None = None) -> Array:
        """The convolution alone: (n, h, w, in) to (n, h', w', out), without bias and activation."""
        import tensorflow as tf

        kernel = np.transpose(self.weights if weights is None else weights, (1, 2, 3, 0))
        padding = "SAME" if self.same else "VALID"
        if self.depthwise:
            out = tf.nn.depthwise_conv2d(x, kernel, [1, self.stride, self.stride, 1], padding)
        else:
            out = tf.nn.conv2d(x, kernel, self.stride, padding)
        return np.asarray(out)

    def activate(self, y: Array) -> Array:
        """The activation."""
        return y if self.ceiling is None else np.clip(y, 0, np.float32(self.ceiling))

    def __call__(self, x: Array) -> Array:
        """The whole layer in float."""
        return self.activate(self.linear(x) + self.bias)

    def samples(self, x: Array, positions: NDArray[np.intp]) -> Array:
        """What the kernel sees at some places: (n * places, height * width, in).

        Args:
            x: (n, h, w, in).
            positions: (places,) flat indices into the output picture.
        """
        kh, kw = self.weights.shape[1:3]
        height, width = x.shape[1:3]
        oh, ow = self.size_after(height, width)
        if self.same:
            down, across = max((oh - 1) * self.stride + kh - height, 0), max((ow - 1) * self.stride + kw - width, 0)
            x = np.pad(x, ((0, 0), (down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0)))
        top, left = positions // ow * self.stride, positions % ow * self.stride
        taken = np.stack([x[:, top + i, left + j] for i in range(kh) for j in range(kw)], axis=2)
        return taken.reshape(-1, kh * kw, x.shape[3])


@dataclass(frozen=True)
class Chain:
    """Pixels minus `zero`, through layers, averaged over the picture, through a dense layer, to a softmax."""

    height: int
    width: int
    zero: float
    """The pixel value that is 0 to the network; its scale is folded into the first layer."""
    layers: tuple[Layer, ...]
    head: Array
    """(10, channels) dense weights."""
    head_bias: Array
    """(10,)."""

    def batches(self, pixels: Pixels) -> Iterator[Array]:
        """Network inputs of uint8 (n, height, width, 3), `BATCH` at a time."""
        for start in range(0, len(pixels), BATCH):
            yield pixels[start : start + BATCH].astype(np.float32) - np.float32(self.zero)

    def proportions(self, pooled: Array) -> Array:
        """The head: averaged features (n, channels) to (n, 10)."""
        logits = pooled @ self.head.T + self.head_bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)

    def multiply_adds(self) -> list[int]:
        """Multiplications of each layer for one photograph."""
        height, width, counts = self.height, self.width, []
        for layer in self.layers:
            height, width = layer.size_after(height, width)
            counts.append(height * width * layer.weights.size)
        return counts


def read_chain(model: bytes) -> Chain:
    """Read a float32 .tflite of this toolkit back as a chain.

    Raises:
        CheckpointError: the network is not a chain of convolutions that ends in an average, a dense layer and a
            softmax, as MobileNet (v1) is.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = whole.subgraphs[0]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

    def constant(index: int) -> NDArray[Any]:
        tensor = graph.tensors[index]
        data = whole.buffers[tensor.buffer].data
        if data is None or tensor.type not in (schema.TensorType.FLOAT32, schema.TensorType.INT32):
            raise _not_a_chain("an operation on two computed values")
        kind = np.float32 if tensor.type == schema.TensorType.FLOAT32 else np.int32
        return np.frombuffer(bytes(data), kind).reshape(tuple(tensor.shape)).copy()

    def bias_of(operator: Any, channels: int) -> NDArray[Any]:
        """The bias, which the converter leaves out where all of it is 0."""
        index = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
        return constant(index) if index >= 0 else np.zeros(channels, np.float32)

    flow = int(graph.inputs[0])
    zero, factor = 0.0, 1.0
    layers: list[Layer] = []
    head = None
    stage = "pixels"
    for operator in graph.operators:
        code = whole.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        options = operator.builtinOptions
        if int(operator.inputs[0]) != flow:
            raise _not_a_chain(f"a branch at {name}")
        flow = int(operator.outputs[0])
        if stage == "pixels" and name in {"SUB", "MUL", "ADD"} and constant(operator.inputs[1]).size == 1:
            value = float(constant(operator.inputs[1]).reshape(-1)[0])
            if name == "MUL":
                factor *= value
            else:
                zero += (value if name == "SUB" else -value) / factor
        elif stage in {"pixels", "layers"} and name in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            stage = "layers"
            dilated = options.dilationWFactor != 1 or options.dilationHFactor != 1
            weights = constant(operator.inputs[1])
            grouped = name == "CONV_2D" and weights.shape[3] != graph.tensors[operator.inputs[0]].shape[3]
            if (
                options.fusedActivationFunction not in _CEILINGS
                or options.strideW != options.strideH
                or dilated
                or grouped
                or (name == "DEPTHWISE_CONV_2D" and options.depthMultiplier != 1)
            ):
                raise _not_a_chain(f"{name} of a kind that is not known here")
            layers.append(
                Layer(
                    name=_layer_name(graph.tensors[operator.outputs[0]].name, len(layers)),
                    depthwise=name == "DEPTHWISE_CONV_2D",
                    weights=weights,
                    bias=bias_of(operator, int(graph.tensors[operator.outputs[0]].shape[-1])),
                    stride=int(options.strideW),
                    same=options.padding == schema.Padding.SAME,
                    ceiling=_CEILINGS[options.fusedActivationFunction],
                )
            )
        elif stage == "layers" and name == "MEAN" and sorted(constant(operator.inputs[1]).tolist()) == [1, 2]:
            stage = "pooled"
        elif stage == "pooled" and name == "FULLY_CONNECTED" and options.fusedActivationFunction == 0:
            dense = constant(operator.inputs[1])
            head = dense, bias_of(operator, len(dense))
            stage = "logits"
        elif stage == "logits" and name == "SOFTMAX" and options.beta == 1:
            stage = "done"
        elif (name, stage) not in {("CAST", "pixels"), ("RESHAPE", "pooled")}:
            raise _not_a_chain(name)
    if stage != "done" or head is None or not layers:
        raise _not_a_chain(f"an end after {stage}")
    if len({layer.name for layer in layers}) < len(layers):
        layers = [replace(layer, name=f"{'dw' if layer.depthwise else 'conv'}_{i}") for i, layer in enumerate(layers)]
    layers[0] = replace(layers[0], weights=layers[0].weights * np.float32(factor))
    _, height, width, _ = graph.tensors[graph.inputs[0]].shape
    return Chain(int(height), int(width), zero, tuple(layers), *head)


def _layer_name(tensor: Any, index: int) -> str:
    """The Keras layer behind a tensor, from the names that the converter strings together."""
    text = tensor.decode("utf-8", "replace") if isinstance(tensor, bytes) else str(tensor)
    found = re.search(r"([\w.-]+)/(?:separable_conv2d/)?(?:convolution|depthwise|Conv2D)\b", text)
    if not found:
        return f"layer_{index}"
    name = found[1]
    # Keras numbers a second call of the same model: nima_mobilenet_1/conv1_1.
    return name.removesuffix("_1") if text.split("/")[0].endswith("_1") else name


def _not_a_chain(what: str) -> CheckpointError:
    return CheckpointError(
        "the corrected recipes take a chain of convolutions, then an average, a dense layer and a softmax, as "
        f"MobileNet v1 has; this network has {what}. Possible for it: --recipe int8, dynamic, float16, float32"
    )
