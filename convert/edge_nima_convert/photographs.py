"""Photographs that a conversion is given: found, kept apart, and brought to the model's input."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_nima import tar_members
from edge_nima.decode import Pixels
from edge_nima.errors import PictureError, RequestError, printable
from edge_nima.labels import Labels, few
from edge_nima.photographs import LeftOut, find_photographs
from edge_nima.pixels import Preprocessing, pixels_sha256, read_input
from edge_nima_convert.recipes import Progress
from edge_nima_train.manifest import SPLITS, TEST, TRAIN, Manifest, read_manifest

log = logging.getLogger("edge_nima_convert")

PathLike: TypeAlias = str | os.PathLike[str]
_MANIFESTS = (".csv", ".txt")
_TOLD = 5  # photographs left out that are named one by one


@dataclass(frozen=True)
class Photographs:
    """Photographs, and how those that are used are drawn from them."""

    paths: PathLike | Sequence[PathLike]
    """Files, folders, patterns; or one manifest, `FILE.csv` or `FILE.csv:SPLIT` (train, val, test), which brings its
    labels."""
    labels: PathLike | None = None
    """People's ratings: AVA.txt, a label CSV or a manifest, `FILE` or `FILE:SPLIT`; of one with splits the train split
    calibrates."""
    per_bin: int = 20
    """To calibrate: how many of each rating bin."""
    bins: int = 10
    """To calibrate: equally wide rating bins over 1..10."""
    count: int = 2000
    """To judge: how many."""
    seed: int = 0
    """Of the draw."""
    scale: str | None = None
    """Of the mean ratings, LOW..HIGH such as "1..5", where they do not say it."""


Given: TypeAlias = Photographs | PathLike | Sequence[PathLike]


@dataclass(frozen=True)
class Pool:
    """Photographs that were found and not read yet."""

    paths: tuple[Path, ...]
    labels: Labels | None
    on: str
    """Which they are, in words."""
    drawn: Photographs
    """How they are drawn."""


def find_pools(calibration: Given | None, evaluate: Given | None) -> tuple[Pool | None, Pool | None]:
    """Find the photographs that calibrate and those that judge: no file is in both.

    Raises:
        RequestError: as `find_pool`, or a few photographs are given for both.
    """
    calibrates = None if calibration is None else find_pool(calibration, TRAIN)
    judges = None if evaluate is None else find_pool(evaluate, TEST)
    return _keep_apart(calibrates, judges) if calibrates and judges else (calibrates, judges)


def find_pool(given: Given, split: str) -> Pool:
    """Find photographs; of a manifest with splits those of `split`, where no other is named.

    Raises:
        RequestError: a path does not exist, a folder or split holds no photograph, ratings cannot be read.
    """
    drawn = given if isinstance(given, Photographs) else Photographs(given)
    paths = [drawn.paths] if isinstance(drawn.paths, str | os.PathLike) else list(drawn.paths)
    for path in paths:
        manifest, named = _manifest(path)
        if manifest is not None:
            if len(paths) > 1 or drawn.labels is not None:
                raise RequestError(f"'{printable(path)}' is a manifest: give it alone, with its own ratings")
            return _of_manifest(*_read(manifest, named, split, drawn.scale), drawn)
    # The last two parts: enough to know a data set by, nothing of whose machine it is on.
    on = ", ".join(printable("/".join(Path(path).absolute().parts[-2:])) for path in paths)
    left_out = LeftOut()
    found = find_photographs(paths, left_out=left_out)
    if left_out.told():
        log.info(left_out.told())
    if drawn.labels is None:
        return Pool(tuple(found), None, on, drawn)
    manifest, named = _manifest(drawn.labels)
    # Whatever does not calibrate may judge; but what is kept for tests must not calibrate.
    rated, chosen, named = _read(manifest or Path(drawn.labels), named, split if split == TRAIN else "", drawn.scale)
    other = {row for row, of in enumerate(rated.split) if named and of != named}
    kept = tuple(path for path in found if rated.labels.find(path) not in other)
    if not kept:
        raise RequestError(f"none of the {len(found)} photographs is of the split {named} of '{chosen.labels.name}'")
    return Pool(kept, chosen.labels, f"{on}, split {named}" if named else on, drawn)


def _manifest(path: PathLike) -> tuple[Path | None, str]:
    """The manifest and the split that a path names."""
    text = os.fspath(path)
    head, _, named = text.rpartition(":")
    for file, split in ((text, ""), (head, named)):
        if file.lower().endswith(_MANIFESTS) and Path(file).is_file():
            return Path(file), split
    return None, ""


def _read(path: Path, named: str, split: str, scale: str | None) -> tuple[Manifest, Manifest, str]:
    """A manifest, its rows of a split, the one that is named or else `split`, and which that is; "" for all rows."""
    manifest, shown = read_manifest(path, scale=scale), printable(path.name)
    if named and named not in SPLITS:
        raise RequestError(f"'{printable(named)}' is no split of '{shown}'; possible: {', '.join(SPLITS)}")
    if not named and split and any(manifest.split):
        named = split
        log.info(f"taking the {named} split of '{shown}'; '{shown}:SPLIT' names another")
    return manifest, manifest.only(manifest.rows(named)) if named else manifest, named


def _of_manifest(manifest: Manifest, chosen: Manifest, named: str, drawn: Photographs) -> Pool:
    shown = printable(chosen.labels.name)
    paths = [chosen.photograph(row) for row in range(len(chosen))]
    there = tuple(photograph for photograph in paths if tar_members.is_file(photograph))
    if not there:
        held = ", ".join(f"{name} {len(manifest.rows(name))}" for name in SPLITS)
        raise RequestError(
            f"none of the {len(paths)} photographs of '{shown}' is where it says (splits: {held}); "
            f"for another folder give that, and '{shown}' as its labels"
        )
    if len(there) < len(paths):
        gone = [printable(one) for one in sorted(set(paths) - set(there))]
        log.warning(f"left out: {len(gone)} photographs of '{shown}' that are not there: {few(gone)}")
    return Pool(there, chosen.labels, f"the {named} split of {shown}" if named else shown, drawn)


def _keep_apart(calibration: Pool, evaluation: Pool) -> tuple[Pool, Pool]:
    """The same with no file in both: it judges; where no other calibrates, a hash of its name decides."""
    real = {path: os.path.realpath(path) for path in (*calibration.paths, *evaluation.paths)}
    shared = {real[path] for path in calibration.paths} & {real[path] for path in evaluation.paths}
    if not shared:
        return calibration, evaluation
    if all(real[path] in shared for path in calibration.paths):
        calibrates = {path for path in shared if hashlib.sha256(os.fsencode(os.path.basename(path))).digest()[0] % 2}
        told = f"{len(calibrates)} calibrate and {len(shared) - len(calibrates)} judge, by a hash of their names"
    else:
        calibrates = set()
        told = "they judge and do not calibrate"
    log.warning(f"{len(shared)} photographs were given to calibrate and to judge: {told}")
    ours = tuple(path for path in calibration.paths if real[path] not in shared or real[path] in calibrates)
    theirs = tuple(path for path in evaluation.paths if real[path] not in calibrates)
    if not (ours and theirs):
        raise RequestError("the same few photographs cannot calibrate and judge: give others to judge")
    return replace(calibration, paths=ours), replace(evaluation, paths=theirs)


@dataclass(frozen=True)
class Inputs:
    """Photographs brought to a model's size."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    """Of each one's pixels, see `pixels_sha256`."""
    unreadable: Mapping[Path, str]
    """Those left out, and why."""


def load_inputs(
    photographs: Sequence[Path], how: Preprocessing, progress: Progress = lambda *_: None, stage: str = "reading"
) -> Inputs:
    """Decode and resize photographs as the card says; those that cannot be read are left out, and that is logged."""
    pixels, paths, unreadable = [], [], {}
    for done, path in enumerate(photographs, 1):
        try:
            pixels.append(read_input(path, how))
            paths.append(path)
        except PictureError as error:
            unreadable[path] = str(error)
            if len(unreadable) <= _TOLD:
                log.warning(f"left out: {printable(path)}: {error}")
        progress(stage, done, len(photographs), "")
    if len(unreadable) > _TOLD:
        log.warning(f"left out: {len(unreadable) - _TOLD} more that cannot be read")
    stacked = np.stack(pixels) if pixels else np.zeros((0, how.height, how.width, 3), np.uint8)
    return Inputs(stacked, tuple(paths), tuple(map(pixels_sha256, stacked)), unreadable)
