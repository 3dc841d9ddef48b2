"""Options that several sub-commands share, and words for a person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.errors import printable

if TYPE_CHECKING:
    from edge_nima.card import Card

ModelOption = Annotated[
    str | None, typer.Option("--model", help="A .tflite file, or a name from `edge-nima models list`; the bundled one.")
]
ModelArgument = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="A .tflite file or a known name; the bundled one without it.")
]
CardOption = Annotated[str | None, typer.Option("--card", help="A card (JSON), for a .tflite that carries none.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads for one inference.")]


def say(message: str) -> None:
    """One line on stderr."""
    print(f"edge-nima: {message}", file=sys.stderr)


def warn_of_gate(card: Card) -> None:
    """One line on stderr when the model's card says that it failed its gate."""
    from edge_nima.gate import warning

    told = warning(card.gate)
    if told:
        say(f"warning: {printable(card.name)}: {told}")


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

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
