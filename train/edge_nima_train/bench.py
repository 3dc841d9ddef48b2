"""What bounds a training run: the loader alone, the step alone, both together, and who waits for whom."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from edge_nima.errors import RequestError
from edge_nima.pixels import Preprocessing
from edge_nima.scorer import available_cores
from edge_nima_train import backend, stages
from edge_nima_train.config import Config, expand
from edge_nima_train.fit import LOSSES_READ_EVERY_S, rows_of
from edge_nima_train.loader import Loader
from edge_nima_train.loss import loss_of
from edge_nima_train.manifest import TRAIN, read_manifest
from edge_nima_train.network import build_network, preprocessing_of
from edge_nima_train.order import plan_epoch
from edge_nima_train.pack import pack
from edge_nima_train.shards import Shards, open_shards
from edge_nima_train.steps import Steps, one_ahead, steps_of

_DIFFERENT, _NOISE = 64, 9.0
_WARM = 3
"""Steps before the first that is counted: the network is compiled in one of them."""


@dataclass(frozen=True)
class Bench:
    """Photographs a second, each measured by itself on one machine."""

    data: str
    """What was loaded."""
    batch: int
    precision: str
    loader: dict[int, float]
    """By the number of decoding processes, nothing else at work."""
    compile_s: float
    """Seconds of the first steps."""
    step: float
    """The optimisation step alone, on a batch that is on the device already."""
    both: float
    """Loaded and trained on."""
    waited: float
    """The share of that time for which the training loop waited for the loader."""
    environment: dict[str, Any]

    @property
    def bound(self) -> str:
        """What is slower alone: "loader" or "step"."""
        return "loader" if self.loader[max(self.loader)] < self.step else "step"

    @property
    def efficiency(self) -> float:
        """Both together as a share of the slower of the two alone."""
        return self.both / min(self.step, self.loader[max(self.loader)])


def bench(
    config: Config,
    *,
    seconds: float = 5.0,
    synthetic: int = 0,
    jit: bool = True,
    told: Callable[[str], None] = lambda line: None,
) -> Bench:
    """Measure phase 2 of a configuration.

    Args:
        config: of the run; its network begins with random weights here, since those do not change its speed.
        seconds: how long each measurement lasts, at least.
        synthetic: make this many pictures and load those; 0 for the configuration's own shards.
        jit: whether TensorFlow on a GPU compiles by XLA.
        told: given a line before each measurement.

    Raises:
        RequestError: the configuration names no shards and `synthetic` is 0, or they cannot be read.
    """
    backend.prepare(config.run)
    n, phase = config.network, config.phase2
    how = preprocessing_of(n.architecture, n.input, config.data.filter, config.data.fit, config.data.longest_edge)
    with ExitStack() as stack:
        if synthetic:
            told(f"making {synthetic} synthetic pictures of {config.data.size} px")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shards, data = _synthetic(folder, synthetic, config.data.size, how), f"{synthetic} synthetic pictures"
        elif config.data.shards:
            shards, data = open_shards(expand(config.data.shards)), config.data.shards
        else:
            raise RequestError("data.shards is empty: name packed photographs, or measure with --synthetic 2000")
        rows = rows_of(shards, TRAIN)
        size = min(phase.batch, len(rows) // config.run.devices * config.run.devices)
        network = build_network(n.architecture, alpha=n.alpha, input=n.input, dropout=n.dropout)
        stages.check_freeze(network, phase.freeze)
        stages.thaw(network, phase.freeze, phase.batch_norm)
        model = stages.from_crops(network, how)
        optimizer = stages.optimizer_for(model, phase, len(rows) // size)
        steps = steps_of(model, optimizer, loss_of(config.loss.kind), jit=jit)
        targets = shards.distributions.astype(np.float32)

        def batches(loader: Loader) -> Iterator[tuple[Any, Any]]:
            for epoch in count():
                plan = plan_epoch(0, 2, epoch, rows, batch=size, slack=shards.size - n.input)
                for number, pixels in enumerate(loader.batches(plan, n.input, size)):
                    part = slice(number * size, (number + 1) * size)
                    yield [pixels, plan.mirrored[part]], targets[plan.rows[part]]

        loaders = {}
        most = config.run.workers or available_cores()
        for workers in sorted({*(2**i for i in range(most.bit_length()) if 2**i < most), most}):
            told(f"the loader with {workers} process{'es' if workers > 1 else ''}")
            with Loader(shards, size, workers) as loader:
                loaders[workers] = _load_rate(batches(loader), size, seconds)
                if workers < most:
                    continue
                told("the step")
                held = next(one_ahead(steps, batches(loader)))
                began = perf_counter()
                for _ in range(_WARM):
                    float(steps(*held))
                compile_s = perf_counter() - began
                alone, _ = _step_rate(steps, repeat(held), size, seconds)
                told("both")
                loading = one_ahead(steps, batches(loader))
                float(steps(*next(loading)))
                before = loader.waited_s
                together, took = _step_rate(steps, loading, size, seconds)
                waited = (loader.waited_s - before) / took
    return Bench(
        data, size, config.run.precision, loaders, compile_s, alone, together, waited, backend.environment()
    )  # fmt: skip


def _load_rate(batches: Iterator[Any], size: int, seconds: float) -> float:
    """Photographs a second; the first batch, for which processes are started, is not counted."""
    next(batches)
    began, done = perf_counter(), 0
    while (took := perf_counter() - began) < seconds:
        next(batches)
        done += 1
    return done * size / took


def _step_rate(steps: Steps, batches: Iterator[Any], size: int, seconds: float) -> tuple[float, float]:
    """Photographs a second, and the seconds that it took; losses are read as rarely as in training."""
    began = read_at = perf_counter()
    done, unread = 0, list[Any]()
    for batch in batches:
        unread.append(steps(*batch))
        done += 1
        if perf_counter() - read_at > LOSSES_READ_EVERY_S:
            for loss in unread:
                float(loss)
            unread, read_at = [], perf_counter()
            if read_at - began >= seconds:
                break
    took = read_at - began
    return done * size / took, took


def _synthetic(folder: Path, n: int, size: int, how: Preprocessing) -> Shards:
    """Shards of pictures that cost as much to decode as photographs do: smooth shapes and noise, 28 kB at 256 px."""
    random = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(min(n, _DIFFERENT)):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse) + random.normal(0, _NOISE, (size, size, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(pictures / f"{i}.png")
    for i in range(_DIFFERENT, n):
        (pictures / f"{i}.png").symlink_to(f"{i % _DIFFERENT}.png")
    lines = [f"{i}.png,{2 + i % 7},train" for i in range(n)]
    (pictures / "labels.csv").write_text("\n".join(["file,mean_rating,split", *lines]) + "\n")
    pack(read_manifest(pictures / "labels.csv"), folder / "shards", size=size, preprocessing=how)
    return open_shards(folder / "shards")
