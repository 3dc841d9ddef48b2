"""What ten million photographs take on a cluster, by arithmetic and by a simulation with measured service times.

usage: archive_plan.py RECORDS [PHOTOGRAPHS]

RECORDS is a JSON Lines file of `edge-nima score` of photographs like those of the archive: their `elapsed_ms` (one
thread; decoding, resizing, inference) are the service times. Simulated is what the engine does: workers take
partitions, a lost worker's partition is scored again, whoever is slow is not helped. Assumed, and to be changed below:
how long fetching an object takes, how often a worker is slow or lost, how many tasks a second a Ray driver hands out.
"""

import heapq
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from machine import keep

from edge_nima.engines.ray import partitions_for
from edge_nima.scorer import READERS


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
            lost += sizes[waiting[-1]]
            back = max(lives[worker], handed) + plan.back_s + plan.start_s
            lives[worker] = back + life_s * draw.standard_exponential()
            heapq.heappush(free, (back, worker))
            continue
        waiting.pop()
        end = max(end, handed + takes)
        heapq.heappush(free, (handed + takes, worker))
    ideal = plan.photographs * mean_s / plan.workers
    return {"partitions": count, "hours": end / 3600, "core_hours": end * plan.workers / 3600,
            "efficiency": ideal / end, "scored_twice": lost / plan.photographs}  # fmt: skip


records = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
times = np.array([record["elapsed_ms"] for record in records if record["error"] is None]) / 1000
photographs = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
ordinary = Plan(photographs, 1)
cases = {
    "calm": replace(ordinary, lost_per_hour=0, slow=0),
    "ordinary": ordinary,
    "slow store": replace(ordinary, fetch_s=0.3),
    "spot machines": replace(ordinary, lost_per_hour=1.0, slow=0.05),
}
rows = []
for workers in (1, 10, 100, 1000, 10_000):
    for name, case in cases.items():
        plan = replace(case, workers=workers)
        rows.append({"case": name, **asdict(plan), **simulate(plan, float(times.mean()), float(times.std()))})
for row in rows:
    print(f"{row['case']:14} {row['workers']:6} workers  {row['hours']:8.2f} h  {row['core_hours']:7.1f} core-hours  "
          f"efficiency {row['efficiency']:.2f}  twice {row['scored_twice']:.2%}")  # fmt: skip
keep("archive_plan", {"photographs": photographs, "measured": len(times), "mean_ms": times.mean() * 1e3,
                      "std_ms": times.std() * 1e3, "rows": rows})  # fmt: skip
