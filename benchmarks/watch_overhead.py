"""What the camera loop costs beyond decoding and scoring, and what a viewer, a dead broker or a full disk changes.

usage: watch_overhead.py FILM [--frames 3000] [--rounds 5] [--threads 1]

"bare" reads the film with OpenCV, turns each frame to RGB and calls `Scorer.score`, one after another. "watch" does the
same with its threads, its worker process, SQLite records and the best three of each ten minutes kept. All take turns in
each round; starting and stopping are left out. Two figures: frames a second, where the watcher may read ahead on
another core, and processor time a frame of the process and its worker together, where it may not hide anything.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import cv2
from machine import keep

from edge_nima import open_scorer
from edge_nima.scorer import load_model
from edge_nima.service import Service, declare
from edge_nima.sources import Frame
from edge_nima.watch.events import Listener, Scored

Measured = tuple[float, float]
"""Frames a second; processor milliseconds a frame."""


def processor_s() -> float:
    """User and system time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def bare(film: str, frames: int, threads: int) -> Measured:
    """Decode, cvtColor and `Scorer.score`."""
    scorer = open_scorer(load_model(), threads)
    capture = cv2.VideoCapture(film)
    started, used = perf_counter(), processor_s()
    for _ in range(frames):
        got, frame = capture.read()
        if not got:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            got, frame = capture.read()
        scorer.score(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames / (perf_counter() - started), (processor_s() - used) / frames * 1e3


class FirstFrame(Listener):
    """Notes when the first frame was scored and what was used until then, and when the last one was."""

    at: float | None = None
    last = used = 0.0

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Note it."""
        self.last = perf_counter()
        if self.at is None:
            self.used, self.at = processor_s() + worker_s(), self.last


def service(listener: Listener, **settings: object) -> Service:
    """A service with these settings, not running."""
    declaration = declare()
    return Service(declaration.check_together(declaration.settings(settings)), listeners=[listener])


def watch(film: str, frames: int, threads: int, out: Path, **more: object) -> Measured:
    """The same by the service, from its first score to its last."""
    first = FirstFrame()
    one = service(
        first, source=film, loop=True, threads=threads, max_frames=frames, out=str(out), keep=3, **more
    )  # fmt: skip
    one.run()
    assert first.at is not None
    seconds = first.last - first.at
    assert one.statuses()[0].counts.scored == frames, one.statuses()
    return (frames - 1) / seconds, (processor_s() - first.used) / (frames - 1) * 1e3


def worker_s() -> float:
    """User and system time of this process's children so far: what starting the worker took."""
    total = 0.0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


@contextlib.contextmanager
def full_disk() -> Iterator[Path]:
    """A file system of 1 MB with no room left; takes root."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:
            with contextlib.suppress(OSError), open(f"{folder}/filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def viewer(port: int, reads: bool) -> Iterator[None]:
    """Somebody who looks at the page, in a process of their own."""
    script = Path(__file__).with_name("page_viewer.py")
    command = [sys.executable, script, str(port), *([] if reads else ["never-reads"])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.terminate()
        # Not waited for within the measurement's processor time: that counts children which have been.
        told = process.communicate()[0]
        assert not reads or int(told.split()[0]) > 10, f"the viewer saw {told}"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    port = free_port()
    measured: dict[str, list[Measured]] = {}
    for _ in range(args.rounds):
        for name in ("bare", "watch", "a viewer", "a viewer that never reads", "no broker", "a full disk"):
            with tempfile.TemporaryDirectory() as folder:
                measured.setdefault(name, []).append(_once(name, args, Path(folder), port))
    told = {
        name: {
            "fps": round(statistics.median(fps for fps, _ in runs), 1),
            "processor_ms_a_frame": round(statistics.median(ms for _, ms in runs), 3),
        }
        for name, runs in measured.items()
    }
    for name, runs in measured.items():
        against = "bare" if name == "watch" else "watch"
        if name != "bare":
            pairs = list(zip(runs, measured[against], strict=True))
            told[name][f"fps_over_{against}"] = round(statistics.median(a[0] / b[0] for a, b in pairs), 3)
            told[name][f"processor_over_{against}"] = round(statistics.median(a[1] / b[1] for a, b in pairs), 3)
    keep(
        "watch_overhead",
        {"film": Path(args.film).name, "frames": args.frames, "rounds": args.rounds, "threads": args.threads, **told},
    )


def _once(name: str, args: argparse.Namespace, folder: Path, port: int) -> Measured:
    if name == "bare":
        return bare(args.film, args.frames, args.threads)
    if name == "no broker":
        return watch(args.film, args.frames, args.threads, folder, mqtt="127.0.0.1:1")
    if name == "a full disk":
        with full_disk() as small:
            return watch(args.film, args.frames, args.threads, small)
    if name.startswith("a viewer"):
        with viewer(port, reads=name == "a viewer"):
            return watch(args.film, args.frames, args.threads, folder, web=port)
    return watch(args.film, args.frames, args.threads, folder)


if __name__ == "__main__":
    main()
