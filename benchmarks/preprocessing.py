"""What the step `longest_edge` costs: camera frames to the model's input, and large JPEGs from file to input.

usage: preprocessing.py [PHOTOGRAPH ...] [--runs 50]

Each is timed without the step, with it, and beside Pillow's own Lanczos, in turn, run by run, one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np
from machine import keep, percentiles
from PIL import Image

from edge_nima.pixels import Preprocessing, read_input, to_input

WITH = Preprocessing(longest_edge=640)
WITHOUT = replace(WITH, longest_edge=None)


def in_turn(jobs: dict[str, Callable[[], object]], runs: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each job: they run one after the other, `runs` times, after two rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for run in range(runs + 2):
        for name, job in jobs.items():
            started = perf_counter()
            job()
            if run >= 2:
                times[name].append((perf_counter() - started) * 1e3)
    return {name: percentiles(ms) for name, ms in times.items()}


def frame(width: int, height: int, runs: int) -> dict[str, dict[str, float]]:
    """A decoded frame."""
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(rgb)
    size = WITH.reduced_size(width, height)
    return in_turn(
        {
            "without": lambda: to_input(rgb, WITHOUT),
            "with": lambda: to_input(rgb, WITH),
            "pillow_lanczos": lambda: image.resize(size, Image.Resampling.LANCZOS),
        },
        runs,
    )


def jpeg(path: str, runs: int) -> dict[str, dict[str, float]]:
    """A file."""
    return in_turn(
        {
            "without": lambda: read_input(path, WITHOUT),
            "with": lambda: read_input(path, WITH),
            "with_exact": lambda: read_input(path, WITH, exact=True),
        },
        runs,
    )


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="*")
    parser.add_argument("--runs", type=int, default=50)
    args = parser.parse_args()
    sizes = ((640, 480), (1280, 720), (1920, 1080))
    result: dict[str, object] = {f"{width}x{height}": frame(width, height, args.runs) for width, height in sizes}
    for path in args.photographs:
        with Image.open(path) as image:
            kind = "progressive" if image.info.get("progressive") else "baseline"
            told = f"JPEG {image.width}x{image.height} {kind}"
        result[f"{told}, file {len(result) - len(sizes) + 1}"] = jpeg(path, max(5, args.runs // 5))
    keep("preprocessing", result)


if __name__ == "__main__":
    main()
