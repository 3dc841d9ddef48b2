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


def test_each_word_arrives_as_systemd_reads_it(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert listening.recv(1000) == b"READY=1"
    notifier.status("garden: watching\n4.5 fps, scored ü")
    assert listening.recv(1000) == "STATUS=garden: watching 4.5 fps, scored ü".encode()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, second = listening.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) < before + 10**7
    notifier.extend(2.5)
    assert listening.recv(1000) == b"EXTEND_TIMEOUT_USEC=2500000"
    notifier.stopping()
    assert listening.recv(1000) == b"STOPPING=1"
    assert notifier.failed == 0
    notifier.close()


def test_the_environment_is_taken_so_that_children_do_not_have_it(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, name = manager
    for key, value in {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}.items():
        monkeypatch.setenv(key, value)
    notifier = Notifier.from_environment()
    assert notifier.watchdog_s == 30
    words = "import os; print([key for key in os.environ if key.startswith(('NOTIFY', 'WATCHDOG'))])"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True).stdout == "[]\n"
    notifier.close()


def test_alive_is_said_at_most_three_times_an_interval(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, name = manager
    notifier = Notifier(name, watchdog_s=0.6)
    for milliseconds in range(500):
        clock = SimpleNamespace(monotonic=lambda now=1000 + milliseconds / 1000: now)
        monkeypatch.setattr(module, "time", clock)
        notifier.alive()
    listening.setblocking(False)
    said = []
    while True:
        try:
            said.append(listening.recv(100))
        except BlockingIOError:
            break
    assert set(said) == {b"WATCHDOG=1"}
    assert len(said) == 3
    notifier.close()


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
def test_the_watchdog_is_asked_for_by_the_environment(
    tmp_path: Path, more: dict[str, str], watchdog_s: float | None
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "x"), **more})
    assert notifier.watchdog_s == watchdog_s
    notifier.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000000"}])
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environ)
    for word in (notifier.ready, notifier.alive, notifier.reloading, notifier.stopping, notifier.close):
        word()
    notifier.status("x")
    notifier.extend(1)
    assert (notifier.failed, notifier.watchdog_s, environ) == (0, None, {})


def test_a_socket_that_has_vanished_is_counted_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "notify"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(path))
    notifier = Notifier(str(path), watchdog_s=60)
    notifier.ready()
    listening.close()
    path.unlink()
    notifier.status("x")
    notifier.alive()
    assert notifier.failed == 2
    assert len(caplog.records) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:  # the manager was started again
        again.bind(str(path))
        again.settimeout(60)
        notifier.alive()  # what was not heard is said again, before its third of the interval
        assert again.recv(100) == b"WATCHDOG=1"
    notifier.close()


def test_a_manager_that_does_not_listen_holds_nothing_up(manager: tuple[socket.socket, str]) -> None:
    _, name = manager
    notifier = Notifier(name)
    for _ in range(2000):  # more than its socket holds: it would wait for ever
        notifier.ready()
    assert notifier.failed > 0
    notifier.close()
