"""Where the command `edge-nima`, and `python -m edge_nima`, begin: light enough that Ctrl-C never meets a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.unraisablehook = _interrupt_again
    try:
        from edge_nima.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("edge-nima: interrupted", file=sys.stderr)
        sys.exit(130)


def _interrupt_again(lost: UnraisableHookArgs) -> None:
    """Send a Ctrl-C again that came where Python ignores exceptions: in JAX's garbage-collection callback, say."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    import contextlib
    import signal
    import threading

    # A moment later: at once, it would come to the same place.
    again = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    again.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread can be started: Python is at its end already
        again.start()


if __name__ == "__main__":
    main()
