from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from broker import free_port
from edge_nima.errors import PackageMissing, PublishError
from edge_nima.outputs import Context
from edge_nima.outputs.prometheus import PrometheusSettings, open_output, render
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Counts, Health, Scored, State, Status

AWKWARD = 'm "8" \\ \n@1'


def watching(camera: str = "garden") -> Status:
    record = ScoreRecord(f"{camera}/1", 5.25, 1.5, (0.1,) * 10, AWKWARD, 31.0)
    counts = Counts(**{count.name: number for number, count in enumerate(fields(Counts), 1)})
    last = Scored(record, camera, time.time() - 2, 40.0)
    health = Health(1.7e9, 61.5, throttled=True, undervoltage=False, flags=4, free_disk=10**9, memory=9 * 10**7)
    return Status(camera, State.watching, 1.7e9, 60.5, 4.5, AWKWARD, counts, last, health, "the disk is full")


def parsed(content: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client (edge-nima[dev])")
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parser.text_string_to_metric_families(content.decode()):
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
    scores = {"score_mean": 5.25, "score_std": 1.5, "score_latency_seconds": 0.04}
    assert {name: samples[f"edge_nima_{name}"] for name in scores} == {name: {named: scores[name]} for name in scores}
    gauges = {
        "temperature_celsius": 61.5, "throttled": 1, "undervoltage": 0, "free_disk_bytes": 1e9, "memory_bytes": 9e7,
        "frames_per_second": 4.5, "uptime_seconds": 60.5, "problem": 1,
    }  # fmt: skip
    assert {name: samples[f"edge_nima_{name}"][camera] for name in gauges} == gauges
    assert 2 <= samples["edge_nima_last_frame_age_seconds"][camera] < 30
    states = samples["edge_nima_state"]
    assert len(states) == len(State)
    assert [dict(labels)["state"] for labels, value in states.items() if value == 1] == ["watching"]


def test_two_cameras_share_a_family_and_what_is_not_known_is_left_out() -> None:
    bare = Status("hall", State.starting, 1.7e9, 0.0, 0.0, "m@1", health=Health(1.7e9))
    content = render([watching(), bare])
    samples = parsed(content)
    assert content.count(b"# TYPE edge_nima_frames_scored_total ") == 1
    assert len(samples["edge_nima_frames_scored_total"]) == 2
    assert len(samples["edge_nima_score_mean"]) == len(samples["edge_nima_temperature_celsius"]) == 1
    assert b"score_mean" not in render([bare])
    assert parsed(render([])) == {}


def test_a_clock_that_was_set_back_gives_no_negative_age() -> None:
    status = watching()
    assert status.last is not None
    later = replace(status, last=replace(status.last, taken_at=time.time() + 3600))
    assert parsed(render([later]))["edge_nima_last_frame_age_seconds"] == {(("camera", "garden"),): 0}


def test_a_port_of_this_machine_gives_them_until_it_is_closed() -> None:
    pytest.importorskip("prometheus_client", reason="needs edge-nima[metrics]")
    context = Context({"garden": 1.0}, lambda: [watching()])
    settings = PrometheusSettings(free_port())
    output = open_output(settings, context)
    assert output is not None
    with urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "edge_nima_score_mean" in parsed(answer.read())
    with pytest.raises(
        PublishError, match=rf"127\.0\.0\.1:{settings.metrics_port}: Address already in use; .*--metrics"
    ):
        open_output(settings, context)
    output.close()
    assert [thread for thread in threading.enumerate() if thread.daemon and "metrics" in thread.name] == []
    again = open_output(settings, context)
    assert again is not None
    again.close()
    assert open_output(PrometheusSettings(), context) is None


def test_without_prometheus_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for ask in (lambda: render([]), lambda: open_output(PrometheusSettings(9000), Context({}, list))):
        with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[metrics\]'"):
            ask()


def test_every_expression_of_the_grafana_dashboard_names_metrics_that_there_are() -> None:
    path = Path(__file__).parents[1] / "examples/docker/grafana.json"
    dashboard = json.loads(path.read_text("utf-8"))
    known = set(parsed(render([watching()])))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries = [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    named = {name for text in expressions + queries for name in re.findall(r"edge_nima_\w+", text)}
    assert len(expressions) >= 8
    assert all("edge_nima_" in text for text in expressions)
    assert named <= known
