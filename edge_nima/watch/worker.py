"""The child process that runs the model: what hangs or dies there is replaced and takes nothing with it.

Pixels go through shared memory, numbers through a socket. It is started by `ScoringProcess`, with two file descriptors:
the socket, and a file that holds the model, then the card, then the pixels.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
from time import perf_counter

import numpy as np

from edge_nima.card import Card
from edge_nima.distribution import BINS
from edge_nima.errors import EdgeNimaError, reason
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Pixels, Preprocessing
from edge_nima.scorer import default_threads

START = struct.Struct("<QQQI")
"""To the worker: bytes of the model, bytes of the card, where the pixels begin, threads (0 for "measure")."""
ASK = struct.Struct("<Q")
"""To the worker: score what the shared memory holds; a number that the answer repeats."""
ANSWER = struct.Struct(f"<QB{BINS}dI")
"""From the worker: the number, whether it went well, the ten proportions, threads; or else how long the text is."""


def pixels_offset(model: int, card: int) -> int:
    """Where the pixels begin in the shared file: page by page."""
    return -(-(model + card) // mmap.PAGESIZE) * mmap.PAGESIZE


def fastest_threads(content: bytes, how: Preprocessing, runs: int = 7) -> int:
    """Threads for one inference, by trying 1, 2, ... on this machine; more only where it gains at least a tenth."""
    best, best_s = 1, float("inf")
    random = np.random.default_rng(0)
    for threads in range(1, default_threads() + 1):
        interpreter = Interpreter(content, how, threads)
        interpreter.pixels[...] = random.integers(0, 256, interpreter.pixels.shape, dtype=np.uint8)
        taken = []
        for run in range(runs + 2):
            started = perf_counter()
            interpreter.run()
            if run >= 2:  # the first runs allocate
                taken.append(perf_counter() - started)
        seconds = sorted(taken)[runs // 2]
        if seconds < 0.9 * best_s:
            best, best_s = threads, seconds
    return best


def serve(socket_fd: int, memory_fd: int) -> None:
    """Answer until the other side is gone."""
    with socket.socket(fileno=socket_fd) as line, os.fdopen(memory_fd, "r+b") as file:
        head = _receive(line, START.size)
        if head is None:
            return
        model, card, offset, threads = START.unpack(head)
        with mmap.mmap(file.fileno(), 0) as memory:
            how = Card.from_json(memory[model : model + card]).preprocessing
            pixels = np.frombuffer(memory, np.uint8, how.height * how.width * 3, offset)
            _score_until_gone(line, pixels.reshape(how.height, how.width, 3), memory[:model], how, threads)
            del pixels  # a view of it would keep the map from closing


def _score_until_gone(
    line: socket.socket, shared: Pixels, content: bytes, how: Preprocessing, threads: int
) -> None:  # fmt: skip
    try:
        threads = threads or fastest_threads(content, how)
        interpreter = Interpreter(content, how, threads)
    except EdgeNimaError as error:
        _fail(line, 0, reason(error))
        return
    line.sendall(ANSWER.pack(0, 1, *([0.0] * BINS), threads))
    while (asked := _receive(line, ASK.size)) is not None:
        (number,) = ASK.unpack(asked)
        np.copyto(interpreter.pixels, shared)
        try:
            distribution = interpreter.run()
        except (EdgeNimaError, RuntimeError, ValueError) as error:  # the last two from inside the runtime
            _fail(line, number, reason(error))
            continue
        line.sendall(ANSWER.pack(number, 1, *distribution.tolist(), threads))


def _fail(line: socket.socket, number: int, text: str) -> None:
    told = text.encode()
    line.sendall(ANSWER.pack(number, 0, *([0.0] * BINS), len(told)) + told)


def _receive(line: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def main() -> None:
    """Begin: the parent's Ctrl-C and SIGTERM are the parent's business, its end is ours."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(int(sys.argv[1]), int(sys.argv[2]))
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


if __name__ == "__main__":
    main()
