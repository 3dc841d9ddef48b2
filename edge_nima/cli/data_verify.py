"""edge-nima data verify: labels and photographs to a clean manifest, and a report of what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import ScaleOption, refuse_outputs
from edge_nima.cli.progress import stages
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima_train.verify import Verification

FAULTY = 1


def verify(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="AVA.txt, a label CSV, or a manifest.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="The folder of photographs.")],
    out: Annotated[Path, typer.Option("--out", help="Write the manifest of what is good there, a CSV.")],
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the report there, JSON. Default: OUT's name, .report.json.")
    ] = None,
    scale: ScaleOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Files at once. Default: one a core.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when anything is wrong.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT and the report.")] = False,
) -> None:
    """Check every row of LABELS and every file of IMAGES, and list what can be used.

    What is wrong is counted and named in the report, and does not stop it; what is odd is flagged and kept. After an
    interruption the same command goes on where it was.

    Exit code: 0 checked, 1 with --strict and a fault or output failed, 2 usage or nothing that can be used, 130
    interrupted.
    """
    from time import perf_counter

    from edge_nima.records import is_special, partial_path
    from edge_nima.scorer import available_cores
    from edge_nima_train.verify import verify as check
    from edge_nima_train.verify import write_verification

    report = report or out.with_suffix(".report.json")
    refuse_outputs([labels], {"--out": out, "--report": report}, overwrite)
    if is_special(out) or is_special(report):
        raise RequestError("--out and --report are a file each, no pipe or device")
    log = partial_path(out)
    started = perf_counter()
    try:
        with stages("verify") as tell:
            found = check(labels, images, scale=scale, log=log, jobs=jobs or available_cores(), tell=tell)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was")
        raise typer.Exit(INTERRUPTED) from None
    seconds = perf_counter() - started
    _print(found)
    write_verification(found, out, report)
    log.unlink(missing_ok=True)
    kept = f", {found.kept_from_before:,} of them read before the interruption" if found.kept_from_before else ""
    checked = f"{found.rows:,} rows against {found.files:,} photographs in {seconds:.1f} s{kept}"
    say(f"{checked}; the report is '{printable(report)}'")
    raise typer.Exit(FAULTY if strict and found.faults else 0)


def _print(found: Verification) -> None:
    """Counts by fault and by anomaly, with the first of each."""
    from edge_nima.cli.sinks import put_out
    from edge_nima.reports.terminal import render
    from edge_nima_train.verify import as_document

    document = as_document(found)
    lines = []
    for kind, fault in document["faults"].items():
        if fault["count"]:
            first = next(one for one in document["faulty"] if one["kind"] == kind)
            where = first["file"] or f"line {first['line']}"
            lines.append(f"{fault['count']:9,} {fault['what']}, such as {where}: {first['what']}")
    for flag, anomaly in document["anomalies"].items():
        if anomaly["count"]:
            first = next(one for one in document["flagged"] if flag in one["flags"])
            lines.append(f"{anomaly['count']:9,} odd, kept: {flag}, such as {first['file']}: {anomaly['rule']}")
    lines.append(f"{document['good']:9,} good of {document['labels']['rows']:,} rows")
    put_out(render(lines))
