"""What the gate said of a conversion. It travels in the model's card, apart from the rules that made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from edge_nima.errors import printable

Side = Literal["min", "max"]
Status = Literal["passed", "failed", "not judged"]

_MOST_TOLD = 8
"""Failures that one line names; there are no more with the default gate."""


@dataclass(frozen=True)
class Failure:
    """A statistic outside its tolerance."""

    statistic: str
    value: float | None
    """What was measured; None where the statistic is not defined, as a correlation with a constant."""
    side: Side
    limit: float
    note: str = ""
    """What stands beside the number: the difference in rating points, the count, the interval."""

    def __str__(self) -> str:
        value = "undefined" if self.value is None else f"{self.value:.4g}"
        bound = "at least" if self.side == "min" else "at most"
        note = f"; {printable(self.note):.200}" if self.note else ""
        return f"{printable(self.statistic):.40} {value} ({bound} {self.limit:g}{note})"


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
        if limits is not None and not (isinstance(limits, dict) and all(map(is_number, limits.values()))):
            raise ValueError("has limits that are not numbers by name")
        return cls(status, n, failures=tuple(map(_failure, failures)), limits=limits, **texts)


def warning(verdict: Verdict | None) -> str | None:
    """What whoever loads a model should hear of its verdict, on one line; None when there is nothing to warn of."""
    if verdict is None or verdict.status != "failed":
        return None
    return f"this model failed its gate, it differs from the float model more than it may: {verdict.told()}"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number that a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _failure(raw: Any) -> Failure:
    if not isinstance(raw, dict) or not isinstance(raw.get("statistic"), str) or raw.get("side") not in ("min", "max"):
        raise ValueError("has a failure without a statistic and a side (min or max)")
    value, limit, note = raw.get("value"), raw.get("limit"), raw.get("note", "")
    if not is_number(limit) or not (value is None or is_number(value)):
        raise ValueError("has a failure whose value or limit is not a number")
    if not isinstance(note, str):
        raise ValueError("has a failure whose note is not text")
    return Failure(raw["statistic"], value, raw["side"], limit, note)
