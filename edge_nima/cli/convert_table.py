"""What `edge-nima convert` prints at its end: one row a recipe, and what the gate says of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from edge_nima.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

    from edge_nima.people import AgainstPeople
    from edge_nima_convert.conversion import Converted, Yardstick

NARROWEST, PIPED = 100, 140
"""Columns of the table in a terminal, at least, and where there is none; a line that wraps beats a number cut short."""


def print_conversions(done: Sequence[Converted], yardstick: Yardstick, kept: Sequence[Converted]) -> None:
    """One row a recipe, in the order in which they were made; then the files that are kept."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for one in done:
        row = _row(one)
        if not table.columns:
            for heading in row:
                left = heading in {"recipe", "gate"}
                table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "gate")
        table.add_row(*row.values())
    console = Console()
    if not console.is_terminal or console.width < NARROWEST:
        console = Console(width=NARROWEST if console.is_terminal else PIPED)
    console.print(
        f"Agreement with the float checkpoint, n={len(yardstick.pixels)} ({yardstick.on}); rating points:",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
    console.print(table)
    people = [one for one in done if one.comparison.against_people]
    if people:
        _print_people(people, console)
    for one in kept:
        typer.echo(f"{printable(one.path)}  ({one.seconds:.0f} s)")


def _print_people(done: Sequence[Converted], console: Console) -> None:
    """The float model and each conversion beside people's ratings, and the change with its interval."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("model", "SRCC", "PLCC", "accuracy at 5", "EMD r=2", "change of SRCC (95 %)"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for number, one in enumerate(done):
        part = one.comparison.against_people
        if part is None:
            continue
        if number == 0:
            b = part.baselines
            console.print(
                f"Against people, n={part.n} ({printable(part.source)}); whoever looks at no photograph gets accuracy "
                f"{100 * max(b.good_accuracy, b.accuracy):.1f} %, EMD r=2 {b.emd_r2:.4f}:",
                soft_wrap=True, markup=False, highlight=False,
            )  # fmt: skip
            table.add_row("float", *_against(part.reference), "")
        change = part.difference.srcc
        told = f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
        table.add_row(one.recipe.name, *_against(part.candidate), told)
    console.print(table)


def _against(model: AgainstPeople) -> tuple[str, str, str, str]:
    return (
        f"{model.srcc.value:.4f}", f"{model.plcc.value:.4f}", f"{100 * model.accuracy.value:.1f} %",
        f"{model.emd_r2.value:.4f}",
    )  # fmt: skip


def _row(one: Converted) -> dict[str, str]:
    a = one.agreement
    return {
        "recipe": one.recipe.name,
        "MB": f"{one.size / 1e6:.2f}",
        "MAE": f"{a.mae:.4f}",
        "bias": f"{a.bias:+.4f}",
        "p99": f"{a.p99:.3f}",
        "SRCC": f"{a.srcc:.4f}",
        "EMD r=2": f"{a.emd_r2:.4f}",
        "flips at 5": f"{100 * a.flips:.1f} %",
        "spread": f"{a.spread_ratio:.3f}",
        "gate": _gate(one),
    }


def _gate(one: Converted) -> str:
    if one.verdict.status == "failed":
        return "failed: " + ", ".join(dict.fromkeys(failure.statistic for failure in one.verdict.failures))
    return one.verdict.status
