"""A camera at /dev/videoN, through OpenCV and V4L2."""

from __future__ import annotations

import errno
import grp
import os
import stat
from time import monotonic
from typing import Any

from edge_nima.errors import RequestError, SourceError, printable, reason
from edge_nima.frames import Frame, v4l2
from edge_nima.frames.addresses import slug
from edge_nima.frames.buffers import BufferPool
from edge_nima.frames.listing import PI_STEP, v4l2_cameras
from edge_nima.frames.opencv import Grabber, import_cv2
from edge_nima.pixels import read_rgb

_USUAL_FPS = 30.0
_VIDEO_MAJOR = 81


class DeviceSource:
    """A V4L2 camera. Its motion JPEG is decoded here, so that a truncated frame is no half-grey picture."""

    live = True

    def __init__(
        self, device: int | str, *, width: int | None = None, height: int | None = None, fps: float | None = None,
        timeout_s: float = 10.0, label: str | None = None,
    ) -> None:  # fmt: skip
        """Take a camera.

        Args:
            device: its number or the path of its node.
            width: pixels to ask for; it may give others.
            height: the same.
            fps: frames a second to ask for.
            timeout_s: without a frame for so long it is lost. OpenCV has one such time a process: the first's.
            label: its name in records; None for the node's.

        Raises:
            RequestError: a number below 0.
        """
        if isinstance(device, int) and device < 0:
            raise RequestError(f"camera {device}; possible: 0 and more")
        self._path = f"/dev/video{device}" if isinstance(device, int) else device
        self._width, self._height, self._fps, self._timeout_s = width, height, fps, timeout_s
        self.label = label or slug(os.path.basename(os.path.realpath(self._path)))
        self._pool = BufferPool()
        self._grabber: Grabber | None = None

    def open(self) -> None:
        """Begin.

        Raises:
            SourceError: no such device, no permission, in use, or not a camera.
            PackageMissing: OpenCV is not installed.
        """
        self.close()
        cv2 = import_cv2(self._timeout_s)
        listed = check_device(self._path)
        capture = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{printable(self._path)} does not open{_held_by(self._path)}; unplug it, plug it in again"
            )
        self._settle(cv2, capture, listed)
        self._grabber = Grabber(cv2, capture, self._pool)

    def _settle(self, cv2: Any, capture: Any, listed: list[v4l2.Mode]) -> None:
        """Ask for format, size and rate, in this order: a camera takes each within what was set before."""
        if prefers_jpeg(listed, self._width, self._height, self._fps):
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if self._width is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._width)
        if self._height is not None:
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._height)
        if self._fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._fps)
        # One frame in the driver, not four: each waits its turn and is older than it need be.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        if int(capture.get(cv2.CAP_PROP_FOURCC)) in {cv2.VideoWriter.fourcc(*"MJPG"), cv2.VideoWriter.fourcc(*"JPEG")}:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    def read(self) -> Frame | None:
        """Wait for the next frame.

        Raises:
            PictureError: a truncated JPEG, or pixels of an unknown kind.
            SourceError: none came, or it was unplugged.
        """
        if self._grabber is None:
            raise SourceError(f"{printable(self._path)} is not open")
        started = monotonic()
        grabbed = self._grabber.grab()
        at = monotonic()
        raw = self._grabber.retrieve() if grabbed else None
        if raw is None:
            if not os.path.exists(self._path):
                raise SourceError(f"{printable(self._path)} is gone: unplugged?")
            raise SourceError(f"{printable(self._path)} gave no frame in {at - started:.1f} s{_held_by(self._path)}")
        if raw.ndim < 2 or raw.shape[0] == 1:  # bytes, not rows of pixels
            return Frame(read_rgb(raw.tobytes()), self.label, taken_mono=at)
        rgb, release = self._grabber.rgb(raw)
        return Frame(rgb, self.label, taken_mono=at, release=release)

    def close(self) -> None:
        """Let go of the device."""
        if self._grabber is not None:
            self._grabber.release()
            self._grabber = None


def prefers_jpeg(listed: list[v4l2.Mode], width: int | None, height: int | None, fps: float | None) -> bool:
    """Whether to ask for motion JPEG: where it is faster at this size than pixels, and pixels are too slow.

    Args:
        listed: what the camera lists; of one that lists nothing, large pictures are asked for as JPEG.
        width: pixels; None for 640.
        height: pixels; None for 480.
        fps: the rate that is wanted; None for 30.
    """
    size = (width or 640, height or 480)
    jpeg = [mode for mode in listed if mode.fourcc in {"MJPG", "JPEG"}]
    if not listed:
        return size[0] * size[1] > 640 * 480
    if not jpeg:
        return False

    def best(modes: list[v4l2.Mode]) -> float:
        # A camera asked for a size it lacks takes a near one; the next larger listed stands for it.
        fit = [mode for mode in modes if mode.width >= size[0] and mode.height >= size[1]]
        nearest = min(((mode.width, mode.height) for mode in fit), default=None)
        return max((mode.fps or _USUAL_FPS for mode in fit if (mode.width, mode.height) == nearest), default=0.0)

    pixels = best([mode for mode in listed if mode not in jpeg and mode.fourcc not in {"H264", "HEVC", "H265"}])
    return pixels < min(fps or _USUAL_FPS, best(jpeg)) * 0.95


def check_device(path: str) -> list[v4l2.Mode]:
    """Find out why a device cannot be used, before OpenCV says nothing but no.

    Returns:
        The formats and sizes that it lists.

    Raises:
        SourceError: with the reason.
    """
    shown = printable(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise SourceError(f"no camera at {shown}; {_there_is()}") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot open {shown}: {reason(error)}") from error
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != _VIDEO_MAJOR:
        raise SourceError(f"{shown} is not a video device; {_there_is()}")
    try:
        with v4l2.opened(path) as fd:
            told = v4l2.describe(fd)
            if told.driver in v4l2.PI_DRIVERS:
                raise SourceError(f"{shown} is {PI_STEP}: edge-nima cameras lists what is there")
            if not told.captures:
                raise SourceError(f"{shown} ({told.card}) gives no pictures, a metadata node say; {_there_is(path)}")
            if v4l2.is_busy(fd):
                raise _busy(path)
            return v4l2.modes(fd)
    except SourceError:
        raise
    except PermissionError as error:
        raise SourceError(f"no permission for {shown}: {_allow(status)}") from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _busy(path) from error
        raise SourceError(f"cannot open {shown}: {reason(error)}{_held_by(path)}") from error


def _allow(status: os.stat_result) -> str:
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    if not status.st_mode & stat.S_IRGRP or group == "root":
        return (
            f"it belongs to root and group {group}; make it group video: sudo chgrp video NODE && sudo chmod 660 NODE"
        )
    return f"it is group {group}'s; sudo usermod -aG {group} $USER, then log in again"


def _busy(path: str) -> SourceError:
    return SourceError(f"{printable(path)} is busy{_held_by(path) or ': another program uses it'}; stop that first")


def _held_by(path: str) -> str:
    """ ": in use by NAME (pid N)" of the other processes that have it open, as far as /proc shows them."""
    held = holders(path)
    return f": in use by {', '.join(held)}" if held else ""


def holders(path: str, proc: str = "/proc") -> list[str]:
    """Other processes that have a file open: "NAME (pid N)". Those of other users show to root alone."""
    real, found = os.path.realpath(path), []
    for pid in os.listdir(proc) if os.path.isdir(proc) else ():
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            with os.scandir(f"{proc}/{pid}/fd") as entries:
                if not any(os.readlink(entry.path) == real for entry in entries):
                    continue
            with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
                found.append(f"{printable(file.read().strip())} (pid {pid})")
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def _there_is(but: str | None = None) -> str:
    found = [camera for camera in v4l2_cameras() if camera.captures is not False and camera.problem != PI_STEP]
    usable = [f"{camera.source} ({camera.name})" for camera in found]
    usable = [one for one in usable if but is None or not one.startswith(f"{but} ")]
    if not usable:
        return "there is no other; is it plugged in? edge-nima cameras lists what is there"
    return f"possible: {', '.join(usable[:6])}"
