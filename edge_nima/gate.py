"""The gate: what a conversion may cost before it counts as done. Tolerances are data; gate.toml has them and why.

One rule for any network. What is undefined, as a correlation with a constant, is outside its tolerance. Else:

- Differences, and all that is not named below, are judged by their value; those in rating points as shares of the
  reference's spread, the standard deviation of its means on the same photographs.
- Counts and ranks (`flips`, `srcc`, `plcc`, `people_srcc_change`) hang on the few photographs near 5 or near one
  another, so their 95 % interval counts too. They are outside when the whole of it lies beyond the limit, within when
  the value is; between the two nothing is decided: "too few photographs to say". A value within its limit is enough:
  the interval of 300 photographs is two points of flips wide and would let no model pass; what it may hide shows in
  the shares, whose standard error is a tenth of them at 100 photographs.
- What float16 of the same network (the control) costs in flips and ranks on the same photographs is no fault of a
  recipe: where it lies beyond a limit, it is the limit. Differences it does not excuse: float16 may be broken itself.

One statistic outside is `failed`; else photographs that were seen, or too few, are `not judged`; else it `passed`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima.agreement import NORMAL, Agreement
from edge_nima.errors import RequestError, printable, reason
from edge_nima.verdict import Failure, Side, Verdict, is_number

if TYPE_CHECKING:
    from edge_nima.comparison import Comparison

DEFAULT = Path(__file__).with_name("gate.toml")

RANGES: Mapping[str, tuple[float, float]] = {
    "srcc": (-1, 1), "plcc": (-1, 1), "mae": (0, 9), "bias": (0, 9), "p99": (0, 9), "maximum": (0, 9),
    "std_mae": (0, 4.5), "emd_r1": (0, 0.9), "emd_r2": (0, math.sqrt(0.9)), "flips": (0, 1), "largest_bin": (0, 1),
    "spread_ratio": (0, math.inf), "size": (0, math.inf), "people_srcc_change": (-2, 2),
    **{f"{name}_share": (0, math.inf) for name in ("mae", "bias", "p99", "maximum", "std_mae")},
}  # fmt: skip
"""What each statistic can be, `bias` without its sign. A tolerance at the far end is one that nobody can fail."""

_SIDES: Mapping[str, tuple[Side, ...]] = {
    "srcc": ("min",), "plcc": ("min",), "people_srcc_change": ("min",), "spread_ratio": ("min", "max"),
}  # fmt: skip
_BY_INTERVAL = ("flips", "srcc", "plcc", "people_srcc_change")
_NONE = math.nan, math.nan


@dataclass(frozen=True)
class Gate:
    """Tolerances."""

    limits: Mapping[str, float]
    """"mae_max": 0.015 and the like, in the file's order."""
    fewest: int
    """Photographs below which nothing is judged."""
    source: str
    """Whose they are, for messages."""


def load_gate(path: str | os.PathLike[str] | None = None) -> Gate:
    """Read tolerances from a TOML file with keys such as `mae_share_max` and `fewest`; without one, the defaults.

    Raises:
        RequestError: it cannot be read, is not TOML, has a key that is unknown, or a tolerance that nobody can fail
            or nobody can keep.
    """
    source = DEFAULT if path is None else Path(path)
    shown = f"the gate '{printable(source)}'"
    try:
        import tomllib  # here, where a file is read: each start would pay

        raw = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"cannot read {shown}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or a line that is not TOML
        raise RequestError(f"{shown} is not TOML: {reason(error):.200}") from error
    fewest = raw.pop("fewest", 1)
    try:
        if isinstance(fewest, bool) or not isinstance(fewest, int) or fewest < 1:
            raise ValueError(f"fewest is {fewest!r:.60}; possible: a whole number from 1")
        _check_limits(raw)
    except ValueError as error:
        raise RequestError(f"{shown}: {error}") from error
    limits = {key: float(limit) for key, limit in raw.items()}
    return Gate(limits, fewest, "the default gate" if path is None else printable(source.name))


def judge(
    gate: Gate, comparison: Comparison, *, control: Agreement | None = None, seen: str = "", size: int | None = None
) -> Verdict:
    """Hold a conversion against tolerances, by the rule at the head of this module.

    Args:
        gate: the tolerances.
        comparison: of the converted with the float model; people's ratings are judged where it has them.
        control: agreement of the float16 conversion with the same float model on the same photographs.
        seen: why these photographs cannot prove that it passes ("they calibrated it"); "" when nothing speaks against
            them. What fails even on them has failed.
        size: of the file, bytes; None leaves `size` out.
    """
    limits = {key: _eased(key, limit, control) for key, limit in gate.limits.items()}
    verdict = Verdict("not judged", comparison.n, comparison.on, limits=limits)
    if comparison.n < gate.fewest:
        return replace(verdict, why=f"{comparison.n} photographs prove nothing, {gate.fewest} or more do")
    found = [one for key, limit in limits.items() if (one := _beyond(key, limit, comparison, size))]
    failures = tuple(failure for failure, enough in found if enough is None)
    if failures:
        return replace(verdict, status="failed", failures=failures)
    if found and not seen:
        told = ", ".join(str(failure) for failure, _ in found)
        enough = float(f"{max(enough or 0 for _, enough in found):.2g}")
        return replace(verdict, why=f"too few photographs to say: {told}; about {enough:,.0f} would do")
    return replace(verdict, status="not judged" if seen else "passed", why=seen)


def probe_tolerance(agreement: Agreement, integer: bool) -> dict[str, float]:
    """How far a golden probe may lie from its known answers, rating points: `Card.tolerance` of a conversion.

    "own", from what it said where it was made: .001, or 6 % of the reference's spread for integers, .03 with idealo's
    weights, where tflite-runtime 2.14 differs by .02 from LiteRT. "reference", from the float model: twice the largest
    difference on photographs, for probes are odd pictures, but at most 20 % of the spread. Measured with idealo's
    weights: int8-mixed within 5 % of the spread on all six, plain int8 and dynamic beyond 20 % on four and two.

    Args:
        agreement: of the conversion with the float model, on photographs.
        integer: whether it computes in integers, which runtimes and processors round differently.
    """
    own = max(0.001, 0.06 * agreement.reference_spread if integer else 0.0)
    return {"own": own, "reference": max(own, min(2 * agreement.maximum, 0.2 * agreement.reference_spread))}


def _eased(key: str, limit: float, control: Agreement | None) -> float:
    """A limit, or what the control shows where it is further out."""
    statistic, _, side = key.rpartition("_")
    shown = getattr(control, statistic, math.nan) if statistic in _BY_INTERVAL else math.nan
    further = shown < limit if side == "min" else shown > limit  # written so that nan is not
    return shown if further else limit


def _beyond(key: str, limit: float, comparison: Comparison, size: int | None) -> tuple[Failure, float | None] | None:
    """What lies beyond a limit, and how many photographs would decide that; None for those where it is decided."""
    statistic, _, side = key.rpartition("_")
    value, (low, high), note = _measured(statistic, comparison, size)
    if value is None or (value >= limit if side == "min" else abs(value) <= limit):  # written so that nan is beyond
        return None
    told = value if math.isfinite(value) else None
    failure = Failure(statistic, told, "min" if side == "min" else "max", limit, note)
    end = high if side == "min" else low
    if told is None or not (end >= limit if side == "min" else end <= limit):
        return failure, None
    reach = NORMAL * math.sqrt(limit * (1 - limit) / comparison.n) if statistic == "flips" else end - value
    return failure, comparison.n * (reach / (limit - value)) ** 2


def _measured(
    statistic: str, comparison: Comparison, size: int | None
) -> tuple[float | None, tuple[float, float], str]:
    """A statistic, None where it is not known; its interval, `nan` where the value decides; what stands beside it."""
    agreement, people = comparison.agreement, comparison.against_people
    name, share, _ = statistic.partition("_share")
    if share:
        note = f"{getattr(agreement, name):.4g} of a spread of {agreement.reference_spread:.4g} rating points"
        return agreement.share(name), _NONE, note
    if statistic not in _BY_INTERVAL:
        return size if statistic == "size" else getattr(agreement, statistic), _NONE, ""
    if statistic == "people_srcc_change":
        if people is None:
            return None, _NONE, ""
        change = people.difference.srcc
        value, ends = change.value, (change.low, change.high)
    else:
        value, ends = getattr(agreement, statistic), comparison.intervals[statistic]
    count = f"{value * comparison.n:.0f} of {comparison.n}, " if statistic == "flips" else ""
    return value, ends, f"{count}95 % interval {ends[0]:.4g} to {ends[1]:.4g}"


def _check_limits(limits: Mapping[str, Any]) -> None:
    """Raise ValueError where a tolerance is none."""
    if not limits:
        raise ValueError("it has no tolerance, so nobody can fail it; possible: mae_share_max = 0.03 and the like")
    known = [f"{name}_{side}" for name in RANGES for side in _SIDES.get(name, ("max",))]
    for key, limit in limits.items():
        if key not in known:
            raise ValueError(f"unknown tolerance {printable(key):.60}; possible: {', '.join(known)}, fewest")
        if not is_number(limit):
            raise ValueError(f"{key} is {limit!r:.60}; possible: a number")
        statistic, _, side = key.rpartition("_")
        low, high = RANGES[statistic]
        far, near, beyond = (low, high, limit > high) if side == "min" else (high, low, limit < low)
        if limit <= far if side == "min" else limit >= far:
            raise ValueError(f"{key} is {limit:g}, which nobody can fail: {statistic} lies in {low:g}..{high:g}")
        if beyond:
            raise ValueError(f"{key} is {limit:g}, which nobody can keep: the best {statistic} is {near:g}")
    least, most = (limits.get(f"spread_ratio_{side}") for side in ("min", "max"))
    if least is not None and most is not None and least > most:
        raise ValueError(f"spread_ratio_min {least:g} is above spread_ratio_max {most:g}: nobody can keep both")
