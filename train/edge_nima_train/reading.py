"""Networks from the files that people have. What a file is, it says itself; its ending decides nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.errors import CheckpointError, EdgeNimaError, RequestError, printable
from edge_nima_train.backend import cause, float32_policy
from edge_nima_train.network import HALF, Tensors, recognise

SAVED, ARCHIVE, WHOLE, WEIGHTS = "a SavedModel", "a .keras archive", "whole-model HDF5", "HDF5 weights"
FILE = "file"
"""What `custom` says to allow code that is inside the checkpoint."""
_MOVES = {"InputLayer", "Resizing", "CenterCrop", "Dropout", "GaussianNoise", "Identity", "GetItem", "Flip", "Cast"}
_SCALES = {"Rescaling", "Normalization", "Lambda", "TFOpLambda", "TrueDivide", "Divide", "Multiply", "Subtract", "Add"}
"""Layers and operations that, before any with weights, bring pixels to their place and to their range."""
_GRAPH = {"Identity", "Cast", "Mul", "Sub", "Add", "AddV2", "RealDiv"}


@dataclass(frozen=True)
class Found:
    """What a file holds."""

    call: Callable[[Any], Any]
    """Float32 (n, height, width, 3) to (n, 10)."""
    shape: tuple[int | None, ...]
    """Of the input; None where any size does."""
    architecture: str
    """In words."""
    network: Any = None
    """The Keras model; None of a SavedModel."""
    notes: tuple[str, ...] = ()
    """What was decided about the file, for the user."""
    scaled_by: str = ""
    """What the network itself does to the range of its pixels first, in words."""
    takes_pixels: bool | None = False
    """Whether that turns 0..255 into what networks work on; None where it cannot be known."""


def read_network(
    path: Path,
    *,
    size: int | None = None,
    signature: str | None = None,
    custom: str | None = None,
    scales_itself: bool = False,
) -> Found:
    """The network of a file or SavedModel folder, computing in float32. Keras has been started.

    Args:
        path: whole-model or weights-only HDF5, a .keras archive of Keras 2 or 3, or a SavedModel.
        size: side of the input in pixels, where the file does not say it.
        signature: which of a SavedModel's.
        custom: module or Python file of the model's own layers and functions, or "file" for those inside the model
            itself: either is code, and runs.
        scales_itself: of weights, see `build_network`.

    Raises:
        CheckpointError: it cannot be read, or holds something else.
        RequestError: options that do not fit the file, or are missing.
    """
    shown, kind = printable(path), kind_of(path)
    if signature is not None and kind != SAVED:
        raise RequestError(f"--signature is of SavedModels; '{shown}' is {kind}")
    if custom is not None and kind not in (ARCHIVE, WHOLE):
        raise RequestError(f"--custom is of whole Keras models; '{shown}' is {kind}")
    try:
        with float32_policy():
            if kind == SAVED:
                return _saved_model(path, signature)
            return _weights(path, size or 224, scales_itself) if kind == WEIGHTS else _whole(path, kind, custom)
    except EdgeNimaError as error:
        raise type(error)(f"'{shown}' {error}") from error
    except Exception as error:
        raise CheckpointError(f"'{shown}' cannot be read: {cause(error)}") from error


def read_tensors(path: Path) -> Tensors | None:
    """The weights of an HDF5 file; None where the file has a whole model."""
    return _tensors(path) if kind_of(path) == WEIGHTS else None


def kind_of(path: Path) -> str:
    """What a file or folder is, by its content.

    Raises:
        CheckpointError: no checkpoint, or it cannot be opened.
    """
    import h5py

    if path.is_dir():
        return SAVED
    shown, names = printable(path), []
    try:
        with open(path, "rb") as file:
            start = file.read(64)
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as content:
                return WEIGHTS if content.attrs.get("model_config") is None else WHOLE
        if zipfile.is_zipfile(path):
            names = zipfile.ZipFile(path).namelist()
    except OSError as error:
        raise CheckpointError(f"'{shown}' cannot be opened: {cause(error)}") from error
    if "config.json" in names:
        return ARCHIVE
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"'{shown}' is a Git LFS pointer, not the file itself: git lfs pull")
    what = "holds neither HDF5 nor a .keras archive"
    if any(name.endswith("data.pkl") for name in names):
        what = "is a PyTorch checkpoint"
    elif start[4:8] == b"TFL3":
        what = "is a .tflite already"
    elif start[:2] == b"PK" and not names:
        what = "is a .keras archive that is cut short or damaged"
    raise CheckpointError(f"'{shown}' {what}; possible: HDF5 or .keras of Keras, a SavedModel folder, a run folder")


def _weights(path: Path, size: int, scales_itself: bool) -> Found:
    """A network that is known, by its weights alone."""
    tensors = _tensors(path)
    first = {re.sub(r"_\d+$", "", name.rpartition("/")[2]) for name in tensors.mentioned} & {"rescaling", "lambda"}
    network, what = recognise(tensors, size, scales_itself=scales_itself or bool(first))
    found = _scaling(Found(_call(network), tuple(network.inputs[0].shape), what, network))
    if first and not found.scaled_by:  # a layer that had no weights
        return replace(found, scaled_by=", ".join(sorted(first)), takes_pixels=None)
    return found


def _tensors(path: Path) -> Tensors:
    """The weights of an HDF5 file: Keras 2's, by layers' names, or those of .weights.h5, by layers' places."""
    import h5py

    layers: dict[str, list[Any]] = {}
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        if not {"layer_names", "layer_names0"} & set(group.attrs):
            places = set()

            def visit(name: str, item: Any) -> None:
                parts = [part for part in name.split("/") if part not in ("layers", "_layer_checkpoint_dependencies")]
                if parts[-1:] == ["vars"] and parts[0] not in ("vars", "optimizer") and "seed_generator" not in parts:
                    places.add("/".join(parts[:-1]))
                    if len(item):
                        layers["/".join(parts[:-1])] = [item[str(i)][()] for i in range(len(item))]

            file.visititems(visit)
            return Tensors(layers, False, frozenset(places), "3")  # or of Keras 2.12 to 2.15, which are alike here
        names = _names(group, "layer_names")
        for name in names:
            weights = _names(group[name], "weight_names")
            owners = {weight: weight.rpartition("/")[0] for weight in weights}
            inside = len(set(owners.values())) > 1  # a network within the network
            for weight, owner in owners.items():
                layers.setdefault(f"{name}/{owner}" if inside else name, []).append(group[name][weight][()])
        return Tensors(layers, True, frozenset(names), _text(group.attrs.get("keras_version", "")))


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, of which long ones are kept in numbered parts."""
    parts = [attribute, *(f"{attribute}{i}" for i in range(len(group.attrs)))]
    return [_text(name) for part in parts for name in group.attrs.get(part, ())]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _whole(path: Path, kind: str, custom: str | None) -> Found:
    """A model with its architecture: of Keras 3, or of Keras 2 as far as Keras 3 or tf-keras reads it."""
    import keras

    config, version = _config(path, kind)
    if re.search('"class_name": "(Lambda|__lambda__)"', config) and custom is None:
        raise CheckpointError(
            f"has Lambda layers: code in the file, which would run here. To allow it: --custom {FILE}"
        )
    notes = [f"running the code of {printable(path) if custom == FILE else custom}, as you say"] if custom else []
    if HALF.search(config):
        notes.append("it computes in half precision: taken in float32, with the same weights")
    how: dict[str, Any] = {"compile": False, "safe_mode": custom is None, "custom_objects": _custom_objects(custom)}
    try:
        newer = config if version.startswith("3") else json.dumps(_keras3(json.loads(config)))
        with _rewritten(path, kind, HALF.sub('"float32"', newer)) as file:
            network = keras.models.load_model(file, **how)
    except Exception as error:
        unknown = re.search(r"(?:locate \w+|Unknown \w+:?) ['\"]?(?:\w+>)?(\w+)", str(error))
        if unknown and "OpLambda" not in unknown[1] and custom is None:
            raise CheckpointError(
                f"needs {unknown[1]}, which Keras does not have: --custom FILE.py names what defines it, and runs that"
            ) from error
        if version.startswith("3"):
            raise CheckpointError(f"cannot be read by Keras {keras.__version__}: {cause(error)}") from error
        if find_spec("tf_keras") is None:
            raise CheckpointError(
                f"is of Keras {version or 1}, and Keras {keras.__version__} cannot read it ({cause(error, 160)}): "
                "pip install tf-keras, and the same command again"
            ) from error
        older = re.sub('"module": "keras', '"module": "tf_keras', config) if kind == ARCHIVE else config
        with _rewritten(path, kind, HALF.sub('"float32"', older)) as file:
            network = import_module("tf_keras").models.load_model(file, **how)
    inputs, outputs = getattr(network, "inputs", None) or [], getattr(network, "outputs", None) or []
    if inputs and (len(inputs), len(outputs)) != (1, 1):
        raise CheckpointError(f"has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    shape = tuple(inputs[0].shape) if inputs else (None, None, None, 3)
    what = f"Keras model {network.name}, {network.count_params():,} parameters"
    found = Found(_call(network), shape, what, network, tuple(notes))
    return _scaling(found) if inputs and len(shape) == 4 else found


def _call(network: Any) -> Callable[[Any], Any]:
    return lambda x: only(network(x, training=False))


def only(outputs: Any) -> Any:
    """The one output of a model that gives it in a list or dictionary, or as it is."""
    if isinstance(outputs, dict | list | tuple):
        (outputs,) = outputs.values() if isinstance(outputs, dict) else outputs
    return outputs


def _config(path: Path, kind: str) -> tuple[str, str]:
    """A model's configuration as JSON, and the version of Keras that wrote it."""
    import h5py

    if kind == ARCHIVE:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
            return json.dumps(json.loads(archive.read("config.json"))), str(about.get("keras_version", ""))
    with h5py.File(path, "r") as file:
        return json.dumps(json.loads(file.attrs["model_config"])), _text(file.attrs.get("keras_version", ""))


def _keras3(config: Any) -> Any:
    """A configuration of Keras 2 in the words of Keras 3.

    Raises:
        ValueError: it names something that is another function in Keras 3.
    """
    if not isinstance(config, dict):
        return [_keras3(item) for item in config] if isinstance(config, list) else config
    new = {key: _keras3(value) for key, value in config.items()}
    kind, inner = new.get("class_name"), new.get("config") or {}
    if new.get("activation") == "hard_sigmoid":
        raise ValueError("hard_sigmoid is another function in Keras 3")
    if kind == "Policy":
        return inner["name"]
    if isinstance(new.get("module"), str):
        new["module"] = re.sub(
            r"^(tf_)?keras(\.src\.engine)?", lambda m: "keras.src.models" if m[2] else "keras", new["module"]
        )
    if kind == "DepthwiseConv2D" and inner.get("groups") == 1:
        del inner["groups"]
    if kind == "BatchNormalization" and isinstance(inner.get("axis"), list):
        (inner["axis"],) = inner["axis"]
    for ends in {"input_layers", "output_layers"} & new.keys():
        if len(new[ends]) == 1 and isinstance(new[ends][0], list):  # Keras 3 has a list give a list
            (new[ends],) = new[ends]
    return new


@contextlib.contextmanager
def _rewritten(path: Path, kind: str, config: str) -> Iterator[str]:
    """A copy of a model's file under an ending that Keras knows, with another configuration."""
    import h5py

    with tempfile.TemporaryDirectory(prefix="edge-nima-") as folder:
        file = os.path.join(folder, "model.keras" if kind == ARCHIVE else "model.h5")
        if kind == WHOLE:
            shutil.copyfile(path, file)
            with h5py.File(file, "r+") as content:
                content.attrs["model_config"] = config.encode()
        else:
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
                for name in old.namelist():
                    new.writestr(name, config if name == "config.json" else old.read(name))
        yield file


def _custom_objects(custom: str | None) -> dict[str, Any]:
    """Classes and functions of a module or Python file, which is run."""
    if custom is None or custom == FILE:
        return {}
    try:
        if custom.endswith(".py"):
            spec = spec_from_file_location(Path(custom).stem, custom)
            assert spec is not None and spec.loader is not None  # noqa: PT018
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = import_module(custom)
    except Exception as error:
        raise RequestError(f"needs --custom '{printable(custom)}', which cannot be run: {cause(error)}") from error
    return {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}


def _saved_model(path: Path, signature: str | None) -> Found:
    """One signature of a SavedModel, whatever its name, with a float32 or uint8 input."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    names, default = sorted(loaded.signatures), "serving_default"
    name = signature or (names[0] if len(names) == 1 else default)
    if name not in names:
        possible = " or ".join(f"--signature {printable(name)}" for name in names) or "none"
        raise RequestError(f"has no signature '{printable(name)}'; possible: {possible}")
    function = loaded.signatures[name]
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise CheckpointError(f"has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    ((key, spec),) = inputs.items()
    if spec.dtype not in (tf.float32, tf.uint8):
        raise CheckpointError(f"takes {spec.dtype.name}; possible: float32 or uint8 (n, height, width, 3)")
    shape = (None, None, None, 3) if spec.shape.rank is None else tuple(spec.shape)

    def call(x: Any, _owner: Any = loaded) -> Any:
        # A signature frozen at batch 1 is called a photograph at a time.
        if shape[0] == 1 and x.shape[0] != 1:
            return tf.concat([call(x[i : i + 1]) for i in range(x.shape[0])], axis=0)
        x = tf.convert_to_tensor(x)
        return next(iter(function(**{key: x if spec.dtype == tf.float32 else tf.cast(tf.round(x), tf.uint8)}).values()))

    notes = () if name in (signature, default) else (f"taking its only signature, {printable(name)}",)
    found = Found(call, shape, f"SavedModel, {name}", notes=notes)
    if spec.dtype == tf.uint8:
        return replace(found, scaled_by="a uint8 input", takes_pixels=True)
    return _scaling(found, *_first_operations(function)) if len(shape) == 4 else found


def _first_operations(function: Any) -> tuple[list[str], Callable[[Any], Any]]:
    """What a graph does to its input before anything else: types of operations, and a function that does it."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function)
    first = tensor = next(t for t in frozen.inputs if t.dtype == tf.float32)
    names: list[str] = []
    while [op.type for op in tensor.consumers() if op.type != "Shape"][1:] == [] and tensor.consumers():
        operation = next(op for op in tensor.consumers() if op.type != "Shape")
        if operation.type not in _GRAPH:
            break
        names, tensor = [*names, operation.type], operation.outputs[0]
    session = tf.compat.v1.Session(graph=frozen.graph)
    return names, lambda x: session.run(tensor.name, {first.name: x})


def _first_layers(network: Any, x: Any) -> tuple[list[str], Any]:
    """What a Keras model does to its input before any layer with weights: kinds of layers, and what `x` becomes."""
    names: list[str] = []
    last = layer = None
    for layer in getattr(network, "operations", None) or network.layers:
        kind = type(layer).__name__
        if kind not in _MOVES | _SCALES and not kind.startswith("Random"):
            break
        if kind != "InputLayer":
            names, last = [*names, kind], layer
    if last is not None:
        model = import_module("tf_keras" if "tf_keras" in str(type(network).__mro__) else "keras").Model
        x = model(network.inputs, last.output)(x)
    inside, x = _first_layers(layer, x) if hasattr(layer, "layers") else ([], x)
    return names + inside, x


def _scaling(found: Found, names: list[str] | None = None, begin: Callable[[Any], Any] | None = None) -> Found:
    """The same with what is known of its own scaling, by what its first operations make of the pixels 0 and 255."""
    height, width = (side or 64 for side in found.shape[1:3])
    low, high = (np.full((1, height, width, 3), value, np.float32) for value in (0, 255))
    if names is None:
        names, _ = _first_layers(found.network, low)
        begin = lambda x: _first_layers(found.network, x)[1]  # noqa: E731
    assert begin is not None
    names = [name for name in names if name in _SCALES | _GRAPH - {"Identity", "Cast"}]
    words = ", ".join(dict.fromkeys(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() for name in names))
    if "Lambda" in names:
        return replace(found, scaled_by=words, takes_pixels=None)
    low, high = np.asarray(begin(low)), np.asarray(begin(high))
    span = float(np.abs(high - low).max())
    if not names or (span == 255 and not low.any()):  # as they came
        return found
    # It is 1 or 2, or up to 10 in standard deviations; what takes 0..1 makes hundreds of 255.
    return replace(found, scaled_by=words, takes_pixels=True if 0.4 < span < 12 else None)
