"""Where the page is served, and to whom."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from edge_nima.errors import RequestError, printable

TOKEN_LENGTH = 16
"""Characters that a token has at least: too many to guess."""


@dataclass(frozen=True)
class Options:
    """How a page is served.

    Without `certificate` what travels can be read on the network, the token too: TLS, or a reverse proxy that has it,
    is for networks with strangers in them.
    """

    port: int = 8080
    """1..65535; 0 takes any that is free."""
    bind: str = "127.0.0.1"
    """The address to listen on. "0.0.0.0" is all of IPv4, "::" all."""
    token: str | None = None
    """What viewers must know. None: nothing on a loopback address, a new one (`with_token`) on all others."""
    viewers: int = 8
    """Pages open at the same time."""
    certificate: Path | None = None
    """PEM file for TLS; with `key`."""
    key: Path | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            RequestError: something is out of range.
        """
        if not 0 <= self.port <= 65535:
            raise RequestError(f"the page's port is {self.port}; possible: 1 to 65535")
        if self.viewers < 1:
            raise RequestError(f"viewers is {self.viewers}; possible: 1 and more")
        if self.token is not None and len(self.token) < TOKEN_LENGTH:
            raise RequestError(
                f"the page's token has {len(self.token)} characters; possible: {TOKEN_LENGTH} and more "
                "(leave it out and one is made)"
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise RequestError("the page's token has characters other than ASCII letters, digits and signs")
        if (self.certificate is None) != (self.key is None):
            raise RequestError("TLS needs both files: the certificate and its key")
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                raise RequestError(f"no such file: '{printable(path)}'")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.bind).is_loopback
        except ValueError:
            return self.bind == "localhost"

    def with_token(self) -> Options:
        """The same, with a new token where one is needed and none was given."""
        if self.token is not None or self.loopback:
            return self
        new = secrets.token_urlsafe(24)
        return Options(self.port, self.bind, new, self.viewers, self.certificate, self.key)
