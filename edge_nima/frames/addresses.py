"""Short names of sources, for records and topics; addresses without their passwords."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import SplitResult, unquote, urlsplit

from edge_nima.errors import RequestError, printable


def slug(text: str, otherwise: str = "camera") -> str:
    """`text` made of [a-z0-9_-] alone, at most 64 characters; `otherwise` where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-")[:64] or otherwise


def split_address(address: str) -> SplitResult:
    """The parts of an address.

    Raises:
        RequestError: it has no host, or a port that is none.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise RequestError(f"'{without_password(address)}' is no address: {error}") from error
    if port == 0 or not parts.hostname:
        raise RequestError(f"'{without_password(address)}' is no address: {'port 0' if port == 0 else 'no host'}")
    return parts


def without_password(address: str) -> str:
    """The address as it may be shown: no user, no password, and no query, which is where some cameras take theirs."""
    shown = re.sub(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", r"\1", address, flags=re.IGNORECASE)
    return printable(re.sub(r"\?.*$", "?…", shown, flags=re.DOTALL))


def credentials(parts: SplitResult) -> tuple[str, str] | None:
    """User and password of an address, decoded."""
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
