"""The gate: what a conversion may cost before it counts as done. Tolerances are data; gate.toml has them and why."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from edge_nima.agreement import Agreement
from edge_nima.errors import RequestError, printable, reason

DEFAULT = Path(__file__).with_name("gate.toml")

Side = Literal["min", "max"]
Status = Literal["passed", "failed", "not judged"]

RANGES: Mapping[str, tuple[float, float]] = {
    "srcc": (-1, 1),
    "plcc": (-1, 1),
    "mae": (0, 9),
    "bias": (0, 9),
    "p99": (0, 9),
    "maximum": (0, 9),
    "std_mae": (0, 4.5),
    "emd_r1": (0, 0.9),
    "emd_r2": (0, math.sqrt(0.9)),
    "flips": (0, 1),
    "largest_bin": (0, 1),
    "spread_ratio": (0, math.inf),
    "size": (0, math.inf),
    "people_srcc_change": (-2, 2),
}
"""What each statistic can be, `bias` without its sign. A tolerance at the far end is one that nobody can fail."""

_SIDES: Mapping[str, tuple[Side, ...]] = {
    "srcc": ("min",), "plcc": ("min",), "people_srcc_change": ("min",), "spread_ratio": ("min", "max"),
}  # fmt: skip
_MOST_TOLD = 8
"""Failures that one line names; there are no more with the default gate."""


@dataclass(frozen=True)
class Gate:
    """Tolerances."""

    limits: Mapping[str, float]
    """"mae_max": 0.015 and the like, in the file's order."""
    fewest: int
    """Photographs below which nothing is judged."""
    source: str
    """Whose they are, for messages."""


@dataclass(frozen=True)
class Failure:
    """A statistic outside its tolerance."""

    statistic: str
    value: float | None
    """What was measured; None where the statistic is not defined, as a correlation with a constant."""
    side: Side
    limit: float

    def __str__(self) -> str:
        value = "undefined" if self.value is None else f"{self.value:.4g}"
        bound = "at least" if self.side == "min" else "at most"
        return f"{printable(self.statistic):.40} {value} ({bound} {self.limit:g})"


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one conversion; travels in its card as JSON."""

    status: Status
    n: int
    """Photographs that it was judged by."""
    on: str
    """Which photographs, in words."""
    failures: tuple[Failure, ...] = ()
    why: str = ""
    """Why it is not judged."""
    limits: Mapping[str, float] | None = None
    """The tolerances that it was held against."""

    def told(self) -> str:
        """The numbers that failed, or why it is not judged; "" when it passed."""
        told = [str(failure) for failure in self.failures[:_MOST_TOLD]]
        if len(self.failures) > _MOST_TOLD:
            told.append(f"and {len(self.failures) - _MOST_TOLD} more")
        return ", ".join(told) or printable(self.why)[:300]

    def describe(self) -> str:
        """The verdict in one line, with the numbers of a failure or why it is not judged, and on what."""
        where = f"n={self.n}, {printable(self.on):.300}" if self.on else f"n={self.n}"
        return f"{self.status} ({where}){f': {self.told()}' if self.told() else ''}"

    @classmethod
    def from_json(cls, raw: Any) -> Verdict:
        """Read what a card holds.

        Raises:
            ValueError: it is none; the text says what about it.
        """
        if not isinstance(raw, dict):
            raise ValueError("is not an object")
        status, n = raw.get("status"), raw.get("n")
        if status not in ("passed", "failed", "not judged"):  # a list has no place in a set
            raise ValueError(f"has the status {status!r:.60}; possible: passed, failed, not judged")
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < 1 << 53:
            raise ValueError(f"has n {n!r:.60}; possible: a whole number")
        texts = {key: raw.get(key, "") for key in ("on", "why")}
        for key, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"has a {key} that is not text")
        failures, limits = raw.get("failures", ()), raw.get("limits")
        if not isinstance(failures, list | tuple):
            raise ValueError("has failures that are not a list")
        if (status == "failed") != bool(failures):
            raise ValueError(f"says {status} with {len(failures)} failures")
        if limits is not None and not (isinstance(limits, dict) and all(map(_is_number, limits.values()))):
            raise ValueError("has limits that are not numbers by name")
        return cls(status, n, failures=tuple(map(_failure, failures)), limits=limits, **texts)


def load_gate(path: str | os.PathLike[str] | None = None) -> Gate:
    """Read tolerances.

    Args:
        path: a TOML file with keys such as `mae_max` and `fewest`; None for the defaults.

    Raises:
        RequestError: it cannot be read, is not TOML, has a key that is unknown, or a tolerance that nobody can fail
            or nobody can keep.
    """
    source = DEFAULT if path is None else Path(path)
    shown = f"the gate '{printable(source)}'"
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"cannot read {shown}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or a line that is not TOML
        raise RequestError(f"{shown} is not TOML: {reason(error):.200}") from error
    try:
        return _gate(raw, "the default gate" if path is None else printable(source.name))
    except ValueError as error:
        raise RequestError(f"{shown}: {error}") from error


def warning(verdict: Verdict | None) -> str | None:
    """What whoever loads a model should hear of its verdict, on one line; None when there is nothing to warn of."""
    if verdict is None or verdict.status != "failed":
        return None
    return f"this model failed its gate, it differs from the float model more than it may: {verdict.told()}"


def judge(
    gate: Gate,
    agreement: Agreement,
    on: str,
    *,
    seen: str = "",
    size: int | None = None,
    people_srcc_change: float | None = None,
) -> Verdict:
    """Hold a conversion against tolerances.

    Args:
        gate: the tolerances.
        agreement: of the converted with the float model.
        on: which photographs it was measured on, in words.
        seen: why these photographs cannot prove that it passes ("they calibrated it"); "" when nothing speaks against
            them. What fails even on them has failed.
        size: of the file, bytes; None leaves `size` out.
        people_srcc_change: SRCC to people's ratings, converted less float; None, where there are no ratings, leaves
            it out.

    Returns:
        The `Verdict`: a statistic that is `nan` is outside its tolerance; on fewer photographs than `gate.fewest`
        nothing is judged.
    """
    measured: dict[str, float | None] = {name: getattr(agreement, name, None) for name in RANGES}
    measured |= {"size": size, "people_srcc_change": people_srcc_change}
    failures = []
    for key, limit in gate.limits.items():
        statistic, _, side = key.rpartition("_")
        value = measured[statistic]
        if value is None:
            continue
        held = value >= limit if side == "min" else abs(value) <= limit  # written so that nan fails
        if not held:
            told = value if math.isfinite(value) else None
            failures.append(Failure(statistic, told, "min" if side == "min" else "max", limit))
    limits = dict(gate.limits)
    if agreement.n < gate.fewest:
        why = f"{agreement.n} photographs prove nothing, {gate.fewest} or more do"
        return Verdict("not judged", agreement.n, on, why=why, limits=limits)
    if failures:
        return Verdict("failed", agreement.n, on, tuple(failures), limits=limits)
    if seen:
        return Verdict("not judged", agreement.n, on, why=seen, limits=limits)
    return Verdict("passed", agreement.n, on, limits=limits)


def _gate(raw: Mapping[str, Any], source: str) -> Gate:
    """Check what a file holds.

    Raises:
        ValueError: what is wrong with it.
    """
    limits = {key: value for key, value in raw.items() if key != "fewest"}
    fewest = raw.get("fewest", 1)
    if isinstance(fewest, bool) or not isinstance(fewest, int) or fewest < 1:
        raise ValueError(f"fewest is {fewest!r:.60}; possible: a whole number from 1")
    if not limits:
        raise ValueError("it has no tolerance, so nobody can fail it; possible: mae_max = 0.015 and the like")
    for key, limit in limits.items():
        _check_limit(key, limit)
    for statistic in RANGES:
        low, high = limits.get(f"{statistic}_min"), limits.get(f"{statistic}_max")
        if low is not None and high is not None and low > high:
            raise ValueError(f"{statistic}_min {low:g} is above {statistic}_max {high:g}: nobody can keep both")
    return Gate({key: float(limit) for key, limit in limits.items()}, fewest, source)


def _check_limit(key: str, limit: Any) -> None:
    known = [f"{name}_{side}" for name in RANGES for side in _SIDES.get(name, ("max",))]
    if key not in known:
        raise ValueError(f"unknown tolerance {printable(key):.60}; possible: {', '.join(known)}, fewest")
    if not _is_number(limit):
        raise ValueError(f"{key} is {limit!r:.60}; possible: a number")
    statistic, _, side = key.rpartition("_")
    low, high = RANGES[statistic]
    far, near, beyond = (low, high, limit > high) if side == "min" else (high, low, limit < low)
    if limit <= far if side == "min" else limit >= far:
        raise ValueError(f"{key} is {limit:g}, which nobody can fail: {statistic} lies in {low:g}..{high:g}")
    if beyond:
        raise ValueError(f"{key} is {limit:g}, which nobody can keep: the best {statistic} is {near:g}")


def _failure(raw: Any) -> Failure:
    if not isinstance(raw, dict) or not isinstance(raw.get("statistic"), str) or raw.get("side") not in ("min", "max"):
        raise ValueError("has a failure without a statistic and a side (min or max)")
    value, limit = raw.get("value"), raw.get("limit")
    if not _is_number(limit) or not (value is None or _is_number(value)):
        raise ValueError("has a failure whose value or limit is not a number")
    return Failure(raw["statistic"], value, raw["side"], limit)


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number that a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False
