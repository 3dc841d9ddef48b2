"""examples/pi: the program runs and ends, the service is one that systemd takes, the README types what exists."""

from __future__ import annotations

import configparser
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import PHOTOS, ROOT
from edge_nima import cli
from edge_nima.scorer import open_scorer
from edge_nima.service import declare

PI = ROOT / "examples" / "pi"
LIVE = PI / "pi_live.py"
UNIT = (PI / "edge-nima.service").read_text(encoding="utf-8")
README = (PI / "README.md").read_text(encoding="utf-8")
TAKES_S = 60


@pytest.fixture
def film(tmp_path: Path) -> Path:
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for i in range(5):
        writer.write(np.full((240, 320, 3), (40 * i, 128, 255 - 40 * i), np.uint8))
    writer.release()
    return path


def test_pi_live_scores_every_frame_of_a_film(film: Path) -> None:
    done = subprocess.run([sys.executable, LIVE, film], capture_output=True, text=True, timeout=TAKES_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r" \d\.\d\d  [ ▁▂▃▄▅▆▇█]{10}  ± \d\.\d\d  +\d+\.\d ms", line) for line in lines), lines


def test_pi_live_ends_with_ctrl_c_and_without_a_traceback(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    with subprocess.Popen(
        [sys.executable, LIVE, watched], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for i in range(TAKES_S):  # what was there before it was opened does not count
                shutil.copy(PHOTOS / "cat.jpg", watched / f"{i}.jpg")
                if select.select([process.stdout], [], [], 1)[0]:
                    break
            line = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=TAKES_S)
        finally:
            process.kill()
    assert float(line.split()[0]) == pytest.approx(open_scorer().score(PHOTOS / "cat.jpg").mean, abs=0.006)
    assert (process.returncode, err) == (0, "")


def test_pi_live_says_in_one_line_what_is_wrong() -> None:
    done = subprocess.run([sys.executable, LIVE, "nothing.avi"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pi_live: no source 'nothing.avi'")
    assert done.stderr.count("\n") == 1


def test_the_configuration_is_one() -> None:
    declaration = declare()
    settings = declaration.check_together(declaration.settings({}, declaration.read(PI / "watch.toml")))
    (camera,) = settings.cameras
    assert (camera.source, camera.wait, camera.keep, camera.seconds("every")) == (("picamera2",), True, 5, 600)


def test_the_service_starts_what_exists_and_restarts_for_ever() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT)
    service = unit["Service"]
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    wanted = {
        "Type": "notify", "Restart": "always", "RestartSec": "5", "WatchdogSec": "30", "TimeoutStopSec": "30",
        "ExecReload": "/bin/kill -HUP $MAINPID", "User": "edge-nima", "SupplementaryGroups": "video",
    }  # fmt: skip
    assert {key: service[key] for key in wanted} == wanted
    program, command, *rest = service["ExecStart"].split()
    assert program == "/opt/edge-nima/bin/edge-nima"
    assert [command, *rest] == ["watch", "--config", "/etc/edge-nima/watch.toml"]
    # What the configuration writes to is what the service may write to.
    assert declare().read(PI / "watch.toml")["out"] == f"/var/lib/{service['StateDirectory']}"


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit as systemd would find it where edge-nima is installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    path = tmp_path / "edge-nima.service"
    path.write_text(UNIT.replace("/opt/edge-nima/bin/edge-nima", "/bin/true"))
    return path


def test_systemd_takes_the_service(installed_unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", installed_unit], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "edge-nima" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_systemd_finds_the_service_little_exposed(installed_unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", installed_unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at a file")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert re.search(r"exposure level for edge-nima\.service: [012]\.\d OK", done.stdout)


def commands() -> list[list[str]]:
    """Each `edge-nima ...` of the README, in words."""
    found = re.findall(r"(?<![\w/.-])edge-nima ((?:watch|check|doctor|best|cameras)\b[^\n`|&;#]*)", README)
    return [command.split() for command in found]


def test_every_command_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    seen = set()
    for name, *rest in commands():
        seen.add(name)
        assert cli.run([name, "--help-all" if name == "watch" else "--help"]) == 0, name
        shown = capsys.readouterr().out
        for word in rest:
            if word.startswith("--"):
                assert word in shown, f"edge-nima {name} has no {word}"
    assert {"watch", "check", "doctor", "best", "cameras"} <= seen


def test_the_readme_links_to_what_there_is() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert {"pi_live.py", "edge-nima.service", "watch.toml"} <= set(local)
    assert [link for link in local if not (PI / link).exists()] == []
    assert "shared/" not in README
