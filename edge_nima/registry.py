"""Models that edge_nima knows by name: where they are, what they must hash to, and how they are fetched."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from edge_nima.errors import DownloadError, OutputError, RequestError, printable, reason
from edge_nima.fetch import Progress, Wanted, fetch, git_blob_of, sha256_of
from edge_nima.pixels import Preprocessing

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Entry:
    """One known file."""

    name: str
    what: str
    file: str
    sha256: str | None
    """Hexadecimal; None where it is not known, and `git_blob` says what the file must be."""
    size: int | None
    """Bytes, where they are known."""
    licence: str
    attribution: str
    url: str | None = None
    preprocessing: Preprocessing | None = None
    """How a checkpoint wants its pixels; None of a .tflite, whose card says so."""
    git_blob: str | None = None
    """Git's id of the content, hexadecimal: SHA-1 of "blob SIZE\\0" and the content."""

    @property
    def path(self) -> Path:
        """Where the file is, or would be: in the package when it ships with it, else in the cache."""
        return MODELS / self.file if self.url is None else cache_folder() / self.file

    @property
    def verified_by(self) -> str:
        """What its content is held against."""
        return f"SHA-256 {self.sha256[:8]}…" if self.sha256 else f"git blob {(self.git_blob or '')[:8]}…"


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
        Entry(**{"sha256": None, "size": None, **item}, preprocessing=how and Preprocessing.from_json(how))
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


def identify(path: Path, sha256: str) -> Entry | None:
    """The entry that a file is, if it is one.

    Args:
        path: the file.
        sha256: its SHA-256, hexadecimal.
    """
    return next((entry for entry in entries() if entry.sha256 == sha256 or _has_blob(path, entry)), None)


def is_present(entry: Entry) -> bool:
    """Whether the file is on this machine, whole and readable."""
    path = entry.path
    try:
        if not path.is_file() or entry.size not in (None, path.stat().st_size):
            return False
        return _has_blob(path, entry) if entry.sha256 is None else sha256_of(path) == entry.sha256
    except OSError:
        return False


def _has_blob(path: Path, entry: Entry) -> bool:
    return entry.git_blob is not None and git_blob_of(path) == entry.git_blob


def pull(entry: Entry, url: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a model into the cache unless it is there: resumed where it broke off, verified, then renamed into place.

    Args:
        entry: what to fetch.
        url: take it from here instead (a mirror); its content must be the same.
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
        f"offline, pass the path of a copy instead, or put it at '{printable(entry.path)}' ({entry.verified_by})"
    )
    wanted = Wanted(entry.name, address, entry.path, entry.sha256, entry.size, otherwise, entry.git_blob)
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(wanted.partial)}': {reason(error)}") from error
    fetch(wanted, progress)
    return entry.path


def locate(checkpoint: str | os.PathLike[str]) -> Path:
    """A path, or where a known file of that name is.

    Raises:
        RequestError: it is known and not on this machine, with what to type.
    """
    path = Path(checkpoint)
    if path.exists() or str(checkpoint) not in {entry.name for entry in entries()}:
        return path
    entry = find(str(checkpoint))
    if not is_present(entry):
        raise RequestError(f"{entry.name} is not here yet: edge-nima models pull {entry.name}")
    return entry.path
