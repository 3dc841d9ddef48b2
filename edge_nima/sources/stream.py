"""Streams that FFmpeg reads, through PyAV: RTSP, RTMP, SRT, UDP, and video over HTTP. What videos need of PyAV, too."""

from __future__ import annotations

import errno
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from math import atan2, inf, pi
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import PictureError, RequestError, SourceError, reason
from edge_nima.frame import Frame
from edge_nima.sources import (
    BufferPool,
    SourceOptions,
    address_label,
    import_extra,
    split_address,
    without_password,
)
from edge_nima.sources.rotated import turn

ORDER = 3
POSSIBLE = "rtsp://… or http://…"
SOURCE = "StreamSource"

_UNCONNECTED = {"udp": 0, "rtp": 0, "srt": 0}
PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443, "tcp": 0, **_UNCONNECTED}
"""Schemes that are read, with the port where none is given; 0 for none."""
_LARGE = 1920 * 1088  # pixels; above, a frame is decoded by several threads, which delays it by a frame or more


def takes(given: Sequence[str], wait: bool) -> bool:
    """Every address."""
    return len(given) == 1 and "://" in given[0]


class StreamSource:
    """A stream. RTSP goes over TCP where the camera can: UDP loses packets, and a picture with holes gets a score."""

    drops = real_time = True

    def __init__(self, address: str, options: SourceOptions | None = None) -> None:
        """Take rtsp://, rtmp://, udp://, http:// and others (`PORTS`), with user and password where needed."""
        options = options or SourceOptions()
        self._shown = without_password(address)
        self._scheme = address.partition("://")[0].lower()
        if self._scheme not in PORTS:
            known = ", ".join(f"{name}://" for name in sorted(PORTS))
            raise RequestError(f"no source '{self._shown}'; possible: {known}")
        self._parts = split_address(address)
        self._address, self._timeout_s = address, options.timeout_s
        self.label = options.label or address_label(address, PORTS[self._scheme])
        self._pool = BufferPool()
        self._container: Any = None
        self._decoder: Decoder | None = None

    def open(self) -> None:
        """Begin."""
        self.close()
        av = import_av()
        started, port = monotonic(), self._parts.port or PORTS[self._scheme]
        if self._scheme not in _UNCONNECTED and port:  # FFmpeg does not tell an unknown host from a broken connection
            connect(self._parts.hostname or "", port, self._shown, self._timeout_s).close()
        left = max(0.5, self._timeout_s - (monotonic() - started))
        flags = {"rtsp_flags": "prefer_tcp"} if self._scheme in {"rtsp", "rtsps"} else {}
        try:
            self._container = av.open(self._address, timeout=(left, self._timeout_s), options=flags)
        except av.error.FFmpegError as error:
            late = monotonic() - started >= self._timeout_s * 0.95 or isinstance(error, av.error.ExitError)
            why = f"no picture came in {self._timeout_s:g} s" if late else self._why(av.error, error)
            connected = "connected, and " if late and self._scheme not in _UNCONNECTED else ""
            raise SourceError(f"{self._shown} does not open: {connected}{why}") from None
        if not can_decode(self._container):
            what = "video of a codec that is unknown here" if self._container.streams.video else "no video"
            self.close()
            raise SourceError(f"{self._shown} offers {what}; set the camera to H.264 or motion JPEG")
        self._decoder = Decoder(av, self._container, self._pool)

    def _why(self, errors: Any, error: Any) -> str:
        asks = f"it asks for a password: {self._scheme}://USER:PASSWORD@HOST/…"
        refuses = "it refuses the user or the password"
        meanings = {
            errors.HTTPUnauthorizedError: asks if self._parts.username is None else refuses,
            errors.HTTPForbiddenError: "it refuses us (403)",
            errors.HTTPNotFoundError: f"it has no stream '{self._parts.path}'; the camera's manual names the path",
            errors.InvalidDataError: "no video that can be decoded here comes from it; is the port right?",
        }
        # The whole text of an error names the address, and its password.
        return next((told for kind, told in meanings.items() if isinstance(error, kind)), str(error.strerror))

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end of a video that is fetched over HTTP."""
        if self._decoder is None:
            raise SourceError(f"{self._shown} is not open")
        av = self._decoder.av
        try:
            frame = self._decoder.next(monotonic() + self._timeout_s)
        except (TimeoutError, av.error.ExitError):
            raise SourceError(f"{self._shown}: no frame for {self._timeout_s:g} s, though connected") from None
        except av.error.FFmpegError as error:
            raise SourceError(f"{self._shown}: the stream broke: {error.strerror}") from None
        at = monotonic()
        if frame is None and self._decoder.began and self._container.duration:  # a file
            return None
        if frame is None:
            undecoded = f"no picture of it can be decoded ({self._decoder.codec})"
            raise SourceError(f"{self._shown}: {'the stream ended' if self._decoder.began else undecoded}")
        rgb, release = self._decoder.rgb(frame)
        return Frame(rgb, self.label, taken_mono=at, release=release)

    def close(self) -> None:
        """Hang up."""
        if self._container is not None:
            self._container.close()
        self._container = self._decoder = None


def import_av() -> Any:
    """PyAV, or PackageMissing."""
    return import_extra("av", "a stream or video needs PyAV: pip install 'edge-nima[camera]'")


def can_decode(container: Any) -> bool:
    """Whether there is video of a known codec in it: PyAV before 15 crashes when another is decoded."""
    return bool(container.streams.video) and container.streams.video[0].codec_context is not None


class Decoder:
    """The video of an open container, decoded frame by frame; upright RGB in buffers that are used again."""

    def __init__(self, av: Any, container: Any, pool: BufferPool, *, in_step: bool = False) -> None:
        """Take a container with video in it; `in_step` decodes ahead, where a delay is none."""
        self.av, self._pool = av, pool
        self.stream = container.streams.video[0]
        codec = self.stream.codec_context
        self.codec = str(codec.name)
        self.stream.thread_type = "AUTO" if in_step or codec.width * codec.height > _LARGE else "SLICE"
        codec.thread_count = 2  # of more, each holds frames of its own
        self._packets = container.demux(self.stream)
        self._decoded: deque[Any] = deque()  # by one packet
        self.began, self._orientation = False, (0, False)
        # One for all frames: it keeps what it has computed. And one thread, where that can be said.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._threads = {"threads": 1} if int(av.__version__.partition(".")[0]) >= 15 else {}

    def next(self, until: float = inf) -> Any | None:
        """The next frame, not yet converted; None at the end; `until` is the monotonic time at which it is too late.

        Raises PictureError where the next may be good; TimeoutError; av.error.FFmpegError where the connection broke.
        """
        while not self._decoded:
            packet = next(self._packets, None)
            if packet is None:
                return None
            if monotonic() > until:
                raise TimeoutError
            try:
                self._decoded.extend(packet.decode())
            except self.av.error.FFmpegError as error:
                if self.began:  # before, it has joined between two key frames
                    raise PictureError(f"a frame that cannot be decoded: {error.strerror}") from None
        frame = self._decoded.popleft()
        if not self.began:
            self.began, self._orientation = True, _orientation(frame, self.stream)
        if frame.is_corrupt:
            raise PictureError("a frame that cannot be decoded: parts of it are missing")
        return frame

    def rgb(self, frame: Any) -> tuple[NDArray[np.uint8], Callable[[], None]]:
        """What `next` gave as upright RGB, uint8, shape (height, width, 3), and what gives the buffer back."""
        plain = self._reformatter.reformat(frame, format="rgb24", **self._threads)
        plane, height, width = plain.planes[0], plain.height, plain.width
        rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, : width * 3].reshape(height, width, 3)
        rotate, mirror = self._orientation
        buffer, release = self._pool.take(*((width, height) if rotate % 180 else (height, width)))
        if rotate or mirror:
            turn(rows, rotate, mirror, buffer)
        else:
            np.copyto(buffer, rows)
        return buffer, release


def _orientation(frame: Any, stream: Any) -> tuple[int, bool]:
    # Degrees clockwise, then whether left and right are swapped, to make a video's frames upright. Phones write videos
    # as the sensor lies, and a matrix that takes (x, y) to (ax + cy, bx + dy), y downwards.
    for data in frame.side_data:
        if "DISPLAYMATRIX" in str(data.type):
            a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
            mirror = a * d - b * c < 0
            return round(atan2(b, -a if mirror else a) / (pi / 2)) % 4 * 90, mirror
    # PyAV before 13 with FFmpeg before 6.1 tells the stream's angle alone, counter-clockwise.
    told = getattr(stream, "side_data", None) or {}
    return round(-float(told.get("DISPLAYMATRIX", 0)) / 90) % 4 * 90, False


def connect(host: str, port: int, shown: str, timeout_s: float) -> socket.socket:
    """A TCP connection; SourceError says why there is none. `shown` is the address without a password."""
    try:
        return socket.create_connection((host, port), timeout_s)
    except (OSError, UnicodeError) as error:
        raise SourceError(why_not(shown, error, timeout_s)) from error


def why_not(shown: str, error: BaseException, timeout_s: float) -> str:
    """What a failed connection means, on one line."""
    if isinstance(error, OSError) and error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return f"{shown}: cannot be reached; is the camera on, and in this network?"
    no_host = "no such host; is its name right, and does this machine have a network?"
    certificate = "its certificate is not trusted; SSL_CERT_FILE=FILE.pem names it, or use http://"
    meanings: dict[type[BaseException], str] = {
        ssl.SSLCertVerificationError: certificate,
        socket.gaierror: no_host,
        UnicodeError: no_host,
        ConnectionRefusedError: "connection refused; nothing listens there: is the port right, and the camera on?",
        TimeoutError: f"no answer in {timeout_s:g} s; is the camera on, and in this network?",
    }
    return f"{shown}: {next((told for kind, told in meanings.items() if isinstance(error, kind)), reason(error))}"
