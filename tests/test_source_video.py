"""Films: in step, at their own pace, looped, and what is none."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames import video as module
from edge_nima.frames.opening import open_source
from edge_nima.frames.video import VideoSource
from streams import assert_scene, film, needs, scene

skip_without("cv2", "edge-nima[camera]")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, ten frames each."""
    return film(tmp_path_factory.mktemp("film") / "My film (1).mp4")


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
    assert (source.label, source.live) == ("my-film-1", False)
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
    source.close()


def test_buffers_are_used_again_once_frames_are_closed(short: Path) -> None:
    source = VideoSource(short)
    source.open()
    assert len({frame.rgb.ctypes.data for frame in frames(source)}) == 1
    source.close()


def test_a_looped_film_goes_on_with_a_time_that_only_grows(short: Path) -> None:
    source = VideoSource(short, loop=True)
    source.open()
    found = frames(source, 70)
    assert len(found) == 70
    gaps = np.diff([frame.taken_mono for frame in found])
    assert np.allclose(gaps, 0.1, atol=0.005)
    source.close()


def test_a_film_without_seeking_is_opened_again_to_loop(short: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    subprocess.run(
        [needs("ffmpeg"), "-v", "error", "-i", str(short), "-c", "copy", "-bsf:v", "h264_mp4toannexb", str(raw)],
        check=True,
    )
    source = VideoSource(raw, loop=True)
    source.open()
    found = frames(source, 65)
    times = [frame.taken_mono for frame in found]
    assert len(found) == 65
    assert all(later > earlier for earlier, later in pairwise(times))
    source.close()


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
    source = VideoSource(short, realtime=True)
    assert source.live
    source.open()
    times = []
    while (frame := source.read()) is not None:
        times.append(clock.now - 1000)
        frame.close()
    assert times == pytest.approx([number / 10 for number in range(20)], abs=0.002)
    source.close()


def test_in_real_time_a_slow_reader_misses_frames_and_does_not_fall_behind(short: Path, clock: Clock) -> None:
    source = VideoSource(short, realtime=True)
    source.open()
    count = 0
    while (frame := source.read()) is not None:
        frame.close()
        count += 1
        clock.sleep(0.35)
    assert 5 <= count <= 7
    assert clock.now - 1000 < 2.5
    source.close()


def test_in_real_time_no_read_waits_longer_than_half_a_second(tmp_path: Path, clock: Clock) -> None:
    source = VideoSource(film(tmp_path / "slow.mp4", fps=1, seconds=3), realtime=True)
    source.open()
    assert source.read() is not None
    with pytest.raises(NothingYet):
        source.read()
    assert clock.now == 1000.5
    assert len(frames(source)) == 2
    source.close()


@pytest.mark.parametrize(("fps", "count"), [(10, 20), (5, 10), (2.5, 5), (1, 2), (100, 20), (3, 6)])
def test_so_many_frames_of_each_second_of_film_are_taken(short: Path, fps: float, count: int) -> None:
    source = VideoSource(short, fps=fps)
    source.open()
    assert len(frames(source)) == count
    source.close()


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libvpx", "ffv1"])
def test_codecs_that_come_with_opencv_are_read(tmp_path: Path, codec: str) -> None:
    source = VideoSource(film(tmp_path / "film.mkv", codec=codec, seconds=1))
    source.open()
    frame = source.read()
    assert frame is not None
    assert_scene(frame.rgb)
    assert len(frames(source)) >= 9
    source.close()


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
        ("none.mp4", None, "cannot open the film '.*none.mp4': No such file"),
        ("empty.mp4", b"", "is empty: 0 bytes"),
        ("text.mp4", b"this is no film\n" * 50, "is no film that can be decoded here"),
        ("zeros.mkv", bytes(10_000), "is no film that can be decoded here"),
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
    source = VideoSource(cut)
    source.open()
    assert 5 < len(frames(source)) < 40
    source.close()


def test_a_film_whose_clock_begins_late_begins_at_once(tmp_path: Path, clock: Clock) -> None:
    source = VideoSource(film(tmp_path / "late.ts", seconds=1), realtime=True)  # a transport stream begins at 1.4 s
    source.open()
    assert source.read() is not None
    assert clock.now == 1000
    source.close()


def test_frames_that_change_their_size_are_read_on(tmp_path: Path) -> None:
    parts = [film(tmp_path / f"{size}.ts", size=size, seconds=1) for size in ("320x240", "640x480", "160x120")]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = VideoSource(joined)
    source.open()
    count = 0
    while (frame := source.read()) is not None:
        assert_scene(frame.rgb, 30)
        assert frame.rgb.shape == (240, 320, 3)  # OpenCV brings them to the first one's size
        frame.close()
        count += 1
    assert count >= 25
    source.close()


def test_a_codec_that_is_unknown_is_said(short: Path, tmp_path: Path) -> None:
    whole = film(tmp_path / "film.avi", codec="mpeg4", seconds=1)
    odd = tmp_path / "odd.avi"
    odd.write_bytes(whole.read_bytes().replace(b"FMP4", b"QQQQ").replace(b"fmp4", b"qqqq"))
    with pytest.raises(SourceError, match="a codec that this OpenCV lacks; to convert it: ffmpeg -i"):
        VideoSource(odd).open()


def test_a_rate_that_cannot_be_is_refused(short: Path) -> None:
    with pytest.raises(RequestError, match="fps is 0"):
        VideoSource(short, fps=0)


def test_a_frame_that_cannot_be_decoded_is_damaged_and_the_next_comes(short: Path) -> None:
    source = VideoSource(short)
    source.open()
    grabber = source._grabber
    assert grabber is not None
    whole, grabber.retrieve = grabber.retrieve, lambda: None  # type: ignore[method-assign]
    with pytest.raises(PictureError, match="cannot be decoded"):
        source.read()
    grabber.retrieve = whole  # type: ignore[method-assign]
    assert source.read() is not None
    source.close()


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_many_loops_leak_nothing_and_do_not_slow_down(tmp_path: Path) -> None:
    source = VideoSource(film(tmp_path / "film.mp4", size="160x120", seconds=3), loop=True)
    source.open()

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
    assert resident() - held < 5 << 20
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (files, threads)
    assert last < first * 2
    source.close()


def test_the_scene_is_told_from_its_mirror_and_from_swapped_colours() -> None:
    assert_scene(scene())
    for wrong in (scene()[:, ::-1], scene()[::-1], scene()[..., ::-1]):
        with pytest.raises(AssertionError):
            assert_scene(np.ascontiguousarray(wrong))
