"""Models that edge_nima knows by name: where they are, what they must hash to, and how they are fetched."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.errors import DownloadError, EdgeNimaError, OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock

if TYPE_CHECKING:
    from http.client import HTTPResponse

MODELS = Path(__file__).parent / "models"

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes in all."""

_CHUNK = 1 << 18
_TIMEOUT_S = 30


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
    return tuple(Entry(**item) for item in raw["model"])


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


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    part = entry.path.with_name(f"{entry.file}.partial")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "ab") as claim:
            if not try_lock(claim):
                raise RequestError(f"another run is fetching {entry.name}: wait for it")
            have = part.stat().st_size
            if have != entry.size:
                _fetch(entry, address, part, have if have < entry.size else 0, progress)
            found = sha256_of(part)
            if found == entry.sha256:
                os.replace(part, entry.path)
                return entry.path
            part.unlink()
    except EdgeNimaError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write '{printable(part)}': {reason(error)}") from error
    raise DownloadError(
        f"what {printable(address)} gave is not {entry.name} and was removed: "
        f"SHA-256 {found[:16]}…, expected {entry.sha256[:16]}…"
    )


def _fetch(entry: Entry, address: str, part: Path, have: int, progress: Progress | None) -> None:
    from http.client import HTTPException

    with _ask(entry, address, have) as answer:
        if answer.status != 206:  # the server starts from the beginning, whatever was asked
            have = 0
        with open(part, "ab" if have else "wb") as file:
            while have < entry.size:
                try:
                    chunk = answer.read1(_CHUNK)  # what has come: nothing is lost when the next never does
                except (HTTPException, OSError):
                    break
                if not chunk:
                    break
                have += len(chunk)
                if have > entry.size:
                    break
                file.write(chunk)
                if progress is not None:
                    progress(have, entry.size)
            with contextlib.suppress(OSError):  # some file systems cannot
                os.fsync(file.fileno())
        if have >= entry.size and (have > entry.size or _has_more(answer)):
            part.unlink()
            raise DownloadError(
                f"{printable(address)} gives more than the {entry.size:,} bytes of {entry.name}: "
                "another file; removed it"
            )
    if have < entry.size:
        raise DownloadError(
            f"{printable(address)} broke off after {have:,} of {entry.size:,} bytes: "
            "type the same command again to resume"
        )


def _has_more(answer: HTTPResponse) -> bool:
    from http.client import HTTPException

    try:
        return bool(answer.read(1))
    except (HTTPException, OSError):
        return False  # all that was expected has come; its SHA-256 decides


def _ask(entry: Entry, address: str, have: int) -> HTTPResponse:
    """Open an http or https address, from byte `have` on where the server can.

    Raises:
        RequestError: it is no such address.
        DownloadError: no answer, or one that is an error.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    not_one = f"'{printable(address)}' is no http or https address; to use a file on disk, pass its path"
    try:
        if urlsplit(address).scheme not in {"http", "https"}:
            raise RequestError(not_one)
        request = Request(address, headers={"User-Agent": "edge-nima"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        answer: HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)
        return answer
    except RequestError:
        raise
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # what is here is no beginning of what is there
            return _ask(entry, address, 0)
        raise DownloadError(_unreachable(entry, address, f"HTTP {error.code} {error.reason}")) from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        what = reason(cause) if isinstance(cause, BaseException) else str(cause)
        raise DownloadError(_unreachable(entry, address, what)) from error
    except ValueError as error:
        raise RequestError(not_one) from error


def _unreachable(entry: Entry, address: str, what: str) -> str:
    return (
        f"cannot fetch {entry.name} from {printable(address)} ({printable(what)}); offline, pass the path of a copy "
        f"instead, or put it at '{printable(entry.path)}' (SHA-256 {entry.sha256[:16]}…)"
    )
