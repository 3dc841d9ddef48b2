"""Photographs on disk: files, folders with all that is under them, and patterns, in an order that does not change."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from glob import escape, glob, has_magic
from pathlib import Path

from edge_nima import tar_members
from edge_nima.decode import missing_extra, photograph_suffixes
from edge_nima.errors import RequestError, printable, reason
from edge_nima.tiff import RAW_SUFFIXES

SKIPPED = frozenset(
    {"@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "system volume information"}
)
"""Folders of a NAS or a disk with thumbnails and deleted files, lower case; hidden ones are left out too."""

THUMBNAILS = ".contact-sheet"
"""An empty file in a folder of thumbnails that `edge_nima.reports.sheet` makes: none of them is a photograph."""

_USUAL = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
_TOLD = 8  # kinds that are told one by one


class LeftOut:
    """What folders hold that is not scored, counted by its kind; and what is read in a way worth saying."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.kinds: Counter[str] = Counter()
        self.previews: Counter[str] = Counter()
        """RAW files that are found, by their ending."""

    def file(self, name: str) -> None:
        """Count a file by its name."""
        suffix = os.path.splitext(name)[1].lower()
        extra = missing_extra(suffix)
        if name.startswith("."):
            self.kinds["hidden"] += 1
        elif extra:
            self.kinds[f"{suffix} (pip install 'edge-nima[{extra}]')"] += 1
        else:
            self.kinds[suffix or "without an ending"] += 1

    def folder(self, path: str) -> None:
        """Count the files of a folder that is not entered, by its name."""
        inside = sum(len(files) for _, _, files in os.walk(path))
        if inside:
            self.kinds[f"in {os.path.basename(path)}"] += inside

    def told(self) -> str:
        """One line, "" where there is nothing to tell: "left out: 4 .heic (pip install 'edge-nima[heif]'), 2 .mov"."""
        ranked = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        parts = [f"{count:,} {printable(kind)}" for kind, count in ranked[:_TOLD]]
        if len(ranked) > _TOLD:
            parts.append(f"{sum(count for _, count in ranked[_TOLD:]):,} of {len(ranked) - _TOLD} other kinds")
        lines = [f"left out: {', '.join(parts)}"] if parts else []
        if self.previews:
            shown = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(self.previews.items()))
            lines.append(f"RAW files by their embedded preview: {shown}")
        return "; ".join(lines)


def is_skipped(name: str) -> bool:
    """Whether a folder in a folder is left out: hidden, or one in which a NAS or a system keeps its own."""
    return name.startswith(".") or name.lower() in SKIPPED


def find_photographs(
    paths: Iterable[str | os.PathLike[str]], *, exclude: Sequence[str] = (), left_out: LeftOut | None = None
) -> list[Path]:
    """The photographs that files, folders and patterns name, each once, in a stable order, as a person would type them.

    A file named outright is listed whatever its ending. A folder gives every file beneath it, in sorted order, whose
    ending is one that can be opened; hidden files, hidden folders and those of a NAS are left out, linked folders are
    entered once. Anything else with `*`, `?` or `[` in it is a pattern, `**` reaching into folders; one whose ending is
    open (`*`, `a*.*`) gives only endings that can be opened. A tar file gives the photographs in it, as paths that go
    through it, and such paths are taken. A folder that cannot be read is listed itself: scoring it tells why.

    Args:
        paths: files, folders and patterns.
        exclude: patterns of what to leave out, held against each name and folder on the way, and against the path
            beneath what was given: "*_small.jpg", "drafts", "2019/*".
        left_out: is told what is left out.

    Raises:
        RequestError: a path does not exist, a pattern matches nothing, a folder holds no photograph.
    """
    left = LeftOut() if left_out is None else left_out
    found: dict[str, Path] = {}
    real = cache(os.path.realpath)
    for path in paths:
        for photograph in _expand(os.fspath(path), _excluded_by(os.fspath(path), exclude), left):
            folder, name = os.path.split(photograph)
            if os.path.join(real(folder), name) not in found:
                found[os.path.join(real(folder), name)] = Path(photograph)
                suffix = os.path.splitext(name)[1].lower()
                left.previews.update([suffix] if suffix in RAW_SUFFIXES else [])
    return list(found.values())


Excluded = Callable[[str], bool]


def _excluded_by(given: str, patterns: Sequence[str]) -> Excluded:
    """Whether a path, as it lies beneath what was given, is to be left out."""
    begin = given if os.path.isdir(given) else os.path.dirname(given) if not has_magic(given) else ""
    cleaned = [pattern.rstrip("/") for pattern in patterns]

    def excluded(path: str) -> bool:
        beneath = os.path.relpath(path, begin or None).replace(os.sep, "/") if begin else path.replace(os.sep, "/")
        parts = beneath.split("/")
        return any(
            fnmatchcase(beneath, pattern) or any(fnmatchcase(part, pattern) for part in parts) for pattern in cleaned
        )

    return excluded if cleaned else lambda path: False


def draw_photographs(photographs: Sequence[Path], count: int, seed: int) -> list[Path]:
    """Draw `count` photographs, the same for the same seed, in their own order; all when there are no more."""
    if len(photographs) <= count:
        return list(photographs)
    chosen = sorted(random.Random(seed).sample(range(len(photographs)), count))
    return [photographs[i] for i in chosen]


def _expand(path: str, excluded: Excluded, left: LeftOut) -> list[str]:
    shown = printable(path)
    if os.path.isdir(path):
        photographs = _beneath(path, excluded, left)
        if photographs == [path]:
            raise RequestError(f"cannot read the folder '{shown}'")
        if not photographs:
            raise RequestError(f"no photographs in '{shown}': {left.told() or 'it is empty'}")
        return photographs
    try:
        os.lstat(path)
        found = _in_tar(path) if path.lower().endswith(".tar") else [path]
        return _without(found, excluded, left)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if tar_members.is_file(path):
            return _without([path], excluded, left)  # else it is a pattern, perhaps
    except OSError as error:
        raise RequestError(f"cannot open '{shown}': {reason(error)}") from error
    if not has_magic(path):
        raise RequestError(f"no such file or folder: '{shown}'")
    photographs = []
    open_ending = has_magic(os.path.splitext(path)[1] or os.path.basename(path) or "*")
    for hit in sorted(_matches(path), key=os.fsencode):
        if os.path.isdir(hit):
            photographs += _beneath(hit, excluded, left)
        elif not open_ending or looks_like_one(hit):
            photographs += _without([hit], excluded, left)
        else:
            left.file(os.path.basename(hit))
    if not photographs:
        told = f": {left.told()}" if left.told() else ""
        raise RequestError(f"the pattern '{shown}' matches no photograph{told}")
    return photographs


def _without(paths: list[str], excluded: Excluded, left: LeftOut) -> list[str]:
    kept = [path for path in paths if not excluded(path)]
    if len(kept) < len(paths):
        left.kinds["by --exclude"] += len(paths) - len(kept)
    return kept


def _in_tar(path: str) -> list[str]:
    try:
        names = [name for name in tar_members.open_tar(path).members if looks_like_one(name)]
    except OSError as error:
        raise RequestError(f"cannot open '{printable(path)}': {reason(error)}") from error
    if not names:
        raise RequestError(f"no photographs in '{printable(path)}'")
    return [os.path.join(path, name) for name in names]


def looks_like_one(path: str) -> bool:
    """Whether a name ends as photographs do that can be opened here."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix in _USUAL or suffix in photograph_suffixes()  # which imports every plugin that Pillow has


def _matches(pattern: str) -> list[str]:
    """What a pattern names. Folders that exist are taken literally, whatever is in their names.

    `**` is walked here: glob follows folders that link back to themselves, 40 deep and, with two links, 2**40 times.
    """
    parts = pattern.split("/")
    literal = next(n for n in range(len(parts) - 1, -1, -1) if n == 0 or os.path.isdir("/".join(parts[:n]) or "/"))
    parts[:literal] = map(escape, parts[:literal])
    if "**" not in parts[literal:]:
        return glob("/".join(parts))
    stars = parts.index("**", literal)
    rest = "/".join(part for part in parts[stars + 1 :] if part != "**")
    tops = glob("/".join(parts[:stars]) + "/") if stars else [""]
    if not rest:
        return [top or "." for top in tops]
    folders = (path for top in tops for path, is_folder in _tree(top, lambda path: False, LeftOut()) if is_folder)
    return [hit for folder in folders for hit in glob(os.path.join(escape(folder), rest))]


def _beneath(folder: str, excluded: Excluded, left: LeftOut) -> list[str]:
    return [path for path, is_folder in _tree(folder, excluded, left) if not is_folder]


def _tree(folder: str, excluded: Excluded, left: LeftOut) -> Iterator[tuple[str, bool]]:
    """Each folder from `folder` ("" for the one we are in) down (True) and each photograph (False), ordered by name.

    A folder that links lead back to comes once; one that cannot be read comes as if it were a photograph.
    """
    entered: set[tuple[int, int]] = set()
    # A stack, not recursion: folders may be nested deeper than Python calls.
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path != folder and not os.path.isdir(path):
            yield path, False
            continue
        try:
            status = os.stat(path or ".")
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(path or ".") as entries:
                names = sorted((entry.name for entry in entries), key=os.fsencode, reverse=True)
        except OSError:
            yield path, False
            continue
        if THUMBNAILS in names and path != folder:
            left.kinds[f"in {os.path.basename(path)}"] += len(names) - 1
            continue
        yield path, True
        for name in names:
            beneath = os.path.join(path, name)
            is_folder = os.path.isdir(beneath)
            if excluded(beneath):
                left.kinds["by --exclude"] += sum(len(files) for *_, files in os.walk(beneath)) if is_folder else 1
            elif is_folder and is_skipped(name):
                left.folder(beneath)
            elif is_folder or (not name.startswith(".") and looks_like_one(name)):
                waiting.append(beneath)
            else:
                left.file(name)
