"""One tar file of a pack: photographs read, encoded, and written in order with where each one's bytes are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image

from edge_nima.errors import OutputError, PictureError, printable, reason
from edge_nima.label_text import VOTES
from edge_nima.pixels import Preprocessing, read_input
from edge_nima.records import partial_path, write_whole
from edge_nima_train.manifest import Manifest
from edge_nima_train.shards import LOSSLESS, splits_of

BLOCK = 512
"""Bytes of a tar file are counted in these; a header is one where names are short."""
_AHEAD = 64


@dataclass(frozen=True)
class ShardPlan:
    """A tar file to be."""

    name: str
    """Without ending."""
    rows: tuple[int, ...]
    """Of the manifest, in order."""
    how: Preprocessing
    """What makes its pictures."""
    quality: int | None
    """Of JPEG; None for lossless."""

    @property
    def tar(self) -> str:
        """The file of its records."""
        return f"{self.name}.tar"

    @property
    def places(self) -> str:
        """The file that says where its records are; there when the shard is complete."""
        return f"{self.name}.json"


def is_done(out: Path, shard: ShardPlan) -> bool:
    """Whether a shard is there, whole."""
    try:
        done = done_of(out, shard)
        return bool((out / shard.tar).stat().st_size == done["bytes"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False  # killed before it was complete, or deleted to be packed anew


def done_of(out: Path, shard: ShardPlan) -> dict[str, Any]:
    """What `write_shard` left to know of a shard: "bytes", "records" and "left_out"."""
    done: dict[str, Any] = json.loads((out / shard.places).read_text(encoding="utf-8"))
    return done


def _encode(manifest: Manifest, shard: ShardPlan, row: int) -> bytes:
    """A photograph as it is packed.

    Raises:
        PictureError: it cannot be read.
    """
    picture = Image.fromarray(read_input(manifest.photograph(row), shard.how))
    content = io.BytesIO()
    if shard.quality is None:
        picture.save(content, "WEBP", lossless=True, method=0, quality=0)
    else:
        picture.save(content, "JPEG", quality=shard.quality, subsampling=0)
    return content.getvalue()


def encoded(
    manifest: Manifest, shard: ShardPlan, rows: Sequence[int], pool: ThreadPoolExecutor
) -> Generator[tuple[int, bytes | PictureError], None, None]:
    """Photographs by row as they are packed, or why not; in order, and a few ahead, since memory is not endless."""

    def one(row: int) -> bytes | PictureError:
        try:
            return _encode(manifest, shard, row)
        except PictureError as error:
            return error

    ahead: deque[tuple[int, Future[bytes | PictureError]]] = deque()
    try:
        for row in rows:
            ahead.append((row, pool.submit(one, row)))
            if len(ahead) > _AHEAD:
                row, future = ahead.popleft()
                yield row, future.result()
        for row, future in ahead:
            yield row, future.result()
    finally:
        for _, future in ahead:
            future.cancel()


def write_shard(
    manifest: Manifest, out: Path, shard: ShardPlan, pool: ThreadPoolExecutor, step: Callable[[], None]
) -> int:
    """Write one shard, and after it where its records are; how many photographs it holds.

    Raises:
        OutputError: the disk is full, say; nothing of this shard is left.
    """
    splits = splits_of(manifest)
    records: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    beside = partial_path(out / shard.tar)
    pictures = encoded(manifest, shard, shard.rows, pool)
    try:
        with open(beside, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for row, content in pictures:
                    if isinstance(content, bytes):
                        ending = LOSSLESS if shard.quality is None else ".jpg"
                        offset = _add(tar, file, f"{row:08}{ending}", content)
                        digest = hashlib.sha256(content).hexdigest()
                        _add(tar, file, f"{row:08}.json", as_json(_label(manifest, row, splits[row])))
                        crc = zlib.crc32(content)
                        place = {"row": row, "offset": offset, "bytes": len(content), "crc32": crc, "sha256": digest}
                        records.append(place)
                    else:
                        left_out.append((printable(manifest.names[row]), str(content)))
                    step()
            file.flush()
            os.fsync(file.fileno())
            length = file.tell()
        os.replace(beside, out / shard.tar)
        write_whole(out / shard.places, as_json({"bytes": length, "records": records, "left_out": left_out}))
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write '{printable(out / shard.tar)}': {reason(error)}; the shards before it are complete, "
            "the same command goes on"
        ) from error
    finally:
        pictures.close()
    return len(records)


def _add(tar: tarfile.TarFile, file: IO[bytes], name: str, content: bytes) -> int:
    """Append a file with nothing of today or of this machine in its header; where its bytes begin."""
    offset = file.tell() + BLOCK
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
    return offset


def _label(manifest: Manifest, row: int, split: str) -> dict[str, Any]:
    """What WebDataset's readers find beside a picture."""
    labels = manifest.labels
    known: dict[str, Any] = {"mean_rating": round(float(labels.means[row]), 10)}
    if labels.votes is not None:
        known |= {column: float(count) for column, count in zip(VOTES, labels.votes[row], strict=True)}
    return {"image_id": labels.ids[row], "file": printable(labels.files[row]), "split": split, **known}


def as_json(value: Any) -> bytes:
    """A value as one line of JSON."""
    return (json.dumps(value) + "\n").encode()
