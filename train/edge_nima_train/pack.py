"""Photographs into shards, once, so that an epoch decodes small pictures and not the originals."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edge_nima import tar_members
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.lock import LOCK, claimed
from edge_nima.pixels import Preprocessing
from edge_nima.records import write_whole
from edge_nima.scorer import available_cores
from edge_nima_train.manifest import SPLITS, TEST, VALIDATION, Manifest, as_csv
from edge_nima_train.shard_tar import BLOCK, ShardPlan, as_json, done_of, encoded, is_done, members_of, write_shards
from edge_nima_train.shards import FORMAT, INDEX, PLACES, SOURCE, STATE, is_complete, read_state, splits_of

PREPROCESSING = Preprocessing(filter="bilinear", antialias=True)
"""What training wants unless told otherwise: the filter whose scores change least with the photograph's size."""

Pictures: TypeAlias = Callable[[Sequence[int]], Iterator[tuple[int, Path | bytes]]]
"""Called with rows in order; each of them with its photograph, in that order. b"" is one that is not there."""
_SAMPLE = 16
_ROOM = 1.1  # how much more disk than the sample says
NONE = "none"
"""In the names of shards of photographs in no split."""


@dataclass(frozen=True)
class PackReport:
    """What `pack` did."""

    folder: Path
    photographs: Mapping[str, int]
    """How many are packed, by split."""
    packed: int
    """How many of them by this run; the others were there."""
    bytes: int
    """Of all shards."""
    left_out: tuple[tuple[str, str], ...]
    """Name and reason of each photograph that cannot be read."""
    members: Mapping[int, str]
    """By row of the manifest, the path of its packed photograph in the folder, through a tar file."""


def pack(
    manifest: Manifest,
    out: Path,
    *,
    size: int = 256,
    preprocessing: Preprocessing = PREPROCESSING,
    quality: int = 95,
    per_shard: int = 1000,
    jobs: int | None = None,
    overwrite: bool = False,
    step: Callable[[], None] = lambda: None,
    pictures: Pictures | None = None,
) -> PackReport:
    """Pack photographs. Stopped at any moment, the same call goes on, and ends with the same bytes.

    Photographs of "train" and of no split become JPEG (4:4:4), stretched or cropped to `size` x `size` with the filter
    of `preprocessing`; those of "val" and "test" become the exact pixels of a model's input, lossless. Those that
    cannot be read are left out. A folder that was packed of other photographs or settings is refused.

    Args:
        manifest: what to pack.
        out: the folder.
        size: side of the pictures to train on, in pixels, at least the model's.
        preprocessing: how the model wants its pixels; its input is square.
        quality: of JPEG, 1..100.
        per_shard: photographs in one tar file.
        jobs: photographs at once; None for the processor's cores.
        overwrite: start anew in a folder of other shards.
        step: called once for every photograph of the manifest.
        pictures: reads photographs that are no files; several shards are then written at once.

    Raises:
        RequestError: settings that are impossible or not those of the folder, no photograph can be read, or another
            run is packing there.
        OutputError: the folder cannot be written, or its disk is too small or full.
    """
    _check(size, preprocessing, quality, per_shard, jobs)
    if pictures is None:
        _check_there(manifest)
    settings = {
        "size": size, "preprocessing": preprocessing.to_json(), "quality": quality, "per_shard": per_shard,
        "photographs": len(manifest), "content": _content(manifest),
    }  # fmt: skip
    shards = _plan(manifest, size, preprocessing, quality, per_shard)
    with claimed(out, "packing"):
        state = _start(out, settings, overwrite)
        waiting, cores = [shard for shard in shards if not is_done(out, shard)], jobs or available_cores()
        for shard in shards:
            for _ in shard.rows if shard not in waiting else ():
                step()
        rows = [row for shard in waiting for row in shard.rows]
        if pictures is None and waiting:
            _check_room(manifest, out, waiting, cores)
        given = ((row, manifest.photograph(row)) for row in rows) if pictures is None else pictures(sorted(rows))
        packed = write_shards(manifest, out, waiting, given, cores, step)
        if waiting or not is_complete(out, state):
            _finish(manifest, out, settings, shards)
    return _report(manifest, out, shards, packed)


def _report(manifest: Manifest, out: Path, shards: Sequence[ShardPlan], packed: int) -> PackReport:
    done = [done_of(out, shard) for shard in shards]
    splits = splits_of(manifest)
    return PackReport(
        out,
        Counter(splits[record["row"]] for one in done for record in one["records"]),
        packed,
        sum(one["bytes"] for one in done),
        tuple((name, why) for one in done for name, why in one["left_out"]),
        {row: member for shard in shards for row, member in members_of(out, shard).items()},
    )


def _check(size: int, preprocessing: Preprocessing, quality: int, per_shard: int, jobs: int | None) -> None:
    side = preprocessing.width
    if preprocessing.height != side:
        raise RequestError(f"a model's input of {side}x{preprocessing.height}; possible to pack for: square ones")
    if not side <= size <= 4096:
        raise RequestError(f"--size {size}; possible: {side}, the model's input, to 4096")
    if not 1 <= quality <= 100:
        raise RequestError(f"--quality {quality}; possible: 1 to 100")
    if per_shard < 1:
        raise RequestError(f"{per_shard} photographs in a shard; possible: 1 or more")
    if jobs is not None and jobs < 1:
        raise RequestError(f"--jobs {jobs}; possible: 1 or more")


def _check_there(manifest: Manifest) -> None:
    if not any(tar_members.is_file(manifest.photograph(row)) for row in range(len(manifest))):
        raise RequestError(
            f"none of the {len(manifest)} photographs is there (such as '{printable(manifest.photograph(0))}'): "
            "say where they are with --images FOLDER"
        )


def _content(manifest: Manifest) -> str:
    """SHA-256 of what the shards hold of a manifest: names, ratings, splits and weights."""
    own = replace(manifest, columns={})
    return hashlib.sha256(as_csv(own, manifest.names).encode("utf-8", "surrogateescape")).hexdigest()


def _plan(manifest: Manifest, size: int, exact: Preprocessing, quality: int, per_shard: int) -> list[ShardPlan]:
    """Which rows go into which shard; the same for the same arguments."""
    exact = replace(exact, channel_order="RGB")  # encoded pictures are red first, whatever a model wants
    splits, shards = np.array(splits_of(manifest), dtype=object), []
    for split in (*SPLITS, ""):
        rows = np.flatnonzero(splits == split).tolist()
        lossless = split in (VALIDATION, TEST)
        how = exact if lossless else replace(exact, width=size, height=size)
        for number, start in enumerate(range(0, len(rows), per_shard)):
            name = f"{split or NONE}-{number:05}"
            shards.append(ShardPlan(name, tuple(rows[start : start + per_shard]), how, None if lossless else quality))
    return shards


def _start(out: Path, settings: Mapping[str, Any], overwrite: bool) -> Mapping[str, Any]:
    """Say in the folder what is being packed, or check that it is the same; what is known of it."""
    try:
        state = None if overwrite and clear(out) else read_state(out)
        if state is None:
            ours = {LOCK, f"{STATE}.new"}  # the second is of a run that was killed as it began
            foreign = next((path for path in out.iterdir() if path.name not in ours), None)
            if foreign is not None:
                raise RequestError(
                    f"'{printable(out)}' holds something else, such as '{printable(foreign.name)}'; give an empty "
                    "folder, or one that does not exist"
                )
            state = {"format": FORMAT, "settings": settings}
            write_whole(out / STATE, as_json(state))
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write '{printable(out)}': {reason(error)}") from error
    told = _differences(settings, state.get("settings", {}))
    if told:
        raise RequestError(
            f"'{printable(out)}' was packed otherwise: {told}; --overwrite starts anew, or give another --out"
        )
    return state


def clear(out: Path) -> bool:
    """Take away what `pack` wrote and nothing else; last the file by which the folder is known as a pack."""
    if read_state(out) is None:
        return False
    (out / INDEX).unlink(missing_ok=True)
    for split in (*SPLITS, NONE):
        for path in out.glob(f"{split}-[0-9][0-9][0-9][0-9][0-9].*"):
            path.unlink()
    (out / STATE).unlink()
    return True


def _differences(given: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """What of the settings is another, for a person; "" where nothing is."""
    pairs = {key: (there.get(key), value) for key, value in given.items() if key not in ("preprocessing", "content")}
    was, now = there.get("preprocessing", {}), given["preprocessing"]
    pairs |= {key: (was.get(key), now.get(key)) for key in was | now}
    told = ", ".join(f"{key} {old} and not {new}" for key, (old, new) in pairs.items() if old != new)
    if not told and given["content"] != there.get("content"):
        told = "from a manifest of other names, ratings, splits or weights"
    return printable(told)


def _check_room(manifest: Manifest, out: Path, waiting: Sequence[ShardPlan], jobs: int) -> None:
    """Refuse to begin where a sample says that the disk is too small."""
    needed = 0.0
    for lossless in (False, True):
        shards = [shard for shard in waiting if (shard.quality is None) == lossless]
        rows = [row for shard in shards for row in shard.rows]
        if not rows:
            continue
        some = rows[:: max(1, len(rows) // _SAMPLE)]
        sample = encoded(((row, manifest.photograph(row)) for row in some), dict.fromkeys(some, shards[0]), jobs)
        sizes = [len(one.content) for one in sample if one.error is None]
        needed += len(rows) * (float(np.mean(sizes)) + 3 * BLOCK if sizes else 0) * _ROOM
    free = shutil.disk_usage(out).free
    if needed > free:
        raise OutputError(
            f"'{printable(out)}' has room for {free / 1e9:.3g} GB and the shards need about {needed / 1e9:.3g} GB: "
            "make room, or give another --out"
        )


def _finish(manifest: Manifest, out: Path, settings: Mapping[str, Any], shards: Sequence[ShardPlan]) -> None:
    """Write the index of all records, and that the folder is complete."""
    done = [(shard, done_of(out, shard)) for shard in shards]
    placed = sorted((r["row"], shard.tar, r) for shard, one in done for r in one["records"])
    if not placed:
        left_out = [line for _, one in done for line in one["left_out"]]
        raise RequestError(
            f"none of the {len(left_out)} photographs can be read, such as '{left_out[0][0]}': {left_out[0][1]}"
        )
    kept = manifest.only([row for row, _, _ in placed])
    splits = splits_of(manifest)
    columns = {"shard": tuple(tar for _, tar, _ in placed)}
    # Shards that an earlier version began lack the hash of the photograph itself, by which the leakage guard knows it.
    columns |= {
        column: tuple(str(record.get(column, "")) for _, _, record in placed) for column in (*PLACES[1:], SOURCE)
    }
    kept = replace(kept, split=tuple(splits[row] for row, _, _ in placed), columns=columns)
    content = as_csv(kept, kept.labels.files).encode("utf-8", "surrogateescape")
    state = {
        "format": FORMAT, "settings": settings, "shards": {shard.tar: one["bytes"] for shard, one in done},
        "left_out": [line for _, one in done for line in one["left_out"]],
        "index_sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    try:
        write_whole(out / INDEX, content)
        write_whole(out / STATE, as_json(state))
    except OSError as error:
        raise OutputError(
            f"cannot write '{printable(out / INDEX)}': {reason(error)}; the shards are complete, the same command "
            "goes on"
        ) from error
