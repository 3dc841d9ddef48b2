"""What the camera loop costs beyond decoding and scoring, and what a viewer, a dead broker or a full disk changes.

usage: watch_overhead.py FILM [--frames 600] [--rounds 5] [--threads 1]

"bare" reads the film with OpenCV, turns each frame to RGB and calls `Scorer.score`, one after another. "watch" does the
same with its threads, its worker process, SQLite records and the best of each ten seconds kept. All take turns in each
round. Two figures: frames a second, where the watcher may read ahead on another core, and processor time a frame of
the process and its worker together, where it may not hide anything.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import cv2

from edge_nima import open_scorer
from edge_nima.scorer import load_model
from edge_nima.watch.assembly import assemble
from edge_nima.watch.notify import Notifier
from edge_nima.watch.settings import make_settings

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


def watch(film: str, frames: int, threads: int, out: Path, **more: object) -> Measured:
    """The same by a watcher; starting and stopping it is left out of the rate and within the processor time."""
    settings = make_settings(
        {"source": film, "loop": True, "threads": threads, "max_frames": frames, "out": str(out), "keep": 3,
         "every": "10s", **more}
    )  # fmt: skip
    used = processor_s()
    with contextlib.ExitStack() as parts:
        watcher = assemble(settings, parts, Notifier(), (), lambda: True, wait=False)
        starting = processor_s() - used
        started = perf_counter()
        watcher.run()
        seconds = perf_counter() - started
    assert watcher.status().counts.scored == frames, watcher.status()
    return frames / seconds, (processor_s() - used - starting) / frames * 1e3


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
def slow_viewer(port: int) -> Iterator[Callable[[], None]]:
    """Connections to the live picture that never read; opened by the value, once the page is up."""
    opened: list[socket.socket] = []

    def view() -> None:
        line = socket.create_connection(("127.0.0.1", port))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(f"GET /live.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        opened.append(line)

    yield view
    for line in opened:
        line.close()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
