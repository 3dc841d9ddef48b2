"""The one place between capture and scoring: it holds the newest frame and nothing else."""

from __future__ import annotations

import threading
from time import monotonic

from edge_nima.frames import Frame


class Slot:
    """A frame that was not taken when the next one comes is dropped and counted: no queue, so no growing age."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._change = threading.Condition()
        self._closed = False
        self.put_count = 0
        self.dropped = 0
        self.last_put = monotonic()
        """Monotonic time of the newest frame."""

    def put(self, frame: Frame) -> None:
        """Leave a frame, in place of one that nobody took."""
        with self._change:
            old, self._frame = self._frame, frame
            self.put_count += 1
            self.last_put = monotonic()
            self.dropped += old is not None
            self._change.notify_all()
        if old is not None:
            old.close()

    def put_in_step(self, frame: Frame, timeout: float) -> bool:
        """Leave a frame once the one before it is taken: nothing is dropped. False when that takes longer."""
        until = monotonic() + timeout
        with self._change:
            while self._frame is not None or self._closed:
                if self._closed or not self._change.wait(max(0.0, until - monotonic())):
                    return False
            self._frame = frame
            self.put_count += 1
            self.last_put = monotonic()
            self._change.notify_all()
        return True

    def take(self, timeout: float, not_before: float = 0.0) -> Frame | None:
        """Wait for a frame.

        Args:
            timeout: seconds to wait at most.
            not_before: monotonic time before which none is taken; the newest one then.

        Returns:
            A frame, or None.
        """
        until = monotonic() + timeout
        with self._change:
            while True:
                now = monotonic()
                if self._frame is not None and now >= not_before:
                    frame, self._frame = self._frame, None
                    self._change.notify_all()
                    return frame
                if now >= until or self._closed:
                    return None
                wake = until if self._frame is None else min(until, not_before)
                self._change.wait(max(0.0, wake - now))

    @property
    def empty(self) -> bool:
        """Whether no frame waits."""
        return self._frame is None

    def close(self) -> None:
        """Let everybody go who waits here; what it holds is given back."""
        with self._change:
            self._closed = True
            frame, self._frame = self._frame, None
            self._change.notify_all()
        if frame is not None:
            frame.close()
