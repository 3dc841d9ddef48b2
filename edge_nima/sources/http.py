"""Motion JPEG over HTTP, a snapshot address that is asked again and again, and whatever else an HTTP address gives."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BytesIO
from time import monotonic, sleep
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from PIL import Image

from edge_nima.decode import read_rgb
from edge_nima.errors import PictureError, RequestError, SourceError, reason
from edge_nima.frame import Frame
from edge_nima.sources import NothingYet, SourceOptions, address_label, split_address, without_password
from edge_nima.sources.stream import PORTS, StreamSource, connect, why_not

ORDER = 2
POSSIBLE = "http://… of a motion JPEG stream or a snapshot"
SOURCE = "HttpSource"

_SNAPSHOTS_A_SECOND = 1.0
_LONGEST_SLEEP_S = 0.5
_MOST_AT_ONCE = 8 << 20  # bytes of one read: what came meanwhile, and not all that a fast sender can send
_CHUNK = 1 << 16
_LARGEST = 32 << 20  # bytes of one picture


def takes(given: Sequence[str], wait: bool) -> bool:
    """http:// and https://."""
    return len(given) == 1 and given[0].lower().startswith(("http://", "https://"))


class HttpSource:
    """An HTTP address. What comes from it decides, whatever its type is said to be: pictures, one picture, or video."""

    drops = real_time = True

    def __init__(self, address: str, options: SourceOptions | None = None) -> None:
        """Take http:// or https://, with user and password where needed; `fps` is how often a snapshot is asked for."""
        self._options = options or SourceOptions()
        self._shown = without_password(address)
        if not takes([address], False):
            raise RequestError(f"'{self._shown}' is not http:// or https://")
        parts = split_address(address)
        self._address, self._timeout_s = address, self._options.timeout_s
        self._every_s = 1 / (self._options.fps or _SNAPSHOTS_A_SECOND)
        self.label = self._options.label or address_label(address, PORTS[parts.scheme.lower()])
        self._read: Callable[[], Frame | None] | None = None  # what was found to come; None while not open
        self._answer: Answer | None = None
        self._stream: StreamSource | None = None
        self._due = 0.0

    def open(self) -> None:
        """Begin."""
        self.close()
        until = monotonic() + self._timeout_s
        answer = self._answer = ask(self._address, self._timeout_s)
        try:
            begin = answer.peek(until).lstrip(b"\r\n\t ")
            if begin.startswith(b"--") or answer.kind.startswith("multipart/"):
                pictures = JpegCutter()
                self._read = lambda: self._frame(self._newest(pictures, answer))
            elif answer.kind.startswith("image/") or _is_picture(begin):
                self._due, self._read = 0.0, lambda: self._frame(self._snapshot())
            elif answer.kind in {"text/html", "application/json", "text/plain"} or begin.startswith(b"<"):
                what = f"gives {answer.kind}, no pictures; the camera's manual names the stream's path"
                raise SourceError(f"{self._shown} {what}")
            else:
                self.close()
                self._stream = StreamSource(self._address, self._options)
                self._stream.open()
                self._read = self._stream.read
        except SourceError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """Wait for the next picture; None at the end of a video."""
        if self._read is None:
            raise SourceError(f"{self._shown} is not open")
        return self._read()

    def _frame(self, picture: bytes) -> Frame:
        at = monotonic()
        return Frame(read_rgb(with_end(picture)), self.label, taken_mono=at)

    def _newest(self, pictures: JpegCutter, answer: Answer) -> bytes:
        # The last whole picture of all that came.
        until = monotonic() + self._timeout_s
        newest, taken = None, 0
        while True:
            while (picture := pictures.next()) is not None:
                newest = picture
            # With a picture in hand, more is read only where a whole one waits: what is awaited comes to the next call.
            if newest is not None and (taken >= _MOST_AT_ONCE or not answer.waits(len(newest))):
                return newest
            chunk = answer.more(until)
            if not chunk:
                raise SourceError(f"{self._shown}: the stream ended")
            taken += len(chunk)
            pictures.feed(chunk)

    def _snapshot(self) -> bytes:
        left = self._due - monotonic()
        sleep(min(max(0.0, left), _LONGEST_SLEEP_S))
        if left > _LONGEST_SLEEP_S:
            raise NothingYet
        now = monotonic()
        self._due = (self._due if self._due > now - self._every_s else now) + self._every_s
        content = bytearray()
        with closing(self._answer or ask(self._address, self._timeout_s)) as answer:
            self._answer = None
            while chunk := answer.more(now + self._timeout_s):
                content += chunk
                if len(content) > _LARGEST:
                    raise SourceError(f"{self._shown}: over {_LARGEST >> 20} MiB: not a camera's picture")
        if not _is_picture(content) and not answer.kind.startswith("image/"):
            raise PictureError(f"{self._shown} gave {answer.kind} in place of a picture")
        return bytes(content)

    def close(self) -> None:
        """Hang up."""
        for part in (self._answer, self._stream):
            if part is not None:
                part.close()
        self._read = self._answer = self._stream = None


_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)  # in a scan: not a stuffed byte, not a restart
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEADERS = re.compile(rb"(?:\r?\n)?--[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*(?:\r?\n)?\Z")
"""Boundary, headers and empty line of a part, where they are the end of what was received."""
_LONGEST_HEADERS = 4096


def _is_picture(content: bytes | bytearray) -> bool:
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return webp or content.startswith((_START, b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"))


def with_end(content: bytes) -> bytes:
    """A JPEG with its end marker, which some cameras leave out; `read_rgb` sees whether its last row is there.

    A progressive one is left as it is: whether all of it is there does not show.
    """
    if content.startswith(_START) and not content.rstrip(b"\0\r\n").endswith(_END):
        with suppress(Exception), Image.open(BytesIO(content)) as picture:  # `read_rgb` says what is wrong with it
            return content if picture.info.get("progressive") else content + _END
    return content


class JpegCutter:
    """Takes the bytes of a multipart stream as they arrive, gives its JPEGs as they are whole.

    It goes by the structure of JPEG, whatever the boundary is said to be, and one inside a picture is no end of it. A
    picture without its end marker ends where the next one begins, or after the bytes that its Content-Length says.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        # Up to where the picture was followed, with which what is held begins, 0 for no picture; whether that is within
        # compressed data; how many bytes it is said to have.
        self._at, self._scan, self._length = 0, False, 0

    def feed(self, chunk: bytes) -> None:
        """Take what came."""
        self._held += chunk

    def next(self) -> bytes | None:
        """The next picture; None until more came; SourceError when one has no end."""
        held = self._held
        while True:
            if not self._at:
                start = held.find(_START)
                if start < 0:
                    del held[:-_LONGEST_HEADERS]
                    return None
                told = _LENGTH.findall(held[:start])
                self._at, self._scan, self._length = 2, False, int(told[-1]) if told else 0
                del held[:start]
            end = self._follow()
            # Only where a boundary may follow: some cameras say a length that is none.
            after = bytes(held[self._length : self._length + 4])
            if end is None and 0 < self._length <= len(held) and b"\r\n--".startswith(after):
                end = self._length
            if end is None:
                if len(held) > _LARGEST:
                    raise SourceError(f"a picture of over {_LARGEST >> 20} MiB in the stream: not a camera's")
                return None
            picture, self._at = bytes(held[:end]), 0
            del held[: end or len(_START)]
            if picture:
                headers = _HEADERS.search(picture, max(0, end - _LONGEST_HEADERS))
                return picture[: headers.start()] if headers and not picture.endswith(_END) else picture

    def _follow(self) -> int | None:
        # Follow the picture as far as it goes: where it ends, None when more is to come, 0 when it is none.
        held = self._held
        while True:
            if self._scan:
                marker = _MARKER.search(held, self._at)
                if marker is None:
                    self._at = max(self._at, len(held) - 1)
                    return None
                self._at, self._scan = marker.end() - 2, False
            while held[self._at : self._at + 2] == b"\xff\xff":  # fill bytes
                self._at += 1
            if len(held) < self._at + 2:
                return None
            kind = held[self._at + 1]
            if held[self._at] != 0xFF or kind == 0x00:
                return 0
            if kind in {0xD8, 0xD9}:  # the next one begins, or this one ends
                return self._at + 2 * (kind == 0xD9)
            size = int.from_bytes(held[self._at + 2 : self._at + 4], "big")
            if len(held) < self._at + max(4, 2 + size):
                return None
            if size < 2:
                return 0
            self._at += 2 + size
            self._scan = kind == 0xDA


class Answer:
    """An open answer to one request, read with a deadline: a trickle is not endless."""

    def __init__(self, address: str, shown: str, header: str | None, until: float, timeout_s: float) -> None:
        """Send the request; `shown` names the address in messages, `header` is the Authorization."""
        self._shown, self._timeout_s, self._peeked = shown, timeout_s, b""
        parts = split_address(address)
        secure = parts.scheme.lower() == "https"
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme.lower()]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.target = quote(target, safe="/?%:@!$&'()*+,;=~[]", errors="surrogateescape")
        self._link = connect(host, port, shown, max(0.05, until - monotonic()))
        try:
            if secure:
                self._link = ssl.create_default_context().wrap_socket(self._link, server_hostname=host)
            connection = HTTPSConnection(host, port) if secure else HTTPConnection(host, port)
            connection.sock = self._link
            headers = {"User-Agent": "edge-nima", "Accept": "*/*", "Connection": "close"}
            headers |= {"Authorization": header} if header else {}
            connection.request("GET", self.target, headers=headers)
            self.response: HTTPResponse = connection.getresponse()
        except (HTTPException, OSError, ValueError) as error:
            self._link.close()
            raise SourceError(why_not(shown, error, timeout_s)) from None
        told = self.response.headers
        self.kind = told.get_content_type() if "content-type" in told else ""  # lower case, without its parameters

    def peek(self, until: float) -> bytes:
        """The first bytes, which `more` gives again."""
        begin = b""
        while len(begin.lstrip(b"\r\n\t ")) < 16 and (chunk := self.more(until)):
            begin += chunk
        self._peeked = begin
        return begin

    def more(self, until: float) -> bytes:
        """What comes next; b"" at the end. SourceError when the connection breaks or it is later than `until`."""
        peeked, self._peeked = self._peeked, b""
        if peeked or self.response.isclosed():
            return peeked
        try:
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError
            self._link.settimeout(left)
            return self.response.read1(_CHUNK)
        except TimeoutError as error:
            raise SourceError(f"{self._shown}: no frame for {self._timeout_s:g} s, though connected") from error
        except (HTTPException, OSError, ValueError) as error:
            raise SourceError(f"{self._shown}: the connection broke: {reason(error)}") from error

    def waits(self, size: int) -> bool:
        """Whether so many bytes have come and were not read, with what encrypts them."""
        try:
            self._link.settimeout(0)
            return len(socket.socket.recv(self._link, size, socket.MSG_PEEK)) >= size
        except OSError:
            return False

    def close(self) -> None:
        """Hang up."""
        self.response.close()
        self._link.close()


def ask(address: str, timeout_s: float) -> Answer:
    """Ask an address, with its user and password where it has them and is asked for them."""
    until = monotonic() + timeout_s
    parts = split_address(address)
    given = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    shown, header, redirects = without_password(address), None, 0
    while True:
        answer = Answer(address, shown, header, until, timeout_s)
        status, headers = answer.response.status, answer.response.headers
        if 200 <= status < 300:
            return answer
        answer.close()
        location = headers.get("Location")
        if status in {301, 302, 303, 307, 308} and location and redirects < 5:
            target = urljoin(address, location)
            there = urlsplit(target)
            if not takes([target], False) or not there.hostname:
                raise SourceError(f"{shown}: it sends us to {without_password(target)}")
            if there.hostname != parts.hostname or there.scheme.lower() < parts.scheme.lower():
                given = None  # a password is for the host that it was given for, and not in the clear after https
            address, header, redirects = target, None, redirects + 1
        elif status == 401 and given is not None and header is None:
            header = authorization(headers.get_all("WWW-Authenticate") or [], given, answer.target)
            if header is None:
                raise SourceError(f"{shown}: 401, it asks for a password in a way that is unknown here")
        else:
            refused = None if given is None else "it refuses the user or the password"
            meanings = {
                401: refused or "it asks for a password: http://USER:PASSWORD@HOST/…",
                403: refused or "it refuses us",
                404: "there is no such path; the camera's manual names it",
            }
            raise SourceError(f"{shown}: {status}, {meanings.get(status, answer.response.reason)}")


def authorization(challenges: Sequence[str], given: tuple[str, str], target: str) -> str | None:
    """The answer to the `WWW-Authenticate` headers (RFC 7616, RFC 7617): Digest before Basic, SHA-256 before MD5.

    One header may hold several challenges; `given` is user and password, `target` path and query of the GET request.
    None when no challenge is of these kinds.
    """
    digests: dict[str, dict[str, str]] = {}
    basic = False
    for header in challenges:
        for one in re.split(r",\s*(?=[A-Za-z][\w-]*\s+[\w-]+\s*=)", header):
            scheme, _, values = one.strip().partition(" ")
            offer = parse_keqv_list([value for value in parse_http_list(values) if re.match(r"[^=]+=.", value)])
            basic = basic or scheme.lower() == "basic"
            if scheme.lower() == "digest":
                digests.setdefault(offer.get("algorithm", "MD5").upper(), offer)
    asked = digests.get("SHA-256") or digests.get("MD5")
    if asked is None:
        return f"Basic {b64encode(':'.join(given).encode()).decode()}" if basic else None
    function = hashlib.sha256 if "SHA-256" in digests else hashlib.md5

    def digest(*parts: str) -> str:
        return function(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    realm, nonce, client = asked.get("realm", ""), asked.get("nonce", ""), os.urandom(8).hex()
    with_qop = "auth" in [word.strip() for word in asked.get("qop", "").split(",")]
    middle = (nonce, "00000001", client, "auth") if with_qop else (nonce,)
    response = digest(digest(given[0], realm, given[1]), *middle, digest("GET", target))
    user = re.sub(r'(["\\])', r"\\\1", given[0])
    shown = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}", response="{response}"'
    shown += f", algorithm={asked['algorithm'].upper()}" if "algorithm" in asked else ""
    shown += f', qop=auth, nc=00000001, cnonce="{client}"' if with_qop else ""
    return shown + (f', opaque="{asked["opaque"]}"' if "opaque" in asked else "")
