"""edge-nima train predict: photographs to the score records of a trained network, the reference of every comparison."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli import train_inputs as given
from edge_nima.cli.messages import INTERRUPTED, NOT_ALL_SCORED, say
from edge_nima.cli.options import ScaleOption
from edge_nima.cli.progress import stages
from edge_nima.cli.score import Format, refuse_loss
from edge_nima.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence


def predict(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=given.CHECKPOINT)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Records, .jsonl or .csv.")],
    photographs: Annotated[
        list[str] | None, typer.Argument(metavar="[PHOTOS]...", help="Photographs, folders, or patterns in quotes.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="Instead of PHOTOS: those of a manifest, label CSV or AVA.txt.")
    ] = None,
    images: given.ImagesOption = None,
    split: Annotated[str | None, typer.Option("--split", help="Only train, val or test of the manifest.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT when it exists.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what OUTPUT holds of photographs with the same path, size and mtime.")
    ] = False,
    jobs: given.JobsOption = None,
    scale: ScaleOption = None,
    name: given.NameOption = None,
    resize_filter: given.FilterOption = None,
    fit: given.FitOption = None,
    input_range: given.RangeOption = None,
    longest_edge: given.LongestEdgeOption = None,
    size: given.SizeOption = None,
    signature: given.SignatureOption = None,
    custom: given.CustomOption = None,
) -> None:
    """Score photographs with a trained network, as `edge-nima compare` takes it for the reference.

    Exit code: 0 all scored, 3 some not (their records say why), 2 usage, 1 output failed, 130 interrupted.
    """
    from edge_nima.records import form_of, is_special
    from edge_nima.registry import locate
    from edge_nima_train.checkpoint import open_checkpoint
    from edge_nima_train.predict import score_to_file

    started = perf_counter()
    kind = Format(form_of(output))
    is_special(output)
    refuse_loss(kind, output, overwrite, resume, False)
    chosen = _photographs(photographs, manifest, images, split, scale)
    options = given.opening(
        input_range, name=name, filter=resize_filter, fit=fit, longest_edge=longest_edge, size=size,
        signature=signature, custom=custom,
    )  # fmt: skip
    trained = open_checkpoint(locate(checkpoint), **options)
    for note in trained.notes:
        say(note)
    try:
        with stages("predict") as progress:
            count, kept, failures = score_to_file(trained, chosen, output, resume=resume, jobs=jobs, progress=progress)
    except KeyboardInterrupt:
        say("interrupted; what was scored is kept, --resume goes on with it")
        raise typer.Exit(INTERRUPTED) from None
    if failures:
        say(f"{failures} not scored; their records say why")
    seconds = perf_counter() - started
    more = f", {kept} kept from before" if kept else ""
    say(f"{count} photograph{'' if count == 1 else 's'} in {seconds:.1f} s{more}; {trained.label}")
    raise typer.Exit(NOT_ALL_SCORED if failures else 0)


def _photographs(
    paths: Sequence[str] | None, manifest: Path | None, images: Path | None, split: str | None, scale: str | None
) -> list[Path]:
    """What is to be scored, each path once."""
    if (manifest is None) == (not paths):
        raise RequestError("which photographs? Give PHOTOS, or --manifest FILE; one of the two")
    if manifest is None and (images or split or scale):
        raise RequestError("--images, --split and --scale are of a manifest: give --manifest FILE too")
    if manifest is None:
        from edge_nima.photographs import find_photographs

        return find_photographs(paths or ())
    from edge_nima_train.manifest import read_manifest
    from edge_nima_train.opinions import ALL, of_split

    found, _ = of_split(read_manifest(manifest, images, scale), split or ALL)
    return [found.photograph(row) for row in range(len(found))]
