"""A complete fake of picamera2 and libcamera: the methods that are called, and the real one's order of colours.

As the real one: formats are named as one 24-bit word, so that "BGR888" is red first in memory; planes of YUV420 are
padded to a stride; the colour space decides how YUV is made; a request is returned once, and the camera stalls when
all are held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from streams import scene

STRIDE = 64
"""What the hardware pads rows to, bytes."""
GARBAGE = 77
"""What is in the padding."""


class ColorSpace:
    """libcamera.ColorSpace, by name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def Sycc(cls) -> ColorSpace:
        return cls("sYCC")

    @classmethod
    def Rec709(cls) -> ColorSpace:
        return cls("Rec709")


class Job:
    """picamera2.job.Job."""

    def __init__(self) -> None:
        self._future: Future[Any] = Future()

    def get_result(self, timeout: float | None = None) -> Any:
        return self._future.result(timeout=timeout)


class CompletedRequest:
    """picamera2.request.CompletedRequest."""

    def __init__(self, camera: Picamera2, number: int) -> None:
        self.camera, self.number, self.ref_count = camera, number, 1
        self._stop_count = camera.stop_count

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1e9) - 30_000_000, "Lux": 200.0}

    def make_array(self, name: str) -> NDArray[np.uint8]:
        assert self.ref_count > 0, "a request that was released"
        assert not self.camera.closed, "a camera that was closed"
        self.camera.arrays_made.append(name)
        stream = self.camera.config[name]
        return encode(self.camera.picture, stream, self.camera.config["colour_space"].name)

    def release(self) -> None:
        assert not self.camera.closed, "the allocator is gone"
        self.ref_count -= 1
        assert self.ref_count == 0, "released twice"
        with self.camera.change:
            self.camera.held -= 1
            self.camera.change.notify_all()


def encode(picture: Callable[[int, int], NDArray[np.uint8]], stream: dict[str, Any], space: str) -> NDArray[np.uint8]:
    """The picture as the real one lays it out in memory."""
    width, height = stream["size"]
    rgb = picture(width, height)
    if stream["format"] == "BGR888":
        return rgb.copy()
    y, u, v = (np.asarray(plane).astype(float) for plane in Image.fromarray(rgb).convert("YCbCr").split())
    if space != "sYCC":  # limited range
        y, u, v = 16 + y * 219 / 255, 128 + (u - 128) * 224 / 255, 128 + (v - 128) * 224 / 255
    small = [plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for plane in (u, v)]
    stride = stream["stride"]
    flat = np.full(height * stride * 3 // 2, GARBAGE, np.uint8)
    flat[: height * stride].reshape(height, stride)[:, :width] = np.rint(y)
    half = flat[height * stride :].reshape(2, height // 2, stride // 2)
    for plane, place in zip(small, half, strict=True):
        place[:, : width // 2] = np.rint(plane)
    return flat.reshape(height * 3 // 2, stride)


class Picamera2:
    """picamera2.Picamera2. Class attributes are the bench a test sets up."""

    infos: list[dict[str, Any]] = []  # noqa: RUF012
    opened: list[Picamera2] = []  # noqa: RUF012
    open_error: Exception | None = None
    start_error: Exception | None = None
    formats: dict[str, str] = {}  # noqa: RUF012
    """What a stream is given in place of the format that was asked for."""
    picture: Callable[[int, int], NDArray[np.uint8]] = staticmethod(scene)

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return list(Picamera2.infos)

    def __init__(self, camera_num: int = 0, tuning: Any = None) -> None:
        if Picamera2.open_error is not None:
            raise Picamera2.open_error
        if camera_num >= len(Picamera2.infos):
            raise IndexError("list index out of range")
        self.camera_num = camera_num
        self.config: dict[str, Any] = {}
        self.started = self.closed = self.cancelled = False
        self.stop_count = self.held = self.captured = 0
        self.stalled = threading.Event()
        self.interval_s = 0.005
        self.change = threading.Condition()
        self.arrays_made: list[str] = []
        Picamera2.opened.append(self)

    def create_video_configuration(
        self, main: Any = None, lores: Any = None, raw: Any = None, transform: Any = None,
        colour_space: Any = None, buffer_count: int = 6, controls: Any = None, display: Any = "main",
        encode: Any = "main", queue: bool = True,
    ) -> dict[str, Any]:  # fmt: skip
        assert display is None or {"main": main, "lores": lores}[display]
        space = colour_space or ColorSpace.Rec709()
        return {
            "main": {"format": "XBGR8888", "size": (1280, 720)} | (main or {}),
            "lores": None if lores is None else {"format": "YUV420", "size": (640, 480)} | lores,
            "colour_space": space, "buffer_count": buffer_count, "controls": controls or {}, "queue": queue,
        }  # fmt: skip

    def configure(self, camera_config: dict[str, Any]) -> None:
        assert not self.started
        for name in ("main", "lores"):
            stream = camera_config[name]
            width, height = stream["size"]
            if width % 2 or height % 2:
                raise RuntimeError("width and height should be even")
            stream["format"] = Picamera2.formats.get(name, stream["format"])
            unit = 3 if stream["format"] == "BGR888" else 1
            stream["stride"] = -(-width * unit // STRIDE) * STRIDE
        self.config = camera_config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self, config: Any = None, show_preview: bool = False) -> None:
        if Picamera2.start_error is not None:
            raise Picamera2.start_error
        self.started = True

    def capture_request(self, wait: Any = None, signal_function: Any = None, flush: Any = None) -> Any:
        assert self.started
        assert wait is False
        job = Job()
        threading.Thread(target=self._complete, args=(job,), daemon=True).start()
        return job

    def _complete(self, job: Job) -> None:
        time.sleep(self.interval_s)
        with self.change:
            while self.stalled.is_set() or self.held >= self.config["buffer_count"]:
                if self.closed or self.cancelled:
                    return
                self.change.wait(0.02)
            self.held += 1
            self.captured += 1
        job._future.set_result(CompletedRequest(self, self.captured))

    def cancel_all_and_flush(self) -> None:
        self.cancelled = True

    def stop(self) -> None:
        self.started = False
        self.stop_count += 1

    def close(self) -> None:
        self.stop()
        self.closed = True


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    """The fake in place of picamera2 and libcamera, with two cameras."""
    import sys

    for name, content in (("picamera2", {"Picamera2": Picamera2}), ("libcamera", {"ColorSpace": ColorSpace})):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    bench = {
        "infos": [{"Model": "imx708", "Num": 0, "Id": "/base/i2c0"}, {"Model": "imx219", "Num": 1, "Id": "/base/i2c1"}],
        "opened": [], "open_error": None, "start_error": None, "formats": {}, "picture": staticmethod(scene),
    }  # fmt: skip
    for name, value in bench.items():
        monkeypatch.setattr(Picamera2, name, value)
    return Picamera2
