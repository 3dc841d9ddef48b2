"""int8 of any float graph without training: equalised, rounded and corrected operation by operation.

What plain int8 loses, and what each step gives back:

1. **Equalise.** A tensor has one scale for all channels, so a channel that stays below 0.1 where another reaches 6
   keeps four of its 256 levels. Between two convolutions with only a rectifier in between, channel c is multiplied up
   to the largest and divided out in the next (Nagel et al. 2019, section 4.1; exact as long as nothing clips).
2. **Refit.** A convolution's weights are fitted by ridge regression so that from the *quantised* inputs it gives what
   the float one gives from the float ones. Before a residual addition the target includes what the other branch lacks.
3. **Round together.** `rounding`: what matters is the output's error, and neighbouring pixels err together.
4. **Correct the bias.** The mean of each channel after its activation is brought to the float model's.
5. **Choose ranges** by the squared error after the activation that follows: what hard-swish flattens costs nothing.

The last average and the head stay in float, and the head takes what is left of a linear error of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima_convert.recipes import Progress
from edge_nima_convert.tflite.graph import SPATIAL, TYPES, Array, Graph, Op
from edge_nima_convert.tflite.rounding import Doubles, round_apart, round_together, row_scales

VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "MUL": 2, "MEAN": 2, "LOGISTIC": 2, "HARD_SWISH": 1, "PAD": 2,
    "AVERAGE_POOL_2D": 2, "MAX_POOL_2D": 2, "RELU": 2, "RELU6": 2, "RESHAPE": 1,
}  # fmt: skip
"""Operations that are made integer, with the version of the schema that takes int8."""
SAME_GRID = ("PAD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE")
TAIL = ("SOFTMAX", "FULLY_CONNECTED", "RESHAPE", "MEAN", "AVERAGE_POOL_2D")
MOST, MEMORY = 320, 900e6
"""Photographs that are used, evenly spaced among more, and bytes that the largest tensor of all of them may take."""
MARGIN = 1.1
"""Room above the largest activation seen: other photographs go higher."""
EQUAL_MARGIN = 1.3
"""The same where channels are equalised: beyond the ceiling a channel is cut, in float too."""
STRONGEST = 64.0
"""No channel is multiplied by more than this."""
RIDGES = 10.0 ** np.arange(-4, 2)
"""Of the refit, as shares of the inputs' mean variance."""
FOLDS = 5
SAMPLES_APART, SAMPLES_TOGETHER = 40_000, 250_000
"""Places in the pictures from which an operation's statistics come: depthwise, and others."""
MATCHED = 30_000_000
"""Values by which means are matched, at most."""
SAMPLED = 1_000_000
"""Values by which a range is chosen, about."""
FAINT = 0.02
"""Weight of a place whose output lies where the activation is flat."""
LEVELS = 255
PART = 16


@dataclass(frozen=True)
class Grid:
    """How a tensor is held in int8."""

    scale: float
    zero: int
    """Real value = (integer - zero) * scale, integers in -128..127."""

    def integers(self, x: Array) -> NDArray[np.int8]:
        """The integers nearest to real values."""
        whole: NDArray[np.int8] = np.clip(np.rint(x / np.float32(self.scale)) + self.zero, -128, 127).astype(np.int8)
        return whole

    def __call__(self, x: Array) -> Array:
        """Real values rounded to the grid."""
        out: Array = np.rint(x / np.float32(self.scale))
        np.clip(out, -128 - self.zero, 127 - self.zero, out=out)
        out *= np.float32(self.scale)
        return out

    @classmethod
    def over(cls, low: float, high: float) -> Grid:
        """The grid that spans low..high and holds 0 exactly."""
        scale = float(np.float32(max(max(high, 0) - min(low, 0), 1e-6) / LEVELS))
        return cls(scale, int(np.clip(np.rint(-min(low, 0) / scale), 0, LEVELS)) - 128)


@dataclass(frozen=True)
class Weights:
    """A convolution in integers."""

    integers: NDArray[np.int8]
    """As `Op.weights`."""
    scales: Array
    """(out,): real weight = integer * scale."""
    bias: NDArray[np.int32]
    """(out,), in units of the input's scale times the weights'."""


@dataclass(frozen=True)
class Quantised:
    """A graph with its integers."""

    graph: Graph
    """Equalised; float operations corrected."""
    integers: frozenset[int]
    """Indices of the operations that compute in int8."""
    weights: dict[int, Weights]
    """Of those with weights, by index."""
    grids: dict[int, Grid]
    """Of the tensors that are held in int8."""


@dataclass(frozen=True)
class Entry:
    """How pixels become the network's input: (pixel - zero) * factor."""

    tensor: int
    """The tensor that holds it."""
    zero: float
    factor: float
    ops: frozenset[int]
    """The operations that make it."""


def entry_of(graph: Graph) -> Entry:
    """The leading operations that only move and scale pixels by one number for all."""
    tensor, zero, factor, ops = graph.input, 0.0, 1.0, []
    while len(graph.consumers[tensor]) == 1:
        op = graph.consumers[tensor][0]
        constants = [graph.constant(int(t)) for t in op.operator.inputs if int(t) not in op.inputs]
        if op.name in {"SUB", "ADD", "MUL"} and constants and constants[0] is not None and constants[0].size == 1:
            value = float(constants[0].reshape(-1)[0])
            if op.name == "MUL":
                factor *= value
            else:
                zero += (value if op.name == "SUB" else -value) / factor
        elif op.name != "CAST":
            break
        ops.append(op.index)
        tensor = op.output
    return Entry(tensor, zero, factor, frozenset(ops))


def integer_ops(graph: Graph) -> frozenset[int]:
    """Indices of the operations that can compute in int8: all but the entry, the last average and the head."""
    last = len(graph.ops)
    while last and graph.ops[last - 1].name in TAIL:
        last -= 1
    return frozenset(op.index for op in graph.ops[:last] if _fits(graph, op)) - entry_of(graph).ops


def _fits(graph: Graph, op: Op) -> bool:
    if op.name not in VERSIONS or any(graph.tensors[t].type != TYPES.FLOAT32 for t in (*op.inputs, op.output)):
        return False
    if op.name in SPATIAL:
        return op.has_weights
    if (
        op.name in {"ADD", "MUL"} and len(op.inputs) == 1
    ):  # a constant operand: a number is exact in int8, a list is not
        return any(value is not None and value.size == 1 for value in map(graph.constant, map(int, op.operator.inputs)))
    return True


def equalise(graph: Graph, pixels: Pixels, integers: Collection[int]) -> Graph:
    """The same function with channels of like range.

    Args:
        graph: the network.
        pixels: uint8 (n, height, width, 3) that show each channel's range.
        integers: operations that will be int8.
    """
    pairs = [pair for op in graph.ops if (pair := _pair(graph, op, integers))]
    largest = {op.index: np.zeros(len(op.bias), np.float32) for op, _ in pairs}
    for picture in pixels:
        values: dict[int, Any] = {graph.input: picture[None]}
        for op in graph.ops:
            values[op.output] = graph.run(op, [values[tensor] for tensor in op.inputs])
            if op.index in largest:
                np.maximum(largest[op.index], values[op.output].max((0, 1, 2)), out=largest[op.index])
            graph.forget(values, op)
    changed: dict[int, Op] = {}
    for op, after in pairs:
        top = largest[op.index]
        ceiling = op.clip[1] if np.isfinite(op.clip[1]) else float(top.max()) * EQUAL_MARGIN
        factors = np.clip(np.where(top > 0, ceiling / np.maximum(top * EQUAL_MARGIN, 1e-9), 1), 1, STRONGEST).astype(
            "f4"
        )
        now, then = changed.get(op.index, op), changed.get(after.index, after)
        weights = now.shaped(now.rows * factors[:, None]).astype(np.float32)
        changed[op.index] = replace(now, weights=weights, bias=now.bias * factors)
        changed[after.index] = replace(then, weights=then.weights / factors)  # the last axis is that of its inputs
    return graph.with_ops(changed)


def _pair(graph: Graph, op: Op, integers: Collection[int]) -> tuple[Op, Op] | None:
    """A rectified convolution and the one that alone takes what it gives, where that is so."""
    after = graph.consumers.get(op.output, [])
    if not op.has_weights or op.name not in SPATIAL or op.clip[0] != 0 or len(after) != 1:
        return None
    fits = after[0].has_weights and after[0].name in SPATIAL
    return (op, after[0]) if fits and (op.index in integers or after[0].index in integers) else None


def photographs_for(graph: Graph, pixels: Pixels) -> Pixels:
    """As many of the photographs as memory allows, evenly spaced; where it allows more, mirrored ones too."""
    largest = max(int(np.prod(graph.shape(op.output))) for op in graph.ops) * 4
    most = min(MOST, max(PART, int(MEMORY / largest)))
    chosen: Pixels = pixels[np.linspace(0, len(pixels) - 1, min(most, len(pixels))).astype(int)]
    mirrored = chosen[:: max(1, -(-len(chosen) // max(most - len(chosen), 1))), :, ::-1]
    return chosen if most <= len(chosen) else np.concatenate([chosen, mirrored[: most - len(chosen)]])


def quantise(
    graph: Graph,
    pixels: Pixels,
    floats: Collection[int] = (),
    *,
    half: bool = False,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> Quantised:
    """Quantise a graph to int8, corrected on photographs.

    Args:
        graph: the float network, equalised or not.
        pixels: uint8 (n, height, width, 3), calibration photographs; see `photographs_for`.
        floats: indices of operations that stay in float though they need not.
        half: all stays in float, with weights in float16.
        seed: of the places that are looked at.
        progress: told after each operation.
    """
    integers = frozenset[int]() if half else integer_ops(graph) - frozenset(floats)
    takers = {op.index for op in graph.consumers[entry_of(graph).tensor]}
    if not takers <= integers:  # pixels are integers for all that take them, or for none
        integers -= takers
    work = Pass(graph, integers, pixels, np.random.default_rng(seed), half)
    for op in graph.ops:
        work.step(op)
        progress("correcting", op.index + 1, len(graph.ops), op.label)
    return Quantised(graph.with_ops(work.changed), work.integers, work.weights, work.grids)


@dataclass
class Pass:
    """One walk through a graph, with each tensor's values in float and as the quantised network has them."""

    graph: Graph
    integers: frozenset[int]
    pixels: Pixels
    random: np.random.Generator
    half: bool = False
    weights: dict[int, Weights] = field(default_factory=dict)
    grids: dict[int, Grid] = field(default_factory=dict)
    changed: dict[int, Op] = field(default_factory=dict)
    exact: dict[int, Any] = field(default_factory=dict)
    rounded: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exact[self.graph.input] = self.rounded[self.graph.input] = self.pixels
        self.entry = entry_of(self.graph)

    def seen(self, tensor: int, integer: bool) -> Array:
        """A tensor's values as an operation of the quantised network takes them."""
        if integer and tensor not in self.grids:
            if tensor == self.entry.tensor:
                # An integer zero point cannot be 127.5; the first bias takes the difference.
                zero = int(np.clip(np.rint(self.entry.zero), 0, LEVELS))
                self.grids[tensor] = Grid(self.entry.factor, zero - 128)
                shift = np.float32((self.entry.zero - zero) * self.entry.factor)
                self.rounded[tensor] = self.exact[tensor] + shift
            else:
                self.grids[tensor] = self.grid_for(self.rounded[tensor], tensor, (-np.inf, np.inf))
        values = self.rounded[tensor]
        made_in_float = integer and tensor != self.entry.tensor and not self._made_in_int8(tensor)
        return self.grids[tensor](values) if made_in_float else values

    def _made_in_int8(self, tensor: int) -> bool:
        return any(op.output == tensor and op.index in self.integers for op in self.graph.ops)

    def step(self, op: Op) -> None:
        """One operation, both ways."""
        integer = op.index in self.integers
        given = [self.exact[tensor] for tensor in op.inputs]
        untouched = (
            not integer
            and not (self.half and op.has_weights)
            and all(self.exact[t] is self.rounded[t] for t in op.inputs)
        )
        if not op.has_weights or untouched:
            exact = self.graph.run(op, given)
            rounded = exact if untouched else self.graph.run(op, [self.seen(t, integer) for t in op.inputs])
        else:
            sums = self.graph.linear(op, given[0]) + op.bias
            exact = np.clip(sums, *op.clip)
            rounded = self.weighted(op, sums, exact, self.seen(op.inputs[0], integer), integer)
        if integer:
            rounded = self.on_grid(op, rounded)
        self.exact[op.output], self.rounded[op.output] = exact, rounded
        for values in (self.exact, self.rounded):
            self.graph.forget(values, op)

    def on_grid(self, op: Op, values: Array) -> Array:
        """What an integer operation puts out."""
        if op.index not in self.weights or op.output not in self.grids:
            if op.name in SAME_GRID:
                self.grids[op.output] = self.grids[op.inputs[0]]
            elif op.name == "LOGISTIC":
                self.grids[op.output] = Grid(1 / 256, -128)
            else:
                self.grids[op.output] = self.grid_for(values, op.output, op.clip)
        return self.grids[op.output](values)

    def grid_for(self, values: Array, tensor: int, clip: tuple[float, float]) -> Grid:
        """The grid with the least squared error after whatever activation follows."""
        step = max(1, values.size // SAMPLED)
        while math.gcd(step, values.shape[-1]) > 1:  # a step that shares a factor with the channels skips some
            step += 1
        few = values.reshape(-1)[::step]
        after = _activation_after(self.graph, tensor)
        wanted = after(few)
        low, high = float(values.min()), float(values.max())
        best, least = Grid.over(low, high), np.inf
        for lower, upper in _ranges(low, high, clip):
            grid = Grid.over(lower, upper)
            error = float(np.square(after(grid(few)) - wanted).mean())
            if error < least:
                best, least = grid, error
        return best

    def weighted(self, op: Op, sums: Array, exact: Array, rounded: Array, integer: bool) -> Array:
        """A convolution or dense layer, corrected; what it gives from the quantised inputs.

        Args:
            op: the operation.
            sums: (n, ..., out), what it gives in float before its activation.
            exact: the same after it.
            rounded: (n, ..., in), its inputs in the quantised network.
            integer: whether its weights become integers.
        """
        if op.name not in SPATIAL:
            return self.dense(op, sums, rounded)
        target = sums + self.lacking(op) if op.clip == (-np.inf, np.inf) else sums
        rows, unit = op.rows, np.zeros(0)
        if self.half:
            rows = rows.astype(np.float16).astype(np.float64)
        else:
            parts = _moments(op, target, rounded, self.random)
            rows = _refit(rows, parts)
            if integer:
                whole, scales = self.round(op, rows, sum(parts[1:], parts[0]).centred()[0])
                rows, unit = whole * scales, scales[:, 0] * self.grids[op.inputs[0]].scale
        out = self.graph.linear(op, rounded, op.shaped(rows).astype(np.float32))
        bias = target.mean((0, 1, 2), dtype=np.float64) - out.mean((0, 1, 2), dtype=np.float64)
        if op.clip != (-np.inf, np.inf):
            bias = _match_means(out, bias, exact, op.clip)
        if integer:
            counts = np.rint(bias / unit)
            bias = counts * unit
            integers = op.shaped(whole).astype(np.int8)
            self.weights[op.index] = Weights(integers, scales[:, 0].astype(np.float32), counts.astype(np.int32))
        else:
            weights: Any = op.shaped(rows).astype(np.float16 if self.half else np.float32)
            self.changed[op.index] = replace(op, weights=weights, bias=bias.astype(np.float32))
        out += bias.astype(np.float32)
        return np.clip(out, *op.clip, out=out)

    def round(self, op: Op, rows: Doubles, covariance: Doubles) -> tuple[Doubles, Doubles]:
        """Whole numbers and scales of an operation's rows, by the covariance of its quantised inputs."""
        k = covariance.shape[-1]
        trace = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None] / k
        covariance = covariance + np.eye(k) * (1e-4 * trace + 1e-12)
        # A channel that is never active has weights near 0, and its bias must still fit 32 bits at their scale.
        smallest = (np.abs(op.bias[:, None]).astype(np.float64) + 8) / 2**22 / self.grids[op.inputs[0]].scale
        if op.depthwise:
            return round_apart(rows, smallest, covariance)
        scales = row_scales(rows, smallest)
        return round_together(rows, scales, covariance), scales

    def lacking(self, op: Op) -> Array | np.float32:
        """What the other branch of a residual addition lacks, where this convolution is the last to reach it."""
        after = self.graph.consumers.get(op.output, [])
        if len(after) != 1 or after[0].name != "ADD" or len(after[0].inputs) != 2:
            return np.float32(0)
        (other,) = [tensor for tensor in after[0].inputs if tensor != op.output] or [op.output]
        if other not in self.exact or other == op.output or self.graph.shape(other) != self.graph.shape(op.output):
            return np.float32(0)
        return np.asarray(self.exact[other] - self.seen(other, after[0].index in self.integers))

    def dense(self, op: Op, sums: Array, rounded: Array) -> Array:
        """A dense layer in float: its outputs moved by the affine function of them that undoes most of the error."""
        ours = self.graph.linear(op, rounded) + op.bias
        matrix, offset = _affine(ours.astype(np.float64), sums.astype(np.float64))
        weights, bias = matrix @ op.rows, matrix @ op.bias + offset
        self.changed[op.index] = replace(op, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
        moved: Array = np.clip(ours @ matrix.T.astype(np.float32) + offset.astype(np.float32), *op.clip)
        return moved


def _affine(given: Doubles, wanted: Doubles) -> tuple[Doubles, Doubles]:
    """Matrix (k, k) and offset (k,) that bring `given` (n, k) nearest to `wanted`: ridge regression of the difference.

    The ridge is the one of which each row is best foretold by the others.
    """
    n, k = given.shape
    centre, error = given.mean(0), wanted - given
    x, y = given - centre, error - error.mean(0)
    best, least = np.zeros((k, k)), np.square(y * n / max(n - 1, 1)).sum()
    gram = x.T @ x
    for ridge in 10.0 ** np.arange(-5, 2) * np.trace(gram) / k:
        solved = np.linalg.solve(gram + np.eye(k) * (ridge + 1e-12), x.T)  # above 0 where nothing varies
        leverage = np.einsum("nk,kn->n", x, solved) + 1 / n
        missed = (y - x @ (solved @ y)) / (1 - leverage)[:, None]
        if np.square(missed).sum() < least:
            best, least = (solved @ y).T, np.square(missed).sum()
    return np.eye(k) + best, error.mean(0) - best @ centre


def _activation_after(graph: Graph, tensor: int) -> Any:
    """What follows a tensor as a function of single values: hard-swish, swish, or nothing."""
    names = sorted(op.name for op in graph.consumers.get(tensor, []))
    if names == ["HARD_SWISH"]:
        return lambda x: x * np.clip(x + 3, 0, 6) / 6
    if names == ["LOGISTIC", "MUL"]:
        return lambda x: x / (1 + np.exp(-x))
    return lambda x: x


def _ranges(low: float, high: float, clip: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Ranges worth trying for values of low..high."""
    shares = (MARGIN, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    lows = [0.0] if low >= 0 else [max(low * share, clip[0]) for share in (*shares, 0.35, 0.2, 0.1)]
    for lower in lows:
        for share in shares:
            yield lower, min(high * share, clip[1])


@dataclass
class _Moments:
    """Sums over places in pictures: of the quantised inputs b, of the targets t, and of their products.

    Depthwise, each channel by itself: (channels, k, k), (channels, k), (channels,), (channels, k); else (k, k),
    (out, k), (out,), (k,).
    """

    total: Any = 0.0
    square: Any = 0.0
    crossed: Any = 0.0
    sum_wanted: Any = 0.0
    sum_rounded: Any = 0.0

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    def centred(self) -> tuple[Doubles, Doubles]:
        """Covariance of b, and of t with b."""
        n = np.asarray(self.total)
        wanted, rounded = self.sum_wanted / n, self.sum_rounded / n[..., None]
        covariance = self.square / n[..., None, None] - rounded[..., :, None] * rounded[..., None, :]
        products = wanted[:, None] * (rounded if n.ndim else rounded[None])
        return covariance, self.crossed / n[..., None] - products


def _moments(op: Op, target: Array, rounded: Array, random: np.random.Generator) -> list[_Moments]:
    """Of the photographs in five parts, each at some places; depthwise a place weighs by whether its output matters."""
    out_width, places = target.shape[2], target.shape[1] * target.shape[2]
    each = min(places, max(1, (SAMPLES_APART if op.depthwise else SAMPLES_TOGETHER) // len(target)))
    parts = [_Moments() for _ in range(FOLDS)]
    for number, start in enumerate(range(0, len(target), PART)):
        positions = np.sort(random.choice(places, each, replace=False))
        b = op.samples(rounded[start : start + PART], positions, out_width)
        t = target[start : start + PART].reshape(-1, places, target.shape[3])[:, positions].reshape(len(b), -1)
        if op.depthwise:
            b, t = np.ascontiguousarray(b.transpose(2, 0, 1)), np.ascontiguousarray(t.T)  # one product a channel
            weight = np.where((t > op.clip[0] - 0.3) & (t < op.clip[1] + 0.3), 1, FAINT).astype(np.float32)
            heavy = b * weight[..., None]
            square, crossed = np.matmul(heavy.transpose(0, 2, 1), b), np.matmul(t[:, None], heavy)[:, 0]
            sums = (
                weight.sum(1, dtype=np.float64),
                (t * weight).sum(1, dtype=np.float64),
                heavy.sum(1, dtype=np.float64),
            )
        else:
            b = b.reshape(len(b), -1)
            square, crossed = b.T @ b, t.T @ b
            sums = np.float64(len(b)), t.sum(0, dtype="f8"), b.sum(0, dtype="f8")
        more = _Moments(sums[0], square.astype(np.float64), crossed.astype(np.float64), *sums[1:])
        parts[number % FOLDS] = parts[number % FOLDS] + more
    return [part for part in parts if not isinstance(part.square, float)]


def _refit(rows: Doubles, parts: list[_Moments]) -> Doubles:
    """Weights that give the target from quantised inputs, by ridge regression towards `rows`.

    The ridge is the one that foretells a fifth of the photographs best from the others.
    """
    if len(parts) == 1:
        return rows
    others, held = sum(parts[2:], parts[1]).centred(), parts[0].centred()
    best, least = np.inf, _missed(rows, held)
    for ridge in RIDGES:
        error = _missed(_ridge(rows, *others, ridge), held)
        if error < least:
            best, least = ridge, error
    return rows if np.isinf(best) else _ridge(rows, *sum(parts[1:], parts[0]).centred(), best)


def _ridge(rows: Doubles, covariance: Doubles, cross: Doubles, ridge: float) -> Doubles:
    k = covariance.shape[-1]
    pull = np.asarray(ridge * np.trace(covariance, axis1=-2, axis2=-1) / k + 1e-12)
    if covariance.ndim == 2:
        return np.asarray(np.linalg.solve(covariance + np.eye(k) * pull, (cross + rows * pull).T).T)
    wanted = cross + rows * pull[:, None]
    return np.asarray(np.linalg.solve(covariance + np.eye(k) * pull[:, None, None], wanted[..., None])[..., 0])


def _missed(rows: Doubles, moments: tuple[Doubles, Doubles]) -> float:
    """Squared error of what `rows` foretell, up to a constant."""
    covariance, cross = moments
    form = "rk,kj,rj->" if covariance.ndim == 2 else "rk,rkj,rj->"
    return float(np.einsum(form, rows, covariance, rows, optimize=True) - 2 * (rows * cross).sum())


def _match_means(sums: Array, bias: Doubles, wanted: Array, clip: tuple[float, float]) -> Doubles:
    """Bias with which each channel's mean after the activation is the float model's: six Newton steps."""
    low, high = (np.float32(side) for side in clip)
    step = max(1, sums.size // MATCHED)
    sums, wanted = sums[::step], wanted[::step]
    aim = wanted.mean((0, 1, 2), dtype=np.float64)
    for _ in range(6):
        mean, live = np.zeros_like(bias), np.zeros_like(bias)
        for start in range(0, len(sums), PART):
            y = sums[start : start + PART] + bias.astype(np.float32)
            live += ((y > low) & (y < high)).sum((0, 1, 2)) / (sums.size / len(bias))
            mean += np.clip(y, low, high).sum((0, 1, 2), dtype=np.float64) / (sums.size / len(bias))
        step = np.clip((aim - mean) / np.maximum(live, 0.05), -0.5, 0.5)
        bias = bias + np.where(live > 1e-3, step, 0)
    return bias
