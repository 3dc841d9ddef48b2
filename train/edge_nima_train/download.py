"""Where AVA's photographs come from, and one file from an address that the user gives."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from edge_nima.errors import RequestError, printable
from edge_nima.fetch import Progress, Wanted, fetch, sha256_of
from edge_nima.records import is_special

SOURCES = """\
AVA's 255,500 photographs (about 32 GB, a 7z archive in 64 parts) belong to the photographers of dpchallenge.com. This
project neither holds nor licenses them: whether you may use them, and for what, is for you to find out. AVA.txt, the
tags and the official lists come with them. Third parties that point to copies:

  https://github.com/imfing/ava_downloader
  https://academictorrents.com/details/71631f83b11d3d79d8f84efe0a7e12f0ac001460

Some copies lack photographs, or hold damaged ones. What you have brought is checked by

  edge-nima data verify AVA.txt IMAGES --out manifest.csv

and one file from an address of yours, resumed and checked, by

  edge-nima data download --url URL --sha256 HEX --out FILE
"""

_HEX = re.compile(r"[0-9a-fA-F]{64}")


def download(
    url: str, out: Path | None = None, *, sha256: str | None, overwrite: bool = False, progress: Progress | None = None
) -> tuple[Path, str]:
    """Fetch one file: that address and no other. Unless it is there already.

    Args:
        url: http or https.
        out: where to; None for the last part of the address, here.
        sha256: what it must hash to, 64 hexadecimal digits. None takes whatever comes; a download that broke off then
            begins again, since nothing tells whether the rest belongs to it.
        overwrite: replace what is there and is something else.
        progress: told as bytes arrive.

    Returns:
        Where it is, and its SHA-256.

    Raises:
        RequestError: `sha256` is none, `out` is there already or cannot be told from the address.
        DownloadError: not reachable, broke off, or something else.
        OutputError: it cannot be written.
    """
    if sha256 is not None and not _HEX.fullmatch(sha256):
        raise RequestError(f"--sha256 is '{printable(sha256)}'; possible: 64 hexadecimal digits")
    target = out or _named_by(url)
    if is_special(target):
        raise RequestError(f"'{printable(target)}' is no file; possible: a file's name")
    expected = sha256.lower() if sha256 is not None else None
    if target.exists():
        there = sha256_of(target)
        if there == expected:
            return target, there
        if not overwrite:
            other = f" and is another file (SHA-256 {there[:16]}…)" if expected is not None else ""
            raise RequestError(f"'{printable(target)}' exists{other}: --overwrite replaces it")
    return target, fetch(Wanted(printable(target.name), url, target, expected), progress)


def _named_by(url: str) -> Path:
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
    except ValueError:  # what is wrong with it is said when it is asked for
        name = ""
    if not name or not name.isprintable():
        raise RequestError(f"'{printable(url)}' names no file: say where to with --out FILE")
    return Path(name)
