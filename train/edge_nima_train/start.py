"""The network that a run starts from, and the weights that its configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima.errors import CheckpointError, RequestError, printable
from edge_nima.registry import locate
from edge_nima_train.config import expand
from edge_nima_train.network import build_network, set_weights
from edge_nima_train.reading import load_weights, read_network

if TYPE_CHECKING:
    from edge_nima_train.config import Config

IMAGENET, NOTHING = "imagenet", "none"


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
    problems = load_weights(network, path)
    if problems is None:
        other = read_network(path).network
        wanted, given = ([tuple(w.shape) for w in model.weights] for model in (network, other))
        problems = [
            f"weight {i} is {b}, not {a}" for i, (a, b) in enumerate(zip(wanted, given, strict=False), 1) if a != b
        ]
        problems += [f"it has {len(given)} weights and not {len(wanted)}"] if len(given) != len(wanted) else []
        if not problems:
            set_weights(network, other.get_weights())
    if problems:
        raise CheckpointError(
            f"'{printable(path)}' is another architecture or width than {network.name}: {'; '.join(problems[:3])}"
        )
    return network


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
