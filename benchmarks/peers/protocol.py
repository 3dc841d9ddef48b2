"""What every peer's script does. Standard library alone: it is imported in each peer's own environment.

usage: PEER.py VARIANT prepare WEIGHTS CALIBRATION_FOLDER WORK_DIR
       PEER.py VARIANT score MODEL_DIR PHOTOGRAPH_OR_FOLDER [--workers N]
       PEER.py VARIANT latency MODEL_DIR ROUNDS [--threads N]

`prepare` makes the model file. `score` prints one JSON line a photograph ("name", "mean", "distribution"), then one
with "seconds" from the first photograph to the last, start left out, and "photographs". `latency` prints a JSON list:
milliseconds of bare inference.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from time import perf_counter
from typing import Any

WARM_UP = 5


class Model:
    """An open model."""

    def score(self, path: str) -> Sequence[float]:
        """The ten proportions of a photograph."""
        raise NotImplementedError

    def invoke(self) -> object:
        """One bare inference on whatever its input holds."""
        raise NotImplementedError

    def score_many(self, paths: Sequence[str]) -> Iterable[Sequence[float]]:
        """The proportions of each of some photographs, in their order."""
        return map(self.score, paths)

    def facts(self) -> dict[str, Any]:
        """More for the closing line of `score`."""
        return {}


Prepare = Callable[[str, str, str, str], None]
"""Variant, weights, folder of calibration photographs, folder to write into."""
Open = Callable[[str, str, "int | None"], Model]
"""Variant, folder of `prepare`, threads of one inference (None for the runtime's default)."""


def main(prepare: Prepare, open_model: Open, open_pool: Callable[[str, str, int], Model] | None = None) -> None:
    """Do what the command line says.

    Args:
        prepare: makes the model file.
        open_model: opens it.
        open_pool: opens it to work on so many photographs at once; None for as many models of one thread each.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("variant")
    tasks = parser.add_subparsers(dest="task", required=True)
    task = tasks.add_parser("prepare")
    for name in ("weights", "calibration", "folder"):
        task.add_argument(name)
    task = tasks.add_parser("score")
    task.add_argument("folder")
    task.add_argument("source")
    task.add_argument("--workers", type=int, default=1)
    task = tasks.add_parser("latency")
    task.add_argument("folder")
    task.add_argument("rounds", type=int)
    task.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.task == "prepare":
        prepare(args.variant, args.weights, args.calibration, args.folder)
    elif args.task == "latency":
        print(json.dumps(latency(open_model(args.variant, args.folder, args.threads), args.rounds)))
    else:
        if args.workers == 1:
            model = open_model(args.variant, args.folder, None)
        elif open_pool is not None:
            model = open_pool(args.variant, args.folder, args.workers)
        else:
            model = Pool([open_model(args.variant, args.folder, 1) for _ in range(args.workers)])
        score(model, args.source)


def photographs(source: str) -> list[str]:
    """A photograph, or those of a folder, sorted."""
    return sorted(entry.path for entry in os.scandir(source)) if os.path.isdir(source) else [source]


def score(model: Model, source: str) -> None:
    """Print the records, and how long they took."""
    paths = photographs(source)
    model.invoke()
    started = perf_counter()
    for path, proportions in zip(paths, model.score_many(paths), strict=True):
        p = [float(value) for value in proportions]
        mean = sum(rating * share for rating, share in enumerate(p, 1)) / sum(p)
        print(json.dumps({"name": path, "mean": mean, "distribution": p}))
    seconds = perf_counter() - started
    print(json.dumps({"seconds": seconds, "photographs": len(paths), **model.facts()}))


def latency(model: Model, rounds: int) -> list[float]:
    """Milliseconds of each inference, after some that do not count."""
    times = []
    for number in range(-WARM_UP, rounds):
        started = perf_counter()
        model.invoke()
        if number >= 0:
            times.append((perf_counter() - started) * 1e3)
    return times


class Pool(Model):
    """Several open models, each with one photograph at a time."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = models

    def invoke(self) -> None:
        """One inference of each."""
        for model in self._models:
            model.invoke()

    def score_many(self, paths: Sequence[str]) -> Iterator[Sequence[float]]:
        """In their order, one thread a model."""
        idle: SimpleQueue[Model] = SimpleQueue()
        for model in self._models:
            idle.put(model)

        def work(path: str) -> Sequence[float]:
            model = idle.get()
            try:
                return model.score(path)
            finally:
                idle.put(model)

        with ThreadPoolExecutor(len(self._models)) as pool:
            yield from pool.map(work, paths)

    def facts(self) -> dict[str, Any]:
        """Those of the first."""
        return self._models[0].facts()
