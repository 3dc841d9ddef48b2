"""Photographs per second into training: from shards, stage by stage, and by Keras' image_dataset_from_directory.

usage: input_pipeline.py LABELS.csv IMAGES [--photographs 2000] [--batch 96] [--workers 2] [--rounds 3]

The folder that Keras reads holds links to the very photographs that the shards were packed of, and then the packed
256 px JPEGs themselves, so that the two differ in how they read and not in what.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from machine import keep

from edge_nima_train.batches import Loader, decode
from edge_nima_train.manifest import read_manifest
from edge_nima_train.order import plan_epoch
from edge_nima_train.pack import pack
from edge_nima_train.shards import Shards, open_shards


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels")
    parser.add_argument("images")
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = read_manifest(args.labels, args.images)
        manifest = manifest.only(manifest.rows("train")[: args.photographs])
        pack(manifest, folder / "shards")
        shards = open_shards(folder / "shards")
        _link(folder / "originals" / "all", [manifest.photograph(row).resolve() for row in range(len(manifest))])
        (folder / "packed" / "all").mkdir(parents=True)
        for row in range(len(shards)):
            (folder / "packed" / "all" / f"{row:06}.jpg").write_bytes(shards.read(row))
        ways: dict[str, Callable[[], int]] = {
            "read": lambda: _each(shards, args.workers, shards.read),
            "read, decode": lambda: _each(shards, args.workers, lambda row: decode(shards.read(row))),
            "read, decode, centre crop, batch": lambda: _batches(shards, args, False),
            "read, decode, random crop and flip, batch": lambda: _batches(shards, args, True),
            "image_dataset_from_directory, the photographs": lambda: _keras(folder / "originals", args.batch),
            "image_dataset_from_directory, the packed JPEGs": lambda: _keras(folder / "packed", args.batch),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(args.rounds + 1):
            for way, run in ways.items():
                began = perf_counter()
                n = run()
                if turn:  # the first round warms the page cache and TensorFlow's graphs
                    rates[way].append(n / (perf_counter() - began))
        result: dict[str, Any] = {
            "photographs": len(shards), "batch": args.batch, "workers": args.workers, "rounds": args.rounds,
            "mean_bytes": round(float(np.mean([len(shards.read(row)) for row in range(len(shards))]))),
            "per_second": {way: round(statistics.median(values), 1) for way, values in rates.items()},
            "epoch_s": {way: round(len(shards) / statistics.median(values), 2) for way, values in rates.items()},
        }  # fmt: skip
        keep("input_pipeline", result)


def _link(folder: Path, files: list[Path]) -> None:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file)


def _each(shards: Shards, workers: int, work: Callable[[int], object]) -> int:
    rows = np.random.default_rng(0).permutation(len(shards)).tolist()
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda part: [work(row) for row in part] and None, np.array_split(rows, workers)):
            pass
    return len(rows)


def _batches(shards: Shards, args: argparse.Namespace, augment: bool) -> int:
    plan = plan_epoch(0, 2, 0, shards.rows("train"), batch=args.batch, slack=32, crop=augment, flip=augment)
    with Loader(shards, 224, args.workers) as loader:
        return sum(len(rows) for _, rows in loader.batches(plan, args.batch))


def _keras(folder: Path, batch: int) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    data = keras.utils.image_dataset_from_directory(
        folder, labels=None, batch_size=batch, image_size=(256, 256), shuffle=True, seed=0, verbose=False
    )
    return sum(int(pictures.shape[0]) for pictures in data)


if __name__ == "__main__":
    main()
