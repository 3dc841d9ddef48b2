"""The checks, in the order in which one thing needs another: machine, software, model, cameras, state."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal

from edge_nima.doctor.probe import Answer, ProbeProcess

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
# Module to name, distribution, and who needs it: None is everybody.
PACKAGES = {
    "numpy": ("NumPy", "numpy", None),
    "PIL": ("Pillow", "pillow", None),
    "cv2": ("OpenCV", "opencv-python-headless", "webcams"),
    "av": ("PyAV", "av", "streams and videos"),
}
Level = Literal["ok", "warning", "problem"]  # a problem prevents scoring or watching, a warning does not


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    section: str  # machine, software, model, camera or state
    name: str
    text: str
    level: Level = "ok"
    fix: str | None = None  # what to do or to type; None where nothing needs doing


@dataclass(frozen=True)
class Report:
    """All findings, and what to type next: the first problem's fix, else the first source to watch."""

    findings: tuple[Finding, ...]
    next: str

    @property
    def problems(self) -> list[Finding]:
        """What prevents scoring or watching."""
        return [finding for finding in self.findings if finding.level == "problem"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        warnings = sum(finding.level == "warning" for finding in self.findings)
        return {**asdict(self), "problems": len(self.problems), "warnings": warnings}


@dataclass(frozen=True)
class Machine:
    """What the standard library says of this machine and Python; made up in tests."""

    root: Path = Path("/")  # where /proc, /sys, /etc, /dev and /run are
    bits: int = struct.calcsize("P") * 8  # of Python, and so of the installed programs
    system: str = field(default_factory=platform.system)  # "Linux", "Darwin" or "Windows"
    kernel: str = field(default_factory=platform.machine)

    def text(self, path: str) -> str:
        """The content of a small file under `root`, stripped of NULs and blanks; "" when it cannot be read."""
        try:
            return (self.root / path).read_bytes().decode(errors="replace").strip("\0\n ")
        except OSError:
            return ""

    def value(self, path: str, key: str) -> str:
        """The value of the first line "KEY: value" or "KEY=value" of such a file, its key a regular expression."""
        found = re.search(rf"^(?:{key})[ \t]*[:=][ \t]*(.+)$", self.text(path), re.MULTILINE | re.IGNORECASE)
        return found[1].strip() if found else ""


_machine, _software, _model, _camera, _state = (
    partial(Finding, section) for section in ("machine", "software", "model", "camera", "state")
)


def examine(
    machine: Machine | None = None,
    probes: ProbeProcess | None = None,
    model: str | None = None,
    card: str | None = None,
) -> Report:
    """Examine everything, with this model, the bundled one by default; what fails is a finding, and nothing raises."""
    machine, probes = machine or Machine(), probes or ProbeProcess()
    findings = [*_machine_findings(machine), _software("Python", platform.python_version())]
    source = None
    for check in (partial(_package, module="numpy"), partial(_package, module="PIL"), partial(_runtime, machine)):
        findings.append(check(probes=probes))
        if findings[-1].level == "problem":
            text = f"not tried, since {findings[-1].name} does not work; nor are cameras"
            findings.append(_model("model", text, "warning"))
            break
    else:
        findings += [_package(probes, "cv2"), _package(probes, "av"), *_model_findings(probes, model, card)]
        cameras, source = _cameras(machine, probes)
        findings += [*cameras, *_health(machine)]
    findings += _disk_and_clock(machine)
    watch = f"edge-nima watch {source or 'rtsp://USER:PASSWORD@CAMERA/'} --keep 5 --every 10m --out ~/shots"
    fixes = [finding.fix for finding in findings if finding.level == "problem" and finding.fix]
    return Report(tuple(findings), [*fixes, watch if source else f"connect a camera, or: {watch}"][0])


def _machine_findings(machine: Machine) -> Iterator[Finding]:
    board = machine.text("proc/device-tree/model") or machine.value("proc/cpuinfo", "model name") or machine.kernel
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = machine.value("proc/meminfo", "MemTotal").removesuffix(" kB")
    shown = f", {int(memory) / 2**20:.1f} GiB memory" if memory.isdigit() else ""
    yield _machine("board", f"{board}, {cores} core{'s'[: cores != 1]}{shown}")
    if machine.system != "Linux":
        yield _machine("system", platform.platform())
        return
    yield _processor(machine)
    kernel = 64 if "64" in machine.kernel else 32
    bits = f"{machine.bits}-bit system on a {kernel}-bit kernel ({machine.kernel})"
    if machine.bits == 64:
        yield _machine("bits", bits)
    else:
        bits += "; a 64-bit kernel does not help, the programs are 32-bit" if kernel == 64 else ""
        card = "write the SD card again with Raspberry Pi OS (64-bit); or stay: Python 3.11, tflite-runtime, numpy<2"
        yield _machine("bits", f"{bits}: LiteRT needs 64 bits, here only tflite-runtime runs", "warning", card)
    release = machine.value("etc/os-release", "PRETTY_NAME").strip('"') or "Linux of unknown name"
    # Raspberry Pi OS calls itself Debian.
    yield _machine("system", f"Raspberry Pi OS ({release})" if machine.text("etc/rpi-issue") else release)


def _processor(machine: Machine) -> Finding:
    features = set(machine.value("proc/cpuinfo", "features|flags").lower().split())
    arm = machine.kernel.startswith(("arm", "aarch64"))
    if arm and not features & {"neon", "asimd"}:
        text = f"{machine.kernel} without NEON (Raspberry Pi 1 or Zero): there is no TFLite runtime for it"
        return _machine("processor", text, "problem", "use a Raspberry Pi Zero 2 W, 3, 4 or 5")
    if not arm or machine.bits == 32:
        return _machine("processor", "neon" if arm else machine.kernel)
    listed = ", ".join(name if name in features else f"no {name}" for name in ("asimd", "asimddp", "fphp"))
    slower = "" if "asimddp" in features else " (int8 is slower than on a Raspberry Pi 5, with the same scores)"
    return _machine("processor", listed + slower)


def _package(probes: ProbeProcess, module: str) -> Finding:
    name, distribution, users = PACKAGES[module]
    answer = probes.ask("package", module=module)
    if not answer.error:
        return _software(name, answer.result["version"])
    if not answer.missing:  # what is installed and does not load is always a problem
        return _failed(_software, name, answer, distribution)
    if users is None:
        return _software(name, "not installed: nothing works without it", "problem", f"pip install {distribution}")
    return _software(name, f"not installed: {users} need it", "warning", "pip install 'edge-nima[camera]'")


def _runtime(machine: Machine, probes: ProbeProcess) -> Finding:
    answer = probes.ask("runtime")
    if not answer.error:
        return _software("runtime", answer.result["name"])
    text, _, install = answer.error.partition(": pip install ")  # of a missing runtime
    if machine.bits == 32:
        install = "'tflite-runtime==2.14.0' 'numpy<2'   # Python 3.11 only"
    if answer.missing and install:
        return _software("runtime", text, "problem", f"pip install {install}")
    return _failed(_software, "runtime", answer, *RUNTIMES)


def _failed(section: Callable[..., Finding], name: str, answer: Answer, *packages: str) -> Finding:
    # Its fix concerns the first of some distributions that is installed.
    installed = next((found for package in packages for found in distributions(name=package)), None)
    if "dtype size changed" in answer.error and "Expected 96 from C header" in answer.error:
        fix = "pip install 'numpy<2'"  # it was built for NumPy 1, as all of Bookworm's is (picamera2 #1088)
    elif installed is not None and "(SIGILL)" in answer.error:
        fix = f"pip install '{installed.name}<{installed.version}'   # an older build may support this processor"
    elif "(SIGKILL)" in answer.error:
        fix = "free -h   # and close what takes the memory"
    else:
        fix = f"pip install --force-reinstall --no-cache-dir {installed.name if installed else packages[0]}"
    return section(name, answer.error, "problem", fix)


def _model_findings(probes: ProbeProcess, model: str | None, card: str | None) -> Iterator[Finding]:
    answer = probes.ask("model", path=model, card=card)
    if answer.error:
        ours = answer.error.startswith(("ModelError", "CardError"))
        listing = _model("model", answer.error, "problem", "edge-nima models list")
        yield listing if ours else _failed(_model, "model", answer, *RUNTIMES)
        return
    label, gate, golden = (answer.result[key] for key in ("label", "gate", "probes"))
    yield (
        _model("model", f"{label}: {gate}", "warning", "edge-nima show") if gate else _model("model", f"opens {label}")
    )
    failed = [probe for probe in golden if probe["problem"]]
    if not golden:
        yield _model("check", "the model carries no golden probes, so its scores cannot be checked", "warning")
    elif failed:
        text = f"{len(failed)} of {len(golden)} golden probes FAILED: {failed[0]['name']}: {failed[0]['problem']}"
        path = "" if model is None else f" {shlex.quote(model)}"
        yield _model("check", text, "problem", f"edge-nima check{path}")
    else:
        gap = max(abs(probe["gap"]) for probe in golden)
        yield _model("check", f"{len(golden)} golden probes passed, within {gap:.4f} of where it was made")
    ms: dict[str, float] = answer.result["ms"]
    each = ", ".join(f"{threads} thread{'s'[: threads != '1']} {took:.1f} ms" for threads, took in ms.items())
    yield _model("speed", f"{each} ({1e3 / min(ms.values()):.0f} a second)")


def _cameras(machine: Machine, probes: ProbeProcess) -> tuple[list[Finding], str | None]:
    # The findings, and what to watch when one of the cameras works.
    answer = probes.ask("webcams", root=str(machine.root))
    webcams: list[dict[str, Any]] = answer.result.get("webcams", [])  # each a `Camera` of `edge_nima.sources.v4l2`
    findings, usable = [], None
    if answer.error:
        findings.append(_camera("webcams", f"not known: {answer.error}", "warning"))
    elif not webcams:
        findings.append(_camera("webcams", "none"))
    for webcam in webcams:
        text = f"{webcam['source']} {webcam['name']}"
        if not webcam["readable"]:
            fix = "sudo usermod -aG video $USER   # then log in again"
            findings.append(_camera("webcam", f"{text} may not be opened: not in the group video", "problem", fix))
        elif problem := webcam["problem"]:
            findings.append(_camera("webcam", f"{text}: {problem}", "warning", "unplug it and plug it in"))
        else:
            findings.append(_camera("webcam", text))
            usable = usable or webcam["source"]
    raspberry = machine.text("proc/device-tree/model").startswith("Raspberry Pi")
    picamera2, works = _picamera2(machine, probes, answer.result.get("ribbon") or (raspberry and not webcams))
    return [*findings, picamera2], "picamera2" if works else usable


def _picamera2(machine: Machine, probes: ProbeProcess, needed: bool) -> tuple[Finding, bool]:
    # Whether picamera2 works, and whether it finds a camera.
    answer = probes.ask("cameras")
    if cameras := answer.result.get("cameras"):
        return _camera("picamera2", f"finds {', '.join(cameras)}"), True
    if not answer.error:
        text = "works, and finds no camera"
        fix = "check the ribbon at both ends, start again, then: rpicam-hello --list-cameras"
    elif not answer.missing:
        return _failed(_camera, "picamera2", answer, "picamera2"), False
    elif not needed:
        text, fix = "not installed; for a Raspberry Pi's own camera", ""
    elif (machine.root / "usr/lib/python3/dist-packages/picamera2").is_dir():
        text = "installed, but this virtual environment does not see the system's packages"
        fix = f"python3 -m venv --system-site-packages {sys.prefix}"
    else:
        text, fix = "not installed: the camera on the ribbon needs it", "sudo apt install -y python3-picamera2"
    return _camera("picamera2", text, "warning" if needed else "ok", fix or None), False


def _health(machine: Machine) -> Iterator[Finding]:
    from edge_nima.watch.health import BoardSensors  # loads NumPy, which works, as was found

    health = BoardSensors(root=machine.root).read()
    celsius, low, throttled, flags = health.temperature_c, health.undervoltage, health.throttled, health.flags or 0
    if celsius is not None and celsius >= 80:  # a Raspberry Pi lowers its clock from here on
        yield _state("temperature", f"{celsius:.0f} °C: too hot for full speed", "warning", "cool it")
    else:
        yield _state("temperature", "no sensor" if celsius is None else f"{celsius:.0f} °C")
    if low or flags & 0x10000:  # from this bit on: since boot
        when = "is too low now" if low else "has been too low since boot"
        fix = "use the board's own supply: 5 V 3 A for a Raspberry Pi 4, 5 V 5 A for a 5"
        yield _state("supply", f"the voltage {when} (flags {flags:#x})", "warning", fix)
    elif throttled or flags & 0xF0000:
        when = "is throttled now" if throttled else "has been throttled since boot"
        yield _state("supply", f"the processor {when}, by heat (flags {flags:#x})", "warning", "cool it")
    elif low is not None or throttled is not None:
        yield _state("supply", "good, never throttled since boot")


def _disk_and_clock(machine: Machine) -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    advice = ("warning", "free some, or watch with --max-disk 500MB") if free < 1 << 30 else ()
    yield _state("disk", f"{free / 1e9:.1f} GB free in this folder", *advice)
    timesync = machine.root / "run/systemd/timesync"  # a Raspberry Pi has no clock that runs while it is off
    if (timesync / "synchronized").exists():
        yield _state("clock", "synchronised")
    elif timesync.is_dir():
        text = "not synchronised: names of photographs and records may carry a wrong time"
        yield _state("clock", text, "warning", "timedatectl")
