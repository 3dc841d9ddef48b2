"""NIMA's network on MobileNet, and weights loaded into it with every tensor accounted for."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from edge_nima.distribution import BINS
from edge_nima.errors import CheckpointError, printable, reason


def build_mobilenet() -> Any:
    """MobileNet with average pooling, Dropout(0.75) and Dense(10, softmax); input (n, 224, 224, 3) in -1..1.

    The architecture of idealo/image-quality-assessment's aesthetic and technical weights.
    """
    import keras

    base = keras.applications.MobileNet(
        input_shape=(224, 224, 3), alpha=1.0, include_top=False, pooling="avg", weights=None
    )
    x = keras.layers.Dropout(0.75)(base.output)
    return keras.Model(
        base.input, keras.layers.Dense(BINS, activation="softmax", name="dense_1")(x), name="nima_mobilenet"
    )


def load_mobilenet_weights(path: str | os.PathLike[str]) -> Any:
    """Build the network and fill it from a Keras HDF5 weight file.

    Layers are matched by name, the last one by place, and a layer's tensors by order and shape. Every tensor of the
    file must find its place and every weight of the network its tensor: a network that is loaded in part still
    scores, wrongly, and that is the known trap.

    Raises:
        CheckpointError: not HDF5, or another network's weights, with the first differences.
    """
    import h5py

    shown = printable(path)
    try:
        with h5py.File(os.fspath(path), "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" not in group.attrs:
                raise CheckpointError(
                    f"'{shown}' is HDF5 without the layer_names of Keras weights; save a Keras 3 model whole, as .keras"
                )
            tensors = {
                _text(layer): [
                    group[_text(layer)][_text(name)][()] for name in group[_text(layer)].attrs["weight_names"]
                ]
                for layer in group.attrs["layer_names"]
            }
    except CheckpointError:
        raise
    except (OSError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"'{shown}' cannot be read as HDF5: {reason(error)}") from error
    tensors = {name: values for name, values in tensors.items() if values}
    model = build_mobilenet()
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    last = next(reversed(layers))
    if last not in tensors and tensors and [v.shape for v in list(tensors.values())[-1]] == [(1024, BINS), (BINS,)]:
        tensors[last] = tensors.pop(list(tensors)[-1])
    problems = [f"no tensors for layer {name}" for name in layers if name not in tensors]
    problems += [f"layer {name} is not in the network" for name in tensors if name not in layers]
    for name, layer in layers.items():
        wanted, given = [tuple(w.shape) for w in layer.weights], [v.shape for v in tensors.get(name, [])]
        if name in tensors and wanted != given:
            problems.append(f"layer {name} has tensors {given}, the network {wanted}")
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CheckpointError(
            f"'{shown}' does not hold the weights of MobileNet + Dense({BINS}): {'; '.join(problems[:3])}{more}"
        )
    for name, layer in layers.items():
        layer.set_weights(tensors[name])
    return model


def load_keras_model(path: str | os.PathLike[str]) -> Any:
    """Read a .keras file.

    Raises:
        CheckpointError: it cannot be read, or does not map one photograph to ten proportions.
    """
    import keras

    shown = printable(path)
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"'{shown}' is not a .keras file: those are zip archives")
    try:
        model = keras.models.load_model(Path(path), compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"'{shown}' cannot be read by Keras {keras.__version__}: {reason(error)[:300]}"
        ) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise CheckpointError(
            f"'{shown}' has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each"
        )
    return model


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
