"""The kept photographs: files whose names say everything, so that no power cut leaves them and an index at odds."""

from __future__ import annotations

import heapq
import logging
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import write_whole
from edge_nima.watch.events import Shot
from edge_nima.watch.units import utc_moment, utc_text
from edge_nima.watch.xmp import encode as encode  # what `save` takes

_NAME = re.compile(
    r"(?P<camera>[a-z0-9_-]{1,100})_(?P<day>\d{8})T(?P<time>\d{6}\.\d{3})Z_(?P<mean>\d{1,2}\.\d{3})"
    r"_r(?P<rating>[1-5])(?:-\d{1,6})?\.jpg",
    re.ASCII,
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TRIES = 1000
log = logging.getLogger("edge_nima.watch")


@dataclass(frozen=True)
class _Entry:
    """What a file's name says, its size, and when it was saved, counted."""

    name: str
    camera: str
    taken_at: float
    mean: float
    rating: int
    size: int
    number: int = 0

    def shot(self, folder: Path) -> Shot:
        return Shot(_place(folder, self.name), self.camera, self.taken_at, self.mean, self.rating, self.size)


def label_in_names(camera: str) -> str:
    """A camera's label as the names of its photographs begin with it."""
    return re.sub(r"[^a-z0-9_-]", "_", camera.lower())[:100] or "camera"


def list_shots(folder: Path) -> list[Shot]:
    """The photographs in folder/shots, in no order. Other files there, and links, are left out; nothing is changed.

    Raises:
        OSError: a folder cannot be read. One that is not there holds none.
    """
    root = folder / "shots"
    return [entry.shot(root) for entry in _scan(root)]


class Gallery:
    """Photographs in folder/shots/YYYY-MM-DD/CAMERA_YYYYmmddTHHMMSS.mmmZ_MEAN_rSTARS.jpg, days and times in UTC.

    Safe to use from several threads. Files that are deleted by hand meanwhile are noticed when they are asked for.
    """

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        """Read the names of what is there, and remove what an interrupted write left.

        Args:
            folder: the watcher's; claimed by this process (`claim_folder`).
            max_bytes: the worst are removed beyond this size of all together, never the one saved last.

        Raises:
            OutputError: it cannot be made or read.
        """
        self._root = folder / "shots"
        self._max_bytes = max_bytes
        self._turn = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._worst: list[tuple[float, int, str]] = []
        self._bytes = 0
        self._number = 0
        self._writing: set[str] = set()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for file in _files(self._root):
                if file.name.endswith(".new") and _NAME.fullmatch(file.name[:-4]):
                    Path(file.path).unlink(missing_ok=True)
            for entry in sorted(_scan(self._root), key=lambda entry: entry.taken_at):
                self._add(entry)
            self._make_room()
        except OSError as error:
            raise OutputError(f"cannot keep photographs in '{printable(self._root)}': {reason(error)}") from error

    def save(self, content: bytes, *, camera: str, taken_at: float, mean: float, rating: int) -> Shot:
        """Write a photograph, then remove the worst while there is too much.

        Args:
            content: the file, of `encode`.
            camera: the source's label; what a file name cannot hold becomes "_".
            taken_at: wall-clock time, seconds since 1970 UTC.
            mean: rating, 1..10.
            rating: 1..5 stars.

        Raises:
            OutputError: the disk is full, say: nothing is left of it.
            ValueError: a mean, a rating or a time that no name can hold.
        """
        label = label_in_names(camera)
        stamp = utc_text(taken_at).replace("-", "").replace(":", "")
        stem = f"{label}_{stamp}_{mean:.3f}_r{rating}"
        if _entry(f"{stem}.jpg", 0) is None:
            raise ValueError(f"no photograph can be called '{printable(stem)}'")
        with self._turn:
            name = self._free_name(stem)
            self._writing.add(name)
        path = _place(self._root, name)
        written = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
            written = True
        except OSError as error:
            raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error
        finally:
            with self._turn:
                self._writing.discard(name)
                if not written:
                    self._remove_folder(path.parent)
        with self._turn:
            self._number += 1
            entry = _entry(name, len(content), self._number)
            assert entry is not None
            self._add(entry)
            self._make_room()
        return entry.shot(self._root)

    def shots(self, order: str = "newest", limit: int | None = None, camera: str | None = None) -> list[Shot]:
        """The photographs, "newest" (by the time they were taken) or "best" first.

        Raises:
            RequestError: another order.
        """
        if order not in ("newest", "best"):
            raise RequestError(f"order is '{printable(order)}'; possible: newest, best")
        with self._turn:
            entries = [entry for entry in self._entries.values() if camera in (None, entry.camera)]
        if order == "newest":
            entries.sort(key=lambda entry: (-entry.taken_at, -entry.mean))
        else:
            entries.sort(key=lambda entry: (-entry.mean, -entry.taken_at))
        found: list[Shot] = []
        for entry in entries:
            if limit is not None and len(found) >= limit:
                break
            shot = entry.shot(self._root)
            if shot.path.is_file():
                found.append(shot)
            else:
                with self._turn:
                    # Another of the same name may have been saved since.
                    if self._entries.get(entry.name) is entry:
                        self._forget(entry.name)
        return found

    def path_of(self, name: str) -> Path:
        """Where a photograph is; only a name that the gallery gives its files leads anywhere.

        Raises:
            RequestError: there is none of this name, or it is a link.
        """
        if _entry(name, 0) is not None:
            path = _place(self._root, name)
            with suppress(OSError):
                if path.is_file() and path.resolve() == self._root.resolve() / path.parent.name / name:
                    return path
        raise RequestError(f"no photograph '{printable(name[:200])}'")

    def delete(self, name: str) -> None:
        """Remove a photograph.

        Raises:
            RequestError: there is none of this name.
            OutputError: it cannot be removed.
        """
        path = self.path_of(name)
        with self._turn:
            try:
                self._remove(path)
            except OSError as error:
                raise OutputError(f"cannot delete '{printable(path)}': {reason(error)}") from error
            self._forget(name)

    def total_bytes(self) -> int:
        """Of all photographs together."""
        with self._turn:
            return self._bytes

    def _free_name(self, stem: str) -> str:
        for number in range(1, _TRIES):
            name = f"{stem}.jpg" if number == 1 else f"{stem}-{number}.jpg"
            if name not in self._entries and name not in self._writing and not _place(self._root, name).exists():
                return name
        raise OutputError(f"{_TRIES} photographs are called '{printable(stem)}'")

    def _add(self, entry: _Entry) -> None:
        self._entries[entry.name] = entry
        self._bytes += entry.size
        heapq.heappush(self._worst, (entry.mean, entry.number, entry.name))

    def _forget(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        self._bytes -= entry.size if entry else 0
        if len(self._worst) > 2 * len(self._entries) + 100:  # names that are gone leave it late otherwise
            self._worst = [(kept.mean, kept.number, kept.name) for kept in self._entries.values()]
            heapq.heapify(self._worst)

    def _make_room(self) -> None:
        if self._max_bytes is None or self._bytes <= self._max_bytes:
            return
        # Those deleted by hand are no reason to remove others.
        with suppress(OSError):
            there = {path.name for path in _files(self._root)}
            for name in [name for name in self._entries if name not in there]:
                self._forget(name)
        last = max(self._entries.values(), key=lambda entry: (entry.number, entry.taken_at), default=None)
        stay: list[tuple[float, int, str]] = []
        while self._bytes > self._max_bytes and self._worst:
            item = heapq.heappop(self._worst)
            name = item[2]
            if last is not None and name == last.name:
                stay.append(item)
                continue
            if name in self._entries:
                try:
                    self._remove(_place(self._root, name))
                except OSError as error:  # the next worst goes in its place
                    log.warning("cannot remove '%s': %s", name, reason(error))
                    stay.append(item)
                    continue
            self._forget(name)
        for item in stay:
            heapq.heappush(self._worst, item)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._remove_folder(path.parent)

    def _remove_folder(self, folder: Path) -> None:
        if not any(_place(self._root, name).parent == folder for name in self._writing):
            with suppress(OSError):  # photographs are left in it
                folder.rmdir()


def _place(root: Path, name: str) -> Path:
    """Where a file of a name belongs: in the folder of its day."""
    match = _NAME.fullmatch(name)
    day = match["day"] if match else "00000000"
    return root / f"{day[:4]}-{day[4:6]}-{day[6:]}" / name


def _entry(name: str, size: int, number: int = 0) -> _Entry | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    day, time = match["day"], match["time"]
    try:
        at = utc_moment(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z")
    except ValueError:
        return None  # a day that is none
    return _Entry(name, match["camera"], at, float(match["mean"]), int(match["rating"]), size, number)


def _scan(root: Path) -> list[_Entry]:
    found = []
    for file in _files(root):
        with suppress(FileNotFoundError):  # deleted since it was listed
            entry = _entry(file.name, file.stat(follow_symlinks=False).st_size)
            if entry is not None and _place(root, file.name).parent.name == os.path.basename(
                os.path.dirname(file.path)
            ):
                found.append(entry)
    return found


def _files(root: Path) -> list[os.DirEntry[str]]:
    """The files in the folders of days; no links, and nothing of folders that are called something else."""
    found: list[os.DirEntry[str]] = []
    with suppress(FileNotFoundError), os.scandir(root) as days:
        for day in days:
            if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError), os.scandir(day.path) as files:  # the folder was removed meanwhile
                    found += [file for file in files if file.is_file(follow_symlinks=False)]
    return found
