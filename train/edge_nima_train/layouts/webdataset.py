"""WebDataset's tar files, `edge-nima data pack`'s among them: KEY.jpg beside KEY.json, KEY.cls or KEY.txt."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from edge_nima import tar_members
from edge_nima.decode import photograph_suffixes
from edge_nima.errors import RequestError, printable, reason
from edge_nima_train.columns import Record, recognise
from edge_nima_train.layouts import Layout, Opened, beneath, split_in_name

_RATINGS = (".json", ".cls", ".txt")


def _open(sources: Sequence[str], stated: Mapping[str, str]) -> Opened:
    tars = [Path(tar) for source in sources for tar in beneath(source, (".tar",))]
    records = chain.from_iterable(map(_records, tars))
    first = next(records, None)
    if first is None:
        raise RequestError(
            f"'{printable(tars[0])}' holds no photograph beside its rating; possible: KEY.jpg with KEY.json, KEY.cls "
            "or KEY.txt, or a table of labels among the sources"
        )
    lists = [name for name, value in first.cells.items() if isinstance(value, list)]
    columns = recognise(first.cells, lists, stated, f"'{printable(first.path)}'", named=True)
    return Opened(columns, chain([first], records), doubtful=columns.mean in {"cls", "txt"})


def _records(tar: Path) -> Iterator[Record]:
    """The photographs of a tar file in its order, with what its neighbours of the same name say."""
    try:
        members = tar_members.open_tar(tar).members
    except OSError as error:
        raise RequestError(f"'{printable(tar)}' cannot be read: {reason(error)}") from error
    ratings: dict[str, list[str]] = {}
    for name in members:
        stem, ending = os.path.splitext(name)
        if ending.lower() in _RATINGS:
            ratings.setdefault(stem, []).append(name)
    for place, name in enumerate(members, 1):
        stem, ending = os.path.splitext(name)
        if ending.lower() in photograph_suffixes() and stem in ratings:
            cells = _cells(tar, ratings[stem])
            yield Record(tar, place, cells, split_in_name(tar.name), name, str(tar / name))


def _cells(tar: Path, names: Sequence[str]) -> dict[str, object]:
    cells: dict[str, object] = {}
    for name in names:
        ending = os.path.splitext(name)[1].lower()
        try:
            text = tar_members.open_tar(tar).read(name).decode("utf-8-sig")
            if ending == ".json":
                told = json.loads(text)
                cells |= told if isinstance(told, dict) else {}
            else:
                cells[ending[1:]] = text
        except (OSError, ValueError):
            continue  # then the row lacks its rating, and that is told
    return cells


def _claims(source: str) -> bool:
    return "://" not in source and bool(beneath(source, (".tar",)))


LAYOUT = Layout("webdataset", "tar files with KEY.jpg and KEY.json, KEY.cls or KEY.txt", 2, _claims, _open)
