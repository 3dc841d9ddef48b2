"""edge-nima convert: a checkpoint to .tflite files, with what each cost and whether that is within tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.convert_inputs import Draws, read_judging, read_material, read_pictures
from edge_nima.cli.convert_report import explain as explain_layers
from edge_nima.cli.convert_report import explained, report_paths, write_reports
from edge_nima.cli.convert_request import (
    AUTO,
    checkpoint_path,
    choose_recipes,
    need_desktop_packages,
    read_range,
    refuse,
    refuse_to_climb,
)
from edge_nima.cli.convert_table import print_conversions
from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.cli.progress import stages
from edge_nima.cli.train_inputs import LongestEdgeOption
from edge_nima.errors import CheckpointError, printable

if TYPE_CHECKING:
    from edge_nima_convert.conversion import Converted
    from edge_nima_convert.recipes import Recipe

FAILED = 1


def convert(
    checkpoint: Annotated[
        str,
        typer.Argument(help="Keras HDF5 weights of MobileNet, a .keras file, a SavedModel folder, or a known name."),
    ],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            help="float32, float16, dynamic, int8, ...; may be repeated. auto: the smallest that passes."
            " Default: float16.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for NAME-RECIPE.tflite.")] = Path("."),
    calibration: Annotated[
        list[str] | None, typer.Option("--calibration", help="Photographs or a folder that set int8's ranges.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Ratings of those, AVA.txt or a label CSV, that make the bins they are drawn from."
            " Default: the float model's predictions.",
        ),
    ] = None,
    per_bin: Annotated[int, typer.Option("--per-bin", min=1, help="Draw this many of each rating bin.")] = 20,
    bins: Annotated[int, typer.Option("--bins", min=1, help="Rating bins over 1..10.")] = 10,
    distil_photographs: Annotated[
        list[str] | None,
        typer.Option(
            "--distil-photographs", help="Photographs that recipes train on. Default: those of --calibration."
        ),
    ] = None,
    distil_count: Annotated[int, typer.Option("--distil-count", min=1, help="Draw this many of them.")] = 2400,
    seed: Annotated[int, typer.Option("--seed", help="Of all draws.")] = 0,
    evaluate: Annotated[
        list[str] | None,
        typer.Option("--evaluate", help="Photographs or a folder on which agreement with the float model is measured."),
    ] = None,
    evaluate_count: Annotated[int, typer.Option("--evaluate-count", min=1, help="Draw this many of them.")] = 2000,
    evaluate_labels: Annotated[
        Path | None,
        typer.Option(
            "--evaluate-labels", help="People's ratings of those, to hold both models against: a label CSV or AVA.txt."
        ),
    ] = None,
    gate: Annotated[
        Path | None, typer.Option("--gate", help="Tolerances of your own, TOML. Default: edge_nima/gate.toml.")
    ] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="With --recipe auto: keep what it tried, too.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Write the float model's records of --evaluate there, .jsonl or .csv."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for NAME-RECIPE.html and .json, or one such file: every number, plots."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each layer costs, here and in --report.")
    ] = False,
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
    longest_edge: LongestEdgeOption = None,
    licence: Annotated[str | None, typer.Option("--licence", help="SPDX expression of the weights.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Convert a checkpoint to .tflite, measure what that cost, and refuse to call it done beyond tolerance.

    Exit code: 0 done, 1 outside the gate (the file is written and its card says so) or output failed, 2 usage or a
    checkpoint that is refused, 130 interrupted.
    """
    need_desktop_packages()
    from edge_nima.gate import load_gate
    from edge_nima_convert import conversion, output
    from edge_nima_convert.checkpoint import open_checkpoint
    from edge_nima_convert.recipes import quiet_tensorflow
    from edge_nima_convert.reference import check_reference, write_reference

    tolerances = load_gate(gate)
    names = recipe or ([] if reference else ["float16"])
    climbs = AUTO in names
    recipes = choose_recipes(names, bool(calibration))
    refuse(climbs, keep_all, bool(evaluate), reference)
    to_explain = explained(recipes) if explain else []
    with quiet_tensorflow():
        source = open_checkpoint(
            checkpoint_path(checkpoint),
            name=name, filter=resize_filter, fit=fit, input_range=read_range(input_range), longest_edge=longest_edge,
            licence=licence,
        )  # fmt: skip
    if source.stated == "assumed":
        say(
            f"assuming {source.preprocessing.describe()}: if it was trained otherwise its scores will be wrong, "
            "say so with --filter, --fit, --input-range and --longest-edge"
        )
    if source.stated == "the command line" and "url" in source.source:
        say(f"taking {source.preprocessing.describe()}, as you say; the registry knows this checkpoint otherwise")
    paths = output.output_paths(source, recipes, out, overwrite) if recipes else {}
    if reference is not None:
        check_reference(reference, overwrite)
    reports = report_paths(report if recipes else None, paths, overwrite, climbs=climbs)
    draws = Draws(
        calibration or (), labels, per_bin, bins, distil_photographs or (), distil_count,
        evaluate or (), evaluate_count, evaluate_labels, seed,
    )  # fmt: skip
    material, used = read_material(source, recipes, draws)
    calibration_file = output.calibration_file(source, out, material, overwrite)
    pictures = read_pictures(probes or ()) if recipes else []
    judging = read_judging(source, draws, material, used, pictures)
    if reference is not None:
        write_reference(reference, judging.records, judging.stamps)
        say(f"the float model's records of {len(judging.records)} photographs are in '{printable(reference)}'")
    if not recipes:
        return
    if climbs:
        refuse_to_climb(judging.yardstick, tolerances)
    done: list[Converted] = []
    kept: list[Converted] = []
    try:
        for r in recipes:
            say(f"converting to {r.name}: {r.what}")
            try:
                with stages(r.name) as progress:
                    one = conversion.convert_one(
                        source, r, paths[r.name], judging.yardstick, pictures, tolerances, material, progress
                    )
            except CheckpointError as error:
                if not climbs or (r is recipes[-1] and not done):
                    raise
                say(f"{r.name} cannot be made of this checkpoint, going on: {error}")
                continue
            done.append(one)
            if not climbs or keep_all:
                output.write_model(one, calibration_file)
                kept.append(one)
            if climbs and one.verdict.status == "passed":
                break
        if climbs and not keep_all:
            kept = [conversion.best_of(done)]
            output.write_model(kept[0], calibration_file)
            output.forget(done)
    except KeyboardInterrupt:
        say(f"interrupted; {_how_to_go_on(climbs, done, recipes)}")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if done:
            print_conversions(done, judging.yardstick, kept)
    layers = {one.path: explain_layers(source, one, material) for one in kept if one.recipe in to_explain}
    for one in done if reports else ():
        write_reports(one, reports[one.recipe.name], layers.get(one.path, []))
    raise typer.Exit(_say_verdicts(done, climbs))


def _say_verdicts(done: Sequence[Converted], climbs: bool) -> int:
    """Say what the gate refuses; the exit code."""
    from edge_nima_convert.conversion import best_of

    if climbs:
        best = best_of(done)
        if best.verdict.status == "passed":
            return 0
        say(f"none of {', '.join(one.recipe.name for one in done)} passes the gate; kept is the nearest to float:")
        done = [best]
    for one in done:
        if one.verdict.status == "failed":
            say(f"{one.recipe.name} failed the gate: {one.verdict.told()}")
    unjudged = [one for one in done if one.verdict.status == "not judged"]
    if unjudged:
        say(f"warning: the gate has not judged {unjudged[0].recipe.name}: {unjudged[0].verdict.told()}")
    return FAILED if any(one.verdict.status == "failed" for one in done) else 0


def _how_to_go_on(climbs: bool, done: Sequence[Converted], recipes: Sequence[Recipe]) -> str:
    if climbs or not done:
        return "the same command goes on: what takes long resumes where it was"
    left = " ".join(f"--recipe {recipe.name}" for recipe in recipes[len(done) :])
    return f"what is finished is kept. To go on: the same command with {left} alone"
