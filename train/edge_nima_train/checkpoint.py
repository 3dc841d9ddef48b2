"""A trained network from the files it may come in, as one function from pixels to distributions. On any backend."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.distribution import BINS
from edge_nima.errors import CardError, CheckpointError, RequestError, printable, reason
from edge_nima.fetch import sha256_of
from edge_nima.pixels import Preprocessing
from edge_nima.registry import Entry, identify
from edge_nima.stderr import caught_stderr
from edge_nima_train.backend import cause, start_keras
from edge_nima_train.leakage import Photograph, seen_by
from edge_nima_train.reading import Found, only, read_network

BEST, LAST, PREPROCESSING, DONE = "model.keras", "last.keras", "preprocessing.json", "done.json"
"""Of a run folder; the last is there when the run is complete."""
BATCH = 32
_OPTIONS = ("--filter", "--fit", "--input-range", "--longest-edge")


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what is known of it."""

    name: str
    sha256: str
    """Of the file with the weights; of a SavedModel, of its files in order with their names."""
    network: Any
    """The Keras model; None of a SavedModel."""
    call: Callable[[Any], Any]
    """Float32 (n, height, width, 3), scaled as `preprocessing` says, to (n, 10) proportions. On TensorFlow it can be
    traced by tf.function."""
    preprocessing: Preprocessing
    stated: str
    """Who says so: "the run", "the registry", "the command line", "the model" of its range alone, or "assumed"."""
    source: dict[str, str]
    """Where it comes from, for the card."""
    licence: str
    attribution: str
    run: Path | None
    """Its run folder, where it has one."""
    trained_on: tuple[Photograph, ...] | None
    """The photographs that it was trained and chosen by; None where nobody recorded them."""
    known: bool = False
    """Whether the registry knows these weights: they are published ones."""
    notes: tuple[str, ...] = ()
    """What was assumed or decided in opening it, a line each, for the user."""

    @property
    def label(self) -> str:
        """What records call it: its name and the first eight digits of its SHA-256."""
        return f"{self.name}@{self.sha256[:8]}"

    def predict(self, pixels: Pixels) -> NDArray[np.float32]:
        """What it says of photographs.

        Args:
            pixels: uint8, shape (n, height, width, 3): the network's input before scaling, see `read_input`.

        Returns:
            float32, shape (n, 10).
        """
        return np.concatenate([np.zeros((0, BINS), np.float32), *self.predict_parts(pixels)])

    def predict_parts(self, pixels: Pixels) -> Iterator[NDArray[np.float32]]:
        """`predict`, a batch at a time."""
        how = self.preprocessing
        ask = self.call if self.network is None else self.network.predict_on_batch
        for start in range(0, len(pixels), BATCH):
            part = pixels[start : start + BATCH]
            x = how.scaled(part)
            # Filled up to a power of two: backends compile for each size that they meet.
            empty = (1 << (len(x) - 1).bit_length()) - len(x)
            x = np.concatenate([x, np.zeros((empty, *x.shape[1:]), np.float32)])
            yield np.asarray(only(ask(x)), np.float32)[: len(part)]


def open_checkpoint(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    filter: str | None = None,
    fit: str | None = None,
    input_range: tuple[float, float] | None = None,
    longest_edge: int | None = None,
    licence: str | None = None,
    size: int | None = None,
    signature: str | None = None,
    custom: str | None = None,
) -> Checkpoint:
    """Open a run folder, a Keras model or weights in HDF5, a .keras file, or a SavedModel folder.

    A run says how it wants its pixels, the registry says it of published weights, and a model that scales its own
    pixels says their range. What nobody says is taken to be as in idealo's training (nearest, stretch, -1..1), and
    `Checkpoint.notes` says so; a range is asked for where a model's first layers show that it may be another.

    Args:
        path: the folder or file.
        name: what records and cards call it; None for the run folder's name, the registry's or the file's.
        filter: resampling filter it was trained with.
        fit: "stretch" or "crop".
        input_range: what the pixel values 0 and 255 become at the model's input, such as (-1, 1).
        longest_edge: of its training photographs, pixels, to which larger ones are reduced; 0 for no such step.
        licence: SPDX expression of the weights.
        size, signature, custom: as for `read_network`.

    Raises:
        CheckpointError: not there, not a network from one photograph to ten proportions, or a network loaded in part.
        RequestError: a run's photographs.csv is something else, or options are missing or speak against the file.
        PackageMissing: Keras, or its backend, is not installed.
    """
    file, run, shown = _file(Path(path)), run_of(Path(path)), printable(path)
    stated = {"filter": filter, "fit": fit, "input_range": input_range, "longest_edge": longest_edge}
    stated = {option: value for option, value in stated.items() if value is not None}
    _refuse(name, run, stated)
    sha256 = _digest(file)
    known = None if file.is_dir() else identify(file, sha256)
    with caught_stderr():  # what TensorFlow says of the machine and of the file
        start_keras()
        raw = input_range == (0, 255)
        found = read_network(file, size=size, signature=signature, custom=custom, scales_itself=raw)
    width, height = _size(found, size, shown)
    how, by = _preprocessing(found, run, known, stated, shown, width, height)
    source = {"file": file.name, "sha256": sha256, "architecture": found.architecture, "preprocessing_stated_by": by}
    source |= {"scales_pixels_by": found.scaled_by} if found.scaled_by else {}
    source |= {"url": known.url or ""} if known else {}
    checkpoint = Checkpoint(
        name=name or (known.name if known else _name(file, run)), sha256=sha256, network=found.network,
        call=found.call, preprocessing=how, stated=by, source=source,
        licence=licence or (known.licence if known else "unknown"), attribution=known.attribution if known else "",
        run=run, trained_on=None if run is None else seen_by(run), known=known is not None,
        notes=(*found.notes, *_notes(found, how, by, known is not None)),
    )  # fmt: skip
    _check_output(checkpoint, shown)
    return checkpoint


def _refuse(name: str | None, run: Path | None, stated: dict[str, Any]) -> None:
    """Refuse options that cannot be, before any work."""
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise CheckpointError(
            f"the name '{printable(name)}' would not do in a file name; possible: letters, digits, . + - _"
        )
    if run is not None and stated:
        raise RequestError(
            f"'{printable(run / PREPROCESSING)}' says how this run wants its pixels: leave out {', '.join(_OPTIONS)}"
        )


def _preprocessing(
    found: Found, run: Path | None, known: Entry | None, stated: dict[str, Any], shown: str, width: int, height: int
) -> tuple[Preprocessing, str]:
    """How a network wants its pixels, and who says so."""
    how, by = Preprocessing(width=width, height=height), "assumed"
    if run is not None:
        return _run_preprocessing(run, how), "the run"
    if known and known.preprocessing:
        how, by = known.preprocessing, "the command line" if stated else "the registry"
    elif found.scaled_by and "input_range" not in stated:
        if not found.takes_pixels:
            raise RequestError(
                f"'{shown}' begins with {found.scaled_by}, and not what pixels 0 and 255 are to be before that: "
                "say it with --input-range=0,255 or =0,1 or =-1,1"
            )
        how, by = replace(how, scale=1.0, offset=0.0), "the model"
    if {"filter", "fit"} <= stated.keys() and ("input_range" in stated or by == "the model"):
        by = "the command line"
    return replace(how, width=width, height=height).with_overrides(**stated), by


def _notes(found: Found, how: Preprocessing, by: str, known: bool) -> Iterator[str]:
    """What a user is told of who says how pixels are brought to the network."""
    low, high = (float(np.ravel(how.scaled(np.full((1, 1, 1, 3), level, np.uint8)))[0]) for level in (0, 255))
    if found.takes_pixels and (low, high) != (0, 255):
        yield f"taking pixels as {low:g}..{high:g}, as you say; the model itself scales 0..255 ({found.scaled_by})"
    if by == "the command line" and known:
        yield f"taking {how.describe()}, as you say; the registry knows this checkpoint otherwise"
    if by in ("assumed", "the model"):
        own = f"the model scales its own pixels ({found.scaled_by}); " if by == "the model" else ""
        options = ", ".join(option for option in _OPTIONS if not own or option != "--input-range")
        otherwise = f"if it was trained otherwise its scores will be wrong, say so with {options}"
        yield f"{own}assuming {how.describe()}: {otherwise}"


def _size(found: Found, size: int | None, shown: str) -> tuple[int, int]:
    """Width and height of the input, pixels."""
    _, height, width, channels = found.shape if len(found.shape) == 4 else (None,) * 4
    if channels != 3:
        raise CheckpointError(f"'{shown}' takes {found.shape}; a scorer takes RGB photographs (n, height, width, 3)")
    if size is None and None in (height, width):
        raise RequestError(f"'{shown}' takes photographs of any size: say which it was trained on, such as --size 224")
    if {height, width} - {None, size or height, size or width}:
        raise RequestError(f"--size {size} does not fit '{shown}', which takes {width}x{height}")
    return int(width or size or 0), int(height or size or 0)


def run_of(path: Path) -> Path | None:
    """The run folder that a path is, or that a .keras file is in; None where it is none."""
    folder = path if path.is_dir() else path.parent
    whole = (folder / PREPROCESSING).is_file() and (path.is_dir() or path.suffix == ".keras")
    return folder if whole else None


def _file(path: Path) -> Path:
    """Where the weights are: a file, or a SavedModel folder."""
    shown = printable(path)
    if not path.exists():
        raise CheckpointError(f"no such checkpoint: '{shown}' (edge-nima models list shows what can be pulled)")
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path
    if (path / BEST).is_file():
        return path / BEST
    if (path / LAST).is_file():
        raise CheckpointError(f"'{shown}' has no {BEST} yet; '{printable(path / LAST)}' is what it has reached so far")
    raise CheckpointError(f"'{shown}' is a folder with neither a SavedModel's saved_model.pb nor a run's {BEST}")


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files in order with their names."""
    try:
        if not path.is_dir():
            return sha256_of(path)
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(os.fsencode(file.relative_to(path)) + b"\0" + file.read_bytes())
    except OSError as error:
        raise CheckpointError(f"'{printable(path)}' cannot be read: {reason(error)}") from error
    return digest.hexdigest()


def _name(file: Path, run: Path | None) -> str:
    """The file's name, but for a run folder the folder's: every run's weights are in model.keras."""
    folder = file.resolve().parent.name
    return re.sub(r"[^\w.+-]+", "-", folder if run and folder[:1].isalnum() else file.stem)


def _run_preprocessing(run: Path, of_network: Preprocessing) -> Preprocessing:
    shown = printable(run / PREPROCESSING)
    try:
        how = Preprocessing.from_json(json.loads((run / PREPROCESSING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, CardError) as error:
        raise CheckpointError(f"'{shown}' does not say how a network wants its pixels: {reason(error)}") from error
    if (how.width, how.height) != (of_network.width, of_network.height):
        raise CheckpointError(
            f"'{shown}' speaks of {how.width}x{how.height} pixels, the network beside it takes "
            f"{of_network.width}x{of_network.height}"
        )
    return how


def _check_output(checkpoint: Checkpoint, shown: str) -> None:
    how = checkpoint.preprocessing
    try:
        out = next(checkpoint.predict_parts(np.zeros((1, how.height, how.width, 3), np.uint8)))
    except Exception as error:
        size = f"{how.width}x{how.height}"
        raise CheckpointError(f"'{shown}' cannot score a photograph of {size}: {cause(error)}") from error
    if out.shape != (1, BINS):
        raise CheckpointError(f"'{shown}' gives {out.shape[1:]} values a photograph; a NIMA scorer gives ({BINS},)")
    total = float(out.sum())
    if not np.isfinite(out).all() or abs(total - 1) > 1e-3 or out.min() < 0:
        raise CheckpointError(
            f"'{shown}' does not end in a softmax, or its weights are damaged: "
            f"its ten outputs sum to {total:.4g}, not 1"
        )
