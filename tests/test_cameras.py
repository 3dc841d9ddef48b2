"""What cameras are there: a made-up /sys, V4L2's answers as the kernel lays them out, and the command."""

from __future__ import annotations

import fcntl
import json
import struct
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from edge_nima.cli import cameras as command
from edge_nima.sources import picamera, v4l2
from edge_nima.sources.picamera import picamera_cameras
from edge_nima.sources.v4l2 import Camera, Mode, v4l2_cameras
from fake_picamera2 import Picamera2, picamera2

__all__ = ["picamera2"]


class Driver:
    """Answers the ioctls of one webcam, at the addresses that <linux/videodev2.h> gives."""

    QUERYCAP, ENUM_FMT, REQBUFS = 0x80685600, 0xC0405602, 0xC0145608
    FRAMESIZES, FRAMEINTERVALS = 0xC02C564A, 0xC034564B

    def __init__(self, captures: bool = True) -> None:
        self.capabilities = 0x04200001 if captures else 0x04A00000  # streaming; capture or metadata
        self.formats = [b"YUYV", b"MJPG", b"H264"]
        self.sizes = {b"YUYV": [(640, 480)], b"MJPG": [(640, 480), (1920, 1080)]}
        self.busy, self.name = False, b"uvcvideo"

    def ioctl(self, fd: int, request: int, content: bytes) -> bytes:
        request &= 0xFFFFFFFF
        if request == self.QUERYCAP:
            return struct.pack(
                "=16s32s32s6I",
                self.name,
                b"HD Cam \xc3\xa9",
                b"usb-1",
                6 << 16,
                0x84A00001,
                self.capabilities,
                *[0] * 3,
            )
        if request == self.ENUM_FMT:
            index, kind = struct.unpack_from("=II", content)
            assert kind == 1
            if index >= len(self.formats):
                raise OSError(22, "Invalid argument")
            code = int.from_bytes(self.formats[index], "little")
            return struct.pack("=III32sII3I", index, 1, 0, b"words", code, 0, 0, 0, 0)
        if request == self.FRAMESIZES:
            index, code = struct.unpack_from("=II", content)
            fourcc = code.to_bytes(4, "little")
            if fourcc == b"H264":
                if index:
                    raise OSError(22, "Invalid argument")
                return struct.pack("=III6I2I", 0, code, 3, 160, 1280, 16, 120, 720, 8, 0, 0)
            sizes = self.sizes[fourcc]
            if index >= len(sizes):
                raise OSError(22, "Invalid argument")
            return struct.pack("=III6I2I", index, code, 1, *sizes[index], 0, 0, 0, 0, 0, 0)
        if request == self.FRAMEINTERVALS:
            index, code, width, height = struct.unpack_from("=IIII", content)
            if code.to_bytes(4, "little") == b"H264" or index > 1:
                raise OSError(22, "Invalid argument")
            interval = (1, 30 if index else 15) if width < 1000 else (1, 5)
            return struct.pack("=IIIII6I2I", index, code, width, height, 1, *interval, 0, 0, 0, 0, 0, 0)
        assert request == self.REQBUFS
        assert struct.unpack_from("=III", content) == (0, 1, 1)
        if self.busy:
            raise OSError(16, "Device or resource busy")
        return content


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    return made


def machine(root: Path, *names: str) -> Path:
    """A /sys and a /dev with these cameras."""
    for number, name in enumerate(names):
        folder = root / f"sys/class/video4linux/video{number}"
        (folder / "device").mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (root / "drivers/uvcvideo").mkdir(parents=True, exist_ok=True)
        (folder / "device/driver").symlink_to(root / "drivers/uvcvideo")
        (root / "dev").mkdir(exist_ok=True)
        (root / f"dev/video{number}").touch()
    return root


def test_a_driver_is_asked_what_it_is_and_what_it_can(driver: Driver, tmp_path: Path) -> None:
    (found,) = v4l2_cameras(machine(tmp_path, "HD Cam"))
    assert (found.source, found.name, found.driver, found.captures) == ("/dev/video0", "HD Cam", "uvcvideo", True)
    assert found.modes == (
        Mode("YUYV", 640, 480, 30.0),
        Mode("MJPG", 640, 480, 30.0),
        Mode("MJPG", 1920, 1080, 5.0),
        Mode("H264", 1280, 720, None),
    )
    assert v4l2.describe(0) == ("HD Cam é", "uvcvideo", True)


def test_a_metadata_node_is_listed_as_one_that_gives_no_pictures(driver: Driver, tmp_path: Path) -> None:
    driver.capabilities = 0x04A00000
    (found,) = v4l2_cameras(machine(tmp_path, "HD Cam"))
    assert found.captures is False
    assert found.modes == ()
    assert command.usable(found) == "no: gives no pictures"


def test_the_nodes_of_a_pis_own_camera_point_to_picamera2(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driver.name = b"unicam"
    found = v4l2_cameras(machine(tmp_path, "unicam-image"))
    assert found[0].problem == "a part of the Raspberry Pi's own camera; watch picamera2"
    monkeypatch.setattr(v4l2, "v4l2_cameras", lambda: found)
    monkeypatch.setattr(picamera, "picamera_cameras", lambda: ([], None))
    command.cameras(command.Format.table)
    assert "no camera found" in capsys.readouterr().err


def test_cameras_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    root = machine(tmp_path, *(f"cam {number}" for number in range(12)))
    (root / "sys/class/video4linux/v4l-subdev0").mkdir()
    found = v4l2_cameras(root)
    assert [camera.source for camera in found] == [f"/dev/video{number}" for number in range(12)]
    assert all(camera.captures is None and camera.problem for camera in found)  # plain files answer no ioctl


def test_a_device_that_may_not_be_opened_is_listed_with_the_reason(tmp_path: Path) -> None:
    root = machine(tmp_path, "cam")
    (root / "dev/video0").unlink()
    (found,) = v4l2_cameras(root)
    assert not found.readable
    assert found.problem == "No such file or directory"
    assert command.usable(found).startswith("no permission")


def test_picamera2s_cameras_are_listed_as_they_are_typed(picamera2: type[Picamera2]) -> None:
    found, why = picamera_cameras()
    assert why is None
    assert [(camera.source, camera.name) for camera in found] == [("picamera2", "imx708"), ("picamera2:1", "imx219")]


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


def app() -> Typer:
    made = Typer()
    made.command()(command.cameras)
    return made


def test_the_command_prints_a_table(run: CliRunner, monkeypatch: pytest.MonkeyPatch, picamera2: object) -> None:
    modes = (Mode("YUYV", 640, 480, 30.0), Mode("YUYV", 320, 240, 30.0), Mode("MJPG", 1920, 1080, None))
    there = [Camera("/dev/video0", "Good\x1b[31m Cam", "uvcvideo", True, modes=modes)]
    monkeypatch.setattr(v4l2, "v4l2_cameras", lambda: there)
    done = run.invoke(app(), [])
    assert done.exit_code == 0
    assert "/dev/video0" in done.stdout
    assert "YUYV 640x480 at 30, MJPG 1920x1080" in done.stdout
    assert "picamera2:1" in done.stdout
    assert "\x1b[31m" not in done.stdout


def test_the_command_prints_json(run: CliRunner, monkeypatch: pytest.MonkeyPatch, picamera2: object) -> None:
    monkeypatch.setattr(v4l2, "v4l2_cameras", lambda: [Camera("/dev/video0", "Cam", modes=(Mode("YUYV", 1, 2, 3.0),))])
    done = run.invoke(app(), ["--format", "json"])
    told = json.loads(done.stdout)
    assert [camera["source"] for camera in told] == ["picamera2", "picamera2:1", "/dev/video0"]
    assert told[2]["modes"] == [{"fourcc": "YUYV", "width": 1, "height": 2, "fps": 3.0}]


def test_with_nothing_found_it_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setattr(v4l2, "v4l2_cameras", list)
    command.cameras(command.Format.table)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "no camera found: is it plugged in" in told.err
    assert "python3-picamera2" in told.err
    command.cameras(command.Format.json)
    assert json.loads(capsys.readouterr().out) == []
