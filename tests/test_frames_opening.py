"""What a person types for a source, and lists of photographs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import PHOTOS
from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.frames.device import DeviceSource
from edge_nima.frames.folder import FolderSource
from edge_nima.frames.mjpeg import HttpSource
from edge_nima.frames.opening import open_source
from edge_nima.frames.picamera import PicameraSource
from edge_nima.frames.stills import StillsSource
from edge_nima.frames.stream import StreamSource
from edge_nima.frames.turned import Turned
from edge_nima.frames.video import VideoSource
from streams import film, jpeg, scene


@pytest.mark.parametrize(
    ("text", "kind", "label"),
    [
        ("0", DeviceSource, "video0"),
        ("12", DeviceSource, "video12"),
        ("/dev/video3", DeviceSource, "video3"),
        ("/dev/v4l/by-id/usb-Cam-index0", DeviceSource, "usb-cam-index0"),
        ("picamera2", PicameraSource, "picamera"),
        ("picamera2:1", PicameraSource, "picamera1"),
        ("picamera", PicameraSource, "picamera"),
        ("rtsp://u:p@Garden.local:8554/live", StreamSource, "garden-local"),
        ("RTSP://10.0.0.7/", StreamSource, "10-0-0-7"),
        ("udp://127.0.0.1:5000", StreamSource, "127-0-0-1"),
        ("http://porch/stream", HttpSource, "porch"),
        ("https://u@porch/stream", HttpSource, "porch"),
    ],
)
def test_a_source_is_known_by_what_is_typed(text: str, kind: type, label: str) -> None:
    source = open_source(text)
    assert type(source) is kind
    assert source.label == label
    assert source.live
    assert open_source([text], label="back_door").label == "back_door"
    source.close()


def test_files_are_known_by_their_endings_and_else_by_what_they_are(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv", seconds=1)
    (tmp_path / "noending").write_bytes(whole.read_bytes())
    (tmp_path / "photo").write_bytes(jpeg(scene()))
    kinds = {str(whole): VideoSource, f"{tmp_path}/noending": VideoSource, f"{tmp_path}/photo": StillsSource}
    kinds |= {str(tmp_path): FolderSource, str(PHOTOS / "cat.jpg"): StillsSource, f"{PHOTOS}/*.jpg": StillsSource}
    for text, kind in kinds.items():
        assert type(open_source(text)) is kind, text
    assert open_source(str(PHOTOS / "cat.jpg")).label == "cat"
    several = open_source([str(PHOTOS / "cat.jpg"), f"{PHOTOS}/*.jpg"])
    assert type(several) is StillsSource
    assert several.label == "stills"


def test_turning_wraps_whatever_it_is() -> None:
    source = open_source("http://porch/", rotate=270, mirror=True)
    assert isinstance(source, Turned)
    assert isinstance(source.source, HttpSource)
    with pytest.raises(RequestError, match="rotate is 1"):
        open_source("0", rotate=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "no source 'nonsense'; possible: 0 or /dev/video0, picamera2"),
        ("-1", "no source '-1'"),
        ("", "no source; possible"),
        ([], "no source; possible"),
        ("gopher://u:secret@x/", "no source 'gopher://x/'; possible: http://"),
        ("rtsp://", "no host"),
        ("none/*.jpg", "matches no photograph"),
        (["a.jpg", "b.jpg"], "no such file or folder: 'a.jpg'"),
        ("picamera2:x", "no source 'picamera2:x'"),
    ],
)
def test_what_is_no_source_is_refused_with_what_is_possible(
    text: str | list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as caught:
        open_source(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("label", ["Back Door", "x/y", "+", "#", ""])
def test_a_name_that_topics_cannot_hold_is_refused(label: str) -> None:
    with pytest.raises(RequestError, match=r"is not made of a-z, 0-9, _ and -"):
        open_source("0", label=label)


def test_a_timeout_of_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="timeout_s is 0"):
        open_source("0", timeout_s=0)


def test_photographs_come_in_order_and_a_damaged_one_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(scene(64, 48)))
    (tmp_path / "b.jpg").write_bytes(jpeg(scene(64, 48))[:500])
    (tmp_path / "c.jpg").write_bytes(jpeg(scene(32, 32)))
    source = StillsSource([tmp_path])
    assert not source.live
    source.open()
    first = source.read()
    with pytest.raises(PictureError, match=r"b\.jpg'"):
        source.read()
    last = source.read()
    assert first is not None
    assert last is not None
    assert (first.rgb.shape, last.rgb.shape) == ((48, 64, 3), (32, 32, 3))
    assert first.name == f"{tmp_path}/a.jpg"
    assert source.read() is None
    source.close()
    source.close()
    assert source.read() is None


def test_a_list_begins_again_when_looped_unless_nothing_of_it_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(scene(64, 48)))
    (tmp_path / "b.jpg").write_bytes(jpeg(scene(64, 48)))
    source = StillsSource([tmp_path], loop=True)
    source.open()
    names = [frame.name[-5:] for frame in (source.read() for _ in range(5)) if frame is not None]
    assert names == ["a.jpg", "b.jpg", "a.jpg", "b.jpg", "a.jpg"]
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(PictureError):
        source.read()
    for _ in range(2):
        with pytest.raises(PictureError):
            source.read()
    with pytest.raises(SourceError, match="none of the photographs can be read"):
        source.read()


def test_stills_that_went_away_before_opening_are_a_lost_source(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(scene(64, 48)))
    source = open_source(str(tmp_path / "a.jpg"))
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(SourceError, match="no such file"):
        source.open()


@pytest.mark.parametrize("text", ["film.mp4", "rtsp://127.0.0.1:9/x"])
def test_without_opencv_it_says_which_extra_brings_it(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nima.errors import PackageMissing

    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[camera\]'"):
        open_source(text).open()
