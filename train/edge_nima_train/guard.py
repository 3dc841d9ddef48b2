"""Before an evaluation: photographs that the network has seen are refused or left out, and doubts are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_nima.ava import few
from edge_nima.errors import RequestError, printable
from edge_nima_train.checkpoint import DONE, Checkpoint
from edge_nima_train.leakage import Leaks, Photograph, find_leaks
from edge_nima_train.manifest import Manifest

OF_RECORDS = "it cannot be known what the model of these records was trained on"
_OVERLAP = (
    "idealo's training file overlaps AVA's official test list: only 1,945 of its 20,000 photographs are in idealo's "
    "own test file"
)
_HASHES = ("sha256", "source_sha256")
"""Columns of a manifest that hold the hash of a photograph's content."""


@dataclass(frozen=True)
class Guarded:
    """Photographs that may judge."""

    manifest: Manifest
    left_out: Mapping[str, tuple[str, ...]]
    """Photographs that may not, by the reason, in words that follow their number."""
    warnings: tuple[str, ...]


def guard(trained: Checkpoint, manifest: Manifest, *, drop: bool = False) -> Guarded:
    """Check that a network has not seen the photographs that are to judge it.

    Args:
        trained: the network, and the photographs that its run recorded.
        manifest: those that are to judge.
        drop: leave out what it was trained on, do not refuse.

    Raises:
        RequestError: it was trained on some and `drop` is False, or on all.
    """
    if trained.trained_on is None:
        where = "there is no photographs.csv beside it"
        return Guarded(
            manifest,
            {},
            (f"it cannot be known what {trained.name} was trained on: {_OVERLAP if trained.known else where}",),
        )
    leaks = leaks_of(manifest, trained.trained_on)
    running = trained.run is not None and not (trained.run / DONE).is_file()
    unfinished = (
        (f"the training of {trained.name} is not finished: these are its best weights so far",) if running else ()
    )
    names = [printable(name) for name in manifest.names]
    if leaks.trained and not drop:
        raise RequestError(
            f"{len(leaks.trained)} of {len(manifest)} photographs are among those that {trained.name} was trained on, "
            f"such as {few([names[row] for row in leaks.trained])}: --drop-trained leaves them out"
        )
    warnings = unfinished + tuple(
        f"{len(rows)} of {len(manifest)} photographs {told}, such as {few([names[row] for row in rows])}"
        for rows, told in (
            (leaks.validated, "chose this run's best epoch, and flatter it"),
            (leaks.namesakes, "have the file name of one it was trained on and another id: taken as other photographs"),
        )
        if rows
    )
    if not leaks.trained:
        return Guarded(manifest, {}, warnings)
    gone = frozenset(leaks.trained)
    kept = [row for row in range(len(manifest)) if row not in gone]
    if not kept:
        raise RequestError(f"{trained.name} was trained on all {len(manifest)} photographs: none is left to judge by")
    return Guarded(
        manifest.only(kept), {"that it was trained on": tuple(names[row] for row in leaks.trained)}, warnings
    )


def leaks_of(manifest: Manifest, seen: Sequence[Photograph]) -> Leaks:
    """Which photographs of a manifest a run has seen, see `leakage`; content is compared where the manifest has it."""
    empty = ("",) * len(manifest)
    columns = [manifest.columns.get(name, empty) for name in _HASHES]
    asked = [
        Photograph(image_id, file, frozenset(cell for cell in cells if cell))
        for image_id, file, *cells in zip(manifest.labels.ids, manifest.labels.files, *columns, strict=True)
    ]
    return find_leaks(asked, seen)
