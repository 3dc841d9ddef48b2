"""The two stages of training as Keras models that take bytes: the head alone, and the whole network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable
from edge_nima.pixels import Pixels, Preprocessing
from edge_nima_train.backend import has_gpu
from edge_nima_train.config import Config, Phase
from edge_nima_train.loss import loss_of
from edge_nima_train.network import HEAD

_KEPT_FROM_DECAY = ["bias", "gamma", "beta"]


def from_pixels(network: Any, how: Preprocessing) -> Any:
    """The network behind its scaling: uint8 (n, height, width, 3), red first, to what the network gives.

    Bytes travel to the device, a quarter of what floats would be.
    """
    import keras

    pixels = keras.Input((how.height, how.width, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(how.scale, how.offset, dtype="float32")(pixels)
    return keras.Model(pixels, network(scaled))


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


def thaw(network: Any, freeze: str, batch_norm: str) -> None:
    """Train all layers behind the one called `freeze` (all, where it is "").

    Args:
        network: whose layers.
        freeze: the last layer that stays as it is.
        batch_norm: "train", or "frozen" for statistics and factors that stay as they are.

    Raises:
        RequestError: there is no such layer, with the nearest name.
    """
    import keras

    names = [layer.name for layer in network.layers]
    if freeze and freeze not in names[:-1]:
        from difflib import get_close_matches

        near = get_close_matches(freeze, names, 1) or [names[len(names) // 2]]
        raise RequestError(f"phase2.freeze: no layer is called '{printable(freeze)}'; did you mean {near[0]}?")
    last = names.index(freeze) if freeze else -1
    for place, layer in enumerate(network.layers):
        layer.trainable = place > last
        if batch_norm == "frozen" and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def compile_stage(model: Any, phase: Phase, config: Config) -> None:
    """Give a model its loss and its optimiser: Adam, or AdamW where weights decay."""
    import keras

    average: dict[str, Any] = {"use_ema": True, "ema_momentum": phase.ema} if phase.ema else {}
    rate = max(phase.learning_rate, 1e-30)  # set anew before each step; Keras wants one that is above 0
    optimizer: Any
    if phase.weight_decay:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=phase.weight_decay, **average)
        optimizer.exclude_from_weight_decay(var_names=_KEPT_FROM_DECAY)
    else:
        optimizer = keras.optimizers.Adam(rate, **average)
    # XLA makes TensorFlow's steps on a processor slower and their compilation minutes long.
    slow = keras.backend.backend() == "tensorflow" and not has_gpu()
    model.compile(optimizer, loss=loss_of(config.loss.kind), jit_compile=False if slow else "auto")
    model.optimizer.build(model.trainable_variables)


def averaging(model: Any) -> bool:
    """Whether a compiled model keeps a running average of its weights."""
    return bool(_inner(model).use_ema)


def swap_average(model: Any) -> None:
    """Exchange the weights with their running average; again, back. As Keras' SwapEMAWeights does."""
    from keras import ops

    optimizer = _inner(model)
    for weight, average in zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True):
        held = ops.convert_to_numpy(weight)
        weight.assign(average)
        average.assign(held)


def predict(model: Any, inputs: NDArray[Any], batch: int) -> Floats:
    """What a model gives for any number of inputs, always in batches of the same size, the last one filled up.

    Returns:
        float64, shape (n, ...).
    """
    parts = []
    for start in range(0, len(inputs), batch):
        part = inputs[start : start + batch]
        short = batch - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part
        parts.append(np.asarray(model.predict_on_batch(full), np.float64)[: len(part)])
    return np.concatenate(parts)


def reestimate_batch_norm(network: Any, batches: list[Pixels], how: Preprocessing) -> None:
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


def _inner(model: Any) -> Any:
    """The optimiser itself; mixed_float16 wraps it to scale the loss."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def values_of(variables: list[Any]) -> list[NDArray[Any]]:
    """The values of Keras variables, as copies."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]
