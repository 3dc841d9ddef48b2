"""A quantised chain as a .tflite, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import BINS
from edge_nima_convert.chain import Array, Chain, Layer

_CODES = {None: 0, np.inf: 1, 6.0: 3}  # fused activations of the schema


@dataclass(frozen=True)
class Quantised:
    """One layer in integers."""

    layer: Layer
    """Geometry and activation; its float weights are not used."""
    weights: NDArray[np.int8]
    """As `Layer.weights`."""
    scales: Array
    """(out,): real weight = integer * scale."""
    bias: NDArray[np.int32]
    """(out,), in units of the input's scale times the weights'."""
    out_scale: float
    out_zero: int
    """Real output = (integer - out_zero) * out_scale."""


def write_tflite(
    chain: Chain, floats: Sequence[Layer], integers: Sequence[Quantised], first: tuple[float, int], zero: int
) -> bytes:
    """Assemble the model: uint8 (1, height, width, 3) to float32 (1, 10).

    Layers in `floats` come first and compute in float32; then a QUANTIZE, the integer layers, a DEQUANTIZE, and the
    average and the head in float32: as integers those two would cost a fifth of what is left of the error, as floats
    they cost nothing to speak of.

    Args:
        chain: sizes and the head.
        floats: leading layers in float, may be empty.
        integers: the rest.
        first: scale and zero point of the first integer layer's input.
        zero: without `floats`, the pixel value that is integer 0 of the first layer's input.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    ops, types, options = schema.BuiltinOperator, schema.TensorType, schema.BuiltinOptions
    file = _File(schema)
    height, width = chain.height, chain.width
    pixels = (1, height, width, 3)
    if floats:
        given = file.tensor("rgb", pixels, types.UINT8)
        flow = file.tensor("rgb_float", pixels, types.FLOAT32)
        file.operation(ops.CAST, 1, [given], [flow])
        centred = file.tensor("centred", pixels, types.FLOAT32)
        zero_at = file.tensor("zero", (), types.FLOAT32, np.float32(chain.zero))
        file.operation(ops.SUB, 1, [flow, zero_at], [centred], options.SubOptions, schema.SubOptionsT())
        flow = centred
    else:
        given = file.tensor("rgb", pixels, types.UINT8, quantised=([1.0], zero))
        flow = file.tensor("rgb_int8", pixels, types.INT8, quantised=([1.0], zero - 128))
        file.operation(ops.QUANTIZE, 2, [given], [flow], options.QuantizeOptions, schema.QuantizeOptionsT())
    for layer in floats:
        weights = file.tensor(f"{layer.name}/weights", layer.weights.shape, types.FLOAT32, layer.weights)
        bias = file.tensor(f"{layer.name}/bias", layer.bias.shape, types.FLOAT32, layer.bias)
        height, width = layer.size_after(height, width)
        out = file.tensor(layer.name, (1, height, width, len(layer.bias)), types.FLOAT32)
        file.convolution(layer, [flow, weights, bias], out)
        flow = out
    scale, zero_point = first
    if floats:
        shape = (1, height, width, len(floats[-1].bias))
        out = file.tensor("quantised", shape, types.INT8, quantised=([scale], zero_point))
        file.operation(ops.QUANTIZE, 1, [flow], [out], options.QuantizeOptions, schema.QuantizeOptionsT())
        flow = out
    channels = 0
    for one in integers:
        layer, channels = one.layer, len(one.bias)
        axis = 3 if layer.depthwise else 0
        height, width = layer.size_after(height, width)
        weights = file.tensor(
            f"{layer.name}/weights", one.weights.shape, types.INT8, one.weights, quantised=(one.scales, 0), axis=axis
        )
        bias = file.tensor(
            f"{layer.name}/bias", one.bias.shape, types.INT32, one.bias, quantised=(one.scales * np.float32(scale), 0)
        )
        out = file.tensor(
            layer.name, (1, height, width, channels), types.INT8, quantised=([one.out_scale], one.out_zero)
        )
        file.convolution(layer, [flow, weights, bias], out)
        flow, scale = out, one.out_scale
    features = file.tensor("features", (1, height, width, channels), types.FLOAT32)
    file.operation(ops.DEQUANTIZE, 2, [flow], [features], options.DequantizeOptions, schema.DequantizeOptionsT())
    pooled = file.tensor("pooled", (1, channels), types.FLOAT32)
    over = file.tensor("over", (2,), types.INT32, np.array([1, 2], np.int32))
    file.operation(ops.MEAN, 1, [features, over], [pooled], options.ReducerOptions, schema.ReducerOptionsT())
    weights = file.tensor("head/weights", chain.head.shape, types.FLOAT32, chain.head)
    bias = file.tensor("head/bias", chain.head_bias.shape, types.FLOAT32, chain.head_bias)
    logits = file.tensor("logits", (1, BINS), types.FLOAT32)
    dense = schema.FullyConnectedOptionsT()
    file.operation(ops.FULLY_CONNECTED, 1, [pooled, weights, bias], [logits], options.FullyConnectedOptions, dense)
    distribution = file.tensor("distribution", (1, BINS), types.FLOAT32)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    file.operation(ops.SOFTMAX, 1, [logits], [distribution], options.SoftmaxOptions, softmax)
    return file.finish([given], [distribution])


class _File:
    """A flatbuffer of one graph, growing."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "edge_nima"
        self.model.buffers = [schema.BufferT()]  # the first is empty by convention
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.codes: dict[tuple[int, int], int] = {}

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: int,
        data: NDArray[Any] | np.generic | None = None,
        quantised: tuple[Any, int] | None = None,
        axis: int = 0,
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if quantised is not None:
            how = self.schema.QuantizationParametersT()
            how.scale = np.asarray(quantised[0], np.float32)
            how.zeroPoint = np.full(len(how.scale), quantised[1], np.int64)
            how.quantizedDimension = axis
            tensor.quantization = how
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operation(
        self, code: int, version: int, inputs: list[int], outputs: list[int], kind: int = 0, options: Any = None
    ) -> None:
        if (code, version) not in self.codes:
            entry = self.schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
            self.codes[code, version] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes[code, version]
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)

    def convolution(self, layer: Layer, inputs: list[int], output: int) -> None:
        ops, kinds = self.schema.BuiltinOperator, self.schema.BuiltinOptions
        integer = self.graph.tensors[output].type == self.schema.TensorType.INT8
        if layer.depthwise:
            code, kind, options = (
                ops.DEPTHWISE_CONV_2D,
                kinds.DepthwiseConv2DOptions,
                self.schema.DepthwiseConv2DOptionsT(),
            )
            options.depthMultiplier = 1
        else:
            code, kind, options = ops.CONV_2D, kinds.Conv2DOptions, self.schema.Conv2DOptionsT()
        options.padding = self.schema.Padding.SAME if layer.same else self.schema.Padding.VALID
        options.strideW = options.strideH = layer.stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = _CODES[layer.ceiling]
        self.operation(code, 3 if integer else 1, inputs, [output], kind, options)

    def finish(self, inputs: list[int], outputs: list[int]) -> bytes:
        import flatbuffers

        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
