"""Several cameras in one service: frames a second of each, memory and processor time, beside one camera.

usage: cameras.py FILM [--cameras 1,2,4] [--frames 1500] [--rounds 3] [--fps N]

Each camera has the film, looped at its own pace, and keeps its best frame; all share one scoring process with one
thread. Memory is the proportional set size (PSS) of all processes together at its highest, which counts what they
share once.
"""

from __future__ import annotations

import argparse
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

from edge_nima.service import Service, declare


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and its children, 10^6 bytes."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            total += pss_mb(int(child))
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return total + int(line.split()[1]) * 1024 / 1e6
    raise ValueError("no Pss")


def watch(film: str, frames: int, count: int, realtime: bool) -> dict[str, Any]:
    """So many cameras in this process."""
    memory: list[float] = []
    declaration = declare()
    with tempfile.TemporaryDirectory() as folder:
        cameras = [{"source": (film,), "name": f"camera{number}"} for number in range(count)]
        settings = declaration.settings(
            {"loop": True, "realtime": realtime, "threads": 1, "max_frames": frames, "out": folder, "keep": 1},
            {"camera": cameras},
        )
        service = Service(declaration.check_together(settings))
        over = threading.Event()

        def measure() -> None:
            while not over.wait(0.5):
                memory.append(pss_mb(os.getpid()))

        thread = threading.Thread(target=measure)
        thread.start()
        started, used = time.perf_counter(), processor_s()
        service.run()
        seconds = time.perf_counter() - started
        over.set()
        thread.join()
    fps = [round(frames / seconds, 1) for _ in range(count)]
    return {"fps": fps, "mb": max(memory), "processor_ms": (processor_s() - used) / frames / count * 1e3}


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--cameras", default="1,2,4")
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--realtime", action="store_true", help="at the film's own pace")
    parser.add_argument("--alone", type=int, help="measure so many in this process, and print")
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(watch(args.film, args.frames, args.alone, args.realtime)))
        return
    told: dict[str, Any] = {"film": Path(args.film).name, "frames": args.frames, "rounds": args.rounds}
    measured: dict[int, list[dict[str, Any]]] = {}
    for _ in range(args.rounds):
        for count in map(int, args.cameras.split(",")):
            command = [sys.executable, __file__, args.film, "--frames", str(args.frames), "--alone", str(count)]
            command += ["--realtime"] if args.realtime else []
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured.setdefault(count, []).append(json.loads(done.stdout))
    for count, runs in measured.items():
        told[f"{count} cameras"] = {
            "fps_each": round(statistics.median(fps for one in runs for fps in one["fps"]), 1),
            "mb": round(statistics.median(one["mb"] for one in runs), 1),
            "processor_ms": round(statistics.median(one["processor_ms"] for one in runs), 2),
        }
    keep("cameras", told)


if __name__ == "__main__":
    main()
