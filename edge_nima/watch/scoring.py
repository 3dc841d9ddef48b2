"""Scoring in a process of its own, which is replaced when it hangs or dies. To its caller it is a scorer."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import EdgeNimaError, ModelError, RequestError
from edge_nima.frames import Frame
from edge_nima.pixels import check_rgb, to_input
from edge_nima.records import ScoreRecord
from edge_nima.scorer import ModelFile, scored
from edge_nima.watch.worker import ANSWER, ASK, START, pixels_offset

RESTARTS_A_MINUTE = 5
"""A worker that dies more often is left alone for the rest of the minute: what kills it does not go away by hurry."""
START_TIMEOUT_S = 60.0
"""Until the model is open and threads are measured; a Pi Zero 2 takes ten seconds."""
_SLICE_S = 0.25
"""How often a wait looks whether it is still wanted."""


class Scoring(Protocol):
    """What a watcher scores with: a `Scorer`, a `ScoringProcess`, or a test's fake."""

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score one frame; EdgeNimaError when it cannot be."""


class WorkerLost(EdgeNimaError, RuntimeError):
    """The worker hung or died; the next call starts another."""

    def __init__(self, told: str, wait_s: float = 0.0) -> None:
        """Take what happened, and how long the next call would be in vain, seconds."""
        super().__init__(told)
        self.wait_s = wait_s


class ScoringProcess:
    """A model in a child process, with a deadline on every answer. One caller at a time."""

    def __init__(
        self,
        model: ModelFile,
        threads: int | None = None,
        *,
        stuck_after_s: float = 10.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare; `start` or the first `score` begins the process.

        Args:
            model: what to score with.
            threads: processor threads for one inference; None measures at the start which number is fastest.
            stuck_after_s: an answer that takes longer has the worker replaced, seconds.
            wanted: asked while waiting; False ends the wait.

        Raises:
            RequestError: `threads` is below 1, or this system cannot pass files to child processes.
        """
        if threads is not None and threads < 1:
            raise RequestError(f"threads is {threads}; possible: 1 and more")
        if os.name != "posix":
            raise RequestError("a scoring process needs Linux or macOS; elsewhere use a Scorer")
        self.model = model
        self.threads = threads
        self.restarts = 0
        """Workers that were replaced."""
        self._stuck_after_s = stuck_after_s
        self._wanted = wanted
        self._how = model.card.preprocessing
        self._described = self._how.describe()
        card = model.card.to_json().encode()
        self._offset = pixels_offset(len(model.content), len(card))
        self._head = len(model.content), len(card), self._offset
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        self._file.write(model.content + card)
        self._file.truncate(self._offset + self._how.height * self._how.width * 3)
        self._file.flush()
        self._memory = mmap.mmap(self._file.fileno(), 0)
        shape = (self._how.height, self._how.width, 3)
        self._pixels = np.frombuffer(self._memory, np.uint8, offset=self._offset).reshape(shape)
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._number = 0
        self._started: deque[float] = deque(maxlen=RESTARTS_A_MINUTE + 1)

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the worker and wait until its model is open.

        Raises:
            ModelError: the runtime refuses the model.
            WorkerLost: it died or took longer than a minute; or it has been started too often in the last minute.
        """
        if len(self._started) == RESTARTS_A_MINUTE + 1 and monotonic() - self._started[0] < 60:
            wait = 60 - (monotonic() - self._started[0])
            raise WorkerLost(
                f"inference failed {RESTARTS_A_MINUTE} times within a minute; the next try is in {wait:.0f} s "
                "(edge-nima doctor)",
                wait,
            )
        self._started.append(monotonic())
        ours, theirs = socket.socketpair()
        # The parent's own path, so that the child imports the same edge_nima wherever it is started from.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with theirs:
            descriptors = theirs.fileno(), self._file.fileno()
            self._file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge_nima.watch.worker", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        ours.settimeout(_SLICE_S)
        self._line = ours
        try:
            ours.sendall(START.pack(*self._head, self.threads or 0))
            told = self._answer(0, START_TIMEOUT_S)
        except (WorkerLost, OSError) as error:
            lost = error if isinstance(error, WorkerLost) else self._died()
            self._drop()
            raise WorkerLost(f"the inference process does not start: {lost}") from None
        if isinstance(told, str):
            self._drop()
            raise ModelError(told)
        self.threads = told[1]

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score one frame.

        Raises:
            PictureError: its pixels are none.
            ModelError: the model gave no distribution.
            WorkerLost: the worker hung, died, or could not be started; the next call starts another.
        """
        started = perf_counter()
        if self._line is None:
            self.restarts += bool(self._started)
            self.start()
        assert self._line is not None
        to_input(check_rgb(picture.rgb), self._how, self._pixels)
        self._number += 1
        try:
            self._line.sendall(ASK.pack(self._number))
            told = self._answer(self._number, self._stuck_after_s)
        except (WorkerLost, OSError) as error:
            lost = error if isinstance(error, WorkerLost) else self._died()
            self._drop()
            raise lost from None
        if isinstance(told, str):
            raise ModelError(told)
        shown = picture.name if name is None else name
        return scored(shown, told[0], self.model.label, perf_counter() - started, self._described)

    def close(self) -> None:
        """End the worker; also when there is none."""
        self._drop()
        if not self._file.closed:
            del self._pixels
            self._memory.close()
            self._file.close()

    def _answer(self, number: int, timeout_s: float) -> tuple[NDArray[np.float64], int] | str:
        """The distribution and the threads; or what is wrong."""
        until = monotonic() + timeout_s
        while True:
            got, good, *rest = ANSWER.unpack(self._receive(ANSWER.size, until))
            told = "" if good else self._receive(rest[-1], until).decode()
            if got == number:
                return told if not good else (np.array(rest[:-1]), rest[-1])

    def _receive(self, size: int, until: float) -> bytes:
        assert self._line is not None
        data = b""
        while len(data) < size:
            try:
                part = self._line.recv(size - len(data))
            except TimeoutError:
                if not self._wanted():
                    raise WorkerLost("stopped while an inference was running") from None
                if monotonic() >= until:
                    raise WorkerLost("an inference hangs; its process is replaced") from None
                continue
            if not part:
                raise self._died()
            data += part
        return data

    def _died(self) -> WorkerLost:
        assert self._process is not None
        try:
            code = self._process.wait(1.0)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            how = "it closed its line"
        return WorkerLost(f"the inference process died ({how}); it is replaced")

    def _drop(self) -> None:
        line, process, self._line, self._process = self._line, self._process, None, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # in the kernel's hands; reaped by the next Popen
                process.wait(2.0)
