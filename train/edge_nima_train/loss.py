"""The earth mover's distance as a Keras loss, on any backend: the twin of `edge_nima.distribution`'s definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_nima.distribution import Floats, as_distribution


def squared_emd(people: Any, predicted: Any) -> Any:
    """Mean over the ten bins of the squared gap of the cumulative histograms: EMD with r=2, squared.

    Hou, Yu and Samaras, "Squared Earth Mover's Distance-based Loss" (2016, equation 6), scaled by 1/10. Its gradient is
    smooth where the two are equal.

    Args:
        people: shape (n, 10), rows summing to 1, any backend's tensor.
        predicted: the same shape.

    Returns:
        Shape (n,), 0 to 0.9.
    """
    from keras import ops

    gap = ops.cumsum(people, axis=-1) - ops.cumsum(predicted, axis=-1)
    return ops.mean(ops.square(gap), axis=-1)


def emd(people: Any, predicted: Any) -> Any:
    """The square root of `squared_emd`: equation 1 of Talebi and Milanfar (2018) with r=2, NIMA's training loss.

    1e-12 under the root bounds its gradient where the two are equal.

    Args:
        people: shape (n, 10), rows summing to 1, any backend's tensor.
        predicted: the same shape.

    Returns:
        Shape (n,), 1e-6 to sqrt(0.9).
    """
    from keras import ops

    return ops.sqrt(squared_emd(people, predicted) + 1e-12)


def loss_of(kind: str) -> Callable[[Any, Any], Any]:
    """The loss that a configuration names: "squared-emd" or "emd"."""
    return {"squared-emd": squared_emd, "emd": emd}[kind]


def smooth(distributions: Floats, share: float) -> Floats:
    """Histograms of which each bin gives a share of its mass to its neighbours, half to each; the ends give half of it.

    The mean of a histogram without mass at the ends is unchanged; its variance grows by `share`.

    Args:
        distributions: shape (n, 10), rows summing to 1.
        share: 0 (nothing) to 0.5.

    Returns:
        float64, shape (n, 10), rows summing to 1.
    """
    p = as_distribution(distributions)
    moved = share / 2 * p
    out = p.copy()
    out[:, 1:] += moved[:, :-1] - moved[:, 1:]
    out[:, :-1] += moved[:, 1:] - moved[:, :-1]
    return np.asarray(out, np.float64)
