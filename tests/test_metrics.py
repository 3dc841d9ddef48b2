from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from edge_nima import __version__
from edge_nima.errors import PublishError
from edge_nima.publish.metrics import CONTENT_TYPE, MOST_AT_ONCE, MetricsServer, render, serve_metrics
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Counts, Health, Scored, State, Status

AWKWARD = 'm "8" \\ \n@1'


def watching(camera: str = "garden") -> Status:
    record = ScoreRecord(f"{camera}/1", 5.25, 1.5, (0.1,) * 10, AWKWARD, 31.0)
    return Status(
        camera,
        State.watching,
        1.7e9,
        60.5,
        4.5,
        AWKWARD,
        Counts(**{count.name: number for number, count in enumerate(fields(Counts), 1)}),
        last=Scored(record, camera, time.time() - 2, 40.0),
        health=Health(1.7e9, 61.5, throttled=True, undervoltage=False, flags=4, free_disk=10**9, memory=9 * 10**7),
        problem="the disk is full",
    )


def parsed(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client (edge-nima[dev])")
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in {"gauge", "counter"}
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def test_prometheus_own_parser_reads_every_count_and_gauge() -> None:
    samples = parsed(render([watching()]))
    camera = (("camera", "garden"),)
    named = (("camera", "garden"), ("model", AWKWARD))
    assert samples["edge_nima_frames_captured_total"] == {camera: 1}
    assert samples["edge_nima_messages_lost_total"] == {camera: len(fields(Counts))}
    totals = [samples[name][camera] for name in samples if name.endswith("_total")]
    assert sorted(totals) == list(range(1, len(fields(Counts)) + 1))  # each count once
    assert samples["edge_nima_score_mean"] == {named: 5.25}
    assert samples["edge_nima_score_std"] == {named: 1.5}
    assert samples["edge_nima_score_latency_seconds"] == {named: 0.04}
    assert 2 <= samples["edge_nima_last_frame_age_seconds"][camera] < 30
    assert samples["edge_nima_temperature_celsius"] == {camera: 61.5}
    assert samples["edge_nima_throttled"] == {camera: 1}
    assert samples["edge_nima_undervoltage"] == {camera: 0}
    assert samples["edge_nima_free_disk_bytes"] == {camera: 1e9}
    assert samples["edge_nima_memory_bytes"] == {camera: 9e7}
    assert samples["edge_nima_frames_per_second"] == {camera: 4.5}
    assert samples["edge_nima_uptime_seconds"] == {camera: 60.5}
    assert samples["edge_nima_problem"] == {camera: 1}
    states = samples["edge_nima_state"]
    assert len(states) == len(State)
    assert [dict(labels)["state"] for labels, value in states.items() if value == 1] == ["watching"]
    (build,) = samples["edge_nima_build_info"]
    assert dict(build)["version"] == __version__


def test_two_cameras_share_a_family_and_what_is_not_known_is_left_out() -> None:
    bare = Status("hall", State.starting, 1.7e9, 0.0, 0.0, "m@1", health=Health(1.7e9))
    text = render([watching(), bare])
    samples = parsed(text)
    assert text.count("# TYPE edge_nima_frames_scored_total ") == 1
    assert len(samples["edge_nima_frames_scored_total"]) == 2
    assert len(samples["edge_nima_score_mean"]) == len(samples["edge_nima_temperature_celsius"]) == 1
    assert "score_mean" not in render([bare])
    assert set(parsed(render([]))) == {"edge_nima_build_info"}


def test_a_clock_that_was_set_back_gives_no_negative_age() -> None:
    status = watching()
    assert status.last is not None
    later = replace(status, last=replace(status.last, taken_at=time.time() + 3600))
    assert parsed(render([later]))["edge_nima_last_frame_age_seconds"] == {(("camera", "garden"),): 0}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = serve_metrics(0, statuses=lambda: [watching()])
    try:
        yield server
    finally:
        server.close()


def ask(server: MetricsServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_it_answers_get_and_head_of_metrics_and_nothing_else(server: MetricsServer) -> None:
    status, kind, body = ask(server, "/metrics")
    assert (status, kind) == (200, CONTENT_TYPE)
    assert "edge_nima_score_mean" in parsed(body.decode())
    assert ask(server, "/metrics?x=1")[0] == 200
    assert ask(server, "/metrics", "HEAD") == (200, CONTENT_TYPE, b"")
    for path in ("/", "/metrics/", "/../metrics", "/x"):
        assert ask(server, path)[0] == 404
    assert ask(server, "/metrics", "POST")[0] == 501


def test_a_port_that_is_taken_is_named(server: MetricsServer) -> None:
    with pytest.raises(PublishError, match=rf"127\.0\.0\.1:{server.port}: Address already in use; .*--metrics-port"):
        serve_metrics(server.port, statuses=list)
    with pytest.raises(PublishError, match=r"metrics at 127\.0\.0\.1:70000: "):
        serve_metrics(70000, statuses=list)
    with pytest.raises(PublishError, match=r"metrics at 192\.0\.2\.1:0: Cannot assign"):
        serve_metrics(0, "192.0.2.1", statuses=list)


def test_clients_that_say_nothing_are_few_and_do_not_stay(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nima.publish import metrics

    monkeypatch.setattr(metrics._Handler, "timeout", 0.5)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_AT_ONCE)]
    time.sleep(0.1)
    one_too_many = socket.create_connection(("127.0.0.1", server.port))
    one_too_many.settimeout(0.3)
    assert one_too_many.recv(1) == b""
    time.sleep(0.7)
    assert ask(server, "/metrics")[0] == 200
    for client in [*silent, one_too_many]:
        client.close()


def test_nonsense_and_sudden_ends_leave_it_answering(server: MetricsServer) -> None:
    for words in (b"\0\xff\r\n\r\n", b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/1.1\r\n", b""):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(words)
    deadline = time.monotonic() + 60
    while True:
        try:
            assert ask(server, "/metrics")[0] == 200
            return
        except (ConnectionError, http.client.HTTPException):  # all places are taken for a moment
            assert time.monotonic() < deadline


def test_closing_gives_the_port_back_and_leaves_no_thread() -> None:
    server = serve_metrics(0, statuses=list)
    port = server.port
    server.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]
    serve_metrics(port, statuses=list).close()
