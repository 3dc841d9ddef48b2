"""edge-nima compare: two files of score records, held against each other and against people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import refuse_outputs, say
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.comparison import Comparison


class Format(StrEnum):
    """What comes out."""

    table = "table"
    json = "json"


def compare(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Records of the float model.")],
    candidate: Annotated[
        Path, typer.Argument(metavar="CANDIDATE", help="Records of the model that is to stand in for it.")
    ],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="People's ratings: AVA.txt, or a CSV with n1..n10 or mean_rating.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: table, or json where --output ends in .json.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write there, not to stdout.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots there as well.")] = None,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of the photographs, for the page's worst ten.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Compare two files of score records: does CANDIDATE say what REFERENCE says?

    Exit code: 0 compared, 2 usage or records that cannot be compared, 1 output failed, 130 interrupted.
    """
    from edge_nima.comparison import compare_records

    kind = form or (Format.json if output is not None and output.suffix.lower() == ".json" else Format.table)
    inputs = [reference, candidate, *([labels] if labels else [])]
    refuse_outputs(inputs, {"--output": output, "--html": html}, overwrite)
    if photos is not None and html is None:
        raise RequestError("--photos is for the page: give --html FILE too")
    if photos is not None and not photos.is_dir():
        raise RequestError(f"--photos '{printable(photos)}' is no folder")
    if html is not None:
        from edge_nima.report import need_matplotlib

        need_matplotlib()
    comparison = compare_records(reference, candidate, labels, seed=seed)
    for warning in comparison.warnings:
        say(f"warning: {warning}")
    _put(comparison, kind, output)
    if html is not None:
        from edge_nima.report import write_report

        write_report(html, comparison, photos=photos)
        say(f"the page is '{printable(html)}'")


def _put(comparison: Comparison, kind: Format, output: Path | None) -> None:
    from edge_nima.cli.compare_table import table
    from edge_nima.cli.sinks import put_out
    from edge_nima.report import as_json
    from edge_nima.report.parts import write_document

    text = as_json(comparison) if kind == Format.json else table(comparison, to_terminal=output is None)
    if output is None:
        put_out(text)
        return
    write_document(output, text)
