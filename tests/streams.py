"""Real servers of pictures on free ports of 127.0.0.1: RTSP by GStreamer, motion JPEG by FFmpeg and by a few lines."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import parse_http_list, parse_keqv_list

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_nima.errors import SourceError
from edge_nima.sources import Source

RED, GREEN, BLUE, GREY = (220, 20, 30), (20, 200, 40), (30, 40, 210), (90, 90, 90)
"""Left half, right half above and below, as `scene` has them; grey for what is without colour."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scene(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """Red on the left, green above blue on the right: no turn, no mirror and no swap of colours looks the same."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2] = RED
    rgb[: height // 2, width // 2 :] = GREEN
    rgb[height // 2 :, width // 2 :] = BLUE
    return rgb


def corners(rgb: NDArray[np.uint8]) -> dict[str, tuple[int, ...]]:
    """The mean colour of the middle of each quarter."""
    height, width = rgb.shape[:2]
    found = {}
    for name, top, left in (("tl", 0, 0), ("tr", 0, 1), ("bl", 1, 0), ("br", 1, 1)):
        quarter = rgb[top * height // 2 :, left * width // 2 :][height // 8 : height // 3, width // 8 : width // 3]
        found[name] = tuple(round(v) for v in quarter.reshape(-1, 3).mean(axis=0))
    return found


def assert_scene(rgb: NDArray[np.uint8], tolerance: int = 20) -> None:
    """Whether the colours are those of `scene`, within what a codec changes."""
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    for name, colour in (("tl", RED), ("bl", RED), ("tr", GREEN), ("br", BLUE)):
        got = corners(rgb)[name]
        assert max(abs(a - b) for a, b in zip(got, colour, strict=True)) <= tolerance, (name, got, colour)


def jpeg(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return file.getvalue()


def film(path: Path, *, size: str = "320x240", seconds: float = 2, fps: int = 10, codec: str = "libx264") -> Path:
    """A film of `scene` with a white square that moves, by FFmpeg."""
    ffmpeg = needs("ffmpeg")
    width, height = map(int, size.split("x"))
    still = path.with_name(f"{path.stem}-scene.png")
    Image.fromarray(scene(width, height)).save(still)
    moving = f"color=white:s=16x16:r={fps}[dot];[0][dot]overlay=x='mod(t*40,{width - 16})':y=0:shortest=0"
    command = [ffmpeg, "-v", "error", "-y", "-loop", "1", "-framerate", str(fps), "-i", str(still)]
    command += ["-filter_complex", moving, "-t", str(seconds), "-r", str(fps), "-pix_fmt", "yuv420p", "-c:v", codec]
    subprocess.run([*command, str(path)], check=True, timeout=60)
    return path


def read_until_lost(source: Source, within_s: float = 60.0) -> str:
    """Read on until the source is lost; what is said of it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            frame = source.read()
        except SourceError as error:
            return str(error)
        if frame is not None:
            frame.close()
    pytest.fail(f"not lost within {within_s:g} s")


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    return found


# --- RTSP -----------------------------------------------------------------------------------------------------------

_RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
port, pipeline, user = sys.argv[1:4]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(pipeline); factory.set_shared(True)
if user:
    name, _, password = user.partition(":")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(__import__("gi").repository.GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken(); token.set_string("media.factory.role", "user")
    auth.add_digest(name, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""

_H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96"
ENCODERS = {
    "h264": f"( {{source}} ! videoconvert ! video/x-raw,format=I420 ! {_H264} )",
    "jpeg": "( {source} ! videoconvert ! video/x-raw,format=I420 ! jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26 )",
    "sound": "( audiotestsrc is-live=true ! audioconvert ! mulawenc ! rtppcmupay name=pay0 pt=0 )",
}


class Rtsp:
    """A real RTSP server in a process of its own, which can be frozen, killed and started again on its port."""

    def __init__(
        self, folder: Path, encoder: str = "h264", fps: int = 15, user: str = "", size: str = "320x240"
    ) -> None:
        width, height = map(int, size.split("x"))
        still = folder / "rtsp-scene.png"
        Image.fromarray(scene(width, height)).save(still)
        source = f"filesrc location={still} ! pngdec ! imagefreeze is-live=true ! video/x-raw,framerate={fps}/1"
        self.port = free_port()
        self._script = folder / "rtsp_server.py"
        self._script.write_text(_RTSP)
        self._arguments = [str(self.port), ENCODERS[encoder].format(source=source), user]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        command = ["/usr/bin/python3", str(self._script), *self._arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@contextlib.contextmanager
def rtsp_server(folder: Path, encoder: str = "h264", **how: object) -> Iterator[Rtsp]:
    """GStreamer's RTSP server, streaming `scene`."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    there = (
        os.path.exists("/usr/bin/python3")
        and not subprocess.run(["/usr/bin/python3", "-c", probe], capture_output=True, check=False).returncode
    )
    if not there:
        pytest.skip("needs GStreamer's RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi")
    server = Rtsp(folder, encoder, **how)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.kill()


# --- motion JPEG ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ffmpeg_mjpeg(folder: Path, fps: int = 15, size: str = "320x240") -> Iterator[str]:
    """FFmpeg's own motion JPEG over HTTP, for one viewer. Gives its address."""
    width, height = map(int, size.split("x"))
    still = folder / "mjpeg-scene.png"
    Image.fromarray(scene(width, height)).save(still)
    url = f"http://127.0.0.1:{free_port()}/cam.mjpg"
    command = [needs("ffmpeg"), "-v", "error", "-re", "-loop", "1", "-framerate", str(fps), "-i", str(still)]
    command += ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", "-f", "mpjpeg", "-listen", "1"]
    command += ["-content_type", "multipart/x-mixed-replace;boundary=ffmpeg", url]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _await_port(url)
        yield url
    finally:
        process.kill()
        process.wait()


def _await_port(url: str) -> None:
    """Until something listens, without connecting: FFmpeg takes one viewer only."""
    port = int(url.split(":")[2].split("/")[0])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with open("/proc/net/tcp") as file:
            if any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(file)[1:]):
                return
        time.sleep(0.02)
    pytest.fail(f"nothing listens at {url}")


class Camera(ThreadingHTTPServer):
    """A camera over HTTP as a test wants it: parts, lengths, passwords, faults."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CameraHandler)
        self.pictures: Callable[[int], bytes | None] = lambda number: jpeg(scene())
        """The content of each part; None ends the stream."""
        self.fps = 30.0
        self.lengths = True
        self.boundary = "frame"
        self.kind = "multipart/x-mixed-replace; boundary=frame"
        self.user: str | None = None
        self.digest = False
        self.frozen = threading.Event()
        """While set nothing is sent, and the connection stays."""
        self.trickle = False
        """One byte now and then, never a whole part."""
        self.whole: bytes | None = None
        """In place of a stream: one answer of this content, with `kind`."""
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/stream"

    @property
    def snapshot(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/snapshot.jpg"

    def with_user(self, user: str, path: str = "stream") -> str:
        return f"http://{user}@127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the viewer hung up


class CameraHandler(BaseHTTPRequestHandler):
    server: Camera
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        camera = self.server
        camera.asked += 1
        if camera.user is not None and not self._allowed(camera.user):
            self.send_response(401)
            basic, digest = 'Basic realm="camera"', 'Digest realm="camera", nonce="abc123", qop="auth"'
            self.send_header("WWW-Authenticate", digest if camera.digest else basic)
            self.end_headers()
            return
        if self.path == "/snapshot.jpg":
            picture = camera.pictures(camera.asked) or b""
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(picture)
            return
        if self.path != "/stream":
            self.send_error(403 if self.path == "/forbidden" else 404)
            return
        self.send_response(200)
        self.send_header("Content-Type", camera.kind)
        if camera.whole is not None:
            self.send_header("Content-Length", str(len(camera.whole)))
        self.end_headers()
        if camera.whole is not None:
            self.wfile.write(camera.whole)
            return
        self._stream(camera)

    def _stream(self, camera: Camera) -> None:
        number = 0
        while (picture := camera.pictures(number)) is not None:
            while camera.frozen.is_set():
                time.sleep(0.01)
            while camera.trickle:
                self.wfile.write(b"x")
                time.sleep(0.05)
            head = f"--{camera.boundary}\r\nContent-Type: image/jpeg\r\n"
            if camera.lengths:
                head += f"Content-Length: {len(picture)}\r\n"
            self.wfile.write(head.encode() + b"\r\n" + picture + b"\r\n")
            number += 1
            time.sleep(1 / camera.fps)

    def _allowed(self, user: str) -> bool:
        given = self.headers.get("Authorization", "")
        if not self.server.digest:
            return given == f"Basic {base64.b64encode(user.encode()).decode()}"
        if not given.startswith("Digest "):
            return False
        name, _, password = user.partition(":")
        told = parse_keqv_list(parse_http_list(given[7:]))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        middle = f"{told['nonce']}:{told['nc']}:{told['cnonce']}:{told['qop']}"
        wanted = md5(f"{md5(f'{name}:camera:{password}')}:{middle}:{md5(f'GET:{self.path}')}")
        return told.get("response") == wanted

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def http_camera() -> Iterator[Camera]:
    """A camera that streams while the block runs."""
    with Camera() as camera:
        thread = threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield camera
        finally:
            ended, camera.pictures, camera.trickle = camera.frozen, lambda number: None, False
            ended.clear()
            camera.shutdown()
            thread.join()
