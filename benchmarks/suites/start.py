"""What it takes to begin: wall time and peak memory of one photograph, of --help and of the import."""

from __future__ import annotations

import statistics
import sys

from benchmarks.harness import EDGE_NIMA, Bench, processes_in_turn
from benchmarks.peers import Peer, available, command, versions_of
from edge_nima.measuring import ratio

ONE = "golden/images/42040.jpg"
OURS = "one photograph: edge_nima"


def run(bench: Bench) -> None:
    """Measure and keep."""
    one = bench.photographs(ONE)
    commands: dict[str, list[str]] = {
        OURS: [EDGE_NIMA, "score", str(one), "--format", "jsonl"],
        "edge-nima --help": [EDGE_NIMA, "--help"],
        "import edge_nima": [sys.executable, "-c", "import edge_nima"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    others: dict[str, tuple[Peer, str]] = {}
    for peer, variant, model in available(bench, timed=True):
        name = f"one photograph: {peer.name} {variant}"
        commands[name], others[name] = command(peer, variant, "score", model, one), (peer, variant)
    found = processes_in_turn(commands, bench.rounds(10))
    seconds, mib = ({name: values[what] for name, values in found.items()} for what in ("s", "mib"))
    for name in commands:
        if name not in others:
            bench.keep(name, seconds[name], "s", peak_mib=statistics.median(mib[name]))
            continue
        peer, variant = others[name]
        bench.keep(
            name, seconds[name], "s", peak_mib=statistics.median(mib[name]), peer=peer.name, variant=variant,
            time_to_ours=ratio(seconds, name, OURS), memory_to_ours=ratio(mib, name, OURS), versions=versions_of(peer),
        )  # fmt: skip
