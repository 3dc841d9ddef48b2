"""Where a mean rating stands among others: those of AVA, or those of somebody's own library."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable

# Quantiles 0 %, 1 %, ... 100 % of people's mean rating of 25,551 photographs of AVA (Murray et al. 2012), linear
# between order statistics. Interpolated between them a percentile is right to half a point.
_AVA = (
    "1.995 3.586 3.82 3.981 4.085 4.179 4.243 4.307 4.361 4.415 4.462 4.502 4.542 4.578 4.611 4.643 4.675 4.705 4.732 "
    "4.761 4.787 4.812 4.838 4.862 4.885 4.909 4.933 4.957 4.977 5 5.019 5.04 5.059 5.078 5.097 5.117 5.136 5.155 "
    "5.172 5.19 5.207 5.226 5.245 5.264 5.282 5.3 5.317 5.335 5.352 5.369 5.387 5.404 5.422 5.44 5.456 5.475 5.492 "
    "5.511 5.53 5.549 5.565 5.585 5.604 5.621 5.64 5.658 5.678 5.697 5.716 5.735 5.758 5.78 5.802 5.822 5.845 5.867 "
    "5.89 5.914 5.938 5.959 5.987 6.013 6.041 6.071 6.099 6.128 6.159 6.193 6.228 6.267 6.312 6.361 6.403 6.454 6.51 "
    "6.579 6.659 6.747 6.882 7.065 8.296"
)


@dataclass(frozen=True, eq=False)
class Percentiles:
    """Means that others are held against."""

    name: str
    """What they are of, for a person: "AVA", "these 629 photographs"."""
    quantiles: Floats
    """Sorted: shape (101,) where `exact` is False, else the means themselves, at least 1."""
    exact: bool = True

    def of(self, mean: float) -> float:
        """Share of them below a mean, and half of those equal to it, 0..100."""
        if not self.exact:
            return float(np.interp(mean, self.quantiles, np.arange(len(self.quantiles))))
        below, upto = (np.searchsorted(self.quantiles, mean, side) for side in ("left", "right"))
        return float(below + upto) / 2 / len(self.quantiles) * 100

    def mean_at(self, percentile: float) -> float:
        """The mean of which a percentile, 0..100, is, linear between those that are known."""
        if not self.exact:
            return float(np.interp(percentile, np.arange(len(self.quantiles)), self.quantiles))
        return float(np.quantile(self.quantiles, percentile / 100))

    def told(self, mean: float) -> str:
        """ "better than 83 % of AVA"."""
        return f"better than {int(self.of(mean))} % of {self.name}"


AVA = Percentiles("AVA", np.array(_AVA.split(), np.float64), exact=False)
"""People's means of AVA. A network's means crowd in the middle of these: its 5 % are rarer than people's."""


def percentiles_of(means: Iterable[float | None], name: str) -> Percentiles | None:
    """Percentiles among these means; None where there is not one.

    Args:
        means: mean ratings, 1..10; None for photographs without a score.
        name: what they are of.
    """
    known = np.sort(np.array([mean for mean in means if mean is not None], np.float64))
    return Percentiles(name, known) if len(known) else None


def read_percentiles(path: str | os.PathLike[str]) -> Percentiles:
    """Percentiles among the score records of a file, as `edge-nima score --output` wrote it; "ava" is `AVA`.

    Raises:
        RequestError: it is none, or holds no score.
    """
    from edge_nima.records import read_records

    if os.fspath(path).lower() == "ava":
        return AVA

    made = percentiles_of((record.mean for record, _ in read_records(path)), Path(path).name)
    if made is None:
        raise RequestError(f"'{printable(path)}' holds no score; give records that edge-nima score --output wrote")
    return made
