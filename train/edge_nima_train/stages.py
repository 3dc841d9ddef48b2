"""The two stages of training as Keras models that take bytes, with their optimisers, and prediction in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable
from edge_nima.pixels import Preprocessing
from edge_nima_train.config import Phase
from edge_nima_train.network import HEAD

_KEPT_FROM_DECAY = ["bias", "gamma", "beta"]


def from_pixels(network: Any, how: Preprocessing) -> Any:
    """The network behind its scaling: uint8 (n, height, width, 3), red first, to what the network gives.

    Bytes travel to the device, a quarter of what floats would be.
    """
    import keras

    pixels = keras.Input((how.height, how.width, 3), dtype="uint8")
    return keras.Model(pixels, network(_scaling(how)(pixels)))


def from_crops(network: Any, how: Preprocessing) -> Any:
    """The same, of two inputs: the pixels, and whether each picture is mirrored, bool (n,), which is done here.

    On the host a mirrored copy takes twenty times as long as a plain one.
    """
    import keras
    from keras import ops

    pixels = keras.Input((how.height, how.width, 3), dtype="uint8")
    mirrored = keras.Input((), dtype="bool")
    turned = ops.where(ops.reshape(mirrored, (-1, 1, 1, 1)), ops.flip(pixels, 2), pixels)
    return keras.Model([pixels, mirrored], network(_scaling(how)(turned)))


def _scaling(how: Preprocessing) -> Any:
    import keras

    return keras.layers.Rescaling(how.scale, how.offset, dtype="float32")


def head_on_features(network: Any) -> Any:
    """Dropout and the last layer of a network, from features; the layers are the network's own."""
    import keras

    head = network.get_layer(HEAD)
    features = keras.Input((head.kernel.shape[0],), dtype="float32")
    return keras.Model(features, head(network.get_layer("dropout")(features)))


def freeze_base(network: Any) -> None:
    """Leave only the last layer to be trained; normalisation then keeps to its statistics."""
    for layer in network.layers:
        layer.trainable = layer.name == HEAD


def check_freeze(network: Any, freeze: str) -> None:
    """Refuse a `phase2.freeze` that names no layer, before anything is trained.

    Raises:
        RequestError: with the nearest name.
    """
    names = [layer.name for layer in network.layers]
    if freeze and freeze not in names[:-1]:
        from difflib import get_close_matches

        near = get_close_matches(freeze, names, 1) or [names[len(names) // 2]]
        raise RequestError(f"phase2.freeze: no layer is called '{printable(freeze)}'; did you mean {near[0]}?")


def thaw(network: Any, freeze: str, batch_norm: str) -> None:
    """Train all layers behind the one called `freeze` (all, where it is "").

    Args:
        network: whose layers.
        freeze: the last layer that stays as it is.
        batch_norm: "train", or "frozen" for statistics and factors that stay as they are.
    """
    import keras

    last = [layer.name for layer in network.layers].index(freeze) if freeze else -1
    for place, layer in enumerate(network.layers):
        layer.trainable = place > last
        if batch_norm == "frozen" and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def learning_rate(phase: Phase, step: int, steps_an_epoch: int) -> float:
    """The rate of a step of a phase, a function of its number alone.

    "constant"; "inverse-time", rate / (1 + decay * step), which is what `decay` meant in Keras' optimisers up to 2.10;
    "cosine", from the rate down to 0 after the last step (Loshchilov and Hutter 2017, without restarts). A warm-up
    rises linearly to it first.

    Args:
        phase: which.
        step: from 0, counted through all epochs of the phase.
        steps_an_epoch: how many make an epoch.
    """
    warm = phase.warmup * steps_an_epoch
    if step < warm:
        return phase.learning_rate * (step + 1) / math.ceil(warm)
    if phase.schedule == "inverse-time":
        return phase.learning_rate / (1 + phase.decay * step)
    if phase.schedule == "cosine":
        left = max(phase.epochs * steps_an_epoch - warm, 1)
        return phase.learning_rate * (1 + math.cos(math.pi * min((step - warm) / left, 1.0))) / 2
    return phase.learning_rate


def optimizer_for(model: Any, phase: Phase, steps_an_epoch: int) -> Any:
    """Adam, or AdamW where weights decay, for a model's trainable variables; the device looks up each step's rate."""
    import keras
    from keras import ops

    rates = np.array(
        [learning_rate(phase, step, steps_an_epoch) for step in range(phase.epochs * steps_an_epoch)], np.float32
    )

    class Rates(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return ops.take(ops.convert_to_tensor(rates), ops.minimum(step, len(rates) - 1))

    average: dict[str, Any] = {"use_ema": True, "ema_momentum": phase.ema} if phase.ema else {}
    optimizer: Any
    if phase.weight_decay:
        optimizer = keras.optimizers.AdamW(Rates(), weight_decay=phase.weight_decay, **average)
        optimizer.exclude_from_weight_decay(var_names=_KEPT_FROM_DECAY)
    else:
        optimizer = keras.optimizers.Adam(Rates(), **average)
    if keras.config.dtype_policy().name == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def swap_average(optimizer: Any) -> bool:
    """Exchange the weights with their running average; again, back. As Keras' SwapEMAWeights does.

    Returns:
        Whether there is an average; without one nothing is done.
    """
    from keras import ops

    inner = getattr(optimizer, "inner_optimizer", optimizer)  # mixed_float16 wraps it to scale the loss
    if not inner.use_ema:
        return False
    for weight, average in zip(inner._trainable_variables, inner._model_variables_moving_average, strict=True):
        held = ops.convert_to_numpy(weight)
        weight.assign(average)
        average.assign(held)
    return True


def predictions(model: Any, batches: Iterable[Any], size: int) -> Iterator[NDArray[np.float32]]:
    """What a model gives for batches, one after another.

    Args:
        model: any.
        batches: arrays of up to `size` pictures (or features), or lists of arrays where the model has several inputs.
        size: of the batch that the model computes: a network is compiled anew for each size that it meets.
    """
    for batch in batches:
        parts = batch if isinstance(batch, list) else [batch]
        n = len(parts[0])
        full = [np.concatenate([part, np.repeat(part[-1:], size - n, axis=0)]) if n < size else part for part in parts]
        yield np.asarray(model.predict_on_batch(full if isinstance(batch, list) else full[0]), np.float32)[:n]


def predict(model: Any, inputs: NDArray[Any], size: int) -> Floats:
    """What a model gives for any number of inputs, `size` at once: float64, shape (n, ...)."""
    batches = (inputs[start : start + size] for start in range(0, len(inputs), size))
    return np.concatenate(list(predictions(model, batches, size))).astype(np.float64)


def reestimate_batch_norm(network: Any, batches: Iterable[Pixels], how: Preprocessing) -> None:
    """Take the statistics of batch normalisation anew: the average over batches of what each layer sees.

    For weights that were trained on pixels of another resize filter. Li et al., "Revisiting Batch Normalization for
    Practical Domain Adaptation" (2017).
    """
    import keras

    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for done, pixels in enumerate(batches):
        for layer in layers:
            layer.momentum = done / (done + 1)
        network(how.scaled(pixels), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def values_of(variables: list[Any]) -> list[NDArray[Any]]:
    """The values of Keras variables, as copies."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]
