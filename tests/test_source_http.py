"""Cameras over HTTP: motion JPEG from FFmpeg and from a server that does what cameras do, snapshots, and video."""

from __future__ import annotations

import io
import os
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_nima.decode import read_rgb
from edge_nima.errors import PictureError, RequestError, SourceError
from edge_nima.frame import Frame
from edge_nima.sources import NothingYet, SourceOptions, open_source
from edge_nima.sources import http as module
from edge_nima.sources.http import HttpSource
from streams import assert_scene, ffmpeg_mjpeg, film, http_camera, jpeg, needs, read_until_lost, scene


def read(source: HttpSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def test_ffmpegs_motion_jpeg_comes_out_with_its_colours(tmp_path: Path) -> None:
    with ffmpeg_mjpeg(tmp_path) as url:
        source = open_source(url, SourceOptions(timeout_s=5))
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


def test_a_truncated_jpeg_is_a_damaged_frame_and_the_next_one_is_good() -> None:
    whole = jpeg(scene())

    def pictures(number: int) -> bytes:
        return {1: whole[: len(whole) // 2], 3: b"", 4: b"no picture", 6: whole[:-2]}.get(number, whole)

    with http_camera() as camera:
        camera.pictures, camera.fps = pictures, 10.0
        source = HttpSource(camera.url, SourceOptions(timeout_s=3))
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
    assert len(damaged) == 1  # what is no picture at all is passed over, and the whole one lacks its end marker alone


def test_frames_that_change_size_or_turn_grey_are_read_on() -> None:
    grey = scene().mean(axis=2).astype(np.uint8)
    kinds = [jpeg(scene()), jpeg(scene(640, 480)), jpeg(grey), jpeg(scene(100, 80))]
    with http_camera() as camera:
        camera.pictures = lambda number: kinds[number % 4]
        source = HttpSource(camera.url, SourceOptions(timeout_s=3))
        source.open()
        shapes = [read(source).rgb.shape for _ in range(8)]
        source.close()
    assert {(240, 320, 3), (480, 640, 3), (80, 100, 3)} == set(shapes)


def test_a_reader_that_is_slow_gets_the_newest_picture_and_not_a_queue() -> None:
    def numbered(number: int) -> bytes:
        return jpeg(np.full((200, 200, 3), min(250, number), np.uint8))

    with http_camera() as camera:
        camera.pictures, camera.fps = numbered, 100.0
        source = HttpSource(camera.url, SourceOptions(timeout_s=3))
        source.open()
        first = int(read(source).rgb.mean())
        time.sleep(1.0)
        second = int(read(source).rgb.mean())
        source.close()
    assert second - first > 50


@pytest.mark.parametrize("fault", ["frozen", "trickle"])
def test_a_source_that_is_frozen_but_connected_is_lost_in_time_and_comes_back(fault: str) -> None:
    with http_camera() as camera:
        source = HttpSource(camera.url, SourceOptions(timeout_s=1))
        for _ in range(3):
            source.open()
            read(source)
            if fault == "frozen":
                camera.frozen.set()
            else:
                camera.trickle = True
            assert "no frame for 1 s, though connected" in read_until_lost(source)
            source.close()
            camera.frozen.clear()
            camera.trickle = False
        source.open()
        assert_scene(read(source).rgb)
        source.close()


def test_a_stream_that_ends_is_lost_and_opens_again() -> None:
    with http_camera() as camera:
        camera.pictures = lambda number: jpeg(scene()) if number < 3 else None
        source = HttpSource(camera.url, SourceOptions(timeout_s=2))
        for _ in range(3):
            source.open()
            assert "the stream ended" in read_until_lost(source)
            source.close()
        assert camera.asked == 3


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("path", ["stream", "snapshot.jpg"])
def test_a_password_opens_and_never_shows(digest: bool, path: str) -> None:
    with http_camera() as camera:
        camera.user, camera.digest = "mine:s3cret /x", digest
        address = camera.with_user("mine:s3cret%20%2Fx", path)
        source = HttpSource(address, SourceOptions(timeout_s=2))
        source.open()
        assert_scene(read(source).rgb)
        source.close()
        for user, message in (("mine:wr0ng", "it refuses the user or the password"), ("", "it asks for a password")):
            address = camera.with_user(user, path) if user else camera.with_user("", path).replace("@", "")
            with pytest.raises(SourceError, match=f"401, {message}") as caught:
                HttpSource(address, SourceOptions(timeout_s=2)).open()
            assert "wr0ng" not in str(caught.value)
            assert "mine" not in str(caught.value)


def test_a_snapshot_address_is_asked_as_often_as_wanted() -> None:
    with http_camera() as camera:
        source = HttpSource(camera.snapshot, SourceOptions(fps=20, timeout_s=2))
        source.open()
        began = time.monotonic()
        for _ in range(11):
            assert_scene(read(source).rgb)
        assert time.monotonic() - began > 0.45
        assert camera.asked == 11
        source.close()
        slow = HttpSource(camera.snapshot, SourceOptions(fps=0.1, timeout_s=2))
        slow.open()
        read(slow)
        with pytest.raises(NothingYet):
            read(slow)
        slow.close()


def test_a_truncated_snapshot_is_damaged_and_the_next_is_asked_for() -> None:
    whole = jpeg(scene())
    with http_camera() as camera:
        camera.pictures = lambda number: whole[:2000] if number == 1 else whole
        source = HttpSource(camera.snapshot, SourceOptions(fps=100, timeout_s=2))
        source.open()
        with pytest.raises(PictureError):
            source.read()
        assert_scene(read(source).rgb)
        source.close()


def test_video_over_http_goes_to_ffmpeg_and_ends(tmp_path: Path) -> None:
    with http_camera() as camera:
        camera.kind, camera.whole = "video/mp4", film(tmp_path / "film.mp4", seconds=1).read_bytes()
        source = HttpSource(camera.url, SourceOptions(timeout_s=5))
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
    ],
)
def test_what_gives_no_pictures_is_said_on_one_line(path: str, kind: str, message: str) -> None:
    with http_camera() as camera:
        camera.kind, camera.whole = kind or camera.kind, b"<html><body>log in</body></html>" if kind else None
        source = HttpSource(camera.url.replace("/stream", path), SourceOptions(timeout_s=2))
        with pytest.raises(SourceError, match=message) as caught:
            source.open()
        assert "\n" not in str(caught.value)
        source.close()


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
        source = HttpSource(camera.url.replace("http:", "https:"), SourceOptions(timeout_s=3))
        with pytest.raises(SourceError, match=r"certificate is not trusted; SSL_CERT_FILE="):
            source.open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        source.open()
        for _ in range(3):
            assert_scene(read(source).rgb)
        source.close()


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = HttpSource(f"http://127.0.0.1:{silent.getsockname()[1]}/x", SourceOptions(timeout_s=0.5))
        with pytest.raises(SourceError, match=r"no answer in 0\.5 s"):
            source.open()


def test_threads_and_files_are_the_same_after_many_faults() -> None:
    with http_camera() as camera:
        camera.pictures = lambda number: jpeg(scene(64, 48)) if number < 2 else None
        camera.fps = 1000
        source = HttpSource(camera.url, SourceOptions(timeout_s=1))

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
        HttpSource(address, SourceOptions(fps=fps))


# --- as cameras in the field send it: the bytes of an answer, written by hand ---------------------------------------

BARE = jpeg(scene())
TALKATIVE = BARE[:2] + b"\xff\xfe\x00\x1fkeyframe=1\r\n--frame cam=frame" + BARE[2:]
OK, MIXED = b"HTTP/1.1 200 OK\r\n", b"Content-Type: multipart/x-mixed-replace"


def part(
    boundary: bytes, content: bytes, *, length: int | None = -1, line: bytes = b"\r\n", kind: bool = True
) -> bytes:
    head = [b"--" + boundary, *[b"Content-Type: image/jpeg"] * kind]
    if length is not None:
        head.append(b"Content-Length: %d" % (len(content) if length < 0 else length))
    return line.join([*head, b"", content, b""])


def chunked(content: bytes) -> bytes:
    return b"%x\r\n" % len(content) + content + b"\r\n"


FIELD = {
    "a boundary in a comment": (MIXED + b"; boundary=frame", part(b"frame", TALKATIVE, length=None)),
    "no boundary": (MIXED, part(b"camera", BARE)),
    "another boundary": (MIXED + b"; boundary=abc", part(b"xyz", BARE)),
    "another boundary, no lengths": (MIXED + b"; boundary=abc", part(b"xyz", BARE, length=None)),
    "dashes in the boundary": (MIXED + b'; boundary="--frame"', part(b"frame", BARE)),
    "no end marker": (MIXED + b"; boundary=frame", part(b"frame", BARE[:-2])),
    "no end marker, no length": (MIXED + b"; boundary=frame", part(b"frame", BARE[:-2], length=None)),
    "wrong lengths": (MIXED + b"; boundary=frame", part(b"frame", BARE, length=len(BARE) // 3)),
    "lengths too large": (MIXED + b"; boundary=frame", part(b"frame", BARE, length=len(BARE) + 50)),
    "lines of LF": (MIXED + b"; boundary=frame", part(b"frame", BARE, length=None, line=b"\n")),
    "no headers": (MIXED + b"; boundary=frame", part(b"frame", BARE, length=None, kind=False)),
    "empty parts": (MIXED + b"; boundary=frame", part(b"frame", b"") + part(b"frame", BARE)),
    "multipart/mixed": (b"Content-Type: multipart/mixed; boundary=f", part(b"f", BARE)),
    "a type that says nothing": (b"Content-Type: application/octet-stream", part(b"frame", BARE)),
    "no type": (b"Server: camera", part(b"frame", BARE)),
    "chunks": (MIXED + b"; boundary=frame\r\nTransfer-Encoding: chunked", chunked(part(b"frame", BARE))),
}


@contextmanager
def by_hand(answer: Callable[[bytes], Iterator[bytes]]) -> Iterator[str]:
    """A server whose answers are what `answer` gives for a request. Gives its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = b""
            while not request.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                request += line
            with suppress(OSError):
                for piece in answer(request):
                    self.wfile.write(piece)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}/x"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", FIELD)
def test_streams_of_cameras_in_the_field_are_read(name: str) -> None:
    headers, piece = FIELD[name]

    def answer(request: bytes) -> Iterator[bytes]:
        line = b"\n" if name == "lines of LF" else b"\r\n"
        yield (OK + headers + b"\r\n\r\n").replace(b"\r\n", line)
        for _ in range(200):
            yield piece
            time.sleep(0.02)

    with by_hand(answer) as address:
        source = HttpSource(f"http://{address}", SourceOptions(timeout_s=3))
        source.open()
        for _ in range(6):
            assert_scene(read(source).rgb)
        source.close()


def test_a_picture_cut_in_the_middle_is_damaged_though_its_end_marker_is_not_missed() -> None:
    with_end_marker = module.with_end(BARE[:-2])
    assert with_end_marker == BARE
    for cut in (len(BARE) // 2, len(BARE) - 300):
        with pytest.raises(PictureError):
            read_rgb(module.with_end(BARE[:cut]))
    progressive = io.BytesIO()
    Image.fromarray(scene()).save(progressive, "JPEG", progressive=True)
    with pytest.raises(PictureError):
        read_rgb(module.with_end(progressive.getvalue()[:-400]))


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 30), pieces=st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_pictures_are_cut_the_same_however_they_arrive(seed: int, pieces: list[int]) -> None:
    random = np.random.default_rng(seed)
    kinds = [BARE, TALKATIVE, jpeg(random.integers(0, 256, (40, 60, 3), dtype=np.uint8))]
    sent = [kinds[int(random.integers(3))] for _ in range(4)]
    length = None if random.integers(2) else -1
    content = b"".join(part(b"frame", one, length=length) for one in sent)
    cutter, found, at = module.JpegCutter(), [], 0
    while at < len(content):
        size = pieces[at % len(pieces)]
        cutter.feed(content[at : at + size])
        at += size
        while (one := cutter.next()) is not None:
            found.append(one)
    assert found == sent


def test_what_is_no_picture_holds_no_memory_and_a_picture_without_end_is_refused() -> None:
    cutter = module.JpegCutter()
    for _ in range(100):
        cutter.feed(bytes(1 << 16))
        assert cutter.next() is None
    assert len(cutter._held) < 1 << 13
    cutter.feed(BARE[:-2])
    cutter.feed(bytes(33 << 20))
    with pytest.raises(SourceError, match="over 32 MiB"):
        cutter.next()


@pytest.mark.parametrize("headers", [b"Content-Type: application/octet-stream", b"Server: camera"])
def test_a_snapshot_is_known_by_its_content(headers: bytes) -> None:
    with by_hand(
        lambda request: iter([OK + headers + b"\r\nContent-Length: %d\r\n\r\n" % len(BARE) + BARE])
    ) as address:
        source = HttpSource(f"http://{address}", SourceOptions(fps=50))
        source.open()
        for _ in range(3):
            assert_scene(read(source).rgb)
        source.close()


def test_digest_is_answered_with_sha_256_where_it_is_offered_first() -> None:
    def answer(request: bytes) -> Iterator[bytes]:
        if b"algorithm=SHA-256" in request and b"Digest " in request:
            yield OK + MIXED + b"\r\n\r\n" + part(b"f", BARE) * 2
            return
        offer = b'WWW-Authenticate: Digest realm="camera", qop="auth", nonce="abc", algorithm=%s\r\n'
        yield b"HTTP/1.1 401 No\r\n" + offer % b"SHA-256" + offer % b"MD5" + b"Content-Length: 0\r\n\r\n"

    with by_hand(answer) as address:
        source = HttpSource(f"http://a:b@{address}", SourceOptions(timeout_s=2))
        source.open()
        assert_scene(read(source).rgb)
        source.close()


def test_answers_to_challenges_are_those_of_the_standards(monkeypatch: pytest.MonkeyPatch) -> None:
    client = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"  # RFC 7616, 3.9.1
    monkeypatch.setattr(module.os, "urandom", lambda size: type("", (), {"hex": lambda self: client})())
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    offer = f'Digest realm="http-auth@example.org", qop="auth, auth-int", nonce="{nonce}", opaque="x", algorithm='
    given, target = ("Mufasa", "Circle of Life"), "/dir/index.html"
    for algorithms, response in (
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        offers = [offer + algorithm for algorithm in algorithms]
        for challenges in (offers, [", ".join(offers)], ['Basic realm="a, b"', *offers]):
            assert f'response="{response}"' in str(module.authorization(challenges, given, target))
    assert module.authorization(['Basic realm="x"'], ("a", "b"), "/") == "Basic YTpi"
    assert module.authorization(["Negotiate"], ("a", "b"), "/") is None


def test_a_redirection_is_followed_and_the_password_stays_with_its_host() -> None:
    asked = []

    def answer(request: bytes) -> Iterator[bytes]:
        asked.append(request)
        if b"GET /x " in request:
            where = b"Location: http://localhost:%s/y%%20z" % address.split(":")[1].split("/")[0].encode()
            yield b"HTTP/1.1 302 Found\r\n" + where + b"\r\nContent-Length: 0\r\n\r\n"
        elif b"/y%20z " in request:
            yield b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'

    with by_hand(answer) as address, pytest.raises(SourceError, match="401, it asks for a password"):
        HttpSource(f"http://a:b@{address}", SourceOptions(timeout_s=2)).open()
    assert len(asked) == 2
    assert not any(b"Authorization" in request for request in asked)
