"""int8 without training: equalised, rounded and corrected layer by layer against the float model.

What plain int8 loses, and what each step gives back (idealo's weights; 629 OASIS photographs; convert/README.md has
the table):

1. **Equalise.** A tensor has one scale for all channels, so a channel that stays below 0.1 where another reaches 6
   keeps four of its 256 levels. Channel c of a layer is multiplied by 6 / max_c and divided out in the next layer
   (Nagel et al. 2019, section 4.1; exact as long as ReLU6 does not clip, hence only upwards and with a margin).
2. **Refit.** Each layer's weights are fitted by ridge regression so that from the *quantised* inputs it gives what the
   float layer gives from the float ones: errors of the layers before are undone where they can be.
3. **Round together.** `rounding`: what matters is the output's error, and neighbouring pixels err together.
4. **Correct the bias.** The mean of each channel after its activation is brought to the float model's.

The last average and the head stay in float, and the head's bias takes what is left of the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.pixels import Pixels
from edge_nima_convert.chain import Array, Chain, Layer
from edge_nima_convert.int8_file import Quantised, write_tflite
from edge_nima_convert.rounding import Doubles, round_apart, round_together, row_scales

MOST = 320
"""Photographs that are used, evenly spaced among more: they are held in memory, about 15 MB each."""
MARGIN = 1.1
"""Room above the largest activation seen: other photographs go higher."""
STRONGEST = 64.0
"""No channel is multiplied by more than this."""
RIDGE = 1e-3
SAMPLES_APART, SAMPLES_TOGETHER = 60_000, 400_000
"""Places in the pictures from which a layer's statistics come: depthwise, and others."""
FAINT = 0.02
"""Weight of a place whose output lies where the activation is flat."""
LEVELS = 255

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Corrected:
    """A chain in integers, and how close each layer came."""

    chain: Chain
    """Equalised, its head corrected."""
    floats: tuple[Layer, ...]
    integers: tuple[Quantised, ...]
    first: tuple[float, int]
    """Scale and zero point of the first integer layer's input."""
    zero: int
    signal_to_noise: dict[str, float]
    """dB, of each layer's output against float, all layers before it quantised."""

    def to_tflite(self) -> bytes:
        """The model."""
        return write_tflite(self.chain, self.floats, self.integers, self.first, self.zero)


def equalise(chain: Chain, pixels: Pixels) -> Chain:
    """The same function with channels of like range.

    Args:
        chain: the network.
        pixels: uint8 (n, height, width, 3) that show each channel's range.
    """
    largest = [np.zeros(len(layer.bias), np.float32) for layer in chain.layers]
    for x in chain.batches(pixels):
        for layer, top in zip(chain.layers, largest, strict=True):
            x = layer(x)
            np.maximum(top, x.max((0, 1, 2)), out=top)
    layers, head = list(chain.layers), chain.head
    for i, (layer, top) in enumerate(zip(chain.layers, largest, strict=True)):
        if layer.ceiling is None:
            continue  # not a rectifier: what is scaled before it is not scaled after
        ceiling = layer.ceiling if np.isfinite(layer.ceiling) else float(top.max()) * MARGIN
        room = np.where(top > 0, ceiling / np.maximum(top * MARGIN, 1e-9), 1)
        factors = np.clip(room, 1, STRONGEST).astype(np.float32)
        now = layers[i]
        weights = now.shaped(now.rows * factors[:, None]).astype(np.float32)
        layers[i] = replace(now, weights=weights, bias=now.bias * factors)
        if i + 1 < len(layers):
            # Depthwise or not, the last axis is that of the input's channels.
            layers[i + 1] = replace(layers[i + 1], weights=layers[i + 1].weights / factors)
        else:
            head = head / factors
    return replace(chain, layers=tuple(layers), head=head)


def correct(
    chain: Chain, pixels: Pixels, floats: int = 0, seed: int = 0, progress: Progress = lambda *_: None
) -> Corrected:
    """Quantise a chain to int8, corrected on photographs.

    Args:
        chain: the float network.
        pixels: uint8 (n, height, width, 3), calibration photographs; of more than `MOST`, evenly spaced ones.
        floats: how many leading layers stay in float.
        seed: of the places that are looked at.
        progress: called with what is done, how much of how much, and a word on it.
    """
    if len(pixels) > MOST:
        pixels = pixels[np.linspace(0, len(pixels) - 1, MOST).astype(int)]
    random = np.random.default_rng(seed)
    progress("equalising", 0, len(chain.layers), "")
    chain = equalise(chain, pixels)
    exact = list(chain.batches(pixels))
    zero = int(np.clip(np.rint(chain.zero), 0, LEVELS))
    # In float the pixel value 127.5 is 0; an integer zero point cannot be, and the first bias takes the difference.
    rounded = [x + np.float32(chain.zero - zero) for x in exact]
    first = (1.0, zero - 128)
    for layer in chain.layers[:floats]:
        exact = [layer(x) for x in exact]
    if floats:
        first, rounded = to_grid(exact, chain.layers[floats - 1])
    scale, integers, noise = first[0], [], {}
    for i, layer in enumerate(chain.layers[floats:], floats):
        wanted = [layer(x) for x in exact]
        integer, rounded = _one_layer(layer, exact, rounded, wanted, scale, random)
        integers.append(integer)
        scale, exact = integer.out_scale, wanted
        noise[layer.name] = _signal_to_noise(exact, rounded)
        progress("correcting", i + 1, len(chain.layers), f"{layer.name} {noise[layer.name]:.0f} dB")
    lost = _pooled(exact) - _pooled(rounded)
    chain = replace(chain, head_bias=(chain.head_bias + chain.head @ lost.mean(0)).astype(np.float32))
    return Corrected(chain, chain.layers[:floats], tuple(integers), first, zero, noise)


def _one_layer(
    layer: Layer,
    exact: list[Array],
    rounded: list[Array],
    wanted: list[Array],
    scale: float,
    random: np.random.Generator,
) -> tuple[Quantised, list[Array]]:
    """One layer in integers, and what it gives from the quantised inputs."""
    rows = layer.rows
    covariance, cross, mean_exact, mean_rounded = _statistics(layer, exact, rounded, random)
    # A channel that is never active has weights near 0, and its bias must still fit 32 bits at their scale.
    smallest = (np.abs(layer.bias[:, None]).astype(np.float64) + 8) / 2**22 / scale
    refitted = _refit(rows, covariance, cross)
    if layer.depthwise:
        integers, scales = round_apart(refitted, smallest, covariance)
        bias = layer.bias + (rows * mean_exact).sum(1) - (integers * scales * mean_rounded).sum(1)
    else:
        scales = row_scales(refitted, smallest)
        integers = round_together(refitted, scales, covariance)
        bias = layer.bias + rows @ mean_exact - (integers * scales) @ mean_rounded
    real = layer.shaped(integers * scales).astype(np.float32)
    sums = [layer.linear(x, real) for x in rounded]
    if layer.ceiling is not None:
        bias = _match_means(sums, bias, wanted, layer)
    unit = scales[:, 0] * scale
    whole = np.rint(bias / unit)
    outputs = [layer.activate(s + (whole * unit).astype(np.float32)) for s in sums]
    (out_scale, out_zero), outputs = to_grid(outputs, layer)
    quantised = Quantised(
        layer=layer,
        weights=layer.shaped(integers).astype(np.int8),
        scales=scales[:, 0].astype(np.float32),
        bias=whole.astype(np.int32),
        out_scale=out_scale,
        out_zero=out_zero,
    )
    return quantised, outputs


def _statistics(
    layer: Layer, exact: list[Array], rounded: list[Array], random: np.random.Generator
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Covariance of the quantised inputs, of the exact with the quantised ones, and both means.

    Depthwise: (channels, k, k) and (channels, k), each place weighted by whether its output matters; else (k, k), (k,).
    """
    places = int(np.prod(layer.size_after(*exact[0].shape[1:3])))
    pictures = sum(len(x) for x in exact)
    each = min(places, max(1, (SAMPLES_APART if layer.depthwise else SAMPLES_TOGETHER) // pictures))
    ceiling = np.inf if layer.ceiling is None else layer.ceiling
    floor = -np.inf if layer.ceiling is None else 0.0
    rows = layer.rows.astype(np.float32)
    total: Any = 0.0
    square, crossed, sum_exact, sum_rounded = total, total, total, total
    for x, r in zip(exact, rounded, strict=True):
        positions = np.sort(random.choice(places, each, replace=False))
        a, b = layer.samples(x, positions), layer.samples(r, positions)
        if layer.depthwise:
            a, b = a.transpose(2, 0, 1), b.transpose(2, 0, 1)  # channels first: one matrix product each
            sums = np.matmul(a, rows[:, :, None])[..., 0] + layer.bias[:, None]
            weight = np.where((sums > floor - 0.3) & (sums < ceiling + 0.3), 1, FAINT).astype(np.float32)
            heavy = b * weight[..., None]
            total = total + weight.sum(1, dtype=np.float64)
            square = square + np.matmul(heavy.transpose(0, 2, 1), b).astype(np.float64)
            crossed = crossed + np.matmul((a * weight[..., None]).transpose(0, 2, 1), b).astype(np.float64)
            sum_exact = sum_exact + (a * weight[..., None]).sum(1, dtype=np.float64)
            sum_rounded = sum_rounded + heavy.sum(1, dtype=np.float64)
        else:
            a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
            total = total + len(a)
            square = square + (b.T @ b).astype(np.float64)
            crossed = crossed + (a.T @ b).astype(np.float64)
            sum_exact = sum_exact + a.sum(0, dtype=np.float64)
            sum_rounded = sum_rounded + b.sum(0, dtype=np.float64)
    n = np.asarray(total)[..., None]
    mean_exact, mean_rounded = sum_exact / n, sum_rounded / n
    n = n[..., None]
    covariance = square / n - mean_rounded[..., :, None] * mean_rounded[..., None, :]
    cross = crossed / n - mean_exact[..., :, None] * mean_rounded[..., None, :]
    k = covariance.shape[-1]
    trace = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None] / k
    return covariance + np.eye(k) * (1e-4 * trace + 1e-12), cross, mean_exact, mean_rounded


def _refit(rows: Doubles, covariance: Doubles, cross: Doubles) -> Doubles:
    """Weights that give from quantised inputs what `rows` give from exact ones: ridge regression towards `rows`."""
    k = covariance.shape[-1]
    pull = np.eye(k) * (RIDGE * np.trace(covariance, axis1=-2, axis2=-1)[..., None, None] / k)
    if covariance.ndim == 2:
        return np.asarray(np.linalg.solve(covariance + pull, (rows @ (cross + pull)).T).T)
    wanted = np.matmul(rows[:, None, :], cross + pull)[:, 0]
    return np.asarray(np.linalg.solve(covariance + pull, wanted[..., None])[..., 0])


def _match_means(sums: list[Array], bias: Doubles, wanted: list[Array], layer: Layer) -> Doubles:
    """Bias with which each channel's mean after the activation is the float layer's: six Newton steps."""
    pictures = sum(len(x) for x in wanted)
    aim = sum(x.mean((1, 2), dtype=np.float64).sum(0) for x in wanted) / pictures
    ceiling = np.float32(layer.ceiling if layer.ceiling is not None else np.inf)
    for _ in range(6):
        mean, live = np.zeros_like(bias), np.zeros_like(bias)
        for s in sums:
            y = s + bias.astype(np.float32)
            mean += np.clip(y, 0, ceiling).mean((1, 2), dtype=np.float64).sum(0) / pictures
            live += ((y > 0) & (y < ceiling)).mean((1, 2), dtype=np.float64).sum(0) / pictures
        step = np.clip((aim - mean) / np.maximum(live, 0.05), -0.5, 0.5)
        bias = bias + np.where(live > 1e-3, step, 0)
    return bias


def to_grid(outputs: list[Array], layer: Layer) -> tuple[tuple[float, int], list[Array]]:
    """Scale and zero point for a layer's output, and the output on that grid."""
    low = min(0.0, *(float(x.min()) for x in outputs))
    high = max(0.0, *(float(x.max()) for x in outputs))
    if layer.ceiling is not None:
        low, high = 0.0, min(high * MARGIN, layer.ceiling)
    scale = float(np.float32(max(high - low, 1e-6) / LEVELS))
    zero = int(np.clip(np.rint(-low / scale), 0, LEVELS))
    grid = [((np.clip(np.rint(x / scale) + zero, 0, LEVELS) - zero) * np.float32(scale)) for x in outputs]
    return (scale, zero - 128), [x.astype(np.float32) for x in grid]


def _signal_to_noise(exact: list[Array], rounded: list[Array]) -> float:
    signal = sum(float(np.square(x, dtype=np.float64).sum()) for x in exact)
    noise = sum(float(np.square(x - y, dtype=np.float64).sum()) for x, y in zip(exact, rounded, strict=True))
    return float(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)))


def _pooled(x: list[Array]) -> NDArray[np.float32]:
    return np.concatenate([part.mean((1, 2)) for part in x])
