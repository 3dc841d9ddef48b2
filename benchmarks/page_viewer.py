"""A viewer of the page, as a browser is one: events, and picture after picture. For watch_overhead.py.

usage: page_viewer.py PORT [never-reads]        until it is killed; then "N pictures" is what it had seen
"""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import sys
import threading
import time

PORT = int(sys.argv[1])
seen = 0


def events() -> http.client.HTTPResponse:
    """An open stream of events."""
    line = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    line.request("GET", "/events")
    answer = line.getresponse()  # owns the connection: let go of, it ends
    while not (told := answer.readline()).startswith(b"data: "):
        if not told:
            raise http.client.HTTPException("no events")
    return answer


def look() -> None:
    """Fetch pictures as they come, and read the events meanwhile."""
    global seen
    stream = events()
    threading.Thread(target=_read, args=(stream,), daemon=True).start()
    pictures = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    after = 0
    while True:
        pictures.request("GET", f"/live.jpg?after={after}")
        answer = pictures.getresponse()
        answer.read()
        if answer.status == 200:
            after, seen = int(answer.headers["X-Number"]), seen + 1
        elif answer.status != 204:
            raise http.client.HTTPException(f"status {answer.status}")


def _read(stream: http.client.HTTPResponse) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while stream.readline():
            pass


def stare() -> None:
    """Ask for pictures and never read one."""
    stream = events()
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", PORT))
    with stream, line:
        while True:
            line.sendall(f"GET /live.jpg?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n".encode())
            time.sleep(0.1)


def leave(*_: object) -> None:
    """Say what was seen."""
    print(f"{seen} pictures", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
while True:
    with contextlib.suppress(OSError, http.client.HTTPException):  # not up yet, or it let us go
        stare() if "never-reads" in sys.argv else look()
    time.sleep(0.2)
