"""OpenCV, quietly: its settings before it is first imported, and its captures read into buffers that stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import PackageMissing, PictureError, reason
from edge_nima.frames.buffers import BufferPool

Pixels = NDArray[np.uint8]


def import_cv2(v4l_timeout_s: float = 10.0) -> Any:
    """OpenCV, told to keep off stderr: a camera that stutters for months must not fill the journal.

    Args:
        v4l_timeout_s: how long a read of a V4L2 device may take, seconds. The first import decides.

    Raises:
        PackageMissing: it is not installed, or lacks a library.
    """
    settings = {
        "OPENCV_LOG_LEVEL": "SILENT",
        "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET
        # UDP loses packets without a word, and a picture with holes gets a score all the same.
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp",
        "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": str(max(1, int(v4l_timeout_s))),
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import cv2
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) and error.name == "cv2" else f" ({reason(error)})"
        raise PackageMissing(f"a camera, stream or film needs OpenCV: pip install 'edge-nima[camera]'{why}") from error
    return cv2


class Grabber:
    """One `cv2.VideoCapture` whose frames come as RGB, in buffers that are used again."""

    def __init__(self, cv2: Any, capture: Any, pool: BufferPool) -> None:
        """Take an opened capture and the pool its frames go to."""
        self._cv2, self._capture, self._pool = cv2, capture, pool
        self._raw: Pixels | None = None

    def grab(self) -> bool:
        """Go to the next frame; False when there is none."""
        return bool(self._capture.grab())

    def retrieve(self) -> Pixels | None:
        """The frame that was grabbed, as OpenCV has it: BGR, grey, or an undecoded JPEG. Holds until the next."""
        got, raw = self._capture.retrieve(self._raw)
        if not got or raw is None or raw.size == 0:
            return None
        self._raw = raw
        return raw  # type: ignore[no-any-return]

    def rgb(self, raw: Pixels) -> tuple[Pixels, Callable[[], None]]:
        """What `retrieve` gave, as RGB in a buffer of the pool, and what gives the buffer back.

        Raises:
            PictureError: pixels of a kind that no camera has.
        """
        channels = raw.shape[2] if raw.ndim == 3 else 1
        codes = {1: self._cv2.COLOR_GRAY2RGB, 3: self._cv2.COLOR_BGR2RGB, 4: self._cv2.COLOR_BGRA2RGB}
        if raw.dtype != np.uint8 or raw.ndim not in {2, 3} or channels not in codes:
            raise PictureError(f"a frame of shape {raw.shape}, {raw.dtype}; possible: grey, BGR or BGRA of 8 bits")
        buffer, release = self._pool.take(raw.shape[0], raw.shape[1])
        self._cv2.cvtColor(raw, codes[channels], dst=buffer)
        return buffer, release

    def release(self) -> None:
        """Let go of the capture."""
        self._capture.release()
