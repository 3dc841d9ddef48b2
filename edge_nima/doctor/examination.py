"""The whole examination, in the order in which one thing needs another."""

from __future__ import annotations

from collections.abc import Callable

from edge_nima.doctor.camera import look_for_cameras
from edge_nima.doctor.children import Children
from edge_nima.doctor.condition import condition_findings
from edge_nima.doctor.findings import Finding, Level, Report
from edge_nima.doctor.here import Here
from edge_nima.doctor.machine import machine_findings
from edge_nima.doctor.software import model_findings, package_findings, python_finding, runtime_finding

KEEPING = "--keep 5 --every 10m --out ~/shots"


def examine(
    here: Here | None = None,
    children: Children | None = None,
    model: str | None = None,
    card: str | None = None,
    progress: Callable[[str], None] = lambda doing: None,
) -> Report:
    """Look at everything. Nothing that is found raises; what cannot be looked at is a finding as well.

    Args:
        here: the machine; this one by default.
        children: what asks in child processes.
        model: the model to open and check; None for the bundled one.
        card: its card, for a model that carries none.
        progress: told what is looked at next.
    """
    here, children = here or Here(), children or Children()
    progress("the machine")
    findings = [*machine_findings(here), python_finding(here)]
    progress("packages")
    packages = [*package_findings(children)]
    findings += packages
    broken = next((finding for finding in packages[:2] if finding.level is Level.problem), None)
    if broken is None:
        runtime = runtime_finding(children, here)
        findings.append(runtime)
        broken = runtime if runtime.level is Level.problem else None
    if broken is None:
        progress("the model")
        findings += model_findings(children, model, card)
    else:
        findings.append(_not_tried("model", broken))
    source = None
    without_numpy = packages[0].level is Level.problem
    if without_numpy:
        findings.append(_not_tried("camera", packages[0]))
    else:
        progress("cameras")
        cameras = look_for_cameras(here, children)
        findings += cameras.findings
        source = cameras.source
    progress("its state")
    findings += condition_findings(here, None if without_numpy else children)
    if source is None:
        after = f"connect a camera, or: edge-nima watch rtsp://USER:PASSWORD@CAMERA/ {KEEPING}"
    else:
        after = f"edge-nima watch {source} {KEEPING}"
    return Report(tuple(findings), after)


def _not_tried(section: str, broken: Finding) -> Finding:
    return Finding(section, section, Level.warning, f"not tried, since {broken.name} does not work")
