"""A folder that another program fills: each new photograph once it is whole, in the order they arrived."""

from __future__ import annotations

import logging
import os
from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from heapq import nsmallest
from time import monotonic, sleep
from typing import NamedTuple

import numpy as np

from edge_nima.decode import photograph_suffixes, read_rgb
from edge_nima.errors import PictureError, SourceError, printable, reason
from edge_nima.frame import Frame
from edge_nima.photographs import LeftOut, is_skipped, looks_like_one
from edge_nima.sources import NothingYet, SourceOptions, slug

log = logging.getLogger("edge_nima.sources")

ORDER = 5
POSSIBLE = "a folder that fills"
SOURCE = "FolderSource"

_LOOK_EVERY_S = 0.25
_REST = 10.0  # the pause after a look, in times the look took: 100,000s of files must not keep a core busy
_QUIET_S = 0.5
_PATIENCE_S = 4.0  # so long a truncated photograph may still be growing; after that it is damaged
_SLICE = 500  # files looked at in one go, so that `read` answers in time
_MOST_WAITING = 5_000  # photographs remembered by name before their turn; the rest is met again in a later look


def takes(given: Sequence[str], wait: bool) -> bool:
    """A folder; with `wait` also what is not there yet and does not end as a file does."""
    one = given[0]
    coming = wait and not os.path.lexists(one) and os.path.splitext(one)[1].lower() not in photograph_suffixes()
    return len(given) == 1 and (os.path.isdir(one) or coming)


class _Seen(NamedTuple):  # a file that was met and not given yet
    mark: int
    since: float  # monotonic time since which it is like that
    settled: bool = False  # whether it was the same in a later look


class FolderSource:
    """New photographs of a folder and of those in it. Silence is normal, and it never ends.

    A file is new when its path, size or time is. Each that is there costs 8 bytes of memory. With a `Memory` what was
    given in earlier runs is known, and a file that came while nobody watched is new.
    """

    drops, real_time = False, True

    def __init__(self, folder: str | os.PathLike[str], options: SourceOptions | None = None) -> None:
        """Take a folder. Hidden files and those that do not end as photographs do (.tmp, .partial) are left out."""
        options = options or SourceOptions()
        self._folder, self._memory, self._existing = os.fspath(folder), options.memory, options.existing
        self.label = options.label or slug(os.path.basename(os.path.abspath(self._folder)), "folder")
        self._exclude = {os.path.realpath(path) for path in options.exclude}
        self._told = False  # whether it was said what is left out
        self._opened = self._begun = False  # begun: whether what is known of the folder is known
        self._waiting: dict[str, _Seen] = {}  # in the order they were met
        self._known = array("q")  # marks of the files that were given and are there, sorted
        self._fresh: set[int] = set()  # marks of those given since the last look
        self._ready: list[str] = []
        self._look: Generator[None] | None = None  # the look under way; while there is one, nothing is ready
        self._look_took = self._next_look = 0.0

    def open(self) -> None:
        """Begin; opened again after a fault it goes on where it was."""
        shown = printable(self._folder)
        if not os.path.isdir(self._folder):
            self._existing = self._existing or not self._begun  # one that is awaited has only what is new in it
            what = "is no folder" if os.path.exists(self._folder) else f"does not exist; mkdir -p '{shown}' makes it"
            raise SourceError(f"the folder '{shown}' {what}")
        self._opened, self._next_look = True, 0.0
        if self._begun:
            return
        remembered = None if self._memory is None else self._memory.load()
        if remembered is None:
            files = () if self._existing else self._files()
            remembered = _sorted(_mark(path, status) for path, status in files if status is not None)
            if self._memory is not None:
                self._memory.begin(remembered)
        self._known, self._begun = _sorted(remembered), True

    def read(self) -> Frame | None:
        """The next photograph that is whole."""
        if not self._opened:
            raise SourceError(f"the folder '{printable(self._folder)}' is not open")
        until = monotonic() + _QUIET_S
        while (now := monotonic()) < until or self._ready:
            if self._ready:
                if (frame := self._take(self._ready.pop())) is not None:
                    return frame
            elif now >= self._next_look:
                self._looked()
            else:
                sleep(min(self._next_look, until) - now)
        raise NothingYet

    def _take(self, name: str) -> Frame | None:
        # Decode a file that has settled; None when it is gone, or to be looked at again.
        path, seen = os.path.join(self._folder, name), self._waiting[name]
        try:
            frame = Frame(read_rgb(path), path, os.stat(path).st_mtime, mark=seen.mark)
        except (FileNotFoundError, PictureError) as error:
            there = os.path.exists(path)
            if there and monotonic() - seen.since < _PATIENCE_S:  # perhaps the program that writes it has paused
                return None
            del self._waiting[name]
            if not there:
                return None
            self._fresh.add(seen.mark)
            raise PictureError(f"'{printable(path)}': {reason(error)}") from error
        del self._waiting[name]
        self._fresh.add(seen.mark)
        return frame

    def _looked(self) -> bool:
        # Go on with the look under way, or begin one; whether it has come to its end.
        began = monotonic()
        look, self._look = self._look, None  # one that fails is over
        if look is None:
            look, self._look_took = self._look_at_all(began), 0.0
        ended = next(look, True) is True
        self._look_took += monotonic() - began
        self._look = None if ended else look
        self._next_look = monotonic() + max(_LOOK_EVERY_S, self._look_took * _REST) if ended else 0.0
        return ended

    def _look_at_all(self, started: float) -> Generator[None]:
        # One look at all files, in slices: what is new, what has settled since the last look, and what is gone.
        still, same, whole = array("q"), set(), True
        arrived: list[tuple[int, str, int]] = []
        left_out = None if self._told else LeftOut()
        for number, (path, status) in enumerate(self._files(left_out), 1):
            if number % _SLICE == 0:
                yield
            if status is None:
                whole = False
                continue
            mark = _mark(path, status)
            at = bisect_left(self._known, mark)
            if mark in self._fresh or (at < len(self._known) and self._known[at] == mark):
                still.append(mark)
            elif path in self._waiting and self._waiting[path].mark == mark:
                same.add(path)
            elif status.st_size:
                arrived.append((status.st_mtime_ns, path, mark))
                if len(arrived) > 2 * _MOST_WAITING:
                    arrived = nsmallest(_MOST_WAITING, arrived)
        if left_out is not None and left_out.told():
            log.info("'%s': %s", printable(self._folder), left_out.told())
        self._told = True
        waiting = {path: seen._replace(settled=True) for path, seen in self._waiting.items() if path in same}
        self._ready = list(waiting)[::-1]
        for _, path, mark in nsmallest(max(0, _MOST_WAITING - len(waiting)), arrived):
            waiting[path] = _Seen(mark, started)
        self._waiting = waiting
        known = _sorted([*self._known, *self._fresh]) if self._fresh else self._known
        # Nothing is forgotten when part of the folder could not be read, or when there is nothing left of it: a disk
        # that is not mounted leaves an empty folder behind.
        if whole and (still or not known):
            still = _sorted(still)
            if self._memory is not None and len(still) < len(known):
                self._memory.forget(np.setdiff1d(np.array(known, np.int64), np.array(still, np.int64)).tolist())
            known = still
        self._known = known
        self._fresh.clear()

    def _files(self, left_out: LeftOut | None = None) -> Iterator[tuple[str, os.stat_result | None]]:
        # The photographs of all folders, their paths in the watched one; None for a folder that cannot be read.
        entered = set()  # linked folders may lead back
        folders = [""]
        while folders:
            beneath = folders.pop()
            try:
                status = os.stat(os.path.join(self._folder, beneath))
                if (status.st_dev, status.st_ino) in entered:
                    continue
                entered.add((status.st_dev, status.st_ino))
                with os.scandir(os.path.join(self._folder, beneath)) as entries:
                    for entry in entries:
                        path, name = os.path.join(beneath, entry.name), entry.name.lower()
                        if entry.is_dir():
                            real = os.path.realpath(entry.path) if self._exclude else ""
                            if not is_skipped(name) and real not in self._exclude:
                                folders.append(path)
                            elif left_out is not None and real not in self._exclude:
                                left_out.folder(entry.path)
                        elif not name.startswith(".") and looks_like_one(name):
                            with suppress(OSError):  # gone meanwhile, or a link to nowhere
                                yield path, entry.stat()
                        elif left_out is not None:
                            left_out.file(entry.name)
            except OSError as error:
                if not beneath:
                    raise SourceError(f"the folder '{printable(self._folder)}' is gone: {reason(error)}") from error
                yield beneath, None

    def close(self) -> None:
        """Stop looking; what was given is remembered for the next `open`."""
        self._opened = False
        self._ready.clear()
        self._look = None


def _sorted(marks: Iterable[int]) -> array[int]:
    ordered = array("q", marks)
    np.frombuffer(ordered, np.int64).sort()
    return ordered


def _mark(path: str, status: os.stat_result) -> int:
    # 64 bits, signed, that stand for a file as it is now; `path` is that in the watched folder.
    text = f"{path}/{status.st_size}/{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little", signed=True)
