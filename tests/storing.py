"""Records to write, small disks to write them to, and writers that are killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Scored

AT = 1764000000.0  # 2025-11-24T16:00:00Z
SHARES = tuple(float(share) for share in np.arange(1, 11) / 55)


def scored(number: int = 0, *, name: str | None = None, at: float | None = None, camera: str = "garden") -> Scored:
    """A record of a camera: its name says its number, each a second after the one before."""
    record = ScoreRecord(
        f"{camera}/{number:06}" if name is None else name, 1 + number % 900 / 100, 1.25, SHARES, "fake@ffffffff", 12.5,
        preprocessing="224x224 nearest",
    )  # fmt: skip
    return Scored(record, camera, AT + number if at is None else at, 40.25)


def failed(number: int = 0, error: str = "no distribution") -> Scored:
    """A record of a frame that could not be scored."""
    record = ScoreRecord(f"garden/{number:06}", None, None, None, "fake@ffffffff", 0.0, error)
    return Scored(record, "garden", AT + number, 40.25)


def until(condition: Callable[[], bool], seconds: float = 60.0, what: str = "it did not come to that") -> None:
    """Wait for it; the time is for a machine that is busy, and for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A real file system of so many bytes in `folder`."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount to make a small file system")
    if mounted.returncode:
        pytest.skip("needs root to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def filled(disk: Path, leave: int = 0) -> Iterator[None]:
    """The disk is full within the block, but for `leave` bytes."""
    filler = disk / "filler"
    try:
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, filler.stat().st_size - leave)
        yield
    finally:
        filler.unlink(missing_ok=True)


class Writer:
    """A Python program in a process of its own that is killed in the middle of its work."""

    def __init__(self, code: str, *arguments: object) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, env=environment
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def kill(self) -> list[str]:
        """SIGKILL; the lines that it had printed and that were not read."""
        self._process.kill()
        said, _ = self._process.communicate()
        return said.decode().rpartition("\n")[0].splitlines()
