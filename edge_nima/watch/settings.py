"""Settings of a service: declared once, as flags and as keys of a TOML file, and checked here.

A `Section` is a frozen dataclass whose fields are made by `text`, `duration`, `number`, `size`, `choice` and `flag`.
The cameras' and the service's own are here; each output brings its own.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from edge_nima.errors import RequestError, printable, reason
from edge_nima.watch import units


def text(default: str | None, help: str, *, kind: str = "text", shows: str = "TEXT", **more: Any) -> Any:
    """A setting that is text, "path" as `kind` a file's. All makers take `needs`: the key without which it is void."""
    return field(default=default, metadata={"help": help, "kind": kind, "shows": shows, **more})


def duration(default: str | None, help: str, *, low: float = 0.0, **more: Any) -> Any:
    """A duration such as "10m", at least `low` seconds; kept as it was typed."""
    return field(default=default, metadata={"help": help, "kind": "duration", "low": low, "shows": "DURATION", **more})


def number(default: float | None, help: str, low: float, high: float, *, whole: bool = True, **more: Any) -> Any:
    """A number from `low` to `high`."""
    kind, shows = ("whole", "N") if whole else ("number", "X")
    more |= {"kind": kind, "low": low, "high": high, "shows": shows}
    return field(default=default, metadata={"help": help, **more})


def size(default: str | None, help: str, **more: Any) -> Any:
    """A size such as "2GB", above 0, or "none" for no limit; kept as it was typed."""
    return field(default=default, metadata={"help": help, "kind": "size", "shows": "SIZE|none", **more})


def choice(default: Any, help: str, choices: tuple[Any, ...], **more: Any) -> Any:
    """One of some values."""
    kind = "whole" if isinstance(default, int) else "text"
    shows = "|".join(map(str, choices))
    return field(default=default, metadata={"help": help, "kind": kind, "choices": choices, "shows": shows, **more})


def flag(help: str, *, default: bool = False, **more: Any) -> Any:
    """A setting that is true or false."""
    return field(default=default, metadata={"help": help, "kind": "flag", "shows": None, **more})


_duration = duration  # where a field has this name


@dataclass(frozen=True)
class Section:
    """Settings that belong together. Its class attribute `title` heads them in --help-all and in the TOML file."""

    title = ""

    def seconds(self, key: str) -> float | None:
        """A duration, seconds; None when it is not given."""
        value = getattr(self, key)
        return None if value is None else units.seconds(value, option(key))

    def bytes(self, key: str) -> int | None:
        """A size, bytes; None when it is not given or "none"."""
        value = getattr(self, key)
        return None if value is None or value == "none" else units.size(value, option(key))

    def check(self) -> None:
        """RequestError when its settings do not go together, with what to type."""


def option(key: str) -> str:
    """The command line's name of a key."""
    return "SOURCE" if key == "source" else "--" + key.replace("_", "-")


@dataclass(frozen=True)
class CameraSettings(Section):
    """One camera: at the top of the TOML file for all, in a [[camera]] table for one."""

    title = "Cameras (also in [[camera]] tables, one a camera)"

    source: tuple[str, ...] = field(default=(), metadata={"help": "Where frames come from.", "kind": "source"})
    name: str | None = text(None, "Name of the camera in records, file names and topics.", shows="NAME")
    width: int | None = number(None, "Ask the camera for this width, pixels.", 16, 16384)
    height: int | None = number(None, "Ask the camera for this height, pixels.", 16, 16384)
    capture_fps: float | None = number(
        None, "Ask the camera for this rate; how often a snapshot address is asked, a second.", 0.01, 1000, whole=False
    )
    rotate: int = choice(0, "Turn each frame clockwise, degrees.", (0, 90, 180, 270))
    mirror: bool = flag("Swap left and right, after turning.")
    loop: bool = flag("Begin again at the end of a video or list.")
    realtime: bool = flag("Play a video at its own pace, as a camera would.")
    existing: bool = flag("Also score what is in a folder already.")
    wait: bool = flag("Keep trying when the source is not there at the start.")
    lost_after: str = duration("10s", "Without a frame for so long a source counts as lost.", low=0.5)

    fps: float | None = number(None, "Score at most this many frames a second.", 0.001, 1000, whole=False)
    skip_still: bool = flag("Leave out frames on which nothing moved.")
    still_threshold: float = number(
        2.0,
        "How much must change to count as movement, grey levels of 255.",
        0.0,
        255.0,
        whole=False,
        needs="skip_still",
    )
    when: str | None = text(
        None,
        "Score only at these times: 06:00-20:00, 'mon-fri 07:00-19:00, sat 09:00-12:00'.",
        shows="TIMES",
    )
    skip_dark: float | None = number(
        None, "Leave out frames whose mean grey level is below this, 0 to 255; 20 is a dark room.", 0, 255, whole=False
    )
    frozen_after: str = duration("1m", "Warn of a picture that stays the same, or black, for so long; 0s never.")

    keep: int = number(0, "Keep the K best frames of each window; 0 keeps none.", 0, 1000)
    every: str = duration("10m", "Length of a window.", low=1.0, needs="keep")
    min_score: float | None = number(None, "Keep only means of at least this.", 1, 10, whole=False, needs="keep")
    spacing: str = duration("0s", "Least time between two kept frames.", needs="keep")
    likeness: int = number(
        6, "Frames whose hashes differ by at most so many of 64 bits show the same; -1 for never.", -1, 64, needs="keep"
    )
    alike_for: str = duration(
        "1h", "A frame that shows the same as one kept within this time must be better to be kept.", needs="keep"
    )
    burst: str = duration("0s", "Of each such stretch only the best frame is a candidate.", needs="keep")


@dataclass(frozen=True)
class ServiceSettings(Section):
    """What all cameras of a service share."""

    title = "Service"

    model: str | None = text(
        None, "A .tflite file, or a name from `edge-nima models list`; the bundled one.", shows="MODEL"
    )
    card: str | None = text(None, "A card (JSON), for a .tflite that carries none.", kind="path", shows="FILE")
    threads: int | None = number(None, "Processor threads for one inference; measured at the start.", 1, 64)
    stuck_after: str = _duration("10s", "An inference that takes longer has its process replaced.", low=0.5)
    max_frames: int | None = number(None, "Stop after so many scored frames of each camera.", 1, 10**15)
    duration: str | None = _duration(None, "Stop after this time.", low=0.001)

    out: str | None = text(None, "Folder for records and kept frames.", kind="path", shows="DIR")
    max_disk: str = size("2GB", "Most that kept frames may take; older days are thinned first.", needs="out")
    keep_per_day: int = number(24, "To how many of its best an older day is thinned when room is needed.", 0, 10**6,
                               needs="out")  # fmt: skip
    keep_days: int | None = number(None, "Remove kept frames of days older than this, favourites not.", 1, 36500,
                                   needs="out")  # fmt: skip
    quality: int = number(92, "JPEG quality of kept frames.", 1, 100, needs="out")
    records: str = choice("sqlite", "Record each score in DIR/scores.db, or nothing.", ("sqlite", "none"), needs="out")
    records_keep: str | None = _duration("30d", "Remove records older than this.", low=1.0, needs="out")
    records_max: str = size("500MB", "Most that records may take; the oldest go first.", needs="out")
    print: bool = flag("Print each record to stdout as JSON Lines.")


S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Settings:
    """All settings of a service, checked."""

    cameras: tuple[CameraSettings, ...]
    sections: Mapping[type[Section], Section]
    """The service's and those of each output."""
    given: frozenset[str]
    """Keys that were given; the others have their defaults."""

    def of(self, section: type[S]) -> S:
        """The settings of one section."""
        found = self.sections[section]
        assert isinstance(found, section)
        return found

    @property
    def service(self) -> ServiceSettings:
        """What all cameras share."""
        return self.of(ServiceSettings)

    def changed(self, new: Settings) -> list[str]:
        """Keys whose values differ, "camera" where the number of cameras does."""
        pairs = [*zip(self.sections.values(), new.sections.values(), strict=True)]
        pairs += [*zip(self.cameras, new.cameras, strict=False)]
        keys = [key for ours, theirs in pairs for key, value in vars(ours).items() if value != getattr(theirs, key)]
        return [*dict.fromkeys(keys), *(["camera"] if len(self.cameras) != len(new.cameras) else [])]


class Declaration:
    """Every setting that there is: the cameras', the service's, and those of the outputs."""

    def __init__(self, outputs: Iterable[type[Section]] = ()) -> None:
        """`outputs`: sections besides those of this file."""
        self.sections: tuple[type[Section], ...] = (CameraSettings, ServiceSettings, *outputs)
        self.fields: dict[str, Field[Any]] = {one.name: one for section in self.sections for one in fields(section)}
        self._camera = {one.name for one in fields(CameraSettings)}

    def check(self, key: str, value: Any, where: str = "") -> Any:
        """One value, as the command line or TOML gives it, checked; `where`: the file it comes from, for messages.

        RequestError: an unknown key, with the nearest; an impossible value, with what is possible.
        """
        if key not in self.fields:
            near = get_close_matches(key.replace("-", "_"), [*self.fields, "camera"], 1)
            hint = f"did you mean {near[0]}?" if near else "edge-nima watch --print-config shows all"
            raise RequestError(f"{where}: there is no key '{printable(key)}'; {hint}")
        return _checked(value, self.fields[key].metadata, f"{where}: {key}" if where else option(key))

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """The keys and values of a TOML file, checked one by one; relative paths are relative to its folder.

        RequestError: it cannot be read, is not TOML, or as `check`.
        """
        shown, folder = printable(path), Path(path).absolute().parent
        try:
            given = tomllib.loads(Path(path).read_bytes().decode())
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"cannot read '{shown}': {reason(error)}") from error
        except tomllib.TOMLDecodeError as error:
            raise RequestError(f"'{shown}' is not TOML: {reason(error)}") from error
        tables = given.pop("camera", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise RequestError(f"{shown}: camera is {_toml(tables)}; possible: [[camera]] tables, one a camera")
        values = self._values(given, shown, folder)
        if tables:
            for table in tables:
                for key in table:
                    if key in self.fields and key not in self._camera:
                        raise RequestError(f"{shown}: {key} is of the whole service; put it above the first [[camera]]")
            values["camera"] = [
                self._values(table, f"{shown}, camera {number}", folder) for number, table in enumerate(tables, 1)
            ]
        return values

    def _values(self, given: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
        values = {key: self.check(key, value, where) for key, value in given.items()}
        for key, value in values.items():
            if self.fields[key].metadata["kind"] == "path" and value:
                values[key] = str(folder / Path(value).expanduser())
        if "model" in values:
            values["model"] = _beside(values["model"], folder)
        if "source" in values:
            values["source"] = tuple(_beside(one, folder) for one in values["source"])
        return values

    def settings(self, typed: Mapping[str, Any], file: Mapping[str, Any] | None = None) -> Settings:
        """Settings out of values by key that were typed, and of what `read` gave; what was typed comes before it.

        RequestError: a value that cannot be.
        """
        typed = {key: self.check(key, value) for key, value in typed.items()}
        tables = [{}] if file is None else file.get("camera", [{}])
        if file is not None and "camera" in file:
            for key in ("source", "name"):
                if key in typed:
                    raise RequestError(
                        f"{option(key)} is given, and the file names cameras of its own; give one of both"
                    )
        given = {**(file or {}), **typed}
        cameras = []
        for table in tables:
            values = {**{key: value for key, value in given.items() if key in self._camera}, **table}
            values |= {key: value for key, value in typed.items() if key in self._camera}
            cameras.append(CameraSettings(**values))
        sections: dict[type[Section], Section] = {}
        for section in self.sections[1:]:
            names = {one.name for one in fields(section)}
            sections[section] = section(**{key: value for key, value in given.items() if key in names})
        keys = {key for key in given if key != "camera"} | {key for table in tables for key in table}
        return Settings(tuple(cameras), sections, frozenset(keys))

    def check_together(self, settings: Settings) -> Settings:
        """The same settings, when they go together; else RequestError, with what to type."""
        for camera in settings.cameras:
            if not camera.source:
                raise RequestError(
                    "no source; give one: 0, picamera2, rtsp://…, a video or a folder (edge-nima cameras lists cameras)"
                )
            if settings.service.out is None and camera.keep:
                raise RequestError("--keep needs a folder: --out DIR")
        holders: list[Section] = [*settings.cameras, *settings.sections.values()]
        for key in settings.given:
            needed = self.fields[key].metadata.get("needs")
            if needed and not any(getattr(holder, needed, None) for holder in holders):
                raise RequestError(f"{option(key)} means nothing without {option(needed)}; give both, or neither")
        for section in settings.sections.values():
            section.check()
        return settings

    def toml(self, settings: Settings) -> str:
        """All keys as a TOML file that `read` reads back; those with their defaults as comments."""
        lines: list[str] = []
        several = len(settings.cameras) > 1
        for section in self.sections:
            of_cameras = section is CameraSettings
            shown = settings.cameras[0] if of_cameras else settings.sections[section]
            lines += ["", f"# {section.title}"]
            for one in fields(section):
                value = one.default if several and of_cameras else getattr(shown, one.name)
                lines.append(_line(one, value, one.name in settings.given and not (several and of_cameras)))
        for camera in settings.cameras if several else ():
            changed = [one for one in fields(CameraSettings) if getattr(camera, one.name) != one.default]
            lines += ["", "[[camera]]", *(_line(one, getattr(camera, one.name), True) for one in changed)]
        return "\n".join(lines).lstrip("\n") + "\n"


def _line(one: Field[Any], value: Any, given: bool) -> str:
    comment = "" if given else "# "
    text = f"{comment}{one.name} = {'' if value is None or value == () else _toml(value)}".rstrip()
    return f"{text:<34}  # {one.metadata['help']}"


def _beside(text: str, folder: Path) -> str:
    """What lies beside the file where there is such a thing; else the text may be a name, an address or a device."""
    return str(folder / text) if (folder / text).exists() else text


def _checked(value: Any, limits: Mapping[str, Any], what: str) -> Any:
    kind = limits["kind"]
    if kind == "source":
        texts = (value,) if isinstance(value, str | int) else value
        if isinstance(texts, list | tuple) and texts and all(type(one) in (str, int) for one in texts):
            return tuple(str(one) for one in texts)
        raise RequestError(f'{what} is {_toml(value)}; possible: text in quotes, or a list such as ["a.jpg", "b.jpg"]')
    if kind == "flag":
        if not isinstance(value, bool):
            raise RequestError(f"{what} is {_toml(value)}; possible: true or false")
        return value
    if kind in {"whole", "number"}:
        return _number_within(value, limits, what)
    if not isinstance(value, str):
        raise RequestError(f"{what} is {_toml(value)}; possible: text in quotes")
    if kind == "duration" and units.seconds(value, what) < limits["low"]:
        raise RequestError(f"{what} is '{printable(value)}'; possible: {limits['low']:g}s and more")
    if kind == "size" and value != "none" and not units.size(value, what):
        raise RequestError(f"{what} is '{printable(value)}'; possible: 500MB, 2GB, 1GiB; none for no limit")
    choices = limits.get("choices")
    if choices and value not in choices:
        near = get_close_matches(value, choices, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if value in ("jsonl", "csv"):
            hint = "; for lines: --print, or afterwards edge-nima best DIR --export " + value
        raise RequestError(f"{what} is '{printable(value)}'; possible: {', '.join(choices)}{hint}")
    return value


def _number_within(value: Any, limits: Mapping[str, Any], what: str) -> Any:
    whole = limits["kind"] == "whole"
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        raise RequestError(f"{what} is {_toml(value)}; possible: {'a whole number' if whole else 'a number'}")
    if "choices" in limits:
        if value not in limits["choices"]:
            raise RequestError(f"{what} is {value}; possible: {', '.join(map(str, limits['choices']))}")
    elif not limits["low"] <= value <= limits["high"]:
        raise RequestError(f"{what} is {value}; possible: {limits['low']:g} to {limits['high']:.16g}")
    return value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return _toml(value[0]) if len(value) == 1 else "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else printable(repr(value))
