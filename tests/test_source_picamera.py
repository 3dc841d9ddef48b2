"""The Raspberry Pi's camera: with a complete fake here, and on hardware with -m camera."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

import numpy as np
import pytest

from edge_nima.errors import PackageMissing, RequestError, SourceError
from edge_nima.frame import Frame
from edge_nima.sources import SourceOptions, open_source, slug
from edge_nima.sources.picamera import PicameraSource, yuv420_to_rgb
from fake_picamera2 import Picamera2, encode, picamera2
from streams import assert_scene, corners, scene

__all__ = ["picamera2"]


def opened(**options: Any) -> PicameraSource:
    source = PicameraSource(options=SourceOptions(**options))
    source.open()
    return source


def read(source: PicameraSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def test_a_red_object_is_red_in_both_streams(picamera2: type[Picamera2]) -> None:
    source = opened()
    frame = read(source)
    assert frame.rgb.shape == (360, 640, 3)
    assert_scene(frame.rgb, 3)
    camera = picamera2.opened[0]
    assert camera.arrays_made == ["lores"]  # the large one is fetched when it is asked for
    assert frame.full().shape == (1080, 1920, 3)
    assert_scene(frame.full(), 0)
    frame.close()


def test_padding_is_cut_off_and_the_range_is_full(picamera2: type[Picamera2]) -> None:
    ramp = np.tile(np.linspace(0, 255, 600).astype(np.uint8)[None, :, None], (338, 1, 3))
    stream = {"format": "YUV420", "size": (600, 338), "stride": 640}
    out = np.empty((338, 600, 3), np.uint8)
    yuv420_to_rgb(encode(lambda w, h: ramp, stream, "sYCC"), (600, 338), out)
    assert np.abs(out.astype(int) - ramp).max() <= 1
    # What OpenCV's conversion makes of the same: black and white clip, up to 18 levels off.
    cv2 = pytest.importorskip("cv2")
    packed = encode(lambda w, h: ramp, {**stream, "stride": 600}, "sYCC")
    theirs = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    assert np.abs(theirs.astype(int) - ramp).max() > 10


def test_the_conversion_is_the_formula_of_jpeg() -> None:
    chance = np.random.default_rng(0)
    y = chance.integers(0, 256, (32, 32))
    u, v = (np.kron(chance.integers(0, 256, (2, 2)), np.ones((8, 8))) for _ in range(2))
    array = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).astype(np.uint8).reshape(48, 32)
    out = np.empty((32, 32, 3), np.uint8)
    yuv420_to_rgb(array, (32, 32), out)
    big_u, big_v = np.kron(u, np.ones((2, 2))) - 128, np.kron(v, np.ones((2, 2))) - 128
    wanted = np.stack([y + 1.402 * big_v, y - 0.344136 * big_u - 0.714136 * big_v, y + 1.772 * big_u], axis=2)
    inside = np.zeros((32, 32), bool)
    inside[2:14, 2:14] = inside[18:30, 2:14] = inside[2:14, 18:30] = inside[18:30, 18:30] = True
    gap = np.abs(out - np.clip(wanted, 0, 255))[inside]
    assert gap.max() <= 1.5


def test_the_colour_space_is_asked_for_so_that_a_large_stream_is_not_limited(picamera2: type[Picamera2]) -> None:
    opened(width=4608, height=2592, fps=10)
    config = picamera2.opened[0].config
    assert config["colour_space"].name == "sYCC"
    assert config["controls"] == {"FrameDurationLimits": (100_000, 100_000)}
    assert config["lores"]["size"] == (640, 360)


@pytest.mark.parametrize(
    ("asked", "main", "lores"), [((321, 241), (320, 240), (320, 240)), ((800, 3000), (800, 3000), (170, 640))]
)
def test_sizes_are_even_and_keep_their_shape(
    picamera2: type[Picamera2], asked: tuple[int, int], main: tuple[int, int], lores: tuple[int, int]
) -> None:
    opened(width=asked[0], height=asked[1])
    config = picamera2.opened[0].config
    assert (config["main"]["size"], config["lores"]["size"]) == (main, lores)


def test_a_frame_carries_the_moment_of_its_exposure(picamera2: type[Picamera2]) -> None:
    source = PicameraSource()
    began_mono, began_at = time.monotonic(), time.time()
    source.open()
    frame = read(source)
    assert frame.taken_mono <= time.monotonic() - 0.03
    assert frame.taken_at <= time.time() - 0.03
    assert began_mono - 0.1 <= frame.taken_mono
    assert began_at - 0.1 <= frame.taken_at
    frame.close()


def test_every_request_is_released_and_buffers_are_used_again(picamera2: type[Picamera2]) -> None:
    source = opened(width=320, height=240)
    seen = []
    for _ in range(60):
        frame = read(source)
        seen.append(frame.rgb)
        frame.close()
        frame.close()
    assert picamera2.opened[0].held == 0
    assert len({rgb.ctypes.data for rgb in seen}) == 1


def test_a_frame_that_outlives_its_camera_says_so_and_touches_nothing(picamera2: type[Picamera2]) -> None:
    source = opened()
    frame = read(source)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="its full picture is gone"):
        frame.full()
    assert_scene(frame.rgb, 3)
    frame.close()
    assert picamera2.opened[0].closed


def test_a_camera_that_stalls_is_lost_in_time_and_comes_back(picamera2: type[Picamera2]) -> None:
    source = opened(timeout_s=0.3)
    read(source).close()
    picamera2.opened[0].stalled.set()
    with pytest.raises(SourceError, match=r"gave no frame for 0\.3 s; is the ribbon cable loose"):
        source.read()
    assert picamera2.opened[0].cancelled
    source.close()
    source.open()
    read(source).close()
    assert len(picamera2.opened) == 2


def busy() -> RuntimeError:
    return RuntimeError("Failed to acquire camera: Device or resource busy")


@pytest.mark.parametrize(
    ("bench", "number", "message"),
    [
        ({"infos": []}, 0, "picamera2 finds none: check the ribbon cable"),
        ({}, 2, "no camera picamera2:2; picamera2 finds 2"),
        ({"open_error": busy()}, 0, "in use by another program"),
        ({"open_error": RuntimeError("Camera __init__ sequence did not complete.")}, 0, "in use by another program"),
        ({"start_error": RuntimeError("no memory for\nbuffers")}, 1, "does not open: no memory for buffers"),
        ({"formats": {"lores": "YUYV"}}, 0, "its lores stream gives YUYV; possible: YUV420"),
    ],
)
def test_what_does_not_open_is_said_on_one_line(
    picamera2: type[Picamera2], bench: dict[str, Any], number: int, message: str
) -> None:
    for name, value in bench.items():
        setattr(picamera2, name, value)
    with pytest.raises(SourceError, match=message) as caught:
        PicameraSource(f"picamera2:{number}").open()
    assert "\n" not in str(caught.value)
    assert all(camera.closed for camera in picamera2.opened)


def test_without_picamera2_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(PackageMissing, match=r"sudo apt install python3-picamera2.*--system-site-packages"):
        PicameraSource().open()


def test_it_is_typed_with_its_number_and_may_be_turned(picamera2: type[Picamera2]) -> None:
    assert open_source("picamera2").label == slug(f"{socket.gethostname()}-picamera0")
    source = open_source("picamera2:1", SourceOptions(width=320, height=240), rotate=180)
    assert source.label.endswith("-picamera1")
    source.open()
    assert picamera2.opened[0].camera_num == 1
    frame = source.read()
    assert frame is not None
    assert corners(frame.full())["br"] == corners(scene())["tl"]
    assert np.abs(np.subtract(corners(frame.rgb)["br"], corners(scene())["tl"])).max() <= 3
    frame.close()
    assert picamera2.opened[0].held == 0
    source.close()
    with pytest.raises(RequestError):
        SourceOptions(fps=0)


@pytest.mark.camera
def test_a_real_camera_gives_frames_of_both_streams() -> None:
    pytest.importorskip("picamera2", reason="needs picamera2")
    source = opened(timeout_s=5)
    try:
        began, ages = time.monotonic(), []
        for _ in range(60):
            frame = read(source)
            ages.append(time.monotonic() - frame.taken_mono)
            frame.close()
        rate = 60 / (time.monotonic() - began)
        assert rate > 15
        assert min(ages) >= 0
        assert sorted(ages)[30] < 0.3
        frame = read(source)
        full = frame.full()
        assert frame.rgb.shape == (360, 640, 3)
        assert full.shape == (1080, 1920, 3)
        # Both streams show the same: the same colours in each quarter, so neither has red and blue swapped.
        for small, large in zip(corners(frame.rgb).values(), corners(full).values(), strict=True):
            assert np.abs(np.subtract(small, large)).max() <= 12
        frame.close()
    finally:
        source.close()
    source.open()  # and once more, as after a fault
    read(source).close()
