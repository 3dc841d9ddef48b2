"""Where pictures come from: files today; cameras, streams and video each in a file of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture with its name and the moment it was taken."""

    rgb: NDArray[np.uint8]
    """uint8, shape (height, width, 3), red first, upright."""
    name: str = "frame"
    taken_at: float = field(default_factory=time)
    """Wall-clock time, seconds since 1970 UTC."""
