"""`edge-nima score --engine`: photographs to a folder of parquet files, on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from edge_nima.cli.messages import INTERRUPTED, NOT_ALL_SCORED, say
from edge_nima.cli.options import warn_of_gate
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.engines import Job


def refuse_options(because: str, options: Mapping[str, Any]) -> None:
    """Refuse options that do not go with another.

    Raises:
        RequestError: one is given.
    """
    given = [option for option, value in options.items() if value]
    if given:
        raise RequestError(f"{', '.join(given)}: not possible here, {because}")


def score_on_engine(
    name: str, paths: Sequence[str], output: str | None, *, model: str | None, card: str | None, column: str | None,
    exclude: Sequence[str], **options: Any,
) -> int:  # fmt: skip
    """Score on an engine and say what came of it; the exit code.

    Args:
        name: of the engine.
        paths: what `list_photographs` takes, and `column` and `exclude`.
        output: a folder or a URI.
        model: what `load_model` takes, and `card`.
        options: further ones of `Job`.
    """
    from edge_nima.engines import Job, engine
    from edge_nima.listing import list_photographs
    from edge_nima.photographs import LeftOut
    from edge_nima.scorer import load_model

    if output is None:
        raise RequestError("--engine writes a folder of parquet files: give --output FOLDER, or --output s3://...")
    if options["resume"] and options["overwrite"]:
        raise RequestError("--resume keeps what is there and --overwrite replaces it; give one of them")
    started, left_out = perf_counter(), LeftOut()
    chosen, file = engine(name), load_model(model, card)
    warn_of_gate(file.card)
    photographs = list_photographs(paths, column=column, exclude=exclude, left_out=left_out)
    job = Job(photographs, output, file, **{key: value for key, value in options.items() if value is not None})
    done = chosen.score(job, left_out)
    if left_out.told():
        say(left_out.told())
    kept = f", {done.photographs - done.scored:,} kept from before" if done.photographs > done.scored else ""
    shown = printable(output)
    if not done.complete:
        say(f"interrupted; finished partitions are in '{shown}': --resume goes on")
        return INTERRUPTED
    if done.failed:
        say(f"{done.failed:,} not scored; their rows say why, --resume tries them again")
    took = f"{done.scored:,} photographs in {perf_counter() - started:.1f} s{kept}"
    say(f"{took}; {file.label}, {_workers(done.workers, job)}; scores are in '{shown}'")
    return NOT_ALL_SCORED if done.failed else 0


def _workers(count: int, job: Job) -> str:
    return f"{count} worker{'' if count == 1 else 's'} x {job.threads} thread{'' if job.threads == 1 else 's'}"
