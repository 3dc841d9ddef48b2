"""edge-nima data download: where AVA's photographs come from, and one file from an address that the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.progress import byte_progress
from edge_nima.errors import RequestError, printable


def download(
    url: Annotated[
        str | None, typer.Option("--url", help="Fetch this file, http or https. Without: say where AVA is.")
    ] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="What it must hash to, 64 hexadecimal digits.")] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Take it without --sha256; broken off, it begins again.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it there. Default: the last part of URL, here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another file that is there.")] = False,
) -> None:
    """Say where AVA's photographs come from; with --url, fetch one file, resumed and checked, and print its path.

    Exit code: 0 done, 1 the download or output failed, 2 usage, 130 interrupted.
    """
    from edge_nima_train.download import SOURCES
    from edge_nima_train.download import download as get

    if url is None:
        if sha256 or no_check or out or overwrite:
            raise RequestError("--url is missing: the address of the file to fetch; without any option: the sources")
        typer.echo(SOURCES, nl=False)
        return
    if (sha256 is None) != no_check:
        raise RequestError("give --sha256 HEX, what the file must hash to, or --no-check to take whatever comes: one")
    try:
        with byte_progress("download", 0) as advance:
            path, found = get(url, out, sha256=sha256, overwrite=overwrite, progress=advance)
    except KeyboardInterrupt:
        say(f"interrupted; the same command {'begins again' if no_check else 'goes on where it was'}")
        raise typer.Exit(INTERRUPTED) from None
    if no_check:
        say(f"not checked; what came has SHA-256 {found}")
    typer.echo(printable(path))
