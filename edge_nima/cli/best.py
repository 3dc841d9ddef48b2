"""edge-nima best: the best of what a watcher recorded, or all of it as a file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.cli.options import bars, refuse_outputs
from edge_nima.errors import OutputError, RequestError, printable, reason

if TYPE_CHECKING:
    from edge_nima.watch.events import Scored, Shot
    from edge_nima.watch.records import RecordFilter, RecordReader, Summary

    Kept = Callable[[Scored], Shot | None]


class Export(StrEnum):
    """What comes out instead of the table."""

    csv = "csv"
    jsonl = "jsonl"


def best(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The --out of `edge-nima watch`, or a database of it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The same, as `watch` calls it.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="MOMENT", help="2h (ago), 08:30, 2026-11-24, '2026-11-24 08:30'.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="MOMENT", help="Before this moment.")] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Only the K best, best first. Default: 10; all for --export.")
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", metavar="NAME", help="Only of this camera.")] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=1, max=10, help="Only means of at least this.")
    ] = None,
    export: Annotated[
        Export | None, typer.Option("--export", help="Records to stdout, in order of time; with --top best first.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the export there.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT when it exists.")] = False,
) -> None:
    """Show the best of what `edge-nima watch --out DIR` recorded, with the photographs it kept; or export records.

    Reads only, also while the watcher writes. Exit code: 0 done, also when no record is in the span, 2 usage or nothing
    that can be read, 1 output failed, 130 interrupted.
    """
    from edge_nima.watch.records import FILE, RecordFilter, RecordReader
    from edge_nima.watch.units import moment

    if folder is not None and out is not None:
        raise RequestError(f"DIR is given twice, '{printable(folder)}' and --out '{printable(out)}'; give one")
    now = time()
    begin = float("-inf") if since is None else moment(since, now, "--since")
    end = float("inf") if until is None else moment(until, now, "--until")
    if begin >= end:
        raise RequestError(f"--since {_local(begin)} is not before --until {_local(end)}; no record is in between")
    database = folder or out or Path()
    if os.path.isdir(database):
        database /= FILE
    if not os.path.exists(database) and os.access(database.parent, os.X_OK):  # otherwise the reader says what is wrong
        raise RequestError(f"no records: '{printable(database)}' is not there; type edge-nima best DIR, watch's --out")
    form = _export_form(database, export, output, overwrite)
    wanted = RecordFilter(begin, end, camera, min_score)
    with contextlib.closing(RecordReader(database)) as reader:
        told, kept = _summary(reader, wanted), _kept(database.parent)
        if form is None:
            _show(reader.best(wanted, top or 10), kept, database.parent)
        else:
            _export(reader.all(wanted) if top is None else reader.best(wanted, top), form, output, kept)
        say(told)


def _export_form(database: Path, export: Export | None, output: Path | None, overwrite: bool) -> Export | None:
    if output is None and overwrite:
        raise RequestError("--overwrite replaces a file: give --output NAME.jsonl or NAME.csv too")
    if output is None:
        return export
    refuse_outputs([database], {"--output": output}, overwrite)
    form = {".jsonl": Export.jsonl, ".ndjson": Export.jsonl, ".csv": Export.csv}.get(output.suffix.lower())
    if export is None and form is None:
        raise RequestError(f"'{printable(output)}' ends in neither .jsonl nor .csv; say --export jsonl or --export csv")
    return export or form


def _kept(folder: Path) -> Kept:
    # Which photograph was kept of a record: its name holds the camera, the millisecond and the mean.
    from edge_nima.watch.gallery import label_in_names, list_shots
    from edge_nima.watch.units import utc_text

    def key(camera: str, taken_at: float, mean: float | None) -> tuple[str, str, str]:
        return label_in_names(camera), utc_text(taken_at), f"{mean or 0:.3f}"

    shots = {}
    try:
        shots = {key(shot.camera, shot.taken_at, shot.mean): shot for shot in list_shots(folder)}
    except OSError as error:
        say(f"warning: cannot read '{printable(folder / 'shots')}': {reason(error)}; no photograph is named")
    return lambda scored: shots.get(key(scored.camera, scored.taken_at, scored.record.mean))


def _export(found: Iterable[Scored], form: str, output: Path | None, kept: Kept) -> None:
    """To stdout, a pipe or device, or a file that appears when it is whole."""
    from edge_nima.cli.sinks import put_records
    from edge_nima.records import COLUMNS, is_special, write_whole
    from edge_nima.watch.records import format_scored

    def parts() -> Iterator[str]:
        yield ",".join((*COLUMNS, "taken_at", "camera", "age_ms", "shot")) + "\n" if form == "csv" else ""
        each = ((scored, kept(scored)) for scored in found)
        lines = (format_scored(one, form, "/".join(shot.path.parts[-3:]) if shot else "") for one, shot in each)
        while part := "".join(islice(lines, 200)):  # a write for each line takes longer than making it
            yield part

    if output is None:
        for part in parts():
            put_records(part)
        return
    content = (part.encode("utf-8", "surrogateescape") for part in parts())
    try:
        if not is_special(output):
            return write_whole(output, content)
        with open(output, "wb") as file:
            file.writelines(content)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write '{printable(output)}': {reason(error)}") from error


def _show(ranked: list[Scored], kept: Kept, folder: Path) -> None:
    from edge_nima.cli.sinks import put_out

    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    wide = max([6, *(len(printable(scored.camera)) for scored in ranked)])
    if ranked:
        put_out(f"rank   mean   std  1..10       when                 {'camera':{wide}}  photograph kept\n")
    for rank, scored in enumerate(ranked, 1):
        record, shot = scored.record, kept(scored)
        shape = bars(record.distribution or (1.0,) * 10, encoding)
        path = "-" if shot is None else printable(shot.path.relative_to(folder))
        put_out(
            f"{rank:4}  {record.mean:6.3f}  {record.std or 0:.2f}  {shape}  {_local(scored.taken_at)}"
            f"  {printable(scored.camera):{wide}}  {path}{' (favourite)' if shot and shot.favourite else ''}\n"
        )


def _summary(reader: RecordReader, wanted: RecordFilter) -> str:
    """What was read, or why nothing, on one line."""
    from edge_nima.watch.records import RecordFilter

    where, found = f"'{printable(reader.path)}'", reader.summary(wanted)
    if found.count:
        mean = "" if found.mean is None else f", mean {found.mean:.3f}"
        errors = f", {found.errors} not scored" if found.errors else ""
        return f"{found.count} record{'s'[: found.count != 1]}, {_span(found)}{mean}{errors}"
    everything, cameras = reader.summary(RecordFilter()), reader.cameras()
    if not cameras:
        return f"no records in {where} yet"
    if wanted.camera is not None and wanted.camera not in cameras:
        named = ", ".join(map(printable, cameras[:20]))
        raise RequestError(f"no camera '{printable(wanted.camera)}' in {where}; possible: {named}")
    return f"no such records in {where}; there are {everything.count}, {_span(everything)}"


def _span(found: Summary) -> str:
    return f"{_local(found.first or 0)} to {_local(found.last or 0)}"


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).isoformat(" ", "seconds")
