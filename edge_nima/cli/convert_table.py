"""What `edge-nima convert` prints at its end: a row a recipe, people beside it, the files that are kept, and layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from edge_nima.errors import printable

if TYPE_CHECKING:
    from edge_nima.people import AgainstPeople
    from edge_nima_convert import Conversion

NARROWEST, PIPED = 100, 140
"""Columns of the table in a terminal, at least, and where there is none; a line that wraps beats a number cut short."""
_TEXTS = {"recipe", "gate", "model", "layer", "kind", "held as"}


def print_conversions(done: Sequence[Conversion]) -> None:
    """One row a recipe, in the order in which they were made; then the files that are kept, and what layers cost."""
    if not done:
        return
    first = done[0].comparison
    title = f"Agreement with the float checkpoint, n={first.n} ({first.on}); rating points:"
    _print(
        title,
        ("recipe", "MB", "MAE", "bias", "p99", "SRCC", "EMD r=2", "flips at 5", "spread", "gate"),
        map(_row, done),
    )
    part = first.against_people
    if part is not None:
        b = part.baselines
        title = (
            f"Against people, n={part.n} ({printable(part.source)}); whoever looks at no photograph gets accuracy "
            f"{100 * max(b.good_accuracy, b.accuracy):.1f} %, EMD r=2 {b.emd_r2:.4f}:"
        )
        rows = [("float", *_against(part.reference), "")]
        for one in done:
            if (beside := one.comparison.against_people) is not None:
                change = beside.difference.srcc
                told = f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
                rows.append((one.recipe, *_against(beside.candidate), told))
        _print(title, ("model", "SRCC", "PLCC", "accuracy at 5", "EMD r=2", "change of SRCC (95 %)"), rows)
    for one in done:
        if one.path is not None:
            typer.echo(f"{printable(one.path)}  ({one.seconds:.0f} s)")
    for one in done:
        if one.layers:
            _print(
                f"Layers of {one.recipe}: signal to noise against float; MAE of the mean when it alone is quantised:",
                ("layer", "kind", "held as", "weights dB", "output dB", "MAE alone"),
                [
                    (layer.name, layer.kind, layer.precision, _number(layer.weight_snr_db, ".1f"),
                     _number(layer.activation_snr_db, ".1f"), _number(layer.mae, ".4f"))
                    for layer in sorted(one.layers, key=lambda layer: -(layer.mae or 0.0))
                ],
            )  # fmt: skip


def _row(one: Conversion) -> tuple[str, ...]:
    a, verdict = one.agreement, one.verdict
    failed = ", ".join(dict.fromkeys(failure.statistic for failure in verdict.failures))
    return (
        one.recipe, f"{one.size / 1e6:.2f}", f"{a.mae:.4f}", f"{a.bias:+.4f}", f"{a.p99:.3f}", f"{a.srcc:.4f}",
        f"{a.emd_r2:.4f}", f"{100 * a.flips:.1f} %", f"{a.spread_ratio:.3f}",
        f"{verdict.status}: {failed}" if failed else verdict.status,
    )  # fmt: skip


def _against(model: AgainstPeople) -> tuple[str, str, str, str]:
    return (
        f"{model.srcc.value:.4f}", f"{model.plcc.value:.4f}", f"{100 * model.accuracy.value:.1f} %",
        f"{model.emd_r2.value:.4f}",
    )  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _print(title: str, headings: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right", no_wrap=heading != "gate")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal or console.width < NARROWEST:
        console = Console(width=NARROWEST if console.is_terminal else PIPED)
    console.print(title, soft_wrap=True, markup=False, highlight=False)
    console.print(table)
