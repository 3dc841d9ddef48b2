"""The network that a run starts from, and the weights that its configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima.distribution import BINS
from edge_nima.errors import CheckpointError, RequestError, printable
from edge_nima.registry import locate
from edge_nima_train.config import expand
from edge_nima_train.network import Tensors, build_network, divide_again, features_of, fill, imagenet_file, set_weights
from edge_nima_train.reading import read_network, read_tensors

if TYPE_CHECKING:
    from edge_nima_train.config import Config, Network

IMAGENET, NOTHING = "imagenet", "none"
_CLASSES = 1000  # of ImageNet


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
    if n.weights in (IMAGENET, NOTHING):
        return network
    path = weights_path(n.weights)
    tensors = read_tensors(path)
    problems = _take_model(network, path) if tensors is None else _take_tensors(network, tensors, path, n)
    if problems:
        raise CheckpointError(
            f"'{printable(path)}' is another architecture or width than {network.name}: {'; '.join(problems[:3])}"
        )
    return network


def _take_tensors(network: Any, tensors: Tensors, path: Path, n: Network) -> list[str]:
    """Fill a network, or its base from weights without a last layer; what does not fit."""
    if any(shape[-1:] == (_CLASSES,) and len(shape) in (2, 4) for shape in tensors.shapes()):
        name, address = imagenet_file(n.architecture, n.alpha, n.input)
        raise CheckpointError(
            f"'{printable(path)}' has ImageNet's {_CLASSES:,} classes as its last layer: give network.weights the file "
            f"without, {name} ({address}{name})"
        )
    if any(len(shape) == 2 and shape[1] == BINS for shape in tensors.shapes()):
        return fill(network, tensors)
    problems = fill(features_of(network), tensors)
    if not problems and n.architecture == "EfficientNetB0":
        divide_again(network, "2.9")  # whichever wrote the file
    return problems


def _take_model(network: Any, path: Path) -> list[str]:
    """The weights of a whole model, in their order; what does not fit."""
    other = read_network(path).network
    wanted, given = ([tuple(w.shape) for w in model.weights] for model in (network, other))
    problems = [f"weight {i} is {b}, not {a}" for i, (a, b) in enumerate(zip(wanted, given, strict=False), 1) if a != b]
    problems += [f"it has {len(given)} weights and not {len(wanted)}"] if len(given) != len(wanted) else []
    if not problems:
        set_weights(network, other.get_weights())
    return problems


def weights_path(weights: str) -> Path:
    """Where weights are that a configuration names: a file, or a name from `edge-nima models list`.

    Raises:
        RequestError: there are none, or they have to be pulled first.
    """
    path = expand(weights)
    path = path if path.exists() else locate(weights)
    if not path.is_file():
        raise RequestError(
            f"no weights at '{printable(path)}'; possible: imagenet, none, a name from `edge-nima models list`, a file"
        )
    return path
