"""A folder that another program fills: each new photograph once it is whole, in the order they arrived."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Generator
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import nsmallest
from time import monotonic, sleep

import numpy as np

from edge_nima.errors import PictureError, SourceError, printable, reason
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames.addresses import slug
from edge_nima.frames.files import photograph_suffixes
from edge_nima.pixels import read_rgb

_LOOK_EVERY_S = 0.25
_REST = 10.0
"""The pause after a look, in times the look took: a folder of 100,000s of files must not keep a core busy."""
_QUIET_S = 0.5
_PATIENCE_S = 4.0
"""So long a truncated photograph may still be growing; after that it is damaged."""
_SLICE = 500
"""Files looked at in one go: a folder of 100,000s must not keep `read` from answering in time."""
_MOST_WAITING = 5_000
"""Photographs remembered by name before their turn; the rest is met again in a later look."""


@dataclass
class _Seen:
    """A file that was met and not given yet."""

    mark: int
    since: float
    """Monotonic time since which it is like that."""
    met: int
    """In which order they were met."""
    looks: int = 1


class FolderSource:
    """New photographs of a folder; not of folders in it. Silence is normal, and it never ends.

    A file is new when its name, size or time is: one that is written anew under the same name is given again. Each
    file that is there costs 8 bytes of memory.
    """

    live = True

    def __init__(self, folder: str | os.PathLike[str], *, existing: bool = False, label: str | None = None) -> None:
        """Take a folder.

        Args:
            folder: where the photographs appear. Hidden files and those that do not end as photographs do (.tmp,
                .partial) are left out until they are renamed.
            existing: give those that are there already, too.
            label: its name in records; None for the folder's.
        """
        self._folder = os.fspath(folder)
        self.label = label or slug(os.path.basename(os.path.abspath(self._folder)), "folder")
        self._all_known = not existing
        """Whether the next look takes what is there as given."""
        self._waiting: dict[str, _Seen] = {}
        self._known = array("Q")
        """Marks of the files that were given and are there, sorted."""
        self._fresh: set[int] = set()
        """Marks of those given since the last look."""
        self._met = 0
        self._ready: list[str] = []
        self._look: Generator[None] | None = None
        """The look under way; while there is one, nothing is ready."""
        self._look_took = 0.0
        self._next_look = 0.0
        self._opened = False

    def open(self) -> None:
        """Begin; opened again after a fault it goes on where it was.

        Raises:
            SourceError: no such folder, or no permission.
        """
        shown = printable(self._folder)
        if not os.path.isdir(self._folder):
            what = "is no folder" if os.path.exists(self._folder) else f"does not exist; mkdir -p '{shown}' makes it"
            raise SourceError(f"the folder '{shown}' {what}")
        self._opened = True
        while not self._looked():
            pass
        self._all_known = False

    def read(self) -> Frame | None:
        """The next photograph that is whole.

        Raises:
            NothingYet: none within half a second.
            PictureError: this one is damaged, and was for some seconds.
            SourceError: the folder is gone.
        """
        if not self._opened:
            raise SourceError(f"the folder '{printable(self._folder)}' is not open")
        until = monotonic() + _QUIET_S
        while True:
            while self._ready:
                frame = self._take(self._ready.pop())
                if frame is not None:
                    return frame
            now = monotonic()
            if now >= until:
                raise NothingYet
            if now >= self._next_look:
                self._looked()
            else:
                sleep(min(self._next_look, until) - now)

    def _take(self, name: str) -> Frame | None:
        """Decode a file that has settled; None when it is gone, or to be looked at again."""
        path = os.path.join(self._folder, name)
        seen = self._waiting.pop(name)
        try:
            rgb = read_rgb(path)
            taken_at = os.stat(path).st_mtime
        except FileNotFoundError:
            return None
        except PictureError as error:
            if not os.path.exists(path):
                return None
            if monotonic() - seen.since < _PATIENCE_S:  # perhaps the program that writes it has paused
                self._waiting[name] = seen
                return None
            self._fresh.add(seen.mark)
            raise PictureError(f"'{printable(path)}': {reason(error)}") from error
        self._fresh.add(seen.mark)
        return Frame(rgb, printable(path), taken_at)

    def _looked(self) -> bool:
        """Go on with the look under way, or begin one; whether it has come to its end."""
        began = monotonic()
        look, self._look = self._look, None  # one that fails is over
        if look is None:
            look, self._look_took = self._all_files(began), 0.0
        ended = next(look, True) is True
        now = monotonic()
        self._look_took += now - began
        if ended:
            self._next_look = now + max(_LOOK_EVERY_S, self._look_took * _REST)
        else:
            self._look = look
        return ended

    def _all_files(self, started: float) -> Generator[None]:
        """One look at all files, in slices: what is new, what has settled since the last look, and what is gone."""
        still = array("Q")
        arrived: list[tuple[int, str, int]] = []
        waiting: dict[str, _Seen] = {}
        try:
            with os.scandir(self._folder) as entries:
                for number, entry in enumerate(entries, 1):
                    if number % _SLICE == 0:
                        yield
                    if not _may_be_one(entry.name):
                        continue
                    try:
                        status = entry.stat()
                    except OSError:  # gone meanwhile, or a link to nowhere
                        continue
                    mark = _mark(entry.name, status)
                    seen = self._waiting.get(entry.name)
                    if self._is_known(mark):
                        still.append(mark)
                    elif seen is not None and seen.mark == mark:
                        waiting[entry.name] = replace(seen, looks=seen.looks + 1)
                    elif status.st_size:
                        arrived.append((status.st_mtime_ns, entry.name, mark))
                        if len(arrived) > 2 * _MOST_WAITING:
                            arrived = nsmallest(_MOST_WAITING, arrived)
        except OSError as error:
            raise SourceError(f"the folder '{printable(self._folder)}' is gone: {reason(error)}") from error
        for _, name, mark in nsmallest(max(0, _MOST_WAITING - len(waiting)), arrived):
            self._met += 1
            waiting[name] = _Seen(mark, started, self._met)
        # What is gone from the folder is forgotten with this: memory is that of the files that are there.
        np.frombuffer(still, np.uint64).sort()
        self._known, self._waiting = still, waiting
        self._fresh.clear()
        settled = [(seen.met, name) for name, seen in waiting.items() if seen.looks > 1]
        self._ready = [name for _, name in sorted(settled, reverse=True)]

    def _is_known(self, mark: int) -> bool:
        at = bisect_left(self._known, mark)
        return self._all_known or mark in self._fresh or (at < len(self._known) and self._known[at] == mark)

    def close(self) -> None:
        """Stop looking; what was given is remembered for the next `open`."""
        self._opened = False
        self._ready.clear()
        if self._look is not None:
            self._look.close()
            self._look = None


def _mark(name: str, status: os.stat_result) -> int:
    """64 bits that stand for a file as it is now."""
    text = f"{name}/{status.st_size}/{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def _may_be_one(name: str) -> bool:
    """Whether it may be a photograph: by its ending, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in photograph_suffixes()
