"""Why an RTSP stream does not open: asked by hand, since OpenCV only says that it did not."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from contextlib import closing
from time import monotonic
from urllib.parse import SplitResult
from urllib.request import parse_http_list, parse_keqv_list

from edge_nima.errors import SourceError, reason
from edge_nima.frames.addresses import credentials
from edge_nima.frames.reach import connect

_MOST = 1 << 16


def ask_why(parts: SplitResult, timeout_s: float) -> str:
    """What an RTSP server says of a stream that would not open, on one line, without the address.

    Args:
        parts: its address, split.
        timeout_s: seconds at most.
    """
    until = monotonic() + timeout_s
    try:
        secure = parts.scheme.lower() == "rtsps"
        link = connect(parts.hostname or "", parts.port or (322 if secure else 554), timeout_s)
        if secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as FFmpeg does, and nothing is told
            link = context.wrap_socket(link)
        with closing(link):
            status, headers, body = _describe(link, parts, None, 1, until)
            given = credentials(parts)
            if status == 401 and given is not None:
                answer = authorization(headers.get("www-authenticate", ""), given, "DESCRIBE", _bare(parts))
                status, headers, body = _describe(link, parts, answer, 2, until)
    except SourceError as error:
        return reason(error)
    except (OSError, ValueError) as error:
        return f"it listens and does not speak RTSP ({reason(error)}); is the port right?"
    if status == 401:
        if given is None:
            return "it asks for a password: rtsp://USER:PASSWORD@HOST/…"
        return "it refuses the user or the password"
    if status == 404:
        return f"it has no stream '{parts.path or '/'}'; the camera's manual names the path"
    if status != 200:
        return f"it answers {status}"
    codecs = re.findall(
        r"^a=rtpmap:\d+ ([^/\s]+)", "".join(re.findall(r"^m=video.*?(?=^m=|\Z)", body, re.M | re.S)), re.M
    )
    if not re.search(r"^m=video", body, re.M):
        return "it offers no video"
    named = ", ".join(codecs) or "a codec it does not name"
    return f"it answers, and no picture of it can be decoded ({named}); set the camera to H.264 or motion JPEG"


def _bare(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    where = f"{host}:{parts.port}" if parts.port else host
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{where}{parts.path}{query}"


def _describe(
    link: socket.socket, parts: SplitResult, answer: str | None, number: int, until: float
) -> tuple[int, dict[str, str], str]:
    lines = [f"DESCRIBE {_bare(parts)} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp", "User-Agent: edge-nima"]
    if answer:
        lines.append(f"Authorization: {answer}")
    link.settimeout(max(0.05, until - monotonic()))
    link.sendall("\r\n".join([*lines, "", ""]).encode("utf-8"))
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(link, received, until)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("utf-8", "replace").split("\r\n")
    told = re.match(r"RTSP/\d\.\d (\d{3})", first)
    if told is None:
        raise ValueError("not an RTSP answer")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in reversed(rest))
    }
    length = int(headers.get("content-length", "0"))
    while len(body) < min(length, _MOST):
        body += _more(link, body, until)
    return int(told[1]), headers, body.decode("utf-8", "replace")


def _more(link: socket.socket, so_far: bytes, until: float) -> bytes:
    link.settimeout(max(0.05, until - monotonic()))
    chunk = link.recv(4096)
    if not chunk or len(so_far) > _MOST:
        raise ValueError("the answer breaks off" if not chunk else "the answer does not end")
    return chunk


def authorization(challenge: str, given: tuple[str, str], method: str, address: str) -> str:
    """The answer to a challenge (RFC 2617): Digest with MD5 and no `qop`, as RTSP has it, or Basic."""
    kind, _, values = challenge.partition(" ")
    if kind.lower() != "digest":
        from base64 import b64encode

        return f"Basic {b64encode(':'.join(given).encode()).decode()}"
    asked = parse_keqv_list(parse_http_list(values))
    realm, nonce = asked.get("realm", ""), asked.get("nonce", "")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    response = md5(f"{md5(f'{given[0]}:{realm}:{given[1]}')}:{nonce}:{md5(f'{method}:{address}')}")
    return f'Digest username="{given[0]}", realm="{realm}", nonce="{nonce}", uri="{address}", response="{response}"'
