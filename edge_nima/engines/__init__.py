"""Engines that others run, and photographs in numbers for which one machine is too small: one module an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from edge_nima.errors import RequestError, printable
from edge_nima.listing import Listed
from edge_nima.photographs import LeftOut
from edge_nima.scorer import ModelFile


@dataclass(frozen=True)
class Job:
    """What an engine is to do."""

    photographs: Iterable[Listed]
    output: str
    """A folder, or a prefix of an object store: `edge_nima.partitions`."""
    model: ModelFile
    threads: int = 1
    """Processor threads of one worker, and the cores that the engine is asked for."""
    jobs: int | None = None
    """Workers at most; None for as many as the engine's cores allow."""
    address: str | None = None
    """Where the engine is; None for what it takes for granted."""
    max_megapixels: float = 128.0
    exact: bool = False
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Done:
    """What a job came to."""

    photographs: int
    scored: int
    """In this run; the others were there."""
    failed: int
    """Of all photographs, those whose row has an error."""
    workers: int
    complete: bool = True
    """False when it was interrupted: a job that resumes goes on."""


class Engine(Protocol):
    """A module in here: its name is what `--engine` takes."""

    def score(self, job: Job, left_out: LeftOut) -> Done:
        """Score, and return when every photograph is in a partition, or when it was interrupted.

        `left_out` is told of photographs that no partition can hold.
        """


def engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        RequestError: there is none.
        PackageMissing: it is not installed.
    """
    known = sorted(one.name for one in iter_modules(__path__))
    if name not in known:
        raise RequestError(f"no engine '{printable(name)}'; possible: {', '.join(known)}")
    found: Engine = import_module(f"{__name__}.{name}")
    return found
