"""A trained network from any of the files it may come in, as one function from pixels to distributions."""

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

from edge_nima.distribution import BINS
from edge_nima.errors import CardError, CheckpointError, printable, reason
from edge_nima.pixels import Pixels, Preprocessing
from edge_nima.registry import find_by_sha256
from edge_nima_convert.network import load_keras_model, load_mobilenet_weights

HDF5_SUFFIXES = (".h5", ".hdf5")
BATCH = 32
_BEST = "model.keras"
"""Of a run folder of `edge-nima train fit`."""


@dataclass(frozen=True)
class Checkpoint:
    """A float network and what is known of it."""

    name: str
    call: Callable[[Any], Any]
    """TensorFlow function: float32 (n, height, width, 3), scaled as `preprocessing` says, to (n, 10) proportions."""
    variables: Any
    """What owns the weights; kept alive for `call`."""
    preprocessing: Preprocessing
    stated: str
    """Who says that this is the preprocessing."""
    source: dict[str, str]
    licence: str
    attribution: str

    def predict(self, pixels: Pixels) -> NDArray[np.float32]:
        """The float model's opinion.

        Args:
            pixels: uint8, shape (n, height, width, 3): the model's input before scaling.

        Returns:
            float32, shape (n, 10).
        """
        return np.concatenate(list(self.predict_parts(pixels)))

    def predict_parts(self, pixels: Pixels) -> Iterator[NDArray[np.float32]]:
        """`predict`, a batch at a time."""
        for start in range(0, len(pixels), BATCH):
            x = pixels[start : start + BATCH].astype(np.float32)
            yield np.asarray(
                self.call(x * np.float32(self.preprocessing.scale) + np.float32(self.preprocessing.offset))
            )


def open_checkpoint(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    filter: str | None = None,
    fit: str | None = None,
    input_range: tuple[float, float] | None = None,
    longest_edge: int | None = None,
    licence: str | None = None,
) -> Checkpoint:
    """Open a Keras HDF5 weight file of MobileNet, a .keras file, a SavedModel folder or a run folder.

    A file that the registry knows brings its own preprocessing and licence, a .keras file of a run folder of
    `edge-nima train fit` its preprocessing. For any other, what is not stated is
    taken to be as in idealo's training (nearest, stretch, -1..1), and `Checkpoint.stated` says so.

    Args:
        path: the checkpoint.
        name: what the card calls it; None for the registry's name or the file's.
        filter: resampling filter it was trained with.
        fit: "stretch" or "crop".
        input_range: what the pixel values 0 and 255 became in training, such as (-1, 1).
        longest_edge: of the photographs it was trained on, pixels, to which larger ones are reduced; 0 for no such
            step.
        licence: SPDX expression of the weights.

    Raises:
        CheckpointError: not a network from one photograph to ten proportions, or a network loaded in part.
    """
    path = Path(path)
    shown = printable(path)
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        raise CheckpointError(
            f"the name '{printable(name)}' would not do in a file name; possible: letters, digits, . + - _"
        )
    if not path.exists():
        raise CheckpointError(f"no such checkpoint: '{shown}' (edge-nima models list shows what can be pulled)")
    if path.is_dir() and (path / _BEST).is_file():
        path = path / _BEST
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise CheckpointError(f"'{shown}' is a folder with neither a SavedModel's saved_model.pb nor a run's {_BEST}")
    sha256 = _digest(path)
    known = find_by_sha256(sha256)
    call, variables, shape, architecture = _open(path)
    trained = _of_run_folder(path)
    stated = "the registry" if known and known.preprocessing else "the run folder" if trained else "assumed"
    needed = (filter, fit, input_range)
    if all(needed) or ((known or trained) and (any(needed) or longest_edge is not None)):
        stated = "the command line"
    how = trained or (known and known.preprocessing) or Preprocessing()
    source = {"file": path.name, "sha256": sha256, "architecture": architecture, "preprocessing_stated_by": stated}
    if known:
        source["url"] = known.url or ""
    checkpoint = Checkpoint(
        name=name or (known.name if known else re.sub(r"[^\w.+-]+", "-", _stem(path, trained))),
        call=call,
        variables=variables,
        preprocessing=_sized(shape, how, shown).with_overrides(filter, fit, input_range, longest_edge),
        stated=stated,
        source=source,
        licence=licence or (known.licence if known else "unknown"),
        attribution=known.attribution if known else "",
    )
    _check_output(checkpoint, shown)
    return checkpoint


def _stem(path: Path, trained: Preprocessing | None) -> str:
    """What a file is called: every run folder's checkpoint is model.keras, so they have the folder's name."""
    folder = path.resolve().parent.name
    return folder if trained and folder[:1].isalnum() else path.stem


def _of_run_folder(path: Path) -> Preprocessing | None:
    """What `edge-nima train fit` wrote beside its checkpoints of how they want their pixels; None elsewhere."""
    beside = path.with_name("preprocessing.json")
    if path.suffix.lower() != ".keras" or not beside.is_file():
        return None
    try:
        return Preprocessing.from_json(json.loads(beside.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, CardError) as error:
        raise CheckpointError(
            f"'{printable(beside)}' does not say how '{printable(path.name)}' wants its pixels: {reason(error)}"
        ) from error


def _sized(shape: tuple[int | None, ...], how: Preprocessing, shown: str) -> Preprocessing:
    """The same for the input of a network."""
    _, height, width, channels = shape if len(shape) == 4 else (None,) * 4
    if channels != 3 or not height or not width:
        raise CheckpointError(f"'{shown}' takes {shape}; a scorer takes one RGB photograph of a fixed size")
    return replace(how, width=int(width), height=int(height))


def _check_output(checkpoint: Checkpoint, shown: str) -> None:
    how = checkpoint.preprocessing
    out = checkpoint.predict(np.zeros((1, how.height, how.width, 3), np.uint8))
    if out.shape != (1, BINS):
        raise CheckpointError(f"'{shown}' gives {out.shape[1:]} values a photograph; a NIMA scorer gives ({BINS},)")
    total = float(out.sum())
    if not np.isfinite(out).all() or abs(total - 1) > 1e-3 or out.min() < 0:
        raise CheckpointError(f"'{shown}' does not end in a softmax: its ten outputs sum to {total:.4g}, not 1")


def _open(path: Path) -> tuple[Callable[[Any], Any], Any, tuple[int | None, ...], str]:
    """Function, owner of the weights, input shape, and what it is in words."""
    if path.is_dir():
        return _open_saved_model(path)
    if path.suffix.lower() in HDF5_SUFFIXES:
        model = load_mobilenet_weights(path)
        what = "MobileNet alpha=1.0, average pooling, Dropout(0.75), Dense(10, softmax)"
    elif path.suffix.lower() == ".keras":
        model = load_keras_model(path)
        what = f"Keras model {model.name}, {model.count_params():,} parameters"
    else:
        raise CheckpointError(
            f"'{printable(path)}' is no checkpoint by its name; possible: .hdf5 or .h5 weights, a .keras file, "
            "a SavedModel folder"
        )
    return (lambda x: model(x, training=False)), model, tuple(model.inputs[0].shape), what


def _open_saved_model(path: Path) -> tuple[Callable[[Any], Any], Any, tuple[int | None, ...], str]:
    import tensorflow as tf

    shown = printable(path)
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise CheckpointError(f"'{shown}' is a folder but not a SavedModel: {reason(error)[:200]}") from error
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        raise CheckpointError(
            f"'{shown}' has no serving_default signature; it has {sorted(loaded.signatures) or 'none'}"
        )
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1 or len(signature.structured_outputs) != 1:
        raise CheckpointError(
            f"'{shown}' has {len(inputs)} inputs and {len(signature.structured_outputs)} outputs, not one"
        )
    ((key, spec),) = inputs.items()
    if spec.dtype != tf.float32 or len(spec.shape) != 4:
        raise CheckpointError(f"'{shown}' takes {spec.dtype.name} {tuple(spec.shape)}; possible: float32 (n, h, w, 3)")

    def call(x: Any) -> Any:
        # A signature frozen at batch 1 is called a photograph at a time.
        if spec.shape[0] == 1 and x.shape[0] != 1:
            return tf.concat([call(x[i : i + 1]) for i in range(x.shape[0])], axis=0)
        return next(iter(signature(**{key: tf.convert_to_tensor(x)}).values()))

    return call, loaded, tuple(spec.shape), "SavedModel, serving_default"


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files in order with their names."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(os.fsencode(file.relative_to(path)) + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()
