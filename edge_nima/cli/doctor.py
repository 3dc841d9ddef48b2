"""edge-nima doctor: whether this machine can score and watch, on one screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.cameras import Format
from edge_nima.cli.options import CardOption, ModelOption
from edge_nima.errors import escaped

if TYPE_CHECKING:
    from edge_nima.doctor.checks import Report


def doctor(
    model: ModelOption = None,
    card: CardOption = None,
    form: Annotated[Format, typer.Option("--format", help="A screen for people, or JSON.")] = Format.table,
) -> None:
    """Look at the board, the system, the packages, the model and the cameras; say what to type next.

    What could crash is tried in processes of its own. Exit code: 0 nothing is in the way (warnings allowed),
    1 a problem, 2 usage.
    """
    from rich.console import Console

    from edge_nima.doctor.checks import examine

    with Console(stderr=True).status("examining the machine"):  # silent where stderr is no terminal
        report = examine(model=model, card=card)
    if form is Format.json:
        typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_report(report)
    raise typer.Exit(1 if report.problems else 0)


def print_report(report: Report) -> None:
    """The screen: one line a finding, what to do under it, and what to type next."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    looks = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "bold red")}
    table = Table(show_header=False, box=None, pad_edge=False)
    for style in ("bold", None, None):
        table.add_column(style=style, no_wrap=True)
    table.add_column(overflow="fold")
    section = ""
    for finding in report.findings:
        text = Text(escaped(finding.text, keep="\n"))
        if finding.fix and finding.level != "ok":
            text.append("\n-> " + escaped(finding.fix, keep="\n"), "bold")
        heading, section = finding.section if finding.section != section else "", finding.section
        table.add_row(heading, Text(*looks[finding.level]), finding.name, text)
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(table)
    count = len(report.problems)
    said = f"{count} problem{'s'[: count != 1]}; first" if count else "no problem; next"
    # Printed whole, not folded: it is copied.
    console.print(Text(f"\n{said}: {escaped(report.next)}"), soft_wrap=True)
