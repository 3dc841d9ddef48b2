"""Cameras as Prometheus reads them: counts, newest scores, states and health, and a port for where there is no page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from time import time
from typing import TYPE_CHECKING

from edge_nima.errors import PackageMissing, PublishError, reason
from edge_nima.outputs import Context
from edge_nima.watch.events import Listener, State, Status
from edge_nima.watch.settings import Section, number

if TYPE_CHECKING:
    from prometheus_client.core import CollectorRegistry, Metric

# Name: what it says, and a counter's field of `Counts`, a gauge's value.
_METRICS: dict[str, tuple[str, str | Callable[[Status], float | None]]] = {
    "frames_captured": ("Frames that the source gave.", "captured"),
    "frames_dropped": ("Frames replaced by a newer one before their turn, or left out by the rate.", "dropped"),
    "frames_still": ("Frames left out since nothing moved.", "still"),
    "frames_paused": ("Frames left out since it was not the time, or too dark.", "paused"),
    "frames_damaged": ("Frames that could not be decoded.", "damaged"),
    "frames_scored": ("Frames that were scored.", "scored"),
    "frames_failed": ("Frames that could not be scored.", "failed"),
    "records_written": ("Scores written to the records.", "recorded"),
    "records_lost": ("Scores not written, since the disk was full for too long.", "records_lost"),
    "shots": ("Photographs that were kept.", "shots"),
    "shots_lost": ("Photographs that could not be written.", "shots_lost"),
    "source_lost": ("Times the source was declared lost.", "lost"),
    "source_reconnects": ("Times the source came back.", "reconnects"),
    "worker_restarts": ("Times the scoring process was replaced.", "worker_restarts"),
    "messages_published": ("Scores and shots that the broker acknowledged.", "published"),
    "messages_lost": ("Scores and shots dropped while the broker was away.", "publish_lost"),
    "uptime_seconds": ("Since this camera started.", lambda s: s.uptime_s),
    "frames_per_second": ("Scored frames, over the last ten seconds or so.", lambda s: s.fps),
    "problem": ("1 when something is wrong.", lambda s: s.problem is not None),
    "score_mean": ("Mean of the newest score, 1 to 10.", lambda s: s.last.record.mean if s.last else None),
    "score_std": ("Standard deviation of the newest score.", lambda s: s.last.record.std if s.last else None),
    "score_latency_seconds": ("From capture to newest score.", lambda s: s.last.age_ms / 1000 if s.last else None),
    "last_frame_age_seconds": ("Age of newest score.", lambda s: max(0, time() - s.last.taken_at) if s.last else None),
    "temperature_celsius": ("Temperature of the processor.", lambda s: s.health.temperature_c if s.health else None),
    "throttled": ("1 when the processor is slowed down.", lambda s: s.health.throttled if s.health else None),
    "undervoltage": ("1 when the supply is too weak.", lambda s: s.health.undervoltage if s.health else None),
    "free_disk_bytes": ("Free where the photographs go.", lambda s: s.health.free_disk if s.health else None),
    "memory_bytes": ("Resident, of this process and its worker.", lambda s: s.health.memory if s.health else None),
}


@dataclass(frozen=True)
class PrometheusSettings(Section):
    """Where Prometheus asks."""

    title = "Prometheus"

    metrics_port: int | None = number(None, "Serve Prometheus metrics to this machine at this port.", 1, 65535)


SETTINGS = PrometheusSettings


def _registry(statuses: Callable[[], Sequence[Status]]) -> CollectorRegistry:
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError as error:
        raise PackageMissing("metrics need prometheus-client: pip install 'edge-nima[metrics]'") from error

    class Collector:
        def collect(self) -> Iterable[Metric]:
            now = statuses()
            state = GaugeMetricFamily(
                "edge_nima_state", "1 for the camera's state, else 0.", labels=["camera", "state"]
            )
            for status, one in product(now, State):
                state.add_metric([status.camera, one.value], one is status.state)
            yield state
            for name, (text, of) in _METRICS.items():
                labels = ["camera", "model"] if name.startswith("score_") else ["camera"]
                kind = CounterMetricFamily if isinstance(of, str) else GaugeMetricFamily
                family = kind(f"edge_nima_{name}", text, labels=labels)
                for status in now:
                    value = getattr(status.counts, of) if isinstance(of, str) else of(status)
                    if value is not None:
                        family.add_metric([getattr(status, label) for label in labels], value)
                if family.samples:
                    yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return registry


def render(statuses: Sequence[Status]) -> bytes:
    """All cameras' metrics in Prometheus' text format 0.0.4, UTF-8. Raises PackageMissing."""
    registry = _registry(lambda: statuses)
    from prometheus_client import generate_latest

    return generate_latest(registry)


class _Server(Listener):
    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(port, "127.0.0.1", registry)
        except OSError as error:
            hint = "give another --metrics-port, 1024 to 65535"
            raise PublishError(f"cannot serve metrics at 127.0.0.1:{port}: {reason(error)}; {hint}") from error

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_output(settings: PrometheusSettings, context: Context) -> Listener | None:
    """Serve the metrics at a port of this machine, if one is given. Raises PublishError: it is taken or not allowed."""
    return None if settings.metrics_port is None else _Server(settings.metrics_port, _registry(context.statuses))
