"""The command `edge-nima`. Each sub-command reads its arguments, calls one library function, prints."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
import typer.core

from edge_nima import __version__
from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.errors import EdgeNimaError, printable, reason

SECTIONS = {
    "Photographs": {
        "score": "Score photographs, best first.",
        "pick": "Take the best, near-duplicates collapsed, each with the reason.",
        "examine": "How steady is the score, and does damage lower it?",
    },
    "Cameras and phones": {
        "watch": "Score a camera, keep its best frames, publish its scores.",
        "best": "Show the best of what a watcher recorded, or export it.",
        "cameras": "List the cameras that are there.",
        "phone": "Serve the page that scores on a phone.",
    },
    "Models": {
        "models": "List models known by name, and pull them.",
        "show": "Show what a model says of itself.",
        "check": "Run a model's golden probes on this machine.",
        "bench": "Measure how fast this machine scores.",
        "convert": "Convert a checkpoint to .tflite, and measure what that cost.",
        "card": "Put a card into a .tflite scorer that has none.",
        "compare": "Compare two files of score records.",
    },
    "Training": {
        "data": "Make photographs and ratings ready for training.",
        "train": "Train a network, and hold it against people.",
    },
    "This machine": {"doctor": "Examine board, packages, model and cameras; say what to type next."},
}
"""What --help shows, without an import of the modules that say more."""

_COMMANDS = [name for section in SECTIONS.values() for name in section]


class _Group(typer.core.TyperGroup):
    """Imports a command's module when the command is named: each start pays for one.

    Says that it was interrupted, where a sub-command has not caught that itself; typer leaves without a word.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = dict.fromkeys(_COMMANDS)  # typer suggests names out of these

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _command(cmd_name) if cmd_name in self.commands else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(7), text) for name, text in commands.items()])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain("interrupted", INTERRUPTED)
            raise typer.Exit(INTERRUPTED) from None


def _command(name: str) -> Any:
    """The command of a module of its name: its `app`, what its `command()` makes, or its function of that name."""
    module = import_module(f"edge_nima.cli.{name}")
    if hasattr(module, "command"):
        return module.command()
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, cls=getattr(module, "Command", None))(getattr(module, name))
    return typer.main.get_command(app)


# Without rich, whose help takes longer to import than this file and all that it needs; sub-commands have it.
app = typer.Typer(
    name="edge-nima",
    cls=_Group,
    help="How would a crowd rate this photograph? Scores photographs, converts models, proves that they agree.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

# typer carries click inside itself in some versions and beside itself in others.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-nima {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code: one line on stderr for anything that is wrong."""
    if sys.stderr is None:  # closed by the caller; print would then choose stdout
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    # Of Pillow's, on photographs with damaged metadata that are scored all the same.
    warnings.filterwarnings("ignore", module="PIL")
    code = run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        _settle(stream)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    streams = sys.stdout, sys.stderr
    try:
        code = app(args=arguments, prog_name="edge-nima", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except EdgeNimaError as error:
        return _complain(reason(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except _UsageError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message or message.startswith("Usage:"):  # no arguments: of a sub-command typer has printed the help
            print(message or "", end="\n" if message else "")
            return 2
        return _complain(f"{message.splitlines()[0]} (edge-nima --help)", 2)
    except (BrokenPipeError, SystemExit):
        # The reader, `head` say, has what it wanted. typer wraps the streams and makes a SystemExit of it.
        sys.stdout, sys.stderr = streams
        return 141
    except OSError as error:
        return _complain(*_failure(error))
    return code if isinstance(code, int) else 0


_DISK = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EPIPE, errno.EROFS}
"""What goes wrong when something is written, and not when it is read."""


def _failure(error: OSError) -> tuple[str, int]:
    """What the operating system refused, in one line, and the exit code; Python tells reading from writing nowhere."""
    name = f" '{printable(os.fsdecode(error.filename))}'" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _DISK:
        return f"cannot write{name}: {reason(error)}", 1
    if name:
        return f"cannot open{name}: {reason(error)}", 2
    return f"reading or writing failed: {reason(error)}", 1


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        say(message)
    return code


def _settle(stream: TextIO | None) -> None:
    """Let go of what a closed pipe or a full disk did not take: Python would complain of it again at exit."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), stream.fileno())
