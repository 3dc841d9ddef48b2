"""NIMA's networks by name: a Keras Applications base, average pooling, Dropout, Dense(10, softmax)."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.distribution import BINS
from edge_nima.errors import CheckpointError, RequestError, printable, reason
from edge_nima.pixels import Preprocessing
from edge_nima_train.config import ARCHITECTURES

HEAD = "dense_1"
"""The last layer's name, as in idealo's weights."""
HALF = re.compile(r'"(mixed_)?b?float16"')
"""Data types and policies of half precision in a model's configuration, as JSON."""
_V2_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def build_network(
    architecture: str = "MobileNet",
    *,
    alpha: float = 1.0,
    input: int = 224,
    dropout: float = 0.75,
    imagenet: bool = False,
    scales_itself: bool = False,
) -> Any:
    """A Keras model from float32 (n, input, input, 3), scaled as `preprocessing_of` says, to (n, 10) proportions.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        alpha: width multiplier.
        input: side of the input, pixels.
        dropout: share of the features dropped before the last layer, in training.
        imagenet: whether the base has Keras' ImageNet weights, which Keras downloads; else it is random.
        scales_itself: whether MobileNetV3 takes 0..255 and scales that itself; EfficientNet always does, others never.

    Raises:
        RequestError: Keras has no such network, or no such weights for it, or cannot fetch them.
    """
    import keras

    if architecture not in ARCHITECTURES:
        raise RequestError(f"no network is called '{printable(architecture)}'; possible: {', '.join(ARCHITECTURES)}")
    more: dict[str, Any] = {} if architecture == "EfficientNetB0" else {"alpha": alpha}
    if architecture.startswith("MobileNetV3"):
        more["include_preprocessing"] = scales_itself
    try:
        with warnings.catch_warnings():  # that there are no weights for this size, and those for 224 are taken
            warnings.filterwarnings("ignore", "`input_shape` is undefined")
            base = getattr(keras.applications, architecture)(
                input_shape=(input, input, 3), include_top=False, pooling="avg",
                weights="imagenet" if imagenet else None, **more,
            )  # fmt: skip
    except Exception as error:
        if not imagenet or (isinstance(error, ValueError) and "alpha" in str(error)):
            # No such width, or none with weights.
            raise RequestError(f"{architecture} (alpha {alpha:g}) cannot be built: {reason(error)[:200]}") from error
        why, (name, address) = reason(error).rpartition(" -- ")[2][:200], imagenet_file(architecture, alpha, input)
        folder = printable(Path(os.environ.get("KERAS_HOME", "~/.keras"), "models"))
        raise RequestError(
            f"ImageNet's weights of {architecture} cannot be fetched: {why}; get {name} from {address}{name}, and put "
            f"it into '{folder}' or give it as network.weights"
        ) from error
    features = keras.layers.Dropout(dropout, name="dropout")(base.output)
    # The last layer in float32: a softmax of half precision has steps of 1/2048.
    head = keras.layers.Dense(BINS, activation="softmax", name=HEAD, dtype="float32")
    return keras.Model(base.input, head(features), name=f"nima_{architecture.lower()}")


def imagenet_file(architecture: str, alpha: float, input: int) -> tuple[str, str]:
    """Name of Keras' file with the ImageNet weights of a base, and the folder that it is fetched from, an address."""
    place = "https://storage.googleapis.com/tensorflow/keras-applications/"
    if architecture == "EfficientNetB0":
        return "efficientnetb0_notop.h5", "https://storage.googleapis.com/keras-applications/"
    if architecture.startswith("MobileNetV3"):
        kind = architecture.removeprefix("MobileNetV3").lower()
        return f"weights_mobilenet_v3_{kind}_224_{alpha}_float_no_top_v2.h5", f"{place}mobilenet_v3/"
    side = input if input in (128, 160, 192) or (input, architecture) == (96, "MobileNetV2") else 224
    if architecture == "MobileNetV2":
        name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{side}_no_top.h5"
        return name, f"{place}mobilenet_v2/"
    tenths = "1_0" if alpha == 1 else f"{10 * alpha:.1f}".replace(".", "_")
    return f"mobilenet_{tenths}_{side}_tf_no_top.h5", f"{place}mobilenet/"


def preprocessing_of(
    architecture: str, input: int = 224, filter: str = "bilinear", fit: str = "stretch", longest_edge: int = 0
) -> Preprocessing:
    """How a network wants its pixels: -1..1, but 0..255 for EfficientNet, which scales inside itself."""
    scale, offset = (1.0, 0.0) if architecture == "EfficientNetB0" else (1 / 127.5, -1.0)
    return Preprocessing(
        width=input,
        height=input,
        fit=fit,
        filter=filter,
        antialias=filter != "nearest",
        scale=scale,
        offset=offset,
        longest_edge=longest_edge or None,
    )


def features_of(network: Any) -> Any:
    """The base of a network: the same layers, from its input to the features that its Dropout takes."""
    import keras

    return keras.Model(network.input, network.layers[-2].input)


def layers_of(network: Any) -> Iterator[Any]:
    """All layers, those of models within it in their place."""
    for layer in network.layers:
        yield from layers_of(layer) if hasattr(layer, "layers") else (layer,)


def set_weights(network: Any, values: Sequence[Any]) -> None:
    """Give a network or layer all its weights."""
    network.set_weights(values)
    for layer in layers_of(network) if hasattr(network, "layers") else (network,):
        if hasattr(layer, "finalize_state"):  # Normalization goes on with its old mean and variance otherwise
            layer.finalize_state()


def in_float32(network: Any) -> Any:
    """The same network with the same weights, computing in float32."""
    import keras

    twin = keras.models.model_from_json(HALF.sub('"float32"', network.to_json()))
    set_weights(twin, network.get_weights())
    return twin


@dataclass(frozen=True)
class Tensors:
    """Weights as an HDF5 file holds them."""

    layers: dict[str, list[Any]]
    """Of each layer with weights, in the file's order."""
    named: bool
    """Whether the keys are the layers' names; else their places as Keras 3 counts them: conv2d_1, functional/dense."""
    mentioned: frozenset[str]
    """All layers, also those without weights."""
    keras: str
    """Version that wrote it; "" where the file does not say."""

    def shapes(self) -> list[tuple[int, ...]]:
        """Of all of them."""
        return [shape for arrays in self.layers.values() for shape in _shapes(arrays)]


def recognise(tensors: Tensors, size: int = 224, *, scales_itself: bool = False) -> tuple[Any, str]:
    """The network that weights belong to, with them in it, and what it is in words.

    Every tensor finds its place and every weight its tensor: a network that is loaded in part scores, wrongly.

    Args:
        tensors: the weights.
        size: side of the input, pixels, which weights do not tell.
        scales_itself: as for `build_network`.

    Raises:
        CheckpointError: no network that is known, with the first differences from the nearest.
    """
    tried: list[tuple[int, str]] = []
    for architecture, alpha in _candidates(tensors):
        network = build_network(architecture, alpha=alpha, input=size, scales_itself=scales_itself)
        problems = fill(network, tensors)
        what = f"{architecture} alpha={alpha:g}, average pooling, Dropout, Dense({BINS}, softmax)"
        if not problems:
            if architecture == "EfficientNetB0":
                divide_again(network, tensors.keras)
            return network, what
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        tried.append((len(problems), f"does not hold the weights of {what}: {'; '.join(problems[:3])}{more}"))
    raise CheckpointError(
        min(tried)[1]
        if tried
        else f"has no Dense({BINS}) after a base that is known ({', '.join(ARCHITECTURES)}); any other network is read "
        "from a file with all of it: model.save('NAME.keras')"
    )


def fill(network: Any, tensors: Tensors) -> list[str]:
    """Put tensors into a network by its layers' names or places, else in order.

    Returns:
        What does not fit; the network is then as it was.
    """
    layers, given = dict(_keyed(network, tensors.named)), tensors.layers
    shapes = {key: _shapes(layer.weights) for key, layer in layers.items()}
    bare = {key.rpartition("/")[2]: arrays for key, arrays in given.items()}
    if len(bare) == len(given) and len(bare.keys() & layers.keys()) > len(given.keys() & layers.keys()):
        given = bare  # a base within a Sequential
    # Dense and Normalization have names of their own in each program; each is the only one of its shapes.
    for key in [key for key in layers if key not in given]:
        theirs = [other for other, arrays in given.items() if other not in layers and _shapes(arrays) == shapes[key]]
        if len(theirs) == 1:
            given = {key if other == theirs[0] else other: arrays for other, arrays in given.items()}
    if given.keys() != layers.keys() and tensors.named and list(map(_shapes, given.values())) == list(shapes.values()):
        given = dict(zip(layers, given.values(), strict=True))  # MobileNetV3's layers had other names in Keras 2
    problems = [f"no tensors for layer {key}" for key in layers if key not in given]
    problems += [f"layer {printable(key)} is not in the network" for key in given if key not in layers]
    for key in layers.keys() & given.keys():
        if _shapes(given[key]) != shapes[key]:
            problems.append(f"layer {key} has tensors {_shapes(given[key])}, the network {shapes[key]}")
    for key, layer in () if problems else layers.items():
        set_weights(layer, given[key])
    return problems


def _shapes(arrays: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


def _keyed(network: Any, named: bool) -> Iterator[tuple[str, Any]]:
    """Layers with weights by the keys of `Tensors`."""
    seen: Counter[str] = Counter()
    for layer in network.layers:
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        place = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        if layer.weights:
            yield layer.name if named else place, layer


def _candidates(tensors: Tensors) -> Iterator[tuple[str, float]]:
    """Networks and widths that have the first convolution and the last layer of these weights."""
    shapes = tensors.shapes()
    first = next((shape[3] for shape in shapes if len(shape) == 4 and shape[2] == 3), 0)
    width = next((shape[0] for shape in shapes if len(shape) == 2 and shape[1] == BINS), 0)
    if first and first == int(32 * width / 1024):
        yield "MobileNet", width / 1024
    if first and width >= 1280:
        yield from (("MobileNetV2", alpha) for alpha in _V2_WIDTHS if max(8, int(32 * alpha + 4) // 8 * 8) == first)
    if first == 16 and width:
        yield from (("MobileNetV3Small", alpha) for alpha in dict.fromkeys((0.75, 1.0, width / 576)))
        yield from (("MobileNetV3Large", alpha) for alpha in dict.fromkeys((0.75, 1.0, width / 960)))
    if (first, width) == (32, 1280):
        yield "EfficientNetB0", 1.0


def divide_again(network: Any, keras: str) -> None:
    """Since Keras 2.9 an EfficientNet with ImageNet's weights divides by the root of its deviations a second time.

    It does so in a layer that has no weights; here its Normalization does, where `keras`, a version, wrote the weights.
    """
    layer = next(layer for layer in network.layers if type(layer).__name__ == "Normalization")
    mean, variance, count = layer.get_weights()
    version = tuple(map(int, re.findall(r"\d+", keras)[:2]))
    if mean.any() and not version:
        raise CheckpointError(
            "is of an EfficientNet, and does not say of which Keras, by which its first layers differ: save all of it, "
            "model.save('NAME.keras')"
        )
    if mean.any() and version >= (2, 9):
        set_weights(layer, [mean, variance * np.sqrt(variance), count])
