"""What `score --engine ray` costs and survives, on one machine; whole commands, wall time.

usage: archive.py WHAT PHOTOGRAPHS [COUNT] [ROUNDS]

WHAT is one of:
  overhead  `--engine ray` beside `--jobs 2` without an engine
  workers   one worker on one core beside two workers on two
  node      a cluster of two nodes of one core each, one killed half-way: each photograph once, the same scores
  kills     the command and its cluster killed at random moments, ROUNDS times, resumed each time
  tiny      COUNT small objects in an object store, and the memory of the driver
  names     the memory that listing COUNT names of an object store takes
  sizes     photographs of several sizes: one core's milliseconds, and the worker's memory (large ones are needed)

COUNT photographs are hard links to those of PHOTOGRAPHS, over and over.
"""

import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from machine import keep

sys.path.append(str(Path(__file__).parents[1] / "tests"))
ENV = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
os.environ.update(ENV)


def command(*arguments: str | Path) -> list[str]:
    """The command without an engine."""
    return [sys.executable, "-m", "edge_nima", "score", *map(str, arguments)]


def on_ray(*arguments: str | Path) -> list[str]:
    """The command on Ray."""
    return [*command(*arguments), "--engine", "ray"]


def seconds(arguments: list[str], cores: str = "0,1") -> float:
    """Wall time of a whole command on some cores."""
    started = time.perf_counter()
    subprocess.run(
        ["taskset", "-c", cores, *arguments], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def linked(folder: Path, photographs: list[Path], count: int) -> Path:
    """A folder of so many photographs, hard links."""
    for number, photograph in enumerate(islice(cycle(photographs), count)):
        target = folder / f"{number // 1000:04d}" / f"{number:08d}{photograph.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(photograph, target)
    return folder


def parts(output: Path) -> int:
    """Partitions that are there."""
    return len(list(output.glob("part-*.parquet")))


def scores(output: Path) -> dict[str, Any]:
    """By name; each name must come once."""
    from pyarrow.dataset import dataset

    rows = dataset(output, format="parquet").to_table(columns=["name", "mean", "error"]).to_pylist()
    times = Counter(row["name"] for row in rows)
    twice = sum(count > 1 for count in times.values())
    return {"rows": len(rows), "twice": twice, "means": {row["name"]: row["mean"] for row in rows}}


def one_machine(folder: Path, output: Path) -> dict[str, float]:
    """Means of the command without an engine, by name."""
    subprocess.run(command(folder, "--jobs", "2", "--output", output), check=True, stderr=subprocess.DEVNULL)
    return {record["name"]: record["mean"] for record in map(json.loads, output.read_text().splitlines())}


def compared(output: Path, expected: dict[str, float]) -> dict[str, Any]:
    """Whether each photograph is there once with its score."""
    held = scores(output)
    means = held.pop("means")
    return held | {
        "missing": len(expected.keys() - means.keys()),
        "other_scores": sum(means[name] != mean for name, mean in expected.items() if name in means),
    }


def overhead(folder: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    """Ray beside none."""
    times: dict[str, list[float]] = {"jobs_2_s": [], "ray_s": []}
    for number in range(rounds):
        times["jobs_2_s"].append(seconds(command(folder, "--jobs", "2", "--output", scratch / f"{number}.jsonl")))
        times["ray_s"].append(seconds(on_ray(folder, "--output", scratch / f"{number}")))
    alone, ray = (statistics.median(values) for values in times.values())
    return {**times, "overhead": ray / alone - 1}


def workers(folder: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    """One worker on one core beside two on two."""
    times: dict[str, list[float]] = {"one_s": [], "two_s": []}
    for number in range(rounds):
        times["one_s"].append(seconds(on_ray(folder, "--jobs", "1", "--output", scratch / f"one{number}"), "0"))
        times["two_s"].append(seconds(on_ray(folder, "--jobs", "2", "--output", scratch / f"two{number}"), "0,1"))
    one, two = (statistics.median(values) for values in times.values())
    return {**times, "times": one / two}


def node(folder: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    """A node that is killed half-way."""
    from ray.cluster_utils import Cluster

    expected = one_machine(folder, scratch / "expected.jsonl")
    cluster = Cluster()
    cluster.add_node(num_cpus=0, include_dashboard=False)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    output = scratch / "scores"
    try:
        running = subprocess.Popen(
            on_ray(folder, "--output", output, "--address", cluster.address), env=ENV, stderr=subprocess.DEVNULL
        )
        while not (output / "_edge_nima.json").exists():
            time.sleep(0.1)
        about = json.loads((output / "_edge_nima.json").read_text())
        while parts(output) < about["count"] / 2:
            time.sleep(0.1)
        at = parts(output)
        cluster.remove_node(nodes[0], allow_graceful=False)
        code = running.wait()
    finally:
        cluster.shutdown()
    return {"exit_code": code, "killed_at": f"{at} of {about['count']} partitions"} | compared(output, expected)


def kills(folder: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    """Kills at random moments, and resuming."""
    expected = one_machine(folder, scratch / "expected.jsonl")
    output, moments, after = scratch / "scores", random.Random(0), []
    for _ in range(rounds):
        running = subprocess.Popen(
            on_ray(folder, "--output", output, "--resume"), env=ENV, stderr=subprocess.DEVNULL, start_new_session=True
        )
        before = parts(output)
        while parts(output) == before and running.poll() is None:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 3))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        after.append(parts(output))
    last = subprocess.run(on_ray(folder, "--output", output, "--resume"), env=ENV, stderr=subprocess.DEVNULL)
    return {"partitions_after_each_kill": after, "exit_code": last.returncode} | compared(output, expected)


def tiny(photographs: list[Path], scratch: Path, count: int) -> dict[str, Any]:
    """Many small objects."""
    import io

    from PIL import Image

    from object_store import listing_server

    small = io.BytesIO()
    Image.open(photographs[0]).resize((48, 32)).save(small, "JPEG")
    with listing_server(count, small.getvalue()) as env:
        started = time.perf_counter()
        running = subprocess.Popen(
            on_ray("s3://archive/2019/", "--output", scratch / "scores"), env=ENV | env, stderr=subprocess.DEVNULL
        )
        sizes = []
        while running.poll() is None:
            sizes.append(_resident(running.pid))
            time.sleep(2)
        took = time.perf_counter() - started
    held = scores(scratch / "scores")
    quarter = [round(sizes[len(sizes) * part // 4] / 1024) for part in (1, 2, 3)]
    return {"rows": held["rows"], "twice": held["twice"], "seconds": took, "driver_mb_at_quarters": quarter,
            "driver_mb_most": round(max(sizes) / 1024)}  # fmt: skip


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def names(count: int) -> dict[str, Any]:
    """The memory of a listing."""
    from edge_nima.engines.ray import _table
    from edge_nima.listing import list_photographs
    from edge_nima.photographs import LeftOut
    from object_store import listing_server

    with listing_server(count) as env:
        os.environ.update(env)
        started = time.perf_counter()
        table = _table(list_photographs(["s3://archive/"]), LeftOut())
        took = time.perf_counter() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"names": len(table), "seconds": took, "peak_mb": round(most), "table_mb": round(table.nbytes / 1e6)}


def sizes(photographs: list[Path], scratch: Path) -> dict[str, Any]:
    """What a photograph of so many megapixels takes, each in a process of its own."""
    from PIL import Image

    program = (
        "import resource, sys, time; from edge_nima import BatchScorer; s = BatchScorer(); n = sys.argv[1:]\n"
        "s({'path': n}); t = time.perf_counter(); s({'path': n * 5})\n"
        "print((time.perf_counter() - t) / 5 / len(n) * 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    result = {}
    for megapixels in (0.2, 1, 2, 6, 12, 24):
        files = []
        for photograph in photographs:
            image = Image.open(photograph)
            scale = min(1.0, (megapixels * 1e6 / (image.width * image.height)) ** 0.5)
            files.append(str(scratch / f"{megapixels}-{photograph.name}"))
            image.convert("RGB").resize((round(image.width * scale), round(image.height * scale))).save(
                files[-1], "JPEG", quality=90
            )
        took = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=True)
        milliseconds, memory = map(float, took.stdout.split())
        megabytes = sum(Path(file).stat().st_size for file in files) / len(files) / 1e6
        result[str(megapixels)] = {"ms": milliseconds, "worker_mb": round(memory), "file_mb": round(megabytes, 2)}
    return result


what, photographs = sys.argv[1], sorted(Path(sys.argv[2]).rglob("*.jpg"))
count = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
with tempfile.TemporaryDirectory() as name:
    scratch = Path(name)
    if what == "names":
        result = names(count)
    elif what == "sizes":
        result = sizes(photographs, scratch)
    elif what == "tiny":
        result = tiny(photographs, scratch, count)
    else:
        folder = linked(scratch / "photographs", photographs, count)
        result = {"overhead": overhead, "workers": workers, "node": node, "kills": kills}[what](folder, scratch, rounds)
keep(f"archive_{what}", {"what": what, "photographs": count, **result})
