"""Shards: photographs packed once into plain tar files (WebDataset's layout), read back by row in any order.

A folder holds SPLIT-NNNNN.tar, each with SPLIT-NNNNN.json (where its records are), `index.csv` (one line a photograph:
its ratings, and where its bytes are) and `shards.json` (how it was packed; written last). Any tool reads the tar files;
this module reads one record with one `pread`, so that the order of training can be a pure function of seed and epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import Floats
from edge_nima.errors import CardError, RequestError, printable, reason
from edge_nima.label_text import TEN
from edge_nima.pixels import Preprocessing
from edge_nima_train.manifest import TRAIN, Manifest, read_manifest

FORMAT = 1
STATE, INDEX = "shards.json", "index.csv"
PLACES = ("shard", "offset", "bytes", "crc32", "sha256")
"""Columns of `index.csv` beside those of a manifest."""
SOURCE = "source_sha256"
"""One more, of the photograph's own file."""
LOSSLESS = ".webp"
"""Of pictures for validation and test. Measured beside PNG on 224 px pictures: a quarter smaller, decoded faster."""

_ANEW = "delete that file and run the same `edge-nima data pack` again: it packs that shard anew"


class Place(NamedTuple):
    """Where one encoded picture is."""

    path: str
    offset: int
    length: int
    crc32: int


def read_place(place: Place) -> bytes:
    """The encoded picture at a place, by any process.

    Raises:
        OSError: the file is not there, cut, or its bytes are not those that were packed.
    """
    with open(place.path, "rb", buffering=0) as file:
        content = os.pread(file.fileno(), place.length, place.offset)
    if len(content) != place.length:
        raise OSError(f"it ends after {len(content)} of {place.length} bytes")
    if zlib.crc32(content) != place.crc32:
        raise OSError("its bytes are not those that were packed")
    return content


@dataclass(frozen=True, eq=False)
class Shards:
    """Packed photographs, in the order of their manifest without those that could not be read."""

    folder: Path
    names: tuple[str, ...]
    """As `Manifest.names`."""
    image_ids: tuple[str, ...]
    """n ids, "" where the manifest has none."""
    split: tuple[str, ...]
    """n of "train", "val", "test" and "" (in none); all "train" where the manifest has no splits."""
    distributions: Floats
    """float64, shape (n, 10), rows summing to 1."""
    means: Floats
    """float64, shape (n,), mean ratings in 1..10."""
    inferred: bool
    """Whether only means are known, and `distributions` are those of maximum entropy."""
    weights: Floats | None
    """float64, shape (n,): how often each is to be drawn, relative to the others; None for evenly."""
    sha256: tuple[str, ...]
    """Of each record's encoded bytes."""
    source_sha256: tuple[str, ...]
    """Of each photograph's file; "" where an earlier version packed it."""
    size: int
    """Side in pixels of the pictures to train on (JPEG)."""
    preprocessing: Preprocessing
    """What made the pictures of "val" and "test" (lossless): the exact pixels, red first, that a model will see."""
    _shards: tuple[str, ...] = field(repr=False)
    _places: NDArray[np.int64] = field(repr=False)
    """Shape (n, 4): shard, offset, length, CRC-32."""

    def __len__(self) -> int:
        return len(self.means)

    def rows(self, split: str) -> NDArray[np.intp]:
        """The rows of a split, in order."""
        return np.flatnonzero(np.array(self.split, dtype=object) == split)

    def place(self, row: int) -> Place:
        """Where the encoded picture of a photograph is."""
        shard, offset, length, crc = (int(number) for number in self._places[row])
        return Place(os.path.join(self.folder, self._shards[shard]), offset, length, crc)

    def read(self, row: int) -> bytes:
        """A photograph's encoded picture, checked against its CRC-32.

        Raises:
            RequestError: the shard is not there, cut, or its bytes are not those that were packed.
        """
        try:
            return read_place(self.place(row))
        except OSError as error:
            raise self.damage(row, reason(error)) from error

    def damage(self, row: int, what: str) -> RequestError:
        """The error for a photograph that cannot be read or decoded."""
        shard = printable(self.folder / self._shards[int(self._places[row, 0])])
        return RequestError(f"shard '{shard}' is damaged at '{printable(self.names[row])}': {what}; {_ANEW}")


def open_shards(folder: str | os.PathLike[str]) -> Shards:
    """Open a folder that `pack` has finished.

    Raises:
        RequestError: it is no such folder, not finished, of a newer format, damaged, or a shard is missing or cut.
    """
    path = Path(folder)
    state = read_state(path)
    if state is None:
        raise RequestError(f"'{printable(path)}' holds no shards; make some: edge-nima data pack MANIFEST --out FOLDER")
    if not is_complete(path, state):
        raise RequestError(f"the packing of '{printable(path)}' was interrupted; the same command goes on with it")
    try:
        settings, shards = state["settings"], dict[str, int](state["shards"])
        size, preprocessing = int(settings["size"]), Preprocessing.from_json(settings["preprocessing"])
        digest = hashlib.sha256((path / INDEX).read_bytes()).hexdigest()
    except (OSError, KeyError, TypeError, ValueError, CardError) as error:
        raise RequestError(f"'{printable(path / STATE)}' is damaged: {reason(error)}; pack again") from error
    if digest != state.get("index_sha256"):
        raise RequestError(f"'{printable(path / INDEX)}' is not what was packed; delete it and pack again")
    for name, length in shards.items():
        _check_length(path / name, length)
    index = read_manifest(path / INDEX, scale=str(TEN))
    order = {name: place for place, name in enumerate(shards)}
    numbers = [index.columns[column] for column in PLACES[1:4]]
    places = np.array(
        [[order[name] for name in index.columns["shard"]], *([int(cell) for cell in column] for column in numbers)],
        np.int64,
    ).T  # fmt: skip
    return Shards(
        path, index.names, index.labels.ids, index.split, index.labels.distributions, index.labels.means,
        index.labels.inferred, index.weights, index.columns["sha256"],
        index.columns.get(SOURCE, ("",) * len(index)), size, preprocessing,
        tuple(shards), np.ascontiguousarray(places),
    )  # fmt: skip


def splits_of(manifest: Manifest) -> tuple[str, ...]:
    """The split of each row; all "train" where the manifest has none."""
    return manifest.split if any(manifest.split) else (TRAIN,) * len(manifest)


def read_state(folder: Path) -> Mapping[str, Any] | None:
    """What `shards.json` of a folder says; None when there is none.

    Raises:
        RequestError: it cannot be read, or is of a newer format.
    """
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RequestError(f"'{printable(path)}' cannot be read: {reason(error)}; pack into another folder") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        given = state.get("format") if isinstance(state, dict) else None
        raise RequestError(f"'{printable(path)}' has format {given!r}; this version reads {FORMAT}: pack again")
    return state


def is_complete(folder: Path, state: Mapping[str, Any]) -> bool:
    """Whether `pack` has finished."""
    return "index_sha256" in state and (folder / INDEX).is_file()


def _check_length(path: Path, length: int) -> None:
    try:
        there = path.stat().st_size
    except OSError as error:
        raise RequestError(f"shard '{printable(path)}' cannot be read: {reason(error)}") from error
    if there != length:
        raise RequestError(f"shard '{printable(path)}' is damaged: it has {there} bytes, {length} were packed; {_ANEW}")
