"""Scoring in a process of its own, which is replaced when it hangs or dies. To its callers it is a scorer."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from edge_nima.decode import Pixels, check_rgb
from edge_nima.errors import EdgeNimaError, ModelError, reason
from edge_nima.frame import Frame
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Preprocessing, to_input
from edge_nima.records import ScoreRecord
from edge_nima.scorer import ModelFile, default_threads, scored

RESTARTS_A_MINUTE = 5
"""A worker that dies more often is not restarted for the rest of the minute."""
START_TIMEOUT_S = 60.0  # until the model is open and threads are measured; a Pi Zero 2 takes ten seconds
_SLICE_S = 0.25  # how often a wait checks whether it is still wanted
_RUNS = 7  # of an inference that is timed


class WorkerLost(EdgeNimaError, RuntimeError):
    """The worker hung or died; the next call starts another."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        """Take what happened, and for how long further calls are in vain, seconds."""
        super().__init__(text)
        self.wait_s = wait_s


class WorkerProcess:
    """A model in a child process, with a deadline on every answer. Many threads may call it; one is served at a time.

    The model and the pixels lie in a file that both map; questions and answers go through a pipe. Not a `Process` of
    multiprocessing: that starts a second process (its resource tracker, 6 MB), and runs its parent's script again.
    """

    def __init__(
        self,
        model: ModelFile,
        threads: int | None = None,
        *,
        stuck_after_s: float = 10.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare; `start` or the first `score` starts the process, which measures the fastest `threads` if not given.

        A worker whose answer takes longer than `stuck_after_s` is replaced; waiting for other callers is extra. A wait
        ends when `wanted`, called several times a second, gives False.
        """
        self.model = model
        self.threads = threads
        self.restarts = 0  # workers that were replaced
        self._stuck_after_s, self._wanted = stuck_after_s, wanted
        self._how = model.card.preprocessing
        self._offset = -(-len(model.content) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        self._file.write(model.content)
        self._file.truncate(self._offset + self._how.height * self._how.width * 3)
        self._file.flush()
        self._pixels = _mapped_pixels(self._file.fileno(), self._offset, self._how)
        self._lock = threading.Lock()
        self._input = threading.local()  # each caller's pixels: a new array each time would be new pages each time
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._started: deque[float] = deque(maxlen=RESTARTS_A_MINUTE + 1)

    @property
    def pid(self) -> int | None:
        """The worker's process id; None before the start and after it was lost."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Start the worker, unless it runs, and wait until its model is open. ModelError, WorkerLost as in `score`."""
        with self._lock:
            if self._pipe is None:
                self._start()

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score one frame. `elapsed_ms` leaves out the time in which others were served.

        PictureError for invalid pixels; ModelError when the model gives no distribution; WorkerLost when the worker
        hung, died, or could not be started: the next call starts another.
        """
        began = perf_counter()
        pixels = getattr(self._input, "pixels", None)
        if pixels is None:
            pixels = self._input.pixels = np.empty_like(self._pixels)
        to_input(check_rgb(picture.rgb), self._how, pixels)
        elapsed = perf_counter() - began
        with self._lock:
            began = perf_counter()
            if self._pipe is None:
                self.restarts += bool(self._started)
                self._start()
            np.copyto(self._pixels, pixels)
            try:
                answer = self._ask(None, self._stuck_after_s)
            except WorkerLost:
                self._drop()
                raise
        elapsed += perf_counter() - began
        return scored(picture.name if name is None else name, answer, self.model.label, elapsed, self._how.describe())

    def close(self) -> None:
        """End the worker, also when there is none and while a call waits for it."""
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._drop()
            self._file.close()
            self._pixels = np.empty(0, np.uint8)  # which unmaps the file

    def _start(self) -> None:
        wait = self._started[0] + 60 - monotonic() if len(self._started) > RESTARTS_A_MINUTE else 0.0
        if wait > 0:
            text = f"inference failed {RESTARTS_A_MINUTE} times within a minute; the next try is in {wait:.0f} s"
            raise WorkerLost(f"{text} (edge-nima doctor)", wait)
        self._started.append(monotonic())
        self._pipe, theirs = Pipe()
        # The parent's own path, so that the child imports the same edge_nima wherever it is started from.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        try:
            with theirs:
                descriptors = theirs.fileno(), self._file.fileno()
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__, *map(str, descriptors)], pass_fds=descriptors,
                    stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}, process_group=0,
                )  # fmt: skip
            question = len(self.model.content), self._offset, self._how, self.threads
            self.threads = self._ask(question, START_TIMEOUT_S)
        except BaseException as error:
            self._drop()
            if isinstance(error, WorkerLost | OSError):
                raise WorkerLost(f"the inference process does not start: {reason(error)}") from None
            raise

    def _ask(self, question: object, timeout_s: float) -> Any:
        # Waits for the answer; one of text is an error of the model.
        assert self._pipe is not None
        assert self._process is not None
        until = monotonic() + timeout_s
        try:
            self._pipe.send(question)
            while not self._pipe.poll(_SLICE_S):
                if not self._wanted():
                    raise WorkerLost("stopped while an inference was running")
                if monotonic() >= until:
                    raise WorkerLost("an inference hangs; its process is replaced")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            try:
                code = self._process.wait(1.0)
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
            except subprocess.TimeoutExpired:
                how = "it closed its pipe"
            raise WorkerLost(f"the inference process died ({how}); it is replaced") from None
        if isinstance(answer, str):
            raise ModelError(answer)
        return answer

    def _drop(self) -> None:
        pipe, process, self._pipe, self._process = self._pipe, self._process, None, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # in the kernel's hands; reaped by the next Popen
                process.wait(2.0)


def _mapped_pixels(file: int, offset: int, how: Preprocessing) -> Pixels:
    size = how.height * how.width * 3
    pixels = np.frombuffer(mmap.mmap(file, offset + size), np.uint8, size, offset)
    return pixels.reshape(how.height, how.width, 3)


def _serve(pipe: Connection, file: int) -> None:
    # The child: opens the model, then answers until the other side is gone, which alone ends it.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        size, offset, how, threads = pipe.recv()
        content = os.pread(file, size, 0)
        try:
            if threads is None:  # the fewest that are at most a tenth slower than the fastest
                times = inference_times(content, how)
                threads = next(number for number, seconds in times.items() if seconds <= 1.1 * min(times.values()))
            interpreter = Interpreter(content, how, threads)
        except EdgeNimaError as error:
            pipe.send(reason(error))
            return
        pipe.send(threads)
        pixels = _mapped_pixels(file, offset, how)
        while True:
            pipe.recv()
            np.copyto(interpreter.pixels, pixels)
            try:
                answer: Any = interpreter.run()
            except (EdgeNimaError, RuntimeError, ValueError) as error:  # the last two from inside the runtime
                answer = reason(error)
            pipe.send(answer)


def inference_times(content: bytes, how: Preprocessing) -> dict[int, float]:
    """Median seconds of an inference with 1, 2, ... threads, as many as this machine has for it."""
    return {threads: inference_time(content, how, threads) for threads in range(1, default_threads() + 1)}


def inference_time(content: bytes, how: Preprocessing, threads: int) -> float:
    """Median seconds of an inference with so many threads."""
    interpreter = Interpreter(content, how, threads)
    taken = []
    for _ in range(_RUNS + 2):
        started = perf_counter()
        interpreter.run()
        taken.append(perf_counter() - started)
    return median(taken[2:])  # the first runs allocate


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent's business
        signal.signal(number, signal.SIG_IGN)
    _serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
