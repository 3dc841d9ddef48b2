"""Why a conversion costs what it costs: each layer's noise, and what it alone does to the score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edge_nima.comparison import LayerError
from edge_nima.errors import CalibrationError
from edge_nima.interpreter import open_transparent
from edge_nima.pixels import Pixels
from edge_nima_convert.chain import Array, Chain, Layer, read_chain
from edge_nima_convert.checkpoint import Checkpoint
from edge_nima_convert.correct import to_grid
from edge_nima_convert.mixed import mean_ratings
from edge_nima_convert.recipes import RECIPES, Recipe, convert
from edge_nima_convert.rounding import LIMIT, row_scales

LOOKED_AT = 32


def explain_layers(
    checkpoint: Checkpoint,
    recipe: Recipe,
    calibration: Pixels | None,
    *,
    model: bytes,
    progress: Callable[[str, int, int, str], None] = lambda *_: None,
) -> list[LayerError]:
    """What each layer costs, in the network's order.

    `weight_snr_db` is of the layer's float weights rounded to nearest, one scale a channel, as plain int8 does it; and
    `mae` is what that and its output on one int8 grid do to the mean rating when all other layers are float: both are
    of the network, and say where int8 hurts. `activation_snr_db` is of the finished model, each layer with all the
    quantised ones before it: it says how well the recipe copes. Channels are compared up to a factor each there,
    since equalisation gives them others.

    Args:
        checkpoint: the float model.
        recipe: how the model was made.
        calibration: uint8 (n, height, width, 3); the first 32 are looked at.
        model: the finished .tflite.
        progress: called after each layer.

    Raises:
        CalibrationError: no photographs.
        CheckpointError: the network is not a chain of convolutions.
    """
    if calibration is None or len(calibration) == 0:
        raise CalibrationError("explaining layers needs calibration photographs: --calibration PHOTOS")
    chain = read_chain(convert(checkpoint, RECIPES["float32"]))
    pixels = calibration[:LOOKED_AT]
    outputs, held = _inside(model, chain, pixels)
    exact = list(chain.batches(pixels))
    reached: list[list[Array]] = []
    for layer in chain.layers:
        reached.append(exact)
        exact = [layer(x) for x in exact]
    true = mean_ratings(chain, exact)
    reached.append(exact)
    errors = []
    for i, layer in enumerate(chain.layers):
        rounded = _round_to_nearest(layer)
        _, x = to_grid([rounded(part) for part in reached[i]], layer)
        for after in chain.layers[i + 1 :]:
            x = [after(part) for part in x]
        errors.append(
            LayerError(
                name=layer.name,
                kind="depthwise convolution" if layer.depthwise else "convolution",
                weight_snr_db=_decibels(layer.weights, rounded.weights),
                activation_snr_db=_up_to_a_factor(np.concatenate(reached[i + 1]), outputs[i]),
                mae=float(np.abs(mean_ratings(chain, x) - true).mean()),
                precision=held[i],
            )
        )
        progress("explaining", i + 1, len(chain.layers), layer.name)
    return errors


def _round_to_nearest(layer: Layer) -> Layer:
    """The layer with weights as plain int8 rounds them."""
    rows = layer.rows
    scales = row_scales(rows, 1e-30)
    return replace(layer, weights=layer.shaped(np.clip(np.rint(rows / scales), -LIMIT, LIMIT) * scales).astype("f4"))


def _inside(model: bytes, chain: Chain, pixels: Pixels) -> tuple[list[Array], list[str]]:
    """Outputs of the convolutions of a .tflite, in real units, and how it holds each: int8 or float32."""
    from tensorflow.lite.python import schema_py_generated as schema

    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = whole.subgraphs[0]
    convolutions = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}
    tensors = []
    for operator in graph.operators:
        code = whole.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in convolutions:
            tensors.append(int(operator.outputs[0]))
    runtime = open_transparent(model)
    entry = runtime.get_input_details()[0]["index"]
    details = {item["index"]: item for item in runtime.get_tensor_details()}
    seen: list[list[Any]] = [[] for _ in tensors]
    for picture in pixels:
        runtime.set_tensor(entry, picture[None])
        runtime.invoke()
        for i, tensor in enumerate(tensors):
            value = runtime.get_tensor(tensor)
            scale, zero = details[tensor]["quantization"]
            # Widened before subtracting: int8 less a zero point of -128 does not fit int8.
            seen[i].append((value.astype(np.float32) - zero) * np.float32(scale) if value.dtype == np.int8 else value)
    held = ["int8" if details[tensor]["dtype"] == np.int8 else "float32" for tensor in tensors]
    return [np.concatenate(values) for values in seen][: len(chain.layers)], held


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
