"""What `edge-nima convert` leaves beside its models: a report a recipe, and what each layer costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.cli.options import say
from edge_nima.errors import OutputError, RequestError, printable, reason

if TYPE_CHECKING:
    from edge_nima.comparison import LayerError
    from edge_nima_convert.checkpoint import Checkpoint
    from edge_nima_convert.conversion import Converted, Material
    from edge_nima_convert.recipes import Recipe

FORMS = (".html", ".json")


def report_paths(
    report: Path | None, models: Mapping[str, Path], overwrite: bool, *, climbs: bool
) -> dict[str, list[Path]]:
    """Where each recipe's reports go: both forms in a folder, or the one file that is named.

    Args:
        report: what --report says.
        models: the .tflite of each recipe.
        overwrite: whether reports that exist are replaced.
        climbs: whether it is not known beforehand which recipes are made.

    Raises:
        RequestError: one exists, or one file is to hold several.
        OutputError: the folder cannot be made.
        PackageMissing: a page needs matplotlib, and it is not installed.
    """
    if report is None:
        return {}
    from edge_nima.records import is_special
    from edge_nima.report import need_matplotlib

    one_file = report.suffix.lower() in FORMS and not report.is_dir()
    if one_file and (len(models) > 1 or climbs):
        raise RequestError(f"--report '{printable(report)}' is one file for several recipes; name a folder instead")
    paths = {
        name: [report] if one_file else [report / f"{path.stem}{form}" for form in FORMS]
        for name, path in models.items()
    }
    everywhere = [path for some in paths.values() for path in some]
    if any(path.suffix.lower() == ".html" for path in everywhere):
        need_matplotlib()
    there = [path for path in everywhere if path.exists() and not (one_file and is_special(path))]
    if there and not overwrite:
        raise RequestError(f"'{printable(there[0])}' exists: --overwrite replaces it")
    if one_file:
        is_special(report)  # refuses a folder that is not there
        return paths
    try:
        report.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{printable(report)}': {reason(error)}") from error
    return paths


def write_reports(one: Converted, paths: Sequence[Path], layers: Sequence[LayerError]) -> None:
    """Write the comparison of one conversion with the float model.

    Raises:
        OutputError: a report cannot be written.
    """
    from edge_nima.records import write_whole
    from edge_nima.report import as_json, write_report

    for path in paths:
        if path.suffix.lower() == ".html":
            title = f"Does {one.comparison.candidate_name} stand in for the float model? Gate: {one.verdict.status}"
            write_report(path, one.comparison, layers=layers, title=title)
            continue
        try:
            write_whole(path, as_json(one.comparison, layers).encode())
        except OSError as error:
            raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error


def explained(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes that quantise activations, whose layers can be explained.

    Raises:
        RequestError: there are none.
    """
    some = [recipe for recipe in recipes if recipe.needs_calibration]
    if not some:
        raise RequestError("--explain is of recipes that calibrate (int8, ...); give one with --recipe")
    return some


def explain(source: Checkpoint, one: Converted, material: Material) -> list[LayerError]:
    """What each layer of a conversion costs, measured on the calibration photographs; printed as a table."""
    from edge_nima_convert.explain import explain_layers

    say(f"explaining {one.recipe.name}: each layer against the float model")
    layers = list(explain_layers(source, one.recipe, material.calibration, model=one.content))
    print_layers(one.recipe.name, layers)
    return layers


def print_layers(recipe: str, layers: Sequence[LayerError]) -> None:
    """One row a layer, the costliest first where costs are measured."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("layer", "kind", "held as", "weights dB", "output dB", "MAE alone"):
        table.add_column(heading, justify="left" if heading in {"layer", "kind", "held as"} else "right")
    for layer in sorted(layers, key=lambda layer: -(layer.mae or 0.0)):
        table.add_row(
            Text(layer.name), Text(layer.kind), Text(layer.precision), _number(layer.weight_snr_db, ".1f"),
            _number(layer.activation_snr_db, ".1f"), _number(layer.mae, ".4f"),
        )  # fmt: skip
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(f"Layers of {recipe}: signal to noise against float, and the mean's MAE when it alone is quantised:")
    console.print(table)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
