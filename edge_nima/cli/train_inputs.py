"""What `edge-nima train predict` and `evaluate` are given: a checkpoint, and how it wants its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.convert_request import checkpoint_path, read_range
from edge_nima.cli.options import say

if TYPE_CHECKING:
    from edge_nima_train.checkpoint import Trained

CHECKPOINT = "A run folder, a .keras file, MobileNet's .hdf5 weights, or a name from `edge-nima models list`."
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


def open_checkpoint(
    checkpoint: str,
    name: str | None,
    resize_filter: str | None,
    fit: str | None,
    input_range: str | None,
    longest_edge: int | None,
) -> Trained:
    """Open what the command line names, and say on stderr what had to be assumed."""
    from edge_nima_train.checkpoint import open_trained

    trained = open_trained(
        checkpoint_path(checkpoint), name=name, filter=resize_filter, fit=fit, input_range=read_range(input_range),
        longest_edge=longest_edge,
    )  # fmt: skip
    how = trained.preprocessing.describe()
    if trained.stated == "assumed":
        say(
            f"assuming {how}: if it was trained otherwise its scores will be wrong, "
            "say so with --filter, --fit, --input-range and --longest-edge"
        )
    if trained.stated == "the command line" and trained.known:
        say(f"taking {how}, as you say; the registry knows this checkpoint otherwise")
    return trained
