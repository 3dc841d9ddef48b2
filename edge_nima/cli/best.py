"""edge-nima best: the best of what a watcher recorded, or all of it as a file."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import bars, say
from edge_nima.errors import OutputError, RequestError, printable, reason

if TYPE_CHECKING:
    from edge_nima.watch.events import Scored
    from edge_nima.watch.reading import KeptShots, Records
    from edge_nima.watch.selection import Summary, Wanted

TOP = 10
_OWN = re.compile(r"(scores|events)[.-].*|\.lock")
"""Files of a watcher's folder that an export must not replace."""


class Export(StrEnum):
    """What comes out instead of the table."""

    csv = "csv"
    jsonl = "jsonl"


class Form(StrEnum):
    """Which records of a folder are read."""

    sqlite = "sqlite"
    jsonl = "jsonl"
    csv = "csv"


def best(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The --out of `edge-nima watch`, or one file of records.")
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
        Export | None,
        typer.Option("--export", help="Records to stdout, in order of time; with --top best first."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the export there.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT when it exists.")] = False,
    records: Annotated[
        Form | None, typer.Option("--records", help="Which to read, where DIR holds several forms.")
    ] = None,
) -> None:
    """Show the best of what `edge-nima watch --out DIR` recorded, with the photographs it kept; or export records.

    Reads only, also while the watcher writes. Exit code: 0 done, also when no record is in the span, 2 usage or nothing
    that can be read, 1 output failed, 130 interrupted.
    """
    if min_score is not None and math.isnan(min_score):
        raise RequestError(f"--min-score is {min_score}; possible: a number")
    place = _place(folder, out)
    form = _export_form(export, output)
    wanted = _wanted(since, until, camera, min_score)
    _refuse_loss(place, output, overwrite)

    from edge_nima.watch.reading import open_records

    with contextlib.closing(open_records(place, _form(place, records))) as opened:
        kept = _kept(place)
        if form is None:
            summary, ranked = opened.best(wanted, top or TOP)
            if ranked:
                _show(ranked, kept)
        else:
            summary = _export(opened, wanted, top, form, output, kept)
        if opened.lost:
            say(f"warning: '{printable(opened.path)}' could not be read whole: {opened.lost}")
        _tell(opened, wanted, summary)


def _place(folder: Path | None, out: Path | None) -> Path:
    """Where to read, checked."""
    from edge_nima.watch.reading import FILES

    if folder is not None and out is not None:
        raise RequestError(
            f"DIR is given twice, '{printable(folder)}' and --out '{printable(out)}'; give one: edge-nima best DIR"
        )
    place = folder or out
    if place is None:
        place = Path()
        if not any((place / name).is_file() for name in FILES.values()):
            raise RequestError("no folder given and no records here; type edge-nima best DIR, watch's --out")
    try:
        place.stat()
    except FileNotFoundError:
        raise RequestError(f"no such folder: '{printable(place)}'; give the --out of `edge-nima watch`") from None
    except OSError as error:
        raise RequestError(f"cannot read '{printable(place)}': {reason(error)}") from error
    return place


def _form(place: Path, records: Form | None) -> str:
    """Which records are read."""
    from edge_nima.watch.reading import FILES, forms_in

    if place.is_file():
        if records is not None:
            return records
        if ".db" in place.name:
            return "sqlite"
        form = place.suffix.lower().lstrip(".")
        if form not in FILES:
            raise RequestError(
                f"'{printable(place)}' is no folder; if it holds records, say --records sqlite|jsonl|csv"
            )
        return form
    try:
        found = forms_in(place)
    except OSError as error:
        raise RequestError(f"cannot read '{printable(place)}': {reason(error)}") from error
    if not found:
        raise RequestError(
            f"no records in '{printable(place)}': none of {', '.join(FILES.values())} is there; "
            "give the --out of `edge-nima watch`"
        )
    if records is not None and records not in found:
        raise RequestError(f"no {FILES[records]} in '{printable(place)}'; possible: --records {'|'.join(found)}")
    if records is None and len(found) > 1:
        say(f"reading {FILES[found[0]]}; there is also {' and '.join(FILES[form] for form in found[1:])} (--records)")
    return records or found[0]


def _export_form(export: Export | None, output: Path | None) -> Export | None:
    if export is not None or output is None:
        return export
    form = {".jsonl": Export.jsonl, ".ndjson": Export.jsonl, ".csv": Export.csv}.get(output.suffix.lower())
    if form is None:
        raise RequestError(f"'{printable(output)}' ends in neither .jsonl nor .csv; say --export jsonl or --export csv")
    return form


def _wanted(since: str | None, until: str | None, camera: str | None, min_score: float | None) -> Wanted:
    from time import time

    from edge_nima.watch.selection import Wanted
    from edge_nima.watch.units import moment

    now = time()
    begin = float("-inf") if since is None else moment(since, now, "--since")
    end = float("inf") if until is None else moment(until, now, "--until")
    if begin >= end:
        raise RequestError(f"--since {_local(begin)} is not before --until {_local(end)}; no record is in between")
    return Wanted(begin, end, camera, min_score)


def _refuse_loss(place: Path, output: Path | None, overwrite: bool) -> None:
    from edge_nima.records import is_special

    if output is None:
        if overwrite:
            raise RequestError("--overwrite replaces a file: give --output NAME.jsonl or NAME.csv too")
        return
    if is_special(output):
        return
    folder = place if place.is_dir() else place.parent
    if _OWN.fullmatch(output.name) and output.parent.resolve() == folder.resolve():
        raise RequestError(f"'{printable(output)}' is the watcher's own; give another --output")
    if output.is_file() and not overwrite:
        raise RequestError(f"'{printable(output)}' exists: --overwrite replaces it")


def _kept(place: Path) -> KeptShots | None:
    from edge_nima.watch.reading import KeptShots

    folder = place if place.is_dir() else place.parent
    try:
        return KeptShots(folder)
    except OSError as error:
        say(f"warning: cannot read '{printable(folder / 'shots')}': {reason(error)}; no photograph is named")
        return None


def _export(
    opened: Records, wanted: Wanted, top: int | None, form: str, output: Path | None, kept: KeptShots | None
) -> Summary:
    from edge_nima.watch.line_store import HEADER, format_scored
    from edge_nima.watch.selection import Summary

    summary, found = Summary(), iter(())  # type: tuple[Summary, Iterator[Scored]]
    if top is None:
        found = opened.all(wanted, summary)
    else:
        summary, ranked = opened.best(wanted, top)
        found = iter(ranked)
    header = HEADER.rstrip("\n") + ",shot\n" if form == "csv" else ""
    lines = (format_scored(scored, form, (kept and kept.of(scored)) or "") for scored in found)
    with _opened(output) as write:
        for chunk in _chunks(header, lines):
            write(chunk)
    return summary


def _chunks(header: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to some 64 KiB: a write for each takes longer than making it."""
    held, size = [header], len(header)
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= 65536:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[Callable[[str], object]]:
    """Where an export goes: stdout, a pipe or device, or a file that appears when it is whole."""
    from edge_nima.cli.sinks import put_out
    from edge_nima.lock import try_lock
    from edge_nima.records import is_special

    if output is None:
        yield put_out
        return
    special = is_special(output)
    beside = output if special else Path(f"{os.fspath(output)}.new")
    try:
        with open(beside, "w" if special else "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            if not special:
                if not try_lock(file):
                    raise RequestError(f"another run is writing '{printable(output)}': wait for it")
                file.truncate(0)
            try:
                yield file.write
                file.flush()
                if not special:
                    os.fsync(file.fileno())
                    os.replace(beside, output)
            except BaseException:
                if not special:
                    beside.unlink(missing_ok=True)
                    with contextlib.suppress(OSError):
                        file.close()  # what it still holds has nowhere to go
                raise
    except OSError as error:
        if isinstance(error, (RequestError, OutputError, BrokenPipeError)):
            raise
        raise OutputError(f"cannot write '{printable(output)}': {reason(error)}") from error


def _show(ranked: list[Scored], kept: KeptShots | None) -> None:
    """A ranked table. On a terminal that is too narrow a photograph's path has a line of its own: it is copied."""
    from rich.cells import cell_len

    from edge_nima.cli.sinks import can_show, put_out

    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    none = "—" if can_show("—", encoding) else "-"
    rows = [("rank", "mean", "std", "1..10", "when", "camera", "photograph kept")]
    for rank, scored in enumerate(ranked, 1):
        record = scored.record
        rows.append((
            str(rank), f"{record.mean:.3f}", none if record.std is None else f"{record.std:.2f}",
            bars(record.distribution or (1.0,) * 10, encoding), _local(scored.taken_at), printable(scored.camera),
            printable((kept and kept.of(scored)) or none),
        ))  # fmt: skip
    wide = [max(cell_len(row[column]) for row in rows) for column in range(7)]
    live = sys.stdout is not None and sys.stdout.isatty()
    beside = not live or sum(wide) + 2 * 6 <= shutil.get_terminal_size().columns
    rule = "─" if can_show("─", encoding) else "-"
    lines = []
    for number, row in enumerate(rows):
        cells = [
            " " * (wide[i] - cell_len(cell)) + cell if i < 3 else cell + " " * (wide[i] - cell_len(cell))
            for i, cell in enumerate(row)
        ]
        lines.append("  ".join(cells if beside else cells[:-1]).rstrip())
        if not number:
            lines.append(rule * (sum(wide if beside else wide[:-1]) + 2 * (6 if beside else 5)))
        elif not beside:
            lines.append(" " * (wide[0] + 2) + row[-1])
    put_out("\n".join(lines) + "\n")


def _tell(opened: Records, wanted: Wanted, summary: Summary) -> None:
    """What was read, on one line."""
    from edge_nima.watch.selection import Wanted

    where = f"'{printable(opened.path)}'"
    if summary.first is not None and summary.last is not None:
        span = f"{_local(summary.first)} to {_local(summary.last)}"
        mean = "" if summary.mean is None else f", mean {summary.mean:.3f}"
        errors = f", {summary.errors} not scored" if summary.errors else ""
        enough = "" if wanted.min_score is None else f", {summary.enough} of at least {wanted.min_score:g}"
        say(f"{_records(summary.count)}, {span}{mean}{enough}{errors}")
        return
    everything, _ = opened.best(Wanted(), 1)
    if everything.first is None or everything.last is None:
        say(f"no records in {where} yet")
        return
    of = ""
    if wanted.camera is not None:
        cameras = opened.cameras()
        if wanted.camera not in cameras:
            named = ", ".join(printable(name) for name in sorted(cameras)[:20])
            raise RequestError(f"no camera '{printable(wanted.camera)}' in {where}; possible: {named}")
        of = f" of '{printable(wanted.camera)}'"
    since = f" since {_local(wanted.since)}" if math.isfinite(wanted.since) else ""
    until = f" until {_local(wanted.until)}" if math.isfinite(wanted.until) else ""
    say(
        f"no records{of} in {where}{since}{until}; there are {everything.count}, "
        f"{_local(everything.first)} to {_local(everything.last)}"
    )


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).isoformat(" ", "seconds")
