"""What others report on AVA's test photographs, and when a comparison with it is fair."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge_nima.errors import RequestError, printable
from edge_nima.labels import few, read_id_list
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
def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def published_results() -> tuple[Published, ...]:
    """All that is known, oldest and weakest first."""
    return tuple(Published(**one) for one in _table()["result"])


def read_official_list(path: Path) -> frozenset[str]:
    """The ids of AVA's official test list, in any order.

    Raises:
        RequestError: the file cannot be read, or holds other ids.
    """
    ids, size = frozenset(read_id_list(path)), _table()["list_size"]
    if hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest() != _table()["list_sha256"]:
        raise RequestError(
            f"--official-list '{printable(path)}' is not AVA's official test list, the {size:,} ids of "
            f"aesthetics_image_lists/generic_test.jpgl: it holds {len(ids):,}{' others' if len(ids) == size else ''}"
        )
    return ids


def official_test(manifest: Manifest, claimed: bool, listed: Path | None) -> Official | None:
    """Whether the photographs of a manifest are AVA's official test, and what then stands beside them.

    Args:
        manifest: the photographs that are evaluated, all of them.
        claimed: whether somebody says so.
        listed: the official list, generic_test.jpgl; None where it is not at hand.

    Returns:
        None where nobody says so and the list does not have them all.

    Raises:
        RequestError: somebody says so and the list has not all of them, or it is not that list.
    """
    constant, (low, high), size = (_table()[key] for key in ("constant", "gap", "list_size"))
    if listed is None:
        if not claimed:
            return None
        told = f"as you say (--official, not checked against a list): {len(manifest):,} of about {size:,} photographs"
    else:
        ids = read_official_list(listed)
        others = [printable(name) for name, one in zip(manifest.names, _ids(manifest), strict=True) if one not in ids]
        if others and claimed:
            raise RequestError(
                f"{len(others)} of {len(manifest)} photographs are not on '{printable(listed)}', such as "
                f"{few(others)}: leave out --official, or evaluate the split that is"
            )
        if others:
            return None
        told = f"all on '{printable(listed.name)}', {len(manifest):,} of its {size:,} photographs"
    notes = (
        f"on the official test list always saying “good” is right for {100 * constant['accuracy']:.1f} %, and always "
        f"giving the mean histogram has an EMD of {constant['emd_r2']:.4f} (r=2) or {constant['emd_r1']:.4f} (r=1): "
        "accuracy and EMD near those say nothing, and an EMD without its r cannot be placed",
        f"the official list has no photograph with a mean in {low} to {high}: numbers on it and on a random split "
        "differ by construction",
        "the table's results are on different splits; each row says which, as far as is known here",
    )
    return Official(told, published_results(), notes)


def _ids(manifest: Manifest) -> Sequence[str]:
    """AVA's ids, without leading zeros as `read_id_list` gives them."""
    ids = (one or Path(file).stem for one, file in zip(manifest.labels.ids, manifest.labels.files, strict=True))
    return [str(int(one)) if one.isascii() and one.isdecimal() else one for one in ids]
