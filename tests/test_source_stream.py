"""RTSP from GStreamer's server: colours, passwords, and every way in which a stream is lost."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import skip_without
from edge_nima.errors import RequestError, SourceError
from edge_nima.frame import Frame
from edge_nima.sources import SourceOptions, open_source
from edge_nima.sources.stream import StreamSource
from streams import assert_scene, film, free_port, needs, read_until_lost, rtsp_server

skip_without("av", "edge-nima[camera]")


def read(source: StreamSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


@pytest.mark.parametrize("encoder", ["h264", "jpeg"])
def test_an_rtsp_stream_comes_out_with_its_colours_at_its_pace(tmp_path: Path, encoder: str) -> None:
    with rtsp_server(tmp_path, encoder) as server:
        source = StreamSource(server.url, SourceOptions(timeout_s=8))
        began = time.monotonic()
        source.open()
        assert (source.label, source.drops) == (f"127-0-0-1-{server.port}-live", True)
        seen = []
        for _ in range(20):
            frame = read(source)
            assert_scene(frame.rgb)
            seen.append(frame.rgb)
            frame.close()
        assert len({rgb.ctypes.data for rgb in seen}) <= 2
        assert time.monotonic() - began > 1  # twenty at fifteen a second
        source.close()
        source.close()


def test_a_server_killed_and_started_again_is_lost_and_comes_back(tmp_path: Path) -> None:
    with rtsp_server(tmp_path) as server:
        source = StreamSource(server.url, SourceOptions(timeout_s=4))
        source.open()
        read(source).close()
        server.kill()
        assert "the stream ended" in read_until_lost(source)
        source.close()
        with pytest.raises(SourceError, match="connection refused; nothing listens there"):
            source.open()
        server.start()
        source.open()
        assert_scene(read(source).rgb)
        source.close()


@pytest.mark.slow
def test_a_server_that_is_frozen_but_connected_is_lost_in_time_and_comes_back(tmp_path: Path) -> None:
    with rtsp_server(tmp_path) as server:
        source = StreamSource(server.url, SourceOptions(timeout_s=3))
        source.open()
        read(source).close()
        server.freeze()
        assert "no frame for 3 s, though connected" in read_until_lost(source)
        source.close()
        with pytest.raises(SourceError, match="connected, and no picture came in 3 s"):
            source.open()
        server.thaw()
        source.open()
        assert_scene(read(source).rgb)
        source.close()


def test_a_password_opens_and_never_shows(tmp_path: Path) -> None:
    with rtsp_server(tmp_path, user="mine:s3cret") as server:
        source = open_source(server.url.replace("://", "://mine:s3cret@"), SourceOptions(timeout_s=8))
        source.open()
        frame = source.read()
        assert frame is not None
        assert_scene(frame.rgb)
        source.close()
        assert source.label == f"127-0-0-1-{server.port}-live"
        for user, message in (("", "it asks for a password: rtsp://USER"), ("mine:wr0ng@", "it refuses the user or")):
            with pytest.raises(SourceError, match=message) as caught:
                StreamSource(server.url.replace("://", f"://{user}"), SourceOptions(timeout_s=4)).open()
            assert "wr0ng" not in str(caught.value)
            assert "mine" not in str(caught.value)


def test_a_path_that_is_not_there_is_told_from_a_stream_without_video(tmp_path: Path) -> None:
    with rtsp_server(tmp_path, "sound") as server:
        with pytest.raises(SourceError, match="it has no stream '/none'; the camera's manual"):
            StreamSource(server.url.replace("/live", "/none"), SourceOptions(timeout_s=4)).open()
        with pytest.raises(SourceError, match="offers no video"):
            StreamSource(server.url, SourceOptions(timeout_s=4)).open()


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_refused_and_unknown_hosts_are_told_apart(scheme: str) -> None:
    address = f"{scheme}://user:secret@127.0.0.1:{free_port()}/x?token=secret"
    with pytest.raises(SourceError, match="connection refused") as caught:
        StreamSource(address, SourceOptions(timeout_s=3)).open()
    assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match=r"nowhere\.invalid/x: no such host"):
        StreamSource(f"{scheme}://nowhere.invalid/x", SourceOptions(timeout_s=3)).open()


def test_what_listens_and_speaks_something_else_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = StreamSource(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", SourceOptions(timeout_s=1))
        with pytest.raises(SourceError, match=r"connected, and no picture came in 1 s"):
            source.open()


def test_video_over_udp_is_read_and_silence_is_not_called_a_connection(tmp_path: Path) -> None:
    port = free_port()
    address = f"udp://127.0.0.1:{port}"
    with pytest.raises(SourceError, match="does not open: no picture came in 1 s"):
        StreamSource(address, SourceOptions(timeout_s=1)).open()
    command = [needs("ffmpeg"), "-v", "error", "-re", "-stream_loop", "-1", "-i", str(film(tmp_path / "film.mp4"))]
    command += ["-c:v", "libx264", "-tune", "zerolatency", "-g", "10", "-f", "mpegts", f"{address}?pkt_size=1316"]
    with subprocess.Popen(command) as sender:
        try:
            source = StreamSource(address, SourceOptions(timeout_s=8))
            source.open()
            assert_scene(read(source).rgb)
            source.close()
        finally:
            sender.kill()


@pytest.mark.parametrize(
    ("address", "message"),
    [("gopher://x/y", "possible: http"), ("rtsp:///x", "no host"), ("rtsp://u:p@x:99999/y", "is no address")],
)
def test_addresses_that_cannot_be_are_refused(address: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        StreamSource(address)
    assert "u:p" not in str(caught.value)
