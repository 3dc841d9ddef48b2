"""Photographs on disk: files, folders with all that is under them, and patterns, in an order that does not change."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from glob import escape, glob, has_magic
from pathlib import Path

from edge_nima import tar_members
from edge_nima.errors import RequestError, printable, reason


@cache
def photograph_suffixes() -> frozenset[str]:
    """File name endings, lower case with their dot, that Pillow can open here."""
    from PIL import Image

    Image.init()
    # Registered by Pillow, but documents, films and scientific containers rather than photographs.
    foreign = {".pdf", ".ps", ".eps", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".fits", ".wmf", ".emf", ".fli"}
    return frozenset(
        suffix.lower()
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and suffix.lower() not in foreign
    )


def find_photographs(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The photographs that files, folders and patterns name, each once, in a stable order, as a person would type them.

    A file named outright is listed whatever its ending. A folder gives every file beneath it, in sorted order, whose
    ending is one that Pillow reads; hidden files and folders are left out, linked folders are entered once. Anything
    else with `*`, `?` or `[` in it is a pattern, `**` reaching into folders; one whose ending is open (`*`, `a*.*`)
    gives only endings that Pillow reads. A tar file gives the photographs in it, as paths that go through it, and such
    paths are taken. A folder that cannot be read is listed itself: scoring it tells why.

    Raises:
        RequestError: a path does not exist, a pattern matches nothing, a folder holds no photograph.
    """
    found: dict[str, Path] = {}
    real = cache(os.path.realpath)
    for path in paths:
        for photograph in _expand(os.fspath(path)):
            folder, name = os.path.split(photograph)
            found.setdefault(os.path.join(real(folder), name), Path(photograph))
    return list(found.values())


def draw_photographs(photographs: Sequence[Path], count: int, seed: int) -> list[Path]:
    """Draw `count` photographs, the same for the same seed, in their own order; all when there are no more."""
    if len(photographs) <= count:
        return list(photographs)
    chosen = sorted(random.Random(seed).sample(range(len(photographs)), count))
    return [photographs[i] for i in chosen]


def _expand(path: str) -> list[str]:
    shown = printable(path)
    if os.path.isdir(path):
        photographs = _beneath(path)
        if photographs == [path]:
            raise RequestError(f"cannot read the folder '{shown}'")
        if not photographs:
            holds = "none of its entries is one" if os.listdir(path) else "it is empty"
            raise RequestError(f"no photographs in '{shown}': {holds}; give a folder with JPEG or PNG files")
        return photographs
    try:
        os.lstat(path)
        return _in_tar(path) if path.lower().endswith(".tar") else [path]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if tar_members.is_file(path):
            return [path]  # else it is a pattern, perhaps
    except OSError as error:
        raise RequestError(f"cannot open '{shown}': {reason(error)}") from error
    if not has_magic(path):
        raise RequestError(f"no such file or folder: '{shown}'")
    photographs = []
    for hit in sorted(_matches(path), key=os.fsencode):
        photographs += _beneath(hit) if os.path.isdir(hit) else [hit]
    if has_magic(os.path.splitext(path)[1] or os.path.basename(path) or "*"):
        photographs = [hit for hit in photographs if _looks_like_one(hit)]
    if not photographs:
        raise RequestError(f"the pattern '{shown}' matches no photograph")
    return photographs


def _in_tar(path: str) -> list[str]:
    try:
        names = [name for name in tar_members.open_tar(path).members if _looks_like_one(name)]
    except OSError as error:
        raise RequestError(f"cannot open '{printable(path)}': {reason(error)}") from error
    if not names:
        raise RequestError(f"no photographs in '{printable(path)}'")
    return [os.path.join(path, name) for name in names]


def _looks_like_one(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in photograph_suffixes()


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
    folders = (path for top in tops for path, is_folder in _tree(top) if is_folder)
    return [hit for folder in folders for hit in glob(os.path.join(escape(folder), rest))]


def _beneath(folder: str) -> list[str]:
    return [path for path, is_folder in _tree(folder) if not is_folder]


def _tree(folder: str) -> Iterator[tuple[str, bool]]:
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
        yield path, True
        for name in names:
            beneath = os.path.join(path, name)
            if not name.startswith(".") and (os.path.isdir(beneath) or _looks_like_one(beneath)):
                waiting.append(beneath)
