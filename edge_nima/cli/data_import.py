"""edge-nima data import: what people have to a manifest, and in the same pass to shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli import data_pack
from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import ScaleOption
from edge_nima.cli.progress import stages
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima_train.importing import ImportReport, Packing


def import_(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Parquet files, tar files, tables of labels, folders, patterns, hf://datasets/OWNER/NAME; folders or"
            " tar files with the photographs of a table. Default: the table's own folder.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for manifest.csv, import.json and the shards.")],
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Which is what: mean=MOS,file=name,id=...,votes=c1..c5,split=... ."),
    ] = None,
    scale: ScaleOption = None,
    size: Annotated[
        int | None,
        typer.Option("--pack", help="Write shards too, as data pack does: side of the pictures to train on, as 256."),
    ] = None,
    side: data_pack.InputOption = 224,
    resize_filter: data_pack.FilterOption = "bilinear",
    fit: data_pack.FitOption = "stretch",
    longest_edge: data_pack.LongestEdgeOption = 0,
    quality: data_pack.QualityOption = 95,
    validation: Annotated[
        float | None,
        typer.Option("--validation", help="With --pack: share that validates where the source does not say. 0.1."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", help="With --pack: ids for the test, one on a line: generic_test.jpgl.")
    ] = None,
    jobs: data_pack.JobsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in a folder of another import.")] = False,
) -> None:
    """Bring photographs with ratings to a manifest, from the form in which people have them.

    Photographs inside parquet files are streamed into tar files, never into loose ones, or with --pack straight into
    shards. What is left out is counted, and listed in OUT/import.json. Stopped at any moment, the same command goes on.

    Exit code: 0 done, 2 usage or sources that cannot be read, 1 output failed, 130 interrupted.
    """
    from edge_nima.labels import read_id_list
    from edge_nima.pixels import Preprocessing
    from edge_nima_train.importing import Packing, import_ratings

    packing: Packing | None = None
    if size is not None:
        how = Preprocessing(width=side, height=side).with_overrides(resize_filter, fit, longest_edge=longest_edge)
        packing = Packing(
            size, how, quality, 0.1 if validation is None else validation, read_id_list(test) if test else ()
        )
    elif validation is not None or test is not None:
        raise RequestError("--validation and --test go with --pack; without it: edge-nima data split")
    try:
        with stages("import") as tell:
            done = import_ratings(
                sources, out, columns=columns, scale=scale, packing=packing, jobs=jobs, overwrite=overwrite, tell=tell
            )
    except KeyboardInterrupt:
        say("interrupted; what is finished is kept, the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    _print(done)


def _print(done: ImportReport) -> None:
    for line in done.told:
        say(line)
    splits = ", ".join(f"{count:,} {name or 'in no split'}" for name, count in done.splits.items())
    typer.echo(f"{printable(done.manifest)}: {sum(done.splits.values()):,} photographs ({splits})")
    if done.packed is not None:
        typer.echo(f"{printable(done.packed.folder)}: {done.packed.bytes / 1e6:,.1f} MB")
