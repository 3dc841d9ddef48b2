"""Which cameras are there: V4L2 devices by what /sys knows of them, and those that picamera2 finds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from edge_nima.errors import PackageMissing, SourceError, reason
from edge_nima.frames import v4l2

PI_STEP = "a part of the Raspberry Pi's own camera; watch picamera2"
"""The problem of nodes that only libcamera can use."""


@dataclass(frozen=True)
class Camera:
    """One thing that `edge-nima watch` may be given."""

    source: str
    """What to type: "/dev/video0", "picamera2:1"."""
    name: str
    driver: str = ""
    captures: bool | None = None
    """Whether pictures come from it; None where that could not be asked."""
    readable: bool = True
    """Whether this user may open it."""
    problem: str | None = None
    """Why it cannot be used, on one line."""
    modes: tuple[v4l2.Mode, ...] = field(default=(), repr=False)


def v4l2_cameras(root: str | os.PathLike[str] = "/") -> list[Camera]:
    """V4L2 devices in the order of their numbers, also those that give no pictures.

    Args:
        root: where /sys and /dev are; for tests.
    """
    folder = Path(root) / "sys/class/video4linux"
    found = []
    try:
        entries = [entry for entry in os.listdir(folder) if re.fullmatch(r"video\d+", entry)]
    except OSError:  # no such class: the kernel has met no camera yet
        return []
    for entry in sorted(entries, key=lambda name: int(name[5:])):
        found.append(_v4l2_camera(Path(root), folder / entry, entry))
    return found


def _v4l2_camera(root: Path, folder: Path, entry: str) -> Camera:
    try:
        name = (folder / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = entry
    driver = os.path.basename(os.path.realpath(folder / "device/driver")) if (folder / "device/driver").exists() else ""
    node = root / "dev" / entry
    source = f"/dev/{entry}"
    try:
        with v4l2.opened(node) as fd:
            told = v4l2.describe(fd)
            listed = tuple(v4l2.modes(fd)) if told.captures else ()
            problem = PI_STEP if told.driver in v4l2.PI_DRIVERS else None
            return Camera(source, name, told.driver or driver, told.captures, problem=problem, modes=listed)
    except OSError as error:
        return Camera(source, name, driver, None, os.access(node, os.R_OK | os.W_OK), reason(error))


def picamera_cameras() -> tuple[list[Camera], str | None]:
    """Cameras that picamera2 finds, and why there are none when it cannot tell."""
    from edge_nima.frames.picamera import camera_infos

    try:
        infos = camera_infos()
    except (PackageMissing, SourceError) as error:
        return [], reason(error)
    return [
        Camera(f"picamera2:{number}" if number else "picamera2", str(info.get("Model", "camera")), "libcamera", True)
        for number, info in enumerate(infos)
    ], None
