"""edge-nima show: a model's card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_nima.cli.options import CardOption, ModelArgument
from edge_nima.errors import escaped

if TYPE_CHECKING:
    from edge_nima.scorer import ModelFile


def show(
    model: ModelArgument = None,
    card: CardOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The card itself, as --card reads it.")] = False,
) -> None:
    """Show what a model says of itself."""
    from edge_nima.scorer import load_model

    file = load_model(model, card)
    if as_json:
        typer.echo(file.card.to_json(), nl=False)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _rows(file):
        table.add_row(key, Text(escaped(value, keep="\n")))
    Console(soft_wrap=False).print(table)


def _rows(file: ModelFile) -> list[tuple[str, str]]:
    card = file.card
    source = dict(card.source)
    rows = [
        ("model", file.label),
        ("recipe", card.recipe),
        ("size", f"{len(file.content):,} bytes, SHA-256 {file.sha256}"),
        ("licence", card.licence),
        ("attribution", card.attribution or "none"),
        ("checkpoint", _pairs(source) or "not recorded"),
        ("converted by", _pairs(dict(card.converter)) or "not recorded"),
        ("preprocessing", card.preprocessing.describe()),
        ("output", f"{len(card.labels)} values: {card.output}"),
        ("calibration", _pairs(dict(card.calibration)) if card.calibration else "none"),
        ("agreement", _pairs(dict(card.agreement)) if card.agreement else "not measured"),
        ("gate", card.gate.describe() if card.gate else "not recorded"),
        ("tolerance", f"own {card.tolerance['own']:g}, float model {card.tolerance['reference']:g} rating points"),
    ]
    for probe in card.probes:
        from edge_nima.distribution import mean_rating

        own, reference = float(mean_rating(probe.own)), float(mean_rating(probe.reference))
        told = "no float model" if probe.own == probe.reference else f"float model {reference:.4f}"
        rows.append(("golden probe", f"{probe.name}: {own:.4f}, {told}"))
    if not card.probes:
        rows.append(("golden probes", "none: edge-nima check has nothing to go by"))
    return rows


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
