"""The camera loop: what it adds to decoding and scoring, the age of scores, several cameras, a million records."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, sleep, time
from typing import Any
from unittest.mock import patch

import edge_nima.service
from benchmarks.harness import EDGE_NIMA, Bench, alone, measured_process, median, processes_in_turn
from benchmarks.page_viewer import free_port, viewer
from edge_nima import open_scorer
from edge_nima.frame import Frame
from edge_nima.measuring import percentiles, ratio
from edge_nima.records import ScoreRecord
from edge_nima.service import Service, declare
from edge_nima.watch.events import Listener, Scored
from edge_nima.watch.records import Records
from edge_nima.watch.units import utc_text
from edge_nima.watch.worker import WorkerProcess

FILM = "videos/car-detection.mp4"
SLOWER_BOARD_S = 0.08
BATCH, STEP_S = 10, 5.0
"""Records in a write; seconds from one record to the next."""


def run(bench: Bench) -> None:
    """Measure and keep."""
    bench.cases(overhead, age, cameras, records)


def overhead(bench: Bench) -> None:
    """A whole watcher beside decoding and `Scorer.score` in one loop; with viewers, no broker, a full disk.

    The watcher has its threads, its worker process, its records and the best three of each ten minutes kept; starting
    and stopping are left out. Frames a second, where it may read ahead on another core, and processor time a frame of
    the process and its worker together, where nothing is hidden.
    """
    film, frames, port = str(bench.photographs(FILM)), 100 if bench.quick else 3000, free_port()
    ways: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "watch": (contextlib.nullcontext, {}),
        "a viewer": (lambda: viewer(port), {"web": port}),
        "a viewer that never reads": (lambda: viewer(port, reads=False), {"web": port}),
        "no broker": (contextlib.nullcontext, {"mqtt": "127.0.0.1:1"}),
    }
    if os.geteuid() == 0:  # who may mount
        ways["a full disk"] = _full_disk, {}
    rates: dict[str, list[float]] = {way: [] for way in ("bare", *ways)}
    processor: dict[str, list[float]] = {way: [] for way in rates}
    for _ in range(bench.rounds(5, 1)):
        for way in rates:
            around, settings = ways.get(way, (contextlib.nullcontext, {}))
            with tempfile.TemporaryDirectory() as folder, around() as full:
                one = _bare(film, frames) if way == "bare" else _watch(film, frames, full or folder, **settings)
            rates[way].append(one[0])
            processor[way].append(one[1])
    for way, values in rates.items():
        to = {"bare": None, "watch": "bare"}.get(way, "watch")
        against = {"to": to, "rate": ratio(rates, way, to), "processor": ratio(processor, way, to)} if to else {}
        bench.keep("overhead", values, "frames/s", 1, of=way, frames=frames, film=Path(film).name,
                   processor_ms=median(processor[way]), **against)  # fmt: skip


def age(bench: Bench) -> None:
    """From capture to score, when frames come faster than a slower board scores them."""
    film, frames = str(bench.photographs(FILM)), 40 if bench.quick else 300
    taken: list[float] = []
    ages: list[float] = []

    class Slower(WorkerProcess):
        def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
            started = perf_counter()
            record = super().score(picture, name)
            sleep(max(0.0, SLOWER_BOARD_S - (perf_counter() - started)))
            taken.append((perf_counter() - started) * 1e3)
            return record

    with tempfile.TemporaryDirectory() as folder, patch.object(edge_nima.service, "WorkerProcess", Slower):
        one = service(lambda scored: ages.append(scored.age_ms), source=film, loop=True, realtime=True, threads=1,
                      max_frames=frames, out=folder)  # fmt: skip
        one.run()
    counts = one.statuses()[0].counts
    most = max(age / ms for age, ms in zip(ages, taken, strict=True))
    bench.keep("age", ages, threads=1, film=Path(film).name, captured=counts.captured, scored=counts.scored,
               inference=percentiles(taken), most_in_inferences=round(most, 3))  # fmt: skip


def cameras(bench: Bench) -> None:
    """One, two and four cameras in one service, which share one scoring process: rate of each, memory, processor."""
    film, frames = str(bench.photographs(FILM)), 60 if bench.quick else 1500
    measured: dict[int, list[dict[str, float]]] = {1: [], 2: [], 4: []}
    for _ in range(bench.rounds(3, 1)):
        for count, runs in measured.items():
            runs.append(alone(_cameras, film, frames, count))
    for count, runs in measured.items():
        bench.keep("cameras", [one["fps"] for one in runs], "frames/s of each", 1, cameras=count, frames=frames,
                   film=Path(film).name, pss_mb=median([one["pss_mb"] for one in runs]),
                   processor_ms=median([one["processor_ms"] for one in runs]))  # fmt: skip


def records(bench: Bench) -> None:
    """A year of records, one in five seconds up to now: writing ten, keeping them, asking for the best, exporting.

    The writes are synced. Questions are whole commands; the file is in the operating system's memory.
    """
    rows, batches = (20_000, 30) if bench.quick else (1_000_000, 300)
    week = (datetime.now(UTC) - timedelta(days=7)).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as folder:
        writes = _write(Path(folder), rows, batches)
        size = (Path(folder) / "scores.db").stat().st_size
        bench.keep("write of ten", writes, rows=rows, bytes_a_row=round(size / rows, 1))
        best = [EDGE_NIMA, "best", folder]
        questions: dict[str, list[str | Path]] = {
            "--help": [*best, "--help"],
            "top": [*best, "--top", "10"],
            "top since 2 hours": [*best, "--top", "10", "--since", "2h"],
            "top since 7 days": [*best, "--top", "10", "--since", week],
            "top of a camera": [*best, "--top", "10", "--camera", "garden"],
        }
        for question, found in processes_in_turn(questions, bench.rounds(5)).items():
            bench.keep("best", found["s"], "s", rows=rows, question=question, peak_mib=max(found["mib"]))
        seconds, mib, _ = measured_process([*best, "--export", "csv"])
        bench.keep("export", [seconds], "s", rows=rows, peak_mib=mib)


class _OnScore(Listener):
    def __init__(self, told: Callable[[Scored], None]) -> None:
        self._told = told

    def scored(self, scored: Scored, frame: Frame) -> None:
        self._told(scored)


def service(told: Callable[[Scored], None], **settings: Any) -> Service:
    """A service with these settings, not running; `told` is called with each score."""
    declaration = declare()
    checked = declaration.check_together(declaration.settings(settings))
    return Service(checked, listeners=[_OnScore(told)])


def workers(pid: int | str = "self") -> list[int]:
    """Process ids of a process's scoring processes."""
    return [child for child in _children(pid) if "worker" in Path(f"/proc/{child}/cmdline").read_text()]


def _children(pid: int | str) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _bare(film: str, frames: int) -> tuple[float, float]:
    """Decode, convert the colours and score: frames a second, processor milliseconds a frame."""
    import cv2

    scorer, capture = open_scorer(threads=1), cv2.VideoCapture(film)
    started, used = perf_counter(), _processor_s()
    for _ in range(frames):
        got, frame = capture.read()
        if not got:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            got, frame = capture.read()
        scorer.score(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames / (perf_counter() - started), (_processor_s() - used) / frames * 1e3


def _watch(film: str, frames: int, out: str, **more: Any) -> tuple[float, float]:
    """The same by a service, from its first score to its last."""
    moments: list[float] = []
    used: list[float] = []

    def told(_: Scored) -> None:
        moments.append(perf_counter())
        if not used:
            used.append(_processor_s() + sum(map(_worker_s, workers())))

    one = service(told, source=film, loop=True, threads=1, max_frames=frames, out=out, keep=3, **more)
    one.run()
    assert one.statuses()[0].counts.scored == frames, one.statuses()
    return (frames - 1) / (moments[-1] - moments[0]), (_processor_s() - used[0]) / (frames - 1) * 1e3


def _processor_s() -> float:
    """User and system time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _worker_s(pid: int) -> float:
    """User and system time of a child that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _full_disk() -> Iterator[str]:
    """A file system of 1 MB with no room left."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:
            with contextlib.suppress(OSError), open(f"{folder}/filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def _cameras(film: str, frames: int, count: int) -> dict[str, float]:
    """So many cameras, all in this process."""
    sizes: list[float] = []
    over, declaration = threading.Event(), declare()

    def measure() -> None:
        while not over.wait(0.5):
            sizes.append(_pss_mb("self"))

    with tempfile.TemporaryDirectory() as folder:
        settings = declaration.settings(
            {"loop": True, "threads": 1, "max_frames": frames, "out": folder, "keep": 1},
            {"camera": [{"source": (film,), "name": f"camera{number}"} for number in range(count)]},
        )
        one = Service(declaration.check_together(settings))
        thread = threading.Thread(target=measure)
        thread.start()
        started, used = perf_counter(), _processor_s()
        one.run()
        seconds = perf_counter() - started
        over.set()
        thread.join()
    used = _processor_s() - used
    return {"fps": frames / seconds, "pss_mb": max(sizes), "processor_ms": used / frames / count * 1e3}


def _pss_mb(pid: int | str) -> float:
    """Proportional set size of a process and its children, which counts once what they share; 10^6 bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own * 1024 / 1e6 + sum(map(_pss_mb, _children(pid)))


def _write(folder: Path, rows: int, batches: int) -> list[float]:
    """Write so many records as a watcher does, the last batches of ten timed, milliseconds each."""
    store, made, left = Records(folder), _made(rows), rows - batches * BATCH
    while left > 0:
        size = min(left, 5000)
        store.write([next(made) for _ in range(size)])
        left -= size
    took = []
    for _ in range(batches):
        batch = [next(made) for _ in range(BATCH)]
        started = perf_counter()
        store.write(batch)
        took.append((perf_counter() - started) * 1e3)
    store.close()
    return took


def _made(rows: int) -> Iterator[Scored]:
    """Records of a camera until now; one in a thousand failed."""
    chance, begin = random.Random(1), time() - rows * STEP_S
    for number in range(rows):
        at = begin + number * STEP_S
        name, mean = f"garden/{utc_text(at)}", chance.gauss(4.8, 0.6)
        shares = [chance.random() for _ in range(10)]
        bins = tuple(share / sum(shares) for share in shares)
        record = ScoreRecord(name, mean, 1.4, bins, "mobilenet-ava-int8@01234567", 21.5, None, "224x224 stretch")
        if number % 1000 == 999:
            record = ScoreRecord(name, None, None, None, record.model, 0.4, "damaged frame", record.preprocessing)
        yield Scored(record, "garden", at, 35.2)
