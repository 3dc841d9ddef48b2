"""What `edge-nima train predict` and `evaluate` are given: a checkpoint, and how it wants its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_nima.cli.options import read_range

CHECKPOINT = (
    "A run folder, Keras weights or a whole model, a SavedModel folder, or a name from `edge-nima models list`."
)
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Folder that the manifest's files are in. Default: the manifest's own.")
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Photographs decoded at once. Default: one a core.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="What records call the checkpoint.")]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", help="Resampling it was trained with: nearest, box, bilinear, hamming, bicubic, lanczos."),
]
FitOption = Annotated[str | None, typer.Option("--fit", help="How pictures were brought to shape: stretch or crop.")]
RangeOption = Annotated[
    str | None, typer.Option("--input-range", help="What pixels 0 and 255 became in training, such as -1,1 or 0,1.")
]
LongestEdgeOption = Annotated[
    int | None,
    typer.Option(
        "--longest-edge",
        help="Longest edge of the photographs it was trained on; larger ones are reduced to it first; 0: never.",
    ),
]


SizeOption = Annotated[
    int | None, typer.Option("--size", min=1, help="Side of the input, pixels, where the file does not say it.")
]
SignatureOption = Annotated[str | None, typer.Option("--signature", help="Which of a SavedModel's signatures.")]
CustomOption = Annotated[
    str | None,
    typer.Option(
        "--custom",
        help="Python file or module of the model's own layers, or `file` for Lambda layers. It RUNS that code:"
        " only for what you trust.",
    ),
]


def opening(input_range: str | None, **options: Any) -> dict[str, Any]:
    """What `edge_nima_train.open_checkpoint` takes, of what was given."""
    options["input_range"] = read_range(input_range)
    return {option: value for option, value in options.items() if value is not None}
