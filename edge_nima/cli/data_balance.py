"""edge-nima data balance: rare ratings made less rare in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.data_split import refuse_output
from edge_nima.cli.messages import say
from edge_nima.cli.options import ScaleOption
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima_train.balance import Balancing
    from edge_nima_train.manifest import Manifest


def balance(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest, a label CSV or AVA.txt.")],
    out: Annotated[Path, typer.Option("--out", help="The manifest to write.")],
    bins: Annotated[int, typer.Option("--bins", help="Equally wide bins of the mean rating, over 1..10.")] = 10,
    per_bin: Annotated[
        int | None, typer.Option("--per-bin", help="Keep this many of each bin and discard the others.")
    ] = None,
    top: Annotated[
        bool,
        typer.Option(
            "--top",
            help="Of each bin those with most ratings; the first ones where these are equal or only means are known."
            " The default.",
        ),
    ] = False,
    random: Annotated[bool, typer.Option("--random", help="Of each bin random ones, the same for the same --seed.")] = (
        False
    ),
    seed: Annotated[int | None, typer.Option("--seed", help="Of --random. Default: 0.")] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Discard none: weigh each by one over the number in its bin.")
    ] = False,
    most: Annotated[
        float | None,
        typer.Option(
            "--most", help="With --weights: at most this many times the weight of the fullest bin's. Default: 10."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the photographs. Default: the manifest's.")
    ] = None,
    scale: ScaleOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
) -> None:
    """Balance the training split by bins of mean rating; val and test stay as they are.

    Exit code: 0 done, 2 usage or nothing to balance, 1 output failed.
    """
    from edge_nima_train.manifest import read_manifest, write_manifest

    _refuse(per_bin, top, random, seed, weights, most)
    refuse_output(out, overwrite)
    done = _balance(read_manifest(manifest, images, scale), bins, per_bin, random, seed, most)
    write_manifest(out, done.manifest)
    _print(done, weights, random)
    for line in done.notes:
        say(line)
    typer.echo(f"{printable(out)}: {len(done.manifest):,} photographs, {done.untouched:,} of them not to train on")


def _refuse(per_bin: int | None, top: bool, random: bool, seed: int | None, weights: bool, most: float | None) -> None:
    if (per_bin is None) == (not weights):
        raise RequestError("give --per-bin N, which discards, or --weights, which does not: one of the two")
    if top and random:
        raise RequestError("--top and --random: give one of the two")
    if weights and (top or random):
        raise RequestError("--top and --random choose what --per-bin keeps; --weights keeps all")
    if seed is not None and not random:
        raise RequestError("--seed is of --random: give that too")
    if most is not None and not weights:
        raise RequestError("--most is of --weights: give that too")


def _balance(
    manifest: Manifest, bins: int, per_bin: int | None, random: bool, seed: int | None, most: float | None
) -> Balancing:
    from edge_nima_train.balance import RANDOM, TOP, undersample, weigh

    if per_bin is None:
        return weigh(manifest, bins=bins, most=10.0 if most is None else most)
    return undersample(manifest, per_bin, bins=bins, choose=RANDOM if random else TOP, seed=seed or 0)


def _print(done: Balancing, weights: bool, random: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    kept = "drawn an epoch" if weights else "kept, random" if random else "kept, top"
    for heading in ("mean rating", "before", kept):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in done.bins:
        table.add_row(str(one), f"{one.before:,}", f"{one.after:,.0f}")
    table.add_row("all", f"{sum(one.before for one in done.bins):,}", f"{sum(one.after for one in done.bins):,.0f}")
    Console(width=100).print(table)
