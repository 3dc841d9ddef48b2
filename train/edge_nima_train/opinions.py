"""Score records brought together with a manifest's ratings, and what is left over on either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable
from edge_nima.joining import Opinions
from edge_nima_train.manifest import SPLITS, TEST, Manifest
from edge_nima_train.predict import record_name

ALL = "all"


@dataclass(frozen=True)
class Joined:
    """Photographs with both: what people say and what a model does."""

    manifest: Manifest
    """Of those alone, n of them."""
    predicted: Floats
    """float64, shape (n, 10)."""
    left_out: Mapping[str, tuple[str, ...]]
    """Photographs without, by the reason, in words that follow their number."""


def of_split(manifest: Manifest, split: str | None) -> tuple[Manifest, str]:
    """The photographs of a split, and its name.

    Args:
        manifest: all photographs.
        split: "train", "val", "test" or "all"; None for "test", and for "all" where the manifest has no splits.

    Raises:
        RequestError: no such split, or no photograph in it.
    """
    if split is None:
        split = TEST if any(manifest.split) else ALL
    if split == ALL:
        return manifest, ALL
    if split not in SPLITS:
        raise RequestError(f"no split is called '{printable(split)}'; possible: {', '.join(SPLITS)}, {ALL}")
    rows = manifest.rows(split)
    if not len(rows):
        there = [f"{name} with {len(manifest.rows(name)):,}" for name in SPLITS if len(manifest.rows(name))]
        raise RequestError(
            f"'{printable(manifest.labels.name)}' has no photographs in split '{split}'; it has "
            f"{', '.join(there) or 'no splits: edge-nima data split makes some'} (--split {ALL} takes every one)"
        )
    return manifest.only(rows), split


def join(manifest: Manifest, opinions: Opinions) -> Joined:
    """Bring records together with the photographs of a manifest: by path, by file name, or by id, as labels do.

    Args:
        manifest: those that are to judge, with their ratings.
        opinions: one model's records; those of other photographs are set aside.

    Raises:
        RequestError: none of the photographs has a score, or two records are of the same one.
    """
    names = [record_name(manifest.photograph(row)) for row in range(len(manifest))]
    by_row = _by_row(manifest, names, list(opinions.records))
    rows: list[int] = []
    predicted: list[Sequence[float]] = []
    missing, unscored = [], []
    for row, name in enumerate(manifest.names):
        record = None if row not in by_row else opinions.records[by_row[row]][0]
        if record is None:
            missing.append(name)
        elif record.distribution is None:
            unscored.append(f"{name}: {record.error}")
        else:
            rows.append(row)
            predicted.append(record.distribution)
    if not rows:
        first = unscored[0] if unscored else f"'{missing[0]}' has no record in {opinions.source}"
        raise RequestError(f"none of the {len(manifest)} photographs of {manifest.labels.name} has a score: {first}")
    used = set(by_row.values())
    others = tuple(name for name in opinions.records if name not in used)
    left_out = {
        "of the split without a record": tuple(missing),
        "that could not be scored": tuple(unscored),
        "with a record, outside the split": others,
    }
    return Joined(
        manifest.only(rows), np.array(predicted, np.float64),
        {why: found for why, found in left_out.items() if found},
    )  # fmt: skip


def _by_row(manifest: Manifest, names: Sequence[str], given: Sequence[str]) -> dict[int, str]:
    """Which record is of which row."""
    place = {name: row for row, name in enumerate(names)}
    found: dict[int, str] = {}
    for name in given:
        row = place.get(name)
        row = manifest.labels.find(name) if row is None else row
        if row is None:
            continue
        if row in found:
            both = f"records '{found[row]}' and '{name}' are both of '{manifest.names[row]}'"
            raise RequestError(f"{both}: score each photograph once")
        found[row] = name
    return found
