"""A viewer of the page, as a browser is one: events, and picture after picture. For watch_overhead.py.

usage: page_viewer.py PORT [never-reads]        until it is killed
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time

PORT = int(sys.argv[1])


def events() -> tuple[http.client.HTTPConnection, str]:
    """An open stream of events, and the name that this viewer has."""
    line = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    line.request("GET", "/events")
    answer = line.getresponse()
    while not (told := answer.fp.readline()).startswith(b"data: "):
        pass
    return line, json.loads(told[6:])["viewer"]


def look() -> None:
    """Fetch pictures as they come."""
    _, name = events()
    pictures = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    after = 0
    while True:
        pictures.request("GET", f"/live.jpg?viewer={name}&after={after}")
        answer = pictures.getresponse()
        answer.read()
        after = int(answer.headers.get("X-Number", after))


def stare() -> None:
    """Ask for pictures and never read one."""
    _, name = events()
    line = socket.create_connection(("127.0.0.1", PORT))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while True:
        line.sendall(f"GET /live.jpg?viewer={name}&after=0 HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n\r\n".encode())
        time.sleep(0.1)


while True:
    with contextlib.suppress(OSError, http.client.HTTPException):  # not up yet, or it let us go
        stare() if "never-reads" in sys.argv else look()
    time.sleep(0.05)
