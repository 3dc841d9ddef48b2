"""What the page shows of each camera: live pictures, the last hour of scores, the status; and who is looking."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from math import floor
from time import monotonic, time
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.frame import Frame
from edge_nima.outputs import Context
from edge_nima.watch.events import Scored
from edge_nima.watch.fault_log import FaultLog

T = TypeVar("T")

PICTURE_WAIT_S = 5.0  # that a request for the next picture waits for one; so long one is wanted
STEP_S, STEPS = 10, 360  # of the last hour of scores
_EVERY_S = 1.0  # between two statuses
_SIDE = 960  # pixels, of a live picture's longer side at most
_MADE_A_SECOND = 6  # pictures, at most, of all cameras together
_SENT_A_SECOND = 96  # to all viewers together: what they cost is bounded, however many there are
_ROWS = 540  # of the copy, about: every second row of 1080
_QUALITY = 72


Point = tuple[int, float, float, float, int]
"""Which step of the clock, then the lowest, mean and highest score in it, and how many there were."""


class Latest(Generic[T]):
    """The newest of something, for readers of different speed: nothing piles up for the slow. For one event loop."""

    def __init__(self) -> None:
        self.number = 0  # of the value; 0 while there is none
        self.value: T | None = None
        self._changed = asyncio.Event()

    def put(self, value: T) -> None:
        """Replace it and wake those who wait."""
        self.number += 1
        self.value = value
        self.wake()

    def wake(self) -> None:
        """Wake those who wait, without anything new."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int, seconds: float) -> bool:
        """Wait until there is a newer one than `number`, or `wake`; False when there is still none."""
        if self.number <= number:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        return self.number > number


class History:
    """The lowest, mean and highest score of each ten seconds of the last hour. One thread adds, any reads.

    Counted on the monotonic clock: setting the machine's time moves nothing.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._points: dict[int, Point] = {}

    def now(self) -> float:
        """The clock, in steps."""
        return self._clock() / STEP_S

    def add(self, mean: float, ago_s: float = 0.0) -> None:
        """A score; the oldest first, nothing from before the last hour."""
        if not 0 <= ago_s < STEPS * STEP_S:
            return
        step = floor(self.now() - ago_s / STEP_S)
        _, low, average, high, count = self._points.get(step, (step, mean, mean, mean, 0))
        average += (mean - average) / (count + 1)
        self._points[step] = (step, min(low, mean), average, max(high, mean), count + 1)
        if len(self._points) > STEPS:
            del self._points[next(iter(self._points))]

    def points(self) -> list[Point]:
        """What there is of the last hour, oldest first; steps without a score are absent."""
        return [point for point in list(self._points.values()) if point[0] >= self.now() - STEPS]


Picture = tuple[bytes, str, float]
"""A JPEG, the score of exactly that frame as JSON, and when it was made, on the monotonic clock."""


def score_fields(scored: Scored) -> dict[str, Any]:
    """A score as the page reads it."""
    record = scored.record
    told = {"mean": record.mean, "std": record.std, "taken_at": scored.taken_at, "age_ms": round(scored.age_ms, 1)}
    return {**told, "distribution": record.distribution and [round(p, 5) for p in record.distribution]}


class CameraFeed:
    """The pictures and scores of one camera: taken over on the camera's thread, read on the event loop's."""

    def __init__(self, label: str, usual_s: float | None, feed: StatusFeed) -> None:
        """`usual_s`: the longest usual time between two scores; None where silence is normal."""
        self.label, self.usual_s = label, usual_s
        # Nobody waits for the next picture of a slow one: there always is one, also when nobody looks.
        self.slow = usual_s is None or usual_s > PICTURE_WAIT_S
        self.wanted_until = 0.0  # on the monotonic clock
        self.history = History()
        self.pictures: Latest[Picture] = Latest()
        self._feed = feed
        self._next, self._busy = 0.0, False

    def offer(self, scored: Scored, frame: Frame) -> None:
        """Take this frame if somebody looks and the one before is done. Copies at most every second row or so."""
        now = monotonic()
        wanted = now < self.wanted_until
        if self._busy or now < self._next or not (wanted or self.slow):
            return
        cameras = sum(now < camera.wanted_until for camera in self._feed.cameras.values())
        share = max(cameras / _MADE_A_SECOND, self._feed.viewers / _SENT_A_SECOND)
        self._next = now + (share if wanted else PICTURE_WAIT_S)
        self._busy = True
        # Whole rows: copying those is ten times cheaper than picking pixels out of them.
        rows = frame.rgb[:: max(1, frame.rgb.shape[0] // _ROWS)].copy()
        with suppress(RuntimeError):  # closed in this moment
            self._feed.encoder.submit(self._encode, rows, frame.rgb.shape[:2], scored)

    def _encode(self, rows: NDArray[np.uint8], shape: tuple[int, int], scored: Scored) -> None:
        try:
            picture = (_jpeg(rows, shape), json.dumps(score_fields(scored)), monotonic())
            self._feed.soon(self.pictures.put, picture)
        except Exception as error:  # the next one may be made
            self._feed.faults.mistake("cannot make the page's live picture", error)
        self._busy = False


def _jpeg(rows: NDArray[np.uint8], shape: tuple[int, int]) -> bytes:
    # A picture of some of a frame's rows, of the frame's own shape (height, width), within _SIDE.
    scale = min(1.0, _SIDE / max(shape), rows.shape[0] / shape[0])
    size = (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))
    buffer = io.BytesIO()
    Image.fromarray(rows).resize(size, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class StatusFeed:
    """The status of all cameras as JSON, once a second for all viewers together, and at once after a change."""

    def __init__(self, context: Context, most_viewers: int) -> None:
        """`most_viewers`: open pages at once."""
        self.viewers, self.most_viewers = 0, most_viewers
        """Open pages, each with a stream of events; and how many there may be."""
        self.closed, self.faults = False, FaultLog()
        self.encoder = ThreadPoolExecutor(1, "edge-nima-web-picture")
        self.loop: asyncio.AbstractEventLoop | None = None
        self.cameras = {label: CameraFeed(label, usual_s, self) for label, usual_s in context.cameras.items()}
        for label, camera in self.cameras.items():
            for taken_at, mean in context.recent(label):
                camera.history.add(mean, time() - taken_at)
        self.latest: Latest[str] = Latest()
        self.statuses = context.statuses
        self._gallery = 0  # grows when photographs come or go
        self._changes: Latest[None] = Latest()

    def soon(self, work: Callable[..., None], *values: Any) -> None:
        """Do this on the event loop's thread; nothing while there is none. From any thread."""
        if self.loop is not None:
            with suppress(RuntimeError):  # closed
                self.loop.call_soon_threadsafe(work, *values)

    def publish(self, gallery: bool = False) -> None:
        """Publish now; `gallery`: photographs came or went. On the event loop's thread, as the rest of this class."""
        self._gallery += gallery
        self._changes.put(None)

    async def run(self) -> None:
        """Publish while somebody looks, until cancelled."""
        while True:
            before = self._changes.number
            if self.viewers:
                try:
                    self.latest.put(json.dumps(self.fields()))
                except Exception as error:  # the page goes on, and shows that its numbers are old
                    self.faults.mistake("cannot give the page the cameras' status", error)
            await self._changes.after(before, _EVERY_S)

    def close(self) -> None:
        """Let all viewers go, and all requests end that wait for something."""
        self.closed = True
        self.latest.wake()
        for camera in self.cameras.values():
            camera.pictures.wake()

    def fields(self) -> dict[str, Any]:
        """The status of all cameras, as JSON takes it."""
        now, cameras = time(), []
        for status in self.statuses():
            camera, last = self.cameras[status.camera], status.last
            points = camera.history.points()
            told = asdict(replace(status, last=None))
            told["last"] = None if last is None else score_fields(last)
            told["age_s"] = None if last is None else round(max(0.0, now - last.taken_at), 2)
            told["step"], told["point"] = camera.history.now(), points[-1] if points else None
            cameras.append({**told, "usual_s": camera.usual_s})
        return {"now": now, "viewers": self.viewers, "gallery": self._gallery, "cameras": cameras}
