"""The server: listens, serves the page until it is stopped, lets connections that stand still go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from importlib.util import find_spec

from edge_nima.errors import PackageMissing
from edge_nima.phone.app import PhoneApp
from edge_nima.phone.certificate import Identity
from edge_nima.phone.page import Page
from edge_nima.web.connections import Sweeper
from edge_nima.web.listening import server_config

_CONNECTIONS = 64  # a browser opens six: ten phones at once
_LOOK_EVERY_S = 0.1
_GRACE_S = 0.25
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
            listening: as `edge_nima.web.listening.listen` gives it; `serve` closes it.
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
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Let `serve` end, within a second or so. From any thread."""
        self._server.should_exit = True

    async def _serve(self) -> None:
        sweeper = Sweeper(self._server.server_state.connections)
        beside = [asyncio.create_task(sweeper.run()), asyncio.create_task(self._let_go(sweeper))]
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            for task in beside:
                task.cancel()
            self._listening.close()

    async def _let_go(self, sweeper: Sweeper) -> None:
        """At the end, cut short what is still being sent: uvicorn would wait, then complain of it on stderr."""
        while not self._server.should_exit:
            await asyncio.sleep(_LOOK_EVERY_S)
        await asyncio.sleep(_GRACE_S)
        sweeper.abort_all()
