"""edge-nima card: show a model's card, or put one into a .tflite that was made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_nima.cli.messages import say
from edge_nima.cli.options import refuse_outputs
from edge_nima.cli.show import show
from edge_nima.errors import OutputError, RequestError, printable, reason


def _numbers(*counts: int) -> Callable[[str], Any]:
    """A reader of so many numbers between commas; of one, the number itself."""

    def read(text: str) -> float | tuple[float, ...]:
        values = tuple(float(part) for part in text.split(","))
        if len(values) not in counts:
            raise ValueError
        return values if len(values) > 1 else values[0]

    return read


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "filter": (str, "nearest, box, bilinear, hamming, bicubic or lanczos"),
    "fit": (str, "stretch or crop"),
    "input_range": (_numbers(2), "two numbers, what 0 and 255 become, such as -1,1"),
    "mean": (_numbers(1, 3), "one number, or three in the model's channel order, such as 0.485,0.456,0.406"),
    "std": (_numbers(1, 3), "one number, or three in the model's channel order, such as 0.229,0.224,0.225"),
    "channel_order": (str, "RGB or BGR"),
    "layout": (str, "NHWC or NCHW"),
    "longest_edge": (int, "a whole number of pixels; 0 for no such step"),
    "name": (str, "text"),
    "licence": (str, "text"),
    "attribution": (str, "text"),
}
"""What --set takes: how its text is read, and what is possible."""


def card(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A .tflite file; to show, a known name too.")],
    like: Annotated[
        str | None,
        typer.Option("--like", help="Pixels as this model wants them: a .tflite with a card, a card, a known name."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=f"State it; before --like. Keys: {', '.join(SETTINGS)}."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The .tflite with its card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The card itself, as --card reads it.")] = False,
) -> None:
    """Show a model's card; with --out, put one into a .tflite scorer that has none.

    A file does not say how its network was trained to see: take that from a model that was trained alike (--like), or
    state filter and input_range (--set). PyTorch's usual: --set input_range=0,1 --set mean=0.485,0.456,0.406 --set
    std=0.229,0.224,0.225. Golden probes are scored by the model itself, here.

    Exit code: 0, 1 the file cannot be written, 2 refused.
    """
    stated = _read(settings or [])
    if out is None:
        if like is not None or stated or overwrite:
            raise RequestError("--like, --set and --overwrite make a new file: say which with --out FILE")
        show(model, None, as_json)
        return
    refuse_outputs([Path(model)], {"--out": out}, overwrite)
    from edge_nima.records import write_whole
    from edge_nima_convert.foreign import preprocessing_like, with_card

    alike = None if like is None else preprocessing_like(like)
    content, made = with_card(Path(model), alike, **stated)
    try:
        write_whole(out, content)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(out)}': {reason(error)}") from error
    if alike is None:
        assumed = {"fit": "stretch", "channel_order": "RGB", "longest_edge": "none"}
        told = ", ".join(f"{key} {value}" for key, value in assumed.items() if key not in stated)
        if told:
            say(f"assuming {told}: if it was trained otherwise its scores will be wrong, state them with --set")
    if as_json:
        typer.echo(made.to_json(), nl=False)
        return
    from edge_nima.distribution import mean_rating

    means = [float(mean_rating(probe.own)) for probe in made.probes]
    typer.echo(f"{printable(out)}: {made.preprocessing.describe()}")
    typer.echo(f"{len(means)} golden probes, which it scores {min(means):.2f} to {max(means):.2f}")
    if max(means) - min(means) < 0.05:
        say("warning: it scores these very different pictures alike: are input_range and channel_order as in training?")


def _read(settings: list[str]) -> dict[str, Any]:
    """Values by key."""
    stated: dict[str, Any] = {}
    for setting in settings:
        key, given, text = setting.partition("=")
        if not given or key not in SETTINGS:
            raise RequestError(f"--set takes KEY=VALUE, not '{printable(setting)}'; keys: {', '.join(SETTINGS)}")
        if key in stated:
            raise RequestError(f"--set has {key} twice")
        read, possible = SETTINGS[key]
        try:
            stated[key] = read(text)
        except ValueError:
            raise RequestError(f"--set {key} is '{printable(text)}'; possible: {possible}") from None
    return stated
