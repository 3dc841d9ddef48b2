"""A viewer of the watcher's page in a process of its own, as a browser is one: events, and picture after picture."""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def viewer(port: int, reads: bool = True) -> Iterator[None]:
    """Somebody who looks at the page at that port, now or once it is there; or who asks for pictures, never reading."""
    spawn = multiprocessing.get_context("spawn")
    seen = spawn.RawValue("i", 0)
    process = spawn.Process(target=_view, args=(port, reads, seen), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()
    assert not reads or seen.value > 10, f"the viewer saw {seen.value} pictures"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _view(port: int, reads: bool, seen: Any) -> None:
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):  # not up yet, or it closed the connection
            _look(port, seen) if reads else _stare(port)
        time.sleep(0.2)


def _events(port: int) -> http.client.HTTPResponse:
    """An open stream of events, once its first one has come."""
    answer = _get(http.client.HTTPConnection("127.0.0.1", port, timeout=10), "/events")
    while not (line := answer.readline()).startswith(b"data: "):
        if not line:
            raise http.client.HTTPException("no events")
    return answer  # owns the connection, which ends with it


def _get(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    return connection.getresponse()


def _look(port: int, seen: Any) -> None:
    threading.Thread(target=_read, args=(_events(port),), daemon=True).start()
    pictures, after = http.client.HTTPConnection("127.0.0.1", port, timeout=10), 0
    while True:
        answer = _get(pictures, f"/live.jpg?after={after}")
        answer.read()
        if answer.status == 200:
            after, seen.value = int(answer.headers["X-Number"]), seen.value + 1
        elif answer.status != 204:
            raise http.client.HTTPException(f"status {answer.status}")


def _read(stream: http.client.HTTPResponse) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while stream.readline():
            pass


def _stare(port: int) -> None:
    with _events(port), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        while True:
            connection.sendall(f"GET /live.jpg?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            time.sleep(0.1)
