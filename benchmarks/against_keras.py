"""edge-nima score against the Keras script, whole processes, in turn, in one run.

usage: against_keras.py WEIGHTS PHOTOGRAPHS [--model MODEL.tflite] [--runs 5]

Cold start and peak memory for one photograph; photographs per second for the folder. Photographs per second count the
whole process on both sides, start included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import keep


def run(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of one process."""
    # As installed programs run: with their compiled bytecode kept.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{command} failed: {said.read().decode()[-500:]}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def compare(ours: list[str], keras: list[str], runs: int) -> dict[str, object]:
    """Run both in turn; medians, and the median of the ratios pair by pair."""
    run(ours), run(keras)  # warms the disk cache for both
    pairs = [(run(ours), run(keras)) for _ in range(runs)]
    seconds = [(a[0], b[0]) for a, b in pairs]
    memory = [(a[1], b[1]) for a, b in pairs]
    return {
        "runs": runs,
        "ours_s": round(statistics.median(a for a, _ in seconds), 3),
        "keras_s": round(statistics.median(b for _, b in seconds), 3),
        "keras_over_ours_time": round(statistics.median(b / a for a, b in seconds), 2),
        "ours_mib": round(statistics.median(a for a, _ in memory), 1),
        "keras_mib": round(statistics.median(b for _, b in memory), 1),
        "keras_over_ours_memory": round(statistics.median(b / a for a, b in memory), 2),
    }


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--model", default="mobilenet-ava-int8-mixed")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    paths = sorted(p for p in args.photographs.iterdir() if p.is_file())
    script = [sys.executable, str(Path(__file__).with_name("keras_predict.py")), args.weights]
    command = [str(Path(sys.executable).with_name("edge-nima")), "score", "--model", args.model, "--format", "jsonl"]
    one = compare([*command, str(paths[0])], [*script, str(paths[0])], args.runs)
    keep("cold_start", {"model": args.model, **one})
    many = compare([*command, str(args.photographs)], [*script, str(args.photographs)], max(3, args.runs // 2))
    n = len(paths)
    rates = {
        "ours_per_s": round(n / float(str(many["ours_s"])), 1),
        "keras_per_s": round(n / float(str(many["keras_s"])), 1),
    }
    keep("folder", {"model": args.model, "photographs": n, **rates, **many})


if __name__ == "__main__":
    main()
