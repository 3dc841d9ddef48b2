"""What serving takes, for this page and the phone's: a listening socket, uvicorn facing a network, plain responses."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima.errors import PublishError, printable, reason

if TYPE_CHECKING:
    import uvicorn
    from starlette.responses import Response
    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import H11Protocol

_File = str | Path | None

PATIENCE_S = 10.0
"""How long a connection may stand still while the next move is the other side's; up to twice as long until it ends."""
_HEAD = 16 * 1024  # bytes of a request's line and headers
_SEND_BUFFER = 128 * 1024  # in the system's memory for one connection: fifty that do not read must not matter


def text_response(status: int, line: str, headers: Mapping[str, str] | None = None) -> Response:
    """One line for a person."""
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(line + "\n", status, headers)


def listen(bind: str, port: int, another: str = "give another") -> socket.socket:
    """A socket that listens at an address of this machine; "0.0.0.0" is all of IPv4, "::" all; port 0 any that is free.

    PublishError when it cannot be had; `another` says in it what to do about a port that is in use.
    """
    shown = printable(bind)
    where = f"port {port} of {shown}"
    said = {
        errno.EADDRINUSE: f"{where} is in use; {another}, or stop what listens there (ss -ltnp)",
        errno.EACCES: f"{where} is not ours to take; possible: 1024 to 65535",
        errno.EADDRNOTAVAIL: f"this machine has no address {shown}; ip address shows which",
    }
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        listening = socket.create_server((bind, port), family=family, backlog=64, dualstack_ipv6=bind == "::")
    except (OSError, ValueError) as error:  # ValueError: a name that is too long for one, no IPv6
        possible = "127.0.0.1, 0.0.0.0, ::, an address of this machine"
        why = reason(error).partition(" (while")[0]
        otherwise = f"cannot serve the page at '{shown}': {why}; possible: {possible}"
        raise PublishError(said.get(getattr(error, "errno", None) or 0, otherwise)) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: also of what lies in the system's memory
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * PATIENCE_S))
    return listening


def server_config(app: ASGIApp, connections: int, certificate: _File, key: _File) -> uvicorn.Config:
    """uvicorn's configuration, loaded; connections beyond that number are closed as they come.

    `certificate` and `key` are PEM files for TLS; None for plain HTTP, or where the certificate's file holds the key.
    Whoever speaks plain HTTP to a TLS port is sent to its https address. PublishError when TLS with these files fails.
    """
    import uvicorn

    config = uvicorn.Config(
        app, http=_bounded_protocol(connections), loop="asyncio", ws="none", lifespan="off", interface="asgi3",
        access_log=False, log_config=None, log_level="error",  # not a line for each malformed request
        proxy_headers=False, server_header=False, backlog=64, h11_max_incomplete_event_size=_HEAD,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    config.load()
    if certificate is None:
        return config
    config.ssl = _RedirectingContext(ssl.PROTOCOL_TLS_SERVER)
    config.ssl.sslobject_class = _RedirectingObject
    try:
        config.ssl.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        shown = printable(certificate or "")
        raise PublishError(f"TLS with the certificate '{shown}' fails: {reason(error)}") from error
    return config


class _RedirectingObject(ssl.SSLObject):
    """TLS over a connection; of one that begins with plain HTTP the answer is a redirect in plain HTTP."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason != "HTTP_REQUEST":
                raise
            host = re.search(rb"\r\nhost: *([a-z0-9.:\[\]-]+) *\r\n", self.incoming.read(), re.IGNORECASE)
            where = b"" if host is None else b"https://" + host[1] + b"/"
            line = b"this port speaks HTTPS: open https:// in place of http:// " + where + b"\n"
            status = b"400 Bad Request" if host is None else b"307 Temporary Redirect\r\nLocation: " + where
            self.outgoing.write(
                b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%s" % (status, len(line), line)
            )
            raise ssl.SSLWantReadError from error  # sent as it is; the client closes, or the handshake times out


class _RedirectingContext(ssl.SSLContext):
    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **how: Any) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *args, **how)
        assert isinstance(made, _RedirectingObject)
        made.incoming, made.outgoing = incoming, outgoing
        return made


def _bounded_protocol(most: int) -> type[H11Protocol]:
    # What uvicorn has is not enough: limit_concurrency answers 503 and keeps the connection, and the files that a
    # process may open are the camera's too; timeout_keep_alive covers the time between two requests only.
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if len(self.connections) >= most:
                self.transport = transport
                transport.abort()
                return
            super().connection_made(transport)
            self.loop.call_later(PATIENCE_S, self.look, None)

        def look(self, before: object) -> None:
            # Abort it when it is where it was before: half a request, a response that nobody takes.
            if self in self.connections:
                unsent, theirs = self.transport.get_write_buffer_size(), self.conn.their_state
                place = (id(self.cycle), unsent, theirs)
                if place == before and (unsent or theirs in (h11.IDLE, h11.SEND_BODY)):
                    self.transport.abort()
                self.loop.call_later(PATIENCE_S, self.look, place)

    return BoundedProtocol


async def serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until `server.should_exit`; then cut short what is still being sent, for which uvicorn would wait."""

    async def end() -> None:
        while not server.should_exit:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.25)
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[listening])
    finally:
        ending.cancel()
        listening.close()
