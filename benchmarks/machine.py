"""What every result carries: the machine, the runtime, and how to append to results/."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Board or processor, cores, governor, operating system, and versions that decide a measurement."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("edge-nima", "ai-edge-litert", "tensorflow", "keras", "numpy", "pillow")},
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """n, p50, p90 and p99 of a list of measurements."""
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) > 1 else [ordered[0]] * 99
    return {"n": len(ordered), "p50": cuts[49], "p90": cuts[89], "p99": cuts[98]}


def keep(name: str, result: dict[str, Any]) -> None:
    """Append a result to results/NAME.jsonl and print it."""
    line = json.dumps({"benchmark": name, **result, "machine": machine()})
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line)


def _processor() -> str:
    board = _read("/proc/device-tree/model")
    if board:
        return board.strip("\0")
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            flags = [flag for flag in ("avx2", "avx512f", "avx512_vnni") if flag in (_read("/proc/cpuinfo") or "")]
            return f"{line.split(':', 1)[1].strip()} ({', '.join(flags)})"
    return platform.processor() or "unknown"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
