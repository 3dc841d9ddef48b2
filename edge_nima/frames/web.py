"""One HTTP answer, read with a deadline: urllib's, with the socket in hand, so that a trickle is not endless."""

from __future__ import annotations

import socket
import sys
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlunsplit

from edge_nima.errors import SourceError, reason
from edge_nima.frames.addresses import credentials, without_password
from edge_nima.frames.reach import connect, why_not

_CHUNK = 1 << 16


class Answer:
    """An open answer and the socket that it comes through."""

    def __init__(self, response: HTTPResponse, link: socket.socket, shown: str, timeout_s: float) -> None:
        """Take both; `shown` names the address in messages."""
        self._response, self._link, self._shown, self._timeout_s = response, link, shown, timeout_s

    @property
    def kind(self) -> str:
        """The content type without its parameters, lower case."""
        return self._response.headers.get_content_type().lower()

    @property
    def boundary(self) -> str:
        """Of a multipart answer; "" without one."""
        return str(self._response.headers.get_param("boundary") or "")

    @property
    def says_its_kind(self) -> bool:
        """Whether there is a content type at all."""
        return "content-type" in self._response.headers

    def more(self, until: float) -> bytes:
        """What comes next; b"" at the end.

        Args:
            until: monotonic time at which it is too late.

        Raises:
            SourceError: it is, or the connection broke.
        """
        try:
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError
            self._link.settimeout(left)
            return self._response.read1(_CHUNK)
        except TimeoutError as error:
            raise SourceError(f"{self._shown}: no frame for {self._timeout_s:g} s, though connected") from error
        except (HTTPException, OSError, ValueError) as error:
            raise SourceError(f"{self._shown}: the connection broke: {reason(error)}") from error

    def waiting(self) -> int:
        """How many bytes have come already, or a little less; with what encrypts them."""
        from fcntl import ioctl
        from termios import FIONREAD

        count: bytes = ioctl(self._link, FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)

    def all(self, until: float, largest: int) -> bytes:
        """The whole content.

        Raises:
            SourceError: too late, broken, or longer than `largest` bytes.
        """
        content = bytearray()
        while chunk := self.more(until):
            content += chunk
            if len(content) > largest:
                raise SourceError(f"{self._shown}: over {largest >> 20} MiB: not a camera's picture")
        return bytes(content)

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        self._link.close()


class Client:
    """Asks one address, with its user and password where it has them: basic or digest, as the camera wants."""

    def __init__(self, parts: SplitResult, timeout_s: float) -> None:
        """Take an http or https address, split."""
        self._timeout_s = timeout_s
        self._until = 0.0
        self._link: socket.socket | None = None
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        where = f"{host}:{parts.port}" if parts.port else host
        self._address = urlunsplit((parts.scheme.lower(), where, parts.path or "/", parts.query, ""))
        self._shown = without_password(self._address)
        handlers: list[Any] = [_handler(self, False), _handler(self, True), urllib.request.ProxyHandler({})]
        self._given = credentials(parts)
        if self._given is not None:
            passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            passwords.add_password(None, self._address, *self._given)
            handlers += [
                urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords)
            ]  # fmt: skip
        self._opener = urllib.request.build_opener(*handlers)
        self._opener.addheaders = [("User-Agent", "edge-nima"), ("Accept", "*/*")]

    def connect(self, host: str, port: int) -> socket.socket:
        """For urllib: a connection, remembered."""
        self._link = connect(host, port, max(0.05, self._until - monotonic()))
        return self._link

    def secured(self, link: socket.socket) -> None:
        """For urllib: the same with TLS around it."""
        self._link = link

    def ask(self) -> Answer:
        """The answer's beginning.

        Raises:
            SourceError: refused, not found, no password, no answer.
        """
        self._until = monotonic() + self._timeout_s
        try:
            response = self._opener.open(self._address, timeout=self._timeout_s)
        except HTTPError as error:
            error.close()
            raise SourceError(f"{self._shown}: {self._status(error)}") from None
        except URLError as error:
            if isinstance(error.reason, SourceError):
                raise error.reason from None
            why = error.reason if isinstance(error.reason, BaseException) else error
            raise SourceError(why_not(self._shown, why, self._timeout_s)) from None
        except (HTTPException, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(why_not(self._shown, error, self._timeout_s)) from None
        assert self._link is not None
        link, self._link = self._link, None
        return Answer(response, link, self._shown, self._timeout_s)

    def _status(self, error: HTTPError) -> str:
        if error.code == 401 and self._given is None:
            return "401, it asks for a password: http://USER:PASSWORD@HOST/…"
        if error.code in {401, 403}:
            return f"{error.code}, it refuses " + ("the user or the password" if self._given else "us")
        if error.code == 404:
            return "404, there is no such path; the camera's manual names it"
        return f"{error.code} {error.reason}"


def _handler(client: Client, secure: bool) -> Any:
    """urllib's own handler, with connections that `client` makes and remembers."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            self.sock = client.connect(self.host, self.port)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            link = client.connect(self.host, self.port)
            self.sock = self._context.wrap_socket(link, server_hostname=self.host)  # type: ignore[attr-defined]
            client.secured(self.sock)

    if secure:

        class SecureHandler(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> HTTPResponse:
                return self.do_open(Secure, request)

        return SecureHandler()

    class Handler(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> HTTPResponse:
            return self.do_open(Plain, request)

    return Handler()
