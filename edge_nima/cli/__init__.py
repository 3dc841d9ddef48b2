"""The command `edge-nima`. Each sub-command reads its arguments, calls one library function, prints."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from typing import Annotated, Any, TextIO

import typer
import typer.core

from edge_nima import __version__
from edge_nima.cli import (
    best,
    cameras,
    card,
    check,
    compare,
    convert,
    data,
    doctor,
    examine,
    models,
    phone,
    pick,
    score,
    show,
    train,
    watch,
)
from edge_nima.cli.options import INTERRUPTED, say
from edge_nima.errors import EdgeNimaError, printable, reason


class _Group(typer.core.TyperGroup):
    """Says that it was interrupted, where a sub-command has not caught that itself; typer leaves without a word.

    `watch` is made when it is called.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, watch.command() if name == "watch" else command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain("interrupted", INTERRUPTED)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="edge-nima",
    cls=_Group,
    help="How would a crowd rate this photograph? Scores photographs, converts models, proves that they agree.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("score")(score.score)
app.command("pick")(pick.pick)
app.command("show")(show.show)
app.command("card")(card.card)
app.command("check")(check.check)
app.command("watch")(watch.watch)
app.command("phone")(phone.phone)
app.command("cameras")(cameras.cameras)
app.command("doctor")(doctor.doctor)
app.command("best")(best.best)
app.command("convert", cls=convert.Command)(convert.convert)
app.command("compare")(compare.compare)
app.command("examine")(examine.examine)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")

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
        if not message:
            return 2  # no arguments: typer has printed the help
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
