"""Measuring: jobs that take turns, percentiles, and the machine and versions that belong to every number."""

from __future__ import annotations

import datetime
import math
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "neon", "asimd", "asimddp", "i8mm", "fphp")
"""Instruction sets that decide how fast a network runs, as /proc/cpuinfo calls them."""

PACKAGES = ("edge-nima", "ai-edge-litert", "tflite-runtime", "numpy", "pillow")


def machine() -> dict[str, Any]:
    """Board or processor, cores this process may use, governor, memory (GiB), system and instruction sets.

    What the operating system does not say is "unknown".
    """
    features = set((_value("features") or _value("flags")).lower().split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return {
        "board": _text("/proc/device-tree/model") or _value("model name") or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "instructions": [name for name in INSTRUCTIONS if name in features],
    }


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Python's version, and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Count and percentiles 50, 90 and 99 of at least one value, to five digits; keys n, p50, p90, p99."""
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) > 1 else [ordered[0]] * 99
    return {"n": len(ordered), **{f"p{cut}": float(f"{cuts[cut - 1]:.5g}") for cut in (50, 90, 99)}}


def measurement(
    suite: str, case: str, values: Sequence[float] | None = None, unit: str = "ms", threads: int | None = None,
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """One measurement, as a line of JSON has it in benchmarks/results and from `edge-nima bench --json`.

    Args:
        suite: what it belongs to.
        case: what was measured.
        values: the single measurements, of which n and percentiles are kept.
        unit: of `values`.
        threads: of one inference.
        more: further keys, JSON.
    """
    line: dict[str, Any] = {"suite": suite, "case": case}
    if values is not None:
        line |= {"unit": unit, **percentiles(values)}
    if threads is not None:
        line["threads"] = threads
    return line | more | {"date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions()}


def in_turn(
    jobs: Mapping[str, Callable[[], object]], rounds: int = 100_000, warm_up: int = 5, seconds: float = math.inf
) -> dict[str, list[float]]:
    """Milliseconds of each job: they run one after another, round by round, so that a drift of the machine hits all.

    Args:
        jobs: what to time, by name.
        rounds: how often each is timed at most.
        warm_up: rounds before, which do not count.
        seconds: after which no round begins but the first three.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    due = perf_counter() + seconds
    for number in range(-warm_up, rounds):
        if number >= 3 and perf_counter() > due:
            break
        for name, job in jobs.items():
            started = perf_counter()
            job()
            if number >= 0:
                times[name].append((perf_counter() - started) * 1e3)
    return times


def ratio(times: Mapping[str, Sequence[float]], of: str, to: str) -> float:
    """Median, over the rounds, of one job's time as a multiple of another's in the same round."""
    return round(statistics.median(a / b for a, b in zip(times[of], times[to], strict=True)), 3)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _value(key: str) -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == key:
            return value.strip()
    return ""
