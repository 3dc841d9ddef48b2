"""Connections that cost something and bring nothing: too many, half a request for ever, an answer nobody takes."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 10.0
_LOOK_EVERY_S = 1.0


def bounded_protocol(most: int) -> type[H11Protocol]:
    """uvicorn's HTTP protocol for at most `most` connections at once: the files it opens are the camera's too."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if len(self.connections) >= most:
                self.transport = transport
                transport.abort()
                return
            super().connection_made(transport)

    return Bounded


class Sweeper:
    """Ends connections that stand still: a request that does not come to its end, an answer that is not taken."""

    def __init__(self, connections: set[Any]) -> None:
        """`connections`: the server's H11Protocol objects, as it keeps them."""
        self._connections = connections
        self._seen: dict[Any, tuple[object, float]] = {}

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look(monotonic())

    def look(self, now: float) -> None:
        """Note how far each connection is, and abort those that were just there `PATIENCE_S` ago."""
        seen: dict[Any, tuple[object, float]] = {}
        for connection in list(self._connections):
            place = _place(connection)
            before, since = self._seen.get(connection, (None, now))
            if place is None or place != before:
                since = now
            if place is not None and now - since > PATIENCE_S:
                connection.transport.abort()
            else:
                seen[connection] = (place, since)
        self._seen = seen

    def abort_all(self) -> None:
        """End all."""
        for connection in list(self._connections):
            connection.transport.abort()


def _place(connection: Any) -> object:
    """Where a connection is in waiting for the other side; None while the next move is ours."""
    import h11

    unsent = connection.transport.get_write_buffer_size()
    if unsent:
        return ("unsent", id(connection.cycle), unsent)
    if connection.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
        return ("request", id(connection.cycle), str(connection.conn.their_state))
    return None
