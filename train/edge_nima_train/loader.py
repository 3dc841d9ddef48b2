"""Packed photographs into batches: read, decoded and cropped by processes, some batches ahead of the network.

Decoding holds Python's lock for a quarter of a millisecond a picture: threads end at 3,000 to 5,000 a second, whatever
the cores. Processes write the pixels into memory that the trainer maps too; no picture goes through a pipe.
"""

from __future__ import annotations

import io
import mmap
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection, get_context, parent_process
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.decode import Pixels
from edge_nima.errors import TrainingError, reason
from edge_nima.scorer import available_cores
from edge_nima_train.order import Epoch
from edge_nima_train.shards import Place, Shards, read_place

AHEAD = 4
"""Batches that are decoded before the network asks for them."""


def decode(content: bytes) -> Pixels:
    """An encoded picture of a shard as uint8, shape (height, width, 3), red first.

    Raises:
        OSError: it is damaged.
    """
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


class Loader:
    """Decodes in processes; a context, so that they end with it.

    A program that trains does so under `if __name__ == "__main__":`, as always where Python starts processes.
    """

    def __init__(self, shards: Shards, batch: int, workers: int = 0) -> None:
        """Start.

        Args:
            shards: what is read.
            batch: the most pictures in one batch.
            workers: processes; 0 for one a core.
        """
        self.shards, self.batch = shards, batch
        self.workers = workers or available_cores()
        self.waited_s = 0.0
        """Seconds for which the caller had to wait for data, so far."""
        self._slot_bytes = batch * shards.size**2 * 3
        # memfd: not /dev/shm, which is 64 MB in a container, and nothing is left of it when this process is killed.
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("edge-nima-batches")
            self._path = f"/proc/{os.getpid()}/fd/{self._fd}"
        else:
            self._fd, self._path = tempfile.mkstemp("edge-nima-batches")
        os.ftruncate(self._fd, self._slot_bytes * (AHEAD + 1))
        self._memory = mmap.mmap(self._fd, 0)
        self._pool = ProcessPoolExecutor(self.workers, get_context("forkserver"), _start_worker)
        self._pending: dict[int, _Filling] = {}
        """By number of the batch."""

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._memory.close()
        os.close(self._fd)
        if not self._path.startswith("/proc/"):
            os.unlink(self._path)

    def batches(self, epoch: Epoch, side: int, batch: int, first: int = 0) -> Iterator[Pixels]:
        """The pictures of an epoch's batches from number `first` on, not mirrored: the network does that.

        Args:
            epoch: which pictures, and where each is cropped.
            side: of the crops, pixels.
            batch: pictures in each; the last one may have fewer.
            first: number of the first one.

        Returns:
            uint8, shape (n, side, side, 3), red first; each array is the caller's own.

        Raises:
            RequestError: a record is damaged, with its name.
            TrainingError: a decoding process was killed.
        """
        last = -(-len(epoch) // batch)
        self._drop()
        try:
            for number in range(first, last):
                for ahead in range(number, min(number + AHEAD + 1, last)):
                    if ahead not in self._pending:
                        draws = range(ahead * batch, min((ahead + 1) * batch, len(epoch)))
                        self._pending[ahead] = self._submit(epoch, side, draws)
                yield self._take(self._pending.pop(number), side)
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that decodes photographs was killed, perhaps for memory (run.workers says how many there "
                'are), or a script trains outside of `if __name__ == "__main__":`'
            ) from error
        finally:
            self._drop()

    def pictures(self, rows: NDArray[np.intp], side: int, batch: int) -> Iterator[Pixels]:
        """Whole pictures of `side` pixels in batches, in the order of `rows`."""
        none = np.zeros(len(rows), np.int64)
        return self.batches(Epoch(rows, none, none, none.astype(bool)), side, batch)

    def _submit(self, epoch: Epoch, side: int, draws: range) -> _Filling:
        taken = {one.slot for one in self._pending.values()}
        slot = next(slot for slot in range(AHEAD + 1) if slot not in taken)
        rows = epoch.rows[draws.start : draws.stop]
        tasks = [
            (i, self.shards.place(int(row)), int(epoch.left[at]), int(epoch.top[at]))
            for i, (at, row) in enumerate(zip(draws, rows, strict=True))
        ]
        # One task a process and batch, not one a photograph: the tasks' own cost would show.
        share = -(-len(tasks) // self.workers)
        futures = [
            self._pool.submit(_fill, self._path, slot * self._slot_bytes, side, tasks[i : i + share])
            for i in range(0, len(tasks), share)
        ]
        return _Filling(slot, rows, futures)

    def _take(self, filling: _Filling, side: int) -> Pixels:
        began = perf_counter()
        faults = [fault for future in filling.futures for fault in future.result()]
        self.waited_s += perf_counter() - began
        for i, what in faults:
            raise self.shards.damage(int(filling.rows[i]), what)
        shape = (len(filling.rows), side, side, 3)
        start = filling.slot * self._slot_bytes
        return np.frombuffer(self._memory, np.uint8, int(np.prod(shape)), start).reshape(shape).copy()

    def _drop(self) -> None:
        """Leave what nobody will ask for, once nobody writes it any more."""
        futures = [future for one in self._pending.values() for future in one.futures]
        wait([future for future in futures if not future.cancel()])
        self._pending.clear()


@dataclass(frozen=True)
class _Filling:
    """A batch on its way."""

    slot: int
    rows: NDArray[np.intp]
    futures: list[Future[list[tuple[int, str]]]]


def _start_worker() -> None:
    """Leave Ctrl-C to the trainer, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@cache
def _mapped(path: str) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _fill(path: str, start: int, side: int, tasks: Sequence[tuple[int, Place, int, int]]) -> list[tuple[int, str]]:
    """Decode pictures into a slot: place in the batch, place in the shards, left and top of the crop.

    Returns:
        Place in the batch, and what is wrong, of each that cannot be read.
    """
    each, faults = side * side * 3, []
    for at, place, left, top in tasks:
        out: NDArray[Any] = np.frombuffer(_mapped(path), np.uint8, each, start + at * each).reshape(side, side, 3)
        try:
            out[:] = decode(read_place(place))[top : top + side, left : left + side]
        except (OSError, ValueError) as error:
            faults.append((at, reason(error)))
    return faults
