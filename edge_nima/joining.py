"""Which records speak of the same photograph: names differ from machine to machine, photographs do not."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from edge_nima.distribution import BINS, Floats, as_distribution, mean_rating
from edge_nima.errors import RequestError, printable
from edge_nima.labels import Labels
from edge_nima.records import FileStamp, ScoreRecord, read_records

_ROUNDED = 0.05
"""Rating points by which a record's mean may differ from that of its histogram: what rounding to three digits does."""
_PLACES = (", NCHW", " inside the graph", " by the caller")


@dataclass(frozen=True)
class Opinions:
    """One file of score records, checked."""

    source: str
    """The file's name."""
    model: str
    preprocessing: str | None
    """None where no record says it."""
    unsaid: int
    """Records that do not say their preprocessing."""
    records: Mapping[str, tuple[ScoreRecord, FileStamp]]
    """By name, in the file's order."""


@dataclass(frozen=True)
class Unscored:
    """A photograph that one side could not score."""

    name: str
    """As the reference calls it."""
    side: str
    """"reference" or "candidate"."""
    error: str


@dataclass(frozen=True)
class Join:
    """How the records of two files were brought together, and what was left over."""

    rule: str
    """"path" or "id"."""
    told: str
    """The rule in words."""
    missing: tuple[str, ...] = ()
    """Photographs of the reference that the candidate lacks."""
    extra: tuple[str, ...] = ()
    """Photographs of the candidate that the reference lacks."""
    unscored: tuple[Unscored, ...] = ()
    """Photographs that both have, at least one of them without a score."""
    other_size: tuple[str, ...] = ()
    """Photographs whose files are not of the same size in bytes: perhaps not the same pictures."""


def read_opinions(path: str | os.PathLike[str]) -> Opinions:
    """Read records that one model made, JSON Lines or, where the name ends so, CSV.

    Raises:
        RequestError: the file cannot be read, holds something else, nothing, a name twice, two models' scores, scores
            of two preprocessings, or a score without a histogram that fits it.
    """
    shown = f"'{printable(path)}'"
    items = read_records(path, "csv" if Path(path).suffix.lower() == ".csv" else "jsonl")
    if not items:
        raise RequestError(f"{shown} holds no score records")
    records = {record.name: (record, stamp) for record, stamp in items}
    if len(records) < len(items):
        name, times = Counter(record.name for record, _ in items).most_common(1)[0]
        raise RequestError(f"{shown} holds {times} records of '{printable(name)}'; each photograph may come once")
    models = sorted({record.model for record, _ in items})
    if len(models) > 1:
        raise RequestError(f"{shown} holds scores of {len(models)} models: {_listed(models)}; compare one at a time")
    hows = sorted({record.preprocessing for record, _ in items if record.preprocessing is not None})
    if len({same_pixels(how) for how in hows}) > 1:
        raise RequestError(f"{shown} holds scores of {len(hows)} preprocessings: {_listed(hows)}")
    for record, _ in items:
        _check(record, shown)
    unsaid = sum(record.preprocessing is None for record, _ in items)
    return Opinions(Path(path).name, models[0], hows[0] if hows else None, unsaid, records)


def same_pixels(described: str) -> str:
    """A preprocessing without where its scaling is done and how its axes lie: the network sees the same."""
    for place in _PLACES:
        described = described.removesuffix(place)
    return described


def _listed(texts: Sequence[str]) -> str:
    shown = " and ".join(f"'{printable(text)}'" for text in texts[:2])
    return shown + (f" and {len(texts) - 2} more" if len(texts) > 2 else "")


def _check(record: ScoreRecord, shown: str) -> None:
    if record.error is not None:
        return
    if record.distribution is None or record.mean is None:
        raise RequestError(
            f"{shown} has no distribution of '{record.name}': make it with edge-nima score --format jsonl"
        )
    try:
        mean = float(mean_rating(as_distribution(record.distribution)))
    except ValueError as error:
        raise RequestError(f"{shown}, record of '{record.name}': {error}") from error
    if not abs(mean - record.mean) <= _ROUNDED:
        raise RequestError(
            f"{shown}, record of '{record.name}': its mean is {record.mean:.4g}, that of its distribution is {mean:.4g}"
        )


def join_names(reference: Sequence[str], candidate: Sequence[str]) -> tuple[list[tuple[str, str]], str, str]:
    """Pair the names of two machines: by path, whatever the folders that all names of a side begin with; else by id.

    Args:
        reference: names, each once.
        candidate: names, each once.

    Returns:
        Pairs in the reference's order, empty when nothing fits; the rule, "path" or "id"; the rule in words.
    """
    ours, theirs = {name: _parts(name) for name in reference}, {name: _parts(name) for name in candidate}
    our_keys, their_keys = _without_folders(ours), _without_folders(theirs)
    joined, _, i, j = max(
        (len(our_keys[i] & their_keys[j]), -i - j, i, j) for i in range(len(our_keys)) for j in range(len(their_keys))
    )
    if joined:
        told = [
            f"without the {side}'s '{printable('/'.join(next(iter(names.values()))[:count]) or '/')}'"
            for side, names, count in (("reference", ours, i), ("candidate", theirs, j))
            if count
        ]
        pairs = _pair(reference, candidate, lambda name: ours[name][i:], lambda name: theirs[name][j:])
        return pairs, "path", f"by path{' ' + ' and '.join(told) if told else ''}"
    told_id = "by id (file name without folder and ending), where it is unique"
    return _pair(reference, candidate, photograph_id, photograph_id), "id", told_id


def photograph_id(name: str) -> str:
    """A photograph's file name without folder and ending, as AVA's image ids are."""
    return PurePosixPath(unicodedata.normalize("NFC", name)).stem


def _parts(name: str) -> tuple[str, ...]:
    # macOS may decompose what others compose: "ü" is one character there and two here.
    return tuple(part for part in unicodedata.normalize("NFC", name).split("/") if part != ".")


def _without_folders(names: Mapping[str, tuple[str, ...]]) -> list[set[tuple[str, ...]]]:
    """The names whole, without the first folder that all share, without the first two, and so on."""
    folders = [parts[:-1] for parts in names.values()]
    first, last = min(folders), max(folders)  # what these two share, all between them do
    shared = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return [{parts[count:] for parts in names.values()} for count in range(shared + 1)]


def _pair(
    reference: Sequence[str],
    candidate: Sequence[str],
    ours: Callable[[str], Hashable],
    theirs: Callable[[str], Hashable],
) -> list[tuple[str, str]]:
    """Pairs whose keys are equal; a key that a side has twice pairs nothing."""
    seen = Counter(map(ours, reference))
    times = Counter(map(theirs, candidate))
    by_key = {theirs(name): name for name in candidate}
    return [
        (name, by_key[ours(name)]) for name in reference if seen[ours(name)] == 1 and times[ours(name)] == 1
    ]  # fmt: skip


def join_opinions(reference: Opinions, candidate: Opinions) -> tuple[list[str], Floats, Floats, Join]:
    """Bring two files together.

    Returns:
        The reference's names of the photographs that both scored, the two sides' distributions, shape (n, 10), and
        the `Join`.

    Raises:
        RequestError: they have no photograph in common, none that both scored, or other preprocessings.
    """
    sides = (reference, candidate)
    hows = [side.preprocessing for side in sides]
    if hows[0] is not None and hows[1] is not None and same_pixels(hows[0]) != same_pixels(hows[1]):
        told = ", ".join(f"'{side.preprocessing}' in {side.source}" for side in sides)
        raise RequestError(f"the records were made with different preprocessing and say nothing of each other: {told}")
    pairs, rule, told = join_names(list(reference.records), list(candidate.records))
    if not pairs:
        told = ", ".join(f"{side.source} has '{next(iter(side.records))}'" for side in sides)
        raise RequestError(f"the files have no photograph in common, by path or by id: {told}")
    joined_ours, joined_theirs = {ours for ours, _ in pairs}, {theirs for _, theirs in pairs}
    unscored, other_size, names = [], [], []
    p, q = [], []
    for ours, theirs in pairs:
        (a, a_stamp), (b, b_stamp) = reference.records[ours], candidate.records[theirs]
        for record, side in ((a, "reference"), (b, "candidate")):
            if record.error is not None:
                unscored.append(Unscored(ours, side, record.error))
        if a.distribution is not None and b.distribution is not None:
            names.append(ours)
            p.append(a.distribution)
            q.append(b.distribution)
            if None not in (a_stamp.size, b_stamp.size) and a_stamp.size != b_stamp.size:
                other_size.append(ours)
    if not names:
        first = unscored[0]
        raise RequestError(
            f"no photograph has a score in both files: '{first.name}' has none in the {first.side} ({first.error})"
        )
    join = Join(
        rule,
        told,
        tuple(name for name in reference.records if name not in joined_ours),
        tuple(name for name in candidate.records if name not in joined_theirs),
        tuple(unscored),
        tuple(other_size),
    )
    return names, np.array(p), np.array(q), join


def ratings_of(names: Sequence[str], labels: Labels) -> Floats:
    """People's distributions of photographs, shape (n, 10); a row of `nan` where the labels lack one.

    Raises:
        RequestError: as `Labels.match`.
    """
    rows = labels.match(names)
    ratings = np.full((len(names), BINS), np.nan)
    for place, row in enumerate(rows):
        if row is not None:
            ratings[place] = labels.distributions[row]
    return ratings
