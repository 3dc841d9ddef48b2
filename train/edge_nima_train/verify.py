"""Every row of a label file held against every file of a folder: a manifest of what can be used, a report of the rest.

What the report counts adds up: rows = good + faults with a line; photographs = good + faults of files that are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from edge_nima import tar_members
from edge_nima.distribution import mean_rating
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.in_order import in_order
from edge_nima.label_text import TWICE, VOTES
from edge_nima.labels import Labels
from edge_nima.names import Names, name_of, real_path
from edge_nima.photographs import find_photographs
from edge_nima.records import FileStamp, write_whole
from edge_nima_train.inspection import (
    COPY,
    EXTRA,
    FILE_FAULTS,
    MISSING,
    ROW_FAULTS,
    UNREADABLE,
    Fault,
    Inspection,
    InspectionLog,
    Rules,
    find_anomalies,
    inspect,
)  # fmt: skip
from edge_nima_train.manifest import Manifest, scale_column, write_manifest
from edge_nima_train.verify_rows import Rated, RatedRows, read_rows

FORMAT = "edge-nima verification"
FORMAT_VERSION = 1

Tell = Callable[[str, int, int, str], None]
"""Called with what is being done, how much of it is done, of how much, and a note."""


@dataclass(frozen=True)
class Verification:
    """What was found."""

    rows: int
    """Of the label file."""
    files: int
    """Photographs beneath the folder, and those elsewhere that rows name."""
    kept_from_before: int
    """Of them, how many an interrupted run had checked."""
    manifest: Manifest
    """What has nothing wrong with it; perhaps no row at all."""
    faults: tuple[Fault, ...]
    """Of rows in the order of their lines, then of photographs in the order of their rows, then of extra files."""
    rules: Rules
    """By which the manifest's column `flags` was filled."""


def verify(
    labels: Path,
    images: Path,
    *,
    scale: str | None = None,
    log: Path | None = None,
    jobs: int = 1,
    tell: Tell | None = None,
) -> Verification:
    """Check every row and every file. Nothing that is wrong with one of them stops it.

    Args:
        labels: AVA.txt, a label CSV or a manifest.
        images: the folder that holds the photographs, in folders of their own perhaps, or in tar files that rows name.
        scale: of mean ratings, as of `edge_nima.labels.read_labels`.
        log: where what was found is kept (`InspectionLog`), so that an interrupted run goes on; None for nowhere.
        jobs: files at once.
        tell: told how far it is.

    Raises:
        RequestError: there is no such file or folder, the folder holds no photograph, or no row can be used.
        OutputError: the log cannot be written.
    """
    if not images.is_dir():
        raise RequestError(f"no such folder of photographs: '{printable(images)}'")
    table = read_rows(labels, scale)
    there = _find(images, table.rows)
    pairs, faults = _join(table.rows, there, images)
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(InspectionLog(log, images)) if log is not None else None
        found, known = _inspect_all(pairs, images, kept, jobs, tell or (lambda *_: None))
    good: list[tuple[Rated, str, Inspection]] = []
    first_with: dict[str, str] = {}
    for (row, path), one in zip(pairs, found, strict=True):
        name = _beneath(images, path)
        if one.fault is not None:
            faults.append(Fault(one.fault, one.why, row.line, name))
        elif one.sha256 in first_with:
            told = f"the same bytes as '{printable(first_with[one.sha256])}', which is kept"
            faults.append(Fault(COPY, told, row.line, name))
        elif "\\" in name:
            faults.append(Fault(UNREADABLE, "in a manifest a backslash is a folder: rename it", row.line, name))
        else:
            first_with[one.sha256] = name
            good.append((row, name, one))
    # Faults of files have been found in passes; a file that no row names comes last.
    faults.sort(key=lambda fault: (fault.line is None, fault.line or 0))
    flags, rules = find_anomalies([name for _, name, _ in good], [one for _, _, one in good])
    manifest = _manifest(table, images, good, flags)
    files = len({*there, *(path for _, path in pairs)})
    return Verification(table.total, files, known, manifest, (*table.faults, *faults), rules)


def _find(images: Path, rows: Sequence[Rated]) -> list[Path]:
    """The photographs beneath the folder, and in the tar files that rows reach through."""
    said = dict.fromkeys(row.file[: at + 4] for row in rows if (at := row.file.find(".tar/")) > 0)
    inside = find_photographs([images / tar for tar in said if (images / tar).is_file()])
    try:
        return [*find_photographs([images]), *inside]
    except RequestError:
        if not any(tar_members.is_file(images / row.file) for row in rows if row.file):
            raise
        return inside


def _join(rows: Sequence[Rated], there: Sequence[Path], images: Path) -> tuple[list[tuple[Rated, Path]], list[Fault]]:
    """Each row's photograph: where the row says that it is, else the one file that its name or id fits."""
    named = defaultdict[str, list[Path]](list)
    for path in there:
        named[Names.key(_beneath(images, path))].append(path)
    real = cache(lambda: {real_path(path): path for path in there})  # few label files name paths in full
    rows_of: dict[Path, int] = {}
    faults, lost = [], []
    for number, row in enumerate(rows):
        said = _said(row)
        alike = sorted(named.get(Names.key(said, written=True), ()), key=lambda path: _beneath(images, path) != said)
        found = next((path for path in alike if path not in rows_of), alike[0] if alike else None)
        if found is None and tar_members.is_file(images / said):
            # In full, through a link, outside the folder, or with an ending that is no photograph's.
            where = real_path(images / said)
            found = real().get(where, Path(where))
        if found is None:
            lost.append(number)
        elif found in rows_of:
            told = f"'{printable(_beneath(images, found))}' is that of line {rows[rows_of[found]].line} too"
            faults.append(Fault(TWICE, told, row.line, said))
        else:
            rows_of[found] = number
    names = Names([rows[number].file for number in lost], [rows[number].image_id for number in lost])
    taken = set[int]()
    for path in there:
        if path in rows_of:
            continue
        name, place, why = _beneath(images, path), None, "no row names it"
        try:
            place = names.find(name)
        except RequestError as error:
            why = str(error)
        if place is not None and place not in taken:
            taken.add(place)
            rows_of[path] = lost[place]
        elif path.is_dir():  # listed in place of what is in it
            faults.append(Fault(UNREADABLE, "a folder that cannot be read", None, name))
        else:
            faults.append(Fault(EXTRA, why, None, name))
    for place, number in enumerate(lost):
        if place not in taken:
            said = _said(rows[number])
            why = "; its name is not UTF-8: is the label file?" if re.search("[\udc80-\udcff]", said) else ""
            faults.append(Fault(MISSING, f"no such file{why}", rows[number].line, said))
    return [(rows[number], path) for path, number in sorted(rows_of.items(), key=lambda item: item[1])], faults


def _said(row: Rated) -> str:
    return row.file or f"{row.image_id}.jpg"


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
    rows, found = [row for row, _, _ in good], [one for _, _, one in good]
    ratings = np.array([row.ratings for row in rows], np.float64)
    votes = ratings if len(table.rows[0].ratings) == len(VOTES) and len(rows) else None
    means = ratings[:, 0] if votes is None and len(rows) else mean_rating(votes) if votes is not None else ratings
    labels = Labels(
        table.name, table.sha256, tuple(row.image_id for row in rows), tuple(name for _, name, _ in good), means, votes,
        table.scale,
    )  # fmt: skip
    columns = {name: tuple(row.columns[name] for row in rows) for name in table.rows[0].columns}
    columns |= scale_column(labels, columns)
    columns |= {
        "bytes": tuple(str(one.size) for one in found),
        "width": tuple(str(one.width) for one in found),
        "height": tuple(str(one.height) for one in found),
        "aspect": tuple(f"{one.width / one.height:.4f}" for one in found),
        "sha256": tuple(one.sha256 for one in found),
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
        return name_of(os.path.relpath(real_path(path), os.path.realpath(images)))


def as_document(verification: Verification) -> dict[str, Any]:
    """A verification as what JSON holds. It says nothing of the time or the machine: two runs write the same."""
    v = verification
    count = Counter(fault.kind for fault in v.faults)
    flagged = [(name, told) for name, told in zip(v.manifest.names, v.manifest.columns["flags"], strict=True) if told]
    flags = Counter(flag for _, told in flagged for flag in told.split())
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "labels": {"name": v.manifest.labels.name, "sha256": v.manifest.labels.sha256, "rows": v.rows},
        "images": {"folder": name_of(v.manifest.images), "photographs": v.files},
        "good": len(v.manifest),
        "bytes": sum(map(int, v.manifest.columns["bytes"])),
        "faults": {
            kind: {"what": what, "count": count[kind]} for kind, what in (ROW_FAULTS | FILE_FAULTS).items()
        },
        "faulty": [asdict(fault) for fault in v.faults],
        "anomalies": {flag: {"rule": rule, "count": flags[flag]} for flag, rule in v.rules.told().items()},
        "flagged": [{"file": name, "flags": told.split()} for name, told in flagged],
    }  # fmt: skip


def write_verification(verification: Verification, manifest: Path, report: Path) -> None:
    """Write the report, then the manifest; each appears whole, and replaces what is there.

    Raises:
        RequestError: nothing is good; the report is written.
        OutputError: one cannot be written.
    """
    content = json.dumps(as_document(verification), indent=1, allow_nan=False) + "\n"
    try:
        write_whole(report, content.encode())
    except OSError as error:
        raise OutputError(f"cannot write '{printable(report)}': {reason(error)}") from error
    if not len(verification.manifest):
        first = next(fault for fault in verification.faults if fault.kind in FILE_FAULTS)
        raise RequestError(
            f"none of {verification.rows:,} rows has a photograph that can be used: '{first.file}': {first.what}; "
            f"'{printable(report)}' names them all, there is no manifest"
        )
    write_manifest(manifest, verification.manifest)
