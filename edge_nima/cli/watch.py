"""edge-nima watch: a camera that keeps its good frames."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
import threading
from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import warn_of_gate
from edge_nima.errors import EdgeNimaError, printable, reason

if TYPE_CHECKING:
    from edge_nima.watch.settings import Declaration, Settings

_FIRST = ("out", "keep", "every", "fps", "web", "mqtt", "name", "min_score", "when", "max_disk", "on_shot")
"""What --help shows besides --config; the six that matter first."""


def watch() -> None:
    """Score a camera, keep its best frames, publish its scores; it needs no person to restart it.

    Several cameras: one camera table each in the file of --config. SIGTERM and Ctrl-C finish the window, SIGHUP reads
    the file again. Exit code: 0 stopped or at the end of a video, 2 something in the settings that cannot be, 1 output
    failed, 130 Ctrl-C.
    """


def command() -> Any:
    """The command itself: its options are made of the settings, so that the two cannot differ.

    Made when it is called: the settings of all outputs take longer to import than a photograph to score.
    """
    from edge_nima.service import declare

    declaration = declare()

    def run(**given: Any) -> None:
        _watch(declaration, **given)

    parameters = _parameters(declaration)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__doc__ = watch.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("watch")(run)
    return typer.main.get_command(app)


def _watch(declaration: Declaration, **given: Any) -> None:
    config, print_config, verbose = (given.pop(key) for key in ("config", "print_config", "verbose"))
    given.pop("help_all")
    typed = {key: value for key, value in given.items() if value is not None and value != []}

    def settings() -> Settings:
        return declaration.settings(typed, None if config is None else declaration.read(config))

    if print_config:
        typer.echo(declaration.toml(settings()), nl=False)
        return
    checked = declaration.check_together(settings())
    logger = logging.getLogger("edge_nima")
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("edge-nima: %(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)

    from edge_nima.cli.watch_screen import Lines, Screen
    from edge_nima.scorer import load_model
    from edge_nima.service import Service

    try:
        warn_of_gate(load_model(checked.service.model, checked.service.card).card)
        with contextlib.ExitStack() as shown:
            screen = [shown.enter_context(Screen())] if Screen.wanted() else []
            lines = [Lines(lambda: service.stop())] if checked.service.print else []
            service = Service(checked, lambda: declaration.check_together(settings()), (*lines, *screen))
            service.run()
    except EdgeNimaError as error:
        say(reason(error))
        _leave(error.exit_code)
    if service.interrupted:
        out = checked.service.out
        say("stopped" + (f"; all of it is in '{printable(out)}'" if out else ""))
    _leave(INTERRUPTED if service.interrupted else 0)


def _leave(code: int) -> NoReturn:
    # At once where a read still hangs in a driver, which would keep Python from ending.
    if any(thread.name == "edge-nima capture" and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


class _Stderr(logging.StreamHandler[TextIO]):
    """To what is stderr now: the live line puts itself in its place, and then stays below what is said."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def _help_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        for parameter in context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        raise typer.Exit()


def _option(one: Field[Any], panel: str) -> Any:
    """A field's annotation for typer; None is the default everywhere: so what was typed is told from what was not."""
    from edge_nima.watch.settings import option

    kind, first = one.metadata["kind"], one.name in _FIRST
    typed: Any = {"whole": int, "number": float, "flag": bool}.get(kind, str)
    default = "" if one.default in (None, False) else f" Default: {one.default or 'none'}."
    name = option(one.name)
    return Annotated[
        typed | None,
        typer.Option(
            f"{name}/--no-{name[2:]}" if kind == "flag" else name, help=one.metadata["help"] + default,
            rich_help_panel=None if first else panel, hidden=not first, show_default=False,
            metavar=one.metadata["shows"],
        ),
    ]  # fmt: skip


def _parameters(declaration: Declaration) -> list[inspect.Parameter]:
    annotated: dict[str, tuple[Any, Any]] = {
        "source": (
            Annotated[
                list[str] | None,
                typer.Argument(
                    metavar="SOURCE...", show_default=False,
                    help="0 or /dev/video0, picamera2, rtsp://…, http://…, a video, a folder that fills, photographs.",
                ),
            ],
            None,
        )
    }  # fmt: skip
    titles = {name: section.title for section in declaration.sections for name in section.__dataclass_fields__}
    for name in dict.fromkeys((*_FIRST, *declaration.fields)):
        if name != "source":
            annotated[name] = _option(declaration.fields[name], titles[name]), None
    show = "Print all settings as that file, and stop."
    annotated |= {
        "config": (
            Annotated[Path | None, typer.Option("--config", help="A TOML file with any of these; flags come first.")],
            None,
        ),
        "help_all": (
            Annotated[
                bool,
                typer.Option("--help-all", callback=_help_all, is_eager=True, help="Show every option, and stop."),
            ],
            False,
        ),
        "print_config": (Annotated[bool, typer.Option("--print-config", hidden=True, help=show)], False),
        "verbose": (Annotated[bool, typer.Option("--verbose", hidden=True, help="Log for developers too.")], False),
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in annotated.items()
    ]
