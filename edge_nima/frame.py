"""A picture on its way from a camera, a film or a folder to its score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, time

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture with its name and the moment it was taken.

    Its pixels may be a buffer that is used again after `close`.
    """

    rgb: NDArray[np.uint8]  # shape (height, width, 3), red first, upright: what is scored
    name: str = "frame"
    taken_at: float = field(default_factory=time)  # wall-clock time, seconds since 1970 UTC: for people
    taken_mono: float = field(default_factory=monotonic)
    """Monotonic time, seconds, for intervals; of a video read faster or slower than it was filmed, the time in it."""
    larger: Callable[[], NDArray[np.uint8]] | None = None
    """Fetches the same moment at full resolution, where a camera has two streams; called before `close`."""
    release: Callable[[], None] | None = None  # gives the buffers back
    mark: int | None = None
    """Of a file in a watched folder: 64 bits, signed, for its path, size and time. The records remember them."""

    def full(self) -> NDArray[np.uint8]:
        """The picture as it is kept: full resolution, uint8, (height, width, 3), red first, upright."""
        return self.rgb if self.larger is None else self.larger()

    def close(self) -> None:
        """Give the buffers back to the source: the pixels are no longer this frame's."""
        if self.release is not None:
            self.release()
