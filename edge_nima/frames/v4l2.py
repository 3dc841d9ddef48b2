"""What a V4L2 device says of itself: four ioctls, asked without starting it. Linux only."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_CAPTURE, _CAPTURE_MPLANE, _STREAMING = 0x1, 0x1000, 0x04000000
_DEVICE_CAPS = 0x80000000
_WRITE, _READ = 1, 2
PI_DRIVERS = frozenset({"unicam", "rp1-cfe", "pispbe", "bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec"})
"""Of a Raspberry Pi's own camera and codecs: steps of libcamera's way, which give raw sensor data or none."""
_MOST = 200
"""Of a list that a driver never ends."""


@dataclass(frozen=True)
class Device:
    """A device node."""

    card: str
    """Its name: "HD Pro Webcam C920"."""
    driver: str
    bus: str
    captures: bool
    """Whether pictures come from it; a webcam's second node gives metadata alone."""


@dataclass(frozen=True)
class Mode:
    """One format at one size."""

    fourcc: str
    """"YUYV", "MJPG"."""
    width: int
    height: int
    fps: float | None
    """The highest rate, where the driver tells."""


def describe(fd: int) -> Device:
    """Ask an open device what it is.

    Raises:
        OSError: it is no V4L2 device.
    """
    answer = _ioctl(fd, _READ, 0, struct.calcsize("16s32s32sIII3I"), b"")
    driver, card, bus, _, caps, device_caps, *_ = struct.unpack("16s32s32sIII3I", answer)
    of_node = device_caps if caps & _DEVICE_CAPS else caps
    captures = bool(of_node & (_CAPTURE | _CAPTURE_MPLANE)) and bool(of_node & _STREAMING)
    return Device(_text(card), _text(driver), _text(bus), captures)


def is_busy(fd: int) -> bool:
    """Whether another program takes pictures from it now: asks for no buffers, which only the owner may."""
    try:
        _ioctl(fd, _READ | _WRITE, 8, 20, struct.pack("=IIIIB3x", 0, 1, 1, 0, 0))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def modes(fd: int) -> list[Mode]:
    """Formats and sizes of an open device; of a size that can be anything, its largest. Empty when it does not tell."""
    found = []
    for fourcc in _formats(fd):
        for width, height in _sizes(fd, fourcc):
            found.append(Mode(fourcc, width, height, _rate(fd, fourcc, width, height)))
    return found


def _formats(fd: int) -> Iterator[str]:
    for answer in _listed(fd, 2, "=III32sII3I", lambda index: (index, 1, 0, b"", 0, 0, 0, 0, 0)):
        yield struct.pack("<I", answer[4]).decode("ascii", "replace").strip()


def _sizes(fd: int, fourcc: str) -> Iterator[tuple[int, int]]:
    code = _code(fourcc)
    for answer in _listed(fd, 74, "=III6I2I", lambda index: (index, code, *[0] * 9)):
        kind, numbers = answer[2], answer[3:9]
        if kind == 1:
            yield numbers[0], numbers[1]
        else:  # from, to, step: width, then height
            yield numbers[1], numbers[4]
            return


def _rate(fd: int, fourcc: str, width: int, height: int) -> float | None:
    best = None
    code = _code(fourcc)
    for answer in _listed(fd, 75, "=IIIII6I2I", lambda index: (index, code, width, height, *[0] * 9)):
        above, below = answer[5], answer[6]  # the shortest interval, seconds, whether one of a list or of a range
        if above:
            best = max(best or 0.0, below / above)
        if answer[4] != 1:
            break
    return best


def _listed(fd: int, number: int, layout: str, asked: Callable[[int], tuple[Any, ...]]) -> Iterator[tuple[int, ...]]:
    for index in range(_MOST):
        try:
            answer = _ioctl(fd, _READ | _WRITE, number, struct.calcsize(layout), struct.pack(layout, *asked(index)))
        except OSError:  # that was the last, or it does not list
            return
        yield struct.unpack(layout, answer)


def _ioctl(fd: int, direction: int, number: int, size: int, content: bytes) -> bytes:
    from fcntl import ioctl

    return ioctl(fd, direction << 30 | size << 16 | ord("V") << 8 | number, content.ljust(size, b"\0"))


def _code(fourcc: str) -> int:
    return int.from_bytes(fourcc.ljust(4).encode("ascii", "replace"), "little")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """A device's file descriptor.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
