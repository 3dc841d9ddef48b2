"""Hugging Face data sets in parquet, photographs inside: files, folders of them, and hf://datasets/OWNER/NAME."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from edge_nima.errors import PackageMissing, RequestError, printable, reason
from edge_nima_train.columns import Record, recognise
from edge_nima_train.layouts import Layout, Opened, beneath, split_in_name

_HUB = "hf://"
_CONVERTED = "@refs/convert/parquet"
"""The branch in which the hub keeps a data set of another form as parquet."""
_BATCH = 16
"""Rows with their photographs in memory at once."""
_BUFFER = 1 << 20
_RATINGS, _PICTURES = 1 << 16, 1 << 22
"""Bytes asked for at once on the hub: ratings are small pieces far apart, photographs lie one after another."""


@dataclass(frozen=True)
class _File:
    """One parquet file: on this machine, or on the hub where `hub` is its file system."""

    path: str
    hub: Any = None

    @contextlib.contextmanager
    def reader(self, block: int = _RATINGS) -> Iterator[Any]:
        """`pyarrow.parquet.ParquetFile`, reading a column in small pieces and not a row group at once."""
        import pyarrow.parquet as pq

        try:
            with self.hub.open(self.path, "rb", block_size=block) if self.hub else open(self.path, "rb") as file:
                yield pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        except Exception as error:  # Arrow's, and on the hub those of its client and HTTP library
            raise RequestError(f"'{printable(self.path)}' cannot be read as parquet: {reason(error)}") from error


def _open(sources: Sequence[str], stated: Mapping[str, str]) -> Opened:
    try:
        import pyarrow.types as kinds
    except ImportError as error:
        raise PackageMissing("parquet needs pyarrow: pip install 'edge-nima[import]'") from error
    files = [file for source in sources for file in _files(source)]
    with files[0].reader() as reader:
        schema, shown = reader.schema_arrow, f"'{printable(files[0].path)}'"
    pictures = [
        one.name for one in schema
        if (kinds.is_struct(one.type) and any(part.name == "bytes" for part in one.type)) or kinds.is_binary(one.type)
        or kinds.is_large_binary(one.type)
    ]  # fmt: skip
    if len(pictures) > 1:
        raise RequestError(f"{shown} has several columns of pictures: {printable(', '.join(pictures))}; possible: one")
    picture = pictures[0] if pictures else ""
    names = [one.name for one in schema if one.name not in pictures]
    lists = [name for name in names if kinds.is_list(t := schema.field(name).type) or kinds.is_large_list(t)
             or kinds.is_fixed_size_list(t)]  # fmt: skip
    inside = bool(picture) and kinds.is_struct(schema.field(picture).type)
    path = f"{picture}.path" if inside and any(p.name == "path" for p in schema.field(picture).type) else ""
    columns = recognise(names, lists, stated, shown, named=bool(picture))
    embedded = partial(_embedded, files, f"{picture}.bytes" if inside else picture) if picture else None
    return Opened(columns, _records(files, names, path), embedded)


def _files(source: str) -> list[_File]:
    if not source.startswith(_HUB):
        return [_File(path) for path in beneath(source, (".parquet",))]
    try:
        from huggingface_hub import HfFileSystem
    except ImportError as error:
        raise PackageMissing(f"{_HUB} needs huggingface_hub: pip install 'edge-nima[import]'") from error
    hub, root = HfFileSystem(), source.removeprefix(_HUB).rstrip("/")
    try:
        found = sorted(hub.glob(root if root.endswith(".parquet") else f"{root}/**/*.parquet"))
        if not found and "@" not in root and root.count("/") == 2:
            found = sorted(hub.glob(f"{root}{_CONVERTED}/**/*.parquet"))
    except Exception as error:  # of the hub's client, of its HTTP library, of the operating system
        raise RequestError(f"cannot list '{printable(source)}': {reason(error)}") from error
    if not found:
        raise RequestError(f"'{printable(source)}' holds no parquet files; possible: hf://datasets/OWNER/NAME")
    return [_File(str(path), hub) for path in found]


def _records(files: Sequence[_File], names: Sequence[str], path: str) -> Iterator[Record]:
    """Every row without its photograph: of that column only the name is read."""
    for file in files:
        where, line = PurePosixPath(file.path), 0
        with file.reader() as reader:
            for batch in reader.iter_batches(batch_size=1024, columns=[*names, *([path] if path else [])]):
                for cells in batch.to_pylist():
                    line += 1
                    inside = cells.pop(path.partition(".")[0], None) if path else None
                    name = (inside or {}).get("path") or ""
                    yield Record(PurePath(where), line, cells, split_in_name(where.name), name)


def _embedded(files: Sequence[_File], column: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes | Path]]:
    """Photographs by their rows: every row group is read once, none in which nothing is wanted."""
    start = at = 0
    for file in files:
        if at == len(rows):
            return
        with file.reader(_PICTURES) as reader:
            for group in range(reader.num_row_groups):
                end = start + reader.metadata.row_group(group).num_rows
                until = bisect_left(rows, end, at)
                wanted, row = {*rows[at:until]}, start
                for batch in reader.iter_batches(_BATCH, row_groups=[group], columns=[column]) if wanted else ():
                    _, _, inside = column.partition(".")
                    for value in batch.column(0).field(inside) if inside else batch.column(0):
                        if row in wanted:
                            yield row, value.as_py() or b""
                        row += 1
                start, at = end, until


def _claims(source: str) -> bool:
    return source.startswith(_HUB) or bool(beneath(source, (".parquet",)))


LAYOUT = Layout("parquet", "Hugging Face data sets: files, folders, hf://datasets/OWNER/NAME", 0, _claims, _open)
