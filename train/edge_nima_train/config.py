"""A training run's configuration: a TOML file is the experiment's lab book, and every key of it is checked."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from edge_nima.errors import RequestError, printable, reason
from edge_nima.pixels import FILTERS, FITS

ARCHITECTURES = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0")
LOSSES = ("squared-emd", "emd")
SCHEDULES = ("constant", "inverse-time", "cosine")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
BATCH_NORMS = ("train", "frozen")


def _within(low: float, high: float, default: Any) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(choices: Sequence[str], default: str) -> Any:
    return field(default=default, metadata={"choices": tuple(choices)})


@dataclass(frozen=True)
class Data:
    """Where photographs and ratings are. Paths may name environment variables: "$EDGE_NIMA_DATA/labels.csv"."""

    shards: str = ""
    """A folder that `edge-nima data pack` wrote; or, without it, the next two, which are packed into the run folder."""
    manifest: str = ""
    images: str = ""
    """The folder that the manifest's files are relative to; "" for its own."""
    scale: str = ""
    """Of a manifest's mean ratings, such as "1..5": they are brought to 1..10; "" for 1..10 or what the file says."""
    validation: float = _within(0.0, 0.9, 0.1)
    """The share split off for validation, by a hash of the id, where the manifest has no split."""
    size: int = _within(32, 1024, 256)
    """Side of the packed photographs, pixels."""
    filter: str = _one_of(tuple(FILTERS), "bilinear")
    """Pillow's, of the resize to the network's input; also the device's, as it travels in the card."""
    fit: str = _one_of(FITS, "stretch")
    longest_edge: int = _within(0, 65535, 0)
    """Pixels: larger photographs are first reduced to this by Pillow's LANCZOS, here and on the device; 0 for never.
    AVA's photographs have at most 640, which is what a network learns from them at: give that for AVA."""


@dataclass(frozen=True)
class Network:
    """What is trained."""

    architecture: str = _one_of(ARCHITECTURES, "MobileNet")
    alpha: float = _within(0.1, 2.0, 1.0)
    """Width multiplier; EfficientNetB0 has none."""
    input: int = _within(32, 1024, 224)
    """Side of the network's input, pixels."""
    dropout: float = _within(0.0, 0.99, 0.75)
    """Share of the features dropped before the last layer."""
    weights: str = "imagenet"
    """"imagenet" (fetched by Keras), "none", a name from `edge-nima models list`, or a file: .hdf5, .h5 or .keras."""
    batch_norm: str = _one_of(("kept", "re-estimated"), "kept")
    """"re-estimated": statistics are taken anew from the training photographs before phase 1."""


@dataclass(frozen=True)
class Loss:
    """What is minimised: distances of the cumulative histograms, see `edge_nima_train.loss`."""

    kind: str = _one_of(LOSSES, "squared-emd")
    label_smoothing: float = _within(0.0, 0.5, 0.0)
    """Share of each bin's mass that moves to its neighbours, half to each."""


@dataclass(frozen=True)
class Augment:
    """What each epoch does to a training photograph; nothing here changes how good it looks."""

    crop: bool = True
    """A random crop of the network's input from the packed size; the centre without it."""
    flip: bool = True
    """Left and right swapped, half of the time."""
    rare: int = _within(1, 100, 1)
    """Photographs of rare rating bins come up to this often in an epoch, cropped and flipped anew; 1 is off."""


@dataclass(frozen=True)
class Phase:
    """One stage of training."""

    epochs: int = _within(0, 10_000, 5)
    batch: int = _within(1, 65_536, 96)
    learning_rate: float = _within(0.0, 10.0, 1e-3)
    schedule: str = _one_of(SCHEDULES, "constant")
    """"inverse-time": rate / (1 + decay * step), the `decay` of Keras' old optimisers; "cosine": to 0 at the end."""
    decay: float = _within(0.0, 1.0, 0.0)
    """Of "inverse-time"."""
    warmup: float = _within(0.0, 1000.0, 0.0)
    """Epochs in which the rate rises from 0."""
    weight_decay: float = _within(0.0, 1.0, 0.0)
    """Decoupled (AdamW), of kernels only; 0 is Adam."""
    ema: float = _within(0.0, 0.99999, 0.0)
    """Momentum of the running average of the weights that is evaluated and kept; 0 is off."""
    patience: int = _within(0, 10_000, 0)
    """Epochs without a better validation loss after which the phase ends; 0 for never."""


@dataclass(frozen=True)
class HeadPhase(Phase):
    """Phase 1: the last layer alone, on the frozen base."""

    views: int = _within(0, 64, 2)
    """Crops and flips of each photograph whose features are computed once and kept; 0 for new ones every step."""


@dataclass(frozen=True)
class WholePhase(Phase):
    """Phase 2: all layers."""

    epochs: int = _within(0, 10_000, 9)
    learning_rate: float = _within(0.0, 10.0, 3e-5)
    batch_norm: str = _one_of(BATCH_NORMS, "train")
    """"train" normalises by the batch and follows it, "frozen" by the statistics that phase 1 had."""
    freeze: str = ""
    """Layers up to and including this one stay as they are; "" for none."""


@dataclass(frozen=True)
class Run:
    """How it is run."""

    seed: int = _within(0, 2**31 - 1, 0)
    precision: str = _one_of(PRECISIONS, "float32")
    devices: int = _within(1, 1024, 1)
    """Data-parallel devices, of each process where there are several; more than one takes KERAS_BACKEND=jax."""
    workers: int = _within(0, 1024, 0)
    """Processes that decode photographs; 0 for one a core."""
    save_minutes: float = _within(0.0, 1440.0, 5.0)
    """Between saved states inside an epoch; one is saved after each epoch in any case."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    data: Data = Data()
    network: Network = Network()
    loss: Loss = Loss()
    augment: Augment = Augment()
    phase1: HeadPhase = HeadPhase()
    phase2: WholePhase = WholePhase()
    run: Run = Run()

    def as_toml(self) -> str:
        """All sections with all keys, in order; `read_config` reads it back."""
        lines = []
        for name, section in asdict(self).items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items()), ""]
        return "\n".join(lines)

    def differences(self, other: Config) -> dict[str, str]:
        """Keys whose values differ, such as "phase2.epochs", and how: "phase2.epochs is 9 here and 5 there"."""
        ours, theirs = asdict(self), asdict(other)
        return {
            f"{section}.{key}": f"{section}.{key} is {_toml(value)} here and {_toml(theirs[section][key])} there"
            for section, keys in ours.items()
            for key, value in keys.items()
            if value != theirs[section][key]
        }


def read_config(path: str | os.PathLike[str], changes: Sequence[str] = ()) -> Config:
    """Read a TOML file, then apply `section.key=value` changes, then check everything.

    Raises:
        RequestError: not readable, not TOML, an unknown section or key (with the nearest name), an impossible value,
            or keys that do not go together.
    """
    try:
        text = Path(path).read_bytes().decode()
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"'{printable(path)}' is not TOML: {reason(error)}") from error
    for change in changes:
        _apply(document, change)
    return make_config(document, printable(path))


def make_config(document: Mapping[str, Any], where: str) -> Config:
    """A configuration out of nested tables, checked; `where` says in messages what holds them.

    Raises:
        RequestError: as `read_config`.
    """
    kinds = get_type_hints(Config)
    sections = {}
    for name, table in document.items():
        if name not in kinds:
            raise RequestError(f"{where}: no section is called [{printable(name)}]; {_nearest(name, list(kinds))}")
        if not isinstance(table, Mapping):
            raise RequestError(f"{where}: {printable(name)} is a section: write [{name}], then key = value")
        sections[name] = _section(kinds[name], name, table, where)
    config = Config(**sections)
    _check_together(config, where)
    return config


def expand(path: str) -> Path:
    """A path of a configuration with its environment variables and ~ in place.

    Raises:
        RequestError: a variable is not set.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if "$" in expanded:
        name = expanded.partition("$")[2].strip("{").partition("/")[0].partition("}")[0]
        raise RequestError(f"'{printable(path)}' names the environment variable {name}, which is not set")
    return Path(expanded)


def _section(kind: Any, name: str, table: Mapping[str, Any], where: str) -> Any:
    hints, known = get_type_hints(kind), {one.name: one for one in fields(kind)}
    values = {}
    for key, value in table.items():
        if key not in known:
            raise RequestError(f"{where}: [{name}] has no key '{printable(key)}'; {_nearest(key, list(known))}")
        values[key] = _value(value, hints[key], known[key].metadata, f"{where}: {name}.{key}")
    return replace(kind(), **values)


def _value(value: Any, kind: type, limits: Mapping[str, Any], what: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes"}
        raise RequestError(f"{what} is {_toml(value)}; possible: {names[kind]}")
    if "choices" in limits and value not in limits["choices"]:
        near = get_close_matches(value, limits["choices"], 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise RequestError(f"{what} is {_toml(value)}; possible: {', '.join(limits['choices'])}{hint}")
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise RequestError(f"{what} is {value}; possible: {limits['low']:g} to {limits['high']:g}")
    return value


def _check_together(config: Config, where: str) -> None:
    data, network = config.data, config.network
    if bool(data.shards) == bool(data.manifest):
        raise RequestError(
            f"{where}: [data] takes shards = FOLDER (of edge-nima data pack), or manifest = FILE with images = FOLDER; "
            + ("both are given" if data.shards else "neither is given")
        )
    if data.size < network.input:
        raise RequestError(f"{where}: data.size is {data.size}; possible: {network.input} (network.input) or more")
    if config.phase1.epochs == config.phase2.epochs == 0:
        raise RequestError(f"{where}: phase1.epochs and phase2.epochs are both 0; possible: at least one above")
    if config.augment.crop and data.size == network.input:
        raise RequestError(
            f"{where}: augment.crop is true and data.size is network.input, {data.size}: nothing to crop from; "
            "give a larger data.size or crop = false"
        )
    for name, phase in (("phase1", config.phase1), ("phase2", config.phase2)):
        if phase.epochs and phase.batch % config.run.devices:
            raise RequestError(
                f"{where}: {name}.batch is {phase.batch} and run.devices is {config.run.devices}; possible: a batch "
                "that divides evenly among the devices"
            )
    most = 1 + config.augment.flip
    if not config.augment.crop and config.phase1.views > most:
        told = f"phase1.views is {config.phase1.views}; without augment.crop there are {most}"
        raise RequestError(f"{where}: {told}")
    if network.architecture == "EfficientNetB0" and network.alpha != 1.0:
        raise RequestError(f"{where}: network.alpha is {network.alpha}; EfficientNetB0 has no width multiplier: 1.0")


def _apply(document: dict[str, Any], change: str) -> None:
    name, equals, given = change.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise RequestError(f"--set {printable(change)}: possible: section.key=value, such as phase2.epochs=0")
    kind = get_type_hints(Config).get(section)
    known = get_type_hints(kind) if kind else {}
    try:
        # A value as TOML has it; anything that is none is text, so that no shell needs nested quotes.
        value = given.strip() if known.get(key) is str else tomllib.loads(f"x = {given.strip()}")["x"]
    except tomllib.TOMLDecodeError:
        value = given.strip()
    table = document.setdefault(section, {})
    if not isinstance(table, dict):
        raise RequestError(f"--set {printable(change)}: {section} is no section of the file")
    table[key] = value.strip("\"'") if isinstance(value, str) else value


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"possible: {', '.join(known)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else printable(repr(value))
