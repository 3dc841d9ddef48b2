"""The camera's loop beside the page: many viewers, slow ones, hostile ones, and what stays behind."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from benchmarks.harness import alone, resident
from conftest import skip_without
from edge_nima.outputs.web.listening import PATIENCE_S
from watched import Watched, served
from watched import until as wait_until

skip_without("uvicorn", "edge-nima[web]")
skip_without("starlette", "edge-nima[web]")

httpx = pytest.importorskip("httpx", reason="needs httpx")


@pytest.fixture
def watched() -> Iterator[Watched]:
    with served(web_viewers=50) as watched:
        yield watched


def connected(watched: Watched) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", watched.server.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection: socket.socket, path: str) -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        chunk = connection.recv(65536)
        assert chunk, got[-200:]
        got += chunk
    return got


class Page:
    """What an open page does: a stream of events, and picture after picture."""

    def __init__(self, watched: Watched) -> None:
        self.events, self.asking = connected(watched), connected(watched)
        ask(self.events, "/events")
        until(self.events, b"\n\n\r\n")
        self.number = 0

    def picture(self) -> bytes:
        ask(self.asking, f"/live.jpg?after={self.number}")
        head, _, body = until(self.asking, b"\r\n\r\n").partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", 0)):
            body += self.asking.recv(65536)
        self.number = int(fields.get(b"x-number", self.number))
        return body

    def close(self) -> None:
        self.events.close()
        self.asking.close()


def gone(watched: Watched, viewers: int = 0, seconds: float = 60.0) -> bool:
    due = monotonic() + seconds
    while watched.viewers > viewers and monotonic() < due:
        sleep(0.02)
    return watched.viewers <= viewers


def percentiles(costs: list[float]) -> str:
    ranked = sorted(costs)
    p50, p99 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)]
    return f"p50 {1e6 * p50:.0f} µs, p99 {1e6 * p99:.0f} µs, highest {1e6 * ranked[-1]:.0f} µs, n {len(ranked)}"


def test_fifty_watch_at_once_and_the_next_is_told_why_not(watched: Watched) -> None:
    pages = [Page(watched) for _ in range(50)]
    try:
        assert watched.viewers == 50
        with httpx.Client(base_url=f"http://127.0.0.1:{watched.server.port}") as http:
            refused = http.get("/events")
            assert refused.status_code == 503
            assert "50 other pages are watching" in refused.text
            assert int(refused.headers["retry-after"]) > 0
            assert http.get("/status").status_code == 200
        with watched.running():
            threads = [threading.Thread(target=lambda page=page: [page.picture() for _ in range(4)]) for page in pages]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert all(page.number > 0 for page in pages)
        assert max(page.number for page in pages) < 50  # each picture was made once, whoever looked
        pages.pop().close()
        assert gone(watched, 49)
        pages.append(Page(watched))
    finally:
        for page in pages:
            page.close()
    assert gone(watched)


@pytest.mark.slow
def test_the_loop_keeps_its_rate_whoever_looks(watched: Watched) -> None:
    frames, said = [], []
    for viewers in (0, 1, 50):
        over = threading.Event()
        pages = [Page(watched) for _ in range(viewers)]

        def look(page: Page, over: threading.Event = over) -> None:
            while not over.is_set():
                page.picture()

        threads = [threading.Thread(target=look, args=(page,)) for page in pages]
        for thread in threads:
            thread.start()
        watched.costs.clear()
        with watched.running(30):
            sleep(5)
            over.set()
            for thread in threads:
                thread.join()
        for page in pages:
            page.close()
        assert gone(watched)
        said.append(f"{viewers} viewers: {percentiles(watched.costs)}")
        frames.append(len(watched.costs))
    print("\n".join(said))
    assert min(frames) > 0.8 * frames[0], said


@pytest.mark.slow
def test_who_never_reads_is_let_go_and_costs_the_loop_nothing(watched: Watched) -> None:
    page = Page(watched)
    for connection in (page.events, page.asking):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    watched.costs.clear()
    with watched.running(30):
        ask(page.asking, "/live.jpg?after=0")
        began = monotonic()
        assert gone(watched)  # PATIENCE_S after the system's memory for its events is full
        assert len(watched.costs) > 0.5 * 30 * (monotonic() - began)
    print(percentiles(watched.costs))
    page.close()


@pytest.mark.slow
def test_requests_that_never_end_and_answers_that_nobody_takes_are_cut_off(watched: Watched) -> None:
    silent, half, body, later = (connected(watched) for _ in range(4))
    half.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    body.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nto")
    ask(later, "/static/none")
    until(later, b"no such file")
    later.sendall(b"GET / HT")  # a second request that stops half way
    greedy = connected(watched)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        for _ in range(2000):  # asks and asks and reads nothing
            greedy.settimeout(0.2)
            ask(greedy, "/")
    except (TimeoutError, ConnectionError):
        pass
    connections = watched.server._server.server_state.connections
    due = monotonic() + PATIENCE_S + 60
    while connections and monotonic() < due:
        sleep(0.5)
        with contextlib.suppress(ConnectionError):
            half.sendall(b"a")  # a byte now and then does not help
    assert not connections
    for connection in (silent, half, body, later, greedy):
        connection.close()


def test_connections_are_bounded_so_that_files_stay_for_the_camera() -> None:
    with served(web_viewers=1) as watched:
        held = [connected(watched) for _ in range(200)]
        for connection in held:
            connection.setblocking(False)
        wait_until(lambda: sum(map(is_open, held)) == 38)
        for connection in held:
            connection.close()
        assert httpx.get(f"http://127.0.0.1:{watched.server.port}/status").status_code == 200


def two_hundred_visits() -> tuple[int, int, int]:
    """What 200 visits leave: threads, files, bytes."""
    with served(web_viewers=4) as watched, watched.running():

        def visit() -> None:
            page = Page(watched)
            page.picture()
            ask(page.asking, "/")
            until(page.asking, b"</html>")
            page.close()

        def left() -> tuple[int, int, int]:
            gc.collect()
            return threading.active_count(), len(os.listdir("/proc/self/fd")), resident()

        for _ in range(20):
            visit()
        assert gone(watched)
        before = left()
        for _ in range(200):
            visit()
        assert gone(watched)
        sleep(0.3)
        threads, files, held = (now - then for now, then in zip(left(), before, strict=True))
        return threads, files, held


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_two_hundred_visits_leave_nothing_behind() -> None:
    threads, files, held = alone(two_hundred_visits)
    assert (threads, files) == (0, 0)
    assert held < 8_000_000
