"""Why a conversion costs what it costs: each operation's noise, and what it alone does to the score."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_nima.comparison import LayerError
from edge_nima.errors import CalibrationError
from edge_nima.interpreter import open_transparent
from edge_nima_convert.recipes import Progress, Source
from edge_nima_convert.tflite.graph import Array, Graph, Op
from edge_nima_convert.tflite.rounding import LIMIT, row_scales

LOOKED_AT = 24


def explain_layers(source: Source, model: bytes, progress: Progress = lambda *_: None) -> list[LayerError]:
    """What each operation costs, in the network's order.

    `mae` is the mean absolute change of the mean rating when the output of that operation alone is rounded to int8 and
    all else is float, and `weight_snr_db` is of its float weights rounded to nearest, one scale a channel: both are of
    the network, and say where int8 hurts. `activation_snr_db` is of the finished model, each operation with all the
    quantised ones before it: it says how well the recipe copes. Channels are compared up to a factor each there, since
    equalisation gives them others.

    Args:
        source: the network with its calibration photographs, of which 24 are looked at.
        model: a finished .tflite of it.
        progress: told after each photograph.

    Raises:
        CalibrationError: no photographs.
    """
    if source.calibration is None or len(source.calibration) == 0:
        raise CalibrationError("explaining layers needs calibration photographs: --calibration PHOTOS")
    graph, costs = source.equalised, source.costs
    pixels = source.photographs[:LOOKED_AT]
    runtime = open_transparent(model)
    details: dict[str, Any] = {}
    for item in runtime.get_tensor_details():
        details.setdefault(item["name"], item)  # what comes first is the operation's, not its float copy
    shown = [op for op in graph.ops if op.index in costs and _name(graph, op) in details]
    exact: dict[int, list[Array]] = {op.index: [] for op in shown}
    seen: dict[int, list[Array]] = {op.index: [] for op in shown}
    entry = runtime.get_input_details()[0]["index"]
    for done, picture in enumerate(pixels, 1):
        values: dict[int, Any] = {graph.input: picture[None]}
        runtime.set_tensor(entry, picture[None])
        runtime.invoke()
        for op in graph.ops:
            values[op.output] = graph.run(op, [values[tensor] for tensor in op.inputs])
            if op.index in exact:
                exact[op.index].append(values[op.output])
                seen[op.index].append(_real(runtime, details[_name(graph, op)]))
            graph.forget(values, op)
        progress("explaining", done, len(pixels), "")
    return [
        LayerError(
            name=op.label,
            kind=op.name.lower(),
            weight_snr_db=None if not op.has_weights else _decibels(op.rows, _to_nearest(op)),
            activation_snr_db=_up_to_a_factor(np.concatenate(exact[op.index]), np.concatenate(seen[op.index])),
            mae=costs[op.index].mae,
            precision=np.dtype(details[_name(graph, op)]["dtype"]).name,
        )
        for op in shown
    ]


def _name(graph: Graph, op: Op) -> str:
    name = graph.tensors[op.output].name
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _real(runtime: Any, detail: Any) -> Array:
    """A tensor's values in real units."""
    value: Any = runtime.get_tensor(detail["index"])
    scale, zero = detail["quantization"]
    # Widened before subtracting: int8 less a zero point of -128 does not fit int8.
    real: Array = (value.astype(np.float32) - zero) * np.float32(scale) if value.dtype == np.int8 else value
    return real


def _to_nearest(op: Op) -> Any:
    """Rows of an operation's weights as plain int8 rounds them."""
    scales = row_scales(op.rows, 1e-30)
    return np.clip(np.rint(op.rows / scales), -LIMIT, LIMIT) * scales


def _up_to_a_factor(exact: Array, seen: Array) -> float:
    """Signal to noise in dB, each channel of `seen` brought to `exact` by the factor that fits best."""
    a, b = exact.reshape(-1, exact.shape[-1]), seen.reshape(-1, seen.shape[-1])
    products = np.einsum("nc,nc->c", a, b, dtype=np.float64)
    factors = products / np.maximum(np.einsum("nc,nc->c", b, b, dtype=np.float64), 1e-30)
    return _decibels(a, b * factors.astype(np.float32))


def _decibels(exact: Any, seen: Any) -> float:
    noise = float(np.square(np.asarray(exact, np.float64) - seen).sum())
    signal = float(np.square(np.asarray(exact, np.float64)).sum())
    return float("inf") if noise == 0 else float(10 * np.log10(max(signal, 1e-30) / noise))
