"""Where the command `edge-nima`, and `python -m edge_nima`, begin: light enough that Ctrl-C never meets a traceback."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from edge_nima.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("edge-nima: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
