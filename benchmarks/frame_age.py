"""How old the newest score is, from capture to record, when frames come faster than they are scored.

usage: frame_age.py FILM [--frames 300] [--inference 80]

The film is played at its own pace, as a camera would; the model scores each frame, and then waits until the
milliseconds of a slower board are over.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from machine import keep, percentiles
from watch_overhead import service

from edge_nima import service as module
from edge_nima.records import ScoreRecord
from edge_nima.sources import Frame
from edge_nima.watch.events import Listener, Scored
from edge_nima.watch.worker import WorkerProcess


class Slower(WorkerProcess):
    """A scorer of a slower board."""

    seconds = 0.08
    taken: list[float] = []  # noqa: RUF012

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score, and take its time."""
        started = time.perf_counter()
        record = super().score(picture, name)
        time.sleep(max(0.0, self.seconds - (time.perf_counter() - started)))
        self.taken.append((time.perf_counter() - started) * 1e3)
        return record


class Ages(Listener):
    """The age of each score."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Keep it."""
        self.ms.append(scored.age_ms)


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--inference", type=float, default=80.0, help="milliseconds")
    args = parser.parse_args()
    ages = Ages()
    module.WorkerProcess, Slower.seconds = Slower, args.inference / 1e3  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        one = service(
            ages, source=args.film, loop=True, realtime=True, threads=1, max_frames=args.frames, out=folder
        )  # fmt: skip
        one.run()
        counts = one.statuses()[0].counts
    ratios = [age / taken for age, taken in zip(ages.ms, Slower.taken, strict=True)]
    keep(
        "frame_age",
        {
            "film": Path(args.film).name, "captured": counts.captured, "scored": counts.scored,
            "inference_ms": percentiles(Slower.taken), "age_ms": percentiles(ages.ms),
            "most_age_in_inferences": round(max(ratios), 3),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
