"""Which photographs train, which validate, which are kept for the test: by a list and by a hash, never by order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from edge_nima.distribution import Floats
from edge_nima.errors import RequestError, printable
from edge_nima.labels import few
from edge_nima_train.manifest import SPLITS, TEST, TRAIN, VALIDATION, Manifest

SALT = "edge_nima"
DUPLICATES = "sha256"
"""The column in which `data verify` writes the hash of each file: equal ones are the same photograph."""
_GAP, _STEP, _LEAST, _FEWEST = 10.0, 5.0, 0.05, 20


@dataclass(frozen=True)
class Splitting:
    """A manifest with splits, and what there is to know of them."""

    manifest: Manifest
    counts: Mapping[str, int]
    """How many are in "train", "val", "test" and "" (in none)."""
    unused: tuple[str, ...]
    """Why photographs, or ids of the test list, are in none: a line each."""
    notes: tuple[str, ...]
    """What a reader of results should know, a line each."""


def split(
    manifest: Manifest,
    *,
    test: Collection[str] = (),
    validation: float = 0.1,
    salt: str = SALT,
    group_by: str | None = None,
    keep: bool = False,
) -> Splitting:
    """Put the photographs of a list into "test", a share of the others into "val" and the rest into "train".

    A photograph is in "val" when the first eight bytes of sha256(salt + id), as a share of all such numbers, lie below
    `validation`: the same in every order, with more or fewer photographs beside it, and it stays there in a larger
    share. With `group_by` the hash is of that column's cell (of the id where it is empty), so that all of a group are
    on one side; of a group that has photographs in "test", the others are in none.

    Args:
        manifest: the photographs.
        test: ids, without leading zeros; those of AVA's official list, say.
        validation: share of the photographs outside the test, 0 or more and below 1.
        salt: another one, another choice.
        group_by: a column of the manifest.
        keep: leave in "test" what is there already.

    Raises:
        RequestError: an impossible share, no such column, none of the test's ids is in the manifest, or nothing is
            left to train on.
    """
    if not 0 <= validation < 1:
        raise RequestError(f"--validation {validation}; possible: 0 to below 1, such as 0.1")
    keys = ids_of(manifest)
    listed = set(test)
    numbers = [without_zeros(key) for key in keys]
    in_test = np.array([number in listed for number in numbers])
    if listed and not in_test.any():
        raise RequestError(
            f"none of the {len(listed):,} test ids (such as '{printable(next(iter(test)))}') is among the "
            f"{len(keys):,} photographs of the manifest (such as '{printable(keys[0])}')"
        )
    there = set(numbers)
    absent = [key for key in test if key not in there]
    if keep:
        in_test |= np.array(manifest.split, dtype=object) == TEST
    groups = _groups(manifest, group_by, keys)
    of_test = {group for group, tested in zip(groups, in_test, strict=True) if tested}
    chosen = [
        TEST if tested else "" if group in of_test else VALIDATION if place(salt, group) < validation else TRAIN
        for group, tested in zip(groups, in_test, strict=True)
    ]
    counts = Counter(chosen)
    if not counts[TRAIN]:
        told = ", ".join(f"{counts[name]:,} {name}" for name in SPLITS)
        raise RequestError(f"nothing is left to train on ({told}); possible: a smaller --validation or --test")
    done = replace(manifest, split=tuple(chosen))
    return Splitting(
        done, counts, tuple(_unused(absent, len(listed), counts[""], group_by)),
        tuple(_notes(done, counts, validation, group_by)),
    )  # fmt: skip


def place(salt: str, key: str) -> float:
    """Where a key lies in 0..1, by a hash: evenly spread, and for ever the same."""
    digest = hashlib.sha256(f"{salt}{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def ids_of(manifest: Manifest) -> list[str]:
    """The id of each photograph; its file name without ending where there is none."""
    labels = manifest.labels
    return [name or PurePosixPath(file).stem for name, file in zip(labels.ids, labels.files, strict=True)]


def without_zeros(key: str) -> str:
    """An id as `read_id_list` gives it: a whole number has no leading zeros."""
    return str(int(key)) if key.isascii() and key.isdecimal() else key


def gap_of_means(means: Floats) -> tuple[float, float] | None:
    """A gap in the middle of mean ratings that chance does not explain, or None.

    It is the widest step between neighbouring means from the first to the third quartile, and is told when it is ten
    times as wide as evenly spread means would have it, range * ln(m) / m of m means; five times the median step, since
    ratings in steps of a tenth have theirs; and 0.05 rating points, since sums of votes leave small ones.

    Args:
        means: shape (n,).

    Returns:
        The means on both sides.
    """
    if len(means) < _FEWEST:
        return None
    low, high = np.quantile(means, [0.25, 0.75], method="nearest")
    middle = np.sort(means[(means >= low) & (means <= high)])
    steps = np.diff(middle)
    if not (steps > 0).any():
        return None
    widest, m = int(steps.argmax()), len(middle)
    by_chance = (high - low) * np.log(m) / m
    if steps[widest] <= max(_LEAST, _GAP * by_chance, _STEP * float(np.median(steps[steps > 0]))):
        return None
    return float(middle[widest]), float(middle[widest + 1])


def _groups(manifest: Manifest, column: str | None, keys: list[str]) -> list[str]:
    if column is None:
        return keys
    cells = manifest.columns.get(column.lower())
    if cells is None:
        possible = ", ".join(manifest.columns) or "none, it has no such columns"
        raise RequestError(f"no column '{printable(column)}' to group by; possible: {printable(possible)}")
    # Apart from ids: the theme "7" is not the photograph "7".
    return [f"{column.lower()}\n{cell}" if cell else key for cell, key in zip(cells, keys, strict=True)]


def _unused(absent: list[str], listed: int, in_none: int, column: str | None) -> list[str]:
    lines = []
    if absent:
        lines.append(
            f"{len(absent):,} of the {listed:,} test ids are not in the manifest: {few([*map(printable, absent)])}"
        )
    if in_none:
        lines.append(f"{in_none:,} photographs share their {printable(column or '')} with the test: in none")
    return lines


def _notes(manifest: Manifest, counts: Mapping[str, int], validation: float, group_by: str | None) -> list[str]:
    lines = []
    if not counts[TEST]:
        lines.append("no test photographs: nothing is kept back that the choice of a model has not seen")
    if validation and not counts[VALIDATION]:
        lines.append(f"no photograph fell into the {100 * validation:g} % of validation: too few, or too few groups")
    if manifest.labels.inferred:
        lines.append("only mean ratings are known: histograms are those of maximum entropy with these means")
    for name in SPLITS:
        gap = gap_of_means(manifest.labels.means[manifest.rows(name)])
        if gap is not None:
            lines.append(
                f"{name} has no mean rating between {gap[0]:.4g} and {gap[1]:.4g}, in the middle of its range, where "
                "chance would not leave such a gap: its photographs were chosen, and results differ from other splits"
            )
    torn = _torn(manifest) if group_by is None else 0
    if torn:
        lines.append(
            f"{torn:,} photographs have the same bytes as one of another split: --group-by {DUPLICATES} keeps copies "
            "together"
        )
    return lines


def _torn(manifest: Manifest) -> int:
    """How many photographs have copies in another split."""
    found: dict[str, set[str]] = {}
    digests = manifest.columns.get(DUPLICATES, ())
    for digest, name in zip(digests, manifest.split, strict=False):
        found.setdefault(digest, set()).add(name)
    return sum(1 for digest in digests if digest and len(found[digest]) > 1)
