"""Which layers are worth keeping in float: the first ones, if they are, found by measuring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_nima.pixels import Pixels
from edge_nima_convert.chain import Array, Chain
from edge_nima_convert.correct import equalise, to_grid

ARM_WEIGHT = 3.0
"""What a float multiply-add costs on ARM, in int8 ones."""
ARM_BUDGET = 1.15
"""Cost that the mixed model may have there, the int8 model's being 1."""
WORTH = 0.25
"""Share of the variance that activation rounding causes which the float layers must take away."""
LOOKED_AT = 64


def arm_cost(chain: Chain, floats: int) -> float:
    """Multiply-adds of a chain with leading layers in float, weighted 3:1, over those of the int8 chain."""
    counts = chain.multiply_adds()
    return 1 + (ARM_WEIGHT - 1) * sum(counts[:floats]) / sum(counts)


def costly_stem(chain: Chain, pixels: Pixels) -> int:
    """How many leading layers to keep in float.

    Rounding the output of a layer costs the score something, the more the earlier: everything after sees it. Measured
    is the variance of the mean rating's error when only one output is rounded. The longest stem within `ARM_BUDGET` is
    taken if the outputs inside it, which float spares the rounding, make up `WORTH` of the variance of all.

    Args:
        chain: the float network.
        pixels: uint8 (n, height, width, 3), calibration photographs; the first 64 are looked at.
    """
    longest = max(k for k in range(len(chain.layers)) if arm_cost(chain, k) <= ARM_BUDGET)
    if longest < 2:
        return 0  # the output of the last float layer is rounded all the same: one layer spares none
    seen = pixels[:LOOKED_AT]
    even = equalise(chain, seen)
    spared, whole = rounding_variance(even, seen, range(longest - 1)), rounding_variance(even, seen)
    return longest if spared >= WORTH * whole else 0


def rounding_variance(chain: Chain, pixels: Pixels, which: range | None = None) -> float:
    """Variance of the mean rating's error, squared rating points, when the outputs of some layers are rounded to int8.

    Args:
        chain: the float network.
        pixels: uint8 (n, height, width, 3).
        which: indices of those layers; None for all.
    """
    exact = list(chain.batches(pixels))
    rounded = list(exact)
    for i, layer in enumerate(chain.layers):
        exact, rounded = [layer(x) for x in exact], [layer(x) for x in rounded]
        if which is None or i in which:
            _, rounded = to_grid(rounded, layer)
    return float((mean_ratings(chain, rounded) - mean_ratings(chain, exact)).var())


def mean_ratings(chain: Chain, features: list[Array]) -> NDArray[np.float64]:
    """Mean ratings (n,) from the last layer's outputs, in batches."""
    pooled = np.concatenate([x.mean((1, 2)) for x in features])
    return np.asarray(chain.proportions(pooled) @ np.arange(1, 11, dtype=np.float64))
