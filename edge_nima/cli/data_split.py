"""edge-nima data split: which photographs train, validate and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.cli.options import ScaleOption
from edge_nima.errors import RequestError, printable


def split(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest, a label CSV or AVA.txt.")],
    out: Annotated[Path, typer.Option("--out", help="The manifest to write.")],
    test: Annotated[
        Path | None, typer.Option("--test", help="Ids for the test, one on a line: AVA's generic_test.jpgl.")
    ] = None,
    validation: Annotated[float, typer.Option("--validation", help="Share of the others that validates.")] = 0.1,
    salt: Annotated[str, typer.Option("--salt", help="Of the hash that chooses them.")] = "edge_nima",
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Keep photographs with the same value of this column in one split."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="The manifest's test photographs stay, the others are split anew.")
    ] = False,
    resplit: Annotated[bool, typer.Option("--resplit", help="Ignore the splits that the manifest has.")] = False,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the photographs. Default: the manifest's.")
    ] = None,
    scale: ScaleOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
) -> None:
    """Split by the official test list and by a hash of each id: always the same, in any order.

    Exit code: 0 done, 2 usage, 1 output failed.
    """
    from edge_nima.labels import read_id_list
    from edge_nima_train.manifest import SPLITS, read_manifest, write_manifest
    from edge_nima_train.split import split as split_manifest

    refuse_output(out, overwrite)
    photographs = read_manifest(manifest, images, scale)
    there = [f"{len(photographs.rows(name)):,} {name}" for name in SPLITS if len(photographs.rows(name))]
    if keep and resplit:
        raise RequestError("--keep keeps the test photographs and --resplit ignores them; give one of the two")
    if there and not keep and not resplit:
        raise RequestError(
            f"'{printable(manifest)}' has splits already ({', '.join(there)}): --keep leaves its test photographs "
            "and splits the others, --resplit ignores them"
        )
    done = split_manifest(
        photographs, test=read_id_list(test) if test else (), validation=validation, salt=salt, group_by=group_by,
        keep=keep,
    )  # fmt: skip
    write_manifest(out, done.manifest)
    told = ", ".join(f"{done.counts.get(name, 0):,} {name}" for name in SPLITS)
    typer.echo(f"{printable(out)}: {len(photographs):,} photographs: {told}, {done.counts.get('', 0):,} in none")
    for line in done.unused:
        typer.echo(f"not used: {line}")
    for line in done.notes:
        say(f"note: {line}")


def refuse_output(out: Path, overwrite: bool) -> None:
    """Refuse a manifest that cannot be written, or would be lost, before any work."""
    from edge_nima.records import is_special

    if is_special(out):
        raise RequestError(f"'{printable(out)}' is no regular file; give a file name such as manifest.csv")
    if out.exists() and not overwrite:
        raise RequestError(f"'{printable(out)}' exists: --overwrite replaces it")
