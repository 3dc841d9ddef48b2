"""Cameras over HTTP: motion JPEG from FFmpeg and from a server that does what cameras do, snapshots, and video."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames.mjpeg import HttpSource
from edge_nima.frames.opening import open_source
from streams import assert_scene, ffmpeg_mjpeg, film, free_port, http_camera, jpeg, needs, read_until_lost, scene


def read(source: HttpSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def test_ffmpegs_motion_jpeg_comes_out_with_its_colours(tmp_path: Path) -> None:
    with ffmpeg_mjpeg(tmp_path) as url:
        source = open_source(url, timeout_s=5)
        began = time.monotonic()
        source.open()
        for _ in range(10):
            frame = source.read()
            assert frame is not None
            assert_scene(frame.rgb)
            assert began <= frame.taken_mono <= time.monotonic()
            frame.close()
        assert time.monotonic() - began > 0.4  # ten at fifteen a second
        source.close()
        source.close()


@pytest.mark.parametrize("lengths", [True, False])
def test_motion_jpeg_is_read_with_and_without_lengths(lengths: bool) -> None:
    with http_camera() as camera:
        camera.lengths = lengths
        source = HttpSource(camera.url, timeout_s=3)
        source.open()
        assert (source.label, source.live) == ("127-0-0-1", True)
        for _ in range(5):
            assert_scene(read(source).rgb)
        source.close()


def test_a_truncated_jpeg_is_a_damaged_frame_and_the_next_one_is_good() -> None:
    whole = jpeg(scene())

    def pictures(number: int) -> bytes:
        return {1: whole[: len(whole) // 2], 3: b"", 4: b"no picture", 6: whole[:-2]}.get(number, whole)

    with http_camera() as camera:
        camera.pictures = pictures
        source = HttpSource(camera.url, timeout_s=3)
        source.open()
        good, damaged = 0, []
        while good < 8:
            try:
                assert_scene(read(source).rgb)
                good += 1
            except PictureError as error:
                damaged.append(str(error))
        source.close()
    assert not any("\n" in told for told in damaged)
    assert 2 <= len(damaged) <= 3  # the whole one without its end marker may pass


def test_frames_that_change_size_or_turn_grey_are_read_on() -> None:
    grey = scene().mean(axis=2).astype(np.uint8)
    kinds = [jpeg(scene()), jpeg(scene(640, 480)), jpeg(grey), jpeg(scene(100, 80))]
    with http_camera() as camera:
        camera.pictures = lambda number: kinds[number % 4]
        source = HttpSource(camera.url, timeout_s=3)
        source.open()
        shapes = [read(source).rgb.shape for _ in range(8)]
        source.close()
    assert {(240, 320, 3), (480, 640, 3), (80, 100, 3)} == set(shapes)


def test_a_reader_that_is_slow_gets_the_newest_picture_and_not_a_queue() -> None:
    def numbered(number: int) -> bytes:
        return jpeg(np.full((200, 200, 3), min(250, number), np.uint8))

    with http_camera() as camera:
        camera.pictures, camera.fps = numbered, 100.0
        source = HttpSource(camera.url, timeout_s=3)
        source.open()
        first = int(read(source).rgb.mean())
        time.sleep(1.0)
        second = int(read(source).rgb.mean())
        source.close()
    assert second - first > 50
    assert source.skipped > 50


@pytest.mark.parametrize("fault", ["frozen", "trickle"])
def test_a_source_that_is_frozen_but_connected_is_lost_in_time_and_comes_back(fault: str) -> None:
    with http_camera() as camera:
        source = HttpSource(camera.url, timeout_s=0.3)
        for _ in range(3):
            source.open()
            read(source)
            if fault == "frozen":
                camera.frozen.set()
            else:
                camera.trickle = True
            assert "no frame for 0.3 s, though connected" in read_until_lost(source)
            source.close()
            camera.frozen.clear()
            camera.trickle = False
        source.open()
        assert_scene(read(source).rgb)
        source.close()


def test_a_stream_that_ends_is_lost_and_opens_again() -> None:
    with http_camera() as camera:
        camera.pictures = lambda number: jpeg(scene()) if number < 3 else None
        source = HttpSource(camera.url, timeout_s=2)
        for _ in range(3):
            source.open()
            assert "the stream ended" in read_until_lost(source)
            source.close()
        assert camera.asked == 3


def test_reading_what_is_not_open_says_so() -> None:
    source = HttpSource("http://127.0.0.1:9/x")
    source.close()
    with pytest.raises(SourceError, match="is not open"):
        source.read()


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("path", ["stream", "snapshot.jpg"])
def test_a_password_opens_and_never_shows(digest: bool, path: str) -> None:
    with http_camera() as camera:
        camera.user, camera.digest = "mine:s3cret /x", digest
        address = camera.with_user("mine:s3cret%20%2Fx", path)
        source = HttpSource(address, timeout_s=2)
        source.open()
        assert_scene(read(source).rgb)
        source.close()
        assert source.label == "127-0-0-1"
        for user, message in (("mine:wr0ng", "it refuses the user or the password"), ("", "it asks for a password")):
            address = camera.with_user(user, path) if user else camera.with_user("", path).replace("@", "")
            with pytest.raises(SourceError, match=f"401, {message}") as caught:
                HttpSource(address, timeout_s=2).open()
            assert "wr0ng" not in str(caught.value)
            assert "mine" not in str(caught.value)


def test_a_snapshot_address_is_asked_as_often_as_wanted() -> None:
    with http_camera() as camera:
        source = HttpSource(camera.snapshot, fps=20, timeout_s=2)
        source.open()
        began = time.monotonic()
        for _ in range(11):
            assert_scene(read(source).rgb)
        assert time.monotonic() - began > 0.45
        assert camera.asked == 11
        source.close()
        slow = HttpSource(camera.snapshot, fps=0.1, timeout_s=2)
        slow.open()
        read(slow)
        with pytest.raises(NothingYet):
            read(slow)
        slow.close()


def test_a_truncated_snapshot_is_damaged_and_the_next_is_asked_for() -> None:
    whole = jpeg(scene())
    with http_camera() as camera:
        camera.pictures = lambda number: whole[:2000] if number == 1 else whole
        source = HttpSource(camera.snapshot, fps=100, timeout_s=2)
        source.open()
        with pytest.raises(PictureError):
            source.read()
        assert_scene(read(source).rgb)
        source.close()


def test_video_over_http_goes_to_ffmpeg_and_ends(tmp_path: Path) -> None:
    with http_camera() as camera:
        camera.kind, camera.whole = "video/mp4", film(tmp_path / "film.mp4", seconds=1).read_bytes()
        source = HttpSource(camera.url, timeout_s=5)
        source.open()
        for _ in range(10):
            assert_scene(read(source).rgb)
        assert source.read() is None
        source.close()
        camera.kind, camera.whole = "video/mp4", bytes(5000)
        with pytest.raises(SourceError, match="no video that can be decoded here"):
            source.open()
        source.close()


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/none", "", "404, there is no such path"),
        ("/forbidden", "", "403, it refuses us"),
        ("/stream", "text/html", "gives text/html, no pictures"),
        ("/stream", "multipart/x-mixed-replace", "without a boundary"),
    ],
)
def test_what_gives_no_pictures_is_said_on_one_line(path: str, kind: str, message: str) -> None:
    with http_camera() as camera:
        camera.kind = kind or camera.kind
        source = HttpSource(camera.url.replace("/stream", path), timeout_s=2)
        with pytest.raises(SourceError, match=message) as caught:
            source.open()
        assert "\n" not in str(caught.value)
        source.close()


def test_what_is_not_there_is_told_apart() -> None:
    with pytest.raises(SourceError, match="connection refused; nothing listens there"):
        HttpSource(f"http://user:secret@127.0.0.1:{free_port()}/x", timeout_s=2).open()
    with pytest.raises(SourceError, match=r"nowhere\.invalid: no such host"):
        HttpSource("http://nowhere.invalid/x", timeout_s=2).open()


def test_a_camera_with_a_certificate_of_its_own_is_read_once_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "camera.pem"
    command = [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    command += ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    with http_camera() as camera:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        camera.socket = context.wrap_socket(camera.socket, server_side=True)
        source = HttpSource(camera.url.replace("http:", "https:"), timeout_s=3)
        with pytest.raises(SourceError, match=r"certificate is not trusted; SSL_CERT_FILE="):
            source.open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        source.open()
        for _ in range(3):
            assert_scene(read(source).rgb)
        source.close()


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = HttpSource(f"http://127.0.0.1:{silent.getsockname()[1]}/x", timeout_s=0.5)
        with pytest.raises(SourceError, match=r"no answer in 0\.5 s"):
            source.open()
        source.close()


def test_threads_and_files_are_the_same_after_many_faults() -> None:
    with http_camera() as camera:
        camera.pictures = lambda number: jpeg(scene(64, 48)) if number < 2 else None
        camera.fps = 1000
        source = HttpSource(camera.url, timeout_s=1)

        def once() -> None:
            source.open()
            read_until_lost(source)
            source.close()

        for _ in range(5):
            once()
        time.sleep(0.1)
        files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        for _ in range(40):
            once()
        time.sleep(0.1)
        assert len(os.listdir("/proc/self/fd")) <= files + 1  # the server's own last connection
        assert threading.active_count() <= threads + 1


@pytest.mark.parametrize(("address", "fps"), [("ftp://x/y", None), ("http:///x", None), ("http://x/y", 0)])
def test_addresses_and_rates_that_cannot_be_are_refused(address: str, fps: float | None) -> None:
    with pytest.raises(RequestError):
        HttpSource(address, fps=fps)
