"""edge-nima bench: how fast this machine scores."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import CardOption, ModelArgument, ThreadsOption
from edge_nima.cli.progress import stages
from edge_nima.errors import RequestError, escaped

if TYPE_CHECKING:
    from edge_nima.scorer import ModelFile


def bench(
    model: ModelArgument = None,
    card: CardOption = None,
    threads: ThreadsOption = None,
    seconds: Annotated[str, typer.Option("--seconds", help="How long to measure: 30, 2m.")] = "120",
    sustained: Annotated[
        str | None, typer.Option("--sustained", metavar="30m", help="Then without a pause so long, a line a minute.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON line a measurement, as benchmarks/results has.")
    ] = False,
) -> None:
    """Measure how fast this machine scores, find the best thread count, and compare with boards measured before.

    Exit code: 0 measured, 2 usage, 130 interrupted (what was measured is shown).
    """
    from edge_nima.bench import bench as measure
    from edge_nima.scorer import load_model
    from edge_nima.watch.units import seconds as parse

    long, lasting = (0.0 if text is None else parse(text, option)
                     for text, option in ((seconds, "--seconds"), (sustained, "--sustained")))  # fmt: skip
    if not 1 <= long < math.inf:
        raise RequestError(f"--seconds is {seconds}; possible: 1 and more")
    if sustained is not None and lasting < 1:
        raise RequestError(f"--sustained is {sustained}; possible: 1s and more, 30m to see what heat does")
    file = load_model(model, card)
    lines: list[dict[str, Any]] = []
    interrupted = False
    try:
        with stages("measuring") as show:
            for number, line in enumerate(measure(file, long, threads, lambda what: show(what, len(lines), 0, ""))):
                lines.append(line)
                if as_json:
                    _put(line)
                show(f"measured {number + 1}", 0, 0, "")
    except KeyboardInterrupt:
        interrupted = True
    if not as_json and lines:
        _print(file, lines)
    if lasting and not interrupted:
        best = threads or next(line["threads"] for line in lines if line.get("best"))
        interrupted = not _sustain(file, best, lasting, as_json)
    if interrupted:
        say(f"interrupted after {len(lines)} measurements")
        raise typer.Exit(INTERRUPTED)


def _put(line: dict[str, Any]) -> None:
    typer.echo(json.dumps(line))
    sys.stdout.flush()


def _print(file: ModelFile, lines: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from edge_nima.bench import similar_boards

    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    here = lines[0]["machine"]
    extra = f", {' '.join(here['instructions'])}" if here["instructions"] else ""
    console.print(Text(escaped(f"{file.label} on {here['board']}, {here['cores']} cores{extra}")))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "threads", "n", "ms p50", "p90", "p99", "a second", "to bare"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for line in lines:
        table.add_row(*_row(line))
    console.print(table)
    best = next((line["threads"] for line in lines if line.get("best")), None)
    if best is not None:
        console.print(f"best for one picture at a time: --threads {best}", highlight=False)
    boards = similar_boards(file.card.name, here)
    if not boards:
        console.print(Text(f"no {here['system']} machine has been measured with {escaped(file.card.name)} before"))
        return
    others = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="The bare model elsewhere", title_justify="left")
    for heading in ("board", "cores", "threads", "ms p50", "here", "date"):
        others.add_column(heading, justify="left" if heading == "board" else "right", overflow="fold")
    own = {line["threads"]: line["p50"] for line in lines if line["case"] == "invoke"}
    for board in boards:
        ours = own.get(board["threads"])
        compared = f"{ours / board['p50']:.2f} x" if ours else ""
        others.add_row(
            Text(_board(board["machine"])), str(board["machine"]["cores"]), str(board["threads"]),
            f"{board['p50']:.1f}", compared, board["date"],
        )  # fmt: skip
    console.print(others)


def _board(machine: dict[str, Any]) -> str:
    vector = [name for name in machine["instructions"] if "vnni" in name or name in {"asimddp", "i8mm", "avx512f"}]
    return escaped(machine["board"] + (f" ({', '.join(vector)})" if vector else ""))


def _row(line: dict[str, Any]) -> Iterable[str]:
    what, numbers = line["case"], [f"{line[key]:.1f}" for key in ("p50", "p90", "p99")]
    if what == "photographs":
        return (f"JPEGs, {line['jobs']} at once", str(line["threads"]), str(line["n"]), "", "", "",
                f"{line['p50']:.1f}", "")  # fmt: skip
    name = "bare model" if what == "invoke" else line["size"]
    times = f"{line['to_invoke']:.2f} x" if "to_invoke" in line else ""
    return name, str(line["threads"]), str(line["n"]), *numbers, f"{1000 / line['p50']:.1f}", times


def _sustain(file: ModelFile, threads: int, seconds: float, as_json: bool) -> bool:
    """A line a minute; False where it was interrupted."""
    from edge_nima.measuring import measurement
    from edge_nima.sustained import sustained

    first: float | None = None
    try:
        for one in sustained(file, threads, seconds, min(60.0, seconds)):
            if as_json:
                _put(measurement("bench", "sustained", threads=threads, model=file.label, **one))
                continue
            rate = one["per_second"]
            first = first or rate
            heat = "" if one["temperature_c"] is None else f", {one['temperature_c']:.0f} °C"
            heat += ", throttled" if one["throttled"] else ""
            typer.echo(f"{one['at_s'] / 60:6.1f} min  {rate:6.1f} a second, {rate / first:.2f} of the first{heat}")
    except KeyboardInterrupt:
        return False
    return True
