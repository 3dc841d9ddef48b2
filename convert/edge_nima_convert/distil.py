"""Training the integer model, its rounding in the loop, to repeat the float model's opinion.

Quantisation-aware distillation (Jacob et al. 2018 for the fake quantisation; Hinton et al. 2015 for the teacher): the
forward pass rounds weights and outputs to the very grid that the .tflite has, the gradient passes through as if it did
not. It starts from the corrected model and works in that model's own units, a step of a weight's grid being 1, so that
one small rate suits every layer. No ratings are used: photographs of any kind do.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import CalibrationError, OutputError, printable, reason
from edge_nima.pixels import Pixels
from edge_nima.records import write_whole
from edge_nima_convert.chain import Array, Chain
from edge_nima_convert.correct import LEVELS, Corrected, Progress
from edge_nima_convert.rounding import LIMIT

EPOCHS = 8
BATCH = 16
RATE = 0.01
"""Adam's, in steps of a weight's or an output's grid; falls to 0 as a cosine."""
FEATURES = 1.0
"""Weight of the averaged features' squared error: a thousand targets a photograph where the score is only one."""
FEWEST = 20
STATE = "distilled.npz"


@dataclass
class _State:
    """What a run needs to go on."""

    epoch: int
    variables: list[Any]
    moments: list[Any]
    best: list[Any]
    best_mae: float


def distil(
    chain: Chain,
    start: Corrected,
    pixels: Pixels,
    work: Path | None = None,
    progress: Progress = lambda *_: None,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> Corrected:
    """Train a corrected model to repeat the float model.

    A tenth of the photographs is held out; the epoch (or the start) with the smallest MAE of the mean on them is kept.

    Args:
        chain: the float network.
        start: its corrected integers.
        pixels: uint8 (n, height, width, 3), photographs to learn from, at least 20.
        work: folder for the state after each epoch; a run with the same start and photographs goes on from it.
        progress: called with the stage, photographs done, photographs in all, and the agreement so far.
        epochs: how often each photograph is seen.
        seed: of the hold-out, the order and the flips.

    Raises:
        CalibrationError: fewer than 20 photographs.
        OutputError: the state cannot be written.
    """
    import keras
    import tensorflow as tf

    if len(pixels) < FEWEST:
        raise CalibrationError(f"{len(pixels)} photographs cannot train a model: give {FEWEST} or more")
    order = np.random.default_rng(seed).permutation(len(pixels))
    held, taught = order[: max(len(pixels) // 10, 5)], order[max(len(pixels) // 10, 5) :]
    targets = _targets(chain, start, pixels, taught, held, progress)
    model = _Model(start)
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(model.variables)
    fingerprint = _fingerprint(start, pixels, epochs, seed)
    state = _load(work, fingerprint)
    if state is not None:
        _assign(model.variables, state.variables)
        _assign(optimizer.variables, state.moments)
    else:
        mae = _held_mae(model, pixels[held], targets.held)
        values = [v.numpy() for v in model.variables]
        state = _State(0, values, [v.numpy() for v in optimizer.variables], values, mae)
    # Whole batches only, another part of the photographs left over each time: one shape, traced once.
    steps, size = max(1, len(taught) // BATCH), min(BATCH, len(taught))

    @tf.function  # type: ignore[untyped-decorator]
    def step(x: Any, distribution: Any, features: Any) -> Any:
        with tf.GradientTape() as tape:
            pooled, proportions = model(x)
            gaps = tf.cumsum(proportions - distribution, axis=1)
            means = tf.reduce_sum(gaps, axis=1)  # the means differ by minus the sum of the CDFs' gaps
            loss = tf.reduce_mean(tf.reduce_sum(gaps**2, axis=1)) + tf.reduce_mean(means**2)
            loss += FEATURES * tf.reduce_mean(((pooled - features) / targets.spread) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables, strict=True))

    for epoch in range(state.epoch, epochs):
        random = np.random.default_rng((seed, epoch))
        shuffled, flips = random.permutation(len(taught)), random.integers(0, 2, len(taught))
        for i in range(steps):
            some = shuffled[i * size : (i + 1) * size]
            x = pixels[taught[some]].astype(np.float32)
            flipped = flips[some].astype(bool)
            x[flipped] = x[flipped, :, ::-1]
            at = (epoch + i / steps) / epochs
            optimizer.learning_rate.assign(RATE * 0.5 * (1 + np.cos(np.pi * at)))
            step(tf.constant(x), targets.distributions[flips[some], some], targets.features[flips[some], some])
            progress(
                "distilling",
                (epoch * steps + i + 1) * size,
                epochs * steps * size,
                f"MAE {state.best_mae:.4f} on {len(held)} held out",
            )
        mae = _held_mae(model, pixels[held], targets.held)
        values = [v.numpy() for v in model.variables]
        best = values if mae < state.best_mae else state.best
        moments = [v.numpy() for v in optimizer.variables]
        state = _State(epoch + 1, values, moments, best, min(mae, state.best_mae))
        _save(work, fingerprint, state)
    _assign(model.variables, state.best)
    return model.corrected()


class _Model:
    """The integer model as a differentiable function."""

    def __init__(self, start: Corrected) -> None:
        import tensorflow as tf

        self.start = start
        self.weights, self.biases, self.units = [], [], []
        scale = start.first[0]
        for one in start.integers:
            unit = one.scales.astype(np.float64) * scale
            kernel = np.transpose(one.weights.astype(np.float32), (1, 2, 3, 0))
            self.weights.append(tf.Variable(kernel, name=f"{one.layer.name}/weights"))
            # In steps of the output's grid, as the weights are in steps of theirs.
            self.biases.append(tf.Variable((one.bias * unit / one.out_scale).astype(np.float32)))
            self.units.append(unit)
            scale = one.out_scale
        self.head_bias = tf.Variable(start.chain.head_bias)
        self.variables = [*self.weights, *self.biases, self.head_bias]

    def __call__(self, pixels: Any) -> tuple[Any, Any]:
        """Averaged features (n, channels) and proportions (n, 10) of float pixels 0..255 (n, height, width, 3)."""
        import tensorflow as tf

        x = pixels - float(self.start.zero)
        for one, weights, bias in zip(self.start.integers, self.weights, self.biases, strict=True):
            layer = one.layer
            kernel = tf.clip_by_value(_round(weights), -LIMIT, LIMIT)
            scales = one.scales[:, None] if layer.depthwise else one.scales
            padding = "SAME" if layer.same else "VALID"
            if layer.depthwise:
                y = tf.nn.depthwise_conv2d(x, kernel * scales, [1, layer.stride, layer.stride, 1], padding)
            else:
                y = _convolution(x, kernel * scales, layer.stride, padding)
            y = y / one.out_scale + bias
            if layer.ceiling is not None:
                y = tf.clip_by_value(y, 0.0, float(min(layer.ceiling / one.out_scale, 1e9)))
            zero = one.out_zero + 128
            x = tf.clip_by_value(_round(y), float(-zero), float(LEVELS - zero)) * one.out_scale
        pooled = tf.reduce_mean(x, axis=[1, 2])
        return pooled, tf.nn.softmax(pooled @ self.start.chain.head.T + self.head_bias)

    def corrected(self) -> Corrected:
        """The integers as they are now."""
        integers = []
        for one, weights, bias, unit in zip(self.start.integers, self.weights, self.biases, self.units, strict=True):
            kernel = np.clip(np.rint(weights.numpy()), -LIMIT, LIMIT).astype(np.int8)
            whole = np.rint(bias.numpy().astype(np.float64) * one.out_scale / unit)
            integers.append(replace(one, weights=np.transpose(kernel, (3, 0, 1, 2)), bias=whole.astype(np.int32)))
        chain = replace(self.start.chain, head_bias=self.head_bias.numpy())
        return replace(self.start, chain=chain, integers=tuple(integers), signal_to_noise={})


def _convolution(x: Any, kernel: Any, stride: int, padding: str) -> Any:
    """A convolution as a matrix product: oneDNN's gradient of tf.nn.conv2d fails now and then on small pictures
    ("could not create a primitive descriptor for the reorder primitive", TensorFlow 2.21)."""
    import tensorflow as tf

    height, width, _, out = kernel.shape
    if (height, width) == (1, 1):
        seen = x[:, ::stride, ::stride]
    else:
        seen = tf.image.extract_patches(x, [1, height, width, 1], [1, stride, stride, 1], [1, 1, 1, 1], padding)
    shape = seen.shape
    flat = tf.reshape(seen, (-1, shape[-1])) @ tf.reshape(kernel, (-1, out))
    return tf.reshape(flat, (*shape[:-1], out))


def _round(x: Any) -> Any:
    """To whole numbers; the gradient passes straight through."""
    import tensorflow as tf

    return x + tf.stop_gradient(tf.round(x) - x)


@dataclass(frozen=True)
class _Targets:
    distributions: Array
    """(2, taught, 10): the float model's opinion, and its opinion of the mirror image."""
    features: Array
    """(2, taught, channels), in the equalised network's units."""
    spread: Array
    """(channels,): standard deviation of the features, a floor put under."""
    held: Array
    """(held, 10)."""


def _targets(
    chain: Chain,
    start: Corrected,
    pixels: Pixels,
    taught: NDArray[Any],
    held: NDArray[Any],
    progress: Progress,
) -> _Targets:
    # The equalised network says the same as `chain`, and its features are the ones that the integers imitate.
    network = replace(start.chain, head_bias=chain.head_bias)
    total = 2 * len(taught) + len(held)

    def ask(some: Pixels, before: int) -> tuple[Array, Array]:
        pooled = []
        for x in network.batches(some):
            for layer in network.layers:
                x = layer(x)
            pooled.append(x.mean((1, 2)))
            progress("asking the float model", before + sum(map(len, pooled)), total, "")
        features = np.concatenate(pooled)
        return network.proportions(features), features

    upright, features = ask(pixels[taught], 0)
    mirrored, mirrored_features = ask(pixels[taught][:, :, ::-1], len(taught))
    spread = features.std(0)
    return _Targets(
        np.stack([upright, mirrored]),
        np.stack([features, mirrored_features]),
        np.maximum(spread, 0.1 * spread.mean() + 1e-6),
        ask(pixels[held], 2 * len(taught))[0],
    )


def _held_mae(model: _Model, pixels: Pixels, targets: Array) -> float:
    ratings = np.arange(1, 11)
    said = [model(pixels[i : i + BATCH].astype(np.float32))[1].numpy() for i in range(0, len(pixels), BATCH)]
    return float(np.abs((np.concatenate(said) - targets) @ ratings).mean())


def _fingerprint(start: Corrected, pixels: Pixels, epochs: int, seed: int) -> str:
    """What a run depends on: another start, other photographs, other settings do not go on from its state."""
    digest = hashlib.sha256(start.to_tflite())
    digest.update(pixels.tobytes())
    digest.update(repr((epochs, seed, BATCH, RATE, FEATURES)).encode())
    return digest.hexdigest()


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _save(work: Path | None, fingerprint: str, state: _State) -> None:
    if work is None:
        return
    arrays: dict[str, Any] = {"fingerprint": fingerprint, "epoch": state.epoch, "best_mae": state.best_mae}
    for name in ("variables", "moments", "best"):
        arrays |= {f"{name}_{i:03}": value for i, value in enumerate(getattr(state, name))}
    file = io.BytesIO()
    np.savez(file, **arrays)
    try:
        work.mkdir(parents=True, exist_ok=True)
        write_whole(work / STATE, file.getvalue())
    except OSError as error:
        raise OutputError(f"cannot write into '{printable(work)}': {reason(error)}") from error


def _load(work: Path | None, fingerprint: str) -> _State | None:
    """The state of an interrupted run of the very same kind; None when there is none."""
    if work is None or not (work / STATE).is_file():
        return None
    with np.load(work / STATE, allow_pickle=False) as arrays:
        if str(arrays["fingerprint"]) != fingerprint:
            return None

        def listed(name: str) -> list[Any]:
            return [arrays[key] for key in sorted(arrays.files) if key.startswith(f"{name}_") and key != "best_mae"]

        return _State(
            int(arrays["epoch"]), listed("variables"), listed("moments"), listed("best"), float(arrays["best_mae"])
        )
