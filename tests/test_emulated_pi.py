"""On an emulated Raspberry Pi: aarch64 machine code of Python, NumPy, Pillow, OpenCV and both runtimes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from command import rows
from conftest import PHOTOS
from edge_nima.scorer import open_scorer
from raspberry import MODEL, Pi, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

SAME = {"ai-edge-litert": 1e-4, "tflite-runtime": 0.03}
"""How far a mean may be from x86's with ai-edge-litert; tflite-runtime's int8 kernels of 2023 round otherwise."""


@pytest.fixture(scope="module", params=["ai-edge-litert", pytest.param("tflite-runtime", marks=pytest.mark.exhaustive)])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pi(runtime: str) -> Pi:
    return Pi.build(runtime)


def test_its_child_processes_are_emulated_as_well(pi: Pi) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; print(os.uname().machine)'])"
    done = pi.run(["-c", code], 900)
    assert (done.returncode, done.stdout) == (0, "aarch64\n"), done.stderr


def test_doctor_names_the_board_and_finds_no_problem(pi: Pi, runtime: str) -> None:
    done = pi.run(["-m", "edge_nima", "doctor", "--format", "json"], 900)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["board"]["text"].startswith(MODEL)
    assert found["processor"]["text"].startswith("asimd, no asimddp, no fphp")
    assert found["bits"]["text"] == "64-bit system on a 64-bit kernel (aarch64)"
    assert found["system"]["text"] == "Raspberry Pi OS (Debian GNU/Linux 12 (bookworm))"
    assert found["runtime"]["text"].startswith(runtime)
    assert "golden probes passed" in found["check"]["text"]
    assert found["temperature"]["text"] == "48 °C"
    assert "supply" in found
    assert (found["picamera2"]["level"], found["picamera2"]["fix"]) == (
        "warning", "sudo apt install -y python3-picamera2",
    )  # fmt: skip


@pytest.mark.exhaustive
def test_a_death_in_a_child_is_a_line_there_too(tmp_path: Path) -> None:
    pi = Pi.build("ai-edge-litert")  # of the runtime nothing is asked
    (tmp_path / "cv2.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    done = pi.run(
        ["-m", "edge_nima", "doctor", "--format", "json"], 900, {"PYTHONPATH": f"{tmp_path}:{pi.packages}"}
    )  # the checkout comes from the working folder
    assert done.returncode == 1, done.stdout + done.stderr
    found = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert "import cv2 dies of an illegal instruction (SIGILL)" in found["OpenCV"]["text"]
    assert "golden probes passed" in found["check"]["text"]


@pytest.mark.parametrize(
    "model", ["mobilenet-ava-int8-mixed", pytest.param("mobilenet-ava-float16", marks=pytest.mark.exhaustive)]
)
def test_check_passes_every_probe(pi: Pi, runtime: str, model: str) -> None:
    done = pi.run(["-m", "edge_nima", "check", model], 900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"6 probes passed: {model}@" in done.stdout
    assert re.search(rf"on aarch64, Python 3\.11.*{runtime}", done.stdout)


@pytest.mark.exhaustive
def test_check_passes_with_the_numpy_that_bookworms_picamera2_takes() -> None:
    done = Pi.build("ai-edge-litert, numpy 1").run(["-m", "edge_nima", "check"], 900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 probes passed" in done.stdout
    assert "ai-edge-litert" in done.stdout


def test_float16_scores_as_this_machine_does(pi: Pi) -> None:
    photograph = PHOTOS / "cat.jpg"
    done = pi.run(
        ["-m", "edge_nima", "score", photograph, "--model", "mobilenet-ava-float16", "--format", "jsonl"], 900
    )
    assert done.returncode == 0, done.stderr
    here = open_scorer("mobilenet-ava-float16").score(photograph)
    assert json.loads(done.stdout)["mean"] == pytest.approx(here.mean, abs=1e-4)


def test_frames_are_watched(pi: Pi, runtime: str, tmp_path: Path) -> None:
    photographs = sorted(PHOTOS.glob("*.jpg"))
    patient = ["--threads", "1", "--stuck-after", "60s", "--lost-after", "60s"]
    command = ["-m", "edge_nima", "watch", *photographs, "--loop", "--max-frames", "10", *patient]
    done = pi.run([*command, "--out", tmp_path / "out"], 900)
    assert done.returncode == 0, done.stderr
    means = [mean for _, mean in rows(tmp_path / "out")]
    assert len(means) == 10
    scorer = open_scorer()
    here = [scorer.score(photograph).mean or math.nan for photograph in photographs]
    wanted = [here[i % len(here)] for i in range(10)]
    assert means == pytest.approx(wanted, abs=SAME[runtime])
