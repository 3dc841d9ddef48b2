"""Latency of the bare interpreter for several models, taken in turn, run by run.

usage: latency.py MODEL.tflite [MODEL.tflite ...] [--threads 1] [--runs 100]
"""

from __future__ import annotations

import argparse
from time import perf_counter

from machine import keep, percentiles

from edge_nima.interpreter import Interpreter
from edge_nima.scorer import load_model


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=100)
    args = parser.parse_args()

    files = [load_model(model) for model in args.models]
    interpreters = [Interpreter(file.content, file.card.preprocessing, args.threads) for file in files]
    times: list[list[float]] = [[] for _ in files]
    for run in range(args.runs + 10):
        for interpreter, taken in zip(interpreters, times, strict=True):
            started = perf_counter()
            interpreter.invoke()
            if run >= 10:
                taken.append((perf_counter() - started) * 1e3)
    first = percentiles(times[0])["p50"]
    for file, taken in zip(files, times, strict=True):
        ms = percentiles(taken)
        keep(
            "latency",
            {
                "model": file.label,
                "recipe": file.card.recipe,
                "bytes": len(file.content),
                "threads": args.threads,
                "ms": ms,
                "to_first": round(ms["p50"] / first, 3),
            },
        )


if __name__ == "__main__":
    main()
