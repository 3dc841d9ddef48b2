"""A Raspberry Pi's camera through picamera2: a small stream to score, a large one to save. Named in this file only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from importlib import import_module
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.errors import PackageMissing, RequestError, SourceError, reason
from edge_nima.frames import Frame
from edge_nima.frames.buffers import BufferPool

Pixels = NDArray[np.uint8]

log = logging.getLogger("edge_nima.frames")

_MAIN = (1920, 1080)
_LORES_EDGE = 640
"""Longest edge of the stream that is scored: what the bundled model would reduce a larger one to."""
_BUFFERS = 6
_MOST_HELD = 3
"""Requests that frames may hold at once. The camera stalls when all are held."""


class PicameraSource:
    """A camera of picamera2. A frame holds its request, so that `full` needs no copy before it is asked for."""

    live = True

    def __init__(
        self, number: int = 0, *, width: int | None = None, height: int | None = None, fps: float | None = None,
        timeout_s: float = 10.0, label: str | None = None,
    ) -> None:  # fmt: skip
        """Take a camera.

        Args:
            number: which, from 0, as `edge-nima cameras` lists them.
            width: of the picture that is saved, pixels; None for 1920.
            height: the same; None for 1080.
            fps: frames a second; None for 30 or what the light allows.
            timeout_s: without a frame for so long it is lost, seconds.
            label: its name in records; None for "picamera" and the number.

        Raises:
            RequestError: a number or a rate that cannot be.
        """
        if number < 0:
            raise RequestError(f"picamera2:{number}; possible: picamera2:0 and more")
        if fps is not None and not fps > 0:
            raise RequestError(f"fps is {fps}; possible: a number above 0")
        # Both streams want even sizes.
        self._size = (width or _MAIN[0]) // 2 * 2, (height or _MAIN[1]) // 2 * 2
        self._number, self._fps, self._timeout_s = number, fps, timeout_s
        self.label = label or f"picamera{number or ''}"
        self._pool = BufferPool()
        self._camera: Any = None
        self._streams: dict[str, dict[str, Any]] = {}
        self._held = _Held()

    def open(self) -> None:
        """Begin.

        Raises:
            SourceError: no such camera, in use, or it cannot do this size.
            PackageMissing: picamera2 is not installed.
        """
        self.close()
        infos = camera_infos()
        if self._number >= len(infos):
            there = (
                f"picamera2 finds {len(infos)}"
                if infos
                else "picamera2 finds none: check the ribbon cable, rpicam-hello"
            )
            raise SourceError(f"no camera picamera2:{self._number}; {there}")
        try:
            self._camera = _picamera2().Picamera2(self._number)
            self._begin()
        except Exception as error:  # libcamera's come as RuntimeError, IndexError, OSError and others
            self.close()
            busy = "it is in use by another program" if _is_busy(error) else reason(error)
            raise SourceError(f"picamera2:{self._number} does not open: {busy}") from error

    def _begin(self) -> None:
        width, height = self._size
        share = min(1.0, _LORES_EDGE / max(width, height))
        lores = max(2, round(width * share / 2) * 2), max(2, round(height * share / 2) * 2)
        controls = {}
        if self._fps is not None:
            interval = round(1e6 / self._fps)
            controls["FrameDurationLimits"] = (interval, interval)
        config = self._camera.create_video_configuration(
            main={"size": (width, height), "format": "BGR888"},
            lores={"size": lores, "format": "YUV420"},
            # Full range, BT.601, sRGB: what a JPEG has. Left out, a large main stream makes it limited-range Rec709.
            colour_space=import_module("libcamera").ColorSpace.Sycc(),
            buffer_count=_BUFFERS,
            controls=controls,
            display=None,
            encode=None,
        )
        self._camera.configure(config)
        given = self._camera.camera_configuration()
        self._streams = {name: dict(given[name]) for name in ("main", "lores")}
        for stream in self._streams.values():
            if stream["format"] not in _READERS:
                raise SourceError(f"it gives {stream['format']}; possible: {', '.join(_READERS)}")
        self._held = _Held()
        self._camera.start()

    def read(self) -> Frame | None:
        """Wait for the next frame.

        Raises:
            SourceError: none came in time.
        """
        if self._camera is None:
            raise SourceError(f"picamera2:{self._number} is not open")
        try:
            job = self._camera.capture_request(wait=False)
            request = job.get_result(timeout=self._timeout_s)
        except TimeoutError as error:
            # Leaves the camera fit to be closed, and for no more.
            self._camera.cancel_all_and_flush()
            raise SourceError(
                f"picamera2:{self._number} gave no frame for {self._timeout_s:g} s; is the ribbon cable loose?"
            ) from error
        except Exception as error:
            raise SourceError(f"picamera2:{self._number} stopped: {reason(error)}") from error
        return self._frame(_Request(request, self._held))

    def _frame(self, request: _Request) -> Frame:
        try:
            at, mono = _taken(request.metadata())
            lores = self._streams["lores"]
            width, height = lores["size"]
            buffer, give_back = self._pool.take(height, width)
            _READERS[lores["format"]](request.array("lores"), (width, height), buffer)
            if self._held.count > _MOST_HELD:
                # Its buffers are needed to go on: whoever holds so many frames gets copies.
                main = self._main(request)
                request.release()
                return Frame(buffer, self.label, at, mono, lambda: main, give_back)
        except Exception as error:
            request.release()
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"picamera2:{self._number} gave a broken frame: {reason(error)}") from error

        def close() -> None:
            request.release()
            give_back()

        return Frame(buffer, self.label, at, mono, lambda: self._main(request), close)

    def _main(self, request: _Request) -> Pixels:
        main = self._streams["main"]
        width, height = main["size"]
        out = np.empty((height, width, 3), np.uint8)
        _READERS[main["format"]](request.array("main"), (width, height), out)
        return out

    def close(self) -> None:
        """Let go of the camera. Frames that are still held keep their small picture; their full one is gone."""
        camera, self._camera = self._camera, None
        self._held.all_gone()
        if camera is not None:
            try:
                camera.close()
            except Exception as error:  # what there is to be closed is closed; the next `open` says what is wrong
                log.warning("picamera2:%d did not close: %s", self._number, reason(error))


class _Held:
    """Counts the requests that frames hold, of one run of the camera."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.count = 0
        self.over = False

    def all_gone(self) -> None:
        with self.turn:
            self.over = True


class _Request:
    """A request of picamera2, released once, by any thread, and not after its camera was closed."""

    def __init__(self, request: Any, held: _Held) -> None:
        self._request, self._held = request, held
        with held.turn:
            held.count += 1

    def metadata(self) -> dict[str, Any]:
        return dict(self._request.get_metadata())

    def array(self, stream: str) -> Pixels:
        with self._held.turn:
            if self._request is None or self._held.over:
                raise SourceError("the frame was closed, or its camera; its full picture is gone")
            made: Pixels = self._request.make_array(stream)
            return made

    def release(self) -> None:
        with self._held.turn:
            request, self._request = self._request, None
            if request is None:
                return
            self._held.count -= 1
            if not self._held.over:
                request.release()


def _taken(metadata: dict[str, Any]) -> tuple[float, float]:
    """Wall-clock and monotonic time of the exposure. The sensor's stamp is nanoseconds since boot, sleep included."""
    stamp = metadata.get("SensorTimestamp")
    ago = clock_gettime(CLOCK_BOOTTIME) - stamp / 1e9 if isinstance(stamp, int) else 0.0
    ago = ago if 0 <= ago < 60 else 0.0
    return time() - ago, monotonic() - ago


def _from_rgb(array: Pixels, size: tuple[int, int], out: Pixels) -> None:
    np.copyto(out, array[: size[1], : size[0], :3])


def _from_bgr(array: Pixels, size: tuple[int, int], out: Pixels) -> None:
    np.copyto(out, array[: size[1], : size[0], 2::-1])


def yuv420_to_rgb(array: Pixels, size: tuple[int, int], out: Pixels, *, swapped: bool = False) -> None:
    """Planes of full-range BT.601 (sYCC) to RGB. OpenCV's conversions take them for limited range, 16..235.

    Args:
        array: uint8, shape (height * 3 / 2, stride): rows of Y, then of U and V at half the size, all padded.
        size: width and height, even.
        out: uint8, shape (height, width, 3), red first.
        swapped: V comes before U (YVU420).
    """
    width, height = size
    flat, stride = np.ascontiguousarray(array).reshape(-1), array.shape[1]
    half = (height // 2, stride // 2)
    planes = [
        flat[start : start + half[0] * half[1]].reshape(half)[:, : width // 2]
        for start in (height * stride, height * stride + half[0] * half[1])
    ]
    blue, red = planes[::-1] if swapped else planes
    chroma = [Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in (blue, red)]
    luma = Image.fromarray(np.ascontiguousarray(array[:height, :width]))
    # Pillow's YCbCr is JPEG's: full range, BT.601.
    np.copyto(out, np.asarray(Image.merge("YCbCr", (luma, *chroma)).convert("RGB")))


def _from_yvu420(array: Pixels, size: tuple[int, int], out: Pixels) -> None:
    yuv420_to_rgb(array, size, out, swapped=True)


_READERS: dict[str, Callable[[Pixels, tuple[int, int], Pixels], None]] = {
    # libcamera names formats as one 24-bit word, so that in memory the order is the other way round.
    "BGR888": _from_rgb,
    "RGB888": _from_bgr,
    "XBGR8888": _from_rgb,
    "XRGB8888": _from_bgr,
    "YUV420": yuv420_to_rgb,
    "YVU420": _from_yvu420,
}
"""How each format of a stream becomes RGB."""


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


def _picamera2() -> Any:
    try:
        return import_module("picamera2")
    except ImportError as error:
        told = "" if isinstance(error, ModuleNotFoundError) and error.name == "picamera2" else f" ({reason(error)})"
        raise PackageMissing(
            "the Raspberry Pi's camera needs picamera2: sudo apt install python3-picamera2, and a virtual environment "
            f"that sees it: python3 -m venv --system-site-packages .venv{told}"
        ) from error


def _is_busy(error: BaseException) -> bool:
    text = reason(error).lower()
    return "busy" in text or "in use" in text or "did not complete" in text
