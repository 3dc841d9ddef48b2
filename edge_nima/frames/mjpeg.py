"""Motion JPEG over HTTP, a snapshot address that is asked again and again, and whatever else an HTTP address gives."""

from __future__ import annotations

from time import monotonic, sleep

from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames.addresses import slug, split_address, without_password
from edge_nima.frames.multipart import LARGEST_PART, Parts
from edge_nima.frames.stream import StreamSource
from edge_nima.frames.web import Answer, Client
from edge_nima.pixels import read_rgb

_SNAPSHOTS_A_SECOND = 1.0
_LONGEST_SLEEP_S = 0.5
_MOST_AT_ONCE = 8 << 20
"""Bytes of one read: what came while the last picture was scored, and not all that a fast sender can send."""


class HttpSource:
    """An HTTP address. What it answers decides: a multipart stream, one JPEG, or video for FFmpeg."""

    live = True

    def __init__(
        self, address: str, *, fps: float | None = None, timeout_s: float = 10.0, label: str | None = None
    ) -> None:
        """Take an address.

        Args:
            address: http:// or https://, with user and password where needed.
            fps: how often a snapshot address is asked, a second; None for once.
            timeout_s: opening it, and each frame, takes at most so long, seconds.
            label: its name in records; None for the host's.

        Raises:
            RequestError: not such an address, or `fps` is not above 0.
        """
        self._parts = split_address(address)
        if self._parts.scheme.lower() not in {"http", "https"}:
            raise RequestError(f"'{without_password(address)}' is not http:// or https://")
        if fps is not None and not fps > 0:
            raise RequestError(f"fps is {fps}; possible: a number above 0")
        self._address, self._shown, self._timeout_s = address, without_password(address), timeout_s
        self._every_s = 1 / (fps or _SNAPSHOTS_A_SECOND)
        self.label = label or slug(self._parts.hostname or "", "http")
        self.skipped = 0
        """Pictures of a multipart stream that were too old before they were decoded."""
        self._client: Client | None = None
        self._answer: Answer | None = None
        self._pictures: Parts | None = None
        self._stream: StreamSource | None = None
        self._due = 0.0

    def open(self) -> None:
        """Begin.

        Raises:
            SourceError: refused, not found, no password, or nothing with pictures in it.
            PackageMissing: it is video, and OpenCV is not installed.
        """
        self.close()
        started = monotonic()
        self._client = Client(self._parts, self._timeout_s)
        answer = self._answer = self._client.ask()
        if answer.kind.startswith("multipart/"):
            self._pictures = Parts(answer.boundary)
        elif answer.kind.startswith("image/"):
            self._due = 0.0
        elif answer.kind in {"text/html", "application/json", "text/plain"} and answer.says_its_kind:
            kind = answer.kind
            self.close()
            raise SourceError(f"{self._shown} gives {kind}, no pictures; the camera's manual names the stream's path")
        else:
            self.close()
            left = max(1.0, self._timeout_s - (monotonic() - started))
            self._stream = StreamSource(self._address, timeout_s=left, label=self.label)
            self._stream.open()

    def read(self) -> Frame | None:
        """Wait for the next picture; None at the end of a film.

        Raises:
            PictureError: a truncated or damaged one.
            NothingYet: a snapshot's time has not come.
            SourceError: none came in time, or the connection broke.
        """
        if self._stream is not None:
            return self._stream.read()
        if self._client is None:
            raise SourceError(f"{self._shown} is not open")
        jpeg = self._newest() if self._pictures is not None else self._snapshot()
        at = monotonic()
        return Frame(read_rgb(jpeg), self.label, taken_mono=at)

    def _newest(self) -> bytes:
        """The last whole part of all that came."""
        assert self._answer is not None
        assert self._pictures is not None
        until = monotonic() + self._timeout_s
        newest = None
        taken = 0
        while True:
            while (part := self._pictures.next()) is not None:
                self.skipped += newest is not None
                newest = part
            # With a picture in hand, more is read only where a whole one waits: what is awaited comes to the next call.
            if newest is not None and (taken >= _MOST_AT_ONCE or self._answer.waiting() < len(newest)):
                return newest
            chunk = self._answer.more(until)
            taken += len(chunk)
            if chunk:
                self._pictures.feed(chunk)
            elif newest is not None:
                return newest
            else:
                raise SourceError(f"{self._shown}: the stream ended")

    def _snapshot(self) -> bytes:
        left = self._due - monotonic()
        if left > _LONGEST_SLEEP_S:
            sleep(_LONGEST_SLEEP_S)
            raise NothingYet
        sleep(max(0.0, left))
        assert self._client is not None
        now = monotonic()
        self._due = (self._due if self._due > now - self._every_s else now) + self._every_s
        answer, self._answer = self._answer or self._client.ask(), None
        try:
            if not answer.kind.startswith("image/"):
                raise PictureError(f"{self._shown} gave {answer.kind} in place of a picture")
            return answer.all(monotonic() + self._timeout_s, LARGEST_PART)
        finally:
            answer.close()

    def close(self) -> None:
        """Hang up."""
        if self._answer is not None:
            self._answer.close()
        if self._stream is not None:
            self._stream.close()
        self._answer = self._pictures = self._stream = self._client = None
