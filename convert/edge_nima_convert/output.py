"""Files that a conversion leaves: models, the calibration beside them, and what an interrupted run goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import write_whole
from edge_nima_convert.checkpoint import Checkpoint
from edge_nima_convert.recipes import Recipe

if TYPE_CHECKING:
    from edge_nima_convert.conversion import Converted, Material


def output_paths(checkpoint: Checkpoint, recipes: Sequence[Recipe], out: Path, overwrite: bool) -> dict[str, Path]:
    """Where each recipe's file will be.

    Raises:
        RequestError: one exists and `overwrite` is False.
        OutputError: the folder cannot be made.
    """
    paths = {recipe.name: out / f"{checkpoint.name}-{recipe.name}.tflite" for recipe in recipes}
    there = [path for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise RequestError(f"'{printable(there[0])}' exists: --overwrite replaces it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{printable(out)}': {reason(error)}") from error
    return paths


def work_folder(path: Path) -> Path:
    """Where a recipe that takes long keeps what an interrupted run goes on from: beside its file, hidden."""
    return path.with_name(f".{path.stem}.work")


def calibration_file(
    checkpoint: Checkpoint, out: Path, material: Material, overwrite: bool
) -> tuple[Path, bytes] | None:
    """Where the calibration is written beside the models, and what; None where nothing calibrates.

    Raises:
        RequestError: another calibration is there and `overwrite` is False. The same one may be there.
        OutputError: it cannot be read.
    """
    if material.document is None:
        return None
    path = out / f"{checkpoint.name}.calibration.json"
    content = (json.dumps(material.document, indent=1) + "\n").encode()
    try:
        if path.exists() and not overwrite and path.read_bytes() != content:
            raise RequestError(f"'{printable(path)}' exists and is of another calibration: --overwrite replaces it")
    except OSError as error:
        raise OutputError(f"cannot read '{printable(path)}': {reason(error)}") from error
    return path, content


def write_model(converted: Converted, calibration: tuple[Path, bytes] | None = None) -> None:
    """Put a conversion where it belongs, whole, and drop what it would have been resumed from.

    Args:
        converted: what `convert_one` gave.
        calibration: what `calibration_file` gave; written beside a recipe that calibrates.

    Raises:
        OutputError: a file cannot be written.
    """
    _write(converted.path, converted.content)
    if calibration is not None and converted.recipe.needs_calibration:
        _write(*calibration)
    forget([converted])


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error


def forget(converted: Iterable[Converted]) -> None:
    """Drop what conversions that are done would have been resumed from."""
    for one in converted:
        shutil.rmtree(work_folder(one.path), ignore_errors=True)
