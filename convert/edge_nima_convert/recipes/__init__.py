"""Recipes: how a float checkpoint becomes a .tflite. One file each: data and one function; a new one is a new file.

All take uint8 RGB (1, height, width, 3) and return float32 (1, 10); scaling is inside the graph.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge_nima.decode import Pixels
from edge_nima.errors import CalibrationError, RequestError, printable

if TYPE_CHECKING:
    from edge_nima_convert.tflite.cost import Cost
    from edge_nima_convert.tflite.graph import Graph

AUTO = "auto"
"""Not a recipe: the rungs in turn, until one passes the gate."""

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, how much of it is done, of how much, and a note."""


class Source:
    """A float network on its way through recipes, with what several of them share: made once, when first asked for."""

    def __init__(self, checkpoint: Any, calibration: Pixels | None = None, progress: Progress = lambda *_: None):
        """
        Args:
            checkpoint: `edge_nima_train.checkpoint.Checkpoint`.
            calibration: uint8, shape (n, height, width, 3), for recipes that calibrate.
            progress: told what takes long.
        """
        self.checkpoint = checkpoint
        self.calibration = calibration
        self.progress = progress
        self._corrected: dict[frozenset[int], bytes] = {}

    @cached_property
    def float32(self) -> bytes:
        """The network as a float32 .tflite, batch norms folded."""
        from edge_nima_convert.tflite.keras import to_tflite

        return to_tflite(self.checkpoint, "float32")

    @cached_property
    def graph(self) -> Graph:
        """The same, operation by operation."""
        from edge_nima_convert.tflite.graph import read_graph

        return read_graph(self.float32)

    @cached_property
    def photographs(self) -> Pixels:
        """The calibration photographs that corrections use."""
        from edge_nima_convert.tflite.quantise import photographs_for

        assert self.calibration is not None
        return photographs_for(self.graph, self.calibration)

    @cached_property
    def equalised(self) -> Graph:
        """The graph with channels of like range."""
        from edge_nima_convert.tflite.quantise import equalise, integer_ops

        return equalise(self.graph, self.photographs, integer_ops(self.graph))

    @cached_property
    def costs(self) -> Mapping[int, Cost]:
        """What rounding each operation's output does to the score."""
        from edge_nima_convert.tflite.cost import rounding_costs

        return rounding_costs(self.equalised, self.photographs, self.progress)

    def corrected(self, floats: frozenset[int] = frozenset()) -> bytes:
        """The corrected int8 .tflite with some operations in float."""
        from edge_nima_convert.tflite.quantise import quantise
        from edge_nima_convert.tflite.writer import write_tflite

        if floats not in self._corrected:
            made = quantise(self.equalised, self.photographs, floats, progress=self.progress)
            self._corrected[floats] = write_tflite(made)
        return self._corrected[floats]


@dataclass(frozen=True)
class Recipe:
    """One way to convert."""

    name: str
    what: str
    """One line, for --help and the table of the docs."""
    make: Callable[[Source], bytes]
    """The .tflite without its card. Raises CheckpointError where the network has what this recipe cannot take."""
    integer: bool = False
    """Whether activations are integers, which runtimes and processors round differently."""
    needs_calibration: bool = False
    likes_calibration: bool = False
    """Whether it is better with photographs, though it needs none."""
    rung: int | None = None
    """Place among those that `auto` tries, lowest first; None for those that it leaves out."""

    @property
    def calibrates(self) -> bool:
        """Whether it uses photographs that it is given."""
        return self.needs_calibration or self.likes_calibration

    def __call__(self, source: Source) -> bytes:
        """Convert.

        Raises:
            CalibrationError: it needs calibration photographs and has none.
            CheckpointError: the network cannot be converted so.
        """
        if self.needs_calibration and (source.calibration is None or len(source.calibration) == 0):
            raise CalibrationError(f"recipe {self.name} needs photographs to calibrate with: --calibration PHOTOS")
        return self.make(source)


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name, each found in a file of this folder: a new recipe is a new file."""
    found = [import_module(f"{__name__}.{module.name}").RECIPE for module in pkgutil.iter_modules(__path__)]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda recipe: recipe.name)}


def ladder() -> list[Recipe]:
    """The rungs that `auto` tries, in order."""
    return sorted((r for r in recipes().values() if r.rung is not None), key=lambda recipe: recipe.rung or 0)


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        RequestError: there is none, with those that there are.
    """
    if name not in recipes():
        raise RequestError(f"no recipe is called '{printable(name)}'; possible: {', '.join(recipes())}, {AUTO}")
    return recipes()[name]
