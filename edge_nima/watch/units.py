"""Durations, sizes and moments as people type them ("10m", "2GB", "2026-11-24 08:30"), and as they read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time

from edge_nima.errors import RequestError, printable

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|min|[smhdw])", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(i?)b?", re.ASCII)
_LONGEST = 100 * 365.25 * 86400.0
_LARGEST = 2**63 - 1  # what SQLite and the file systems count to


def seconds(text: str, option: str = "duration") -> float:
    """A duration as typed, in seconds, 0 to a hundred years; RequestError for anything else, with the option's name.

    "90s", "10m", "2h", "1.5h", "1h30m", "1d", "1w", "500ms", and what `duration_text` says; a bare number is seconds.
    """
    typed = text.strip().lower()
    if _NUMBER.fullmatch(typed):
        value = float(typed)
    else:
        parts = _PART.findall(typed)
        value = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if not parts or _PART.sub("", typed).strip():
            value = float("inf")
    if value > _LONGEST:
        raise RequestError(f"{option} is '{printable(text)}'; possible: 90s, 10m, 1.5h, 2h30m, 1d")
    return value


def size(text: str, option: str = "size") -> int:
    """A size as typed, in bytes, 1 to 2**63 - 1; RequestError for anything else, with the option's name.

    "2GB", "500MB", "1.5G" (powers of 1000), "1GiB", "512MiB" (of 1024); a bare number is bytes.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match and (match[2] or not match[3]):
        value = float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2])
        if 1 <= value < _LARGEST:
            return int(value)
    raise RequestError(f"{option} is '{printable(text)}'; possible: 500MB, 2GB, 1.5GB, 512MiB, or none for no limit")


def duration_text(value: float) -> str:
    """Seconds as a person says them, two units at most: "850 ms", "42 s", "10 min", "2 h 30 min", "3 d 4 h"."""
    if value <= -0.0005:
        return "-" + duration_text(-value)
    value = abs(value)
    if value < 0.9995 and round(value * 1000):
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0") + " s"  # "0 s" too
    whole = round(value)
    for large, small, above, below in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= above:
            rest = whole % above // below
            return f"{whole // above} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def moment(text: str, now: float, option: str = "time") -> float:
    """A moment as typed, in seconds since 1970 UTC as `now` is; RequestError for anything else, with the option's name.

    A duration ("2h": so long before `now`), a date ("2026-11-24"), a date and time ("2026-11-24 08:30", with "Z" or
    "+01:00" where it is not the local time), or a time of the day that `now` is in ("08:30").
    """
    typed = text.strip()
    readings: tuple[Callable[[], float], ...] = (
        lambda: datetime.fromisoformat(typed).timestamp(),
        lambda: now - seconds(typed),
        lambda: datetime.combine(datetime.fromtimestamp(now), time.fromisoformat(typed)).timestamp(),
    )
    for reading in readings:
        with suppress(ValueError, OverflowError):
            return reading()
    raise RequestError(
        f"{option} is '{printable(text)}'; possible: 2h (so long ago), 2026-11-24, '2026-11-24 08:30', 08:30"
    )


def utc_text(at: float) -> str:
    """A moment in seconds since 1970 UTC as ISO 8601 in UTC to the millisecond, cut off: "2026-11-24T08:30:00.123Z"."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_moment(text: str) -> float:
    """The moment that `utc_text` wrote, in seconds since 1970 UTC; ValueError for anything else."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
