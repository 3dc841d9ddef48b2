"""edge-nima train evaluate: a trained network, or its records, held against people."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.cli.train_inputs import (
    CHECKPOINT,
    CustomOption,
    FilterOption,
    FitOption,
    ImagesOption,
    JobsOption,
    LongestEdgeOption,
    NameOption,
    RangeOption,
    SignatureOption,
    SizeOption,
    open_checkpoint,
)
from edge_nima.cli.train_predict import score_to_file
from edge_nima.errors import OutputError, RequestError, printable, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_nima.joining import Opinions
    from edge_nima_train.checkpoint import Checkpoint
    from edge_nima_train.evaluation import Evaluation
    from edge_nima_train.manifest import Manifest

COLLAPSED = 1
PAGE, DOCUMENT, RECORDS = "index.html", "evaluation.json", "records.jsonl"
"""What is written into --out."""


def evaluate(
    checkpoint: Annotated[str | None, typer.Argument(metavar="[CHECKPOINT]", help=CHECKPOINT)] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="People's ratings: a manifest, a label CSV or AVA.txt.")
    ] = None,
    images: ImagesOption = None,
    records: Annotated[
        Path | None,
        typer.Option("--records", help="Instead of CHECKPOINT: what it said, as train predict or score wrote it."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="train, val, test or all. Default: test, or all where there are none.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the page, the numbers and the records. Default: RUN/evaluation-SPLIT."),
    ] = None,
    min_spread: Annotated[
        float | None,
        typer.Option("--min-spread", min=0, max=1, help="Collapse gate: least spread ratio that passes. Default: 0.4."),
    ] = None,
    drop_trained: Annotated[
        bool, typer.Option("--drop-trained", help="Leave out photographs that the run was trained on.")
    ] = False,
    official: Annotated[
        bool, typer.Option("--official", help="These are AVA's official test photographs: show published results.")
    ] = False,
    official_list: Annotated[
        Path | None, typer.Option("--official-list", help="AVA's generic_test.jpgl, to know that by.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    jobs: JobsOption = None,
    name: NameOption = None,
    resize_filter: FilterOption = None,
    fit: FitOption = None,
    input_range: RangeOption = None,
    longest_edge: LongestEdgeOption = None,
    size: SizeOption = None,
    signature: SignatureOption = None,
    custom: CustomOption = None,
) -> None:
    """Hold a network against people, beside an answer that looks at no photograph.

    Exit code: 0 done, 1 the predictions have collapsed (the report is written) or output failed, 2 usage, a checkpoint
    that is refused or photographs that it was trained on, 130 interrupted.
    """
    from edge_nima.cli.evaluate_table import table
    from edge_nima.cli.sinks import put_out
    from edge_nima.joining import read_opinions
    from edge_nima_train.collapse import MIN_SPREAD
    from edge_nima_train.evaluation import Subject
    from edge_nima_train.evaluation import evaluate as hold
    from edge_nima_train.guard import OF_RECORDS, Guarded, guard
    from edge_nima_train.manifest import TRAIN, read_manifest
    from edge_nima_train.opinions import join, of_split
    from edge_nima_train.published import official_test

    if min_spread is not None and math.isnan(min_spread):
        raise RequestError("--min-spread is nan; possible: 0 to 1")
    if manifest is None:
        raise RequestError("people's ratings are missing: --manifest FILE (a manifest, a label CSV or AVA.txt)")
    stated = (name, resize_filter, fit, input_range, size, signature, custom)
    if records is not None and (any(stated) or longest_edge is not None or drop_trained):
        raise RequestError(
            "--name, --filter, --fit, --input-range, --longest-edge, --size, --signature, --custom and --drop-trained "
            "go with a CHECKPOINT"
        )
    everything = read_manifest(manifest, images)
    judging, split = of_split(everything, split)
    ask: Callable[[], Opinions]
    if checkpoint is not None and records is None:
        out = _place(checkpoint, out, split)
        check_out(out, overwrite)
        trained = open_checkpoint(
            checkpoint, name, resize_filter, fit, input_range, longest_edge, size, signature, custom
        )
        guarded = guard(trained, judging, drop=drop_trained)
        ask = partial(_ask, trained, guarded.manifest, out, overwrite, jobs)
    elif checkpoint is None and records is not None:
        if out is not None:
            check_out(out, overwrite)
        guarded = Guarded(judging, {}, (OF_RECORDS,))
        ask = partial(replace, read_opinions(records))
    else:
        raise RequestError("whose opinion? Give CHECKPOINT, or --records FILE; one of the two")
    known = official_test(guarded.manifest, official, official_list)
    for warning in guarded.warnings:
        say(f"warning: {warning}")
    opinions = ask()
    joined = join(guarded.manifest, opinions)
    labels = joined.manifest.labels
    subject = Subject(
        opinions.model, printable(labels.name), split, opinions.preprocessing,
        {**guarded.left_out, **joined.left_out}, guarded.warnings, known,
    )  # fmt: skip
    rest, least = everything.rows(TRAIN), MIN_SPREAD if min_spread is None else min_spread
    evaluation = hold(
        joined.manifest.names, labels.distributions, joined.predicted, subject, inferred=labels.inferred, seed=seed,
        training=everything.only(rest).labels.distributions if len(rest) else None,
        min_spread=least,
    )  # fmt: skip
    put_out(table(evaluation))
    if out is not None:
        _write(evaluation, out, [joined.manifest.photograph(row) for row in range(evaluation.n)])
    if evaluation.collapse.status == "failed":
        ratio = evaluation.statistics["spread_ratio"].model.value
        say(f"the predictions have collapsed: spread ratio {ratio:.3f}, --min-spread is {least:g}")
        raise typer.Exit(COLLAPSED)


def _place(checkpoint: str, out: Path | None, split: str) -> Path:
    """Where the report goes."""
    from edge_nima_train.checkpoint import run_of

    if out is not None:
        return out
    run = run_of(Path(checkpoint))
    if run is None:
        raise RequestError(
            f"'{printable(checkpoint)}' is in no run folder: say where the report goes with --out FOLDER"
        )
    return run / f"evaluation-{split}"


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse a folder that cannot take the report, or would lose an earlier one, before any work."""
    from edge_nima.report import need_matplotlib

    need_matplotlib()
    if out.exists() and not out.is_dir():
        raise RequestError(f"--out '{printable(out)}' is no folder")
    there = [out / name for name in (PAGE, DOCUMENT) if (out / name).exists()]
    if there and not overwrite:
        raise RequestError(f"'{printable(there[0])}' exists: --overwrite replaces it")


def _ask(trained: Checkpoint, judging: Manifest, out: Path, overwrite: bool, jobs: int | None) -> Opinions:
    """The network's records, in OUT; an interrupted run's are gone on with."""
    from edge_nima.cli.score import Format, held_records
    from edge_nima.joining import read_opinions

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(out)}': {reason(error)}") from error
    path = out / RECORDS
    # Without a report the earlier run was cut short; its records are checked against the weights and the files.
    held = [] if overwrite else held_records(path, Format.jsonl, trained.label)
    photographs = [judging.photograph(row) for row in range(len(judging))]
    *_, complete = score_to_file(trained, photographs, path, held, jobs, resumes=False)
    if not complete:
        say("the same command goes on with them")
        raise typer.Exit(INTERRUPTED)
    return replace(read_opinions(path), source=printable(path))


def _write(evaluation: Evaluation, out: Path, photographs: Sequence[Path]) -> None:
    """Write page and numbers; they replace what is there."""
    from edge_nima.records import write_whole
    from edge_nima.report.parts import write_document
    from edge_nima_train.evaluation_document import as_json
    from edge_nima_train.evaluation_page import page

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / DOCUMENT, as_json(evaluation).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OutputError(f"cannot write '{printable(out / DOCUMENT)}': {reason(error)}") from error
    write_document(out / PAGE, page(evaluation, photographs))
    say(f"the report is '{printable(out / PAGE)}'")
