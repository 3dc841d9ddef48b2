"""edge-nima train fit: a network trained as a configuration file says, and gone on with after any interruption."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.progress import stages
from edge_nima.errors import printable


def fit(
    config: Annotated[
        Path,
        typer.Option("--config", help="A TOML file, such as train/configs/ava_mobilenet.toml.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="The run folder.", show_default=False)],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value for one key, such as phase2.epochs=0; may be repeated."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew where a run is.")] = False,
) -> None:
    """Train a network on rated photographs: first its last layer, then all of it.

    The same command goes on where it was stopped, be it by Ctrl-C, kill -9 or a power cut. KERAS_BACKEND chooses
    tensorflow, jax or torch.

    Exit code: 0 trained, 1 the loss is no number any more or the disk is full, 2 a request that cannot be, 130 stopped.
    """
    from edge_nima_train.backend import check_installed
    from edge_nima_train.config import read_config
    from edge_nima_train.fit import Stopped, Watch
    from edge_nima_train.fit import fit as train

    settings = read_config(config, change or ())
    check_installed()

    with _stop_at_a_signal() as stopping, stages("train") as progress:
        try:
            folder = train(settings, out, overwrite=overwrite, watch=Watch(progress, say, stopping))
        except Stopped:
            say(f"stopped; everything up to this step is saved in '{printable(out)}': the same command goes on")
            raise typer.Exit(INTERRUPTED) from None
    if folder is not None:
        typer.echo(printable(folder / "model.keras"))


@contextmanager
def _stop_at_a_signal() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C or SIGTERM end the current step, and the second one end everything."""
    asked = threading.Event()
    before = {}

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
