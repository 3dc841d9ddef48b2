"""Features of the frozen base, computed once for a fixed number of views of each photograph, and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import OutputError, printable, reason
from edge_nima.records import write_whole
from edge_nima_train.batches import Loader
from edge_nima_train.config import Augment
from edge_nima_train.order import Epoch, Rows, plan_epoch
from edge_nima_train.shards import Shards

_BATCH = 64
_SAVE_EVERY_S = 30.0


def plan_view(seed: int, view: int, rows: Rows, slack: int, augment: Augment) -> Epoch:
    """One view of each of some photographs: 0 is the centre, 1 its mirror image, further ones are drawn."""
    n = len(rows)
    if view == 0 or (view == 1 and augment.flip):
        middle = np.full(n, slack // 2)
        return Epoch(rows, middle, middle, np.full(n, view == 1))
    drawn = plan_epoch(seed, 0, view, np.arange(n), batch=1, slack=slack, crop=augment.crop, flip=augment.flip)
    place = np.argsort(drawn.rows)
    return Epoch(rows, drawn.left[place], drawn.top[place], drawn.mirrored[place])


def cached_features(
    folder: Path,
    base: Callable[[Any], NDArray[np.float32]],
    width: int,
    loader: Loader,
    plans: list[Epoch],
    key: str,
    step: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Features of each plan's photographs. Interrupted, the same call goes on where it was.

    Args:
        folder: where they are kept; made.
        base: uint8 (n, size, size, 3) to float32 (n, width); always called with n of 64, the last one filled up.
        width: features of one picture.
        loader: of the photographs.
        plans: equally long ones.
        key: what the features depend on, beside `plans`: the weights, the shards.
        step: told how many are done, and of how many.

    Returns:
        float32, shape (len(plans), n, width), mapped from the file.

    Raises:
        OutputError: the disk is full, say.
    """
    n = len(plans[0])
    digest = hashlib.sha256(key.encode())
    for plan in plans:
        for column in (plan.rows, plan.left, plan.top, plan.mirrored):
            digest.update(np.ascontiguousarray(column).tobytes())
    path = folder / f"{digest.hexdigest()[:16]}.npy"
    partial, counted = path.with_suffix(".partial.npy"), path.with_suffix(".json")
    if path.exists():
        return _mapped(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = json.loads(counted.read_text())["done"] if counted.exists() and partial.exists() else 0
        if done == 0:
            np.lib.format.open_memmap(partial, "w+", np.float32, (len(plans), n, width)).flush()
        out = np.load(partial, mmap_mode="r+")
        last = monotonic()
        for view, start, values in _computed(base, loader, plans, done):
            out[view, start : start + len(values)] = values
            done = view * n + start + len(values)
            step(done, len(plans) * n)
            if monotonic() - last > _SAVE_EVERY_S:
                out.flush()
                write_whole(counted, json.dumps({"done": done}).encode())
                last = monotonic()
        out.flush()
        del out
        partial.replace(path)
        counted.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot keep features in '{printable(folder)}': {reason(error)}") from error
    return _mapped(path)


def _mapped(path: Path) -> NDArray[np.float32]:
    kept: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return kept


def _computed(
    base: Callable[[Any], NDArray[np.float32]], loader: Loader, plans: list[Epoch], done: int
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    n = len(plans[0])
    for view in range(done // n, len(plans)):
        plan, first = plans[view], done - view * n if view == done // n else 0
        # Filled up to whole batches: a network is compiled for each size of batch that it meets.
        fill = -(n - first) % _BATCH
        rest = np.concatenate([np.arange(first, n), np.full(fill, n - 1)])
        padded = Epoch(plan.rows[rest], plan.left[rest], plan.top[rest], plan.mirrored[rest])
        for number, (pixels, _) in enumerate(loader.batches(padded, _BATCH)):
            start = first + number * _BATCH
            yield view, start, base(pixels)[: n - start]


def shards_key(shards: Shards) -> str:
    """What identifies the pixels of shards."""
    return hashlib.sha256("".join(shards.sha256).encode()).hexdigest()
