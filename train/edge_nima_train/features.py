"""Features of the frozen base, computed once for a fixed number of views of each photograph, and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import OutputError, printable, reason
from edge_nima.records import write_whole
from edge_nima_train.loader import Loader
from edge_nima_train.order import Epoch
from edge_nima_train.stages import predictions

_SAVE_EVERY_S = 30.0


def cached_features(
    folder: Path,
    base: Any,
    loader: Loader,
    plans: list[Epoch],
    batch: int,
    key: str,
    step: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Features of each plan's photographs. Interrupted, the same call goes on where it was.

    Args:
        folder: where they are kept; made.
        base: a Keras model of `stages.from_crops`, to features of shape (n, width).
        loader: of the photographs.
        plans: equally long ones.
        batch: pictures at once.
        key: what the features depend on, beside `plans` and the pictures: the weights.
        step: told how many are done, and of how many.

    Returns:
        float32, shape (len(plans), n, width), mapped from the file.

    Raises:
        OutputError: the disk is full, say.
    """
    n, side, width = len(plans[0]), int(base.inputs[0].shape[1]), int(base.output.shape[-1])
    digest = hashlib.sha256(f"{key} {batch} {' '.join(loader.shards.sha256)}".encode())
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
        for view in range(done // n, len(plans)):
            plan, at = plans[view], done % n  # a whole number of batches, or the end of a view
            cut = loader.batches(plan, side, batch, at // batch)
            starts = range(at, n, batch)
            given = ([p, plan.mirrored[i : i + len(p)]] for i, p in zip(starts, cut, strict=True))
            for start, values in zip(starts, predictions(base, given, batch), strict=True):
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
