"""What others report on AVA's test photographs, and when a comparison with it is fair."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge_nima.ava import few, read_id_list
from edge_nima.errors import RequestError, printable
from edge_nima_train.manifest import Manifest

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Published:
    """One published result on AVA; None where a number is not given."""

    name: str
    source: str
    split: str
    """On which photographs, as far as is known."""
    accuracy: float | None = None
    """At 5, a share."""
    srcc: float | None = None
    """Of the means."""
    emd: float | None = None


@dataclass(frozen=True)
class Official:
    """That photographs are those of AVA's official test list."""

    told: str
    """Who says so, and how many of the list these are."""
    results: tuple[Published, ...]
    notes: tuple[str, ...]
    """What a reader of the table must know, one line each."""


@cache
def _table() -> tuple[tuple[Published, ...], dict[str, float], tuple[float, float], int]:
    raw = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    low, high = raw["gap"]
    return tuple(Published(**one) for one in raw["result"]), raw["constant"], (low, high), raw["list_size"]


def published_results() -> tuple[Published, ...]:
    """All that is known, oldest and weakest first."""
    return _table()[0]


def official_test(manifest: Manifest, claimed: bool, listed: Path | None) -> Official | None:
    """Whether the photographs of a manifest are AVA's official test, and what then stands beside them.

    Args:
        manifest: the photographs that are evaluated, all of them.
        claimed: whether somebody says so.
        listed: the official list, generic_test.jpgl; None where it is not at hand.

    Returns:
        None where nobody says so and the list does not have them all.

    Raises:
        RequestError: somebody says so and the list has not all of them, or the list cannot be read.
    """
    results, constant, (low, high), size = _table()
    if listed is None:
        if not claimed:
            return None
        told = f"as you say (--official, not checked against a list): {len(manifest):,} of about {size:,} photographs"
    else:
        ids = set(read_id_list(listed))
        others = [printable(name) for name, one in zip(manifest.names, _ids(manifest), strict=True) if one not in ids]
        if others and claimed:
            raise RequestError(
                f"{len(others)} of {len(manifest)} photographs are not on '{printable(listed)}', such as "
                f"{few(others)}: leave out --official, or evaluate the split that is"
            )
        if others:
            return None
        told = f"all on '{printable(listed.name)}', {len(manifest):,} of its {len(ids):,} photographs"
    notes = (
        f"on the official test list always saying “good” is right for {100 * constant['accuracy']:.1f} %, and always "
        f"giving the mean histogram has an EMD of {constant['emd_r2']:.4f} (r=2) or {constant['emd_r1']:.4f} (r=1): "
        "accuracy and EMD near those say nothing, and an EMD without its r cannot be placed",
        f"the official list has no photograph with a mean in {low} to {high}: numbers on it and on a random split "
        "differ by construction",
        "the table's results are on different splits; each row says which, as far as is known here",
    )
    return Official(told, results, notes)


def _ids(manifest: Manifest) -> Sequence[str]:
    """AVA's ids, without leading zeros as `read_id_list` gives them."""
    ids = (one or Path(file).stem for one, file in zip(manifest.labels.ids, manifest.labels.files, strict=True))
    return [str(int(one)) if one.isascii() and one.isdecimal() else one for one in ids]
