"""NIMA's networks by name: a Keras Applications base, average pooling, Dropout, Dense(10, softmax); their weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima.distribution import BINS
from edge_nima.errors import CheckpointError, EdgeNimaError, RequestError, printable, reason
from edge_nima.pixels import Preprocessing
from edge_nima.registry import entries, find, is_present
from edge_nima_train.config import ARCHITECTURES, expand

if TYPE_CHECKING:
    from edge_nima_train.config import Config

HEAD = "dense_1"
"""The last layer's name, as in idealo's weights."""
IMAGENET, NOTHING = "imagenet", "none"
_WEIGHT_FILES = (".hdf5", ".h5", ".keras")


def build_network(
    architecture: str = "MobileNet",
    *,
    alpha: float = 1.0,
    input: int = 224,
    dropout: float = 0.75,
    imagenet: bool = False,
) -> Any:
    """A Keras model from float32 (n, input, input, 3), scaled as `preprocessing_of` says, to (n, 10) proportions.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        alpha: width multiplier.
        input: side of the input, pixels.
        dropout: share of the features dropped before the last layer, in training.
        imagenet: whether the base has Keras' ImageNet weights, which Keras downloads; else it is random.

    Raises:
        RequestError: Keras has no such network, or no such weights for it, or cannot fetch them.
    """
    import keras

    if architecture not in ARCHITECTURES:
        raise RequestError(f"no network is called '{printable(architecture)}'; possible: {', '.join(ARCHITECTURES)}")
    more: dict[str, Any] = {} if architecture == "EfficientNetB0" else {"alpha": alpha}
    if architecture.startswith("MobileNetV3"):
        more["include_preprocessing"] = False
    try:
        base = getattr(keras.applications, architecture)(
            input_shape=(input, input, 3), include_top=False, pooling="avg",
            weights="imagenet" if imagenet else None, **more,
        )  # fmt: skip
    except Exception as error:
        # Keras raises ValueError for widths without weights and bare Exception where the download fails.
        offline = "; without a network, give network.weights a file" if imagenet else ""
        raise RequestError(
            f"{architecture} (alpha {alpha:g}) cannot be built: {reason(error)[:200]}{offline}"
        ) from error
    features = keras.layers.Dropout(dropout, name="dropout")(base.output)
    # The last layer in float32: a softmax of half precision has steps of 1/2048.
    head = keras.layers.Dense(BINS, activation="softmax", name=HEAD, dtype="float32")
    return keras.Model(base.input, head(features), name=f"nima_{architecture.lower()}")


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


def start_network(config: Config) -> Any:
    """The network that a run starts from, with the weights that its configuration names.

    Raises:
        RequestError: no such weights.
        CheckpointError: weights of another architecture.
    """
    n = config.network
    network = build_network(
        n.architecture, alpha=n.alpha, input=n.input, dropout=n.dropout, imagenet=n.weights == IMAGENET
    )
    if n.weights not in (IMAGENET, NOTHING):
        load_weights(network, weights_path(n.weights))
    return network


def weights_path(weights: str) -> Path:
    """Where weights are that a configuration names: a file, or a name from `edge-nima models list`.

    Raises:
        RequestError: there are none, or they have to be pulled first.
    """
    if weights in {entry.name for entry in entries()}:
        entry = find(weights)
        if not is_present(entry):
            raise RequestError(f"the weights {weights} are not here yet: edge-nima models pull {weights}")
        return entry.path
    path = expand(weights)
    if not path.is_file():
        raise RequestError(
            f"no weights at '{printable(path)}'; possible: imagenet, none, a name from `edge-nima models list`, a file"
        )
    if path.suffix.lower() not in _WEIGHT_FILES:
        raise RequestError(f"'{printable(path)}' holds no weights by its name; possible: {', '.join(_WEIGHT_FILES)}")
    return path


def load_weights(network: Any, path: Path) -> None:
    """Fill a network from a weight file (.h5, .hdf5) or a whole model (.keras) of the same architecture.

    Raises:
        CheckpointError: it cannot be read, or is not exactly this network; the network may then be filled in part.
    """
    import keras

    shown = printable(path)
    try:
        if path.suffix.lower() == ".keras":
            other = keras.models.load_model(path, compile=False)
            _check_same(network, other, shown)
            network.set_weights(other.get_weights())
        else:
            _check_hdf5(network, path)
            network.load_weights(path)
    except EdgeNimaError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"'{shown}' does not hold the weights of {network.name}: {reason(error)[:300]}"
        ) from error


def _check_same(network: Any, other: Any, shown: str) -> None:
    wanted, given = ([tuple(w.shape) for w in model.weights] for model in (network, other))
    if wanted != given:
        place = next(
            (i for i, (a, b) in enumerate(zip(wanted, given, strict=False)) if a != b), min(len(wanted), len(given))
        )
        one = f"weight {place + 1} is {given[place] if place < len(given) else 'missing'}, not " + (
            str(wanted[place]) if place < len(wanted) else "there"
        )
        raise CheckpointError(
            f"'{shown}' is another architecture than {network.name}: {len(given)} weights and not {len(wanted)}; {one}"
            if len(given) != len(wanted)
            else f"'{shown}' is another architecture or width than {network.name}: {one}"
        )


def _check_hdf5(network: Any, path: Path) -> None:
    """Keras' loader goes by place: every layer's name but the last must be the file's too."""
    import h5py

    shown = printable(path)
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs:
            raise CheckpointError(
                f"'{shown}' is HDF5 without the layer_names of Keras weights; save the model as .keras"
            )
        names = [_text(name) for name in group.attrs["layer_names"]]
        given = [name for name in names if len(group[name].attrs["weight_names"])]
    wanted = [layer.name for layer in network.layers if layer.weights]
    if [re.sub(r"_\d+$", "", name) for name in given[-1:]] != ["dense"] or given[:-1] != wanted[:-1]:
        lost = [name for name in wanted[:-1] if name not in given][:2] or given[-1:]
        raise CheckpointError(
            f"'{shown}' is another architecture than {network.name}: {len(given)} layers with weights and not "
            f"{len(wanted)}, differing at {', '.join(map(printable, lost))}"
        )


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
