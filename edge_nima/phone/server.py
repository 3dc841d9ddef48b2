"""The server: listens, serves the page until it is stopped, lets connections that stand still go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from importlib.util import find_spec

from edge_nima.errors import PackageMissing
from edge_nima.outputs.web.listening import serve, server_config
from edge_nima.phone.app import PhoneApp
from edge_nima.phone.certificate import Identity
from edge_nima.phone.page import Page

_CONNECTIONS = 64  # a browser opens six: ten phones at once
_PACKAGES = ("starlette", "uvicorn", "cryptography", "segno")


def need_packages() -> None:
    """Make sure that what `edge-nima phone` needs is installed.

    Raises:
        PackageMissing: something is not.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise PackageMissing(f"phone needs {package}: pip install 'edge-nima[web]'")


class PhoneServer:
    """Serves a page on a socket."""

    def __init__(
        self,
        page: Page,
        listening: socket.socket,
        identity: Identity | None = None,
        on_phone: Callable[[str, str], None] | None = None,
    ) -> None:
        """Prepare; `serve` begins.

        Args:
            page: the files, by path.
            listening: as `edge_nima.outputs.web.listening.listen` gives it; `serve` closes it.
            identity: for HTTPS; None serves plain HTTP.
            on_phone: told the address and the user agent of whoever asks for the first time.

        Raises:
            PublishError: TLS with this certificate fails.
        """
        import uvicorn

        certificate, key = (None, None) if identity is None else (identity.certificate, identity.key)
        self._listening = listening
        self._server = uvicorn.Server(server_config(PhoneApp(page, on_phone), _CONNECTIONS, certificate, key))

    def serve(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM; in the main thread the signal then takes its usual way too."""
        asyncio.run(serve(self._server, self._listening))

    def stop(self) -> None:
        """Let `serve` end, within a second or so. From any thread."""
        self._server.should_exit = True
