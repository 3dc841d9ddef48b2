"""What a person types for a source, and lists of photographs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import PHOTOS
from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.sources import SourceOptions, open_source, slug, without_password
from edge_nima.sources.folder import FolderSource
from edge_nima.sources.http import HttpSource
from edge_nima.sources.picamera import PicameraSource
from edge_nima.sources.rotated import RotatedSource
from edge_nima.sources.stills import StillsSource
from edge_nima.sources.stream import StreamSource
from edge_nima.sources.v4l2 import V4l2Source
from edge_nima.sources.video import VideoSource
from streams import film, jpeg, scene

HOST = slug(socket.gethostname())


@pytest.mark.parametrize(
    ("text", "kind", "label"),
    [
        ("0", V4l2Source, f"{HOST}-video0"),
        ("12", V4l2Source, f"{HOST}-video12"),
        ("/dev/v4l/by-id/usb-Cam-index0", V4l2Source, f"{HOST}-usb-cam-index0"),
        ("picamera2", PicameraSource, f"{HOST}-picamera0"),
        ("picamera2:1", PicameraSource, f"{HOST}-picamera1"),
        ("rtsp://u:p@Garden.local:8554/live", StreamSource, "garden-local-8554-live"),
        ("rtsp://nvr:554/stream1", StreamSource, "nvr-stream1"),
        ("RTSP://10.0.0.7/", StreamSource, "10-0-0-7"),
        ("udp://127.0.0.1:5000", StreamSource, "127-0-0-1-5000"),
        ("http://porch/stream", HttpSource, "porch-stream"),
        ("https://u@porch:443/stream", HttpSource, "porch-stream"),
    ],
)
def test_a_source_is_known_by_what_is_typed(text: str, kind: type, label: str) -> None:
    source = open_source(text)
    assert type(source) is kind
    assert source.label == label
    assert source.drops
    assert source.real_time
    assert open_source([text], SourceOptions(label="back_door")).label == "back_door"
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
    assert isinstance(source, RotatedSource)
    assert isinstance(source.source, HttpSource)
    with pytest.raises(RequestError, match="rotate is 1"):
        open_source("0", rotate=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "no source 'nonsense'; possible: 0 or /dev/video0, picamera2"),
        ("nonsense", "--wait waits for a file or folder to appear"),
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
        open_source("0", SourceOptions(label=label))


def test_photographs_come_in_order_and_a_damaged_one_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(scene(64, 48)))
    (tmp_path / "b.jpg").write_bytes(jpeg(scene(64, 48))[:500])
    (tmp_path / "c.jpg").write_bytes(jpeg(scene(32, 32)))
    source = StillsSource([str(tmp_path)])
    assert not source.drops
    assert not source.real_time
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
    source = StillsSource([str(tmp_path)], SourceOptions(loop=True))
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


@pytest.mark.parametrize("text", ["film.mp4", "rtsp://127.0.0.1:9/x"])
def test_without_pyav_it_says_which_extra_brings_it(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_nima.errors import PackageMissing

    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[camera\]'"):
        open_source(text).open()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://u:p@h:1/a?b=c#d", "rtsp://h:1/a?…"),
        ("RTSP://u:p%40w@h/", "RTSP://h/"),
        ("http://a:b@c@h/x", "http://h/x"),
        ("http://h/x@y", "http://h/x@y"),
        ("rtsp://u:p#w@h/x", "rtsp://h/x"),
        ("rtsp://u:p/w?@h@h/x", "rtsp://h/x"),
        ("http://h/\x1b[31m", "http://h/\\x1b[31m"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert without_password(address) == shown


SECRET = st.text("ab1#/?@:%&;= ", min_size=1, max_size=12)


@given(
    user=SECRET, secret=SECRET.map(lambda text: f"q{text}z"), host=st.sampled_from(["h", "10.0.0.7", "[::1]", "h:99"])
)
def test_no_part_of_a_password_shows_whatever_is_in_it(user: str, secret: str, host: str) -> None:
    address = f"rtsp://{user}:{secret}@{host}/live"
    assert without_password(address) == f"rtsp://{host}/live"
    try:
        shown = open_source(address).label
    except RequestError as error:
        shown = str(error)
    assert "q" not in shown  # which every password here begins with


def test_two_streams_of_one_recorder_have_two_names() -> None:
    addresses = ["rtsp://nvr/stream1", "rtsp://nvr/stream2", "rtsp://nvr:555/stream1"]
    addresses += ["rtsp://nvr/cam?channel=1", "rtsp://nvr/cam?channel=2", f"rtsp://nvr/{'x' * 80}?a", "http://nvr/x"]
    assert len({open_source(address).label for address in addresses}) == len(addresses)


def test_with_wait_what_is_not_there_yet_is_opened_when_it_is(tmp_path: Path) -> None:
    kinds = {"inbox": FolderSource, "garden.mp4": VideoSource, "a.jpg": StillsSource}
    for name, kind in kinds.items():
        path = str(tmp_path / name)
        with pytest.raises(RequestError):
            open_source(path)
        source = open_source(path, SourceOptions(wait=True))
        assert type(source) is kind
        with pytest.raises(SourceError, match=name):
            source.open()
        if name == "inbox":
            (tmp_path / name).mkdir()
        elif name == "a.jpg":
            (tmp_path / name).write_bytes(jpeg(scene()))
        else:
            film(tmp_path / name, seconds=1)
        source.open()
        source.close()


def test_the_modules_import_where_there_is_nothing_of_posix() -> None:
    code = """
import os, sys, time
for name in ("fcntl", "grp", "pwd", "termios", "resource"):
    sys.modules[name] = None
for module, names in ((os, ("statvfs", "major", "getuid")), (time, ("CLOCK_BOOTTIME", "clock_gettime"))):
    for name in names:
        delattr(module, name)
from pkgutil import iter_modules
from importlib import import_module
import edge_nima.sources
for module in iter_modules(edge_nima.sources.__path__):
    import_module(f"edge_nima.sources.{module.name}")
from edge_nima.sources.v4l2 import v4l2_cameras
assert v4l2_cameras("/none") == []
print(sorted({"cv2", "av", "picamera2"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
