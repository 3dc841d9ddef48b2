"""edge-nima train predict: photographs to the score records of a trained network, the reference of every comparison."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.cli.score import (
    NOT_ALL_SCORED,
    Format,
    held_records,
    refuse_loss,
    report_run,
    score_into,
    still_to_do,
)
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
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_nima.cli.score import Held
    from edge_nima_train.checkpoint import Checkpoint


def predict(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=CHECKPOINT)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Records, .jsonl or .csv.")],
    photographs: Annotated[
        list[str] | None, typer.Argument(metavar="[PHOTOS]...", help="Photographs, folders, or patterns in quotes.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Instead of PHOTOS: those of a manifest, label CSV or AVA.txt.")
    ] = None,
    images: ImagesOption = None,
    split: Annotated[str | None, typer.Option("--split", help="Only train, val or test of the manifest.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT when it exists.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what OUTPUT holds of photographs with the same path, size and mtime.")
    ] = False,
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
    """Score photographs with a trained network, as `edge-nima compare` takes it for the reference.

    Exit code: 0 all scored, 3 some not (their records say why), 2 usage, 1 output failed, 130 interrupted.
    """
    from edge_nima.records import form_of, is_special

    started = perf_counter()
    kind = Format(form_of(output))
    is_special(output)
    refuse_loss(kind, output, overwrite, resume, False)
    chosen = _photographs(photographs, manifest, images, split)
    trained = open_checkpoint(checkpoint, name, resize_filter, fit, input_range, longest_edge, size, signature, custom)
    held = held_records(output, kind, trained.label) if resume else []
    count, kept, failures, complete = score_to_file(trained, chosen, output, held, jobs)
    if not complete:
        raise typer.Exit(INTERRUPTED)
    seconds = perf_counter() - started
    more = f", {kept} kept from before" if kept else ""
    say(f"{count} photograph{'' if count == 1 else 's'} in {seconds:.1f} s{more}; {trained.label}")
    raise typer.Exit(NOT_ALL_SCORED if failures else 0)


def score_to_file(
    trained: Checkpoint,
    photographs: Sequence[Path],
    output: Path,
    held: Held,
    jobs: int | None,
    *,
    resumes: bool = True,
) -> tuple[int, int, int, bool]:
    """Score what is not held; how many were scored, kept and failed, and whether it was not interrupted.

    Args:
        trained: the network.
        photographs: in the order of the records.
        output: the file of records.
        held: what an earlier run left.
        jobs: photographs decoded at once.
        resumes: whether the command has --resume, which is then told of.

    Raises:
        RequestError: what is held was made with other pixels.
    """
    from edge_nima.joining import same_pixels
    from edge_nima.records import RecordFile, form_of
    from edge_nima_train.predict import record_name, score_photographs

    how = trained.preprocessing.describe()
    others = {
        record.preprocessing for record, _ in held if same_pixels(record.preprocessing or how) != same_pixels(how)
    }
    if others:
        raise RequestError(
            f"'{printable(output)}' holds scores made with '{printable(sorted(map(str, others))[0])}', this run has "
            f"'{how}': --overwrite starts again"
        )
    todo, held = still_to_do(photographs, held, record_name)
    kind = Format(form_of(output))
    sink = RecordFile(output, kind, held, [record_name(path) for path in photographs])
    count, failures = score_into(sink, lambda paths: score_photographs(trained, paths, jobs), todo)
    report_run(sink, kind, count, len(todo), len(held), failures, resumable=resumes)
    return count, len(held), len(failures), sink.complete


def _photographs(
    paths: Sequence[str] | None, manifest: Path | None, images: Path | None, split: str | None
) -> list[Path]:
    """What is to be scored, each path once."""
    if (manifest is None) == (not paths):
        raise RequestError("which photographs? Give PHOTOS, or --manifest FILE; one of the two")
    if manifest is None and (images or split):
        raise RequestError("--images and --split are of a manifest: give --manifest FILE too")
    if manifest is None:
        from edge_nima.photographs import find_photographs

        return find_photographs(paths or ())
    from edge_nima_train.manifest import read_manifest
    from edge_nima_train.opinions import ALL, of_split

    found, _ = of_split(read_manifest(manifest, images), split or ALL)
    return [found.photograph(row) for row in range(len(found))]
