from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_nima.watch.events import Health
from edge_nima.watch.health import BoardSensors, RateGovernor

FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"


def machine(root: Path, files: dict[str, str | bytes]) -> Path:
    """A made-up /sys and /proc."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def zones(**temperatures: str) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {}
    for number, (kind, temperature) in enumerate(temperatures.items()):
        folder = f"sys/class/thermal/thermal_zone{number}"
        files |= {f"{folder}/type": kind.replace("_", "-") + "\n", f"{folder}/temp": temperature + "\n"}
    return files


def test_the_processor_is_found_among_other_thermometers(tmp_path: Path) -> None:
    root = machine(tmp_path, zones(acpitz="20000", cpu_thermal="61322", gpu_thermal="10000"))
    assert BoardSensors(root=root).read().temperature_c == 61.322
    other = machine(tmp_path / "other", zones(acpitz="20000", bigcpu_thermal="48000"))
    assert BoardSensors(root=other).read().temperature_c == 48


@pytest.mark.parametrize("nonsense", ["", "hot", "-274000", "250000", "61.5", b"\xff\xfe"])
def test_a_thermometer_that_says_nonsense_says_nothing(tmp_path: Path, nonsense: str | bytes) -> None:
    root = machine(tmp_path, {**zones(cpu_thermal="0"), "sys/class/thermal/thermal_zone0/temp": nonsense})
    assert BoardSensors(root=root).read().temperature_c is None


@pytest.mark.parametrize(
    ("text", "flags", "throttled", "undervoltage"),
    [
        ("0\n", 0, False, False),
        ("1", 1, False, True),
        ("2", 2, True, False),
        ("8", 8, True, False),
        ("50000\n", 0x50000, False, False),  # it has been, and is not now
        ("0x50005", 0x50005, True, True),
        ("nonsense", None, None, None),
        ("", None, None, None),
    ],
)
@pytest.mark.parametrize("place", [FLAGS, "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"])
def test_the_firmware_flags_are_read(
    tmp_path: Path, place: str, text: str, flags: int | None, throttled: bool | None, undervoltage: bool | None
) -> None:
    health = BoardSensors(root=machine(tmp_path, {place: text})).read()
    assert (health.flags, health.throttled, health.undervoltage) == (flags, throttled, undervoltage)


def test_the_voltage_alarm_counts_beside_the_flags_and_alone(tmp_path: Path) -> None:
    alarm: dict[str, str | bytes] = {
        "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
        "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
    }
    alone = BoardSensors(root=machine(tmp_path / "alone", alarm)).read()
    assert (alone.undervoltage, alone.throttled, alone.flags) == (True, None, None)
    assert BoardSensors(root=machine(tmp_path / "both", {**alarm, FLAGS: "0"})).read().undervoltage is True
    calm = machine(tmp_path / "calm", {**alarm, "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0"})
    assert BoardSensors(root=calm).read().undervoltage is False


def test_a_machine_that_says_nothing_is_all_none_but_its_disk(tmp_path: Path) -> None:
    health = BoardSensors(root=tmp_path).read()
    assert health == Health(health.at)
    assert abs(health.at - time.time()) < 60
    assert BoardSensors(tmp_path / "gone", root=tmp_path).read().free_disk is None
    disk = os.statvfs(tmp_path)  # f_bavail: what a user may fill
    free = BoardSensors(tmp_path, root=tmp_path).read().free_disk
    assert free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.1)


def test_memory_is_that_of_this_process_and_its_children() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        time.sleep(0.2)
        alone, together = BoardSensors().read().memory, BoardSensors(pids=lambda: [child.pid]).read().memory
        assert alone is not None
        assert together is not None
        assert 10**6 < alone < 10**10
        assert together - alone > 10**6
    finally:
        child.communicate(b"\n")
    gone = BoardSensors(pids=lambda: [child.pid]).read().memory
    assert gone is not None
    assert abs(gone - alone) < 10**7


def test_the_rate_backs_off_while_throttled_and_comes_back_slower() -> None:
    governor = RateGovernor()
    hot, weak = Health(0, throttled=True), Health(0, undervoltage=True)
    calm, silent = Health(0, throttled=False), Health(0)
    assert governor.update(calm) == governor.update(silent) == 1
    assert governor.update(hot) == pytest.approx(0.7)
    assert governor.update(weak) == pytest.approx(0.49)
    for _ in range(20):
        lowest = governor.update(hot)
    assert lowest == RateGovernor.LOWEST == 0.1
    readings = 0
    while governor.update(calm) < 1:
        readings += 1
    assert 10 <= readings <= 14
    assert governor.factor == 1
