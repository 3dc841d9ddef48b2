"""The kept photographs: files whose names say everything, so that no power cut leaves them and an index at odds."""

from __future__ import annotations

import logging
import os
import re
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import write_whole
from edge_nima.selection import Candidate
from edge_nima.watch import xmp
from edge_nima.watch.events import Shot
from edge_nima.watch.units import utc_moment, utc_text

_PHOTOGRAPH = r"(?P<camera>[a-z0-9_-]{1,100})_(?P<day>\d{8})T(?P<time>\d{6}\.\d{3})Z_(?P<mean>\d{1,2}\.\d{3})"
_NAME = re.compile(rf"{_PHOTOGRAPH}_r(?P<rating>[1-5])(?:-\d{{1,6}})?(?P<favourite>_fav)?\.jpg", re.ASCII)
_WAITING = re.compile(
    rf"{_PHOTOGRAPH}_(?P<hash>[0-9a-f]{{16}})_(?P<window>\d+)_(?P<mono>\d+)_(?P<check>[0-9a-f]{{8}})\.jpg", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DAY_S = 86400.0
log = logging.getLogger("edge_nima.watch")


def label_in_names(camera: str) -> str:
    """A camera's label as the names of its photographs begin with it."""
    return re.sub(r"[^a-z0-9_-]", "_", camera.lower())[:100] or "camera"


def list_shots(folder: Path) -> list[Shot]:
    """The photographs in folder/shots, in no order; no links. OSError: a folder cannot be read; none there is empty."""
    found = []
    for file in _files(folder / "shots"):
        with suppress(FileNotFoundError):  # deleted since it was listed
            shot = _shot(Path(file.path), file.stat(follow_symlinks=False).st_size)
            if shot is not None:
                found.append(shot)
    return found


class Gallery:
    """Photographs in folder/shots/YYYY-MM-DD/CAMERA_YYYYmmddTHHMMSS.mmmZ_MEAN_rSTARS.jpg, days and times in UTC.

    Favourites end in _fav.jpg. Candidates of windows that have not ended wait in folder/window. Thread-safe; who reads
    never waits for the disk of who writes. Files that are deleted by hand meanwhile are noticed.
    """

    def __init__(
        self, folder: Path, max_bytes: int | None = None, per_day: int = 24, days: float | None = None,
        clock: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """Read the names of what is there, in a folder that this process has claimed; nothing is removed yet.

        Beyond `max_bytes` altogether the days before today are thinned, the oldest first, each to its best `per_day`;
        then the oldest days go, and of today the worst. Before that all go that are older than `days`, by a `clock`
        (seconds since 1970 UTC) that no passing error moves. The photograph saved last and favourites never go.
        OutputError: it cannot be made or read.
        """
        self._root, self._window = folder / "shots", folder / "window"
        self._max_bytes, self._per_day, self._days, self._clock = max_bytes, per_day, days, clock
        # Called for each photograph that is removed, on the thread that removes it.
        self.on_removed: Callable[[Shot], None] = lambda shot: None
        self._changing = threading.RLock()
        self._last = ""  # the name of the photograph saved last
        self._cleaned = False
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._shots = {shot.path.name: shot for shot in list_shots(folder)}
        except OSError as error:
            raise OutputError(f"cannot keep photographs in '{printable(self._root)}': {reason(error)}") from error

    def hold(self, content: bytes, camera: str, candidate: Candidate) -> Path:
        """Write a candidate to folder/window, unsynced; it outlives this process. OutputError: the disk is full."""
        stem = _stem(camera, candidate.taken_at, candidate.mean)
        mono, check = max(round(candidate.taken_mono * 1000), 0), zlib.crc32(xmp.with_rating(content, 0))
        path = self._window / f"{stem}_{candidate.hash:016x}_{candidate.window}_{mono}_{check:08x}.jpg"
        try:
            self._window.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error
        return path

    def waiting(self, camera: str) -> list[tuple[Path, Candidate]]:
        """A camera's files in folder/window, in no order; those that are not whole are removed."""
        found = []
        for file in _entries(self._window):
            match, path = _WAITING.fullmatch(file.name), Path(file.path)
            if match is None or match["camera"] != label_in_names(camera) or not file.is_file(follow_symlinks=False):
                continue
            mean, mono, seen = float(match["mean"]), int(match["mono"]) / 1000, int(match["hash"], 16)
            with suppress(OSError):  # one that cannot be read waits for another start
                if zlib.crc32(xmp.with_rating(path.read_bytes(), 0)) == int(match["check"], 16):
                    found.append((path, Candidate(mean, mono, seen, _moment(match), int(match["window"]))))
                else:
                    path.unlink()
        return found

    def save(self, file: bytes | Path, *, camera: str, taken_at: float, mean: float, rating: int) -> Shot:
        """Make a file of `xmp.encode` a photograph with 1..5 stars, durably, then make room.

        The file is its bytes, or its path in folder/window, from where it is moved. `taken_at`: seconds since 1970 UTC.
        FileNotFoundError: the path leads to nothing. OutputError: the disk is full, say: nothing is left of it, and the
        file is where it was. ValueError: a mean, a rating or a time that no name can hold.
        """
        stem, number = f"{_stem(camera, taken_at, mean)}_r{rating}", 1
        path = self._root / utc_text(taken_at)[:10] / f"{stem}.jpg"
        if _shot(path, 0) is None:
            raise ValueError(f"no photograph can be called '{printable(stem)}'")
        with self._changing:
            while path.exists() or path.with_stem(f"{path.stem}_fav").exists():
                number += 1
                path = path.with_stem(f"{stem}-{number}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(file, Path):
                    with open(file, "r+b") as rated:  # in place: all bytes but one stay, whenever it is interrupted
                        content = xmp.with_rating(rated.read(), rating)
                        rated.seek(0)
                        rated.write(content)
                        rated.flush()
                        os.fsync(rated.fileno())
                    os.replace(file, path)
                else:
                    write_whole(path, xmp.with_rating(file, rating))
                _sync_folders(path.parent, self._root)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error
            finally:
                with suppress(OSError):  # there are photographs in it
                    path.parent.rmdir()
            saved, self._last = self._add(path), path.name
            self.make_room()
        return saved

    def shots(
        self, order: str = "newest", limit: int | None = None, camera: str | None = None, day: str | None = None,
        least_rating: int | None = None, favourites_only: bool = False,
    ) -> list[Shot]:  # fmt: skip
        """The photographs, "newest" (by the time they were taken) or "best" first; of a day in UTC: "2026-11-27"."""
        if order not in ("newest", "best"):
            raise RequestError(f"order is '{printable(order)}'; possible: newest, best")
        found = [
            shot for shot in list(self._shots.values())
            if camera in (None, shot.camera) and day in (None, _day(shot))
            and shot.rating >= (least_rating or 0) and shot.favourite >= favourites_only and shot.path.is_file()
        ]  # fmt: skip
        found.sort(key=lambda s: (-s.taken_at, -s.mean) if order == "newest" else (-s.mean, -s.taken_at))
        return found[:limit]

    def days(self) -> list[str]:
        """The days in UTC that there are photographs of, the newest first: "2026-11-27"."""
        return sorted({_day(shot) for shot in list(self._shots.values())}, reverse=True)

    def path_of(self, name: str) -> Path:
        """Where a photograph is. RequestError: there is none of this name, or it is a link."""
        shot = self._shots.get(name)
        if shot is None or not shot.path.is_file() or shot.path.resolve() != self._root.resolve() / _day(shot) / name:
            raise RequestError(f"no photograph '{printable(name[:200])}'")
        return shot.path

    def delete(self, name: str) -> None:
        """Remove a photograph. RequestError: there is none of this name; OutputError: it cannot be removed."""
        with self._changing:
            path = self.path_of(name)
            try:
                self._remove(self._shots[name])
            except OSError as error:
                raise OutputError(f"cannot delete '{printable(path)}': {reason(error)}") from error

    def supersede(self, name: str) -> None:
        """Remove a photograph in favour of a better one that shows the same; not a favourite."""
        with self._changing:
            if shot := self._shots.get(name):
                self._discard(shot)

    def set_favourite(self, name: str, favourite: bool) -> Shot:
        """Mark a photograph as a favourite, in name and XMP, or no longer. RequestError, OutputError as of `delete`."""
        with self._changing:
            path = self.path_of(name)
            target = path.with_stem(path.stem.removesuffix("_fav") + "_fav" * favourite)
            try:
                # The name alone makes it one; so it has the name before its label, and keeps it longer.
                if not favourite:
                    xmp.mark(path, favourite)
                os.replace(path, target)
                del self._shots[name]
                self._add(target)
                if favourite:
                    xmp.mark(target, favourite)
                return self._add(target)
            except OSError as error:
                raise OutputError(f"cannot change '{printable(path)}': {reason(error)}") from error

    def make_room(self) -> None:
        """Remove what is more or older than it may be, and what interrupted writes left."""
        with self._changing:
            cleaned, self._cleaned = self._cleaned, True
            for file in [] if cleaned else _files(self._root):
                if file.name.endswith(".new") and _NAME.fullmatch(file.name.removesuffix(".new")):
                    with suppress(OSError):
                        os.unlink(file.path)
            held = sum(shot.size for shot in self._shots.values())
            excess = -1 if self._max_bytes is None else held - self._max_bytes
            if self._days is None and excess <= 0:
                return
            with suppress(OSError):  # those deleted by hand are no reason to remove others
                for name in self._shots.keys() - {file.name for file in _files(self._root)}:
                    excess -= self._shots.pop(name).size
            newest = max(self._shots.values(), key=lambda shot: shot.taken_at, default=None)
            last = self._shots.get(self._last, newest)
            # Not the clock's day: one that is not believed yet would make all days one.
            today = "" if last is None else _day(last)
            days: dict[str, list[Shot]] = {}
            for shot in sorted(self._shots.values(), key=lambda shot: (shot.mean, shot.taken_at)):
                if not shot.favourite and shot is not last:
                    days.setdefault(min(_day(shot), today), []).append(shot)
            if self._days is not None:
                oldest = utc_text(max(self._clock() - self._days * DAY_S, 0.0))[:10]
                excess -= sum(self._discard(shot) for day in days if day < oldest for shot in days[day])
            in_turn = [shot for day in sorted(days) if day < today for shot in days[day][: -self._per_day or None]]
            for shot in (*in_turn, *(shot for day in sorted(days) for shot in days[day])):
                if excess > 0:
                    excess -= self._discard(shot)

    def _discard(self, shot: Shot) -> int:
        # How many bytes went: none of a favourite, also of one that was marked in a photo manager.
        if not shot.favourite and shot.path.name in self._shots and not xmp.is_favourite(shot.path):
            try:
                self._remove(shot)
                return shot.size
            except OSError as error:  # the next goes in its place
                log.warning("cannot remove '%s': %s", shot.path.name, reason(error))
        return 0

    def _remove(self, shot: Shot) -> None:
        shot.path.unlink(missing_ok=True)
        with suppress(OSError):  # there are photographs in it
            shot.path.parent.rmdir()
        del self._shots[shot.path.name]
        self.on_removed(shot)

    def _add(self, path: Path) -> Shot:
        shot = _shot(path, path.stat().st_size)
        assert shot is not None  # its name was made here
        self._shots[path.name] = shot
        return shot


def _stem(camera: str, taken_at: float, mean: float) -> str:
    stamp = utc_text(taken_at).replace("-", "").replace(":", "")
    return f"{label_in_names(camera)}_{stamp}_{mean:.3f}"


def _day(shot: Shot) -> str:
    return shot.path.parent.name


def _moment(match: re.Match[str]) -> float:
    day, time = match["day"], match["time"]
    return utc_moment(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z")


def _shot(path: Path, size: int) -> Shot | None:
    # What a file's name says; None for another's file, in the folder of another day, or of a time that is none.
    match = _NAME.fullmatch(path.name)
    if match is None or match["day"] != path.parent.name.replace("-", ""):
        return None
    with suppress(ValueError):
        mean, rating = float(match["mean"]), int(match["rating"])
        return Shot(path, match["camera"], _moment(match), mean, rating, size, bool(match["favourite"]))
    return None


def _files(root: Path) -> list[os.DirEntry[str]]:
    # In the folders of days; no links, and nothing of folders that are called something else.
    days = [day for day in _entries(root) if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False)]
    return [file for day in days for file in _entries(day) if file.is_file(follow_symlinks=False)]


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        return list(found)
    return []


def _sync_folders(*folders: Path) -> None:  # so that new names in them outlast a power cut
    for folder in folders:
        with suppress(OSError):  # Windows opens no folders
            file = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
