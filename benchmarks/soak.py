"""Months in minutes: memory, open files and threads over 100,000 frames, and whether a record is missing.

usage: soak.py FILM [--frames 100000] [--real 10000] [--no-keep]

A whole watcher on a looped film, as fast as it goes: SQLite records, the best three of each minute of film kept within
20 MB, the page with a viewer in a process of its own, and a Mosquitto where one is installed. The model scores the
first frames; for the rest a stub answers, with means of its own, in no time. "Within" is the difference to after the
first 2,000 frames, of the process and its worker together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import keep, machine
from watch_overhead import free_port, service, viewer

from edge_nima import service as module
from edge_nima.records import ScoreRecord
from edge_nima.sources import Frame
from edge_nima.watch.events import Listener, Scored
from edge_nima.watch.worker import WorkerProcess

FIRST = 2000
EVERY = 1000


class StubAfter(WorkerProcess):
    """The model for `real` frames; then another histogram each time, at once."""

    real = 0

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score, or make something up."""
        StubAfter.real -= 1
        if StubAfter.real >= 0:
            return super().score(picture, name)
        bins = _RANDOM.dirichlet(np.ones(10))
        mean = float(bins @ np.arange(1, 11))
        return ScoreRecord(name or picture.name, mean, 1.0, tuple(bins.tolist()), "stub@00000000", 0.1)


_RANDOM = np.random.default_rng(0)


class Looker(Listener):
    """Measures this process every so many frames."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float, int, int]] = []
        self._frames = 0

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Count, and now and then look."""
        self._frames += 1
        if self._frames % EVERY == 0:
            mb = sum(resident_mb(pid) for pid in (os.getpid(), *children()))
            files, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
            self.seen.append((self._frames, mb, files, threads))


def children() -> list[int]:
    """This process's children that are this very program: its workers."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if "worker" in Path(f"/proc/{pid}/cmdline").read_text()]


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[dict[str, str]]:
    """A Mosquitto where there is one, as a setting."""
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None:
        yield {}
        return
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield {"mqtt": f"127.0.0.1:{port}"}
    finally:
        process.terminate()
        process.wait()


def soak(film: str, frames: int, real: int) -> dict[str, Any]:
    """Watch, and what was seen."""
    looker = Looker()
    with contextlib.ExitStack() as around:
        folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        more = around.enter_context(broker(folder))
        around.enter_context(viewer(port, reads=True))
        module.WorkerProcess, StubAfter.real = StubAfter, real  # type: ignore[misc]
        one = service(
            looker, source=film, loop=True, threads=1, max_frames=frames, out=str(folder / "out"), keep=3, every="1m",
            max_disk="20MB", web=port, **more,
        )  # fmt: skip
        started = time.monotonic()
        one.run()
        seconds = time.monotonic() - started
        counts = one.statuses()[0].counts
        with contextlib.closing(sqlite3.connect(folder / "out" / "scores.db")) as database:
            rows, different = database.execute("SELECT count(*), count(DISTINCT taken_at) FROM scores").fetchone()
        kept = list((folder / "out" / "shots").rglob("*.jpg"))
        disk = sum(shot.stat().st_size for shot in kept)
    first = next(seen for seen in looker.seen if seen[0] == FIRST)
    last = looker.seen[-1]
    told = {"film": Path(film).name, "frames": frames, "real": real, "broker": bool(more), "seconds": round(seconds, 1)}
    told |= {"captured": counts.captured, "scored": counts.scored, "records": rows, "moments": different}
    told |= {"records_lost": counts.records_lost, "published": counts.published, "publish_lost": counts.publish_lost}
    told |= {"shots_written": counts.shots, "shots_left": len(kept), "shots_left_mb": round(disk / 1e6, 1)}
    told |= {"mb_first": round(first[1], 1), "mb_last": round(last[1], 1), "mb_within": round(last[1] - first[1], 1)}
    told |= {"mb_most": round(max(seen[1] for seen in looker.seen), 1)}
    told |= {"files_first": first[2], "files_last": last[2], "threads_first": first[3], "threads_last": last[3]}
    return told | {"mb_every_tenth": [round(seen[1], 1) for seen in looker.seen[:: max(1, len(looker.seen) // 10)]]}


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--real", type=int, default=10_000)
    parser.add_argument("--no-keep", action="store_true", help="print the result only")
    args = parser.parse_args()
    result = soak(args.film, args.frames, args.real)
    if args.no_keep:
        print(json.dumps({"benchmark": "soak", **result, "machine": machine()}))
    else:
        keep("soak", result)


if __name__ == "__main__":
    sys.exit(main())
