"""edge-nima data pack: photographs into shards that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import ScaleOption
from edge_nima.cli.progress import progress
from edge_nima.errors import printable

_LISTED = 5
InputOption = Annotated[
    int, typer.Option("--input", help="Side of the model's input: pictures of val and test are exactly that.")
]
FilterOption = Annotated[
    str, typer.Option("--filter", help="Resampling: nearest, box, bilinear, hamming, bicubic, lanczos.")
]
FitOption = Annotated[str, typer.Option("--fit", help="How pictures are brought to shape: stretch or crop.")]
LongestEdgeOption = Annotated[
    int,
    typer.Option("--longest-edge", help="Reduce larger photographs to this first, by LANCZOS; 0: never. AVA: 640."),
]
QualityOption = Annotated[int, typer.Option("--quality", help="Of JPEG, 1 to 100.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", help="Photographs at once. Default: the cores.")]


def pack(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest, a label CSV or AVA.txt.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the shards.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the photographs. Default: the manifest's.")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Side in pixels of the pictures to train on.")] = 256,
    side: InputOption = 224,
    resize_filter: FilterOption = "bilinear",
    fit: FitOption = "stretch",
    longest_edge: LongestEdgeOption = 0,
    quality: QualityOption = 95,
    jobs: JobsOption = None,
    scale: ScaleOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in a folder of other shards.")] = False,
) -> None:
    """Pack photographs, resized once, into plain tar files. Stopped at any moment, the same command goes on.

    Photographs that cannot be read are left out and listed in OUT/shards.json. Exit code: 0 packed, 2 usage or settings
    other than the folder's, 1 output failed, 130 interrupted.
    """
    from time import perf_counter

    from edge_nima.pixels import Preprocessing
    from edge_nima_train import pack as library
    from edge_nima_train.manifest import read_manifest

    photographs = read_manifest(manifest, images, scale)
    how = Preprocessing(width=side, height=side).with_overrides(resize_filter, fit, longest_edge=longest_edge)
    started = perf_counter()
    try:
        with progress("packing", len(photographs)) as step:
            done = library.pack(
                photographs, out, size=size, preprocessing=how, quality=quality, jobs=jobs, overwrite=overwrite,
                step=step,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("interrupted; what is finished is kept, the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    seconds = perf_counter() - started
    for name, why in done.left_out[:_LISTED]:
        say(f"left out: {name}: {why}")
    if len(done.left_out) > _LISTED:
        say(f"left out: {len(done.left_out) - _LISTED:,} more; '{printable(out / 'shards.json')}' lists all")
    if photographs.labels.inferred:
        say("only mean ratings are known: histograms are those of maximum entropy with these means")
    held = sum(done.photographs.values())
    per_split = ", ".join(f"{n:,} {name or 'in no split'}" for name, n in done.photographs.items())
    typer.echo(f"{printable(out)}: {held:,} photographs ({per_split}), {done.bytes / 1e6:,.1f} MB")
    if done.packed:
        earlier = f", {held - done.packed:,} were there" if done.packed < held else ""
        typer.echo(f"{done.packed:,} packed in {seconds:.1f} s, {done.packed / seconds:,.0f} a second{earlier}")
    else:
        typer.echo("all were there: nothing to do")
