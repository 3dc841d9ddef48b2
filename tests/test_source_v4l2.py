"""V4L2 cameras: a complete fake of OpenCV's capture, and the real reasons why a device does not open."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_nima.errors import PictureError, SourceError
from edge_nima.sources import SourceOptions, open_source, slug
from edge_nima.sources import v4l2 as module
from edge_nima.sources.v4l2 import Mode, V4l2Source, check_device, prefers_jpeg
from streams import assert_scene, jpeg, scene

cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")


class FakeCapture:
    """cv2.VideoCapture on V4L2: what it takes and gives."""

    def __init__(self, path: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.path, self.asked, self.released = path, [], 0
        self.fourcc = cv2.VideoWriter.fourcc(*"YUYV")
        self.raw = False
        self.frames: list[NDArray[np.uint8] | None] = []
        self.opens = True
        FakeCapture.made.append(self)

    made: list[FakeCapture] = []  # noqa: RUF012
    script: list[NDArray[np.uint8] | None] = []  # noqa: RUF012

    def isOpened(self) -> bool:
        return self.opens

    def set(self, what: int, value: float) -> bool:
        self.asked.append((what, value))
        if what == cv2.CAP_PROP_FOURCC:
            self.fourcc = int(value)
        if what == cv2.CAP_PROP_CONVERT_RGB:
            self.raw = not value
        return True

    def get(self, what: int) -> float:
        return float(self.fourcc) if what == cv2.CAP_PROP_FOURCC else 0.0

    def grab(self) -> bool:
        if not FakeCapture.script:
            return False
        self.frames.append(FakeCapture.script.pop(0))
        return self.frames[-1] is not None

    def retrieve(self, image: NDArray[np.uint8] | None = None) -> tuple[bool, NDArray[np.uint8] | None]:
        frame = self.frames[-1]
        if frame is not None and image is not None and image.shape == frame.shape:
            image[...] = frame  # as OpenCV does with a buffer that fits
            return True, image
        return frame is not None, frame

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    FakeCapture.made, FakeCapture.script = [], []
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(module, "check_device", lambda path: [])
    return FakeCapture


def opened(device: str = "0", **options: Any) -> V4l2Source:
    source = V4l2Source(device, SourceOptions(**options))
    source.open()
    return source


def bgr(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    return scene(width, height)[..., ::-1].copy()


def test_blue_first_becomes_red_first_in_buffers_that_are_used_again(camera: type[FakeCapture]) -> None:
    camera.script = [bgr() for _ in range(20)]
    source = V4l2Source("0")
    assert (source.label, source.drops) == (slug(f"{socket.gethostname()}-video0"), True)
    source.open()
    seen = []
    for _ in range(20):
        before = time.monotonic()
        frame = source.read()
        assert frame is not None
        assert_scene(frame.rgb, 0)
        assert before <= frame.taken_mono <= time.monotonic()
        seen.append(frame.rgb)
        frame.close()
    assert len({rgb.ctypes.data for rgb in seen}) == 1
    source.close()
    source.close()
    assert camera.made[0].released == 1


def test_frames_that_are_grey_or_have_alpha_or_change_their_size_are_taken(camera: type[FakeCapture]) -> None:
    grey = np.full((240, 320), 90, np.uint8)
    alpha = np.dstack([bgr(), np.full((240, 320), 255, np.uint8)])
    camera.script = [bgr(), grey, grey[..., None], alpha, bgr(640, 480), bgr()]
    source = opened("0")
    frames = [source.read() for _ in range(6)]
    shapes = [frame.rgb.shape for frame in frames if frame is not None]
    assert shapes == [(240, 320, 3)] * 4 + [(480, 640, 3), (240, 320, 3)]
    for number in (0, 3, 4, 5):
        found = frames[number]
        assert found is not None
        assert_scene(found.rgb, 0)
    assert frames[1] is not None
    assert (frames[1].rgb == 90).all()


def test_motion_jpeg_is_decoded_here_so_that_a_truncated_one_is_damaged(camera: type[FakeCapture]) -> None:
    whole = np.frombuffer(jpeg(scene()) + bytes(40), np.uint8)[None]  # drivers pad
    camera.script = [whole, whole[:, :1500], whole.copy(), np.frombuffer(jpeg(scene(64, 48)), np.uint8)[None]]
    source = opened("/dev/video2", width=1920, height=1080, fps=30)
    asked = camera.made[0].asked
    assert asked[0] == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # before the size
    assert (cv2.CAP_PROP_FRAME_WIDTH, 1920) in asked
    assert (cv2.CAP_PROP_FPS, 30) in asked
    assert camera.made[0].raw
    for whole_one in (True, False, True, True):
        if whole_one:
            frame = source.read()
            assert frame is not None
            assert_scene(frame.rgb)
        else:
            with pytest.raises(PictureError):
                source.read()


def test_pixels_stay_pixels_where_no_size_is_asked_for(camera: type[FakeCapture]) -> None:
    camera.script = [bgr()]
    opened("0")
    assert not camera.made[0].raw
    assert cv2.CAP_PROP_FOURCC not in dict(camera.made[0].asked)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (SourceOptions(enough=640), {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}),
        (SourceOptions(), {}),
        (SourceOptions(enough=640, width=1280), {cv2.CAP_PROP_FRAME_WIDTH: 1280}),
    ],
)
def test_a_camera_is_asked_for_no_more_than_is_enough(
    options: SourceOptions, asked: dict[int, int], camera: type[FakeCapture]
) -> None:
    open_source("0", options).open()
    size = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    assert {key: value for key, value in camera.made[0].asked if key in size} == asked


def test_deep_pixels_are_refused_and_not_scored(camera: type[FakeCapture]) -> None:
    camera.script = [np.zeros((240, 320), np.uint16)]  # type: ignore[list-item]
    source = opened("0")
    with pytest.raises(PictureError, match="uint16; possible: grey, BGR or BGRA of 8 bits"):
        source.read()


def test_no_frame_is_a_lost_source_and_opening_again_brings_it_back(camera: type[FakeCapture], tmp_path: Path) -> None:
    node = tmp_path / "video7"
    node.touch()
    source = V4l2Source(str(node))
    assert source.label.endswith("-video7")
    source.open()
    with pytest.raises(SourceError, match=r"gave no frame in 0\.0 s"):
        source.read()
    source.close()
    camera.script = [bgr()]
    source.open()
    assert source.read() is not None
    node.unlink()
    with pytest.raises(SourceError, match="is gone: unplugged"):
        source.read()
    source.close()
    with pytest.raises(SourceError, match="is not open"):
        source.read()


def modes(*told: tuple[str, int, int, float | None]) -> list[Mode]:
    return [Mode(*one) for one in told]


WEBCAM = modes(
    ("YUYV", 640, 480, 30.0), ("YUYV", 1280, 720, 10.0), ("YUYV", 1920, 1080, 5.0),
    ("MJPG", 640, 480, 30.0), ("MJPG", 1280, 720, 30.0), ("MJPG", 1920, 1080, 30.0), ("H264", 1920, 1080, 30.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "width", "height", "fps", "wanted"),
    [
        (WEBCAM, None, None, None, False),
        (WEBCAM, 640, 480, 30, False),
        (WEBCAM, 1280, 720, 30, True),
        (WEBCAM, 1280, 720, 5, False),
        (WEBCAM, 1920, 1080, None, True),
        (WEBCAM, 1000, 600, 30, True),
        (WEBCAM, 4000, 3000, 30, False),
        ([], 1280, 720, None, True),
        ([], None, None, None, False),
        (modes(("YUYV", 640, 480, 30.0)), 1280, 720, 30, False),
        (modes(("MJPG", 1280, 720, 30.0)), None, None, None, True),
        (modes(("YUYV", 1280, 720, None), ("MJPG", 1280, 720, None)), 1280, 720, None, False),
    ],
)
def test_jpeg_is_asked_for_where_pixels_are_too_slow(
    listed: list[Mode], width: int | None, height: int | None, fps: float | None, wanted: bool
) -> None:
    assert prefers_jpeg(listed, width, height, fps) is wanted


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(SourceError, match=r"no camera at /dev/video99; .*edge-nima cameras lists"):
        V4l2Source("99").open()


def test_what_is_no_video_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "file", tmp_path / "pipe", "/dev/null", tmp_path):
        with pytest.raises(SourceError, match="is not a video device"):
            check_device(str(path))


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A device node with the number of a camera that is not there."""
    path = tmp_path / "video63"
    try:
        os.mknod(path, 0o660 | 0o020000, os.makedev(81, 63))
        shutil.chown(path, "root", "video")
    except (PermissionError, LookupError):
        pytest.skip("only root makes device nodes")
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return path


def test_without_permission_the_group_is_named(node: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv")
    code = f"import edge_nima.sources.v4l2 as d; d.check_device({str(node)!r})"
    command = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no permission for" in done.stderr
    assert "video63: sudo usermod -aG video $USER, then log in again" in done.stderr


def test_a_node_without_its_device_says_so(node: Path) -> None:
    with pytest.raises(
        SourceError, match=r"cannot open .*video63: (No such device|Operation not permitted|Permission)"
    ):
        check_device(str(node))


def test_opencv_is_told_to_be_quiet_before_it_is_imported() -> None:
    code = """
import os
from edge_nima.sources.v4l2 import import_cv2
import_cv2(7.5)
names = ("OPENCV_LOG_LEVEL", "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT")
print(*(os.environ[name] for name in names))
import cv2
cv2.VideoCapture("/dev/video99", cv2.CAP_V4L2)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["SILENT", "7"]
    assert done.stderr == ""
