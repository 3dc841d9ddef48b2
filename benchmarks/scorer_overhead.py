"""What Scorer.score costs beyond the bare interpreter: decoded pixels in, record out, against invoke alone.

usage: scorer_overhead.py [--model MODEL.tflite] [--threads 1] [--runs 200] [--size 640x480]

Both are timed in turn, run by run, after a warm-up, so that a drift of the machine hits both alike.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
from machine import keep, percentiles

from edge_nima import open_scorer
from edge_nima.interpreter import Interpreter
from edge_nima.scorer import load_model


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--size", default="640x480")
    args = parser.parse_args()

    width, height = (int(side) for side in args.size.split("x"))
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = load_model(args.model)
    scorer = open_scorer(file, args.threads)
    bare = Interpreter(file.content, file.card.preprocessing, args.threads)
    score_ms, invoke_ms = [], []
    for run in range(args.runs + 20):
        started = perf_counter()
        scorer.score(frame)
        between = perf_counter()
        bare.invoke()
        if run >= 20:
            score_ms.append((between - started) * 1e3)
            invoke_ms.append((perf_counter() - between) * 1e3)
    score, invoke = percentiles(score_ms), percentiles(invoke_ms)
    keep(
        "scorer_overhead",
        {
            "model": file.label,
            "threads": args.threads,
            "size": args.size,
            "score_ms": score,
            "invoke_ms": invoke,
            "score_over_invoke_p50": round(score["p50"] / invoke["p50"], 3),
        },
    )


if __name__ == "__main__":
    main()
