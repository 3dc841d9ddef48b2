"""Photographs per second into training from packed shards: our loader, Grain, and Keras' image_dataset_from_directory.

usage: input_pipeline.py SHARDS [--batch 96] [--side 224] [--rounds 3]

Loader and Grain give the same crops with 1 and with 2 processes, up to one a core; what starting costs is not counted.
Keras reads the same JPEGs out of a folder, without crops.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from machine import keep
from numpy.typing import NDArray

from edge_nima_train.loader import Loader, decode
from edge_nima_train.order import Epoch, plan_epoch
from edge_nima_train.shards import Place, Shards, open_shards, read_place


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    shards = open_shards(args.shards)
    rows = shards.rows("train")
    plan = plan_epoch(0, 2, 0, rows, batch=args.batch, slack=shards.size - args.side)
    ways: dict[str, Callable[[], Iterator[Any]]] = {}
    for n in sorted({1, 2, os.cpu_count() or 1}):
        ways[f"loader, {n}"] = lambda n=n: _loader(shards, plan, args, n)
        if find_spec("grain"):
            ways[f"grain, {n}"] = lambda n=n: _grain(shards, plan, args, n)
    rates: dict[str, list[float]] = {name: [] for name in ways} | {"image_dataset_from_directory": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "all"
        folder.mkdir()
        for row in rows.tolist():
            (folder / f"{row:06}.jpg").write_bytes(shards.read(row))
        ways["image_dataset_from_directory"] = lambda: _keras(folder.parent, args.batch)
        for _ in range(args.rounds):
            for way, run in ways.items():
                rates[way].append(_rate(run()))
    per_second = {way: round(statistics.median(values), 1) for way, values in rates.items()}
    keep("input_pipeline", {"photographs": len(plan), "batch": args.batch, "rounds": args.rounds,
                            "per_second": per_second})  # fmt: skip


def _rate(batches: Iterator[Any]) -> float:
    next(batches)
    began, n = perf_counter(), 0
    for batch in batches:
        n += len(batch)
    return n / (perf_counter() - began)


def _loader(shards: Shards, plan: Epoch, args: argparse.Namespace, workers: int) -> Iterator[Any]:
    with Loader(shards, args.batch, workers) as loader:
        yield from loader.batches(plan, args.side, args.batch)


class _Make:
    """Batch number to pixels, for Grain."""

    def __init__(self, places: list[Place], plan: Epoch, batch: int, side: int) -> None:
        self.places, self.plan, self.batch, self.side = places, plan, batch, side

    def __call__(self, number: int) -> NDArray[np.uint8]:
        out = np.empty((self.batch, self.side, self.side, 3), np.uint8)
        for i, at in enumerate(range(number * self.batch, (number + 1) * self.batch)):
            left, top = self.plan.left[at], self.plan.top[at]
            out[i] = decode(read_place(self.places[at]))[top : top + self.side, left : left + self.side]
        return out


def _grain(shards: Shards, plan: Epoch, args: argparse.Namespace, workers: int) -> Iterator[Any]:
    import grain
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["input_pipeline"])  # Grain's workers want them
    make = _Make([shards.place(int(row)) for row in plan.rows], plan, args.batch, args.side)
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    dataset = grain.MapDataset.range(len(plan) // args.batch).map(make).to_iter_dataset(read)
    yield from dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))


def _keras(folder: Path, batch: int) -> Iterator[Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    data = keras.utils.image_dataset_from_directory(
        folder, labels=None, batch_size=batch, image_size=(256, 256), shuffle=True, seed=0, verbose=False
    )
    for pictures in data:
        yield pictures.numpy()


if __name__ == "__main__":
    main()
