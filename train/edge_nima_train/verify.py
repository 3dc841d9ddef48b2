"""Every row of a label file held against every file of a folder: what can be used, and what is wrong with the rest."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from edge_nima.ava import Labels
from edge_nima.distribution import mean_rating
from edge_nima.errors import RequestError, printable
from edge_nima.in_order import in_order
from edge_nima.label_text import VOTES
from edge_nima.names import Names
from edge_nima.photographs import find_photographs
from edge_nima.records import FileStamp
from edge_nima_train.anomalies import Rules, find_anomalies
from edge_nima_train.faults import COPY, EXTRA, MISSING, UNREADABLE, Fault
from edge_nima_train.manifest import Manifest
from edge_nima_train.verify_files import Inspection, inspect
from edge_nima_train.verify_log import InspectionLog
from edge_nima_train.verify_rows import Rated, RatedRows, read_rows

Tell = Callable[[str, int, int, str], None]
"""Called with what is being done, how much of it is done, of how much, and a note."""


@dataclass(frozen=True)
class Verification:
    """What was found."""

    rows: int
    """Of the label file."""
    files: int
    """Photographs beneath the folder."""
    kept_from_before: int
    """Of them, how many an interrupted run had checked."""
    manifest: Manifest
    """What has nothing wrong with it; perhaps no row at all."""
    faults: tuple[Fault, ...]
    """Of rows in the order of their lines, then of photographs in the order of their rows, then of extra files."""
    rules: Rules
    """By which the manifest's column `flags` was filled."""


def verify(
    labels: Path, images: Path, *, log: Path | None = None, jobs: int = 1, tell: Tell | None = None
) -> Verification:
    """Check every row and every file. Nothing that is wrong with one of them stops it.

    Args:
        labels: AVA.txt, a label CSV or a manifest.
        images: the folder that holds the photographs, in folders of their own perhaps.
        log: where to keep what was found, so that a run that was interrupted goes on: `verify_log.InspectionLog`. Left
            there; None keeps it in memory only.
        jobs: files at once.
        tell: told how far it is.

    Raises:
        RequestError: there is no such file or folder, the folder holds no photograph, or no row can be used.
        OutputError: the log cannot be written.
    """
    if not images.is_dir():
        raise RequestError(f"no such folder of photographs: '{printable(images)}'")
    table = read_rows(labels)
    there = find_photographs([images])
    pairs, faults = _join(table.rows, there, images)
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(InspectionLog(log, images)) if log is not None else None
        found, known = _inspect_all(pairs, images, kept, jobs, tell or (lambda *_: None))
    good: list[tuple[Rated, str, Inspection]] = []
    first_with: dict[str, str] = {}
    for (row, path), one in zip(pairs, found, strict=True):
        name = _beneath(images, path)
        shown = printable(name)
        if one.fault is not None:
            faults.append(Fault(one.fault, one.why, row.line, shown))
        elif one.sha256 in first_with:
            faults.append(Fault(COPY, f"the same bytes as '{first_with[one.sha256]}', which is kept", row.line, shown))
        elif not _can_be_written(name):
            faults.append(Fault(UNREADABLE, "its name cannot be written in a manifest: rename it", row.line, shown))
        else:
            first_with[one.sha256] = shown
            good.append((row, name, one))
    # Faults of files have been found in passes; a file that no row names comes last.
    faults.sort(key=lambda fault: (fault.line is None, fault.line or 0))
    flags, rules = find_anomalies([name for _, name, _ in good], [one for _, _, one in good])
    manifest = _manifest(table, images, good, flags)
    return Verification(table.total, len(there), known, manifest, (*table.faults, *faults), rules)


def _join(rows: Sequence[Rated], there: Sequence[Path], images: Path) -> tuple[list[tuple[Rated, Path]], list[Fault]]:
    """Each row's photograph: where the row says that it is, else the one file that its name or id fits."""
    free = {Names.key(_beneath(images, path)): path for path in there}
    paths: dict[int, Path] = {}
    for number, row in enumerate(rows):
        said = row.file or f"{row.image_id}.jpg"
        path = free.pop(Names.key(said, written=True), None)
        if path is None and os.path.isfile(images / said):  # with an ending that is no photograph's, or outside
            path = images / said
        if path is not None:
            paths[number] = path
    lost = [number for number in range(len(rows)) if number not in paths]
    names = Names([rows[number].file for number in lost], [rows[number].image_id for number in lost])
    faults = []
    for key, path in free.items():
        try:
            place = names.find(key)
            why = "no row names it"
        except RequestError as error:
            place, why = None, str(error)
        if place is not None and lost[place] not in paths:
            paths[lost[place]] = path
        elif path.is_dir():  # listed in place of what is in it
            faults.append(Fault(UNREADABLE, "a folder that cannot be read", None, printable(_beneath(images, path))))
        else:
            faults.append(Fault(EXTRA, why, None, printable(_beneath(images, path))))
    for number in lost:
        if number not in paths:
            row = rows[number]
            faults.append(Fault(MISSING, "no such file", row.line, printable(row.file or f"{row.image_id}.jpg")))
    return [(rows[number], paths[number]) for number in sorted(paths)], faults


def _inspect_all(
    pairs: Sequence[tuple[Rated, Path]], images: Path, log: InspectionLog | None, jobs: int, tell: Tell
) -> tuple[list[Inspection], int]:
    """What each file holds, and how many of them the log knew."""
    found: dict[Path, Inspection] = {}
    todo: list[tuple[Path, FileStamp]] = []
    for _, path in pairs:
        stamp = FileStamp.of(path)  # before it is read: one that changes meanwhile is read again next time
        one = log.get(_beneath(images, path), stamp) if log is not None else None
        if one is None:
            todo.append((path, stamp))
        else:
            found[path] = one
    started = monotonic()
    with contextlib.closing(in_order(inspect, (path for path, _ in todo), jobs)) as results:
        for done, ((path, stamp), one) in enumerate(zip(todo, results, strict=True), 1):
            if log is not None and one.fault != UNREADABLE:  # a change of permission leaves no stamp
                log.put(_beneath(images, path), stamp, one)
            found[path] = one
            tell("photographs", done, len(todo), f"{done / max(monotonic() - started, 1e-9):.0f}/s")
    return [found[path] for _, path in pairs], len(pairs) - len(todo)


def _manifest(
    table: RatedRows, images: Path, good: Sequence[tuple[Rated, str, Inspection]], flags: Sequence[str]
) -> Manifest:
    rows = [row for row, _, _ in good]
    ratings = np.array([row.ratings for row in rows], np.float64)
    votes = ratings if len(table.rows[0].ratings) == len(VOTES) and len(rows) else None
    means = ratings[:, 0] if votes is None and len(rows) else mean_rating(votes) if votes is not None else ratings
    labels = Labels(
        table.name, table.sha256, tuple(row.image_id for row in rows), tuple(name for _, name, _ in good), means, votes
    )
    columns = {name: tuple(row.columns[name] for row in rows) for name in table.rows[0].columns}
    columns |= {
        "bytes": tuple(str(one.size) for _, _, one in good),
        "width": tuple(str(one.width) for _, _, one in good),
        "height": tuple(str(one.height) for _, _, one in good),
        "aspect": tuple(f"{one.width / one.height:.4f}" for _, _, one in good),
        "sha256": tuple(one.sha256 for _, _, one in good),
        "flags": tuple(flags),
    }
    weights = [row.weight for row in rows if row.weight is not None]
    return Manifest(
        labels, images, tuple(row.split for row in rows), np.array(weights) if weights else None, columns
    )  # fmt: skip


def _beneath(images: Path, path: Path) -> str:
    """A path as it is called beneath the folder of photographs."""
    try:
        return path.relative_to(images).as_posix()
    except ValueError:
        return os.path.relpath(path, images)


def _can_be_written(name: str) -> bool:
    """Whether a manifest that says `name` will find the file again."""
    return name == name.strip() and Names.key(name, written=True) == unicodedata.normalize("NFC", name)
