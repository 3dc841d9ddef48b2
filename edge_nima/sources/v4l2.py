"""A camera at /dev/videoN: what it says of itself by four ioctls, and its frames through OpenCV. Linux only."""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from edge_nima.decode import read_rgb
from edge_nima.errors import PictureError, SourceError, printable, reason
from edge_nima.frame import Frame
from edge_nima.sources import BufferPool, SourceOptions, import_extra, slug

ORDER = 0
POSSIBLE = "0 or /dev/video0"
SOURCE = "V4l2Source"
PI_STEP = "a part of the Raspberry Pi's own camera; watch picamera2"
PI_DRIVERS = frozenset({"unicam", "rp1-cfe", "pispbe", "bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec"})
"""Of a Raspberry Pi's own camera and codecs: steps of libcamera's way, which give raw sensor data or none."""
_JPEG = ("MJPG", "JPEG")
_USUAL_FPS = 30.0
_HELD = "; is it in use? fuser -v {} names the program"
_VIDEO_MAJOR = 81


def takes(given: Sequence[str], wait: bool) -> bool:
    """A number, and a node below /dev, there or not."""
    node = given[0].startswith("/dev/") and not os.path.isfile(given[0])
    return len(given) == 1 and (node or re.fullmatch(r"\d{1,3}", given[0]) is not None)


class V4l2Source:
    """A V4L2 camera. Its motion JPEG is decoded here, so that a truncated frame is no half-grey picture."""

    drops = real_time = True

    def __init__(self, device: str, options: SourceOptions | None = None) -> None:
        """Take a camera's number or its node's path. OpenCV has one timeout a process: the first camera's."""
        options = options or SourceOptions()
        self._path = f"/dev/video{int(device)}" if device.isdigit() else device
        self._width, self._height, self._fps = options.width, options.height, options.fps
        if options.enough and not options.width and not options.height:
            self._width, self._height = options.enough, options.enough * 3 // 4
        self._timeout_s = options.timeout_s
        self.label = options.label or slug(f"{socket.gethostname()}-{os.path.basename(os.path.realpath(self._path))}")
        self._pool = BufferPool()
        self._cv2: Any = None
        self._capture: Any = None
        self._raw: Any = None  # OpenCV's own buffer, used again where the next frame fits

    def open(self) -> None:
        """Begin."""
        self.close()
        cv2, shown = import_cv2(self._timeout_s), printable(self._path)
        self._cv2, listed = cv2, check_device(self._path)
        capture = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise SourceError(f"{shown} does not open{_HELD.format(shown)}; else unplug it, plug it in again")
        # Format, size and rate in this order: a camera takes each within what was set before.
        if prefers_jpeg(listed, self._width, self._height, self._fps):
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        # Of OpenCV's four buffers, each frame waits its turn and is older than it need be.
        asked = {"FRAME_WIDTH": self._width, "FRAME_HEIGHT": self._height, "FPS": self._fps, "BUFFERSIZE": 2}
        for name, value in asked.items():
            if value is not None:
                capture.set(getattr(cv2, f"CAP_PROP_{name}"), value)
        if int(capture.get(cv2.CAP_PROP_FOURCC)) in {cv2.VideoWriter.fourcc(*code) for code in _JPEG}:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._capture = capture

    def read(self) -> Frame | None:
        """Wait for the next frame."""
        shown = printable(self._path)
        if self._capture is None:
            raise SourceError(f"{shown} is not open")
        started = monotonic()
        got = self._capture.grab()
        at = monotonic()
        if got:  # BGR, grey or an undecoded JPEG
            got, raw = self._capture.retrieve(self._raw)
        if not got or raw is None or raw.size == 0:
            silent = f"gave no frame in {at - started:.1f} s"
            raise SourceError(f"{shown} {silent if os.path.exists(self._path) else 'is gone: unplugged?'}")
        self._raw = raw
        if raw.ndim < 2 or raw.shape[0] == 1:  # bytes, not rows of pixels
            return Frame(read_rgb(raw.tobytes()), self.label, taken_mono=at)
        cv2 = self._cv2
        code = {(): cv2.COLOR_GRAY2RGB, (1,): cv2.COLOR_GRAY2RGB, (3,): cv2.COLOR_BGR2RGB, (4,): cv2.COLOR_BGRA2RGB}
        if raw.dtype != np.uint8 or raw.shape[2:] not in code:
            raise PictureError(f"a frame of shape {raw.shape}, {raw.dtype}; possible: grey, BGR or BGRA of 8 bits")
        buffer, release = self._pool.take(raw.shape[0], raw.shape[1])
        cv2.cvtColor(raw, code[raw.shape[2:]], dst=buffer)
        return Frame(buffer, self.label, taken_mono=at, release=release)

    def close(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def prefers_jpeg(listed: list[Mode], width: int | None, height: int | None, fps: float | None) -> bool:
    """Whether to ask for motion JPEG: where it is faster at this size than pixels, and pixels are too slow.

    Of a camera that lists nothing, large pictures are asked for as JPEG. None stands for 640, 480 and 30.
    """
    size = (width or 640, height or 480)
    if not listed:
        return size[0] * size[1] > 640 * 480
    # A camera asked for a size it lacks takes a near one; the next larger listed stands for it.
    fit = [mode for mode in listed if mode.width >= size[0] and mode.height >= size[1]]

    def best(jpeg: bool) -> float:
        kind = [mode for mode in fit if (mode.fourcc in _JPEG) == jpeg and mode.fourcc not in {"H264", "HEVC", "H265"}]
        nearest = min(((mode.width, mode.height) for mode in kind), default=None)
        return max((mode.fps or _USUAL_FPS for mode in kind if (mode.width, mode.height) == nearest), default=0.0)

    return best(False) < min(fps or _USUAL_FPS, best(True)) * 0.95


def check_device(path: str) -> list[Mode]:
    """The formats and sizes of a device; SourceError says why it cannot be used, before OpenCV says nothing but no."""
    shown, advice = printable(path), "edge-nima cameras lists what is there"
    try:
        status = os.stat(path)
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != _VIDEO_MAJOR:
            raise SourceError(f"{shown} is not a video device; {advice}")
        with _opened(path) as device:
            name, driver, captures = describe(device.fileno())
            if driver in PI_DRIVERS:
                raise SourceError(f"{shown} is {PI_STEP}: {advice}")
            if not captures:
                raise SourceError(f"{shown} ({name}) gives no pictures, a metadata node say; {advice}")
            return modes(device.fileno())
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"no camera at {shown}; is it plugged in? {advice}") from None
    except PermissionError as error:
        raise SourceError(f"no permission for {shown}: sudo usermod -aG video $USER, then log in again") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot open {shown}: {reason(error)}{_HELD.format(shown)}") from error


def import_cv2(timeout_s: float) -> Any:
    """OpenCV, told to keep off stderr, and how long a read may take: the first import decides."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(max(1, int(timeout_s))))
    return import_extra("cv2", "a V4L2 camera needs OpenCV: pip install 'edge-nima[camera]'")


@dataclass(frozen=True)
class Mode:
    """One format of a camera at one size."""

    fourcc: str  # "YUYV", "MJPG"
    width: int
    height: int
    fps: float | None  # the highest rate, where the driver tells


@dataclass(frozen=True)
class Camera:
    """One thing that `edge-nima watch` may be given."""

    source: str  # what to type: "/dev/video0", "picamera2:1"
    name: str
    driver: str = ""
    captures: bool | None = None  # whether pictures come from it; None where that could not be asked
    readable: bool = True  # whether this user may open it
    problem: str | None = None  # why it cannot be used, on one line
    modes: tuple[Mode, ...] = field(default=(), repr=False)


def v4l2_cameras(root: str | os.PathLike[str] = "/") -> list[Camera]:
    """V4L2 devices in the order of their numbers, also those that give no pictures; /sys and /dev are below `root`."""
    found = []
    entries = Path(root).glob("sys/class/video4linux/video[0-9]*")  # none where the kernel has met no camera yet
    for entry in sorted(entries, key=lambda path: int(path.name[5:])):
        name, node, source = entry.name, Path(root) / "dev" / entry.name, f"/dev/{entry.name}"
        with suppress(OSError):
            name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        try:
            with _opened(node) as device:
                _, driver, captures = describe(device.fileno())
                problem = PI_STEP if driver in PI_DRIVERS else None
                listed = tuple(modes(device.fileno())) if captures else ()
                found.append(Camera(source, name, driver, captures, problem=problem, modes=listed))
        except OSError as error:
            readable = os.access(node, os.R_OK | os.W_OK)
            found.append(Camera(source, name, readable=readable, problem=reason(error)))
    return found


_CAPTURE, _STREAMING, _DEVICE_CAPS = 0x1001, 0x04000000, 0x80000000  # capture in one plane or several
_WRITE, _READ = 1, 2
_MOST = 200  # of a list that a driver never ends


def describe(fd: int) -> tuple[str, str, bool]:
    """An open device's name, driver, and whether it gives pictures: a webcam's second node gives metadata alone."""
    layout = "=16s32s32sIII3I"
    driver, card, _, _, caps, device_caps, *_ = _ioctl(fd, _READ, 0, layout, b"", b"", b"", *[0] * 6)
    of_node = device_caps if caps & _DEVICE_CAPS else caps
    name, module = (text.split(b"\0", 1)[0].decode("utf-8", "replace") for text in (card, driver))
    return name, module, bool(of_node & _CAPTURE) and bool(of_node & _STREAMING)


def modes(fd: int) -> list[Mode]:
    """Formats and sizes of an open device; of a size that can be anything, its largest. Empty when it does not tell."""
    found = []
    for _, _, _, _, code, *_ in _listed(fd, 2, "=III32sII3I", 1, 0, b"", *[0] * 5):
        fourcc = struct.pack("<I", code).decode("ascii", "replace").strip()
        for _, _, kind, *numbers in _listed(fd, 74, "=III6I2I", code, *[0] * 9):
            # A size, or from, to and step of the width, then of the height.
            width, height = (numbers[0], numbers[1]) if kind == 1 else (numbers[1], numbers[4])
            rate = None
            for answer in _listed(fd, 75, "=IIIII6I2I", code, width, height, *[0] * 9):
                above, below = answer[5], answer[6]  # the shortest interval, seconds: one of a list or of a range
                rate = max(rate or 0.0, below / above) if above else rate
                if answer[4] != 1:
                    break
            found.append(Mode(fourcc, width, height, rate))
            if kind != 1:
                break
    return found


def _listed(fd: int, number: int, layout: str, *asked: Any) -> Iterator[tuple[Any, ...]]:
    # The driver's answers to 0, 1, 2 ... with `asked` behind it; it fails after the last, or where it does not list.
    with suppress(OSError):
        for index in range(_MOST):
            yield _ioctl(fd, _READ | _WRITE, number, layout, index, *asked)


def _ioctl(fd: int, direction: int, number: int, layout: str, *content: Any) -> tuple[Any, ...]:
    from fcntl import ioctl

    size = struct.calcsize(layout)
    answer = ioctl(fd, direction << 30 | size << 16 | ord("V") << 8 | number, struct.pack(layout, *content))
    return struct.unpack(layout, answer)


def _opened(path: str | os.PathLike[str]) -> FileIO:
    return FileIO(path, "rb", opener=lambda path, _: os.open(path, os.O_RDWR | os.O_NONBLOCK))
