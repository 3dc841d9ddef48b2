"""Scoring without a pause, interval by interval: what heat and throttling leave of the rate."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np

from edge_nima.errors import RequestError
from edge_nima.interpreter import Interpreter
from edge_nima.measuring import percentiles
from edge_nima.scorer import ModelFile, Scorer
from edge_nima.watch.health import BoardSensors

_SENSORS_EVERY_S = 1.0


def sustained(
    file: ModelFile, threads: int, seconds: float, every_s: float = 60.0, *, sensors: BoardSensors | None = None
) -> Iterator[dict[str, Any]]:
    """Score a 640x480 frame and run the bare model, in turn and without a pause; a result for each interval.

    Args:
        file: the model, see `edge_nima.scorer.load_model`.
        threads: processor threads of one inference, at least 1.
        seconds: how long in all; the last interval is shorter where `every_s` does not divide it.
        every_s: length of an interval, seconds.
        sensors: read every second; None for this machine's.

    Yields:
        Of each interval: "at_s", when it ended, seconds since the start; "per_second", photographs scored in a second
        of scoring; "score_ms" and "invoke_ms", percentiles of `Scorer.score` and of the bare model, milliseconds;
        "temperature_c", the highest reading; "throttled", whether any reading says so. The last two are None where the
        machine has no such sensor.

    Raises:
        RequestError: `threads` is below 1; `seconds` or `every_s` is not above 0.
        ModelError: not a model that scores photographs.
    """
    if not (seconds > 0 and every_s > 0):
        raise RequestError(f"{seconds} seconds in intervals of {every_s}; possible: numbers above 0")
    sensors = sensors or BoardSensors()
    scorer, bare = Scorer(file, threads), Interpreter(file.content, file.card.preprocessing, threads)
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    jobs = {"score_ms": lambda: scorer.score(frame), "invoke_ms": bare.invoke}
    for job in jobs.values():
        job()  # the first runs allocate
    started = now = perf_counter()
    while now - started < seconds:
        until = min(now + every_s, started + seconds)
        times: dict[str, list[float]] = {name: [] for name in jobs}
        readings = [sensors.read()]
        read_at = now
        while now < until or not times["invoke_ms"]:
            for name, job in jobs.items():
                began = perf_counter()
                job()
                now = perf_counter()
                times[name].append((now - began) * 1e3)
            if now - read_at >= _SENSORS_EVERY_S:
                readings.append(sensors.read())
                read_at = now
        temperatures = [reading.temperature_c for reading in readings if reading.temperature_c is not None]
        throttled = [reading.throttled for reading in readings if reading.throttled is not None]
        yield {
            "at_s": round(now - started, 1),
            "per_second": round(len(times["score_ms"]) / sum(times["score_ms"]) * 1e3, 1),
            **{name: percentiles(values) for name, values in times.items()},
            "temperature_c": max(temperatures, default=None),
            "throttled": any(throttled) if throttled else None,
        }
        now = perf_counter()
