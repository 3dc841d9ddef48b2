"""Cameras: what the kernel has, what picamera2 and libcamera see, and whether we may open them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_nima.doctor.children import Children
from edge_nima.doctor.findings import Finding, Level
from edge_nima.doctor.here import Here
from edge_nima.doctor.software import mend

_RIBBON = ("unicam", "rp1-cfe")
"""Names of the nodes of a camera on the ribbon: they give raw pictures, which picamera2 alone makes sense of."""
_NO_CAMERA = ("codec", "isp", "pispbe", "rpivid", "hevc", "decoder", "encoder")
"""Names of nodes that convert pictures and take none."""

Node = dict[str, Any]
"""An `edge_nima.frames.listing.Camera`, as a dict."""


@dataclass(frozen=True)
class Cameras:
    """What was found, and what of it can be watched."""

    findings: tuple[Finding, ...]
    source: str | None
    """For `edge-nima watch`; None when there is no camera that works."""


def look_for_cameras(here: Here, children: Children) -> Cameras:
    """Look for cameras on USB and on the ribbon."""
    answer = children.ask("webcams", root=str(here.root))
    nodes: list[Node] = answer.result.get("nodes", [])
    ribbon = any(_is(node, _RIBBON) for node in nodes)
    usb = [node for node in nodes if node["captures"] is not False and not _is(node, _RIBBON + _NO_CAMERA)]
    findings = [] if answer.ok else [Finding("camera", "webcams", Level.warning, f"not known: {answer.error}")]
    findings += _webcams(usb) if answer.ok else []
    pi = here.text("proc/device-tree/model").startswith("Raspberry Pi")
    picamera, sees = _picamera2(here, children, needed=ribbon or (pi and not usb))
    findings.append(picamera)
    usable = [node["source"] for node in usb if node["readable"] and not node["problem"]]
    return Cameras(tuple(findings), "picamera2" if sees else next(iter(usable), None))


def _is(node: Node, kinds: tuple[str, ...]) -> bool:
    return any(kind in node["name"].lower() for kind in kinds)


def _webcams(usb: list[Node]) -> Iterator[Finding]:
    if not usb:
        yield Finding("camera", "webcams", Level.ok, "none")
    for node in usb:
        told = f"{node['source']} {node['name']}"
        if not node["readable"]:
            fix = "sudo usermod -aG video $USER   # then log in again"
            yield Finding("camera", "webcam", Level.problem, f"{told} may not be opened: not in the group video", fix)
        elif node["problem"]:
            yield Finding("camera", "webcam", Level.warning, f"{told}: {node['problem']}", "unplug it and plug it in")
        else:
            yield Finding("camera", "webcam", Level.ok, told)


def _picamera2(here: Here, children: Children, needed: bool) -> tuple[Finding, bool]:
    """Whether picamera2 works, and whether it sees a camera."""
    answer = children.ask("cameras")
    level = Level.warning if needed else Level.ok
    if answer.ok:
        cameras = answer.result["cameras"]
        if cameras:
            return Finding("camera", "picamera2", Level.ok, f"sees {', '.join(cameras)}"), True
        fix = "check the ribbon at both ends, start again, then: rpicam-hello --list-cameras"
        return Finding("camera", "picamera2", level, "works, and sees no camera", fix), False
    if not answer.missing:
        fix = mend(answer, "picamera2")
        return Finding("camera", "picamera2", Level.problem, answer.error or "", fix), False
    if not needed:
        return Finding("camera", "picamera2", Level.ok, "not installed; for a Raspberry Pi's own camera"), False
    if (here.root / "usr/lib/python3/dist-packages/picamera2").is_dir():
        told = "installed, but this virtual environment does not see the system's packages"
        fix = f"python3 -m venv --system-site-packages {here.prefix}"
    else:
        told, fix = "not installed: the camera on the ribbon needs it", "sudo apt install -y python3-picamera2"
    return Finding("camera", "picamera2", level, told, fix), False
