"""What a year of records costs: writing them, keeping them, and asking for the best of them.

usage: best_of_a_million.py [--rows 1000000] [--batches 300] [--runs 5] [--folder FOLDER]

A database of so many rows, one every five seconds up to now, is made as a watcher makes it; its last batches of ten are
written one transaction each, synced, and timed. Then the whole command `edge-nima best` is timed in processes of its
own. The database is new each time, and read before: the file is in the operating system's memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, time

from machine import keep, percentiles

from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Scored
from edge_nima.watch.records import Records
from edge_nima.watch.units import utc_text

STEP_S = 5.0
BATCH = 10


def records(rows: int) -> Iterator[Scored]:
    """Of a camera that scores a frame every five seconds until now; one in a thousand failed."""
    chance = random.Random(1)
    begin = time() - rows * STEP_S
    for number in range(rows):
        at = begin + number * STEP_S
        name = f"garden/{utc_text(at)}"
        mean = chance.gauss(4.8, 0.6)
        shares = [chance.random() for _ in range(10)]
        bins = tuple(share / sum(shares) for share in shares)
        record = ScoreRecord(name, mean, 1.4, bins, "mobilenet-ava-int8@01234567", 21.5, None, "224x224 stretch")
        if number % 1000 == 999:
            record = ScoreRecord(name, None, None, None, record.model, 0.4, "damaged frame", record.preprocessing)
        yield Scored(record, "garden", at, 35.2)


def write(folder: Path, rows: int, batches: int) -> list[float]:
    """Write all, the last `batches` of ten timed, milliseconds each."""
    store = Records(folder)
    made = records(rows)
    left = rows - batches * BATCH
    while left > 0:
        size = min(left, 5000)
        store.write([next(made) for _ in range(size)])
        left -= size
    took = []
    for _ in range(batches):
        batch = [next(made) for _ in range(BATCH)]
        started = perf_counter()
        store.write(batch)
        took.append((perf_counter() - started) * 1e3)
    store.close()
    return took


def command(folder: Path, *options: str) -> float:
    """Seconds of one `edge-nima best`."""
    started = perf_counter()
    subprocess.run(
        [sys.executable, "-m", "edge_nima", "best", str(folder), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return perf_counter() - started


def rounded(values: list[float]) -> dict[str, float]:
    """Percentiles with three places."""
    return {name: round(value, 3) for name, value in percentiles(values).items()}


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", help="Where the database is made, on an SD card say; default the temporary folder.")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        writes = write(folder, args.rows, args.batches)
        size = (folder / "scores.db").stat().st_size
        week = (datetime.now(UTC) - timedelta(days=7)).isoformat(timespec="seconds")
        asked = {
            "start": ["--help"],
            "top": ["--top", "10"],
            "top_since_2h": ["--top", "10", "--since", "2h"],
            "top_since_7d": ["--top", "10", "--since", week],
            "top_of_camera": ["--top", "10", "--camera", "garden"],
        }
        took: dict[str, list[float]] = {question: [] for question in asked}
        for _ in range(args.runs):
            for question, options in asked.items():
                took[question].append(command(folder, *options))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        export = command(folder, "--export", "csv")
        after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    keep(
        "best_of_a_million",
        {
            "rows": args.rows, "bytes_a_row": round(size / args.rows, 1), f"write_of_{BATCH}_ms": rounded(writes),
            **{f"{question}_s": rounded(seconds) for question, seconds in took.items()},
            "export_csv_s": round(export, 2), "peak_mib_of_the_tables": round(before / 1024, 1),
            "peak_mib_with_the_export": round(after / 1024, 1),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
