"""`edge-nima data download`: the sources without an address; with one, that file alone, resumed and checked."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_nima.cli import run
from edge_nima.errors import DownloadError, RequestError
from edge_nima_train.download import download
from web import CONTENT, Server, serving

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_an_address_it_tells_the_sources_and_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it went to the network"))
    assert run(["data", "download"]) == 0
    told = capsys.readouterr().out
    for part in ("imfing/ava_downloader", "71631f83b11d3d79d8f84efe0a7e12f0ac001460", "data verify", "photographers"):
        assert part in told
    assert os.listdir() == []


@pytest.mark.parametrize("way", ["good", "no length"])
def test_one_file_is_fetched_checked_and_named_by_its_address(
    server: Server, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.way = way
    assert run(["data", "download", "--url", f"{server.url}?a=b", "--sha256", SHA256.upper()]) == 0
    assert capsys.readouterr().out == "model.bin\n"
    assert Path("model.bin").read_bytes() == CONTENT
    assert os.listdir() == ["model.bin"]
    assert run(["data", "download", "--url", server.url, "--sha256", SHA256]) == 0
    assert len(server.ranges) == 1  # it is there


@pytest.mark.parametrize("way", ["truncated", "chunked", "reset"])
def test_what_breaks_off_is_resumed(server: Server, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "download", "--url", server.url, "--sha256", SHA256, "--out", "part.7z"]
    server.way = way
    assert run(command) == 1
    told = capsys.readouterr().err
    assert "broke off after" in told
    assert "same command again to resume" in told
    assert told.count("\n") == 1
    assert os.listdir() == ["part.7z.partial"]
    kept = Path("part.7z.partial").read_bytes()
    assert CONTENT.startswith(kept)
    server.way = "good"
    assert run(command) == 0
    assert Path("part.7z").read_bytes() == CONTENT
    assert server.ranges[1:] == [f"bytes={len(kept)}-" if kept else None]
    assert os.listdir() == ["part.7z"]


def test_a_partial_file_that_is_complete_is_taken(server: Server) -> None:
    Path("a.partial").write_bytes(CONTENT)
    assert download(server.url, Path("a"), sha256=SHA256)[1] == SHA256
    assert Path("a").read_bytes() == CONTENT


def test_a_killed_download_goes_on(server: Server) -> None:
    server.way = "slow"
    command = [sys.executable, "-m", "edge_nima", "data", "download", "--url", server.url, "--sha256", SHA256]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    partial, end = Path("model.bin.partial"), time.monotonic() + 20
    while time.monotonic() < end and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = partial.stat().st_size
    assert 0 < held < len(CONTENT)
    assert not Path("model.bin").exists()
    server.way = "good"
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert server.ranges[-1] == f"bytes={held}-"
    assert Path("model.bin").read_bytes() == CONTENT


def test_ctrl_c_says_that_the_same_command_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_nima_train.download.fetch", press)
    assert run(["data", "download", "--url", server.url, "--sha256", SHA256]) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err


def test_another_file_is_refused_and_removed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.content = CONTENT[::-1]
    assert run(["data", "download", "--url", server.url, "--sha256", SHA256]) == 1
    told = capsys.readouterr().err
    assert f"SHA-256 {hashlib.sha256(CONTENT[::-1]).hexdigest()[:16]}…, expected {SHA256[:16]}…" in told
    assert os.listdir() == []


def test_unchecked_it_tells_the_sum_and_never_joins_two_files(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("model.bin.partial").write_bytes(b"of something else")
    assert run(["data", "download", "--url", server.url, "--no-check"]) == 0
    assert f"not checked; what came has SHA-256 {SHA256}" in capsys.readouterr().err
    assert server.ranges == [None]
    assert Path("model.bin").read_bytes() == CONTENT
    server.way = "truncated"
    assert run(["data", "download", "--url", server.url, "--no-check", "--out", "b"]) == 1
    assert "to begin again" in capsys.readouterr().err


def test_a_file_that_is_there_is_refused_without_overwrite(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.bin").write_bytes(b"mine")
    for check in (["--sha256", SHA256], ["--no-check"]):
        assert run(["data", "download", "--url", server.url, *check]) == 2
        assert "--overwrite replaces it" in capsys.readouterr().err
    assert Path("model.bin").read_bytes() == b"mine"
    assert server.ranges == []
    assert run(["data", "download", "--url", server.url, "--sha256", SHA256, "--overwrite"]) == 0
    assert Path("model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["404", "500"])
def test_an_error_of_the_server_is_one_line(server: Server, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.way = way
    assert run(["data", "download", "--url", server.url, "--sha256", SHA256]) == 1
    told = capsys.readouterr().err
    assert f"HTTP {way}" in told
    assert told.count("\n") == 1
    assert not Path("model.bin").exists()


def test_nobody_there_is_a_download_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        with pytest.raises(DownloadError, match="Connection refused"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/x", sha256=SHA256)
    with pytest.raises(DownloadError, match="cannot fetch x from"):
        download("http://nowhere.invalid/x", sha256=SHA256)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "http://x/y"], "give --sha256 HEX"),
        (["--url", "http://x/y", "--no-check", "--sha256", SHA256], "one"),
        (["--url", "http://x/y", "--sha256", "abc"], "64 hexadecimal digits"),
        (["--url", "http://x/", "--sha256", SHA256], "names no file"),
        (["--url", "http://[x/", "--sha256", SHA256], "names no file"),
        (["--url", "file:///etc/passwd", "--sha256", SHA256], "no http or https address"),
        (["--url", "http://x/y", "--sha256", SHA256, "--out", "no/such"], "no such folder"),
        (["--url", "http://x/y", "--sha256", SHA256, "--out", "."], "is a folder"),
        (["--sha256", SHA256], "--url is missing"),
    ],
)
def test_bad_requests_are_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "download", *arguments]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert [name for name in os.listdir() if not name.endswith(".partial")] == []


def test_progress_is_told_with_the_size_where_the_server_says_it(server: Server) -> None:
    for way, size in (("good", len(CONTENT)), ("no length", 0)):
        server.way = way
        told: list[tuple[int, int]] = []
        download(server.url, Path(way), sha256=SHA256, progress=lambda have, of: told.append((have, of)))  # noqa: B023
        assert told[-1] == (len(CONTENT), size)
        assert [have for have, _ in told] == sorted({have for have, _ in told})


def test_an_address_that_is_none_leaves_no_file(server: Server) -> None:
    with pytest.raises(RequestError):
        download("model.bin", Path("x"), sha256=SHA256)
    assert os.listdir() == []
