"""The live picture: taken over from the camera's loop in microseconds, made a JPEG elsewhere, once for all viewers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.frames import Frame
from edge_nima.watch.events import Scored
from edge_nima.web.latest import Latest

SIDE = 960
"""Of the live picture's longer side, pixels, at most."""
PICTURES_A_SECOND = 6
"""At most; fewer for many viewers."""
_SENT_A_SECOND = 96  # to all viewers together: what they cost is bounded, however many there are
_ROWS = 540  # of the copy, about: every second row of 1080
_QUALITY = 72

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A JPEG with the score of exactly that frame."""

    jpeg: bytes
    score: str
    """JSON, ASCII: what `score_fields` gives."""
    made_at: float
    """On the monotonic clock, seconds."""

    @property
    def age_s(self) -> float:
        """How old it is. Nobody looked for an hour, or nothing moved: then the newest one is old."""
        return monotonic() - self.made_at


def score_fields(scored: Scored) -> dict[str, Any]:
    """A score as the page reads it."""
    record = scored.record
    return {
        "mean": record.mean,
        "std": record.std,
        "distribution": None if record.distribution is None else [round(p, 5) for p in record.distribution],
        "taken_at": scored.taken_at,
        "age_ms": round(scored.age_ms, 1),
    }


class Live:
    """Takes frames on the camera loop's thread and gives pictures on the event loop's."""

    def __init__(self, viewers: Callable[[], int], clock: Callable[[], float] = monotonic) -> None:
        """`viewers` says how many look; while nobody does a frame costs that question."""
        self.pictures: Latest[Picture] = Latest()
        self._viewers = viewers
        self._clock = clock
        self._next = 0.0
        self._busy = False
        self._rows: NDArray[np.uint8] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._encoder: Executor | None = None

    def attach(self, loop: asyncio.AbstractEventLoop | None, encoder: Executor | None) -> None:
        """Where pictures go, and who makes them; None to end."""
        self._loop, self._encoder = loop, encoder

    def offer(self, scored: Scored, frame: Frame) -> None:
        """Take this frame if somebody looks and the one before is done. Copies at most every second row or so."""
        encoder = self._encoder
        if encoder is None or self._busy or not (viewers := self._viewers()):
            return
        now = self._clock()
        if now < self._next:
            return
        self._next = now + max(1 / PICTURES_A_SECOND, viewers / _SENT_A_SECOND)
        # Whole rows: copying those is ten times cheaper than picking pixels out of them.
        step = max(1, frame.rgb.shape[0] // _ROWS)
        rows = frame.rgb[::step]
        if self._rows is None or self._rows.shape != rows.shape:
            self._rows = np.empty(rows.shape, np.uint8)
        np.copyto(self._rows, rows)
        self._busy = True
        try:
            encoder.submit(self._encode, self._rows, frame.rgb.shape[:2], scored)
        except RuntimeError:  # closed in this moment
            self._busy = False

    def _encode(self, rows: NDArray[np.uint8], shape: tuple[int, int], scored: Scored) -> None:
        try:
            picture = Picture(_jpeg(rows, shape), json.dumps(score_fields(scored)), monotonic())
            loop = self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self.pictures.put, picture)
        except RuntimeError:
            _log.debug("the page's event loop is closed")
        except Exception:
            _log.exception("cannot make the page's live picture")
        finally:
            self._busy = False


def _jpeg(rows: NDArray[np.uint8], shape: tuple[int, int]) -> bytes:
    """Make a picture of some of a frame's rows, of the frame's own shape (height, width), within SIDE."""
    height, width = shape
    scale = min(1.0, SIDE / max(height, width), rows.shape[0] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    step = max(1, width // size[0])
    if step > 1:  # NumPy does this without holding Python up; Pillow would, while it takes over the pixels
        rows = np.ascontiguousarray(rows.view("V3")[:, ::step, 0]).view(np.uint8).reshape(rows.shape[0], -1, 3)
    image = Image.fromarray(rows)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
