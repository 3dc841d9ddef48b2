from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_nima.watch import notify as module
from edge_nima.watch.notify import Notifier


@pytest.fixture(params=["a path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What systemd listens at, and how it names that."""
    name = str(tmp_path / "notify") if request.param == "a path" else f"@edge_nima-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listening.settimeout(60)
        yield listening, name


def test_messages_arrive_as_systemd_reads_them(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    assert notifier.send("STATUS=garden: watching, scored ü")
    assert listening.recv(1000) == "STATUS=garden: watching, scored ü".encode()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, second = listening.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) < before + 10**7
    for _ in range(2000):  # more than the socket of a manager that does not read holds: it would wait for ever
        notifier.send("READY=1")
    assert notifier.failed > 0


def test_the_environment_is_taken_so_that_children_do_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}.items():
        monkeypatch.setenv(key, value)
    assert Notifier.from_environment().watchdog_s == 30
    words = "import os; print([key for key in os.environ if key.startswith(('NOTIFY', 'WATCHDOG'))])"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True).stdout == "[]\n"


def test_alive_is_said_at_most_three_times_an_interval(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, name = manager
    notifier = Notifier(name, watchdog_s=0.6)
    for milliseconds in range(500):
        clock = SimpleNamespace(monotonic=lambda now=1000 + milliseconds / 1000: now)
        monkeypatch.setattr(module, "time", clock)
        notifier.alive()
    assert [listening.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.recv(100)


@pytest.mark.parametrize(
    ("more", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),  # another process is meant
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_asked_for_by_the_environment(more: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": "/x", **more}).watchdog_s == watchdog_s


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000000"}])
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environ)
    notifier.alive()
    notifier.reloading()
    assert not notifier.send("READY=1")
    assert (notifier.failed, notifier.watchdog_s, environ) == (0, None, {})


def test_a_socket_that_has_vanished_is_counted_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notify"
    notifier = Notifier(str(path), watchdog_s=60)
    notifier.send("READY=1")
    notifier.alive()
    assert notifier.failed == 2
    assert len(caplog.records) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:  # the manager was started again
        again.bind(str(path))
        again.settimeout(60)
        notifier.alive()  # what was not heard is said again, before its third of the interval
        assert again.recv(100) == b"WATCHDOG=1"
