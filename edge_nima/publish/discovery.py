"""How Home Assistant learns of a camera: one retained message, from which it makes a device with its sensors.

The device form of its MQTT discovery (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload), which
Home Assistant reads since the end of 2024.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edge_nima import __version__
from edge_nima.publish.payloads import OFFLINE
from edge_nima.watch.events import Health, State

EXPIRE_S = 60
"""After so many seconds without a message a value is unavailable. Health comes every ten, and with it a score."""


def topic(prefix: str, discovery: str, camera: str) -> str:
    """Where Home Assistant looks for it."""
    return f"{discovery}/device/{_node(prefix, camera)}/config"


def payload(prefix: str, camera: str, model: str, health: Health | None, every_s: float) -> bytes:
    """The device of a camera with its sensors; of the board's only those that it has."""
    node, base = _node(prefix, camera), f"{prefix}/{camera}"
    alive = {
        "availability_topic": f"{base}/state",
        "availability_template": "{{ 'offline' if value_json.state in ['" + OFFLINE + "', 'stopped'] else 'online' }}",
    }
    # It says the last will itself, and so is never unavailable.
    components: dict[str, dict[str, Any]] = {"state": _state(base)}
    for name, sensor in {**_scores(base, every_s), **_board(base, health)}.items():
        components[name] = {**sensor, **alive}
    for name, sensor in components.items():
        sensor["unique_id"] = f"{node}_{name}"
    return json.dumps(
        {
            "device": {
                "identifiers": [node],
                "name": camera,
                "manufacturer": "edge_nima",
                "model": model,
                "sw_version": __version__,
            },
            "origin": {"name": "edge_nima", "sw_version": __version__},
            "components": components,
            "qos": 1,
        },
        ensure_ascii=False,
    ).encode()


def _node(prefix: str, camera: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", f"{prefix}_{camera}")


def _state(base: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": "State",
        "device_class": "enum",
        "options": [*(state.value for state in State), OFFLINE],
        "state_topic": f"{base}/state",
        "value_template": "{{ value_json.state }}",
        "json_attributes_topic": f"{base}/state",
        "icon": "mdi:cctv",
    }


def _scores(base: str, every_s: float) -> dict[str, dict[str, Any]]:
    score = {
        "platform": "sensor",
        "state_topic": f"{base}/score",
        "state_class": "measurement",
        "suggested_display_precision": 2,
        "expire_after": max(EXPIRE_S, round(3 * every_s)),
    }
    return {
        "score": {
            **score,
            "name": "Score",
            "value_template": "{{ value_json.mean }}",
            "json_attributes_topic": f"{base}/score",
            "icon": "mdi:star-half-full",
        },
        "spread": {**score, "name": "Spread", "value_template": "{{ value_json.std }}", "icon": "mdi:plus-minus"},
        "shot": {
            "platform": "sensor",
            "name": "Last shot",
            "device_class": "timestamp",
            "state_topic": f"{base}/shot",
            "value_template": "{{ value_json.taken_at }}",
            "json_attributes_topic": f"{base}/shot",
        },
    }


def _board(base: str, health: Health | None) -> dict[str, dict[str, Any]]:
    common = {"state_topic": f"{base}/health", "entity_category": "diagnostic", "expire_after": EXPIRE_S}
    sensor = {**common, "platform": "sensor", "state_class": "measurement"}
    sensors = {
        "fps": {
            **sensor,
            "name": "Frames a second",
            "value_template": "{{ value_json.fps }}",
            "unit_of_measurement": "fps",
            "icon": "mdi:speedometer",
        }
    }
    if health is None:
        return sensors
    if health.temperature_c is not None:
        sensors["temperature"] = {
            **sensor,
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.temperature_c }}",
        }
    if health.free_disk is not None:
        sensors["free_disk"] = {
            **sensor,
            "name": "Free disk",
            "device_class": "data_size",
            "unit_of_measurement": "GB",
            "value_template": "{{ none if value_json.free_disk is none else (value_json.free_disk / 1e9) | round(1) }}",
        }
    for key, name in (("throttled", "Throttled"), ("undervoltage", "Undervoltage")):
        if getattr(health, key) is not None:
            sensors[key] = {
                **common,
                "platform": "binary_sensor",
                "name": name,
                "device_class": "problem",
                "value_template": "{{ 'ON' if value_json." + key + " else 'OFF' }}",
            }
    return sensors
