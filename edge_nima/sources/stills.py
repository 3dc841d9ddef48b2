"""A list of photographs, one after another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

from edge_nima.decode import photograph_suffixes, read_rgb
from edge_nima.errors import PictureError, RequestError, SourceError, printable, reason
from edge_nima.frame import Frame
from edge_nima.photographs import find_photographs
from edge_nima.sources import SourceOptions, slug

ORDER = 9
POSSIBLE = "photographs"
SOURCE = "StillsSource"


def takes(given: Sequence[str], wait: bool) -> bool:
    """Several of anything, and what is a file, a pattern, or by its ending will be a photograph."""
    one = given[0]
    coming = wait and os.path.splitext(one)[1].lower() in photograph_suffixes()
    return len(given) > 1 or os.path.lexists(one) or has_magic(one) or coming


class StillsSource:
    """Photographs in the order given; a damaged one raises and the next follows."""

    drops = real_time = False

    def __init__(self, paths: str | Sequence[str], options: SourceOptions | None = None) -> None:
        """Take files, folders or patterns; RequestError when one is not there, unless `wait` allows it."""
        options = options or SourceOptions()
        self._paths = [paths] if isinstance(paths, str) else list(paths)
        if not options.wait:
            find_photographs(self._paths)
        one = len(self._paths) == 1
        self.label = options.label or slug(Path(self._paths[0]).stem if one else "stills", "stills")
        self._loop = options.loop
        self._photographs: list[Path] = []
        self._next, self._good = 0, False

    def open(self) -> None:
        """List them."""
        try:
            self._photographs = find_photographs(self._paths)
        except RequestError as error:
            raise SourceError(reason(error)) from error
        self._next, self._good = 0, False

    def read(self) -> Frame | None:
        """The next photograph; None after the last."""
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
        return Frame(rgb, str(path))

    def close(self) -> None:
        """Forget the list."""
        self._photographs = []
