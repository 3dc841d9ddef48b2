"""Photographs on disk: files, folders with all that is under them, and patterns, in an order that does not change."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from glob import escape, glob, has_magic
from pathlib import Path

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
    """List the photographs that `paths` name, each once, in a stable order.

    A file named outright is listed whatever its ending. A folder gives every file beneath it, in sorted order, whose
    ending is one that Pillow reads; hidden files and folders are left out, linked folders are entered once. Anything
    else with `*`, `?` or `[` in it is a pattern, `**` reaching into folders; one whose ending is open (`*`, `a*.*`)
    gives only endings that Pillow reads.

    Args:
        paths: files, folders or patterns.

    Returns:
        Paths as a person would type them: beneath the folder that was given.

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
    if os.path.isdir(path):
        photographs = list(_walk(path))
        if photographs == [path]:
            raise RequestError(f"cannot read the folder '{printable(path)}'")
        if not photographs:
            held = len(os.listdir(path))
            holds = f"none of its {held} entries is one" if held else "it is empty"
            raise RequestError(f"no photographs in '{printable(path)}': {holds}; give a folder with JPEG or PNG files")
        return photographs
    try:
        os.lstat(path)
        return [path]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass  # perhaps a pattern
    except OSError as error:
        raise RequestError(f"cannot open '{printable(path)}': {reason(error)}") from error
    if not has_magic(path):
        raise RequestError(f"no such file or folder: '{printable(path)}'")
    photographs = []
    for hit in sorted(_matches(path), key=os.fsencode):
        photographs += _walk(hit) if os.path.isdir(hit) else [hit]
    if has_magic(os.path.splitext(path)[1] or os.path.basename(path) or "*"):
        photographs = [hit for hit in photographs if _looks_like_one(hit)]
    if not photographs:
        raise RequestError(f"the pattern '{printable(path)}' matches no photograph")
    return photographs


def _looks_like_one(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in photograph_suffixes()


def _matches(pattern: str) -> list[str]:
    """What a pattern names. Folders that exist are taken literally, whatever is in their names.

    `**` is walked here: glob follows folders that link back to themselves, 40 deep and, with two links, 2**40 times.
    """
    parts = pattern.split("/")
    literal = next(n for n in range(len(parts) - 1, -1, -1) if n == 0 or os.path.isdir("/".join(parts[:n]) or "/"))
    stars = next((n for n in range(literal, len(parts)) if parts[n] == "**"), None)
    head = [*map(escape, parts[:literal]), *parts[literal:stars]]
    if stars is None:
        return glob("/".join(head))
    if not head:
        folders = [""]
    else:
        base = "/".join(parts[:literal])
        folders = [base or "/"] if stars == literal else [hit for hit in glob("/".join(head)) if os.path.isdir(hit)]
    rest = "/".join(part for part in parts[stars + 1 :] if part != "**")
    if not rest:
        return [folder or "." for folder in folders]
    found = []
    for folder in folders:
        for beneath in _folders(folder):
            found += glob(os.path.join(escape(beneath), rest))
    return found


def _folders(folder: str) -> Iterator[str]:
    """`folder` ("" for the one we are in) and all beneath it; one that links lead back to comes once."""
    return (path for path, is_folder in _tree(folder) if is_folder)


def _walk(folder: str) -> Iterator[str]:
    """Photographs beneath `folder`, sorted by name; a folder that links lead back to is entered once.

    A folder that cannot be read is given out as if it were a photograph: scoring it makes a record with the error.
    """
    return (path for path, is_folder in _tree(folder) if not is_folder)


def _tree(folder: str) -> Iterator[tuple[str, bool]]:
    """Each folder from `folder` down (True) and each photograph (False), in the order of their names."""
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
