"""Models that edge_nima knows by name: where they are, what they must hash to, and how they are fetched."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from edge_nima.errors import DownloadError, OutputError, RequestError, printable, reason
from edge_nima.fetch import Progress, Wanted, fetch, sha256_of
from edge_nima.pixels import Preprocessing

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Entry:
    """One known file."""

    name: str
    what: str
    file: str
    sha256: str
    size: int
    licence: str
    attribution: str
    url: str | None = None
    preprocessing: Preprocessing | None = None
    """How a checkpoint wants its pixels; of a .tflite its card says so."""

    @property
    def path(self) -> Path:
        """Where the file is, or would be: in the package when it ships with it, else in the cache."""
        return MODELS / self.file if self.url is None else cache_folder() / self.file


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/edge-nima, ~/.cache/edge-nima without it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative paths ignored
        return Path(base) / "edge-nima"
    try:
        return Path.home() / ".cache" / "edge-nima"
    except RuntimeError as error:
        raise RequestError("no home folder to keep downloads in: set XDG_CACHE_HOME to one") from error


@cache
def entries() -> tuple[Entry, ...]:
    """All known models, as `models/registry.toml` lists them."""
    raw = tomllib.loads((MODELS / "registry.toml").read_text(encoding="utf-8"))
    hows = [item.pop("preprocessing", None) for item in raw["model"]]
    return tuple(
        Entry(**item, preprocessing=how and Preprocessing.from_json(how))
        for item, how in zip(raw["model"], hows, strict=True)
    )


def find(name: str) -> Entry:
    """The entry of a name.

    Raises:
        RequestError: unknown, with the nearest name.
    """
    for entry in entries():
        if entry.name == name:
            return entry
    names = [entry.name for entry in entries()]
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"possible: {', '.join(names)}"
    raise RequestError(f"no model is called '{printable(name)}'; {hint}")


def find_by_sha256(sha256: str) -> Entry | None:
    """The entry whose file has this SHA-256, if there is one."""
    return next((entry for entry in entries() if entry.sha256 == sha256), None)


def is_present(entry: Entry) -> bool:
    """Whether the file is on this machine, whole and readable."""
    path = entry.path
    try:
        return path.is_file() and path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
    except OSError:
        return False


def pull(entry: Entry, url: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a model into the cache unless it is there: resumed where it broke off, verified, then renamed into place.

    Args:
        entry: what to fetch.
        url: take it from here instead (a mirror); its SHA-256 must be the same.
        progress: told as bytes arrive.

    Returns:
        Where the file is.

    Raises:
        DownloadError: not reachable, broke off, or not the file that was expected.
        RequestError: another process is fetching it, or `url` is no address.
        OutputError: the cache cannot be written.
    """
    if is_present(entry):
        return entry.path
    address = url or entry.url
    if address is None:
        raise DownloadError(
            f"{entry.name} ships inside edge-nima and is damaged here: pip install --force-reinstall edge-nima"
        )
    otherwise = (
        f"offline, pass the path of a copy instead, or put it at '{printable(entry.path)}' "
        f"(SHA-256 {entry.sha256[:16]}…)"
    )
    wanted = Wanted(entry.name, address, entry.path, entry.sha256, entry.size, otherwise)
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(wanted.partial)}': {reason(error)}") from error
    fetch(wanted, progress)
    return entry.path
