"""What rounding each operation's output costs the score, and which operations are worth keeping in float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from edge_nima.decode import Pixels
from edge_nima.distribution import mean_rating
from edge_nima_convert.recipes import Progress
from edge_nima_convert.tflite.graph import Graph, Op
from edge_nima_convert.tflite.quantise import SAME_GRID, Pass, integer_ops

ARM_WEIGHT = 3.0
"""What a float multiply-add costs on ARM, in int8 ones."""
ARM_BUDGET = 1.15
"""Cost that the mixed model may have there, the int8 model's being 1."""
SIZE_BUDGET = 1.08
"""Size that it may have, the int8 model's being 1: a float weight takes four bytes and not one."""
WORTH = 0.1
"""Share of the variance that rounding causes which the float operations must take away."""
LOOKED_AT = 24


def arm_cost(graph: Graph, floats: Collection[int]) -> float:
    """Multiply-adds of a graph with some operations in float, weighted 3:1, over those of the int8 graph."""
    whole = sum(op.multiply_adds for op in graph.ops)
    return 1 + (ARM_WEIGHT - 1) * sum(op.multiply_adds for op in graph.ops if op.index in floats) / whole


def size_cost(graph: Graph, floats: Collection[int]) -> float:
    """Bytes of weights with some operations in float over those of the int8 graph."""
    sizes = {op.index: op.weights.size for op in graph.ops}
    return 1 + 3 * sum(size for index, size in sizes.items() if index in floats) / max(sum(sizes.values()), 1)


@dataclass(frozen=True)
class Cost:
    """What rounding one operation's output does to the mean rating."""

    variance: float
    """Of the error, squared rating points."""
    mae: float
    """Mean absolute error, rating points."""


def rounding_costs(graph: Graph, pixels: Pixels, progress: Progress = lambda *_: None) -> dict[int, Cost]:
    """What the mean rating loses when one operation's output is rounded to int8 and all else is float.

    Everything after an operation sees its rounding, so the early ones cost the most.

    Args:
        graph: the float network, equalised.
        pixels: uint8 (n, height, width, 3), calibration photographs; 24 of them are looked at.
        progress: told after each operation.

    Returns:
        By index of the operation.
    """
    seen = pixels[np.linspace(0, len(pixels) - 1, min(LOOKED_AT, len(pixels))).astype(int)]
    work = Pass(graph, frozenset(), seen, np.random.default_rng(0))
    integers, costs = integer_ops(graph), {}
    true = mean_rating(graph.forward({graph.input: seen}))
    values = {graph.input: seen}
    for op in graph.ops:
        values[op.output] = graph.run(op, [values[tensor] for tensor in op.inputs])
        graph.forget(values, op)
        if op.index in integers and op.name not in SAME_GRID:
            rounded = work.grid_for(values[op.output], op.output, op.clip)(values[op.output])
            error = mean_rating(graph.forward({**values, op.output: rounded}, op.index + 1)) - true
            costs[op.index] = Cost(float(error.var()), float(np.abs(error).mean()))
        progress("measuring operations", op.index + 1, len(graph.ops), op.label)
    return costs


def choose_floats(graph: Graph, costs: Mapping[int, Cost]) -> frozenset[int]:
    """Operations to keep in float: those that spare most of the error for what they cost, within both budgets.

    An output is spared its rounding when the operation that makes it and all that take it are in float. Outputs are
    taken greedily, each with the operations that it needs, by the variance spared a multiply-add.

    Returns:
        Their indices; none where less than `WORTH` of the variance could be spared.
    """
    integers, chosen = integer_ops(graph), frozenset[int]()
    needs = {op.index: _needs(graph, op) & integers for op in graph.ops if op.index in costs}
    whole = sum(cost.variance for cost in costs.values())

    def spared(floats: frozenset[int]) -> float:
        return sum(cost.variance for index, cost in costs.items() if needs[index] <= floats)

    while True:
        best, most = chosen, 0.0
        for index in costs:
            wanted = chosen | needs[index]
            cost = arm_cost(graph, wanted) - arm_cost(graph, chosen)
            if wanted == chosen or arm_cost(graph, wanted) > ARM_BUDGET or size_cost(graph, wanted) > SIZE_BUDGET:
                continue
            gain = (spared(wanted) - spared(chosen)) / (cost + 1e-4)
            if gain > most:
                best, most = wanted, gain
        if best == chosen:
            break
        chosen = best
    return chosen if spared(chosen) >= WORTH * whole else frozenset()


def _needs(graph: Graph, op: Op) -> frozenset[int]:
    return frozenset({op.index, *(after.index for after in graph.consumers.get(op.output, []))})
