"""Everything that `edge-nima watch` can be told: each field is a flag and a key of its TOML file, checked here."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edge_nima.errors import RequestError, printable, reason
from edge_nima.watch.units import seconds, size


def _text(default: str | None, help: str, group: str, kind: str = "text", *, shows: str | None = None) -> Any:
    return field(default=default, metadata={"help": help, "group": group, "kind": kind, "shows": shows})


def _duration(default: str | None, help: str, group: str, low: float = 0.0) -> Any:
    return field(
        default=default,
        metadata={"help": help, "group": group, "kind": "duration", "low": low, "shows": "DURATION"},
    )


def _number(default: float | None, help: str, group: str, low: float, high: float, kind: str = "whole") -> Any:
    shown = "N" if kind == "whole" else "X"
    return field(
        default=default, metadata={"help": help, "group": group, "kind": kind, "low": low, "high": high, "shows": shown}
    )


def _choice(default: Any, help: str, group: str, choices: tuple[Any, ...]) -> Any:
    kind = "whole" if isinstance(default, int) else "text"
    return field(default=default, metadata={"help": help, "group": group, "kind": kind, "choices": choices})


def _flag(help: str, group: str) -> Any:
    return field(default=False, metadata={"help": help, "group": group, "kind": "flag"})


@dataclass(frozen=True)
class Settings:
    """What a watcher is told. Durations and sizes are kept as they were typed: "10m", "2GB"."""

    source: tuple[str, ...] = field(default=(), metadata={"help": "Where frames come from.", "kind": "source"})

    name: str | None = _text(None, "What the camera is called in records and topics.", "source", shows="NAME")
    width: int | None = _number(None, "Ask the camera for this width, pixels.", "source", 16, 16384)
    height: int | None = _number(None, "And for this height.", "source", 16, 16384)
    capture_fps: float | None = _number(
        None, "Ask the camera for this rate; how often a snapshot address is asked.", "source", 0.01, 1000, "number"
    )
    rotate: int = _choice(0, "Turn each frame clockwise, degrees.", "source", (0, 90, 180, 270))
    mirror: bool = _flag("Swap left and right, after turning.", "source")
    loop: bool = _flag("Begin again at the end of a film or list.", "source")
    realtime: bool = _flag("Play a film at its own pace, as a camera would.", "source")
    existing: bool = _flag("Also score what is in a folder already.", "source")
    wait: bool = _flag("Keep trying when the source is not there at the start.", "source")

    model: str | None = _text(
        None, "A .tflite file, or a name from `edge-nima models list`; the bundled one.", "scoring", shows="MODEL"
    )
    card: str | None = _text(None, "A card (JSON), for a .tflite that carries none.", "scoring", "path")
    threads: int | None = _number(None, "Processor threads for one inference; measured at the start.", "scoring", 1, 64)
    fps: float | None = _number(None, "Score at most this many frames a second.", "scoring", 0.001, 1000, "number")
    skip_still: bool = _flag("Leave out frames on which nothing moved.", "scoring")
    still_threshold: float = _number(
        2.0, "How much must change to count as movement, grey levels of 255.", "scoring", 0.0, 255.0, "number"
    )
    max_frames: int | None = _number(None, "Stop after so many scored frames.", "scoring", 1, 10**15)
    duration: str | None = _duration(None, "Stop after this time.", "scoring", 0.001)

    out: str | None = _text(None, "Where records and kept frames go.", "keeping", "path", shows="DIR")
    keep: int = _number(0, "Keep the K best frames of each window; 0 keeps none.", "keeping", 0, 1000)
    every: str = _duration("10m", "The length of a window.", "keeping", 1.0)
    min_score: float | None = _number(None, "Keep only means of at least this.", "keeping", 1, 10, "number")
    spacing: str = _duration("0s", "The least time between two kept frames.", "keeping")
    likeness: int = _number(
        6, "Frames whose hashes differ by at most so many of 64 bits are one; -1 for never.", "keeping", -1, 64
    )
    burst: str = _duration("0s", "Of each such stretch only the best frame is a candidate.", "keeping")
    max_disk: str | None = _text("2GB", "Most that kept frames may take; the worst go first.", "keeping", "size",
                                 shows="SIZE")  # fmt: skip
    quality: int = _number(92, "JPEG quality of kept frames.", "keeping", 1, 100)

    records: str = _choice("sqlite", "How scores are recorded in DIR.", "records", ("sqlite", "jsonl", "csv", "none"))
    records_keep: str | None = _duration("30d", "Records older than this are removed.", "records", 1.0)
    records_max: str | None = _text("500MB", "Most that records may take; the oldest go first.", "records", "size",
                                    shows="SIZE")  # fmt: skip
    print: bool = _flag("Also print each record to stdout as JSON Lines.", "records")

    lost_after: str = _duration("10s", "Without a frame for so long the source counts as lost.", "staying alive", 0.5)
    stuck_after: str = _duration(
        "10s", "An inference that takes longer has its process replaced.", "staying alive", 0.5
    )

    mqtt: str | None = _text(None, "Publish to this broker: mqtt://USER@HOST:PORT, mqtts:// for TLS.", "publishing",
                             shows="ADDRESS")  # fmt: skip
    mqtt_password_file: str | None = _text(
        None, "Holds the broker's password (or EDGE_NIMA_MQTT_PASSWORD does).", "publishing", "path"
    )
    mqtt_ca: str | None = _text(None, "Certificate that the broker's is signed by.", "publishing", "path")
    mqtt_cert: str | None = _text(None, "Our own certificate.", "publishing", "path")
    mqtt_key: str | None = _text(None, "And its key.", "publishing", "path")
    mqtt_insecure: bool = _flag("TLS without checking who answers.", "publishing")
    mqtt_every: str = _duration("1s", "A score message at most this often.", "publishing")
    mqtt_prefix: str = _text("edge_nima", "First part of each topic.", "publishing", shows="TEXT")
    mqtt_discovery: str = _text(
        "homeassistant", "Home Assistant's discovery prefix; '' for none.", "publishing", shows="TEXT"
    )
    mqtt_buffer: int = _number(1000, "Messages kept while the broker is away.", "publishing", 1, 10**6)
    metrics_port: int | None = _number(None, "Prometheus text at this port's /metrics.", "publishing", 1, 65535)

    web: int | None = _number(None, "A page at this port.", "page", 1, 65535)
    web_bind: str = _text("127.0.0.1", "Address to listen at; others than this machine's own take a token.", "page",
                          shows="ADDRESS")  # fmt: skip
    web_token: str | None = _text(None, "Token for the page; made and printed when not given.", "page", shows="TOKEN")
    web_viewers: int = _number(8, "Viewers at once.", "page", 1, 1000)
    web_cert: str | None = _text(None, "Certificate, for https.", "page", "path")
    web_key: str | None = _text(None, "And its key.", "page", "path")

    def seconds(self, key: str) -> float:
        """A duration, in seconds; 0 when it is not given."""
        value = getattr(self, key)
        return 0.0 if value is None else seconds(value, flag(key))

    def size(self, key: str) -> int | None:
        """A size, in bytes; None when it is not given."""
        value = getattr(self, key)
        return None if value is None else size(value, flag(key))

    def as_toml(self) -> str:
        """All keys; those that are not given as comments. `read_settings` reads it back."""
        lines: list[str] = []
        for one in fields(self):
            group = one.metadata.get("group")
            if group and f"# {group}" not in lines:
                lines += ["", f"# {group}"]
            value = getattr(self, one.name)
            what = one.metadata["help"]
            lines.append(f"# {one.name} =" if value is None or value == () else f"{one.name} = {_toml(value)}")
            lines[-1] = f"{lines[-1]:<34}  # {what}"
        return "\n".join(lines) + "\n"


KEYS = tuple(one.name for one in fields(Settings))
"""All keys of a configuration."""


def flag(key: str) -> str:
    """The command line's name of a key."""
    return "SOURCE" if key == "source" else "--" + key.replace("_", "-")


def make_settings(given: Mapping[str, Any], where: str = "") -> Settings:
    """Settings out of keys and values, each checked, then all together.

    Args:
        given: values by key.
        where: the file they come from, for messages; "" for the command line.

    Raises:
        RequestError: an unknown key, with the nearest; an impossible value, with what is possible.
    """
    by_name = {one.name: one for one in fields(Settings)}
    values = {}
    for key, value in given.items():
        if key not in by_name:
            near = get_close_matches(key.replace("-", "_"), KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else "edge-nima watch --print-config shows all"
            raise RequestError(f"{where}: there is no key '{printable(key)}'; {hint}")
        told = f"{where}: {key}" if where else flag(key)
        values[key] = _checked(value, by_name[key].metadata, told)
    return Settings(**values)


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The keys and values of a TOML file, checked; relative paths in it are relative to its folder.

    Raises:
        RequestError: not readable, not TOML, or as `make_settings`.
    """
    shown = printable(path)
    try:
        given = tomllib.loads(Path(path).read_bytes().decode())
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read '{shown}': {reason(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"'{shown}' is not TOML: {reason(error)}") from error
    checked = make_settings(given, shown)
    folder = Path(path).absolute().parent
    values = {key: getattr(checked, key) for key in given}
    for one in fields(Settings):
        value = values.get(one.name)
        if one.metadata["kind"] == "path" and value:
            values[one.name] = str(folder / Path(value).expanduser())
    if "model" in values:
        values["model"] = _beside(values["model"], folder)
    if "source" in values:
        values["source"] = tuple(_beside(text, folder) for text in values["source"])
    return values


def _beside(text: str, folder: Path) -> str:
    """What lies beside the file where there is such a thing; else the text may be a name, an address or a device."""
    return str(folder / text) if (folder / text).exists() else text


def check_together(settings: Settings) -> Settings:
    """The same settings, when they go together.

    Raises:
        RequestError: they do not, with what to type.
    """
    if not settings.source:
        raise RequestError("no source; give one: 0, picamera2, rtsp://…, a film or a folder (edge-nima cameras)")
    if settings.out is None and settings.keep:
        raise RequestError("--keep needs a folder: --out DIR")
    pairs = (("mqtt_cert", "mqtt_key"), ("web_cert", "web_key"))
    for key, partner in (*pairs, *(pair[::-1] for pair in pairs)):
        if getattr(settings, key) and not getattr(settings, partner):
            raise RequestError(f"{flag(key)} needs {flag(partner)}")
    if settings.mqtt is None:
        for key in ("mqtt_ca", "mqtt_cert", "mqtt_password_file", "mqtt_insecure"):
            if getattr(settings, key):
                raise RequestError(f"{flag(key)} needs a broker: --mqtt mqtt://HOST")
    if settings.web is not None and settings.web == settings.metrics_port:
        raise RequestError(f"--web and --metrics-port are both {settings.web}; the page has /metrics of its own")
    return settings


def changed(old: Settings, new: Settings) -> list[str]:
    """Keys whose values differ."""
    return [key for key in KEYS if getattr(old, key) != getattr(new, key)]


def with_token(settings: Settings, token: str) -> Settings:
    """The same with a token for the page."""
    return replace(settings, web_token=token)


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
    if kind == "duration":
        low = limits["low"]
        if seconds(value, what) < low:
            raise RequestError(f"{what} is '{printable(value)}'; possible: {low:g}s and more")
    elif kind == "size":
        size(value, what)
    choices = limits.get("choices")
    if choices and value not in choices:
        near = get_close_matches(value, choices, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
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
