"""edge-nima watch: a camera that keeps its good frames."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from edge_nima.cli.options import INTERRUPTED, say, warn_of_gate
from edge_nima.errors import EdgeNimaError, printable, reason
from edge_nima.watch.settings import Settings, check_together, flag, make_settings, read_settings

_GROUPS = {
    "source": "Source", "scoring": "Scoring", "keeping": "Keeping frames", "records": "Records",
    "staying alive": "Staying alive", "publishing": "Publishing", "page": "Page",
}  # fmt: skip


def _watch(**given: Any) -> None:
    config, print_config = given.pop("config"), given.pop("print_config")
    verbose = given.pop("verbose")
    typed = {key: value for key, value in given.items() if value is not None and value != []}

    def settings() -> Settings:
        return make_settings({**({} if config is None else read_settings(config)), **make_typed(typed)})

    if print_config:
        typer.echo(settings().as_toml(), nl=False)
        return
    checked = check_together(settings())
    _log_to_stderr(verbose)
    try:
        interrupted = _run(checked, lambda: check_together(settings()))
    except EdgeNimaError as error:
        say(reason(error))
        _leave(error.exit_code)
    if interrupted:
        where = f"; all of it is in '{printable(checked.out)}'" if checked.out else ""
        say(f"stopped{where}")
    _leave(INTERRUPTED if interrupted else 0)


def _run(settings: Settings, reread: Callable[[], Settings]) -> bool:
    """Watch; whether Ctrl-C ended it."""
    from edge_nima.cli.watch_screen import Lines, Screen
    from edge_nima.scorer import load_model
    from edge_nima.watch.events import Listener
    from edge_nima.watch.service import Service

    warn_of_gate(load_model(settings.model, settings.card).card)
    with contextlib.ExitStack() as shown:
        listeners: list[Listener] = [Lines()] if settings.print else []
        if Screen.wanted():
            listeners.append(shown.enter_context(Screen()))
        service = Service(settings, reread, tuple(listeners))
        if listeners and isinstance(listeners[0], Lines):
            listeners[0].on_closed = service.stop
        service.run()
    return service.interrupted


def _leave(code: int) -> NoReturn:
    """Leave with an exit code; at once where a read still hangs in a driver, which would keep Python from ending."""
    if any(thread.name == "edge-nima capture" and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def make_typed(typed: dict[str, Any]) -> dict[str, Any]:
    """What was typed, checked by itself so that a message names the flag and not the file."""
    checked = make_settings(typed)
    return {key: getattr(checked, key) for key in typed}


def _log_to_stderr(verbose: bool) -> None:
    logger = logging.getLogger("edge_nima")
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("edge-nima: %(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


class _Stderr(logging.StreamHandler[TextIO]):
    """To what is stderr now: the live line puts itself in its place, and then stays below what is said."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def _option(one: Any) -> tuple[Any, Any]:
    """A field's annotation and default for typer: None everywhere, so that what was typed is told from what was not."""
    kind = one.metadata["kind"]
    panel = _GROUPS[one.metadata["group"]]
    typed: Any = {"whole": int, "number": float, "flag": bool}.get(kind, str)
    shows = one.metadata.get("shows")
    choices = one.metadata.get("choices")
    if choices:
        shows = "|".join(map(str, choices))
    if kind == "path" and shows is None:
        shows = "FILE"
    default = "" if one.default in (None, False) else f" Default: {one.default or 'none'}."
    names = [flag(one.name)] if kind != "flag" else [f"{flag(one.name)}/--no-{flag(one.name)[2:]}"]
    option = typer.Option(
        *names, help=one.metadata["help"] + default, rich_help_panel=panel, show_default=False,
        metavar=None if kind == "flag" else shows,
    )  # fmt: skip
    return Annotated[typed | None, option], None


def _parameters() -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    source = Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="0 or /dev/video0, picamera2, rtsp://… or http://…, a film, a folder that fills, or photographs.",
            show_default=False,
        ),
    ]
    found = [inspect.Parameter("source", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=source)]
    for one in fields(Settings):
        if one.name != "source":
            annotation, default = _option(one)
            found.append(inspect.Parameter(one.name, keyword, default=default, annotation=annotation))
    config = Annotated[
        Path | None, typer.Option("--config", help="A TOML file with any of these; flags come before it.")
    ]
    show = Annotated[bool, typer.Option("--print-config", help="Print all settings as that file, and stop.")]
    verbose = Annotated[bool, typer.Option("--verbose", help="Tell more, such as each damaged frame.")]
    found.append(inspect.Parameter("config", keyword, default=None, annotation=config))
    found.append(inspect.Parameter("print_config", keyword, default=False, annotation=show))
    found.append(inspect.Parameter("verbose", keyword, default=False, annotation=verbose))
    return found


def watch(**given: Any) -> None:
    """Score a camera, keep its best frames, publish its scores; it needs no person to restart it.

    SIGTERM and Ctrl-C finish the window, SIGHUP reads --config again. Exit code: 0 stopped or at the end of a film,
    2 something in the settings that cannot be, 1 output failed, 130 Ctrl-C.
    """
    _watch(**given)


# typer reads a command's options from its signature: this one is made of the settings, so that the two cannot differ.
watch.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]
watch.__annotations__ = {one.name: one.annotation for one in _parameters()}
