"""Photographs that are whole and odd: flagged by rules that the report states, never dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_nima_train.verify_files import Inspection, ending

TINY, ASPECT, BYTES, COLOUR, ENDING = "tiny", "aspect", "bytes_per_pixel", "single_colour", "ending"
TINY_BELOW = 64
LONG_BEYOND = 4.0
FENCE = 3.0
FEWEST = 20
"""Photographs that a distribution takes before some of it is called unusual."""

_SAME = {"MPO": "JPEG"}  # a JPEG with a second picture behind it: cameras name it .jpg


@dataclass(frozen=True)
class Rules:
    """What is called an anomaly."""

    bytes_per_pixel: tuple[float, float] | None
    """Outside of these it is unusual; None where there are too few photographs to tell."""

    def told(self) -> dict[str, str]:
        """Each rule in words, by its flag."""
        usual = f"not judged: fewer than {FEWEST} photographs"
        if self.bytes_per_pixel is not None:
            low, high = self.bytes_per_pixel
            usual = (
                f"file size over pixels below {low:.4g} or above {high:.4g} bytes: beyond the quartiles of its "
                f"logarithm by more than {FENCE:g} times their distance (Tukey's outer fences)"
            )
        return {
            TINY: f"a side below {TINY_BELOW} pixels",
            ASPECT: f"one side more than {LONG_BEYOND:g} times the other",
            BYTES: usual,
            COLOUR: "no sample more than 2 of 255 levels from that of the first pixel",
            ENDING: "the content is of another format than the file name's ending says",
        }


def find_anomalies(names: Sequence[str], found: Sequence[Inspection]) -> tuple[list[str], Rules]:
    """Flags of each photograph, with spaces between, "" for none; and the rules they were given by.

    Args:
        names: n file names.
        found: n inspections without a fault.
    """
    density = np.log([one.size / (one.width * one.height) for one in found])
    rules = Rules(None)
    if len(found) >= FEWEST:
        q1, q3 = np.percentile(density, [25, 75])
        reach = FENCE * (q3 - q1)
        rules = Rules((float(np.exp(q1 - reach)), float(np.exp(q3 + reach))))
    return [_flags(name, one, rules) for name, one in zip(names, found, strict=True)], rules


def _flags(name: str, one: Inspection, rules: Rules) -> str:
    short, long = sorted((one.width, one.height))
    low, high = rules.bytes_per_pixel or (0.0, float("inf"))
    told = {
        TINY: short < TINY_BELOW,
        ASPECT: long > LONG_BEYOND * short,
        BYTES: not low <= one.size / (one.width * one.height) <= high,
        COLOUR: one.single_colour,
        ENDING: _is_of_another_kind(name, one.format),
    }
    return " ".join(flag for flag, raised in told.items() if raised)


def _is_of_another_kind(name: str, format: str) -> bool:
    from PIL import Image

    Image.init()
    expected = Image.registered_extensions().get(ending(name))
    return _SAME.get(expected or "", expected) != _SAME.get(format, format)
