"""edge-nima models: what is known by name, and how to get it."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_nima.cli.progress import byte_progress
from edge_nima.errors import printable

app = typer.Typer(help="Models known by name.", no_args_is_help=True, add_completion=False)


@app.command("list")
def list_models() -> None:
    """List the models that are known, and whether they are here."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from edge_nima.registry import entries, is_present

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "MB", "licence", "here", "verified by", "what"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for entry in entries():
        here = "yes" if is_present(entry) else "pull it"
        size = f"{entry.size / 1e6:.1f}" if entry.size else "?"
        table.add_row(Text(entry.name), size, entry.licence, here, Text(entry.verified_by), Text(entry.what))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A name from `edge-nima models list`.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Fetch from this mirror; the content must be the same.")
    ] = None,
) -> None:
    """Fetch a model into the cache, resumed and verified, and print its path."""
    from edge_nima.registry import find, pull

    entry = find(name)
    with byte_progress(entry.name, entry.size or 0) as advance:
        path = pull(entry, url, advance)
    typer.echo(printable(path))
