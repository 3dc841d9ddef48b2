"""Whether something listens at an address: the one question that FFmpeg's "cannot open" does not answer."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from time import monotonic
from typing import Any

from edge_nima.errors import SourceError, reason


def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """A TCP connection.

    Args:
        host: a name or an address.
        port: 1..65535.
        timeout_s: for looking up the name and for connecting, together, seconds.

    Raises:
        SourceError: no such host, refused, unreachable, or no answer.
    """
    until = monotonic() + timeout_s
    shown = f"{host}:{port}"
    problem: OSError = TimeoutError(errno.ETIMEDOUT, "timed out")
    for family, kind, protocol, _, address in _look_up(host, port, timeout_s):
        link = socket.socket(family, kind, protocol)
        link.settimeout(max(0.05, until - monotonic()))
        try:
            link.connect(address)
            return link
        except OSError as error:
            link.close()
            problem = error
    raise SourceError(why_not(shown, problem, timeout_s)) from problem


def why_not(shown: str, error: BaseException, timeout_s: float) -> str:
    """What a failed connection means, on one line.

    Args:
        shown: the address, without a password.
        error: what was raised.
        timeout_s: how long was waited.
    """
    if isinstance(error, socket.gaierror):
        return f"{shown}: no such host; is its name right, and does this machine have a network?"
    if isinstance(error, ConnectionRefusedError):
        return f"{shown}: connection refused; nothing listens there: is the port right, and the camera on?"
    if isinstance(error, TimeoutError):
        return f"{shown}: no answer in {timeout_s:g} s; is the camera on, and in this network?"
    if isinstance(error, OSError) and error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return f"{shown}: cannot be reached; is the camera on, and in this network?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{shown}: its certificate is not trusted; SSL_CERT_FILE=FILE.pem names it, or use http://"
    return f"{shown}: {reason(error)}"


def _look_up(host: str, port: int, timeout_s: float) -> list[Any]:
    """`getaddrinfo` with an end: the system's waits as long as it likes, so that a thread waits for it."""
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    thread = threading.Thread(target=ask, name="edge-nima look-up", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not answer:
        raise SourceError(f"{host}: the name server gave no answer in {timeout_s:g} s")
    found = answer[0]
    if isinstance(found, Exception):
        raise SourceError(f"{host}: no such host; is its name right, and does this machine have a network?") from found
    return found  # type: ignore[no-any-return]
