"""A float .tflite as a graph whose operations can be run one by one, each by LiteRT itself.

Work starts from the float32 .tflite and not from Keras: there the converter has folded every batch norm into the
weights before it, so that what is corrected is what is quantised.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_nima.distribution import BINS
from edge_nima.errors import CheckpointError
from edge_nima.interpreter import open_runtime

Array = NDArray[np.float32]

OPS, TYPES = schema.BuiltinOperator, schema.TensorType
NAMES = {value: name for name, value in vars(OPS).items() if isinstance(value, int)}
DTYPES = {TYPES.FLOAT32: np.float32, TYPES.INT32: np.int32, TYPES.INT64: np.int64, TYPES.UINT8: np.uint8,
          TYPES.INT8: np.int8, TYPES.BOOL: np.bool_}  # fmt: skip
CLIPS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""What fused activations of the schema clip to: none, ReLU, ReLU of -1..1, ReLU6."""
SPATIAL = ("CONV_2D", "DEPTHWISE_CONV_2D")


def _none() -> Array:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation of a graph."""

    index: int
    name: str
    """"CONV_2D" and the like."""
    label: str
    """The Keras layer behind it, where its name tells."""
    operator: Any
    inputs: tuple[int, ...]
    """Tensors that are computed, constants left out."""
    output: int
    multiply_adds: int
    """For one photograph; of operations without weights the values that they put out."""
    weights: Array = field(default_factory=_none)
    """Of convolutions (out, height, width, in), or (1, height, width, channels) when depthwise; of dense layers
    (out, in); of other operations, and of convolutions of kinds that are not quantised here, empty."""
    bias: Array = field(default_factory=_none)
    """(out,)."""

    @property
    def clip(self) -> tuple[float, float]:
        """Range that the fused activation clips to."""
        return CLIPS.get(getattr(self.operator.builtinOptions, "fusedActivationFunction", 0), CLIPS[0])

    @property
    def has_weights(self) -> bool:
        """Whether it is a convolution or dense layer whose weights can be changed."""
        return self.weights.size > 0

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a kernel of its own."""
        return self.name == "DEPTHWISE_CONV_2D"

    @property
    def rows(self) -> NDArray[np.float64]:
        """Weights as (out, inputs of one output)."""
        w = self.weights.astype(np.float64)
        return w.reshape(-1, w.shape[3]).T if self.depthwise else w.reshape(len(w), -1)

    def shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """`rows` in the shape of `weights`."""
        return rows.T.reshape(self.weights.shape) if self.depthwise else rows.reshape(self.weights.shape)

    def samples(self, x: Array, positions: NDArray[np.intp], out_width: int) -> Array:
        """What the kernel sees at some places: (n * places, height * width, in).

        Args:
            x: (n, h, w, in).
            positions: (places,) flat indices into the output picture.
            out_width: of the output picture.
        """
        options, (kh, kw) = self.operator.builtinOptions, self.weights.shape[1:3]
        down, across = options.strideH, options.strideW
        top, left = positions // out_width * down, positions % out_width * across
        if options.padding == schema.Padding.SAME:
            sizes = zip(x.shape[1:3], (down, across), (kh, kw), strict=True)
            margins = [max((-(-size // step) - 1) * step + k - size, 0) for size, step, k in sizes]
            x = np.pad(x, ((0, 0), *((m // 2, m - m // 2) for m in margins), (0, 0)))
        taken = np.stack([x[:, top + i, left + j] for i in range(kh) for j in range(kw)], axis=2)
        return taken.reshape(-1, kh * kw, x.shape[3])


class Graph:
    """Operations in the order in which they run."""

    def __init__(self, model: Any, ops: Sequence[Op]) -> None:
        self.model = model
        self.ops = tuple(ops)
        self._runners: dict[int, Runner] = {}

    @property
    def tensors(self) -> list[Any]:
        """Of the flatbuffer."""
        return list(self.model.subgraphs[0].tensors)

    @property
    def input(self) -> int:
        """The tensor that takes pixels."""
        return int(self.model.subgraphs[0].inputs[0])

    @cached_property
    def consumers(self) -> dict[int, list[Op]]:
        """Operations that take each tensor."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for tensor in dict.fromkeys(op.inputs):
                found.setdefault(tensor, []).append(op)
        return found

    @cached_property
    def last_use(self) -> dict[int, int]:
        """Index of the last operation that takes each tensor."""
        return {tensor: ops[-1].index for tensor, ops in self.consumers.items()}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of one photograph's value."""
        return tuple(int(side) for side in self.tensors[tensor].shape)

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """Value of a constant; None for a tensor that is computed."""
        return _constant(self.model, tensor)

    def with_ops(self, changed: dict[int, Op]) -> Graph:
        """The same graph with some operations replaced."""
        return Graph(self.model, [changed.get(op.index, op) for op in self.ops])

    def run(self, op: Op, values: Sequence[Array]) -> Array:
        """An operation on many photographs: arrays (n, ...), one an input, to (n, ...)."""
        if op.index not in self._runners:
            self._runners[op.index] = Runner(self, op)
        return self._runners[op.index](values)

    def linear(self, op: Op, x: Array, weights: Array | None = None) -> Array:
        """An operation with weights, its own or others, without bias and activation: (n, ..., in) to (n, ..., out)."""
        return Runner(self, op if weights is None else replace(op, weights=weights), linear=True)([x])

    def forward(self, values: Mapping[int, Any], start: int = 0) -> Array:
        """Distributions (n, 10) from what operation `start` and those after it take: arrays (n, ...) by tensor."""
        out = np.empty((len(next(iter(values.values()))), BINS), np.float32)
        for i in range(len(out)):  # one photograph after the other stays in the processor's cache
            seen = {tensor: value[i : i + 1] for tensor, value in values.items()}
            for op in self.ops[start:]:
                seen[op.output] = self.run(op, [seen[tensor] for tensor in op.inputs])
                self.forget(seen, op)
            out[i] = seen[self.ops[-1].output][0]
        return out

    def forget(self, values: dict[int, Any], op: Op) -> None:
        """Drop the values that nothing after `op` takes."""
        for tensor in op.inputs:
            if self.last_use[tensor] == op.index:
                values.pop(tensor, None)


class Runner:
    """One operation as a model of its own."""

    def __init__(self, graph: Graph, op: Op, linear: bool = False) -> None:
        old = graph.tensors
        model = new_model(schema.ModelT())
        operator = copy.copy(op.operator)
        if linear:
            operator.builtinOptions = copy.copy(operator.builtinOptions)
            operator.builtinOptions.fusedActivationFunction = 0
        slots = [int(tensor) for tensor in op.operator.inputs]
        places = {t: add_tensor(model, old[t], graph.constant(t)) for t in dict.fromkeys(slots) if t >= 0}
        operator.inputs = [places.get(tensor, -1) for tensor in slots]
        if op.has_weights:
            bias = np.zeros_like(op.bias) if linear else op.bias
            operator.inputs = [operator.inputs[0], *add_weights(model, op.label, op.weights, bias)]
        out = add_tensor(model, old[op.output], None)
        operator.outputs = [out]
        operator.opcodeIndex = 0
        model.operatorCodes = [graph.model.operatorCodes[op.operator.opcodeIndex]]
        model.subgraphs[0].operators = [operator]
        taken = list(dict.fromkeys(op.inputs))
        model.subgraphs[0].inputs = [places[t] for t in taken]
        model.subgraphs[0].outputs = [out]
        self._first = [op.inputs.index(t) for t in taken]
        runtime: Any = open_runtime(pack(model), 2)
        self._interpreter = runtime
        details = runtime.get_input_details()
        self._entries = [(runtime.tensor(item["index"]), tuple(item["shape"])) for item in details]
        self._out = runtime.tensor(runtime.get_output_details()[0]["index"])
        self._shape = graph.shape(op.output)[1:]
        self._dtype = DTYPES[old[op.output].type]

    def __call__(self, values: Sequence[Array]) -> Array:
        """Arrays (n, ...), one an input, to (n, ...)."""
        given = [values[i] for i in self._first]
        out: Array = np.empty((len(given[0]), *self._shape), self._dtype)
        for i in range(len(out)):
            for (entry, shape), value in zip(self._entries, given, strict=True):
                entry()[...] = value[i].reshape(shape)
            self._interpreter.invoke()
            out[i] = self._out()[0]
        return out


def read_graph(model: bytes) -> Graph:
    """Read a float .tflite.

    Raises:
        CheckpointError: an operation of it has several outputs, or the model several graphs.
    """
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    if len(tree.subgraphs) != 1:
        raise CheckpointError(f"the network has {len(tree.subgraphs)} graphs (control flow); possible: one")
    tensors = tree.subgraphs[0].tensors
    ops: list[Op] = []
    for index, operator in enumerate(tree.subgraphs[0].operators):
        code = tree.operatorCodes[operator.opcodeIndex]
        name = NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if len(operator.outputs) != 1:
            raise CheckpointError(f"the network has {name} with {len(operator.outputs)} outputs; possible: one")
        output = int(operator.outputs[0])
        inputs = tuple(int(t) for t in operator.inputs if t >= 0 and _constant(tree, int(t)) is None)
        size = int(np.prod(tensors[output].shape))
        op = Op(index, name, _label(tensors[output].name, index), operator, inputs, output, size)
        ops.append(_with_weights(tree, op) if name in (*SPATIAL, "FULLY_CONNECTED") else op)
    return Graph(tree, ops)


def _with_weights(tree: Any, op: Op) -> Op:
    """The convolution with its weights, where it is of a kind that can be quantised."""
    slots, options = [int(t) for t in op.operator.inputs], op.operator.builtinOptions
    weights = _constant(tree, slots[1])
    if weights is None or len(op.inputs) != 1:
        return op
    if op.name in SPATIAL:
        given = int(tree.subgraphs[0].tensors[slots[0]].shape[-1])
        fits = options.depthMultiplier == 1 if op.depthwise else weights.shape[3] == given
        if options.dilationWFactor != 1 or options.dilationHFactor != 1 or not fits:
            return op
    bias = _constant(tree, slots[2]) if len(slots) > 2 and slots[2] >= 0 else None
    outs = weights.shape[3] if op.depthwise else weights.shape[0]
    per_output = weights.size // outs
    return replace(
        op, weights=weights, bias=np.zeros(outs, np.float32) if bias is None else bias,
        multiply_adds=op.multiply_adds * per_output,
    )  # fmt: skip


def _constant(tree: Any, tensor: int) -> NDArray[Any] | None:
    held = tree.subgraphs[0].tensors[tensor]
    data = tree.buffers[held.buffer].data
    if data is None or not len(data):
        return None
    return np.frombuffer(bytes(data), DTYPES[held.type]).reshape([int(side) for side in held.shape]).copy()


def _label(tensor: Any, index: int) -> str:
    """The Keras layer behind a tensor, from the names that the converter strings together."""
    text = tensor.decode("utf-8", "replace") if isinstance(tensor, bytes) else str(tensor)
    found = re.search(r"([\w.-]+)/(?:separable_conv2d/)?(?:convolution|depthwise|Conv2D|mul|add|Relu6?)\b", text)
    return f"op_{index}" if not found else found[1].removesuffix("_1")


def new_model(model: Any) -> Any:
    """An empty flatbuffer tree of one graph."""
    model.version, model.description = 3, "edge_nima"
    model.buffers = [schema.BufferT()]  # the first is empty by convention
    model.operatorCodes = []
    graph = schema.SubGraphT()
    graph.name, graph.tensors, graph.operators = "main", [], []
    model.subgraphs = [graph]
    return model


def new_tensor(name: str, shape: Sequence[int], kind: int) -> Any:
    """A tensor without data."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, list(shape), kind
    return tensor


def add_tensor(model: Any, like: Any, data: NDArray[Any] | None) -> int:
    """A tensor shaped and typed as another, with data or computed; its index."""
    tensor = copy.copy(like)
    tensor.buffer, tensor.shapeSignature = 0, None
    if data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_weights(model: Any, label: str, weights: Array, bias: Array) -> list[int]:
    """Weights and bias in float; their indices."""
    both = ((f"{label}/weights", weights), (f"{label}/bias", bias))
    return [add_tensor(model, new_tensor(name, value.shape, TYPES.FLOAT32), value) for name, value in both]


def pack(model: Any) -> bytes:
    """The flatbuffer as bytes."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
