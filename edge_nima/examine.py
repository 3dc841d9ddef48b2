"""Is a model's score steady, and does a worse picture score lower? Photographs changed in many ways, scored again."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edge_nima.changes import EDGE, WORSE, Change, Make, Photograph, changes, opencv
from edge_nima.errors import PictureError, RequestError, reason
from edge_nima.names import name_of
from edge_nima.photographs import draw_photographs, find_photographs
from edge_nima.scorer import ModelFile, Scorer, open_scorer

COUNT = 100
"""Photographs that are drawn, unless asked otherwise."""

_Z = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Examined:
    """One photograph's scores: mean ratings, 1..10."""

    name: str
    path: Path
    width: int
    """Pixels, upright."""
    height: int
    mean: float
    """As it is, decoded in full."""
    scores: Mapping[str, float]
    """By `Change.name`, of the changes that the photograph allows."""
    against: Mapping[str, float]
    """By the same names: of the version that each is compared with."""

    def difference(self, change: Change) -> float:
        """What a change does to the score, rating points."""
        return self.scores[change.name] - self.against[change.name]


@dataclass(frozen=True)
class Steadiness:
    """How far a photograph's score moves within a family of changes that it should not depend on, rating points.

    A photograph's number is the population standard deviation of its scores as it is and in all versions it allows.
    """

    family: str
    n: int
    """Photographs that allow at least one version, at least 1."""
    mean: float
    """Of the photographs' numbers."""
    worst: float
    """The largest."""
    of_spread: float
    """`mean` as a share of `Examination.spread`; nan when that is nan or 0."""
    example: Examined
    """Whose `worst` is."""


@dataclass(frozen=True)
class Effect:
    """What a change does to the score: after minus before, rating points."""

    change: Change
    n: int
    """Photographs that allow it, at least 1."""
    lower: float
    """Share of these that score lower, 0..1."""
    lower_interval: tuple[float, float]
    """Of that share: Wilson's 95 % interval."""
    mean: float
    lowest: float
    highest: float
    example: Examined
    """Of WORSE the photograph at `highest`, that drops least; of other families the one that moves most."""


@dataclass(frozen=True)
class Examination:
    """What `examine` found."""

    model: str
    """`ModelFile.label`."""
    preprocessing: str
    edge: int
    """Pixels: the card's `longest_edge`, or 640."""
    seed: int
    found: int
    """Photographs that there were to draw from."""
    drawn: int
    photographs: tuple[Examined, ...]
    """Those that can be read, at least 1."""
    failures: Mapping[str, str]
    """Those that cannot, and why."""
    complete: bool
    """False when it was interrupted: it is then of the photographs that were done."""
    opencv: bool
    """Whether OpenCV was there to decode."""
    max_megapixels: float

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """All that were tried."""
        return changes(self.edge)

    @property
    def n(self) -> int:
        """Photographs."""
        return len(self.photographs)

    @property
    def mean(self) -> float:
        """Of the photographs' scores as they are."""
        return float(np.mean([one.mean for one in self.photographs]))

    @property
    def spread(self) -> float:
        """Population standard deviation of the photographs' scores as they are; nan for one photograph."""
        return float(np.std([one.mean for one in self.photographs])) if self.n > 1 else math.nan

    @cached_property
    def steadiness(self) -> tuple[Steadiness, ...]:
        """Of each family but WORSE that a photograph allows, in the order of `changes`."""
        families: dict[str, list[str]] = {}
        for change in self.changes:
            if change.family != WORSE:
                families.setdefault(change.family, []).append(change.name)
        found = []
        for family, names in families.items():
            allowed = [(one, [one.scores[name] for name in names if name in one.scores]) for one in self.photographs]
            stds = [(float(np.std([one.mean, *scores])), one) for one, scores in allowed if scores]
            if stds:
                mean, (worst, example) = float(np.mean([std for std, _ in stds])), max(stds, key=lambda pair: pair[0])
                of_spread = mean / self.spread if self.spread > 0 else math.nan
                found.append(Steadiness(family, len(stds), mean, worst, of_spread, example))
        return tuple(found)

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Of each change that a photograph allows, in the order of `changes`."""
        found = []
        for change in self.changes:
            allow = [one for one in self.photographs if change.name in one.scores]
            moves = [one.difference(change) for one in allow]
            if moves:
                lower = sum(move < 0 for move in moves)
                size = [move if change.family == WORSE else abs(move) for move in moves]
                found.append(Effect(
                    change, len(moves), lower / len(moves), wilson(lower, len(moves)), float(np.mean(moves)),
                    min(moves), max(moves), allow[int(np.argmax(size))],
                ))  # fmt: skip
        return tuple(found)


def wilson(count: int, n: int) -> tuple[float, float]:
    """95 % interval of the share `count` of `n` (Wilson 1927): low and high, 0..1."""
    share, z2 = count / n, _Z**2 / n
    middle, half = share + z2 / 2, _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def examine(
    model: Scorer | ModelFile | str | os.PathLike[str] | None,
    photographs: Iterable[str | os.PathLike[str]],
    *,
    count: int = COUNT,
    seed: int = 0,
    jobs: int = 1,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Examination:
    """Score photographs as they are and after each change of `edge_nima.changes.changes`.

    A photograph is decoded once, in full; `jobs` of them are in memory, each with a few copies. Ctrl-C ends it early,
    within a version or two, with `Examination.complete` False.

    Args:
        model: a scorer, or what `open_scorer` takes.
        photographs: files, folders or patterns.
        count: how many to draw; all when there are no more.
        seed: of the draw and of noise.
        jobs: photographs at once; they share the scorer.
        step: is told at first and after each photograph how many are done, of how many.

    Raises:
        RequestError: a path does not exist, or `count` or `jobs` is below 1.
        PictureError: none of the photographs can be read.
        KeyboardInterrupt: before a photograph was done.
    """
    for name, value in (("count", count), ("jobs", jobs)):
        if value < 1:
            raise RequestError(f"{name} is {value}; possible: 1 and more")
    found = find_photographs(photographs)
    drawn = draw_photographs(found, count, seed)
    scorer = model if isinstance(model, Scorer) else open_scorer(model)
    edge = scorer.card.preprocessing.longest_edge or EDGE
    done, complete = _all(scorer, drawn, edge, seed, jobs, step)
    failures = {name: one for name, one in done.items() if isinstance(one, str)}
    examined = tuple(one for one in done.values() if not isinstance(one, str))
    if not examined:
        if not complete:
            raise KeyboardInterrupt
        name, why = next(iter(failures.items()))
        raise PictureError(f"none of {len(failures)} can be read: '{name}': {why}")
    return Examination(
        scorer.model.label, scorer.card.preprocessing.describe(), edge, seed, len(found), len(drawn), examined,
        failures, complete, opencv() is not None, scorer.max_megapixels,
    )  # fmt: skip


def _all(
    scorer: Scorer, photographs: Sequence[Path], edge: int, seed: int, jobs: int, step: Callable[[int, int], None]
) -> tuple[dict[str, Examined | str], bool]:
    """Each photograph's scores, or why there are none; and whether all are there."""
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()
    done: dict[str, Examined | str] = {}
    # A thread for a single job too: the main one is then free for Ctrl-C, and the work ends at the next version.
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="edge-nima")
    try:
        step(0, len(photographs))
        pending = [pool.submit(_one, scorer, path, edge, seed, stop) for path in photographs]
        for path, future in zip(photographs, pending, strict=True):
            try:
                done[name_of(path)] = future.result()
            except (PictureError, MemoryError) as error:
                done[name_of(path)] = reason(error)
            step(len(done), len(photographs))
    except KeyboardInterrupt:
        return done, False
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return done, True


def _one(scorer: Scorer, path: Path, edge: int, seed: int, stop: threading.Event) -> Examined:
    photograph = Photograph(path, edge, seed=seed, max_megapixels=scorer.max_megapixels)
    known: dict[Make, float | None] = {}

    def score(make: Make) -> float | None:
        # Kept: several changes are compared with the same version.
        if make not in known:
            if stop.is_set():
                raise InterruptedError
            image = make(photograph)
            known[make] = None if image is None else scorer.score(np.asarray(image)).mean
        return known[make]

    mean, scores, against = score(Change.against), {}, {}
    assert mean is not None
    for change in changes(edge):
        before, after = score(change.against), score(change.make)
        if before is not None and after is not None:
            scores[change.name], against[change.name] = after, before
    width, height = photograph.image.size
    return Examined(name_of(path), path, width, height, mean, scores, against)
