"""What `edge-nima convert` is asked for: recipes, checkpoint, and what cannot be, refused before any work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.errors import PackageMissing, RequestError, printable

if TYPE_CHECKING:
    from edge_nima.gate import Gate
    from edge_nima_convert.conversion import Yardstick
    from edge_nima_convert.recipes import Recipe

AUTO = "auto"
"""The recipe that is a ladder of recipes."""


def need_desktop_packages() -> None:
    """Import what the extra brings, so that what is missing is said before any work, and TensorFlow starts quietly."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from edge_nima_convert.recipes import quiet_tensorflow

        with quiet_tensorflow():
            for package in ("h5py", "keras", "tensorflow"):
                import_module(package)
    except ImportError as error:
        missing = (error.name or str(error)).split(".")[0]
        raise PackageMissing(f"convert needs {missing}: pip install 'edge-nima[convert]'") from error


def choose_recipes(names: Sequence[str], calibrated: bool) -> list[Recipe]:
    """What to make, in order; `auto` is the ladder."""
    from edge_nima_convert.recipes import LADDER, RECIPES

    if AUTO in names:
        if set(names) != {AUTO}:
            raise RequestError("--recipe auto chooses by itself; leave out the other --recipe")
        names = LADDER
    for name in names:
        if name not in RECIPES:
            raise RequestError(f"no recipe is called '{printable(name)}'; possible: {', '.join(RECIPES)}, {AUTO}")
        if RECIPES[name].needs_calibration and not calibrated:
            raise RequestError(f"recipe {name} needs photographs to calibrate with: --calibration PHOTOS")
    return [RECIPES[name] for name in dict.fromkeys(names)]


def refuse(climbs: bool, keep_all: bool, evaluates: bool, reference: Path | None) -> None:
    """Refuse what cannot be, before any work."""
    if keep_all and not climbs:
        raise RequestError("--keep-all goes with --recipe auto; without it every recipe's file is kept")
    if climbs and not evaluates:
        raise RequestError("--recipe auto needs photographs to judge by: --evaluate PHOTOS, not those that calibrate")
    if reference is not None and not evaluates:
        raise RequestError("--reference is the float model's opinion of the photographs of --evaluate: give them too")


def refuse_to_climb(yardstick: Yardstick, gate: Gate) -> None:
    """Refuse `--recipe auto` where no rung could pass, whatever it is worth."""
    if yardstick.seen:
        raise RequestError(f"--recipe auto has nothing to judge by: {yardstick.seen}")
    if len(yardstick.pixels) < gate.fewest:
        raise RequestError(
            f"--recipe auto needs {gate.fewest} photographs or more to judge by; "
            f"--evaluate gives {len(yardstick.pixels)}"
        )


def checkpoint_path(checkpoint: str) -> Path:
    """A path, or where the registry keeps a known checkpoint."""
    from edge_nima import registry

    path = Path(checkpoint)
    if path.exists() or checkpoint not in {entry.name for entry in registry.entries()}:
        return path
    entry = registry.find(checkpoint)
    if not registry.is_present(entry):
        raise RequestError(f"{entry.name} is not here yet: edge-nima models pull {entry.name}")
    return entry.path


def read_range(text: str | None) -> tuple[float, float] | None:
    """What --input-range says."""
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"--input-range is '{printable(text)}'; possible: two numbers such as -1,1") from error
    if not low < high:
        raise RequestError(f"--input-range is '{printable(text)}'; the first number is the smaller one")
    return low, high
