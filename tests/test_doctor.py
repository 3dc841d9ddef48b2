"""doctor: what it finds on boards that are made up, what it says of children that really die, and the screen."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge_nima import cli
from edge_nima.card import read_card
from edge_nima.doctor import probe
from edge_nima.doctor.checks import Finding, Machine, Report, examine
from edge_nima.doctor.probe import Answer, ProbeProcess
from edge_nima.scorer import BUNDLED
from edge_nima.sources import v4l2
from edge_nima.sources.v4l2 import Camera

FEATURES = {
    "pi5": "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    "pi4": "fp asimd evtstrm crc32 cpuid",
    "pi1": "half thumb fastmult vfp edsp java tls",
    "pi2": "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt",
}


def made_up(root: Path, features: str, **machine: Any) -> Machine:
    """A Raspberry Pi's files and what its kernel says."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/cpuinfo": f"processor\t: 0\nFeatures\t: {features}\n",
        "proc/meminfo": "MemTotal:        8244576 kB\nMemFree: 1 kB\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
        "etc/rpi-issue": "Raspberry Pi reference\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Machine(root=root, **{"bits": 64, "system": "Linux", "kernel": "aarch64", **machine})


GOOD: dict[str, Answer] = {
    "package": Answer({"version": "2.2.4"}),
    "runtime": Answer({"name": "ai-edge-litert 2.3.0"}),
    "model": Answer(
        {
            "label": "m@12345678", "gate": None, "probes": [{"name": "cat", "problem": None, "gap": 6e-7}],
            "ms": {"1": 24.0, "2": 13.5},
        }
    ),
    "webcams": Answer({"webcams": [], "ribbon": False}),
    "cameras": Answer({"cameras": ["imx708"]}),
}  # fmt: skip


class FakeProbes(ProbeProcess):
    """Answers as a test says."""

    def __init__(self, **answers: Answer) -> None:
        super().__init__()
        self._answers = {**GOOD, **answers}
        self.asked: list[str] = []

    def ask(self, question: str, **given: Any) -> Answer:
        self.asked.append(given.get("module", question))
        return self._answers.get(given.get("module", question), self._answers[question])


def found(report: Report, name: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.name == name]
    return finding


# the machine


def test_a_good_raspberry_pi_is_told_to_watch_its_camera(tmp_path: Path) -> None:
    report = examine(made_up(tmp_path, FEATURES["pi5"]), FakeProbes())
    assert {finding.level for finding in report.findings} == {"ok"}
    assert report.problems == []
    assert report.next == "edge-nima watch picamera2 --keep 5 --every 10m --out ~/shots"
    assert re.fullmatch(r"Raspberry Pi 5 Model B Rev 1\.0, \d+ cores?, 7\.9 GiB memory", found(report, "board").text)
    assert found(report, "processor").text == "asimd, asimddp, fphp"
    assert found(report, "system").text == "Raspberry Pi OS (Debian GNU/Linux 13 (trixie))"
    assert found(report, "NumPy").text == "2.2.4"
    assert found(report, "speed").text == "1 thread 24.0 ms, 2 threads 13.5 ms (74 a second)"


def test_a_64_bit_kernel_under_a_32_bit_system_is_said_to_be_a_trap(tmp_path: Path) -> None:
    none = Answer(error="no TFLite runtime on Linux aarch64: pip install ai-edge-litert", missing=True)
    report = examine(made_up(tmp_path, FEATURES["pi4"], bits=32, kernel="aarch64"), FakeProbes(runtime=none))
    bits = found(report, "bits")
    assert bits.level == "warning"
    assert bits.text.startswith("32-bit system on a 64-bit kernel (aarch64); a 64-bit kernel does not help")
    assert "Raspberry Pi OS (64-bit)" in (bits.fix or "")
    # ai-edge-litert, which the message names, has no wheel for it.
    assert report.next.startswith("pip install 'tflite-runtime==2.14.0' 'numpy<2'")


@pytest.mark.parametrize(("features", "level"), [("pi2", "ok"), ("pi1", "problem")])
def test_a_32_bit_processor_needs_neon(tmp_path: Path, features: str, level: str) -> None:
    report = examine(made_up(tmp_path, FEATURES[features], bits=32, kernel="armv7l"), FakeProbes())
    assert found(report, "processor").level is level
    assert "32-bit system on a 32-bit kernel (armv7l)" in found(report, "bits").text


@pytest.mark.parametrize(
    ("system", "kernel", "names"),
    [("Windows", "AMD64", "board system"), ("Darwin", "arm64", "board system"),
     ("Linux", "riscv64", "board processor bits system")],
)  # fmt: skip
def test_a_machine_without_proc_is_described_all_the_same(tmp_path: Path, system: str, kernel: str, names: str) -> None:
    report = examine(Machine(root=tmp_path, system=system, kernel=kernel), FakeProbes())
    assert report.problems == []
    assert [finding.name for finding in report.findings if finding.section == "machine"] == names.split()


# packages and the model


def test_what_needs_a_broken_package_is_not_tried(tmp_path: Path) -> None:
    broken = Answer(error="import numpy dies of an illegal instruction (SIGILL)")
    probes = FakeProbes(numpy=broken)
    report = examine(made_up(tmp_path, FEATURES["pi4"]), probes)
    assert "SIGILL" in found(report, "NumPy").text
    assert re.match(r"pip install 'numpy<\d", report.next)
    assert found(report, "model").text == "not tried, since NumPy does not work; nor are cameras"
    assert probes.asked == ["numpy"]
    assert found(report, "disk").level == "ok"
    assert len(report.problems) == 1


@pytest.mark.parametrize(
    ("module", "name", "who"), [("cv2", "OpenCV", "webcams"), ("av", "PyAV", "streams and videos")]
)
def test_opencv_and_pyav_may_be_missing(tmp_path: Path, module: str, name: str, who: str) -> None:
    missing = Answer(error=f"No module named '{module}'", missing=True)
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(**{module: missing}))
    finding = found(report, name)
    assert (finding.level, finding.fix) == ("warning", "pip install 'edge-nima[camera]'")
    assert finding.text == f"not installed: {who} need it"
    assert report.problems == []


def test_a_model_that_failed_its_gate_is_a_warning_and_a_failed_probe_a_problem(tmp_path: Path) -> None:
    probes = [{"name": "cat", "problem": "scores otherwise", "gap": 0.4}]
    model = Answer({"label": "m", "gate": "this model failed its gate", "probes": probes, "ms": {"1": 24.0}})
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(model=model), model="m.tflite")
    assert found(report, "model").level == "warning"
    assert found(report, "check").text == "1 of 1 golden probes FAILED: cat: scores otherwise"
    assert report.next == "edge-nima check m.tflite"
    model.result["probes"] = []
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(model=model))
    assert found(report, "check").level == "warning"


# cameras


def webcams(*cameras: Camera) -> Answer:
    """As the probe gives them where the kernel has these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v4l2, "v4l2_cameras", lambda root: cameras)
        return Answer(probe.webcams("/"))


NO_PICAMERA2 = Answer(error="No module named 'libcamera'", missing=True)


def test_a_webcam_is_what_to_watch_where_there_is_no_other_camera(tmp_path: Path) -> None:
    there = webcams(
        Camera("/dev/video10", "bcm2835-codec-decode", "bcm2835-codec", True, problem=v4l2.PI_STEP),
        Camera("/dev/video0", "HD Pro Webcam C920", "uvcvideo", True),
        Camera("/dev/video1", "HD Pro Webcam C920", "uvcvideo", captures=False),
    )
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(webcams=there, cameras=NO_PICAMERA2))
    assert found(report, "webcam").text == "/dev/video0 HD Pro Webcam C920"
    assert found(report, "picamera2").level == "ok"
    assert report.next.startswith("edge-nima watch /dev/video0 ")
    shut = webcams(Camera("/dev/video0", "C920", "uvcvideo", None, False, "Permission denied"))
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(webcams=shut, cameras=NO_PICAMERA2))
    assert found(report, "webcam").level == "problem"
    assert report.next.startswith("sudo usermod -aG video $USER")


def test_a_camera_on_the_ribbon_asks_for_picamera2(tmp_path: Path) -> None:
    machine = made_up(tmp_path, FEATURES["pi4"])
    ribbon = webcams(Camera("/dev/video0", "rp1-cfe-csi2_ch0", "rp1-cfe", True, problem=v4l2.PI_STEP))
    probes = FakeProbes(webcams=ribbon, cameras=NO_PICAMERA2)
    report = examine(machine, probes)
    assert found(report, "webcams").text == "none"
    assert found(report, "picamera2").fix == "sudo apt install -y python3-picamera2"
    assert report.next.startswith("connect a camera, or: edge-nima watch rtsp://")
    (tmp_path / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
    assert found(examine(machine, probes), "picamera2").fix == f"python3 -m venv --system-site-packages {sys.prefix}"


def test_the_system_packages_built_for_numpy_1_say_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = "numpy.dtype size changed, may indicate incompatibility. Expected 96 from C header, got 88 from PyObject"
    (tmp_path / "libcamera.py").touch()
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({trap!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = ProbeProcess().ask("cameras")
    assert answer.error == f"ValueError: {trap}"
    report = examine(made_up(tmp_path, FEATURES["pi4"]), FakeProbes(cameras=answer))
    assert found(report, "picamera2").level == "problem"
    assert report.next == "pip install 'numpy<2'"


def test_picamera2_is_asked_for_its_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libcamera.py").touch()
    body = "class Picamera2:\n    global_camera_info = staticmethod(lambda: [{'Model': 'imx708', 'Num': 0}])\n"
    (tmp_path / "picamera2.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ProbeProcess().ask("cameras").result == {"cameras": ["imx708"]}


# its state


@pytest.mark.parametrize(
    ("flags", "level", "told"),
    [
        ("0", "ok", "never throttled"),
        ("50005", "warning", "too low now"),
        ("50000", "warning", "the voltage has been too low since boot (flags 0x50000)"),
        ("80000", "warning", "the processor has been throttled since boot"),
        ("80008", "warning", "throttled now"),
    ],
)
def test_the_firmwares_flags_are_read(tmp_path: Path, flags: str, level: str, told: str) -> None:
    machine = made_up(tmp_path, FEATURES["pi4"])
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    for path, text in ((firmware, flags), (zone / "type", "cpu-thermal"), (zone / "temp", "83000")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    report = examine(machine, FakeProbes())
    supply = found(report, "supply")
    assert supply.level is level
    assert told in supply.text
    assert found(report, "temperature").level == "warning"
    assert found(report, "temperature").text.startswith("83 °C")


def test_little_disk_and_a_wrong_clock_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int = 1
        used: int = 1
        free: int = 300_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    machine = made_up(tmp_path, FEATURES["pi4"])
    report = examine(machine, FakeProbes())
    assert found(report, "disk").text == "0.3 GB free in this folder"
    assert [found(report, name).level for name in ("disk", "clock")] == ["warning"] * 2
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert found(examine(machine, FakeProbes()), "clock").level == "ok"


# children that die


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGILL)", "import it dies of an illegal instruction (SIGILL): it was built for"),
        ("ctypes.string_at(0)", "import it dies of SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "import it dies of a kill (SIGKILL)"),
        ("time.sleep(60)", "import it does not come back: killed after 5 s"),
        ("sys.exit(3)", "import it ends with exit code 3"),
        ("print('\\x1b[2J', file=sys.stderr); os._exit(1)", r"import it ends with exit code 1: \x1b[2J"),
        ("raise ImportError('libGL.so.1: cannot\\nopen it')", "ImportError: libGL.so.1: cannot open it"),
        ("raise SystemError('numpy 2')", "SystemError: numpy 2"),
        ("sys.stdout.write('edge-nima-doctor:{\"result\": {\"ha'); os._exit(0)", "import it ends with exit code 0"),
    ],
)  # fmt: skip
def test_what_a_child_dies_of_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, told: str) -> None:
    body = f"import ctypes, os, resource, signal, sys, time\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n{way}\n"
    (tmp_path / "it.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = ProbeProcess(timeout_s=5 if "sleep" in way else 60).ask("package", module="it")
    assert answer.error.startswith(told)
    assert answer.error.isprintable()


def test_a_child_that_is_slow_but_comes_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it.py").write_text("import time\nfor _ in range(7):\n    print('on', flush=True)\n    time.sleep(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ProbeProcess(timeout_s=5).ask("package", module="it") == Answer({"version": ""})


def test_a_crash_of_opencv_leaves_doctor_and_scoring_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cv2.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert cli.run(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = [line for line in out.splitlines() if "OpenCV" in line]
    assert "PROBLEM" in line
    assert "import cv2 dies of an illegal instruction (SIGILL)" in line
    assert "golden probes passed" in out
    assert re.match(r"1 problem; first: pip install 'opencv-python-headless<\d", out.splitlines()[-1])


# this machine, and the screen


def test_this_machine_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    by_name = {finding["name"]: finding for finding in said["findings"]}
    assert by_name["check"]["level"] == "ok"
    assert "1 thread" in by_name["speed"]["text"]
    assert said["problems"] == 0
    assert "edge-nima watch" in said["next"]
    sections = [*dict.fromkeys(finding["section"] for finding in said["findings"])]
    assert sections == ["machine", "software", "model", "camera", "state"]


def test_a_model_that_is_none_is_a_problem_and_a_strange_one_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, told in ((None, "No such file"), (b"hello" * 100, "TFL3")):
        path = tmp_path / "m.tflite"
        if content is not None:
            path.write_bytes(content)
        assert cli.run(["doctor", "--model", str(path)]) == 1
        out = capsys.readouterr().out
        assert told in out
        assert out.splitlines()[-1] == "1 problem; first: edge-nima models list"


def test_a_card_whose_probes_do_not_come_out_is_a_problem(tmp_path: Path) -> None:
    content = BUNDLED.read_bytes()
    card = read_card(content)
    assert card is not None
    bare, sheet = tmp_path / "bare.tflite", tmp_path / "card.json"
    bare.write_bytes(content[: content.index(b"PK\x03\x04")].replace(b"edge_nima_card.json", b"some_other_file.txt"))
    wrong = tuple(replace(one, own=tuple(reversed(one.own))) for one in card.probes)
    sheet.write_text(replace(card, probes=wrong).to_json())
    answer = ProbeProcess().ask("model", path=str(bare), card=str(sheet))
    assert [bool(one["problem"]) for one in answer.result["probes"]] == [True] * len(card.probes)


def test_the_screen_cannot_be_steered(capsys: pytest.CaptureFixture[str]) -> None:
    from edge_nima.cli.doctor import print_report

    hostile = Finding("machine", "board", "[red]Pi[/red] \x1b[2J \x07xxx", "problem", "type [bold]this[/bold]")
    print_report(Report((hostile,), "type [bold]this[/bold]"))
    out = capsys.readouterr().out
    assert r"[red]Pi[/red] \x1b[2J \x07xxx" in out
    assert "-> type [bold]this[/bold]" in out
    assert out.splitlines()[-1] == "1 problem; first: type [bold]this[/bold]"
    assert all(character.isprintable() or character == "\n" for character in out)
