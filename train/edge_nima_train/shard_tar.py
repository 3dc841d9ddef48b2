"""One tar file of a pack: photographs read, encoded, and written in order with where each one's bytes are."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from PIL import Image

from edge_nima.errors import OutputError, PictureError, printable, reason
from edge_nima.fetch import sha256_of
from edge_nima.in_order import in_order
from edge_nima.label_text import TEN, VOTES
from edge_nima.pixels import Preprocessing, read_input
from edge_nima.records import partial_path, write_whole
from edge_nima_train.inspection import signature
from edge_nima_train.manifest import Manifest
from edge_nima_train.shards import LOSSLESS, SOURCE, splits_of

BLOCK = 512
"""Bytes of a tar file are counted in these; a header is one where names are short."""
_KEY = re.compile(r"[\w-]{1,80}", re.ASCII)
"""Names in a tar file that every reader takes."""


@dataclass(frozen=True)
class ShardPlan:
    """A tar file to be."""

    name: str
    """Without ending."""
    rows: tuple[int, ...]
    """Of the manifest, in order."""
    how: Preprocessing | None
    """What makes its pictures; None where they are kept as they are."""
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


def members_of(out: Path, shard: ShardPlan) -> dict[int, str]:
    """By row, the path of its photograph beneath `out`, through the tar file."""
    ending = LOSSLESS if shard.quality is None else ".jpg"
    records = done_of(out, shard)["records"]
    return {one["row"]: f"{shard.tar}/" + one.get("member", f"{one['row']:08}{ending}") for one in records}


@dataclass(frozen=True)
class _Encoded:
    """A photograph as it is packed, or why it is not."""

    row: int
    content: bytes
    ending: str
    source: str
    """SHA-256 of the photograph itself."""
    error: Exception | None = None


def _encode(row: int, picture: Path | bytes, shard: ShardPlan) -> _Encoded:
    content = io.BytesIO()
    try:
        image = None if shard.how is None else Image.fromarray(read_input(picture, shard.how))
        source = hashlib.sha256(picture).hexdigest() if isinstance(picture, bytes) else sha256_of(picture)
    except (OSError, PictureError) as error:
        return _Encoded(row, b"", "", "", error)
    if image is None:
        assert isinstance(picture, bytes)
        kind = signature(picture)
        if kind is None:
            return _Encoded(row, b"", "", "", PictureError("not a picture" if picture else "empty: 0 bytes"))
        return _Encoded(row, picture, ".jpg" if kind == "JPEG" else f".{kind.lower()}", source)
    if shard.quality is None:
        image.save(content, "WEBP", lossless=True, method=0, quality=0)
    else:
        image.save(content, "JPEG", quality=shard.quality, subsampling=0)
    return _Encoded(row, content.getvalue(), LOSSLESS if shard.quality is None else ".jpg", source)


def encoded(
    pictures: Iterable[tuple[int, Path | bytes]], shards: Mapping[int, ShardPlan], jobs: int
) -> Generator[_Encoded, None, None]:
    """Photographs as they are packed, in the order of `pictures`, a few ahead; `shards` says by row which it is for."""
    return in_order(lambda of: _encode(*of, shards[of[0]]), pictures, jobs)


def write_shards(
    manifest: Manifest,
    out: Path,
    shards: Sequence[ShardPlan],
    pictures: Iterable[tuple[int, Path | bytes]],
    jobs: int,
    step: Callable[[], None],
) -> int:
    """Write shards, and after each where its records are; how many photographs they hold.

    Args:
        manifest: what is packed.
        out: the folder.
        shards: those to write.
        pictures: every row of theirs once, those of one shard in order. As many shards are written at once as it mixes.
        jobs: photographs encoded at once.
        step: called once for each.

    Raises:
        OutputError: the disk is full, say; nothing of a shard that is not complete is left.
    """
    of_row = {row: shard for shard in shards for row in shard.rows}
    missing = {shard.name: len(shard.rows) for shard in shards}
    splits, open_ones, count = splits_of(manifest), dict[str, _Writing](), 0
    with contextlib.closing(encoded(pictures, of_row, jobs)) as made, contextlib.ExitStack() as stack:
        for one in made:
            shard = of_row[one.row]
            if shard.name not in open_ones:
                open_ones[shard.name] = stack.enter_context(_Writing(out, shard))
            if one.error is None:
                open_ones[shard.name].add(one, manifest, splits[one.row])
                count += 1
            else:
                open_ones[shard.name].left_out.append((manifest.names[one.row], reason(one.error)))
            missing[shard.name] -= 1
            if not missing[shard.name]:
                open_ones.pop(shard.name).finish()
            step()
    return count


class _Writing:
    """A shard as it is written; left before it is finished, nothing of it stays."""

    def __init__(self, out: Path, shard: ShardPlan) -> None:
        self._out, self._shard = out, shard
        self._records: list[dict[str, Any]] = []
        self.left_out: list[tuple[str, str]] = []
        self._beside = partial_path(out / shard.tar)
        with self._told():
            self._file = open(self._beside, "w+b")  # noqa: SIM115
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, one: _Encoded, manifest: Manifest, split: str) -> None:
        """Append a photograph and its label."""
        key, image_id = f"{one.row:08}", manifest.labels.ids[one.row]
        if self._shard.how is None and _KEY.fullmatch(image_id):
            key = image_id  # by which records of other machines know it too
        with self._told():
            offset = _add(self._tar, self._file, f"{key}{one.ending}", one.content)
            _add(self._tar, self._file, f"{key}.json", as_json(_label(manifest, one.row, split)))
        record = {"row": one.row, "offset": offset, "bytes": len(one.content), "crc32": zlib.crc32(one.content),
                  "sha256": hashlib.sha256(one.content).hexdigest(), SOURCE: one.source}  # fmt: skip
        if self._shard.how is None:
            record["member"] = f"{key}{one.ending}"
        self._records.append(record)

    def finish(self) -> None:
        """Give the shard its name, and say beside it where its records are."""
        with self._told():
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            length = self._file.tell()
            os.replace(self._beside, self._out / self._shard.tar)
            told = {"bytes": length, "records": self._records, "left_out": self.left_out}
            write_whole(self._out / self._shard.places, as_json(told))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._beside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot write '{printable(self._out / self._shard.tar)}': {reason(error)}; shards that are complete "
                "stay, the same command goes on"
            ) from error


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
    if labels.votes is None:
        known["scale"] = str(TEN)
    else:
        known |= {column: float(count) for column, count in zip(VOTES, labels.votes[row], strict=True)}
    return {"image_id": labels.ids[row], "file": labels.files[row], "split": split, **known}


def as_json(value: Any) -> bytes:
    """A value as one line of JSON."""
    return (json.dumps(value) + "\n").encode()
