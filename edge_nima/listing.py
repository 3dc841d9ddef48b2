"""What paths, URIs and manifests name, photograph by photograph: any number of them, never all in memory here."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from edge_nima.errors import PackageMissing, RequestError, printable, reason
from edge_nima.names import name_of
from edge_nima.photographs import LeftOut, find_photographs, is_skipped, looks_like_one
from edge_nima.records import FileStamp
from edge_nima.storage import StoredPath, is_object, is_row, is_stored, is_uri, list_objects, open_parquet, open_stored

COLUMNS = ("uri", "url", "path", "file", "filename", "file_name", "filepath", "image", "name", "photograph")
"""Of manifests: the first of these holds the photographs when no column is named, else the only one that can."""

MANIFESTS = (".parquet", ".csv")


class Listed(NamedTuple):
    """A photograph that was named: not opened, perhaps not there."""

    name: str
    """A path, a URI, or the name of a row: `edge_nima.storage`."""
    size: int | None = None
    """Bytes, where the listing says so."""
    mtime_ns: int | None = None
    """Modification time, nanoseconds since 1970."""
    near: str | None = None
    """What to read it together with: the row group it is in; None for itself."""


def needs_listing(paths: Iterable[str]) -> bool:
    """Whether any path is more than files and folders of this machine."""
    return any(is_stored(path) or _is_manifest(path) for path in paths)


def find_all(
    paths: Sequence[str], *, column: str | None = None, exclude: Sequence[str] = (), left_out: LeftOut | None = None
) -> list[Path | StoredPath]:
    """The photographs that paths name, each once; arguments and errors are those of `list_photographs`."""
    if not needs_listing(paths):
        return [*find_photographs(paths, exclude=exclude, left_out=left_out)]
    found: dict[str, Path | StoredPath] = {}
    for one in list_photographs(paths, column=column, exclude=exclude, left_out=left_out):
        if one.name not in found:
            stored = one.near is not None or is_uri(one.name)
            found[one.name] = StoredPath(one.name, one.size, one.mtime_ns) if stored else Path(one.name)
    if not found:
        raise RequestError(f"no photographs in {', '.join(printable(path) for path in paths)}")
    return list(found.values())


def list_photographs(
    paths: Sequence[str], *, column: str | None = None, exclude: Sequence[str] = (), left_out: LeftOut | None = None
) -> Iterator[Listed]:
    """The photographs that paths name, in their order; one that is named twice comes twice.

    Args:
        paths: what `find_photographs` takes; URIs of objects, of prefixes, patterns of URIs; and manifests: CSV or
            parquet files, local or in a store, with a column of paths or URIs (relative ones are beneath the manifest's
            folder), or parquet files with the pictures in a column, binary or a struct with a field "bytes".
        column: of manifests; None for the first of COLUMNS that it has.
        exclude: as of `find_photographs`.
        left_out: is told what is left out.

    Raises:
        RequestError: a path does not exist, a store cannot be listed, a manifest has no such column.
        PackageMissing: what reads such a store is not installed.
    """
    left = LeftOut() if left_out is None else left_out
    for path in paths:
        path = path.removeprefix("file://")
        if is_row(path):
            yield Listed(path, near=path)
        elif is_uri(path):
            yield from _list_uri(path, column, exclude, left)
        elif _is_manifest(path):
            yield from _list_manifest(path, column)
        else:
            for photograph in find_photographs([path], exclude=exclude, left_out=left):
                stamp = FileStamp.of(photograph)
                yield Listed(name_of(photograph), stamp.size, stamp.mtime_ns)


def _is_manifest(path: str) -> bool:
    return path.lower().endswith(MANIFESTS) and not os.path.isdir(path)


def _list_uri(uri: str, column: str | None, exclude: Sequence[str], left: LeftOut) -> Iterator[Listed]:
    if has_magic(uri):
        yield from _list_pattern(uri, column, exclude, left)
    elif _is_manifest(uri):
        yield from _list_manifest(uri, column)
    elif looks_like_one(uri):
        yield Listed(uri)
    else:
        yield from _list_prefix(uri, exclude, left)


def _list_prefix(uri: str, exclude: Sequence[str], left: LeftOut) -> Iterator[Listed]:
    prefix = uri if uri.endswith("/") else f"{uri}/"
    found = manifests = 0
    for name, size, mtime_ns in list_objects(prefix):
        beneath = name[len(prefix) :]
        if not beneath or beneath.endswith("/"):
            continue  # what some tools put for a folder
        manifests += beneath.endswith(".parquet")
        if _is_wanted(beneath, exclude, left):
            found += 1
            yield Listed(name, size, mtime_ns)
    if found:
        return
    if uri != prefix and is_object(uri):
        yield Listed(uri)
        return
    hint = f"; for pictures in parquet files give a pattern: '{printable(prefix)}*.parquet'" if manifests else ""
    raise RequestError(f"no photographs in '{printable(uri)}': {left.told() or 'there is nothing beneath it'}{hint}")


def _list_pattern(pattern: str, column: str | None, exclude: Sequence[str], left: LeftOut) -> Iterator[Listed]:
    """`*` and `?` stay within a folder, `**` reaches into folders."""
    literal = pattern[: re.search(r"[*?[]", pattern).start()]  # type: ignore[union-attr]
    prefix = literal[: literal.rindex("/") + 1]
    if prefix.count("/") < 3:
        raise RequestError(f"'{printable(pattern)}': a pattern begins behind the bucket, as in 's3://bucket/*.jpg'")
    matches = re.compile(_translated(pattern), re.DOTALL).fullmatch
    open_ending = has_magic(PurePosixPath(pattern).suffix or "*")
    found = 0
    for name, size, mtime_ns in list_objects(prefix):
        if not matches(name):
            continue
        if _is_manifest(name):
            yield from _list_manifest(name, column)
        elif not open_ending or _is_wanted(name[len(prefix) :], exclude, left):
            yield Listed(name, size, mtime_ns)
        else:
            continue
        found += 1
    if not found:
        told = f": {left.told()}" if left.told() else ""
        raise RequestError(f"the pattern '{printable(pattern)}' matches no photograph{told}")


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        meant.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part)) for part in parts
    )


def _is_wanted(beneath: str, exclude: Sequence[str], left: LeftOut) -> bool:
    """Whether a key, as it lies beneath what was given, is a photograph; as `find_photographs` decides of files."""
    *folders, name = beneath.split("/")
    if any(
        fnmatchcase(beneath, pattern) or any(fnmatchcase(part, pattern) for part in (*folders, name))
        for pattern in (one.rstrip("/") for one in exclude)
    ):
        left.kinds["by --exclude"] += 1
        return False
    skipped = next(filter(is_skipped, folders), None)
    if skipped is not None:
        left.kinds[f"in {skipped}"] += 1
        return False
    if name.startswith(".") or not looks_like_one(name):
        left.file(name)
        return False
    return True


def _list_manifest(path: str, column: str | None) -> Iterator[Listed]:
    if not is_uri(path) and not os.path.exists(path):
        raise RequestError(f"no such file or folder: '{printable(path)}'")
    try:
        rows = _csv_rows(path, column) if path.lower().endswith(".csv") else _parquet_rows(path, column)
        yield from rows
    except (RequestError, PackageMissing):
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error


def _csv_rows(path: str, column: str | None) -> Iterator[Listed]:
    file = open_stored(path) if is_uri(path) else open(path, "rb")  # noqa: SIM115
    with file, io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        rows = csv.reader(text)
        header = next(rows, [])
        at = header.index(_chosen(path, dict.fromkeys(header, "text"), column, header))
        for row in rows:
            if len(row) > at and row[at]:
                yield Listed(_beneath(path, row[at]))


def _parquet_rows(path: str, column: str | None) -> Iterator[Listed]:
    import pyarrow as pa

    file = open_parquet(path)
    schema = file.schema_arrow
    kinds = {field.name: _kind(field.type) for field in schema}
    possible = [name for name, kind in kinds.items() if kind in ("text", "pictures")]
    pictures = [name for name, kind in kinds.items() if kind == "pictures"]
    chosen = _chosen(path, {field.name: str(field.type) for field in schema}, column, pictures or possible)
    if kinds[chosen] == "pictures":
        rows = count()
        for group in range(file.metadata.num_row_groups):
            for row in islice(rows, file.metadata.row_group(group).num_rows):
                yield Listed(f"{path}/{chosen}/{row}", near=f"{path}/{chosen}#{group}")
    elif kinds[chosen] == "text":
        for batch in file.iter_batches(columns=[chosen]):
            for value in batch.column(0).cast(pa.string()).to_pylist():
                if value:
                    yield Listed(_beneath(path, value))
    else:
        raise RequestError(
            f"column '{chosen}' of '{printable(path)}' is {schema.field(chosen).type}; possible: string (paths or "
            f"URIs), binary, or struct with a binary field 'bytes'{_others(possible)}"
        )


def _kind(of: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(of):
        of = of.value_type
    if types.is_string(of) or types.is_large_string(of):
        return "text"
    if types.is_binary(of) or types.is_large_binary(of):
        return "pictures"
    if types.is_struct(of) and of.get_field_index("bytes") >= 0 and _kind(of.field("bytes").type) == "pictures":
        return "pictures"
    return "other"


def _chosen(path: str, there: dict[str, str], column: str | None, possible: list[str]) -> str:
    """The column of a manifest: the one that was asked for, the first that is called so, or the only one."""
    if column is not None:
        if column not in there:
            raise RequestError(f"'{printable(path)}' has no column '{column}'; it has {_listed(there)}")
        return column
    known = [name for name in COLUMNS if name in possible]
    if known or len(possible) == 1:
        return (known or possible)[0]
    raise RequestError(
        f"'{printable(path)}' has no column that is called like a photograph's; it has {_listed(there)}: --column NAME"
    )


def _listed(columns: Iterable[str], most: int = 12) -> str:
    names = list(columns)
    shown = ", ".join(f"'{printable(name)}'" for name in names[:most]) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _others(possible: list[str]) -> str:
    return f"; of these it has {_listed(possible)}" if possible else ""


def _beneath(manifest: str, name: str) -> str:
    """A name in a manifest: relative ones are beneath its folder."""
    if is_uri(name) or name.startswith("/"):
        return name
    folder = manifest.rpartition("/")[0] if is_uri(manifest) else os.path.dirname(manifest)
    return f"{folder}/{name}" if folder else name
