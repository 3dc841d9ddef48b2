"""edge-nima train evaluate: a trained network, or its records, held against people."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli import train_inputs as given
from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import ScaleOption
from edge_nima.cli.progress import stages
from edge_nima.errors import RequestError

COLLAPSED = 1


def evaluate(
    checkpoint: Annotated[str | None, typer.Argument(metavar="[CHECKPOINT]", help=given.CHECKPOINT)] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="People's ratings: a manifest, a label CSV or AVA.txt.")
    ] = None,
    images: given.ImagesOption = None,
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
    scale: ScaleOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    jobs: given.JobsOption = None,
    name: given.NameOption = None,
    resize_filter: given.FilterOption = None,
    fit: given.FitOption = None,
    input_range: given.RangeOption = None,
    longest_edge: given.LongestEdgeOption = None,
    size: given.SizeOption = None,
    signature: given.SignatureOption = None,
    custom: given.CustomOption = None,
) -> None:
    """Hold a network against people, beside an answer that looks at no photograph.

    Exit code: 0 done, 1 the predictions have collapsed (the report is written) or output failed, 2 usage, a checkpoint
    that is refused or photographs that it was trained on, 130 interrupted.
    """
    from edge_nima.cli.sinks import put_out
    from edge_nima.reports.terminal import table
    from edge_nima_train.evaluate import Judges, evaluate_checkpoint, evaluate_records
    from edge_nima_train.evaluation import MIN_SPREAD
    from edge_nima_train.evaluation_report import report

    if min_spread is not None and math.isnan(min_spread):
        raise RequestError("--min-spread is nan; possible: 0 to 1")
    if manifest is None:
        raise RequestError("people's ratings are missing: --manifest FILE (a manifest, a label CSV or AVA.txt)")
    options = given.opening(
        input_range, name=name, filter=resize_filter, fit=fit, longest_edge=longest_edge, size=size,
        signature=signature, custom=custom,
    )  # fmt: skip
    if records is not None and (options or drop_trained):
        raise RequestError(
            "--name, --filter, --fit, --input-range, --longest-edge, --size, --signature, --custom and --drop-trained "
            "go with a CHECKPOINT"
        )
    least = MIN_SPREAD if min_spread is None else min_spread
    judges = Judges(
        manifest, images, split, out, overwrite, drop_trained, official, official_list, least, seed, jobs, scale
    )  # fmt: skip
    if checkpoint is not None and records is None:
        try:
            with stages("evaluate") as progress:
                evaluation = evaluate_checkpoint(checkpoint, judges, progress=progress, told=say, **options)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on where it was")
            raise typer.Exit(INTERRUPTED) from None
    elif checkpoint is None and records is not None:
        evaluation = evaluate_records(records, judges, told=say)
    else:
        raise RequestError("whose opinion? Give CHECKPOINT, or --records FILE; one of the two")
    put_out(table(report(evaluation)))
    if evaluation.collapse.status == "failed":
        ratio = evaluation.statistics["spread_ratio"].model.value
        say(f"the predictions have collapsed: spread ratio {ratio:.3f}, --min-spread is {least:g}")
        raise typer.Exit(COLLAPSED)
