"""`edge-nima watch` in a process of its own, for tests of the assembled product."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from watching import until


class Watch:
    """The real command, started with the block and killed at its end where it still runs. stderr goes to a file."""

    def __init__(
        self, folder: Path, *arguments: str | Path | float, first: str = "", env: dict[str, str] | None = None
    ) -> None:
        """Take the arguments of `edge-nima watch`; `first` is Python that runs in the process before it."""
        program = ["-c", f"{first}\nfrom edge_nima.__main__ import main\nmain()"] if first else ["-m", "edge_nima"]
        self.command = [sys.executable, *program, "watch", *map(str, arguments)]
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"watch-{len(list(folder.glob('watch-*.log')))}.log"
        self._env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What it has written to stderr so far."""
        return self.log.read_text()

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said this so often."""
        until(lambda: self.said.count(text) >= times or self.code is not None)
        assert self.said.count(text) >= times, f"{text!r} was not said, exit code {self.code}:\n{self.said}"

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Stop it, or wait for its own end; its exit code."""
        assert self.process is not None
        if number is not None:
            self.send(number)
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdout=subprocess.DEVNULL, env=self._env)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        if error is not None:
            print(self.said)


def rows(out: Path) -> list[tuple[str, float | None]]:
    """Names and means of the records in a folder, in the order of writing."""
    if not (out / "scores.db").exists():
        return []
    with (
        contextlib.closing(sqlite3.connect(f"file:{out}/scores.db?mode=ro", uri=True)) as database,
        contextlib.suppress(sqlite3.OperationalError),  # no table yet
    ):
        return list(database.execute("SELECT name, mean FROM scores ORDER BY id"))
    return []


def kept(out: Path) -> list[Path]:
    """The photographs that a folder keeps."""
    return sorted(out.glob("shots/*/*.jpg"))


def photographs(folder: Path, count: int, start: int = 0, size: tuple[int, int] = (96, 72)) -> list[Path]:
    """Write small photographs that all differ, each in one step as a good program does."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(start, start + count):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        path = folder / f"{number:04}.jpg"
        hidden = folder / f".{path.name}.part"
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(hidden, "JPEG", quality=90)
        hidden.replace(path)
        made.append(path)
    return made
