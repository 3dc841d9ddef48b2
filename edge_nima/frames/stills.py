"""A list of photographs, one after another."""

from __future__ import annotations

import os
from collections.abc import Sequence

from edge_nima.errors import PictureError, RequestError, SourceError, printable, reason
from edge_nima.frames import Frame
from edge_nima.frames.addresses import slug
from edge_nima.frames.files import find_photographs
from edge_nima.pixels import read_rgb


class StillsSource:
    """Photographs in the order given; a damaged one raises and the next follows."""

    live = False

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], *, loop: bool = False, label: str | None = None
    ) -> None:
        """Take files, folders or patterns, as `find_photographs` does; with `loop` they begin again, for ever."""
        self._paths = list(paths)
        first = os.path.splitext(os.path.basename(os.fspath(self._paths[0])))[0] if len(self._paths) == 1 else "stills"
        self.label = label or slug(first, "stills")
        self._loop = loop
        self._photographs: list[str] = []
        self._next = 0
        self._good = False

    def open(self) -> None:
        """List them.

        Raises:
            SourceError: there is none.
        """
        try:
            self._photographs = [os.fspath(path) for path in find_photographs(self._paths)]
        except RequestError as error:
            raise SourceError(reason(error)) from error
        self._next, self._good = 0, False

    def read(self) -> Frame | None:
        """The next photograph; None after the last.

        Raises:
            PictureError: this one cannot be read.
            SourceError: not one of a list that begins again can be read.
        """
        if self._next >= len(self._photographs):
            if not self._loop or not self._photographs:
                return None
            if not self._good:
                raise SourceError("none of the photographs can be read, so the list does not begin again")
            self._next, self._good = 0, False
        path = self._photographs[self._next]
        self._next += 1
        try:
            rgb = read_rgb(path)
        except PictureError as error:
            raise PictureError(f"'{printable(path)}': {reason(error)}") from error
        self._good = True
        return Frame(rgb, printable(path))

    def close(self) -> None:
        """Forget the list."""
        self._photographs = []
