"""Camera buffers as phones hand them over, RGBA_8888 and YUV_420_888, to upright RGB.

The definition that the browser page and the Android app repeat: integers only, so that three languages give the same
bytes. A plane's rows lie `row_stride` bytes apart and its samples `pixel_stride`; what lies between is not picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.errors import PictureError
from edge_nima.sources.rotated import TURNS, turn

LAYOUTS = {"RGBA_8888": 1, "YUV_420_888": 3}
"""Android's names of the layouts, and how many planes each has."""


@dataclass(frozen=True)
class Matrix:
    """From Y, U, V to R, G, B, in steps of 1/65536 (ITU-R BT.601 and BT.709, by their Kr and Kb)."""

    y: int
    y_zero: int
    """What black is: 16 in limited range, 0 in full range."""
    rv: int
    gu: int
    gv: int
    bu: int

    @classmethod
    def of(cls, kr: float, kb: float, full: bool) -> Matrix:
        """The matrix of a standard's luma weights of red and blue."""
        kg = 1 - kr - kb
        luma, chroma = (1.0, 1.0) if full else (255 / 219, 255 / 224)
        rv, bu = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
        steps = [round(65536 * factor) for factor in (luma, rv, -bu * kb / kg, -rv * kr / kg, bu)]
        return cls(steps[0], 0 if full else 16, *steps[1:])


MATRICES: Mapping[str, Matrix] = {
    "bt601-full": Matrix.of(0.299, 0.114, full=True),
    "bt601-limited": Matrix.of(0.299, 0.114, full=False),
    "bt709-full": Matrix.of(0.2126, 0.0722, full=True),
    "bt709-limited": Matrix.of(0.2126, 0.0722, full=False),
}
"""Android's cameras give bt601-full (JFIF); a browser's video frames name theirs."""


@dataclass(frozen=True)
class Plane:
    """Where a plane's samples lie, in bytes."""

    offset: int
    row_stride: int
    pixel_stride: int


@dataclass(frozen=True)
class CameraBuffer:
    """One frame as it lies in memory."""

    data: bytes
    layout: str
    """A key of `LAYOUTS`."""
    width: int
    """Pixels, before it is turned."""
    height: int
    planes: tuple[Plane, ...]
    """One of RGBA (alpha is ignored), or Y, U, V in this order; U and V have half the sides, rounded up."""
    matrix: str | None = None
    """A key of `MATRICES`; None for RGBA."""
    rotation: int = 0
    """Degrees clockwise that make it upright: 0, 90, 180 or 270."""
    mirror: bool = False
    """Whether left and right are swapped after that."""

    def upright(self) -> Pixels:
        """The picture, uint8, shape (height, width, 3) after turning, red first.

        Raises:
            PictureError: there is no such layout, matrix or rotation, or the planes reach beyond the data.
        """
        if self.layout not in LAYOUTS or len(self.planes) != LAYOUTS[self.layout]:
            raise PictureError(f"{len(self.planes)} planes of {self.layout!r:.40}; possible: {LAYOUTS}")
        if self.rotation not in TURNS:
            raise PictureError(f"the buffer's rotation is {self.rotation}; possible: {', '.join(map(str, TURNS))}")
        rgb = self._rgba() if self.layout == "RGBA_8888" else self._yuv()
        return turn(rgb, self.rotation, self.mirror)

    def _rgba(self) -> Pixels:
        plane = self.planes[0]
        channels = [self._samples(plane, self.width, self.height, first) for first in range(3)]
        return np.stack(channels, axis=-1)

    def _yuv(self) -> Pixels:
        if self.matrix is None or self.matrix not in MATRICES:
            raise PictureError(f"the buffer's matrix is {self.matrix!r:.40}; possible: {', '.join(MATRICES)}")
        m = MATRICES[self.matrix]
        half = (self.width + 1) // 2, (self.height + 1) // 2
        # Widened before anything is subtracted; each chroma sample serves four pixels, none is interpolated.
        y = self._samples(self.planes[0], self.width, self.height).astype(np.int32)
        u, v = (
            np.repeat(np.repeat(self._samples(plane, *half), 2, 0), 2, 1)[: self.height, : self.width] - np.int32(128)
            for plane in self.planes[1:]
        )
        luma = m.y * (y - m.y_zero) + 32768
        channels = (luma + m.rv * v, luma + m.gu * u + m.gv * v, luma + m.bu * u)
        return np.stack([np.clip(channel >> 16, 0, 255) for channel in channels], axis=-1).astype(np.uint8)

    def _samples(self, plane: Plane, width: int, height: int, first: int = 0) -> NDArray[np.uint8]:
        rows = plane.offset + first + np.arange(height) * plane.row_stride
        where = rows[:, None] + np.arange(width) * plane.pixel_stride
        if where.size == 0 or where.min() < 0 or where.max() >= len(self.data):
            raise PictureError(
                f"{self.width}x{self.height} with a row stride of {plane.row_stride} does not fit a buffer of "
                f"{len(self.data)} bytes"
            )
        samples: NDArray[np.uint8] = np.frombuffer(self.data, np.uint8)[where]
        return samples
