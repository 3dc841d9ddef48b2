"""Watchers as Prometheus reads them, and a small server for that where there is no web page.

Text exposition format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import logging
import platform
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from time import time
from typing import Any

from edge_nima import __version__
from edge_nima.errors import PublishError, reason
from edge_nima.watch.events import Counts, State, Status

log = logging.getLogger("edge_nima.publish")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    "captured": ("frames_captured", "Frames that the source gave."),
    "dropped": ("frames_dropped", "Frames replaced by a newer one before their turn, or left out by the rate."),
    "still": ("frames_still", "Frames left out since nothing moved."),
    "damaged": ("frames_damaged", "Frames that could not be decoded."),
    "scored": ("frames_scored", "Frames that were scored."),
    "failed": ("frames_failed", "Frames that could not be scored."),
    "recorded": ("records_written", "Scores written to the records."),
    "records_lost": ("records_lost", "Scores not written, since the disk was full for too long."),
    "shots": ("shots", "Photographs that were kept."),
    "shots_lost": ("shots_lost", "Photographs that could not be written."),
    "lost": ("source_lost", "Times the source was declared lost."),
    "reconnects": ("source_reconnects", "Times the source came back."),
    "worker_restarts": ("worker_restarts", "Times the scoring process was replaced."),
    "published": ("messages_published", "Scores and shots that the broker acknowledged."),
    "publish_lost": ("messages_lost", "Scores and shots dropped while the broker was away."),
}


@dataclass
class _Family:
    name: str
    kind: str
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def text(self) -> str:
        """Its lines; none where nothing is known."""
        if not self.samples:
            return ""
        lines = [f"# HELP {self.name} {_escaped(self.help, quote=False)}", f"# TYPE {self.name} {self.kind}"]
        for labels, value in self.samples:
            inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{self.name}{{{inside}}} {float(value)!r}")
        return "\n".join(lines) + "\n"


def render(statuses: Sequence[Status]) -> str:
    """All cameras' counts, newest scores and health, as Prometheus' text. What is not known is left out."""
    families = [
        _Family("edge_nima_build_info", "gauge", "Always 1; the versions are its labels."),
        *_states(statuses),
        *_counters(statuses),
        *_gauges(statuses),
    ]
    families[0].samples.append(({"version": __version__, "python": platform.python_version()}, 1))
    return "".join(family.text() for family in families)


def _states(statuses: Sequence[Status]) -> Iterable[_Family]:
    state = _Family("edge_nima_state", "gauge", "1 for what the watcher is doing, 0 for what it is not.")
    problem = _Family("edge_nima_problem", "gauge", "1 when something is wrong.")
    for status in statuses:
        for one in State:
            state.samples.append(({"camera": status.camera, "state": one.value}, one is status.state))
        problem.samples.append(({"camera": status.camera}, status.problem is not None))
    return state, problem


def _counters(statuses: Sequence[Status]) -> Iterable[_Family]:
    for count in fields(Counts):
        name, text = _COUNTERS[count.name]
        samples: list[tuple[Mapping[str, str], float]] = [
            ({"camera": status.camera}, getattr(status.counts, count.name)) for status in statuses
        ]
        yield _Family(f"edge_nima_{name}_total", "counter", text, samples)


_GAUGES = {
    "uptime_seconds": "Since the watcher was started.",
    "frames_per_second": "Scored frames a second, over the last ten seconds or so.",
    "score_mean": "Mean rating 1 to 10 of the newest scored frame.",
    "score_std": "Standard deviation of its ratings.",
    "score_latency_seconds": "From its capture to its score.",
    "last_frame_age_seconds": "Since its capture.",
    "temperature_celsius": "Of the processor.",
    "throttled": "1 while heat or voltage slow the processor down.",
    "undervoltage": "1 while the supply is too weak.",
    "free_disk_bytes": "Where the shots go.",
    "memory_bytes": "Resident memory of the process and its worker.",
}


def _gauges(statuses: Sequence[Status]) -> Iterable[_Family]:
    values = [(status, _values(status, time())) for status in statuses]
    for name, text in _GAUGES.items():
        family = _Family(f"edge_nima_{name}", "gauge", text)
        for status, known in values:
            if (value := known.get(name)) is not None:
                labels = {"camera": status.camera}
                if name.startswith("score_"):
                    labels["model"] = status.model
                family.samples.append((labels, value))
        yield family


def _values(status: Status, now: float) -> dict[str, float | None]:
    values: dict[str, float | None] = {"uptime_seconds": status.uptime_s, "frames_per_second": status.fps}
    if (last := status.last) is not None:
        values |= {
            "score_mean": last.record.mean,
            "score_std": last.record.std,
            "score_latency_seconds": last.age_ms / 1000,
            "last_frame_age_seconds": max(0.0, now - last.taken_at),
        }
    if (board := status.health) is not None:
        values |= {
            "temperature_celsius": board.temperature_c,
            "throttled": board.throttled,
            "undervoltage": board.undervoltage,
            "free_disk_bytes": board.free_disk,
            "memory_bytes": board.memory,
        }
    return values


def _escaped(text: str, quote: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


MOST_AT_ONCE = 4
_PATIENCE_S = 5.0


class MetricsServer(ThreadingHTTPServer):
    """Answers GET /metrics until it is closed; made by `serve_metrics`."""

    daemon_threads = True
    block_on_close = False  # a client that dawdles is left to its time limit
    request_queue_size = 16

    def __init__(self, bind: str, port: int, statuses: Callable[[], Sequence[Status]]) -> None:
        """Take the port."""
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.statuses = statuses
        self._places = BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((bind, port), _Handler)
        self._thread = Thread(target=self.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens; of port 0, the free one that was found."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Give the port back."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or hang up where `MOST_AT_ONCE` are being answered."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what is our fault; a client that went away in the middle notices that itself."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("metrics could not be told")


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    server_version, sys_version = "edge_nima", ""
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        found = self.path.partition("?")[0] == "/metrics"
        content = render(self.server.statuses()).encode() if found else b"only /metrics is here\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: it is asked every few seconds, for months."""


def serve_metrics(port: int, bind: str = "127.0.0.1", *, statuses: Callable[[], Sequence[Status]]) -> MetricsServer:
    """Answer http://BIND:PORT/metrics from a thread of its own, at most four at once.

    Args:
        port: 1..65535, or 0 for one that is free.
        bind: the address to listen at; 0.0.0.0 for every network of the machine.
        statuses: asked at each request, from another thread.

    Raises:
        PublishError: the port is taken or not allowed, or the address is not of this machine.
    """
    try:
        return MetricsServer(bind, port, statuses)
    except (OSError, OverflowError) as error:
        raise PublishError(
            f"cannot serve metrics at {bind}:{port}: {reason(error)}; give another --metrics-port, 1024 to 65535"
        ) from error
