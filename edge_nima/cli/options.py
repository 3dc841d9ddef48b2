"""Options that several sub-commands share, and words for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.card import Card

ModelOption = Annotated[
    str | None, typer.Option("--model", help="A .tflite file, or a name from `edge-nima models list`; the bundled one.")
]
ModelArgument = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="A .tflite file or a known name; the bundled one without it.")
]
CardOption = Annotated[str | None, typer.Option("--card", help="A card (JSON), for a .tflite that carries none.")]
ScaleOption = Annotated[
    str | None,
    typer.Option("--scale", help="Scale of the mean ratings, LOW..HIGH such as 1..5; they are brought to 1..10."),
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads for one inference.")]


def warn_of_gate(card: Card) -> None:
    """One line on stderr when the model's card says that it failed its gate."""
    from edge_nima.verdict import warning

    told = warning(card.gate)
    if told:
        say(f"warning: {card.name}: {told}")


def read_range(text: str | None) -> tuple[float, float] | None:
    """What --input-range says."""
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(f"--input-range is '{printable(text)}'; possible: two numbers such as -1,1") from error
    if not low < high:
        raise RequestError(f"--input-range is '{printable(text)}'; the first number is the smaller one")
    return low, high


def refuse_outputs(inputs: Iterable[Path], outputs: Mapping[str, Path | None], overwrite: bool) -> None:
    """Refuse outputs that cannot be, or would lose something, before any work.

    Args:
        inputs: files that are read.
        outputs: files to write, by their options; None for an option that was not given.
        overwrite: whether they may replace files.

    Raises:
        RequestError: with the first that is refused, and why.
    """
    from edge_nima.records import is_special

    given = {option: path for option, path in outputs.items() if path is not None}
    for path in given.values():
        if is_special(path) or not path.exists():
            continue
        if any(read.exists() and path.samefile(read) for read in inputs):
            raise RequestError(f"'{printable(path)}' is one of the inputs; write somewhere else")
        if not overwrite:
            raise RequestError(f"'{printable(path)}' exists: --overwrite replaces it")
    if len({path.absolute() for path in given.values()}) < len(given):
        raise RequestError(f"{' and '.join(given)} are both '{printable(next(iter(given.values())))}'")


_BLOCKS = " ▁▂▃▄▅▆▇█"


def bars(distribution: tuple[float, ...], encoding: str | None = "utf-8") -> str:
    """Ten characters, one a rating, as tall as its share; digits where the terminal has no block characters."""
    top = max(distribution)
    levels = [0 if top <= 0 else max(1 if p > 0.002 else 0, round(8 * p / top)) for p in distribution]
    try:
        text = "".join(_BLOCKS[level] for level in levels)
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "".join(str(level) for level in levels)
    return text
