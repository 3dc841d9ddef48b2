"""Scores of any number of photographs: a folder of parquet files, in which each photograph has its place.

A photograph belongs to the partition that its name's CRC says, so each is in one file, whoever scores it, in whatever
order, how often soever. A file appears whole; scoring a partition again keeps what it holds and adds what it lacks.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self
from uuid import uuid4

from edge_nima.batch_scorer import BatchScorer
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.lock import LOCK
from edge_nima.records import write_whole
from edge_nima.storage import filesystem_of, is_uri, plain

_ABOUT = "_edge_nima.json"  # Spark, Ray and pyarrow read no file that begins with "_"


@dataclass(frozen=True)
class Partitions:
    """Where the scores of a run are: a local folder or a prefix of an object store."""

    where: str
    count: int
    """How many partitions there are."""
    model: str
    """`ModelFile.label` of the model whose scores they are."""
    model_sha256: str

    @classmethod
    def create(cls, where: str, count: int, model: str, model_sha256: str) -> Self:
        """Begin a folder of scores; whoever calls this has claimed it.

        Raises:
            OutputError: it cannot be written.
        """
        made = cls(where, count, model, model_sha256)
        about = {"edge_nima": 1, **{key: value for key, value in asdict(made).items() if key != "where"}}
        content = (json.dumps(about) + "\n").encode()
        try:
            filesystem, path = filesystem_of(where)
            if is_uri(where):
                _put(filesystem, f"{path}/{_ABOUT}", content)
            else:
                os.makedirs(path, exist_ok=True)
                write_whole(os.path.join(path, _ABOUT), content)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write '{printable(where)}': {_why(error, where)}") from error
        return made

    @classmethod
    def open(cls, where: str) -> Self | None:
        """A folder of scores that an earlier run has begun; None where there is nothing.

        Raises:
            RequestError: it holds something else, or cannot be read.
        """
        from pyarrow.fs import FileSelector

        try:
            filesystem, path = filesystem_of(where)
            there = {one.base_name for one in filesystem.get_file_info(FileSelector(path, allow_not_found=True))}
            if _ABOUT not in there:
                if there - {LOCK, f"{_ABOUT}.new"}:
                    raise RequestError(f"'{printable(where)}' holds something else than scores: give another --output")
                return None
            with filesystem.open_input_file(f"{path}/{_ABOUT}") as file:
                about = json.loads(file.read())
            return cls(where, int(about["count"]), str(about["model"]), str(about["model_sha256"]))
        except RequestError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(f"cannot read '{printable(where)}': {_why(error, where)}") from error

    def files(self) -> list[str]:
        """The paths of the partitions that there are, in their order, in the file system of `where`."""
        return self._listed(r"part-\d+-of-\d+\.parquet")

    def _listed(self, pattern: str) -> list[str]:
        from pyarrow.fs import FileSelector

        filesystem, path = filesystem_of(self.where)
        listed = filesystem.get_file_info(FileSelector(path))
        return sorted(one.path for one in listed if re.fullmatch(pattern, one.base_name))

    def path(self, index: int) -> str:
        """The path of a partition, in the file system of `where`."""
        return f"{filesystem_of(self.where)[1]}/part-{index:06d}-of-{self.count:06d}.parquet"

    def read(self, index: int) -> list[dict[str, Any]]:
        """The rows of a partition, none where it is not there.

        Raises:
            OutputError: it is damaged or cannot be read.
        """
        from pyarrow.parquet import ParquetFile

        filesystem, path = filesystem_of(self.where)[0], self.path(index)
        try:
            if not filesystem.get_file_info(path).is_file:
                return []
            with filesystem.open_input_file(path) as file:
                rows: list[dict[str, Any]] = ParquetFile(file).read().to_pylist()
            return rows
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot read '{printable(path)}': {_why(error, self.where)}") from error

    def write(self, index: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a partition; it is there in full or as it was before.

        Raises:
            OutputError: it cannot be written.
        """
        import pyarrow as pa
        from pyarrow.parquet import write_table

        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema())
        write_table(table, buffer, compression="zstd")
        filesystem, path = filesystem_of(self.where)[0], self.path(index)
        try:
            if is_uri(self.where):
                _put(filesystem, path, buffer.getvalue().to_pybytes())
            else:
                write_whole(path, buffer.getvalue().to_pybytes(), mark=f".{uuid4().hex}")
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write '{printable(path)}': {_why(error, self.where)}") from error

    def clear(self, *, all_of_it: bool) -> None:
        """Delete what killed workers left half-written; or all partitions. Files that are no partitions stay.

        Raises:
            OutputError: they cannot be deleted.
        """
        filesystem, path = filesystem_of(self.where)
        ending = r"part-\d+-of-\d+\.parquet" + (r"(\.\w+\.new)?" if all_of_it else r"\.\w+\.new")
        try:
            for file in self._listed(ending) + ([f"{path}/{_ABOUT}"] if all_of_it else []):
                filesystem.delete_file(file)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot delete '{printable(self.where)}': {_why(error, self.where)}") from error


def _put(filesystem: Any, path: str, content: bytes) -> None:
    # In one write: an object appears when its stream is closed, and a stream is closed by an error, too.
    with filesystem.open_output_stream(path) as file:
        file.write(content)


def _why(error: Exception, where: str) -> str:
    return str(plain(error)) if is_uri(where) else reason(error)


def schema() -> Any:
    """The columns of a partition: a `ScoreRecord`, its model's SHA-256, and what the photograph was."""
    import pyarrow as pa

    return pa.schema(
        [
            ("name", pa.string()),
            ("mean", pa.float64()),
            ("std", pa.float64()),
            ("distribution", pa.list_(pa.float64())),
            ("error", pa.string()),
            ("model", pa.string()),
            ("model_sha256", pa.string()),
            ("preprocessing", pa.string()),
            ("elapsed_ms", pa.float64()),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
        ]
    )


def partition_of(key: str, count: int) -> int:
    """The partition of a photograph: by the CRC-32 of its name, or of what it is to be read together with."""
    return zlib.crc32(key.encode("utf-8", "surrogateescape")) % count


def score_partition(
    partitions: Partitions, index: int, photographs: Mapping[str, tuple[int | None, int | None]], scorer: BatchScorer
) -> dict[str, int]:
    """Score what a partition lacks, and write it.

    A photograph that it holds without an error, of the same size and time, is kept as it is. Rows of photographs that
    are not asked for stay.

    Args:
        partitions: where it is.
        index: which one.
        photographs: size in bytes and modification time in nanoseconds, by name; all of them of this partition.
        scorer: opened.

    Returns:
        How many "photographs" were asked for, how many were "scored" now, and of all asked for how many "failed".

    Raises:
        OutputError: it cannot be written, or what is there cannot be read.
        RequestError: it holds scores of another model.
    """
    held = {row["name"]: row for row in partitions.read(index)}
    other = next((row["model"] for row in held.values() if row["model_sha256"] != scorer.scorer.model.sha256), None)
    if other is not None:
        raise RequestError(f"'{printable(partitions.path(index))}' holds scores of {other}: give another --output")
    todo = [name for name, stamp in photographs.items() if not _is_done(held.get(name), stamp)]
    if todo:
        scored = scorer({"path": todo})
        for row, name in enumerate(todo):
            size, mtime_ns = photographs[name]
            held[name] = {
                **{column: values[row] for column, values in scored.items() if column != "path"},
                "name": name,
                "size": size,
                "mtime_ns": mtime_ns,
            }
        partitions.write(index, list(held.values()))
    failed = sum(held[name]["error"] is not None for name in photographs)
    return {"photographs": len(photographs), "scored": len(todo), "failed": failed}


def _is_done(row: Mapping[str, Any] | None, stamp: tuple[int | None, int | None]) -> bool:
    return row is not None and row["error"] is None and (row["size"], row["mtime_ns"]) == stamp
