"""edge-nima convert: a checkpoint to .tflite files, with what each cost."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.cli.progress import progress
from edge_nima.errors import PackageMissing, RequestError, printable

if TYPE_CHECKING:
    from edge_nima_convert.checkpoint import Checkpoint
    from edge_nima_convert.conversion import Converted, Yardstick
    from edge_nima_convert.photographs import Inputs
    from edge_nima_convert.probes import Picture
    from edge_nima_convert.recipes import Recipe


def convert(
    checkpoint: Annotated[
        str,
        typer.Argument(help="Keras HDF5 weights of MobileNet, a .keras file, a SavedModel folder, or a known name."),
    ],
    recipe: Annotated[
        list[str],
        typer.Option("--recipe", help="float32, float16, dynamic or int8; may be repeated. Default: float16."),
    ] = ["float16"],  # noqa: B006  typer reads it, nobody changes it
    out: Annotated[Path, typer.Option("--out", help="Folder for NAME-RECIPE.tflite.")] = Path("."),
    calibration: Annotated[
        list[str] | None, typer.Option("--calibration", help="Photographs or a folder that set int8's ranges.")
    ] = None,
    calibration_count: Annotated[int, typer.Option("--calibration-count", min=1, help="Draw this many of them.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Of both draws.")] = 0,
    evaluate: Annotated[
        list[str] | None,
        typer.Option("--evaluate", help="Photographs or a folder on which agreement with the float model is measured."),
    ] = None,
    evaluate_count: Annotated[int, typer.Option("--evaluate-count", min=1, help="Draw this many of them.")] = 2000,
    probes: Annotated[
        list[str] | None,
        typer.Option("--probes", help="Photographs to make golden probes of. Default: the bundled ones."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What the card calls the checkpoint.")] = None,
    resize_filter: Annotated[
        str | None,
        typer.Option(
            "--filter", help="Resampling it was trained with: nearest, box, bilinear, hamming, bicubic, lanczos."
        ),
    ] = None,
    fit: Annotated[
        str | None, typer.Option("--fit", help="How pictures were brought to shape: stretch or crop.")
    ] = None,
    input_range: Annotated[
        str | None, typer.Option("--input-range", help="What pixels 0 and 255 became in training, such as -1,1 or 0,1.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="SPDX expression of the weights.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Convert a checkpoint to .tflite and measure what that cost.

    Exit code: 0 done, 1 output failed, 2 usage or a checkpoint that is refused, 130 interrupted.
    """
    _need_desktop_packages()
    from edge_nima.distribution import mean_rating
    from edge_nima_convert import conversion, photographs
    from edge_nima_convert.checkpoint import open_checkpoint
    from edge_nima_convert.recipes import quiet_tensorflow

    recipes = _recipes(recipe, bool(calibration))
    with quiet_tensorflow():
        source = open_checkpoint(
            _known(checkpoint),
            name=name, filter=resize_filter, fit=fit, input_range=_range(input_range), licence=licence,
        )  # fmt: skip
    if source.stated == "assumed":
        say(
            f"assuming {source.preprocessing.describe()}: if it was trained otherwise its scores will be wrong, "
            "say so with --filter, --fit and --input-range"
        )
    if source.stated == "the command line" and "url" in source.source:
        say(f"taking {source.preprocessing.describe()}, as you say; the registry knows this checkpoint otherwise")
    paths = conversion.output_paths(source, recipes, out, overwrite)
    needed = calibration if any(r.needs_calibration for r in recipes) else None
    calibrating = _calibration(needed, calibration_count, seed, source) if needed else None
    described = None
    if calibrating:
        means = mean_rating(source.predict(calibrating.pixels))
        described = photographs.describe_calibration(calibrating, seed, means)
    pictures = _pictures(probes)
    yardstick = _yardstick(evaluate, evaluate_count, seed, calibrating, pictures, source)
    done: list[Converted] = []
    try:
        for r in recipes:
            say(f"converting to {r.name}: {r.what}")
            with progress(f"measuring {r.name}", len(yardstick.pixels)) as step:
                given = (calibrating.pixels, described) if calibrating and described and r.needs_calibration else None
                done.append(conversion.convert_one(source, r, paths[r.name], yardstick, pictures, given, step))
    except KeyboardInterrupt:
        left = " ".join(f"--recipe {r.name}" for r in recipes[len(done) :])
        say(f"interrupted; what is finished is kept. To go on: the same command with {left} alone")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if done:
            _print(done, yardstick)


def _need_desktop_packages() -> None:
    """Import what the extra brings, so that what is missing is said before any work, and TensorFlow starts quietly."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from edge_nima_convert.recipes import quiet_tensorflow

        with quiet_tensorflow():
            for package in ("h5py", "keras", "tensorflow"):
                import_module(package)
    except ImportError as error:
        missing = (error.name or str(error)).split(".")[0]
        raise PackageMissing(f"convert needs {missing}: pip install 'edge-nima[convert]'") from error


def _recipes(names: list[str], calibrated: bool) -> list[Recipe]:
    from edge_nima_convert.recipes import RECIPES

    for name in names:
        if name not in RECIPES:
            raise RequestError(f"no recipe is called '{printable(name)}'; possible: {', '.join(RECIPES)}")
        if RECIPES[name].needs_calibration and not calibrated:
            raise RequestError(f"recipe {name} needs photographs to calibrate with: --calibration PHOTOS")
    return [RECIPES[name] for name in dict.fromkeys(names)]


def _known(checkpoint: str) -> Path:
    """A path, or where the registry keeps a known checkpoint."""
    from edge_nima import registry

    path = Path(checkpoint)
    if path.exists() or checkpoint not in {entry.name for entry in registry.entries()}:
        return path
    entry = registry.find(checkpoint)
    if not registry.is_present(entry):
        raise RequestError(f"{entry.name} is not here yet: edge-nima models pull {entry.name}")
    return entry.path


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"--input-range is '{printable(text)}'; possible: two numbers such as -1,1") from error
    if not low < high:
        raise RequestError(f"--input-range is '{printable(text)}'; the first number is the smaller one")
    return low, high


def _calibration(given: list[str], count: int, seed: int, source: Checkpoint) -> Inputs:
    from edge_nima.frames.files import find_photographs
    from edge_nima_convert import photographs

    chosen = photographs.draw(find_photographs(given), count, seed)
    with progress("calibration photographs", len(chosen)) as step:
        inputs = photographs.load_inputs(chosen, source.preprocessing, step)
    _warn_unreadable(inputs)
    for warning in photographs.check_calibration(inputs):
        say(f"warning: {warning}")
    return inputs


def _pictures(probes: list[str] | None) -> list[Picture]:
    from edge_nima.frames.files import find_photographs
    from edge_nima.scorer import load_model
    from edge_nima_convert.probes import pictures_from_card, pictures_from_photographs

    return pictures_from_photographs(find_photographs(probes)) if probes else pictures_from_card(load_model().card)


def _yardstick(
    evaluate: list[str] | None,
    count: int,
    seed: int,
    calibrating: Inputs | None,
    pictures: list[Picture],
    source: Checkpoint,
) -> Yardstick:
    import numpy as np

    from edge_nima.frames.files import find_photographs
    from edge_nima_convert import photographs
    from edge_nima_convert.conversion import make_yardstick
    from edge_nima_convert.probes import model_input

    how = source.preprocessing
    if evaluate:
        found = find_photographs(evaluate)
        chosen = photographs.draw(found, count, seed)
        if len(chosen) < len(found):
            say(f"judging by {len(chosen)} of {len(found)} photographs (--evaluate-count)")
        with progress("photographs to judge by", len(chosen)) as step:
            inputs = photographs.load_inputs(chosen, how, step)
        _warn_unreadable(inputs)
        if not inputs.paths:
            raise RequestError("none of the photographs of --evaluate can be read")
        shared = len(inputs.hashes & calibrating.hashes) if calibrating else 0
        if shared:
            say(f"warning: {shared} photographs both calibrate and judge; the agreement flatters int8")
        pixels, on = inputs.pixels, f"{len(inputs.paths)} photographs of {_told(evaluate)}"
    elif calibrating:
        pixels, on = calibrating.pixels, f"the {len(calibrating.paths)} calibration photographs themselves"
        say("warning: agreement is measured on the calibration photographs; --evaluate PHOTOS gives an honest number")
    else:
        pixels = np.stack([model_input(picture, how) for picture in pictures])
        on = f"the {len(pictures)} golden probes"
        say(f"warning: agreement is measured on {on} only; --evaluate PHOTOS gives a number to rely on")
    with progress("the float model's opinion", len(pixels)) as step:
        return make_yardstick(source, pixels, on, step)


def _told(given: list[str]) -> str:
    """The last two parts of each path: enough to know a data set by, nothing of whose machine it is on."""
    return ", ".join(printable("/".join(Path(path).absolute().parts[-2:])) for path in given)


def _warn_unreadable(inputs: Inputs) -> None:
    for line in inputs.unreadable[:5]:
        say(f"left out: {line}")
    if len(inputs.unreadable) > 5:
        say(f"left out: {len(inputs.unreadable) - 5} more that cannot be read")


def _print(done: list[Converted], yardstick: Yardstick) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for one in done:
        row = _row(one)
        if not table.columns:
            for heading in row:
                table.add_column(heading, justify="left" if heading == "recipe" else "right", no_wrap=True)
        table.add_row(*row.values())
    console = Console()
    if console.width < 110 and not console.is_terminal:
        console = Console(width=120)
    console.print(f"Agreement with the float checkpoint, n={len(yardstick.pixels)} ({yardstick.on}); rating points:")
    console.print(table)
    for one in done:
        typer.echo(f"{printable(one.path)}  ({one.seconds:.0f} s)")


def _row(one: Converted) -> dict[str, str]:
    a = one.agreement
    return {
        "recipe": one.recipe.name,
        "MB": f"{one.size / 1e6:.2f}",
        "MAE": f"{a.mae:.4f}",
        "bias": f"{a.bias:+.4f}",
        "p99": f"{a.p99:.3f}",
        "max": f"{a.maximum:.3f}",
        "SRCC": f"{a.srcc:.4f}",
        "PLCC": f"{a.plcc:.4f}",
        "EMD r=2": f"{a.emd_r2:.4f}",
        "flips at 5": f"{100 * a.flips:.1f} %",
        "spread": f"{a.spread_ratio:.3f}",
        "largest bin": f"{a.largest_bin:.1e}",
    }
