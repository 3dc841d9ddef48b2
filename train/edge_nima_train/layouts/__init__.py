"""Layouts: in which form people have photographs with ratings. One file each, found here: a new one is a new file."""

from __future__ import annotations

import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from glob import glob, has_magic
from importlib import import_module

from edge_nima.errors import RequestError, printable
from edge_nima_train.columns import Columns, Record
from edge_nima_train.manifest import READ_AS
from edge_nima_train.pack import Pictures

STATE = "import.json"
"""The file by which a folder is known as what `import_ratings` wrote."""


@dataclass(frozen=True)
class Opened:
    """A source whose columns are known."""

    columns: Columns
    records: Iterator[Record]
    """All of them, without embedded pictures."""
    embedded: Pictures | None = None
    """Reads the pictures that the source itself holds, by the places of the records."""
    doubtful: bool = False
    """Whether the scale of means has to be stated whatever they are."""


@dataclass(frozen=True)
class Layout:
    """One form."""

    name: str
    what: str
    """One line for --help."""
    rank: int
    """Of two layouts that could read the sources, the lower one does."""
    claims: Callable[[str], bool]
    """Whether a source, a path or address, is of this form."""
    open: Callable[[Sequence[str], Mapping[str, str]], Opened]
    """Reads the columns of the sources that it claims; the second argument is what --columns says."""


@cache
def layouts() -> tuple[Layout, ...]:
    """All layouts by rank."""
    found: list[Layout] = [
        import_module(f"{__name__}.{module.name}").LAYOUT for module in pkgutil.iter_modules(__path__)
    ]
    return tuple(sorted(found, key=lambda layout: layout.rank))


def open_sources(sources: Sequence[str], stated: Mapping[str, str]) -> tuple[Layout, Opened, tuple[str, ...]]:
    """The layout of sources, what it reads, and the sources beside it that bring photographs.

    Raises:
        RequestError: a source does not exist, or none is in a form that is known.
    """
    paths = [path for source in sources for path in _existing(source)]
    for layout in layouts():
        ours = [path for path in paths if layout.claims(path)]
        if ours:
            return layout, layout.open(ours, stated), tuple(path for path in paths if path not in ours)
    known = "; ".join(f"{layout.name}: {layout.what}" for layout in layouts())
    raise RequestError(f"'{printable(sources[0])}' is in no form that is known; possible: {known}")


def _existing(source: str) -> list[str]:
    if "://" in source or os.path.exists(source):
        return [source]
    found = sorted(glob(source, recursive=True)) if has_magic(source) else []
    if not found:
        raise RequestError(f"no such file, folder or pattern: '{printable(source)}'")
    return found


def beneath(source: str, endings: tuple[str, ...]) -> list[str]:
    """A file with one of the endings, or all such files beneath a folder, in order; not those of an import in it."""
    if not os.path.isdir(source):
        return [source] if source.lower().endswith(endings) else []
    found = []
    for folder, folders, names in os.walk(source):
        if STATE in names and folder != source:
            folders.clear()
            continue
        found += [os.path.join(folder, name) for name in names if name.lower().endswith(endings) and name[0] != "."]
    return sorted(found)


def split_in_name(name: str) -> str:
    """The split that a file's name says, as `train-00000-of-00013.parquet` does; "" where it says none."""
    first = re.split(r"[-_.]", name.lower())[0]
    return READ_AS.get(first, "")
