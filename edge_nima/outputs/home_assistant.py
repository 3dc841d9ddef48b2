"""How Home Assistant learns of a camera: one retained message, from which it makes a device with its entities.

The device form of its MQTT discovery (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload), which
Home Assistant reads since the end of 2024.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from edge_nima import __version__
from edge_nima.watch.events import State

GONE = ("offline", "stopped")
"""States in which no watcher is there. The broker itself says "offline" when a connection broke off."""
EXPIRE_S = 60
"""After so many seconds without a message a value is unavailable. Health comes every ten."""
PICTURE_EDGE, PICTURE_BYTES = 1280, 300_000


def device(
    prefix: str, camera: str, model: str, known: Collection[str], interval_s: float | None, photographs: bool
) -> tuple[str, bytes]:
    """A camera whose topics are PREFIX/CAMERA/...: its id, and the device with its entities as JSON.

    `known` names the fields of `Health` that the board has; `interval_s` is the longest usual time between two scores,
    None where silence is normal; `photographs` says whether any are kept.
    """
    base, node = f"{prefix}/{camera}", re.sub(r"[^a-zA-Z0-9_-]", "_", f"{prefix}_{camera}")

    def sensor(topic: str, name: str, template: str, **more: Any) -> dict[str, Any]:
        value = {"state_topic": f"{base}/{topic}", "value_template": f"{{{{ {template} }}}}"}
        return {"platform": "sensor", "name": name, **value, **more}

    def warning(field: str) -> dict[str, Any]:
        template = f"'ON' if value_json.{field} else 'OFF'"
        common = {**diagnostic, "platform": "binary_sensor", "device_class": "problem"}
        return sensor("health", field.capitalize(), template, **common)

    score: dict[str, Any] = {"state_class": "measurement", "suggested_display_precision": 2}
    if interval_s is not None:
        score["expire_after"] = max(EXPIRE_S, round(3 * interval_s))
    score_facts, shot_facts = ({"json_attributes_topic": f"{base}/{topic}"} for topic in ("score", "shot"))
    diagnostic = {"entity_category": "diagnostic", "expire_after": EXPIRE_S}
    measured = {**diagnostic, "state_class": "measurement"}
    gigabytes = "none if value_json.free_disk is none else (value_json.free_disk / 1e9) | round(1)"
    components = {
        "score": sensor("score", "Score", "value_json.mean", icon="mdi:star-half-full", **score, **score_facts),
        "spread": sensor("score", "Spread", "value_json.std", icon="mdi:plus-minus", **score),
        "fps": sensor("health", "Frames a second", "value_json.fps", unit_of_measurement="fps",
                      icon="mdi:speedometer", **measured),
    }  # fmt: skip
    board = {
        "temperature_c": ("temperature", sensor("health", "Temperature", "value_json.temperature_c",
                          device_class="temperature", unit_of_measurement="°C", **measured)),
        "free_disk": ("free_disk", sensor("health", "Free disk", gigabytes,
                      device_class="data_size", unit_of_measurement="GB", **measured)),
        "throttled": ("throttled", warning("throttled")),
        "undervoltage": ("undervoltage", warning("undervoltage")),
    }  # fmt: skip
    components |= dict(entity for field, entity in board.items() if field in known)
    for component in components.values():
        component["availability_topic"] = f"{base}/state"
        component["availability_template"] = f"{{{{ 'offline' if value_json.state in {list(GONE)} else 'online' }}}}"
    # The state says the last will itself, and a photograph outlives its camera: they are never unavailable.
    components["state"] = sensor(
        "state", "State", "value_json.state", device_class="enum", options=[*map(str, State), "offline"],
        json_attributes_topic=f"{base}/state", icon="mdi:cctv",
    )  # fmt: skip
    if photographs:
        components["shot"] = sensor("shot", "Last shot", "value_json.taken_at", device_class="timestamp", **shot_facts)
        image = {"image_topic": f"{base}/image", "content_type": "image/jpeg"}
        components["image"] = {"platform": "image", "name": "Best shot", **image, **shot_facts}
    for name, component in components.items():
        component["unique_id"] = f"{node}_{name}"
    origin = {"name": "edge_nima", "sw_version": __version__}
    about = {"name": camera, "model": model, "manufacturer": "edge_nima", "sw_version": __version__}
    found = {"device": {"identifiers": [node], **about}, "origin": origin, "components": components, "qos": 1}
    return node, json.dumps(found, ensure_ascii=False).encode()


def picture(path: Path) -> bytes:
    """A photograph as a JPEG of at most 1280 pixels on its longest edge and about 300 kB. Raises OSError."""
    with Image.open(path) as image:
        image.draft("RGB", (PICTURE_EDGE, PICTURE_EDGE))  # libjpeg decodes it smaller, at a fraction of the time
        image.thumbnail((PICTURE_EDGE, PICTURE_EDGE))
        for quality in (85, 70, 50, 30):
            content = BytesIO()
            image.convert("RGB").save(content, "JPEG", quality=quality)
            if content.tell() <= PICTURE_BYTES:
                break
    return content.getvalue()
