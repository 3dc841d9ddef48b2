"""How fast this machine scores: threads, picture sizes and photographs a second, beside boards measured before."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from edge_nima.interpreter import Interpreter
from edge_nima.measuring import in_turn, machine, measurement, percentiles, ratio
from edge_nima.scorer import ModelFile, Scorer, available_cores

BOARDS = Path(__file__).parent / "boards.jsonl"
"""The bare model on machines measured before, made of benchmarks/results by `python -m benchmarks report`."""

SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))
"""Camera frames and a 12-megapixel photograph: width, height."""

_NO_SLOWER = 1.05
"""Of the fastest thread count: fewer threads that come this near are better, cores are left for other work."""

Tell = Callable[[str], None]
"""Is told what is measured next."""


def _silent(what: str) -> None:
    pass


def bench(file: ModelFile, seconds: float = 120.0, threads: int | None = None, tell: Tell = _silent) -> Iterator[Any]:
    """Measure this machine, in about so many seconds.

    Args:
        file: the model.
        seconds: how long, at least 1 for numbers that hold.
        threads: only these; None to try 1 to all cores, at most 8, and go on with the best.
        tell: is called with what comes next.

    Yields:
        A `measurement` each: "invoke" (the bare model, milliseconds) for each thread count; "score an array" for each
        size in `SIZES`, with "to_invoke", its time as a multiple of the bare model's; "photographs" (500x400 JPEGs in
        memory, a second) for one at a time and for one a core. "best" is true where it is of the best thread count.

    Raises:
        ModelError: not a model that scores photographs.
        RequestError: `threads` is below 1.
    """
    keep = partial(measurement, "bench", model=file.label, recipe=file.card.recipe)
    tell("the bare model")
    counts = range(1, min(8, available_cores()) + 1) if threads is None else (threads,)
    bare: dict[str, Callable[[], object]] = {
        str(n): Interpreter(file.content, file.card.preprocessing, n).invoke for n in counts
    }
    times = in_turn(bare, seconds=seconds * 0.35)
    best = best_threads({int(n): percentiles(ms)["p50"] for n, ms in times.items()})
    for n, ms in times.items():
        yield keep("invoke", ms, threads=int(n), best=int(n) == best)
    scorer = Scorer(file, best)
    for width, height in SIZES:
        tell(f"a frame of {width}x{height}")
        frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        jobs: dict[str, Callable[[], object]] = {"score": partial(scorer.score, frame), "invoke": bare[str(best)]}
        times = in_turn(jobs, seconds=seconds * 0.1)
        yield keep("score an array", times["score"], threads=best, best=True, size=f"{width}x{height}",
                   to_invoke=ratio(times, "score", "invoke"))  # fmt: skip
    photographs = _photographs(40)
    for jobs_at_once, each in dict.fromkeys([(1, best), (available_cores(), 1)]):
        tell(f"photographs, {jobs_at_once} at once")
        one = Scorer(file, each)
        rates: list[float] = []
        due = perf_counter() + seconds * 0.12
        while perf_counter() < due or len(rates) < 2:
            started = perf_counter()
            count = sum(1 for _ in one.score_batch(photographs, jobs_at_once))
            rates.append(count / (perf_counter() - started))
        yield keep("photographs", rates, unit="per_second", threads=each, best=each == best, jobs=jobs_at_once)


def best_threads(medians: dict[int, float]) -> int:
    """The fewest threads whose median time is within 5 % of the shortest."""
    shortest = min(medians.values())
    return min(n for n, ms in medians.items() if ms <= shortest * _NO_SLOWER)


def similar_boards(model: str, here: dict[str, Any] | None = None, most: int = 6) -> list[dict[str, Any]]:
    """Measurements of the bare model on machines measured before, of this architecture, the most similar first.

    Args:
        model: the model's name, without its SHA-256.
        here: as `machine` has it; None for this machine.
        most: how many at most.
    """
    here = here or machine()
    own = set(here["instructions"])
    lines = [json.loads(line) for line in BOARDS.read_text(encoding="utf-8").splitlines()]
    same = [
        line for line in lines
        if line["machine"]["system"] == here["system"] and line["model"].partition("@")[0] == model
    ]  # fmt: skip
    same.sort(key=lambda line: (len(own ^ set(line["machine"]["instructions"])), line["threads"], line["p50"]))
    return same[:most]


def _photographs(count: int) -> list[bytes]:
    """JPEGs of 500x400 pixels, as much detail in them as photographs have: about 40 kB."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (80, 100, 3), np.uint8))
        pixels = np.asarray(coarse.resize((500, 400), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(pixels + random.integers(-6, 7, pixels.shape), 0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(noisy).save(content, "JPEG", quality=85)
        made.append(content.getvalue())
    return made
