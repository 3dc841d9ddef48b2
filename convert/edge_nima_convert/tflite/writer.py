"""A quantised graph as a .tflite."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_nima_convert.tflite.graph import OPS, TYPES, Op, add_tensor, add_weights, new_model, new_tensor, pack
from edge_nima_convert.tflite.quantise import VERSIONS, Grid, Quantised, entry_of


def write_tflite(quantised: Quantised) -> bytes:
    """Assemble the model: uint8 (1, height, width, 3) to float32 (1, 10).

    Every operation computes as `Quantised.integers` says; where a value is made one way and taken the other, a QUANTIZE
    or a DEQUANTIZE stands between. Where all that take the network's input are integer, the pixels go in by one
    QUANTIZE and the operations that scale them are left out.
    """
    return _Writer(quantised).write()


class _Writer:
    def __init__(self, quantised: Quantised) -> None:
        self.q = quantised
        self.graph = quantised.graph
        self.model = new_model(schema.ModelT())
        self.entry = entry_of(self.graph)
        self.floats: dict[int, int] = {}
        """Tensors of the float graph to those of the new one that hold them in float."""
        self.ints: dict[int, int] = {}
        """The same in int8."""
        self.codes: dict[tuple[int, int], int] = {}

    def write(self) -> bytes:
        main = self.model.subgraphs[0]
        pixels = add_tensor(self.model, self.graph.tensors[self.graph.input], None)
        self.floats[self.graph.input] = pixels
        takers = self.graph.consumers[self.entry.tensor]
        whole = all(op.index in self.q.integers for op in takers)
        if whole:
            self._quantise_pixels(pixels)
        for op in self.graph.ops:
            if not (whole and op.index in self.entry.ops):
                self._operation(op)
        main.inputs, main.outputs = [pixels], [self._float(self.graph.ops[-1].output)]
        return pack(self.model)

    def _quantise_pixels(self, pixels: int) -> None:
        """uint8 pixels are the input's integers already: shifted by 128, they are int8."""
        grid = self.q.grids[self.entry.tensor]
        self.model.subgraphs[0].tensors[pixels].quantization = _parameters([grid.scale], grid.zero + 128)
        self.ints[self.entry.tensor] = self._tensor(self.entry.tensor, grid)
        self._quantise(2, pixels, self.ints[self.entry.tensor])

    def _operation(self, op: Op) -> None:
        integer = op.index in self.q.integers
        take = self._int if integer else self._float
        given = [
            self._given(op, int(t), integer) if int(t) not in op.inputs else take(int(t)) for t in op.operator.inputs
        ]
        if op.has_weights:
            made = self._integer_weights if integer else self._float_weights
            given = [given[0], *made(op)]
        out = self._tensor(op.output, self.q.grids[op.output] if integer else None)
        (self.ints if integer else self.floats)[op.output] = out
        code = self.graph.model.operatorCodes[op.operator.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        operator = op.operator
        version = VERSIONS[op.name] if integer else code.version
        self._add(builtin, version, given, out, operator.builtinOptionsType, operator.builtinOptions)

    def _given(self, op: Op, tensor: int, integer: bool) -> int:
        """A constant operand; of an integer addition or product the one number that it is."""
        if tensor < 0:
            return -1
        value, like = self.graph.constant(tensor), self.graph.tensors[tensor]
        if op.has_weights or value is None:
            return -1
        if not integer or value.dtype != np.float32:
            return add_tensor(self.model, like, value)
        size = float(np.abs(value).max()) or 1.0
        grid = Grid(float(np.float32(size / 127)), 0)
        made = copy.copy(like)
        made.type, made.quantization = TYPES.INT8, _parameters([grid.scale], 0)
        return add_tensor(self.model, made, grid.integers(value))

    def _integer_weights(self, op: Op) -> list[int]:
        held, scale = self.q.weights[op.index], np.float32(self.q.grids[op.inputs[0]].scale)
        axis = 3 if op.depthwise else 0
        weights = new_tensor(f"{op.label}/weights", held.integers.shape, TYPES.INT8)
        weights.quantization = _parameters(held.scales, 0, axis)
        bias = new_tensor(f"{op.label}/bias", held.bias.shape, TYPES.INT32)
        bias.quantization = _parameters(held.scales * scale, 0)
        return [add_tensor(self.model, weights, held.integers), add_tensor(self.model, bias, held.bias)]

    def _float_weights(self, op: Op) -> list[int]:
        weights, bias = add_weights(self.model, op.label, op.weights, op.bias)
        if op.weights.dtype == np.float16:
            half, like = weights, self.model.subgraphs[0].tensors[weights]
            like.type = TYPES.FLOAT16
            weights = add_tensor(self.model, new_tensor(like.name, like.shape, TYPES.FLOAT32), None)
            self._dequantise(half, weights)
        return [weights, bias]

    def _int(self, tensor: int) -> int:
        """The tensor in int8, after a QUANTIZE where it is made in float."""
        if tensor not in self.ints:
            self.ints[tensor] = self._tensor(tensor, self.q.grids[tensor])
            self._quantise(1, self.floats[tensor], self.ints[tensor])
        return self.ints[tensor]

    def _float(self, tensor: int) -> int:
        """The tensor in float, after a DEQUANTIZE where it is made in int8."""
        if tensor not in self.floats:
            self.floats[tensor] = self._tensor(tensor, None)
            self._dequantise(self.ints[tensor], self.floats[tensor])
        return self.floats[tensor]

    def _quantise(self, version: int, given: int, held: int) -> None:
        options = schema.BuiltinOptions.QuantizeOptions
        self._add(OPS.QUANTIZE, version, [given], held, options, schema.QuantizeOptionsT())

    def _dequantise(self, held: int, real: int) -> None:
        options = schema.BuiltinOptions.DequantizeOptions
        self._add(OPS.DEQUANTIZE, 2, [held], real, options, schema.DequantizeOptionsT())

    def _tensor(self, tensor: int, grid: Grid | None) -> int:
        like = self.graph.tensors[tensor]
        made = new_tensor(like.name, like.shape, like.type if grid is None else TYPES.INT8)
        if grid is not None:
            made.quantization = _parameters([grid.scale], grid.zero)
        return add_tensor(self.model, made, None)

    def _add(self, code: int, version: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        if (code, version) not in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
            self.codes[code, version] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes[code, version], inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.model.subgraphs[0].operators.append(operator)


def _parameters(scales: Any, zero: int, axis: int = 0) -> Any:
    how = schema.QuantizationParametersT()
    how.scale = np.asarray(scales, np.float32)
    how.zeroPoint = np.full(len(how.scale), zero, np.int64)
    how.quantizedDimension = axis
    return how
