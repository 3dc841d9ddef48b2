"""One picture: the bare interpreter of each model and thread count; Scorer on camera frames; preprocessing alone."""

from __future__ import annotations

import json
from functools import partial

import numpy as np

from benchmarks.harness import Bench, measured_process
from benchmarks.peers import available, command, ours, prepared, versions_of
from edge_nima import open_scorer
from edge_nima.interpreter import Interpreter
from edge_nima.measuring import in_turn, percentiles, ratio
from edge_nima.pixels import to_input
from edge_nima.scorer import available_cores, load_model

MODELS = ("mobilenet-ava-int8-mixed", "mobilenet-ava-float16")
SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))


def run(bench: Bench) -> None:
    """Measure and keep."""
    files = {name: load_model(name) for name in MODELS}
    for threads in range(1, min(4, available_cores()) + 1):
        bare = {
            name: Interpreter(file.content, file.card.preprocessing, threads).invoke for name, file in files.items()
        }
        for name, times in in_turn(bare, bench.rounds(200)).items():
            bench.keep("invoke", times, threads=threads, model=files[name].label, bytes=len(files[name].content))
    frames = {size: _frame(*size) for size in SIZES}
    for file in files.values():
        scorer, bare_one = open_scorer(file, 1), Interpreter(file.content, file.card.preprocessing, 1)
        for (width, height), frame in frames.items():
            jobs = {"score": partial(scorer.score, frame), "invoke": bare_one.invoke}
            times = in_turn(jobs, bench.rounds(200))
            bench.keep("score an array", times["score"], threads=1, model=file.label, size=f"{width}x{height}",
                       invoke=percentiles(times["invoke"]), to_invoke=ratio(times, "score", "invoke"))  # fmt: skip
    how = files[MODELS[0]].card.preprocessing
    for (width, height), frame in frames.items():
        times = in_turn({"to_input": partial(to_input, frame, how)}, bench.rounds(100))
        bench.keep("array to input", times["to_input"], size=f"{width}x{height}")
    _peers(bench)


def _peers(bench: Bench) -> None:
    """The bare run of ours and of each peer, a process each, in turn, three times."""
    cases = [(ours(), name, prepared(bench, ours(), name)) for name in MODELS]
    cases += [case for case in available(bench, timed=True) if not case[0].large]
    for threads in sorted({1, available_cores()}):
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(3):
            for peer, variant, model in cases:
                told = command(peer, variant, "latency", model, bench.rounds(60), "--threads", threads)
                times.setdefault((peer.name, variant), []).extend(json.loads(measured_process(told)[2]))
        for peer, variant, _ in cases:
            values = times[peer.name, variant]
            bench.keep("peer invoke", values, threads=threads, peer=peer.name, variant=variant,
                       versions=versions_of(peer))  # fmt: skip


def _frame(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
