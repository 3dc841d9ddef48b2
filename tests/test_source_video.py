"""Videos: in step, at their own pace, looped, rotated, and what is none."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import alone, resident
from conftest import skip_without
from edge_nima.errors import PictureError, SourceError
from edge_nima.frame import Frame
from edge_nima.sources import NothingYet, SourceOptions, open_source
from edge_nima.sources import video as module
from edge_nima.sources.rotated import turn
from edge_nima.sources.video import VideoSource
from streams import assert_scene, film, needs, scene

skip_without("av", "edge-nima[camera]")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, ten frames each."""
    return film(tmp_path_factory.mktemp("film") / "My film (1).mp4")


def opened(path: Path, **options: Any) -> VideoSource:
    source = VideoSource(path, SourceOptions(**options))
    source.open()
    return source


def frames(source: VideoSource, most: int = 1000) -> list[Frame]:
    found: list[Frame] = []
    while len(found) < most:
        try:
            frame = source.read()
        except NothingYet:
            continue
        if frame is None:
            break
        found.append(frame)
        frame.close()
    return found


def test_a_film_gives_each_frame_once_with_its_colours_and_its_time(short: Path) -> None:
    source = VideoSource(short)
    assert (source.label, source.drops) == ("my-film-1", False)
    before = time.time()
    source.open()
    found = []
    while (frame := source.read()) is not None:
        assert_scene(frame.rgb)
        found.append(frame)
    assert len(found) == 20
    times = [frame.taken_mono for frame in found]
    assert np.allclose(np.diff(times), 0.1, atol=0.002)
    walls = [frame.taken_at for frame in found]
    assert np.allclose(np.diff(walls), 0.1, atol=0.002)
    assert abs(walls[0] - before) < 2
    assert source.read() is None
    source.close()
    source.close()
    source.open()  # from the beginning
    assert len(frames(source)) == 20


def test_a_looped_film_goes_on_with_a_time_that_only_grows(short: Path) -> None:
    source = opened(short, loop=True)
    found = frames(source, 70)
    assert len(found) == 70
    gaps = np.diff([frame.taken_mono for frame in found])
    assert np.allclose(gaps, 0.1, atol=0.005)


def test_a_film_without_seeking_is_opened_again_to_loop(short: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    subprocess.run(
        [needs("ffmpeg"), "-v", "error", "-i", str(short), "-c", "copy", "-bsf:v", "h264_mp4toannexb", str(raw)],
        check=True,
    )
    source = opened(raw, loop=True)
    found = frames(source, 65)
    times = [frame.taken_mono for frame in found]
    assert len(found) == 65
    assert all(later > earlier for earlier, later in pairwise(times))


class Clock:
    """A clock that only sleeping moves: what is played at its own pace is played at once, and to the millisecond."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "monotonic", made.monotonic)
    monkeypatch.setattr(module, "sleep", made.sleep)
    return made


def test_a_film_in_real_time_takes_as_long_as_it_was_filmed(short: Path, clock: Clock) -> None:
    source = VideoSource(short, SourceOptions(realtime=True))
    assert (source.drops, source.real_time) == (True, True)
    source.open()
    times = []
    while (frame := source.read()) is not None:
        times.append(clock.now - 1000)
        frame.close()
    assert times == pytest.approx([number / 10 for number in range(20)], abs=0.002)


def test_in_real_time_a_slow_reader_misses_frames_and_does_not_fall_behind(short: Path, clock: Clock) -> None:
    source = opened(short, realtime=True)
    count = 0
    while (frame := source.read()) is not None:
        frame.close()
        count += 1
        clock.sleep(0.35)
    assert 5 <= count <= 7
    assert clock.now - 1000 < 2.5


def test_in_real_time_no_read_waits_longer_than_half_a_second(tmp_path: Path, clock: Clock) -> None:
    source = opened(film(tmp_path / "slow.mp4", fps=1, seconds=3), realtime=True)
    assert source.read() is not None
    with pytest.raises(NothingYet):
        source.read()
    assert clock.now == 1000.5
    assert len(frames(source)) == 2


@pytest.mark.parametrize(("fps", "count"), [(10, 20), (5, 10), (2.5, 5), (1, 2), (100, 20), (3, 6)])
def test_so_many_frames_of_each_second_of_film_are_taken(short: Path, fps: float, count: int) -> None:
    source = opened(short, fps=fps)
    assert len(frames(source)) == count


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libvpx", "ffv1", "libx265"])
def test_usual_codecs_are_read(tmp_path: Path, codec: str) -> None:
    source = opened(film(tmp_path / "film.mkv", codec=codec, seconds=1))
    frame = source.read()
    assert frame is not None
    assert_scene(frame.rgb)
    assert len(frames(source)) >= 9


def test_real_webcam_recordings_are_read_and_turned(data: Path) -> None:
    for name in ("book.mkv", "walk.mkv"):
        upright, turned = (open_source(str(data / "videos" / name), rotate=degrees) for degrees in (0, 90))
        upright.open()
        turned.open()
        count = 0
        while (frame := upright.read()) is not None:
            other = turned.read()
            assert other is not None
            assert frame.rgb.shape == (480, 640, 3)
            assert np.array_equal(np.rot90(frame.rgb, -1), other.rgb)
            frame.close()
            other.close()
            count += 1
        assert 80 <= count <= 120
        assert turned.read() is None
        upright.close()
        turned.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.mp4", None, "cannot open the video '.*none.mp4': No such file"),
        ("empty.mp4", b"", "is empty: 0 bytes"),
        ("text.mp4", b"this is no film\n" * 50, "is no video that can be decoded here"),
        ("zeros.mkv", bytes(10_000), "is no video that can be decoded here"),
    ],
)
def test_what_is_no_film_is_said_on_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    source = VideoSource(path)
    with pytest.raises(SourceError, match=message) as caught:
        source.open()
    assert "\n" not in str(caught.value)
    source.close()
    with pytest.raises(SourceError, match="is not open"):
        source.read()


def test_a_film_cut_short_gives_what_is_there(short: Path, tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", seconds=4)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    source = opened(cut)
    assert 5 < len(frames(source)) < 40


def test_frames_that_change_their_size_are_read_on(tmp_path: Path) -> None:
    parts = [film(tmp_path / f"{size}.ts", size=size, seconds=1) for size in ("320x240", "640x480", "160x120")]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = opened(joined)
    count, shapes = 0, set()
    while (frame := source.read()) is not None:
        assert_scene(frame.rgb, 30)
        shapes.add(frame.rgb.shape)
        frame.close()
        count += 1
    assert count >= 25
    assert shapes == {(240, 320, 3), (480, 640, 3), (120, 160, 3)}


def test_a_codec_that_is_unknown_is_said(short: Path, tmp_path: Path) -> None:
    whole = film(tmp_path / "film.avi", codec="mpeg4", seconds=1)
    odd = tmp_path / "odd.avi"
    odd.write_bytes(whole.read_bytes().replace(b"FMP4", b"QQQQ").replace(b"fmp4", b"qqqq"))
    with pytest.raises(SourceError, match="a codec that this FFmpeg lacks; to convert it: ffmpeg -i"):
        VideoSource(odd).open()


def many_loops(path: Path) -> tuple[int, int, int, float, float]:
    """What 30,000 frames leave: bytes, files and threads; and the seconds of the first and the last 5,000."""
    source = opened(path, loop=True)

    def some(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            frame = source.read()
            assert frame is not None
            frame.close()
        return time.process_time() - began

    some(1000)
    held, files, threads = resident(), len(os.listdir("/proc/self/fd")), threading.active_count()
    first = some(5000)
    some(20_000)
    last = some(5000)
    return (
        resident() - held, len(os.listdir("/proc/self/fd")) - files, threading.active_count() - threads, first, last
    )  # fmt: skip


@pytest.mark.slow
def test_many_loops_leak_nothing_and_do_not_slow_down(tmp_path: Path) -> None:
    held, files, threads, first, last = alone(many_loops, film(tmp_path / "film.mp4", size="160x120", seconds=3))
    assert held < 16 << 20  # malloc keeps some 5 MB; an open file of each of 500 rounds, 1,700
    assert (files, threads) == (0, 0)
    assert last < first * 2


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The MP4 with another display matrix: (a, b, c, d), as phones write it."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[at + 4 * place : at + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    changed = path.with_name("turned.mp4")
    changed.write_bytes(content)
    return changed


# With OpenCV 4.11, which pip installs beside NumPy 1, these came out as they are stored.
@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0), (90, False)),
        ((-1, 0, 0, -1), (180, False)),
        ((0, -1, 1, 0), (270, False)),
        ((-1, 0, 0, 1), (0, True)),
        ((1, 0, 0, -1), (180, True)),
    ],
)
def test_a_video_with_an_orientation_comes_out_upright(
    short: Path, tmp_path: Path, matrix: tuple[int, int, int, int], upright: tuple[int, bool]
) -> None:
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(short.read_bytes())
    source = opened(with_matrix(plain, matrix), loop=True)
    found = [np.array(frame.rgb) for frame in (source.read() for _ in range(25)) if frame is not None]
    source.close()
    as_stored = VideoSource(plain)
    as_stored.open()
    first = as_stored.read()
    as_stored.close()
    assert first is not None
    assert np.array_equal(found[0], turn(first.rgb, *upright))
    assert np.array_equal(found[20], found[0])  # and again when it begins again


def test_colours_are_converted_as_the_video_says(tmp_path: Path) -> None:
    still, path = tmp_path / "scene.png", tmp_path / "hd.mp4"
    Image.fromarray(scene()).save(still)
    command = [needs("ffmpeg"), "-v", "error", "-loop", "1", "-i", str(still), "-t", "1", "-vf"]
    command += ["scale=out_color_matrix=bt709,format=yuv420p", "-colorspace", "bt709", "-c:v", "libx264", str(path)]
    subprocess.run(command, check=True)
    source = opened(path)
    frame = source.read()
    assert frame is not None
    assert_scene(frame.rgb, 8)  # taken for BT.601 they are off by 30


def test_a_damaged_stretch_costs_its_own_frames_alone(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", codec="mjpeg", seconds=3)
    content = bytearray(whole.read_bytes())
    at = len(content) // 2
    content[at : at + 3000] = bytes(3000)
    (tmp_path / "hurt.mkv").write_bytes(content)
    source = opened(tmp_path / "hurt.mkv")
    good = 0
    while True:
        try:
            if source.read() is None:
                break
            good += 1
        except PictureError:
            pass
    assert 15 < good <= 30


def test_a_frame_in_a_hundred_seconds_is_one(short: Path) -> None:
    source = opened(short, fps=0.01, loop=True)
    found = frames(source, 3)
    assert np.diff([frame.taken_mono for frame in found]) == pytest.approx([100, 100], abs=0.2)
