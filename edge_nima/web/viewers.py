"""Who is looking: how many at most, and who has gone away without saying so."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from time import monotonic

PATIENCE_S = 5.0
"""How long a viewer may take for one picture. Then it is dropped; its page connects again by itself."""


class Viewer:
    """One open page: a stream of events, and one picture asked for after the other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.name = secrets.token_urlsafe(9)
        self.gone = False
        self._clock = clock
        self._waiting = 0
        self._idle_since = clock()

    def __enter__(self) -> Viewer:
        """A picture is asked for: now the next move is ours."""
        self._waiting += 1
        return self

    def __exit__(self, *_: object) -> None:
        """It is on its way: the viewer has `PATIENCE_S` to take it and ask for the next."""
        self._waiting -= 1
        self._idle_since = self._clock()

    @property
    def here(self) -> bool:
        """False when it is to be let go."""
        return not self.gone and (self._waiting > 0 or self._clock() - self._idle_since <= PATIENCE_S)


class Viewers:
    """The open pages, at most `most`."""

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self.most = most
        self._clock = clock
        self._open: dict[str, Viewer] = {}
        self.closed = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._open)

    def join(self) -> Viewer | None:
        """A new one; None when there are as many as may be, and after `close`."""
        if self.closed or len(self._open) >= self.most:
            return None
        viewer = Viewer(self._clock)
        self._open[viewer.name] = viewer
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """It is gone."""
        viewer.gone = True
        self._open.pop(viewer.name, None)

    def find(self, name: str) -> Viewer | None:
        """The one of this name; None when it was let go."""
        viewer = self._open.get(name)
        return None if viewer is None or viewer.gone else viewer

    def close(self) -> None:
        """Let all go, for good."""
        self.closed = True
        for viewer in self._open.values():
            viewer.gone = True
