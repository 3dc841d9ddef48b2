"""One file from one http or https address: resumed where it broke off, checked, then renamed into place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima import tar_members
from edge_nima.errors import DownloadError, EdgeNimaError, OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock

if TYPE_CHECKING:
    from http.client import HTTPResponse

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes in all, 0 where the server does not say how many."""

_CHUNK = 1 << 18
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched."""

    name: str
    """In messages."""
    address: str
    target: Path
    """Where it goes."""
    sha256: str | None
    """What it must hash to, hexadecimal; None takes whatever comes, and then never goes on with what came before."""
    size: int | None = None
    """Bytes; None for what the server says."""
    otherwise: str = ""
    """What to do when it cannot be reached, for the message."""
    git_blob: str | None = None
    """Git's id of the content that it must be, hexadecimal, where there is no SHA-256."""

    @property
    def known(self) -> bool:
        """Whether what comes is held against what it must be; else it is taken as it is."""
        return self.sha256 is not None or self.git_blob is not None

    @property
    def partial(self) -> Path:
        """Where it is until it is whole."""
        return self.target.with_name(f"{self.target.name}.partial")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of a member of a tar file, hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except NotADirectoryError:
        return hashlib.sha256(tar_members.read_file(path)).hexdigest()


def git_blob_of(path: Path) -> str:
    """Git's id of a file's content, hexadecimal."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(wanted: Wanted, progress: Progress | None = None) -> str:
    """Fetch a file; it appears whole, and replaces what is there.

    Args:
        wanted: what.
        progress: told as bytes arrive.

    Returns:
        Its SHA-256.

    Raises:
        DownloadError: not reachable, broke off, or not the file that was expected.
        RequestError: another process is fetching it, or there is no such kind of address.
        OutputError: it cannot be written.
    """
    part = wanted.partial
    try:
        with open(part, "ab") as claim:
            if not try_lock(claim):
                raise RequestError(f"another run is fetching {wanted.name}: wait for it")
            have = part.stat().st_size if wanted.known else 0
            if wanted.size is None:
                _fetch(wanted, part, have, progress)
            elif have != wanted.size:
                _fetch(wanted, part, have if have < wanted.size else 0, progress)
            found = sha256_of(part)
            blob = git_blob_of(part) if wanted.git_blob is not None else None
            if wanted.sha256 in {None, found} and blob == wanted.git_blob:
                os.replace(part, wanted.target)
                return found
            part.unlink()
    except EdgeNimaError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write '{printable(part)}': {reason(error)}") from error
    raise DownloadError(
        f"what {printable(wanted.address)} gave is not {wanted.name} and was removed: "
        + (
            f"SHA-256 {found[:16]}…, expected {wanted.sha256[:16]}…"
            if wanted.sha256
            else f"git blob {(blob or '')[:16]}…, expected {(wanted.git_blob or '')[:16]}…"
        )
    )


def _fetch(wanted: Wanted, part: Path, have: int, progress: Progress | None) -> None:
    from http.client import HTTPException

    try:
        answer = _ask(wanted, have)
    except EdgeNimaError:
        if not part.stat().st_size:  # nothing to go on with
            part.unlink()
        raise
    if answer is None:
        return
    with answer:
        if answer.status != 206:  # the server starts from the beginning, whatever was asked
            have = 0
        size = wanted.size if wanted.size is not None else _size(answer)
        with open(part, "ab" if have else "wb") as file:
            while size is None or have < size:
                try:
                    chunk = answer.read1(_CHUNK)  # what has come: nothing is lost when the next never does
                except (HTTPException, OSError) as error:
                    if size is None:
                        raise DownloadError(_broke_off(wanted, have, None)) from error
                    break
                if not chunk:
                    break
                have += len(chunk)
                if size is not None and have > size:
                    break
                file.write(chunk)
                if progress is not None:
                    progress(have, size or 0)
            with contextlib.suppress(OSError):  # some file systems cannot
                os.fsync(file.fileno())
        if size is not None and have >= size and (have > size or _has_more(answer)):
            part.unlink()
            raise DownloadError(
                f"{printable(wanted.address)} gives more than the {size:,} bytes of {wanted.name}: "
                "another file; removed it"
            )
    if size is not None and have < size:
        raise DownloadError(_broke_off(wanted, have, size))


def _broke_off(wanted: Wanted, have: int, size: int | None) -> str:
    of = f" of {size:,}" if size is not None else ""
    again = "to resume" if wanted.known else "to begin again"
    return (
        f"{printable(wanted.address)} broke off after {have:,}{of} bytes: type the same command again {again}"
    )  # fmt: skip


def _size(answer: HTTPResponse) -> int | None:
    """Bytes of the whole file, as the server says; None where it does not."""
    if answer.status == 206:
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        return int(total[1]) if total else None
    return answer.length


def _has_more(answer: HTTPResponse) -> bool:
    from http.client import HTTPException

    try:
        return bool(answer.read(1))
    except (HTTPException, OSError):
        return False  # all that was expected has come; its SHA-256 decides


def _ask(wanted: Wanted, have: int) -> HTTPResponse | None:
    """Open an http or https address, from byte `have` on where the server can; None when there are no more bytes.

    Raises:
        RequestError: it is no such address.
        DownloadError: no answer, or one that is an error.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    address = wanted.address
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
        if error.code == 416 and have:
            if wanted.size is None and error.headers.get("Content-Range") == f"bytes */{have}":
                return None
            return _ask(wanted, 0)  # what is here is no beginning of what is there
        raise DownloadError(_unreachable(wanted, f"HTTP {error.code} {error.reason}")) from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        what = reason(cause) if isinstance(cause, BaseException) else str(cause)
        raise DownloadError(_unreachable(wanted, what)) from error
    except ValueError as error:
        raise RequestError(not_one) from error


def _unreachable(wanted: Wanted, what: str) -> str:
    otherwise = f"; {wanted.otherwise}" if wanted.otherwise else ""
    return f"cannot fetch {wanted.name} from {printable(wanted.address)} ({printable(what)}){otherwise}"
