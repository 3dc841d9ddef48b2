"""What serving a page takes, whichever page: a listening socket, and uvicorn as it may face a network."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.errors import PublishError, printable, reason

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

_HEAD = 16 * 1024  # bytes of a request's line and headers
_SEND_BUFFER = 128 * 1024  # in the system's memory for one connection: fifty that do not read must not matter


def listen(bind: str, port: int, another: str = "give another") -> socket.socket:
    """A listening socket.

    Args:
        bind: an address of this machine, "0.0.0.0" for all of IPv4, "::" for all.
        port: 0 takes any that is free.
        another: what to do about a port that is in use, for the message.

    Raises:
        PublishError: it cannot be had.
    """
    where = f"port {port} of {printable(bind)}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is too long for one
        raise PublishError(
            f"cannot serve the page at '{printable(bind)}': {reason(error)}; possible: 127.0.0.1, 0.0.0.0, ::, "
            "an address of this machine"
        ) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(64)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PublishError(f"{where} is in use; {another}, or stop what listens there (ss -ltnp)") from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise PublishError(f"{where} is not ours to take; possible: 1024 to 65535") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise PublishError(f"this machine has no address {printable(bind)}; ip address shows which") from error
        raise PublishError(f"cannot serve the page on {where}: {reason(error)}") from error
    return listening


def server_config(app: ASGIApp, connections: int, certificate: Path | None, key: Path | None) -> uvicorn.Config:
    """uvicorn's configuration, loaded.

    Args:
        app: what answers.
        connections: at most so many at once; others are ended as they come.
        certificate: PEM file for TLS, None for plain HTTP.
        key: PEM file of its key; None when the certificate's file holds it too.

    Raises:
        PublishError: TLS with these files fails.
    """
    import uvicorn

    from edge_nima.web.connections import bounded_protocol

    config = uvicorn.Config(
        app,
        http=bounded_protocol(connections),
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="error",  # not a line for each malformed request
        proxy_headers=False,
        server_header=False,
        backlog=64,
        h11_max_incomplete_event_size=_HEAD,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        shown = printable(certificate or "")
        raise PublishError(f"TLS with the certificate '{shown}' fails: {reason(error)}") from error
    return config
