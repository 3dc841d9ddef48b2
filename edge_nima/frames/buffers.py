"""Frame buffers that are used again: taken by the thread that reads, given back by whoever closes the frame."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class BufferPool:
    """A few buffers of one shape. When none is free another is made, so that a frame never closed starves nobody."""

    def __init__(self, count: int = 4) -> None:
        """Keep at most `count` free buffers: one being filled, one in the slot, one being scored, one being saved."""
        self._count = count
        self._free: list[NDArray[np.uint8]] = []
        self._shape: tuple[int, int, int] = (0, 0, 0)
        self._turn = threading.Lock()
        self.made = 0
        """Buffers allocated so far."""

    def take(self, height: int, width: int) -> tuple[NDArray[np.uint8], Callable[[], None]]:
        """A buffer, uint8, shape (height, width, 3), C-contiguous, and what gives it back; its content is anything.

        Giving it back twice does nothing more; from any thread.
        """
        shape = (height, width, 3)
        with self._turn:
            if shape != self._shape:  # the camera was set anew: buffers of the old size are of no use
                self._shape = shape
                self._free.clear()
            buffer = self._free.pop() if self._free else None
            if buffer is None:
                self.made += 1
        if buffer is None:
            buffer = np.empty(shape, np.uint8)
        return buffer, _Lease(self, buffer)

    def _give_back(self, buffer: NDArray[np.uint8]) -> None:
        with self._turn:
            if buffer.shape == self._shape and len(self._free) < self._count:
                self._free.append(buffer)


class _Lease:
    """Gives a buffer back once."""

    __slots__ = ("_buffer", "_pool")

    def __init__(self, pool: BufferPool, buffer: NDArray[np.uint8]) -> None:
        self._pool = pool
        self._buffer: list[NDArray[np.uint8]] = [buffer]

    def __call__(self) -> None:
        try:
            buffer = self._buffer.pop()  # one step: two threads that close the same frame do not both get it
        except IndexError:
            return
        self._pool._give_back(buffer)
