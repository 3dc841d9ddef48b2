"""`score --engine ray` on one machine: what it costs and survives; a simulation of ten million photographs."""

from __future__ import annotations

import contextlib
import heapq
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.harness import EDGE_NIMA, ROOT, Bench, Missing, alone, measured_process, peak_mib
from edge_nima import BatchScorer, open_scorer
from edge_nima.engines.ray import _table, partitions_for
from edge_nima.listing import list_photographs
from edge_nima.measuring import ratio
from edge_nima.photographs import LeftOut, find_photographs
from edge_nima.scorer import READERS

LONG = True
PHOTOGRAPHS = "oasis_beauty/images"
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
MEGAPIXELS = (0.2, 1, 2, 6, 12, 24)


def run(bench: Bench) -> None:
    """Measure and keep."""
    bench.cases(overhead, workers, node, kills, tiny, names, sizes, plan)


def overhead(bench: Bench) -> None:
    """`--engine ray` beside `--jobs 2` without an engine, in turn: Ray started for it, and a cluster that runs."""
    with _photographs(bench, 20_000) as (folder, scratch):
        times: dict[str, list[float]] = {"jobs 2": [], "ray": [], "ray, a cluster that runs": []}
        for number in range(bench.rounds(2, 1)):
            for way, values in times.items():
                output = scratch / f"{way} {number}"
                with _cluster() if "runs" in way else contextlib.nullcontext() as address:
                    on = ["--address", address] if address else []
                    command = _on_ray(folder, "--output", output, *on)
                    if way == "jobs 2":
                        command = _score(folder, "--jobs", "2", "--format", "jsonl", "--output", output)
                    values.append(_seconds(command))
        _keep_all(bench, "overhead", times, folder)


def workers(bench: Bench) -> None:
    """One worker on one core beside two workers on two."""
    with _photographs(bench, 10_000) as (folder, scratch):
        times: dict[str, list[float]] = {"two": [], "one": []}
        for number in range(bench.rounds(1, 1)):
            for (way, values), cores in zip(times.items(), ("0,1", "0"), strict=True):
                jobs = str(cores.count(",") + 1)
                command = _on_ray(folder, "--jobs", jobs, "--output", scratch / f"{way}{number}")
                values.append(_seconds(command, cores))
        _keep_all(bench, "workers", times, folder)


def node(bench: Bench) -> None:
    """A cluster of two nodes of one core each, one killed half-way: each photograph once, the same scores."""
    _need_ray()
    from ray.cluster_utils import Cluster

    with _photographs(bench, 20_000) as (folder, scratch), patch.dict(os.environ, ENVIRONMENT):
        expected, output = _expected(folder, scratch), scratch / "scores"
        cluster = Cluster()
        cluster.add_node(num_cpus=0, include_dashboard=False)
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        try:
            command = _on_ray(folder, "--output", output, "--address", cluster.address)
            running = subprocess.Popen(command, **QUIET)
            while running.poll() is None and not (output / "_edge_nima.json").exists():
                sleep(0.1)
            count = json.loads((output / "_edge_nima.json").read_text())["count"]
            while running.poll() is None and _parts(output) < count / 2:
                sleep(0.1)
            at = _parts(output)
            cluster.remove_node(nodes[0], allow_graceful=False)
            code = running.wait()
        finally:
            cluster.shutdown()
        killed = f"{at} of {count} partitions"
        bench.keep("node", killed_at=killed, exit_code=code, **_compared(output, expected))


def kills(bench: Bench) -> None:
    """The command and its cluster killed at random moments, and resumed each time."""
    _need_ray()
    with _photographs(bench, 3000) as (folder, scratch):
        expected, output = _expected(folder, scratch), scratch / "scores"
        moments, after = random.Random(0), []
        command = _on_ray(folder, "--output", output, "--resume")
        for _ in range(bench.rounds(10, 2)):
            running = subprocess.Popen(command, **QUIET, start_new_session=True)
            before = _parts(output)
            while _parts(output) == before and running.poll() is None:
                sleep(0.05)
            sleep(moments.uniform(0, 3))
            with contextlib.suppress(ProcessLookupError):  # it was done before
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            after.append(_parts(output))
        code = subprocess.run(command, **QUIET).returncode
        bench.keep("kills", partitions_after_each_kill=after, exit_code=code, **_compared(output, expected))


def tiny(bench: Bench) -> None:
    """Many small objects of an object store, and the memory of the driver."""
    _need_ray()
    count, small = 2000 if bench.quick else 100_000, io.BytesIO()
    Image.open(_files(bench)[0]).resize((48, 32)).save(small, "JPEG")
    with _listing(count, small.getvalue()) as env, tempfile.TemporaryDirectory() as folder:
        started, sizes = perf_counter(), []
        command = _on_ray("s3://archive/2019/", "--output", f"{folder}/scores")
        running = subprocess.Popen(command, env=os.environ | env, **QUIET)
        while running.poll() is None:
            with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
                status = Path(f"/proc/{running.pid}/status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
            sleep(2)
        seconds, held = perf_counter() - started, _scores(Path(folder) / "scores")
    quarters = [round(sizes[len(sizes) * part // 4]) for part in (1, 2, 3)]
    bench.keep("tiny", [seconds], "s", peak_mib=max(sizes), photographs=count, rows=held["rows"], twice=held["twice"],
               driver_mib_at_quarters=quarters)  # fmt: skip


def names(bench: Bench) -> None:
    """The memory that listing an object store takes."""
    bench.keep("names", **alone(_names, 20_000 if bench.quick else 2_000_000))


def sizes(bench: Bench) -> None:
    """Photographs of several sizes: one core's milliseconds from bytes to record, and the memory of its process."""
    pictures = [Image.open(file).convert("RGB") for file in sorted(bench.photographs("photos_24mp").glob("*.jpg"))]
    for megapixels in MEGAPIXELS[:2] if bench.quick else MEGAPIXELS:
        contents = []
        for picture in pictures:
            scale = min(1.0, (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5)
            content = io.BytesIO()
            size = round(picture.width * scale), round(picture.height * scale)
            picture.resize(size).save(content, "JPEG", quality=90)
            contents.append(content.getvalue())
        milliseconds, mib = alone(_sizes, contents, bench.rounds(5))
        file_mb = sum(map(len, contents)) / len(contents) / 1e6
        bench.keep("sizes", milliseconds, threads=1, peak_mib=mib, megapixels=megapixels, file_mb=round(file_mb, 2))


def plan(bench: Bench) -> None:
    """What ten million photographs take on a cluster, by a simulation with measured service times.

    Simulated is what the engine does: workers take partitions, a lost worker's partition is scored again, whoever is
    slow is not helped. Assumptions: see `Plan`.
    """
    files = _files(bench)[: 50 if bench.quick else None]
    records = open_scorer(threads=1).score_batch(files)
    times = np.array([record.elapsed_ms for record in records if record.error is None]) / 1000
    calm = Plan(10_000_000, 1, lost_per_hour=0, slow=0)
    ordinary = Plan(10_000_000, 1)
    clusters = {
        "calm": calm,
        "ordinary": ordinary,
        "slow store": replace(ordinary, fetch_s=0.3),
        "spot machines": replace(ordinary, lost_per_hour=1.0, slow=0.05),
    }
    for count in (1, 10, 100, 1000, 10_000):
        for name, cluster in clusters.items():
            one = replace(cluster, workers=count)
            found = simulate(one, float(times.mean()), float(times.std()))
            bench.keep("plan", cluster=name, measured=len(times), mean_ms=round(times.mean() * 1e3, 3),
                       std_ms=round(times.std() * 1e3, 3), **asdict(one), **found)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One cluster and one archive."""

    photographs: int
    workers: int
    fetch_s: float = 0.06
    """Of one object, both requests, from the first byte asked to the last byte read; READERS are fetched at once."""
    start_s: float = 8.0
    """Until a new worker's first photograph: a process, imports, the model."""
    slow: float = 0.02
    """Share of workers that are stragglers, and by what factor."""
    slow_by: float = 3.0
    lost_per_hour: float = 0.05
    """Preemptions of a worker; another comes after `back_s`."""
    back_s: float = 120.0
    tasks_per_s: float = 130.0
    """What one driver hands out: measured with 2,000 empty tasks on two cores that did other work, too."""


def simulate(plan: Plan, mean_s: float, std_s: float, seed: int = 0) -> dict[str, float]:
    """Wall time, and what was scored twice.

    Args:
        plan: what there is.
        mean_s: of one photograph on one core, seconds, and its standard deviation `std_s`.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed)
    count = partitions_for(plan.photographs, plan.workers)
    sizes = draw.multinomial(plan.photographs, np.full(count, 1 / count))
    one = max(mean_s, plan.fetch_s / READERS)  # fetching goes on beside scoring
    work = np.maximum(sizes * one + np.sqrt(sizes) * std_s * draw.standard_normal(count), 1e-3)
    pace = np.where(draw.random(plan.workers) < plan.slow, plan.slow_by, 1.0)
    life_s = 3600 / plan.lost_per_hour if plan.lost_per_hour else np.inf
    lives = life_s * draw.standard_exponential(plan.workers)
    free = [(plan.start_s, worker) for worker in range(plan.workers)]
    heapq.heapify(free)
    waiting, handed, end, lost = list(range(count)), 0.0, 0.0, 0
    while waiting:
        now, worker = heapq.heappop(free)
        handed = max(handed + 1 / plan.tasks_per_s, now)
        takes = work[waiting[-1]] * pace[worker]
        if handed + takes > lives[worker]:
            lost += int(sizes[waiting[-1]])
            back = max(lives[worker], handed) + plan.back_s + plan.start_s
            lives[worker] = back + life_s * draw.standard_exponential()
            heapq.heappush(free, (back, worker))
            continue
        waiting.pop()
        end = max(end, handed + takes)
        heapq.heappush(free, (handed + takes, worker))
    ideal = plan.photographs * mean_s / plan.workers
    found = {"hours": end / 3600, "core_hours": end * plan.workers / 3600, "efficiency": ideal / end}
    return {"partitions": count, **{name: float(f"{value:.5g}") for name, value in found.items()},
            "scored_twice": lost / plan.photographs}  # fmt: skip


def _score(*arguments: str | Path) -> list[str]:
    return [EDGE_NIMA, "score", *map(str, arguments)]


def _on_ray(*arguments: str | Path) -> list[str]:
    _need_ray()
    return ["env", *(f"{name}={value}" for name, value in ENVIRONMENT.items()), *_score(*arguments, "--engine", "ray")]


def _need_ray() -> None:
    if find_spec("ray") is None:
        raise Missing("needs edge-nima[ray]")


def _seconds(command: list[str], cores: str = "0,1") -> float:
    return measured_process(command, cores)[0]


def _keep_all(bench: Bench, case: str, times: dict[str, list[float]], folder: Path) -> None:
    """Of several ways, those after the first with their ratio to it."""
    first, count = next(iter(times)), len(find_photographs([str(folder)]))
    for way, seconds in times.items():
        against = {"to": first, "ratio": ratio(times, way, first)} if way != first else {}
        bench.keep(case, seconds, "s", of=way, photographs=count, **against)


@contextlib.contextmanager
def _cluster() -> Iterator[str]:
    """A Ray cluster of this machine's two cores that runs: its address."""
    _need_ray()
    from ray.cluster_utils import Cluster

    with patch.dict(os.environ, ENVIRONMENT):
        cluster = Cluster()
        cluster.add_node(num_cpus=2, include_dashboard=False)
        try:
            yield cluster.address
        finally:
            cluster.shutdown()


def _files(bench: Bench) -> list[Path]:
    return sorted(bench.photographs(PHOTOGRAPHS).glob("*.jpg"))


@contextlib.contextmanager
def _photographs(bench: Bench, count: int) -> Iterator[tuple[Path, Path]]:
    """A folder of so many photographs, copies of a few as links, and one for what is made of them."""
    with tempfile.TemporaryDirectory() as name:
        folder, scratch = Path(name) / "photographs", Path(name)
        for number, file in enumerate(islice(cycle(_files(bench)), count // 20 if bench.quick else count)):
            target = folder / f"{number // 1000:04d}" / f"{number:08d}{file.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, target)
            except OSError:  # another file system
                target.symlink_to(file)
        yield folder, scratch


def _parts(output: Path) -> int:
    """Partitions that are there."""
    return len(list(output.glob("part-*.parquet")))


def _scores(output: Path) -> dict[str, Any]:
    """How many rows, how many names more than once, and the means by name."""
    from pyarrow.dataset import dataset

    rows = dataset(output, format="parquet").to_table(columns=["name", "mean"]).to_pylist()
    times = Counter(row["name"] for row in rows)
    twice = sum(count > 1 for count in times.values())
    return {"rows": len(rows), "twice": twice, "means": {row["name"]: row["mean"] for row in rows}}


def _expected(folder: Path, scratch: Path) -> dict[str, float]:
    """Means of the command without an engine, by name."""
    output = scratch / "expected.jsonl"
    measured_process(_score(folder, "--jobs", "2", "--output", output))
    return {record["name"]: record["mean"] for record in map(json.loads, output.read_text().splitlines())}


def _compared(output: Path, expected: dict[str, float]) -> dict[str, Any]:
    """Whether each photograph is there once with its score."""
    held = _scores(output)
    means = held.pop("means")
    other = sum(means[name] != mean for name, mean in expected.items() if name in means)
    missing = len(expected.keys() - means.keys())
    return {"photographs": len(expected), **held, "missing": missing, "other_scores": other}


def _listing(count: int, content: bytes = b"") -> Any:
    """An object store on loopback of so many objects: a context manager that gives what reaches it."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.append(str(ROOT / "tests"))
    from object_store import listing_server

    return listing_server(count, content)


def _names(count: int) -> dict[str, Any]:
    with _listing(count) as env:
        os.environ.update(env)
        started = perf_counter()
        table = _table(list_photographs(["s3://archive/"]), LeftOut())
        seconds = perf_counter() - started
    return {"names": len(table), "seconds": round(seconds, 2), "table_mb": round(table.nbytes / 1e6, 1),
            "peak_mib": peak_mib()}  # fmt: skip


def _sizes(contents: list[bytes], rounds: int) -> tuple[list[float], float]:
    """Milliseconds of each photograph, and this process's memory."""
    scorer, times = BatchScorer(), []
    scorer({"bytes": contents})
    for _ in range(rounds):
        started = perf_counter()
        scorer({"bytes": contents})
        times.append((perf_counter() - started) / len(contents) * 1e3)
    return times, peak_mib()
