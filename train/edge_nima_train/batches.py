"""Batches of training photographs: read, decoded, cropped and flipped by threads, some batches ahead of the network."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.errors import RequestError, printable, reason
from edge_nima.in_order import in_order
from edge_nima.pixels import Pixels
from edge_nima_train.order import Epoch
from edge_nima_train.shards import Shards

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
    """Decodes on threads; use it as a context, so that they end with it."""

    def __init__(self, shards: Shards, size: int, workers: int = 0) -> None:
        """Take the shards, the side of the crops in pixels, and how many threads decode (0: one a core)."""
        self._shards, self._size = shards, size
        self._workers = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, "decode")
        self.waited_s = 0.0
        """Seconds for which the caller had to wait for data, so far."""

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, epoch: Epoch, batch: int, first: int = 0) -> Iterator[tuple[Pixels, NDArray[np.intp]]]:
        """An epoch's batches from number `first` on.

        Returns:
            uint8, shape (batch, size, size, 3), red first, and the rows in it. Each array is the caller's own.

        Raises:
            RequestError: a record is damaged, with its name.
        """
        size = min(batch, len(epoch))
        starts = range(first * size, len(epoch) - size + 1, size)
        pending: deque[tuple[Pixels, list[Future[None]], NDArray[np.intp]]] = deque()
        try:
            for start in starts:
                pending.append(self._submit(epoch, start, size))
                if len(pending) > AHEAD:
                    yield self._take(pending.popleft())
            while pending:
                yield self._take(pending.popleft())
        finally:
            for _, futures, _ in pending:
                for future in futures:
                    future.cancel()

    def pictures(self, rows: NDArray[np.intp]) -> Iterator[Pixels]:
        """Whole pictures one by one, in the order of `rows`."""
        yield from in_order(self._decode, rows.tolist(), self._workers)

    def _submit(self, epoch: Epoch, start: int, size: int) -> tuple[Pixels, list[Future[None]], NDArray[np.intp]]:
        out = np.empty((size, self._size, self._size, 3), np.uint8)
        # One task a thread and batch, not one a photograph: the tasks' own cost would show.
        parts = np.array_split(np.arange(size), min(self._workers, size))
        futures = [self._pool.submit(self._fill, out, epoch, start, part) for part in parts]
        return out, futures, epoch.rows[start : start + size]

    def _take(self, batch: tuple[Pixels, list[Future[None]], NDArray[np.intp]]) -> tuple[Pixels, NDArray[np.intp]]:
        out, futures, rows = batch
        began = perf_counter()
        for future in futures:
            future.result()
        self.waited_s += perf_counter() - began
        return out, rows

    def _fill(self, out: Pixels, epoch: Epoch, start: int, part: NDArray[np.intp]) -> None:
        for i in part:
            at = start + i
            left, top = epoch.left[at], epoch.top[at]
            cut = self._decode(int(epoch.rows[at]))[top : top + self._size, left : left + self._size]
            out[i] = cut[:, ::-1] if epoch.mirrored[at] else cut

    def _decode(self, row: int) -> Pixels:
        content = self._shards.read(row)
        try:
            return decode(content)
        except OSError as error:
            raise RequestError(
                f"'{printable(self._shards.names[row])}' of '{printable(self._shards.folder)}' does not decode: "
                f"{reason(error)}"
            ) from error
