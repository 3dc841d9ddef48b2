"""edge-nima compare: two files of score records, held against each other and against people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.cli.options import ScaleOption, refuse_outputs
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.comparison import Comparison
    from edge_nima.gate import Gate
    from edge_nima.verdict import Verdict

FAILED = 1


class Format(StrEnum):
    """What comes out."""

    table = "table"
    json = "json"


GateOption = Annotated[
    str | None,
    typer.Option(
        "--gate", metavar="default|FILE", help="Tolerances: edge_nima's, or yours in TOML. Beyond: exit code 1."
    ),
]
Float16Option = Annotated[
    Path | None,
    typer.Option(
        "--float16", metavar="RECORDS", help="Of the float16 model: flips and ranks that it costs too pass the gate."
    ),
]


def compare(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Records of the float model.")],
    candidate: Annotated[
        Path, typer.Argument(metavar="CANDIDATE", help="Records of the model that is to stand in for it.")
    ],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="People's ratings: AVA.txt, or a CSV with n1..n10 or mean_rating.")
    ] = None,
    scale: ScaleOption = None,
    gate: GateOption = None,
    float16: Float16Option = None,
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

    Exit code: 0 compared, 1 outside the gate or output failed, 2 usage or records that cannot be compared,
    130 interrupted. What the gate cannot judge, as by too few photographs, is said and exits with 0.
    """
    from edge_nima.comparison import compare_records
    from edge_nima.gate import load_gate

    kind = form or (Format.json if output is not None and output.suffix.lower() == ".json" else Format.table)
    own = None if gate in (None, "default") else Path(str(gate))
    inputs = [reference, candidate, *(path for path in (labels, float16, own) if path)]
    refuse_outputs(inputs, {"--output": output, "--html": html}, overwrite)
    if float16 is not None and gate is None:
        raise RequestError("--float16 is for the gate: give --gate default or --gate FILE too")
    tolerances = None if gate is None else load_gate(own)
    if photos is not None and html is None:
        raise RequestError("--photos is for the page: give --html FILE too")
    if photos is not None and not photos.is_dir():
        raise RequestError(f"--photos '{printable(photos)}' is no folder")
    if html is not None:
        from edge_nima.reports.pages import need_report

        need_report()
    comparison = compare_records(reference, candidate, labels, scale=scale, seed=seed)
    for warning in comparison.warnings:
        say(f"warning: {warning}")
    verdict = None if tolerances is None else _judge(tolerances, comparison, reference, float16)
    _put(comparison, kind, output, verdict)
    if html is not None:
        from edge_nima.reports.comparison import write_report

        write_report(html, comparison, photos=photos, verdict=verdict)
        say(f"the page is '{printable(html)}'")
    if verdict is not None and verdict.status != "passed":
        failed, name = verdict.status == "failed", printable(comparison.candidate_name)
        say(f"{name} failed the gate: {verdict.told()}" if failed else f"warning: {name} not judged: {verdict.told()}")
        raise typer.Exit(FAILED if failed else 0)


def _judge(tolerances: Gate, comparison: Comparison, reference: Path, float16: Path | None) -> Verdict:
    from edge_nima.comparison import compare_records
    from edge_nima.gate import judge

    if float16 is None:
        return judge(tolerances, comparison)
    control = compare_records(reference, float16, resamples=1)
    missing = len(set(comparison.names) - set(control.names))
    if missing or control.n > comparison.n:
        told = f"it lacks {missing} of the {comparison.n}" if missing else f"it has {control.n}, not {comparison.n}"
        raise RequestError(f"--float16 '{printable(float16)}' is to hold the photographs that both models have: {told}")
    return judge(tolerances, comparison, control=control.agreement)


def _put(comparison: Comparison, kind: Format, output: Path | None, verdict: Verdict | None) -> None:
    from edge_nima.cli.sinks import put_out
    from edge_nima.reports.comparison import as_json, report
    from edge_nima.reports.pages import write_page
    from edge_nima.reports.terminal import table

    if kind == Format.json:
        text = as_json(comparison, verdict=verdict)
    else:
        text = table(report(comparison, verdict=verdict), output is None)
    if output is None:
        put_out(text)
        return
    write_page(output, text)
