"""The command `edge-nima`. Each sub-command reads its arguments, calls one library function, prints."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any, TextIO

from edge_nima import __version__
from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.errors import EdgeNimaError, RequestError, printable, reason

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

COMMANDS = [name for section in SECTIONS.values() for name in section]
_NO_COMMAND = """Usage: edge-nima COMMAND [ARGS]...      (edge-nima COMMAND --help)

How would a crowd rate this photograph? Scores photographs, converts models,
proves that they agree.

  --version  Print the version and stop.
  --help     Show this message and stop.
"""


def _help() -> str:
    parts = [_NO_COMMAND]
    for title, commands in SECTIONS.items():
        parts += [f"\n{title}:\n", *(f"  {name:<9}{text}\n" for name, text in commands.items())]
    return "".join(parts)


def _dispatch(arguments: list[str]) -> int:
    """Do what the first argument says. A command's module, and typer, are imported when it is named: each start pays.

    Raises:
        RequestError: there is no such command.
        click.UsageError, typer.Exit: as the command does.
    """
    if not arguments or arguments[0] == "--help":
        print(_help(), end="")
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        print(f"edge-nima {__version__}")
        return 0
    if name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS)
        meant = f": did you mean {' or '.join(close)}?" if close else ""
        raise RequestError(f"no such {'option' if name.startswith('-') else 'command'} '{printable(name)}'{meant} "
                           "(edge-nima --help)")  # fmt: skip
    with _quick_imports():
        parser = command(name)
        if name in _SCORING:
            import_module("edge_nima.scorer")  # and NumPy and Pillow
    with parser.make_context(f"edge-nima {name}", rest) as context:
        code = parser.invoke(context)
    return code if isinstance(code, int) else 0


_SCORING = {"bench", "check", "pick", "score"}
_BLAS = "OPENBLAS_NUM_THREADS"


@contextlib.contextmanager
def _quick_imports() -> Iterator[None]:
    """Import without garbage collection, and NumPy without threads for matrices: a fifth of what scoring one takes.

    Scoring multiplies no matrices. The environment is as it was afterwards, for commands that do and for children. What
    was imported stays for good, so the collector, on again, never looks through it: another seventh, measured.
    """
    given = os.environ.get(_BLAS)
    os.environ.setdefault(_BLAS, "1")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if given is None:
            del os.environ[_BLAS]


def command(name: str) -> Any:
    """The command of a module of its name: its `app`, what its `command()` makes, or its function of that name."""
    import typer

    module = import_module(f"edge_nima.cli.{name}")
    if hasattr(module, "command"):
        return module.command()
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, cls=getattr(module, "Command", None))(getattr(module, name))
    return typer.main.get_command(app)


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
    try:
        code = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except EdgeNimaError as error:
        return _complain(reason(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # the reader, `head` say, has what it wanted
        return 141
    except OSError as error:
        return _complain(*_failure(error))
    except Exception as error:
        return _of_typer(error, arguments[0])


def _of_typer(error: Exception, command: str) -> int:
    """The exit code of what a command's parser or its end raised; anything else is raised again."""
    import typer

    # typer carries click inside itself in some versions and beside itself in others.
    usage: type[Exception] = typer.BadParameter.__bases__[0]
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    if not isinstance(error, usage):
        raise error
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    # Without arguments typer has printed the help of the command.
    return _complain(f"{message.splitlines()[0]} (edge-nima {command} --help)", 2) if message else 2


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
