"""multipart/x-mixed-replace, as cameras write it: pictures after each other, with and without their lengths."""

from __future__ import annotations

from edge_nima.errors import SourceError

LARGEST_PART = 32 << 20
_LARGEST_HEAD = 16 << 10


class Parts:
    """Takes bytes as they arrive, gives parts as they are whole. Holds at most one part and what came with it."""

    def __init__(self, boundary: str, largest: int = LARGEST_PART) -> None:
        """Take the boundary that the content type names.

        Args:
            boundary: cameras put the two dashes before it here, there, in both or in neither place.
            largest: bytes; a longer part is no picture.

        Raises:
            SourceError: there is none.
        """
        bare = boundary.strip().strip('"').lstrip("-")
        if not bare:
            raise SourceError("a multipart stream without a boundary: it cannot be taken apart")
        self._mark = bare.encode("latin-1", "replace")
        self._largest = largest
        self._held = bytearray()
        self._head = False
        """Whether what is held begins with a part's headers."""
        self._body_at = -1
        """Where the body begins, once its headers are whole."""
        self._length: int | None = None
        self._looked = 0
        """Up to where there is no boundary."""

    def feed(self, chunk: bytes) -> None:
        """Take what came."""
        self._held += chunk

    def next(self) -> bytes | None:
        """The next whole part's content; None until more came.

        Raises:
            SourceError: a part without an end.
        """
        while True:
            if not self._head and not self._find_mark():
                return None
            if self._body_at < 0 and not self._find_body():
                return None
            part = self._take()
            if part is None:
                self._limit(self._largest + _LARGEST_HEAD, "a part")
            elif not part:  # "--boundary--", or a keep-alive
                continue
            return part

    def _limit(self, most: int, what: str) -> None:
        if len(self._held) > most:
            raise SourceError(f"{what} of the multipart stream is over {most >> 10} KiB: not a camera's pictures")

    def _find_mark(self) -> bool:
        """Drop what is before the next part's headers."""
        at = self._held.find(self._mark)
        if at < 0:
            del self._held[: max(0, len(self._held) - len(self._mark))]
            return False
        line_end = self._held.find(b"\n", at)
        if line_end < 0:
            del self._held[:at]
            self._limit(_LARGEST_HEAD, "a boundary")
            return False
        del self._held[: line_end + 1]
        self._head, self._body_at = True, -1
        return True

    def _find_body(self) -> bool:
        # A part may have no headers at all: then its empty line comes first.
        for empty in (b"\r\n", b"\n"):
            if self._held.startswith(empty):
                self._begin_body(b"", len(empty))
                return True
        ends = [(at, len(end)) for end in (b"\r\n\r\n", b"\n\n") if (at := self._held.find(end)) >= 0]
        if not ends:
            self._limit(_LARGEST_HEAD, "the head of a part")
            return False
        at, size = min(ends)
        self._begin_body(bytes(self._held[:at]), at + size)
        return True

    def _begin_body(self, head: bytes, at: int) -> None:
        self._length = None
        for line in head.splitlines():
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                self._length = int(value)
        if self._length is not None and self._length > self._largest:
            raise SourceError(f"a part of {self._length >> 20} MiB in the multipart stream: not a camera's picture")
        self._body_at = self._looked = at

    def _take(self) -> bytes | None:
        if self._length is not None:
            end = self._body_at + self._length
            if len(self._held) < end:
                return None
            after = end
        else:
            at = self._held.find(self._mark, max(self._body_at, self._looked - len(self._mark)))
            if at < 0:
                self._looked = len(self._held)
                return None
            end = after = at
            while end > self._body_at and self._held[end - 1] == 0x2D:  # the dashes before it
                end -= 1
            if self._held[self._body_at : end].endswith(b"\r\n"):
                end -= 2
            elif self._held[self._body_at : end].endswith(b"\n"):
                end -= 1
        part = bytes(self._held[self._body_at : end])
        del self._held[:after]
        self._head, self._body_at = False, -1
        return part
