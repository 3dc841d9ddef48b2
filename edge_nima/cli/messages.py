"""Words for a person, and exit codes."""

from __future__ import annotations

import sys

from edge_nima.errors import escaped

NOT_ALL_SCORED = 3
"""Exit code when some photographs have no score; their records say why."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def say(message: str) -> None:
    """One line on stderr; what could steer the terminal is escaped."""
    print(f"edge-nima: {escaped(message)}", file=sys.stderr)
