"""A Raspberry Pi's camera through picamera2: a small stream to score, a large one to save. Named in this file only."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Sequence
from importlib import import_module
from time import monotonic, time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.errors import PackageMissing, SourceError, reason
from edge_nima.frame import Frame
from edge_nima.sources import BufferPool, SourceOptions, import_extra, slug
from edge_nima.sources.v4l2 import Camera

_FORMATS = {"main": "BGR888", "lores": "YUV420"}
"""Of the streams. libcamera names formats as one 24-bit word: in memory, red is first in BGR888."""
Pixels = NDArray[np.uint8]

log = logging.getLogger("edge_nima.sources")

ORDER = 1
POSSIBLE = "picamera2"
SOURCE = "PicameraSource"
_ADDRESS = re.compile(r"picamera2?(:\d{1,3})?")

_MAIN = (1920, 1080)
_LORES_EDGE = 640  # longest edge of the stream that is scored: what the bundled model reduces a larger one to
_BUFFERS = 6  # requests; the camera stalls when frames hold all of them


def takes(given: Sequence[str], wait: bool) -> bool:
    """ "picamera2", "picamera2:1"."""
    return len(given) == 1 and _ADDRESS.fullmatch(given[0]) is not None


class PicameraSource:
    """A camera of picamera2. A frame holds its request, so that `full` needs no copy before it is asked for."""

    drops = real_time = True

    def __init__(self, address: str = "picamera2", options: SourceOptions | None = None) -> None:
        """Take "picamera2", "picamera2:1"; width and height are those of the saved picture, 1920x1080 if None."""
        options = options or SourceOptions()
        self._number = int(address.partition(":")[2] or 0)
        # Both streams want even sizes.
        self._size = (options.width or _MAIN[0]) // 2 * 2, (options.height or _MAIN[1]) // 2 * 2
        self._fps, self._timeout_s = options.fps, options.timeout_s
        self.label = options.label or slug(f"{socket.gethostname()}-picamera{self._number}")
        self._pool = BufferPool()
        self._camera: Any = None
        self._main = self._lores = (0, 0)
        self._held: set[_Request] = set()
        self._turn = threading.Lock()

    def open(self) -> None:
        """Begin."""
        self.close()
        infos = camera_infos()
        if self._number >= len(infos):
            found = len(infos) or "none: check the ribbon cable, rpicam-hello"
            raise SourceError(f"no camera picamera2:{self._number}; picamera2 finds {found}")
        try:
            self._camera = _picamera2().Picamera2(self._number)
            self._begin()
        except Exception as error:  # libcamera's come as RuntimeError, IndexError, OSError and others
            self.close()
            why = reason(error)
            if any(word in why.lower() for word in ("busy", "in use", "did not complete")):
                why = "it is in use by another program"
            raise SourceError(f"picamera2:{self._number} does not open: {why}") from error

    def _begin(self) -> None:
        share = min(1.0, _LORES_EDGE / max(self._size))
        sizes = {"main": self._size, "lores": tuple(max(2, round(edge * share / 2) * 2) for edge in self._size)}
        interval = None if self._fps is None else round(1e6 / self._fps)
        config = self._camera.create_video_configuration(
            **{name: {"size": sizes[name], "format": kind} for name, kind in _FORMATS.items()},
            # Full range, BT.601, sRGB: what a JPEG has. Left out, a large main stream makes it limited-range Rec709.
            colour_space=import_module("libcamera").ColorSpace.Sycc(),
            buffer_count=_BUFFERS,
            controls={} if interval is None else {"FrameDurationLimits": (interval, interval)},
            display=None,
            encode=None,
        )
        self._camera.configure(config)
        given = self._camera.camera_configuration()
        for name, kind in _FORMATS.items():
            if given[name]["format"] != kind:
                raise SourceError(f"its {name} stream gives {given[name]['format']}; possible: {kind}")
        self._main, self._lores = given["main"]["size"], given["lores"]["size"]
        self._camera.start()

    def read(self) -> Frame | None:
        """Wait for the next frame."""
        shown = f"picamera2:{self._number}"
        if self._camera is None:
            raise SourceError(f"{shown} is not open")
        try:
            job = self._camera.capture_request(wait=False)
            request = _Request(job.get_result(timeout=self._timeout_s), self._held, self._turn)
        except TimeoutError as error:
            # Leaves the camera fit to be closed, and for no more.
            self._camera.cancel_all_and_flush()
            raise SourceError(f"{shown} gave no frame for {self._timeout_s:g} s; is the ribbon cable loose?") from error
        except Exception as error:
            raise SourceError(f"{shown} stopped: {reason(error)}") from error
        at, mono = _taken(request.request.get_metadata())
        (width, height), (full_width, full_height) = self._lores, self._main
        buffer, give_back = self._pool.take(height, width)
        yuv420_to_rgb(request.array("lores"), (width, height), buffer)

        def close() -> None:
            request.release()
            give_back()

        def full() -> Pixels:
            return request.array("main")[:full_height, :full_width].copy()

        return Frame(buffer, self.label, at, mono, full, close)

    def close(self) -> None:
        """Let go of the camera. Frames that are still held keep their small picture; their full one is gone."""
        camera, self._camera = self._camera, None
        with self._turn:
            for request in self._held:
                request.request = None
            self._held.clear()
        if camera is not None:
            try:
                camera.close()
            except Exception as error:  # what there is to be closed is closed; the next `open` says what is wrong
                log.warning("picamera2:%d did not close: %s", self._number, reason(error))


class _Request:
    """A request of picamera2, released once, by any thread, and not after its camera was closed."""

    def __init__(self, request: Any, held: set[_Request], turn: threading.Lock) -> None:
        self.request, self._held, self._turn = request, held, turn
        with turn:
            held.add(self)

    def array(self, stream: str) -> Pixels:
        with self._turn:
            if self.request is None:
                raise SourceError("the frame was closed, or its camera; its full picture is gone")
            made: Pixels = self.request.make_array(stream)
            return made

    def release(self) -> None:
        with self._turn:
            request, self.request = self.request, None
            if request is not None:
                self._held.discard(self)
                request.release()


def _taken(metadata: dict[str, Any]) -> tuple[float, float]:
    """Wall-clock and monotonic time of the exposure. The sensor's stamp is nanoseconds since boot, sleep included."""
    from time import CLOCK_BOOTTIME, clock_gettime  # not on Windows

    stamp = metadata.get("SensorTimestamp")
    ago = clock_gettime(CLOCK_BOOTTIME) - stamp / 1e9 if isinstance(stamp, int) else 0.0
    ago = ago if 0 <= ago < 60 else 0.0
    return time() - ago, monotonic() - ago


def yuv420_to_rgb(array: Pixels, size: tuple[int, int], out: Pixels) -> None:
    """Planes of full-range BT.601 (sYCC) to RGB. OpenCV's conversions take them for limited range, 16..235.

    `array` is uint8, shape (height * 3 / 2, stride): rows of Y, then of U and of V at half the size, all padded; `size`
    is the even width and height, `out` uint8, shape (height, width, 3), red first.
    """
    width, height = size
    planes = np.ascontiguousarray(array[height:]).reshape(2, height // 2, -1)[..., : width // 2]
    chroma = [Image.fromarray(plane.copy()).resize(size, Image.Resampling.BILINEAR) for plane in planes]
    luma = Image.fromarray(np.ascontiguousarray(array[:height, :width]))
    # Pillow's YCbCr is JPEG's: full range, BT.601.
    np.copyto(out, np.asarray(Image.merge("YCbCr", (luma, *chroma)).convert("RGB")))


def camera_infos() -> list[dict[str, Any]]:
    """What picamera2 knows of each camera: Model, Id, Location, Rotation, in the order of their numbers.

    Raises:
        PackageMissing: picamera2 is not installed.
        SourceError: it cannot look.
    """
    try:
        return list(_picamera2().Picamera2.global_camera_info())
    except PackageMissing:
        raise
    except Exception as error:
        raise SourceError(f"picamera2 cannot list cameras: {reason(error)}") from error


def picamera_cameras() -> tuple[list[Camera], str | None]:
    """Cameras that picamera2 finds, and why there are none when it cannot tell."""
    try:
        infos = camera_infos()
    except (PackageMissing, SourceError) as error:
        return [], reason(error)
    return [
        Camera(f"picamera2:{number}" if number else "picamera2", str(info.get("Model", "camera")), "libcamera", True)
        for number, info in enumerate(infos)
    ], None


def _picamera2() -> Any:
    return import_extra(
        "picamera2",
        "the Raspberry Pi's camera needs picamera2: sudo apt install python3-picamera2, and a virtual environment that "
        "sees it: python3 -m venv --system-site-packages .venv",
    )
