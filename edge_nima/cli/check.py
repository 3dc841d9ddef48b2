"""edge-nima check: golden probes on this machine."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import CardOption, ModelArgument, ThreadsOption, warn_of_gate
from edge_nima.errors import RequestError, escaped, printable

if TYPE_CHECKING:
    from rich.table import Table

    from edge_nima.check import ProbeResult

FAILED = 1

_SAME = {True: "same", False: "differ", None: "-"}


def check(
    model: ModelArgument = None,
    card: CardOption = None,
    threads: ThreadsOption = None,
    export_vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Then write test vectors for other languages: pictures, camera buffers, inputs, distributions.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace vectors that are in DIR.")] = False,
) -> None:
    """Run a model's golden probes through this machine's decoding, resizing and arithmetic.

    With --export-vectors, what passes here becomes the vectors that a port to another language is tested with.

    Exit code: 0 all within the card's tolerance, 1 beyond it, 2 usage.
    """
    from edge_nima.check import check_model
    from edge_nima.interpreter import runtime_name
    from edge_nima.scorer import load_model

    if overwrite and export_vectors is None:
        raise RequestError("--overwrite goes with --export-vectors DIR")
    file = load_model(model, card)
    warn_of_gate(file.card)
    results = check_model(file, threads or 1)

    from PIL import __version__ as pillow
    from rich.console import Console

    console = Console()
    if not console.is_terminal or console.width < 100:
        console = Console(width=160 if not console.is_terminal else 100)  # a line that wraps beats a number cut short
    console.print(_table(results))
    failed = sum(r.problem is not None for r in results)
    here = f"{platform.machine()}, Python {platform.python_version()}, Pillow {pillow}, {runtime_name()}"
    summary = f"{failed} of {len(results)} probes FAILED" if failed else f"{len(results)} probes passed"
    typer.echo(f"{summary}: {file.label} on {here}")
    if failed:
        raise typer.Exit(FAILED)
    if export_vectors is not None:
        from edge_nima.vectors import export_vectors as export

        count = export(file, export_vectors, overwrite)
        typer.echo(f"{count} pictures and buffers with their inputs and distributions: {printable(export_vectors)}")


def _table(results: Sequence[ProbeResult]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("probe", overflow="fold")
    for heading in ("pixels", "input", "mean", "own", "diff", "float", "diff", "bin"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("result", overflow="fold")
    for r in results:
        verdict = Text("ok", "green") if r.problem is None else Text(escaped(r.problem, keep="\n"), "red")
        table.add_row(
            Text(escaped(r.name, keep="\n")), _SAME[r.pixels_same], _SAME[r.input_same],
            f"{r.mean:.4f}", f"{r.own_mean:.4f}", f"{r.own_gap:+.0e}", f"{r.reference_mean:.4f}",
            f"{r.reference_gap:+.4f}", f"{r.largest_bin:.0e}", verdict,
        )  # fmt: skip
    return table
