"""Long runs: the rate of each of 30 minutes without a pause; memory, files and records over 100,000 watched frames."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np

import edge_nima.service
from benchmarks.harness import Bench, alone, resident
from benchmarks.page_viewer import free_port, viewer
from benchmarks.suites.watch import FILM, service, workers
from edge_nima.frame import Frame
from edge_nima.records import ScoreRecord
from edge_nima.scorer import load_model
from edge_nima.sustained import sustained
from edge_nima.watch.events import Scored
from edge_nima.watch.worker import WorkerProcess, inference_times

LONG = True
FIRST, EVERY = 2000, 1000
"""Frames after which memory, files and threads are first counted, and from one look at them to the next."""


def run(bench: Bench) -> None:
    """Measure and keep."""
    bench.cases(minutes, soak)


def minutes(bench: Bench) -> None:
    """The bare model and `Scorer` without a pause, with the fastest number of threads: each minute, last to first."""
    seconds, every_s = (20.0, 5.0) if bench.quick else (1800.0, 60.0)
    file = load_model()
    times = inference_times(file.content, file.card.preprocessing)
    threads, rates = min(times, key=times.__getitem__), []
    for interval in sustained(file, threads, seconds, every_s):
        bench.keep("minute", threads=threads, model=file.label, every_s=every_s, **interval)
        rates.append(interval["per_second"])
    bench.keep("last minute to first", threads=threads, model=file.label, every_s=every_s, intervals=len(rates),
               first=rates[0], last=rates[-1], ratio=round(rates[-1] / rates[0], 3))  # fmt: skip


def soak(bench: Bench) -> None:
    """Months in minutes: a whole watcher on a looped film, as fast as it goes; what grows, and what is missing.

    Records, the best three of each minute of film within 20 MB, the page with a viewer, and a Mosquitto where one is
    installed. The model scores the first frames; for the rest a stub answers at once. "Within" is the difference to
    after the first 2,000 frames, of the process and its worker together.
    """
    frames, real = (12_000, 500) if bench.quick else (100_000, 10_000)
    bench.keep("soak", **alone(_soak, str(bench.photographs(FILM)), frames, real))


def _soak(film: str, frames: int, real: int) -> dict[str, Any]:
    seen: list[tuple[float, int, int]] = []
    scored, chance = 0, np.random.default_rng(0)

    class StubAfter(WorkerProcess):
        def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
            if scored < real:
                return super().score(picture, name)
            bins = chance.dirichlet(np.ones(10))
            mean = float(bins @ np.arange(1, 11))
            return ScoreRecord(name or picture.name, mean, 1.0, tuple(bins.tolist()), "stub@00000000", 0.1)

    def told(_: Scored) -> None:
        nonlocal scored
        scored += 1
        if scored % EVERY == 0:
            held_mb = sum(map(resident, ("self", *workers()))) / 1e6
            seen.append((held_mb, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))

    with contextlib.ExitStack() as around:
        folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
        port, more = free_port(), around.enter_context(_broker(folder))
        around.enter_context(viewer(port))
        around.enter_context(patch.object(edge_nima.service, "WorkerProcess", StubAfter))
        one = service(told, source=film, loop=True, threads=1, max_frames=frames, out=str(folder / "out"), keep=3,
                      every="1m", max_disk="20MB", web=port, **more)  # fmt: skip
        started = perf_counter()
        one.run()
        seconds, counts = perf_counter() - started, one.statuses()[0].counts
        with contextlib.closing(sqlite3.connect(folder / "out" / "scores.db")) as database:
            rows, moments = database.execute("SELECT count(*), count(DISTINCT taken_at) FROM scores").fetchone()
        kept = [shot.stat().st_size for shot in (folder / "out" / "shots").rglob("*.jpg")]
    first, last = seen[FIRST // EVERY - 1], seen[-1]
    return {
        "film": Path(film).name, "frames": frames, "real": real, "broker": bool(more), "seconds": round(seconds, 1),
        "captured": counts.captured, "scored": counts.scored, "records": rows, "moments": moments,
        "records_lost": counts.records_lost, "published": counts.published, "publish_lost": counts.publish_lost,
        "shots_written": counts.shots, "shots_left": len(kept), "shots_left_mb": round(sum(kept) / 1e6, 1),
        "mb_first": round(first[0], 1), "mb_last": round(last[0], 1), "mb_within": round(last[0] - first[0], 1),
        "mb_most": round(max(mb for mb, _, _ in seen), 1), "files_first": first[1], "files_last": last[1],
        "threads_first": first[2], "threads_last": last[2],
        "mb_every_tenth": [round(mb, 1) for mb, _, _ in seen[:: max(1, len(seen) // 10)]],
    }  # fmt: skip


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[dict[str, str]]:
    """A Mosquitto where there is one, as a setting."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        yield {}
        return
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield {"mqtt": f"127.0.0.1:{port}"}
    finally:
        process.terminate()
        process.wait()
