"""examples/docker and docs/camera.md: well-formed files that name settings that there are and link to what exists."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields

import pytest

from conftest import ROOT
from edge_nima.outputs import mqtt, on_shot, prometheus

DOCKER = ROOT / "examples" / "docker"
GUIDE = ROOT / "docs" / "camera.md"


def test_compose_starts_what_the_guide_names() -> None:
    yaml = pytest.importorskip("yaml")
    content = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
    assert set(content["services"]) == {"watch", "mosquitto", "homeassistant", "prometheus", "grafana"}
    used = [one["source"] for service in content["services"].values() for one in service.get("configs", [])]
    assert sorted(used) == sorted(content["configs"])
    mounts = [mount for service in content["services"].values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source = mount.partition(":")[0]
        assert (DOCKER / source).is_file() if source.startswith("./") else source in content["volumes"]
    # What Prometheus asks is the port that the configuration serves.
    port = tomllib.loads((DOCKER / "watch.toml").read_text("utf-8"))["metrics_port"]
    scraped = yaml.safe_load(content["configs"]["prometheus"]["content"])["scrape_configs"][0]
    assert scraped["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]


def test_every_option_of_these_outputs_in_the_guide_exists() -> None:
    sections = (mqtt.MqttSettings, on_shot.OnShotSettings, prometheus.PrometheusSettings)
    known = {"--" + one.name.replace("_", "-") for section in sections for one in fields(section)}
    named = set(re.findall(r"--(?:mqtt|on-shot|metrics)[a-z-]*", GUIDE.read_text("utf-8")))
    assert {"--mqtt", "--on-shot", "--metrics-port"} <= named <= known


def test_the_guide_links_to_what_there_is() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (GUIDE.parent / link).exists()] == []
    assert "shared/" not in GUIDE.read_text("utf-8")
