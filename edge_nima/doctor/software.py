"""Python and its packages, the runtime, and the model: all that can crash is asked for in child processes."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from edge_nima.doctor.children import Answer, Children
from edge_nima.doctor.findings import Finding, Level
from edge_nima.doctor.here import Here

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
_BUILT_FOR_NUMPY_1 = ("dtype size changed", "Expected 96 from C header")
"""What a package says that was built for NumPy 1, as all of Bookworm's are, and meets NumPy 2 (picamera2 #1088)."""


def python_finding(here: Here) -> Finding:
    """Python, and whether it is a virtual environment that sees the system's packages."""
    if here.prefix == here.base_prefix:
        return Finding("software", "Python", Level.ok, f"{here.python}, no virtual environment")
    try:
        config = (here.prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        config = ""
    shared = re.search(r"^include-system-site-packages *= *true", config, re.MULTILINE | re.IGNORECASE)
    seen = "with the system's packages" if shared else "without the system's packages"
    return Finding("software", "Python", Level.ok, f"{here.python}, venv {seen}")


def package_findings(children: Children) -> Iterator[Finding]:
    """NumPy and Pillow, which scoring needs, and OpenCV, which cameras and streams need."""
    numpy = _package(children, "NumPy", "numpy", "numpy", Level.problem)
    yield numpy
    yield _package(children, "Pillow", "PIL", "pillow", Level.problem)
    if numpy.level is Level.ok:  # without which OpenCV would die of the same
        yield _package(children, "OpenCV", "cv2", "opencv-python-headless", Level.warning)


def _package(children: Children, name: str, module: str, distribution: str, missing: Level) -> Finding:
    answer = children.ask("package", module=module)
    if answer.ok:
        system = " (the system's)" if "dist-packages" in answer.result["where"] else ""
        return Finding("software", name, Level.ok, f"{answer.result['version']}{system}")
    if answer.missing:
        needed = "webcams, streams and films need it" if missing is Level.warning else "nothing works without it"
        package = "'edge-nima[camera]'" if module == "cv2" else distribution
        return Finding("software", name, missing, f"not installed: {needed}", f"pip install {package}")
    return Finding("software", name, Level.problem, answer.error or "", mend(answer, distribution))


def runtime_finding(children: Children, here: Here) -> Finding:
    """The TFLite runtime."""
    answer = children.ask("runtime")
    if answer.ok:
        return Finding("software", "runtime", Level.ok, answer.result["name"])
    # The message of a missing runtime says what to install.
    told, _, fix = (answer.error or "").partition(": pip install ")
    if answer.missing and here.bits == 32:
        fix = "'tflite-runtime==2.14.0' 'numpy<2'   # Python 3.11 only"
    if answer.missing and fix:
        return Finding("software", "runtime", Level.problem, told, f"pip install {fix}")
    return Finding("software", "runtime", Level.problem, answer.error or "", mend(answer, *RUNTIMES))


def mend(answer: Answer, *distributions: str) -> str:
    """What to type about a package that does not load: the first of some distributions that is installed."""
    package, installed = next(((name, _installed(name)) for name in distributions if _installed(name)), ("", ""))
    if all(part in (answer.error or "") for part in _BUILT_FOR_NUMPY_1):
        return "pip install 'numpy<2'"
    if not package:
        return f"pip install --force-reinstall {distributions[0]}"
    if answer.died == signal.SIGILL:
        return f"pip install '{package}<{installed}'   # an older build may know this processor"
    if answer.died == signal.SIGKILL:
        return "free -h   # and close what takes the memory"
    return f"pip install --force-reinstall --no-cache-dir {package}=={installed}"


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def model_findings(children: Children, model: str | None, card: str | None) -> Iterator[Finding]:
    """Whether the runtime opens the model, its delegate, its golden probes, and its speed."""
    answer = children.ask("model", path=model, card=card)
    if not answer.ok:
        ours = answer.error and answer.error.startswith(("ModelError", "CardError"))
        fix = "edge-nima models list" if ours else mend(answer, *RUNTIMES)
        yield Finding("model", "model", Level.problem, answer.error or "", fix)
        return
    said = answer.result
    if said["gate"]:
        yield Finding("model", "model", Level.warning, f"{said['label']}: {said['gate']}", "edge-nima show")
    else:
        yield Finding("model", "model", Level.ok, f"opens {said['label']}")
    yield _delegate(said["delegated"])
    yield _check(said["probes"], model)
    yield _speed(children.ask("speed", path=model, card=card))


def _delegate(delegated: bool | None) -> Finding:
    if delegated is None:
        return Finding("model", "delegate", Level.warning, "the runtime does not say whether XNNPACK is active")
    if delegated:
        return Finding("model", "delegate", Level.ok, "XNNPACK is active")
    return Finding("model", "delegate", Level.warning, "XNNPACK is not active: right, and slower")


def _check(probes: list[dict[str, object]], model: str | None) -> Finding:
    if not probes:
        return Finding(
            "model", "check", Level.warning, "the model carries no golden probes, so nothing tells if it is right"
        )
    failed = [probe for probe in probes if probe["problem"]]
    gap = max(abs(float(str(probe["gap"]))) for probe in probes)
    if not failed:
        told = f"{len(probes)} golden probes passed, within {gap:.4f} of where it was made"
        return Finding("model", "check", Level.ok, told)
    told = f"{len(failed)} of {len(probes)} golden probes FAILED: {failed[0]['name']}: {failed[0]['problem']}"
    typed = "" if model is None else f" {shlex.quote(model)}"
    return Finding("model", "check", Level.problem, told, f"edge-nima check{typed}")


def _speed(answer: Answer) -> Finding:
    if not answer.ok:
        return Finding("model", "speed", Level.problem, answer.error or "", mend(answer, *RUNTIMES))
    times: dict[str, float] = answer.result["ms"]
    told = ", ".join(f"{n} thread{'s'[: n != '1']} {_short(ms)} ms" for n, ms in times.items())
    told = f"{told} ({_short(1e3 / min(times.values()))} a second)"
    return Finding("model", "speed", Level.ok, told)


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 20 else f"{number:.0f}"
