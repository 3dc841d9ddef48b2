"""Streams that FFmpeg, within OpenCV, reads: RTSP, RTMP, UDP, and video over HTTP."""

from __future__ import annotations

from time import monotonic

from edge_nima.errors import RequestError, SourceError
from edge_nima.frames import Frame
from edge_nima.frames.addresses import slug, split_address, without_password
from edge_nima.frames.buffers import BufferPool
from edge_nima.frames.opencv import Grabber, import_cv2
from edge_nima.frames.reach import connect
from edge_nima.frames.rtsp import ask_why

PORTS = {
    "rtsp": 554,
    "rtsps": 322,
    "rtmp": 1935,
    "rtmps": 443,
    "http": 80,
    "https": 443,
    "tcp": 0,
    "srt": 0,
    "udp": 0,
    "rtp": 0,
}
"""Schemes that are read, with the port where none is given; 0 for none."""
_UNCONNECTED = {"udp", "rtp", "srt"}


class StreamSource:
    """A stream. RTSP goes over TCP, unless OPENCV_FFMPEG_CAPTURE_OPTIONS says otherwise."""

    live = True

    def __init__(self, address: str, *, timeout_s: float = 10.0, label: str | None = None) -> None:
        """Take a stream.

        Args:
            address: rtsp://, rtsps://, rtmp://, udp://, http:// or https://, with user and password where needed.
            timeout_s: opening it, and each frame, takes at most so long, seconds.
            label: its name in records; None for the host's.

        Raises:
            RequestError: not such an address.
        """
        self._parts = split_address(address)
        if self._parts.scheme.lower() not in PORTS:
            raise RequestError(f"'{without_password(address)}': possible are {', '.join(sorted(PORTS))}")
        self._address, self._shown, self._timeout_s = address, without_password(address), timeout_s
        self.label = label or slug(self._parts.hostname or "", "stream")
        self._pool = BufferPool()
        self._grabber: Grabber | None = None
        self._frames = 0.0
        self._read = 0

    def open(self) -> None:
        """Begin.

        Raises:
            SourceError: refused, not found, no password, or nothing that can be decoded.
            PackageMissing: OpenCV is not installed.
        """
        self.close()
        cv2 = import_cv2(self._timeout_s)
        started = monotonic()
        scheme = self._parts.scheme.lower()
        port = self._parts.port or PORTS[scheme]
        if scheme not in _UNCONNECTED and port:
            connect(self._parts.hostname or "", port, self._timeout_s).close()
        left = max(0.5, self._timeout_s - (monotonic() - started))
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(left * 1e3)]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(self._timeout_s * 1e3)]
        capture = cv2.VideoCapture(self._address, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture.release()
            raise SourceError(f"{self._shown} does not open: {self._why(monotonic() - started)}")
        self._frames, self._read = float(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
        self._grabber = Grabber(cv2, capture, self._pool)

    def _why(self, took: float) -> str:
        if took >= self._timeout_s * 0.95:
            connected = "" if self._parts.scheme.lower() in _UNCONNECTED else "connected, and "
            return f"{connected}no picture came in {self._timeout_s:g} s"
        if self._parts.scheme.lower() in {"rtsp", "rtsps"}:
            return ask_why(self._parts, min(1.0, self._timeout_s))
        return "no video that can be decoded here comes from it"

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end of a film that is fetched over HTTP.

        Raises:
            PictureError: pixels of an unknown kind.
            SourceError: none came in time, or the stream ended.
        """
        if self._grabber is None:
            raise SourceError(f"{self._shown} is not open")
        started = monotonic()
        grabbed = self._grabber.grab()
        at = monotonic()
        raw = self._grabber.retrieve() if grabbed else None
        if raw is None:
            if at - started >= self._timeout_s * 0.95:
                raise SourceError(f"{self._shown}: no frame for {self._timeout_s:g} s, though connected")
            if 0 < self._frames <= self._read:
                return None
            if self._read == 0:  # it opens, and nothing of it can be decoded
                raise SourceError(f"{self._shown}: {self._why(0.0)}")
            raise SourceError(f"{self._shown}: the stream ended")
        self._read += 1
        rgb, release = self._grabber.rgb(raw)
        return Frame(rgb, self.label, taken_mono=at, release=release)

    def close(self) -> None:
        """Hang up."""
        if self._grabber is not None:
            self._grabber.release()
            self._grabber = None
