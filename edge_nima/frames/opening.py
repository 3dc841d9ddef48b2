"""What a person types for a source, to the source."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from glob import has_magic

from edge_nima.errors import RequestError, printable
from edge_nima.frames import Source
from edge_nima.frames.addresses import slug, split_address, without_password
from edge_nima.frames.files import find_photographs, photograph_suffixes

POSSIBLE = (
    "0 or /dev/video0, picamera2, rtsp://… or http://…, a film, a folder that fills, photographs "
    "(edge-nima cameras lists what is there)"
)


def open_source(
    text: str | Sequence[str], *, width: int | None = None, height: int | None = None, fps: float | None = None,
    rotate: int = 0, mirror: bool = False, loop: bool = False, realtime: bool = False, existing: bool = False,
    timeout_s: float = 10.0, label: str | None = None, enough: int | None = None,
) -> Source:  # fmt: skip
    """The source that a person means. It is made, not opened: `open` begins.

    Args:
        text: "0", "/dev/video0", "picamera2", "picamera2:1", an address, a film, a folder, a photograph; or several
            photographs, patterns and folders of them.
        width: what a camera is asked for, pixels.
        height: the same.
        fps: what a camera is asked for; how often a snapshot address is asked; how many frames of a second of film.
        rotate: degrees clockwise: 0, 90, 180 or 270.
        mirror: swap left and right, after turning.
        loop: films and lists begin again at their end.
        realtime: films at their own pace.
        existing: a folder's photographs that are there already, too.
        timeout_s: without a frame for so long a camera or stream is lost, seconds.
        label: its name in records and topics; None for one made of `text`.
        enough: longest edge, pixels, that does where neither width nor height is given: a V4L2 camera is asked for
            a 4:3 mode of it. None for the camera's own choice.

    Raises:
        RequestError: it is nothing of these, or the options cannot be.
    """
    if not timeout_s > 0:
        raise RequestError(f"timeout_s is {timeout_s}; possible: a number above 0")
    if label is not None and slug(label) != label:
        raise RequestError(f"the name '{printable(label)}' is not made of a-z, 0-9, _ and -; possible: {slug(label)}")
    given = [text] if isinstance(text, str) else list(text)
    if not given or "" in given:
        raise RequestError(f"no source; possible: {POSSIBLE}")
    one = given[0] if len(given) == 1 else None
    source: Source
    if one is None:
        source = _stills(given, loop, label)
    elif (number := re.fullmatch(r"\d{1,3}", one)) or _is_device(one):
        from edge_nima.frames.device import DeviceSource

        device = int(one) if number else one
        if enough is not None and width is None and height is None:
            width, height = enough, enough * 3 // 4
        source = DeviceSource(device, width=width, height=height, fps=fps, timeout_s=timeout_s, label=label)
    elif number := re.fullmatch(r"picamera2?(?::(\d{1,3}))?", one):
        from edge_nima.frames.picamera import PicameraSource

        which = int(number[1] or 0)
        source = PicameraSource(which, width=width, height=height, fps=fps, timeout_s=timeout_s, label=label)
    elif "://" in one:
        source = _address(one, fps, timeout_s, label)
    elif os.path.isdir(one):
        from edge_nima.frames.folder import FolderSource

        source = FolderSource(one, existing=existing, label=label)
    elif _is_film(one):
        from edge_nima.frames.video import VideoSource

        source = VideoSource(one, loop=loop, realtime=realtime, fps=fps, label=label)
    elif os.path.lexists(one) or has_magic(one):
        source = _stills(given, loop, label)
    else:
        raise RequestError(f"no source '{printable(one)}'; possible: {POSSIBLE}")
    if not rotate and not mirror:
        return source
    from edge_nima.frames.turned import Turned

    return Turned(source, rotate, mirror)


def _address(address: str, fps: float | None, timeout_s: float, label: str | None) -> Source:
    from edge_nima.frames.mjpeg import HttpSource
    from edge_nima.frames.stream import PORTS, StreamSource

    scheme = address.partition("://")[0].lower()
    if scheme not in PORTS:
        known = ", ".join(f"{name}://" for name in sorted(PORTS))
        raise RequestError(f"no source '{without_password(address)}'; possible: {known}")
    split_address(address)
    if scheme in {"http", "https"}:
        return HttpSource(address, fps=fps, timeout_s=timeout_s, label=label)
    return StreamSource(address, timeout_s=timeout_s, label=label)


def _stills(paths: list[str], loop: bool, label: str | None) -> Source:
    from edge_nima.frames.stills import StillsSource

    find_photographs(paths)  # what is missing is said before anything is opened
    return StillsSource(paths, loop=loop, label=label)


def _is_device(path: str) -> bool:
    """A node below /dev, there or not, and by whatever name a link to it has."""
    if path.startswith("/dev/"):
        return not os.path.isfile(path)
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_film(path: str) -> bool:
    """By its ending; where that says nothing, whatever Pillow does not know is tried as a film."""
    from edge_nima.frames.video import FILM_SUFFIXES

    if not os.path.isfile(path):
        return False
    suffix = os.path.splitext(path)[1].lower()
    if suffix in FILM_SUFFIXES:
        return True
    if suffix in photograph_suffixes():
        return False
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path):
            return False
    except UnidentifiedImageError:
        return True
    except OSError:
        return False
