"""What every suite has: a place to keep measurements, whole processes that are timed, and the inputs."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_nima.measuring import PACKAGES, measurement, versions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
EDGE_NIMA = str(Path(sys.executable).with_name("edge-nima"))
TOOLS = (*PACKAGES, "tensorflow", "keras", "jax", "onnxruntime", "openvino", "nncf", "torch", "pyiqa", "ray", "av",
         "opencv-python-headless", "simplejpeg", "array-record", "grain")  # fmt: skip


class Missing(Exception):
    """A suite or a case cannot run here; says what it needs."""


@dataclass
class Bench:
    """One run of some suites."""

    quick: bool = False
    """Fewer rounds and photographs: to see that it works, not to be quoted."""
    results: Path = RESULTS
    data: Path | None = field(default_factory=lambda: Path(os.environ["EDGE_NIMA_DATA"])
                              if os.environ.get("EDGE_NIMA_DATA") else None)  # fmt: skip
    """The development data."""
    suite: str = ""
    _fixed: dict[str, Any] = field(default_factory=dict)

    def rounds(self, whole: int, quick: int | None = None) -> int:
        """How often to repeat."""
        return (max(3, whole // 10) if quick is None else quick) if self.quick else whole

    def cases(self, *cases: Callable[[Bench], None]) -> None:
        """Run cases of a suite; one that cannot run does not stop the others.

        Raises:
            Missing: at the end, if any could not run; says which.
        """
        missing = []
        for case in cases:
            try:
                case(self)
            except Missing as error:
                missing.append(f"{case.__name__} {error}")
        if missing:
            raise Missing("; ".join(missing))

    def photographs(self, folder: str) -> Path:
        """A folder or file of the development data.

        Raises:
            Missing: it is not here.
        """
        if self.data is None or not (self.data / folder).exists():
            raise Missing(f"needs the development data's '{folder}' (EDGE_NIMA_DATA)")
        return self.data / folder

    def keep(
        self, case: str, values: Sequence[float] | None = None, unit: str = "ms", threads: int | None = None,
        peak_mib: float | None = None, versions: Mapping[str, str] | None = None, **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Append one measurement to results/SUITE.jsonl, and print it.

        Args:
            case: what was measured, one name a thing in its suite.
            values: the measurements; n and percentiles are kept of them.
            unit: of `values`.
            threads: of one inference.
            peak_mib: peak resident memory.
            versions: of an environment other than this one.
            more: further keys, JSON; ratios among them.
        """
        if not self._fixed:
            self._fixed = {"versions": _versions(), "commit": _commit()}
        more |= {"peak_mib": round(peak_mib, 1)} if peak_mib is not None else {}
        line = measurement(self.suite, case, values, unit, threads, **more)
        line |= {"quick": self.quick, **self._fixed}
        if versions is not None:
            line["versions"] = dict(versions)
        self.results.mkdir(parents=True, exist_ok=True)
        with open(self.results / f"{self.suite}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = {
            key: value for key, value in line.items() if key not in {"suite", "date", "quick", "machine", *self._fixed}
        }
        print(json.dumps(shown), flush=True)
        return line


def measured_process(command: Sequence[str | Path], cores: str | None = None) -> tuple[float, float, str]:
    """Run a command to its end.

    Args:
        command: the program and its arguments; its standard output is kept, its errors are shown when it fails.
        cores: which, as taskset takes them; None for all.

    Returns:
        Wall time (seconds), peak resident memory (MiB), standard output.

    Raises:
        Missing: it failed.
    """
    # As installed programs run: with their compiled bytecode kept.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    pinned = [] if cores is None else ["taskset", "-c", cores]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as measured:
        measure = [sys.executable, "-S", "-E", "-c", _MEASURE, str(measured.fileno())]
        whole = [*measure, *pinned, *map(str, command)]
        done = subprocess.run(whole, stdout=out, stderr=said, env=environment, pass_fds=[measured.fileno()])
        for file in (said, out, measured):
            file.seek(0)
        if done.returncode:
            raise Missing(f"{' '.join(map(str, command))[:200]} failed: {said.read().decode(errors='replace')[-1500:]}")
        seconds, kib = map(float, measured.read().split())
        return seconds, kib / 1024, out.read().decode()


_MEASURE = """
import os, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
seconds, most = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
os.write(int(sys.argv[1]), f"{seconds} {most}".encode())
sys.exit(1 if code else 0)
"""
# Started by a small process: ru_maxrss of a child is at least its parent's, and this one may have grown.


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns, called in a new process: its memory and imports are its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def resident(pid: int | str = "self") -> int:
    """Memory that a process holds now, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_mib() -> float:
    """Peak resident memory of this process, MiB."""
    # Not ru_maxrss: a child begins with its parent's.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def processes_in_turn(commands: Mapping[str, Sequence[str | Path]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Whole processes, one after another, round by round, after one round that warms the disk cache.

    Returns:
        For each: "s" and "mib", a value a round.
    """
    found: dict[str, dict[str, list[float]]] = {name: {"s": [], "mib": []} for name in commands}
    for number in range(-1, rounds):
        for name, command in commands.items():
            seconds, mib, _ = measured_process(command)
            if number >= 0:
                found[name]["s"].append(seconds)
                found[name]["mib"].append(mib)
    return found


def median(values: Sequence[float]) -> float:
    """Of a list, to five digits."""
    return float(f"{statistics.median(values):.5g}")


def _versions() -> dict[str, str]:
    return versions(TOOLS)


def _commit() -> str:
    told = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"
