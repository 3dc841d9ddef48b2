"""Two cameras: two watchers in one process, or two processes; and what each costs beside one.

usage: two_cameras.py FILM [--frames 2000] [--rounds 3]

Each watcher has a looped film, a worker process of its own with one thread, and SQLite records. Frames a second of
each; memory is the proportional set size of all processes together, which counts what they share once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from machine import keep
from watch_overhead import processor_s

from edge_nima.watch.assembly import assemble
from edge_nima.watch.notify import Notifier
from edge_nima.watch.settings import make_settings
from edge_nima.watch.watcher import Watcher


def pss_mb(pid: int) -> float:
    """Proportional set size of a process, 10^6 bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError("no Pss")


def watch(film: str, frames: int, count: int) -> dict[str, Any]:
    """So many watchers in this process."""
    seconds: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as parts:
        watchers = [
            assemble(
                make_settings(
                    {"source": film, "loop": True, "threads": 1, "max_frames": frames, "out": f"{folder}/{number}"}
                ),
                parts, Notifier(), (), lambda: True, wait=False,
            )
            for number in range(count)
        ]  # fmt: skip
        used = processor_s()

        def run(watcher: Watcher) -> None:
            started = time.perf_counter()
            watcher.run()
            seconds.append(time.perf_counter() - started)

        threads = [threading.Thread(target=run, args=(watcher,)) for watcher in watchers]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            pids = [os.getpid(), *(watcher._scoring.pid for watcher in watchers)]
            memory.append(sum(pss_mb(pid) for pid in pids if pid))
            time.sleep(0.5)
    # The workers have ended: their processor time is in, with what starting them took.
    return {
        "fps": [round(frames / each, 1) for each in seconds],
        "mb": max(memory),
        "processor_ms": (processor_s() - used) / frames / count * 1e3,
    }


def processes(film: str, frames: int, count: int, each: int) -> dict[str, Any]:
    """So many processes at once, each with so many watchers."""
    command = [sys.executable, __file__, film, "--frames", str(frames), "--alone", str(each)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    told = [json.loads(process.communicate()[0]) for process in running]
    return {
        "fps": [fps for one in told for fps in one["fps"]],
        "mb": sum(one["mb"] for one in told),
        "processor_ms": statistics.mean(one["processor_ms"] for one in told),
    }


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(watch(args.film, args.frames, args.alone)))
        return
    ways = {"one camera": (1, 1), "two in one process": (1, 2), "two processes": (2, 1)}
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(args.rounds):
        for name, (count, each) in ways.items():
            runs.setdefault(name, []).append(processes(args.film, args.frames, count, each))
    told = {
        name: {
            "fps_each": round(statistics.median(statistics.mean(run["fps"]) for run in found), 1),
            "mb": round(statistics.median(run["mb"] for run in found), 1),
            "processor_ms_a_frame": round(statistics.median(run["processor_ms"] for run in found), 2),
        }
        for name, found in runs.items()
    }
    keep("two_cameras", {"film": Path(args.film).name, "frames": args.frames, "rounds": args.rounds, **told})


if __name__ == "__main__":
    main()
