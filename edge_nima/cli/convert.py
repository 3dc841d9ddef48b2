"""edge-nima convert: a checkpoint to .tflite files, with what each cost and whether that is within tolerance."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
import typer.core

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import read_range
from edge_nima.cli.progress import stages

if TYPE_CHECKING:
    from edge_nima_convert import Conversion

FAILED = 1


class Command(typer.core.TyperCommand):
    """Its --help lists the recipes that there are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Import them for it alone."""
        from edge_nima_convert.recipes import recipes

        self.epilog = "\n\n".join(["Recipes:", *(f"{recipe.name}: {recipe.what}" for recipe in recipes().values())])
        super().format_help(ctx, formatter)


def _option(panel: str | None, flag: str, what: str, **more: Any) -> Any:
    return typer.Option(flag, help=what, rich_help_panel=panel, **more)


usual = partial(_option, None)
drawn = partial(_option, "How photographs are drawn")
trained = partial(_option, "How the checkpoint was trained")
more = partial(_option, "What else is made and kept")

Texts: TypeAlias = list[str] | None
Text: TypeAlias = str | None
File: TypeAlias = Path | None
Checkpoint = Annotated[str, typer.Argument(help="A file or folder with a Keras network, or a known name.")]
Recipes = Annotated[
    Texts, usual("--recipe", "One of those below; may be repeated. auto: the first rung that passes. Default: float16.")
]
Out = Annotated[Path, usual("--out", "Folder for NAME-RECIPE.tflite.")]
Calibration = Annotated[
    Texts, usual("--calibration", "What sets int8's ranges: photographs, a folder, or MANIFEST.csv[:SPLIT] (train).")
]
Evaluate = Annotated[
    Texts, usual("--evaluate", "What judges, against the float model: the same kinds; of a manifest its test split.")
]
Labels = Annotated[File, usual("--labels", "Ratings of --calibration, AVA.txt or a CSV. Default: the float model's.")]
Scale = Annotated[Text, usual("--scale", "Of mean ratings in all of these, LOW..HIGH such as 1..5.")]
EvaluateLabels = Annotated[File, usual("--evaluate-labels", "People's ratings of --evaluate, to hold both models to.")]
GateFile = Annotated[File, usual("--gate", "Tolerances of your own, TOML. Default: edge_nima/gate.toml.")]
Reference = Annotated[File, usual("--reference", "Write the float model's records of --evaluate, .jsonl or .csv.")]
Report = Annotated[File, usual("--report", "Folder for NAME-RECIPE.html and .json, or one such file: every number.")]
Overwrite = Annotated[bool, usual("--overwrite", "Replace files that exist.")]
PerBin = Annotated[int, drawn("--per-bin", "To calibrate: this many of each rating bin.", min=1)]
Bins = Annotated[int, drawn("--bins", "Rating bins over 1..10.", min=1)]
EvaluateCount = Annotated[int, drawn("--evaluate-count", "To judge: this many.", min=1)]
Seed = Annotated[int, drawn("--seed", "Of all draws.")]
Filter = Annotated[Text, trained("--filter", "Resampling: nearest, box, bilinear, hamming, bicubic, lanczos.")]
Fit = Annotated[Text, trained("--fit", "How pictures were brought to shape: stretch or crop.")]
Range = Annotated[Text, trained("--input-range", "What pixels 0 and 255 became, such as -1,1 or 0,1.")]
LongestEdge = Annotated[
    int | None, trained("--longest-edge", "Of its photographs; larger ones are reduced to it first; 0: never.")
]
Size = Annotated[int | None, trained("--size", "Sides of its input, where the file does not say.", min=1)]
Signature = Annotated[Text, trained("--signature", "Of a SavedModel, where it has several.")]
Custom = Annotated[
    Text,
    trained("--custom", "FILE.py or module of its own layers; file: its Lambdas. Runs that code."),
]
CardName = Annotated[Text, more("--name", "What the card calls the checkpoint.")]
Licence = Annotated[Text, more("--licence", "SPDX expression of the weights, for the card.")]
Probes = Annotated[Texts, more("--probes", "Photographs to make golden probes of. Default: the bundled ones.")]
KeepAll = Annotated[bool, more("--keep-all", "With --recipe auto: keep what it tried, too.")]
Explain = Annotated[bool, more("--explain", "Show what each layer costs, here and in --report.")]


def convert(
    checkpoint: Checkpoint,
    recipe: Recipes = None,
    out: Out = Path("."),
    calibration: Calibration = None,
    evaluate: Evaluate = None,
    labels: Labels = None,
    evaluate_labels: EvaluateLabels = None,
    scale: Scale = None,
    gate: GateFile = None,
    reference: Reference = None,
    report: Report = None,
    overwrite: Overwrite = False,
    per_bin: PerBin = 20,
    bins: Bins = 10,
    evaluate_count: EvaluateCount = 2000,
    seed: Seed = 0,
    resize_filter: Filter = None,
    fit: Fit = None,
    input_range: Range = None,
    longest_edge: LongestEdge = None,
    size: Size = None,
    signature: Signature = None,
    custom: Custom = None,
    name: CardName = None,
    licence: Licence = None,
    probes: Probes = None,
    keep_all: KeepAll = False,
    explain: Explain = False,
) -> None:
    """Convert a checkpoint to .tflite, measure what that cost, and refuse to call it done beyond tolerance.

    Exit code: 0 done, 1 outside the gate (the file is written and its card says so) or output failed, 2 usage or a
    checkpoint that is refused, 130 interrupted.
    """
    from edge_nima_convert import Photographs, conversion

    calibrates = Photographs(calibration, labels, per_bin, bins, seed=seed, scale=scale) if calibration else None
    judges = Photographs(evaluate, evaluate_labels, count=evaluate_count, seed=seed, scale=scale) if evaluate else None
    stated = {
        "name": name, "filter": resize_filter, "fit": fit, "input_range": read_range(input_range),
        "longest_edge": longest_edge, "licence": licence, "size": size, "signature": signature, "custom": custom,
    }  # fmt: skip
    asked = {key: value for key, value in stated.items() if value is not None}
    with _printed() as done, stages("convert") as progress:
        if reference is not None and not recipe:
            conversion.reference(checkpoint, judges, reference, overwrite=overwrite, progress=progress, **asked)
            return
        done[:] = conversion.convert(
            checkpoint, recipe or ["float16"], calibration=calibrates, evaluate=judges, gate=gate, probes=probes or (),
            out=out, reference=reference, report=report, explain=explain, keep_all=keep_all, overwrite=overwrite,
            progress=progress, finished=done.append, **asked,
        )  # fmt: skip
    raise typer.Exit(_code(done, climbs=recipe == ["auto"]))


def _code(done: Sequence[Conversion], climbs: bool) -> int:
    statuses = [one.verdict.status for one in done]
    return FAILED if (climbs and "passed" not in statuses) or (not climbs and "failed" in statuses) else 0


@contextlib.contextmanager
def _printed() -> Iterator[list[Conversion]]:
    """Say what the library logs; the value takes conversions, which are printed at the end, also after Ctrl-C."""
    log, said, done = logging.getLogger("edge_nima_convert"), _Said(), list[Any]()
    before = log.level, log.propagate
    log.addHandler(said)
    log.setLevel(logging.INFO)
    log.propagate = False  # TensorFlow gives the root logger a handler of its own
    try:
        yield done
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was, with --overwrite where its files are there already")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        log.removeHandler(said)
        log.setLevel(before[0])
        log.propagate = before[1]
        if done:
            from edge_nima.cli.sinks import put_out
            from edge_nima.reports.terminal import render
            from edge_nima_convert.report import parts

            put_out(render(parts(done)))


class _Said(logging.Handler):
    """Lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say one, a doubt as such."""
        say(f"{'warning: ' if record.levelno > logging.INFO else ''}{record.getMessage()}")
