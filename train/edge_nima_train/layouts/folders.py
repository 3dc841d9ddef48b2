"""A folder whose sub-folders are ratings: `7/photograph.jpg` is rated 7."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge_nima.errors import RequestError, printable
from edge_nima.photographs import find_photographs
from edge_nima_train.columns import Columns, Record
from edge_nima_train.layouts import Layout, Opened


def _open(sources: Sequence[str], stated: Mapping[str, str]) -> Opened:
    for source in sources:
        names = sorted(entry.name for entry in os.scandir(source) if entry.is_dir() and not entry.name.startswith("."))
        other = next((name for name in names if not name.replace(".", "", 1).isdecimal()), None)
        if other is not None or not names:
            what = f"has a folder '{printable(other)}'" if other else "has no folders in it"
            raise RequestError(
                f"'{printable(source)}' {what} and no labels are among the sources; possible: a table of labels beside "
                "it, or folders that are called by their rating, such as 7"
            )
    return Opened(Columns("", "file", "folder", (), ""), _records(sources), doubtful=True)


def _records(sources: Sequence[str]) -> Iterator[Record]:
    for source in sources:
        for place, path in enumerate(find_photographs([source]), 1):
            name = path.relative_to(source)
            yield Record(Path(source), place, {"file": name.as_posix(), "folder": name.parts[0]}, picture=str(path))


LAYOUT = Layout("folders", "a folder of folders that are called by their rating", 3, os.path.isdir, _open)
