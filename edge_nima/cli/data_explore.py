"""edge-nima data explore: what a data set's ratings are like, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.cli.options import ScaleOption
from edge_nima.cli.progress import progress
from edge_nima.errors import printable


def explore(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest, a label CSV or AVA.txt.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for index.html and statistics.json.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="The folder of photographs. Default: the manifest's.")
    ] = None,
    tags: Annotated[
        Path | None, typer.Option("--tags", help="Names of tags. Default: tags.txt beside the manifest.")
    ] = None,
    challenges: Annotated[
        Path | None,
        typer.Option("--challenges", help="Names of challenges. Default: challenges.txt beside the manifest."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample.")] = 0,
    scale: ScaleOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier page.")] = False,
) -> None:
    """Describe ratings and photographs: one page that needs nothing beside itself, and its numbers as JSON.

    Exit code: 0 written, 2 usage or labels that cannot be read, 1 output failed, 130 interrupted.
    """
    from edge_nima_train.exploration_report import PAGE, refuse_folder, scale_told, write_exploration
    from edge_nima_train.explore import explore as look
    from edge_nima_train.explore_names import find_names
    from edge_nima_train.manifest import read_manifest

    refuse_folder(out, overwrite)
    found = look(read_manifest(manifest, images, scale), find_names(manifest, tags, challenges), seed=seed)
    total = len(found.sample) + len(found.best) + len(found.worst)
    with progress("photographs", total) as step:
        shown = write_exploration(found, out, step)
    d = found.mean_rating
    middle = f"min {d.min:.2f}, median {d.median:.3f}, max {d.max:.2f}"
    typer.echo(f"n = {d.n:,}, mean rating {d.mean:.3f}, {middle}, scale {scale_told(found)}")
    if shown < total:
        lost = f"{total - shown} of {total} photographs"
        say(f"{lost} of the contact sheets cannot be shown; --images says where they are")
    say(f"the page is '{printable(out / PAGE)}'")
