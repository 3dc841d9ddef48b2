"""Photographs a second of folders: 500 pixels, 12 and 24 megapixels; whole processes, and with their start left out."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.harness import EDGE_NIMA, Bench, measured_process
from benchmarks.peers import Peer, available, command, linked, ours, prepared, scores, versions_of
from edge_nima.measuring import ratio
from edge_nima.photographs import draw_photographs, find_photographs
from edge_nima.scorer import available_cores

SMALL, LARGE = "oasis_beauty/images", "photos_24mp"
BUNDLED = "mobilenet-ava-int8-mixed"


@dataclass
class Case:
    """One command on one folder."""

    peer: str
    variant: str
    workers: int
    command: list[str]
    versions: dict[str, str] | None = None
    whole_s: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    """Start left out; empty where the command does not tell."""
    mib: list[float] = field(default_factory=list)


def run(bench: Bench) -> None:
    """Measure and keep."""
    with _folders(bench) as folders:
        for size, (folder, count) in folders.items():
            cases = list(_cases(bench, folder))
            for _ in range(bench.rounds(3, 1)):
                for case in cases:
                    seconds, mib, told = measured_process(case.command)
                    case.whole_s.append(seconds)
                    case.mib.append(mib)
                    if case.peer != "edge_nima":
                        case.alone_s.append(scores(told)[1]["seconds"])
            _keep(bench, cases, size, count)
        _large(bench, *folders["500 px"])


def _cases(bench: Bench, folder: Path) -> Iterator[Case]:
    """Ours and the bounds on it with 1..n jobs, and each peer with a worker a core."""
    own, cores = ours(), available_cores()
    for jobs in range(1, cores + 1):
        yield Case("edge_nima", BUNDLED, jobs,
                   [EDGE_NIMA, "score", str(folder), "--format", "jsonl", "--jobs", str(jobs)])  # fmt: skip
        for variant in (BUNDLED, "read-and-invoke", "decode-and-invoke"):
            yield _case(own, variant, prepared(bench, own, variant), folder, jobs)
    for peer, variant, model in available(bench, timed=True):
        if not peer.large:
            yield _case(peer, variant, model, folder, cores)


def _large(bench: Bench, folder: Path, _: int) -> None:
    """What is too slow for whole folders, on some of the small photographs."""
    with linked(sorted(folder.iterdir())[:40]) as few:
        for peer, variant, model in available(bench, timed=True):
            if peer.large:
                told = command(peer, variant, "score", model, few, "--workers", available_cores())
                _, mib, out = measured_process(told)
                closing = scores(out)[1]
                bench.keep(
                    "start left out", [closing["photographs"] / closing["seconds"]], "photographs/s", peak_mib=mib,
                    size="500 px", photographs=closing["photographs"], peer=peer.name, variant=variant,
                    workers=available_cores(), versions=versions_of(peer),
                )  # fmt: skip


def _case(peer: Peer, variant: str, model: Path, folder: Path, workers: int) -> Case:
    told = command(peer, variant, "score", model, folder, "--workers", workers)
    return Case(peer.name, variant, workers, told, versions_of(peer))


def _keep(bench: Bench, cases: list[Case], size: str, count: int) -> None:
    """Rates, and each as a multiple of ours with a job a core, round by round."""
    most = available_cores()
    for what, measured, who in (("whole process", "whole_s", "edge_nima"), ("start left out", "alone_s", ours().name)):
        base = next(c for c in cases if (c.peer, c.variant, c.workers) == (who, BUNDLED, most))
        for case in cases:
            seconds: list[float] = getattr(case, measured)
            if not seconds or (what, case.peer) == ("whole process", ours().name):
                continue
            more: dict[str, Any] = {} if case is base else {
                "rate_to_ours": ratio({"ours": getattr(base, measured), "this": seconds}, "ours", "this")
            }  # fmt: skip
            bench.keep(
                what, [count / s for s in seconds], "photographs/s", peak_mib=statistics.median(case.mib), size=size,
                photographs=count, peer=case.peer, variant=case.variant, workers=case.workers, **more,
                versions=case.versions,
            )  # fmt: skip


@contextmanager
def _folders(bench: Bench) -> Iterator[dict[str, tuple[Path, int]]]:
    """Folders of photographs by size, each with their number."""
    small, large = find_photographs([bench.photographs(SMALL)]), find_photographs([bench.photographs(LARGE)])
    small = draw_photographs(small, bench.rounds(len(small), 60), seed=0)
    copies = bench.rounds(12, 3)
    with linked(small) as of_500, tempfile.TemporaryDirectory() as name:
        found = {"500 px": (of_500, len(small))}
        for megapixels in (12, 24):
            folder = Path(name) / f"{megapixels}"
            folder.mkdir()
            for number in range(copies):
                source = large[number % len(large)]
                copy = folder / f"{number:02d}.jpg"
                first = folder / f"{number % len(large):02d}.jpg"
                if number >= len(large):
                    copy.hardlink_to(first)
                elif megapixels == 24:
                    shutil.copyfile(source, copy)
                else:
                    with Image.open(source) as picture:
                        factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
                        width, height = round(picture.width * factor), round(picture.height * factor)
                        picture.resize((width, height), Image.Resampling.LANCZOS).save(copy, quality=90)
            found[f"{megapixels} MP"] = (folder, copies)
        yield found
