"""A trained network from the files it may come in, as one function from pixels to distributions. On any backend."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import BINS
from edge_nima.errors import CardError, CheckpointError, RequestError, printable, reason
from edge_nima.fetch import sha256_of
from edge_nima.pixels import Pixels, Preprocessing
from edge_nima.registry import find_by_sha256
from edge_nima.stderr import caught_stderr
from edge_nima_train.backend import start_keras
from edge_nima_train.leakage import Photograph, seen_by
from edge_nima_train.network import build_network, load_weights

BEST, LAST, PREPROCESSING, DONE = "model.keras", "last.keras", "preprocessing.json", "done.json"
"""Of a run folder; the last is there when the run is complete."""
BATCH = 32
_HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Trained:
    """A trained network and what is known of it."""

    name: str
    sha256: str
    """Of the file with the weights."""
    network: Any
    """Keras model: float32 (n, height, width, 3), scaled as `preprocessing` says, to (n, 10) proportions."""
    preprocessing: Preprocessing
    stated: str
    """Who says that this is the preprocessing: "the run", "the registry", "the command line" or "assumed"."""
    run: Path | None
    """Its run folder, where it has one."""
    trained_on: tuple[Photograph, ...] | None
    """The photographs that it was trained and chosen by; None where nobody recorded them."""
    known: bool = False
    """Whether the registry knows these weights: they are published ones."""

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
        return np.concatenate([np.zeros((0, BINS), np.float32), *self._parts(pixels)])

    def _parts(self, pixels: Pixels) -> Iterator[NDArray[np.float32]]:
        how = self.preprocessing
        for start in range(0, len(pixels), BATCH):
            part = pixels[start : start + BATCH]
            x = part.astype(np.float32) * np.float32(how.scale) + np.float32(how.offset)
            # Filled up to a power of two: backends compile for each size that they meet.
            empty = (1 << (len(x) - 1).bit_length()) - len(x)
            x = np.concatenate([x, np.zeros((empty, *x.shape[1:]), np.float32)])
            yield np.asarray(self.network.predict_on_batch(x), np.float32)[: len(part)]


def open_trained(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    filter: str | None = None,
    fit: str | None = None,
    input_range: tuple[float, float] | None = None,
    longest_edge: int | None = None,
) -> Trained:
    """Open a run folder, a .keras file (in a run folder with what that says), or MobileNet's HDF5 weights.

    A run says how it wants its pixels, and the registry how idealo's weights do; to state it otherwise is refused for
    a run. For any other file, what is not stated is taken to be as in idealo's training (nearest, stretch, -1..1), as
    `edge-nima convert` takes it, and `Trained.stated` says so.

    Args:
        path: the folder or file.
        name: what records call it; None for the run folder's name, the registry's or the file's.
        filter: resampling filter it was trained with.
        fit: "stretch" or "crop".
        input_range: what the pixel values 0 and 255 became in training, such as (-1, 1).
        longest_edge: of the photographs it was trained on, pixels, to which larger ones are reduced; 0 for no such
            step.

    Raises:
        CheckpointError: not there, not a network from one photograph to ten proportions, or a network loaded in part.
        RequestError: a run's photographs.csv is something else, or options speak against a run.
        PackageMissing: Keras, or its backend, is not installed.
    """
    given, file, run = Path(path), _file(Path(path)), run_of(Path(path))
    sha256 = sha256_of(file)
    known = find_by_sha256(sha256)
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise CheckpointError(
            f"the name '{printable(name)}' would not do in a file name; possible: letters, digits, . + - _"
        )
    needed = (filter, fit, input_range)
    given_any = any(needed) or longest_edge is not None
    if run is not None and given_any:
        raise RequestError(
            f"'{printable(run / PREPROCESSING)}' says how this run wants its pixels: "
            "leave out --filter, --fit, --input-range and --longest-edge"
        )
    with caught_stderr():  # what TensorFlow says of the machine
        start_keras()
    network = _load(file)
    height, width = _input_shape(network, given)
    how = replace((known and known.preprocessing) or Preprocessing(), width=width, height=height)
    how = how.with_overrides(filter, fit, input_range, longest_edge)
    if run is not None:
        how, stated = _run_preprocessing(run, how), "the run"
    elif (known and given_any) or all(needed):
        stated = "the command line"
    else:
        stated = "the registry" if known and known.preprocessing else "assumed"
    trained = Trained(
        name=name or (known.name if known else _name(file, run)),
        sha256=sha256,
        network=network,
        preprocessing=how,
        stated=stated,
        run=run,
        trained_on=None if run is None else seen_by(run),
        known=known is not None,
    )
    _check_output(trained, given)
    return trained


def run_of(path: Path) -> Path | None:
    """The run folder that a path is, or that a .keras file is in; None where it is none."""
    folder = path if path.is_dir() else path.parent
    whole = (folder / PREPROCESSING).is_file() and (path.is_dir() or path.suffix == ".keras")
    return folder if whole else None


def _file(path: Path) -> Path:
    """Where the weights are."""
    shown = printable(path)
    if not path.exists():
        raise CheckpointError(f"no such checkpoint: '{shown}' (a run folder, a .keras file, or .hdf5 weights)")
    if not path.is_dir():
        if path.suffix.lower() not in (".keras", *_HDF5):
            raise CheckpointError(
                f"'{shown}' is no checkpoint by its name; possible: a run folder, a .keras file, .hdf5 or .h5 weights"
            )
        return path
    if (path / BEST).is_file():
        return path / BEST
    if (path / LAST).is_file():
        raise CheckpointError(f"'{shown}' has no {BEST} yet; '{printable(path / LAST)}' is what it has reached so far")
    raise CheckpointError(f"'{shown}' is a folder without {BEST}; edge-nima train fit makes such run folders")


def _name(file: Path, run: Path | None) -> str:
    """The file's name, but for a run folder the folder's: every run's weights are in model.keras."""
    folder = file.resolve().parent.name
    return re.sub(r"[^\w.+-]+", "-", folder if run and folder[:1].isalnum() else file.stem)


def _load(file: Path) -> Any:
    if file.suffix.lower() in _HDF5:
        network = build_network()
        load_weights(network, file)
        return network
    import keras

    shown = printable(file)
    if not zipfile.is_zipfile(file):
        raise CheckpointError(f"'{shown}' is not a .keras file, which is a zip archive, or it is cut short")
    try:
        return keras.models.load_model(file, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"'{shown}' cannot be read by Keras {keras.__version__}: {reason(error)[:300]}"
        ) from error


def _input_shape(network: Any, path: Path) -> tuple[int, int]:
    """Height and width that it takes."""
    shown = printable(path)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise CheckpointError(
            f"'{shown}' has {len(network.inputs)} inputs and {len(network.outputs)} outputs, not one of each"
        )
    shape, out = tuple(network.inputs[0].shape), tuple(network.outputs[0].shape)
    if len(shape) != 4 or shape[3] != 3 or not shape[1] or not shape[2]:
        raise CheckpointError(f"'{shown}' takes {shape}; a scorer takes RGB photographs of a fixed size")
    if out[1:] != (BINS,):
        raise CheckpointError(f"'{shown}' gives {out[1:]} values a photograph; a NIMA scorer gives ({BINS},)")
    return int(shape[1]), int(shape[2])


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


def _check_output(trained: Trained, path: Path) -> None:
    how = trained.preprocessing
    out = trained.predict(np.zeros((1, how.height, how.width, 3), np.uint8))
    total = float(out.sum())
    if not np.isfinite(out).all() or abs(total - 1) > 1e-3 or out.min() < 0:
        raise CheckpointError(
            f"'{printable(path)}' does not end in a softmax, or its weights are damaged: "
            f"its ten outputs sum to {total:.4g}, not 1"
        )
