"""Where pictures come from: one protocol, and each kind of source (camera, stream, film, files) in its own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture with its name and the moment it was taken.

    Its pixels may be a buffer that is used again: they hold until `close`. Whoever wants them longer copies them.
    """

    rgb: NDArray[np.uint8]
    """uint8, shape (height, width, 3), red first, upright: what is scored."""
    name: str = "frame"
    taken_at: float = field(default_factory=time)
    """Wall-clock time, seconds since 1970 UTC: for people."""
    taken_mono: float = field(default_factory=monotonic)
    """Monotonic time, seconds: for intervals; no clock that is set moves it. Of a file that is read faster or slower
    than it was filmed: the time within the film."""
    larger: Callable[[], NDArray[np.uint8]] | None = None
    """Fetches the same moment at full resolution, where a camera has two streams; called before `close`."""
    release: Callable[[], None] | None = None
    """Gives the buffers back."""

    def full(self) -> NDArray[np.uint8]:
        """The picture as it is kept: full resolution, uint8, (height, width, 3), red first, upright."""
        return self.rgb if self.larger is None else self.larger()

    def close(self) -> None:
        """Give the buffers back to the source: the pixels are no longer this frame's."""
        if self.release is not None:
            self.release()


class NothingYet(Exception):  # no error: silence is normal there
    """No new frame within about half a second, from a source whose silence is normal: a folder that fills."""


class Source(Protocol):
    """Something that frames come from. Opened, read and closed by one thread, and opened again after a fault."""

    @property
    def label(self) -> str:
        """A short name for records and topics, made of [a-z0-9_-]: "video0", "garden"."""

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace and are lost when nobody takes them; False for files read in step."""

    def open(self) -> None:
        """Begin.

        Raises:
            SourceError: with what was given, what is possible and what to type.
        """

    def read(self) -> Frame | None:
        """Wait for the next frame, at most as long as the source's own timeout; None at the end (of a file).

        Raises:
            PictureError: this one frame is damaged; the next may be good.
            SourceError: the source is lost; `close` and `open` may bring it back.
            NothingYet: there is no new frame, and that is no fault.
        """

    def close(self) -> None:
        """End and let go of the device. Also when it is not open."""
