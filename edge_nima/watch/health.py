"""Sensors of the board: temperature, throttling, voltage, disk, memory; and the rate that a hot board can hold."""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time

from edge_nima.watch.events import Health

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
UNDERVOLTAGE_NOW = 1 << 0
SLOWED_NOW = 1 << 1 | 1 << 2 | 1 << 3
"""Frequency capped, throttled, at the soft temperature limit. The same 16 bits higher: has been, since boot."""
_PROCESSOR_ZONES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal", "x86_pkg_temp")
"""Types of thermal zones, the best first; then any that names a cpu."""


class BoardSensors:
    """Reads a machine's health in less than 2 ms; a value is None without a sensor, or where that gives nonsense."""

    def __init__(
        self, out: Path | None = None, *, root: Path = Path("/"), pids: Callable[[], Iterable[int]] = tuple
    ) -> None:
        """Take the folder whose free disk is reported, where /sys and /proc are, and the children whose memory counts.

        `pids` is called at each reading.
        """
        self._out, self._root, self._pids = out, root, pids
        self._temperature = _thermal_zone(root / "sys/class/thermal")
        self._flags = next(iter(sorted(root.glob("sys/devices/platform/soc*/soc*firmware/get_throttled"))), None)
        alarms = sorted(root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm"))
        self._alarm = next((alarm for alarm in alarms if _text(alarm.parent / "name") == "rpi_volt"), None)

    def read(self) -> Health:
        """Read all sensors."""
        flags = _number(self._flags, 16)
        alarm = _number(self._alarm)
        low = [bool(value) for value in (alarm, flags and flags & UNDERVOLTAGE_NOW) if value is not None]
        millidegrees = _number(self._temperature)
        if millidegrees is not None and not -50_000 < millidegrees < 126_000:  # not connected: 0 K, or 127 °C and more
            millidegrees = None
        try:
            free_disk = None if self._out is None else shutil.disk_usage(self._out).free
        except OSError:
            free_disk = None
        pages = [_number(self._root / f"proc/{pid}/statm", field=1) for pid in ("self", *self._pids())]
        known = [count for count in pages if count is not None]  # a child that has just ended has none
        return Health(
            at=time(),
            temperature_c=None if millidegrees is None else millidegrees / 1000,
            throttled=None if flags is None else bool(flags & SLOWED_NOW),
            undervoltage=any(low) if low else None,
            flags=flags,
            free_disk=free_disk,
            memory=sum(known) * mmap.PAGESIZE if known else None,
        )


class RateGovernor:
    """The factor, 0.1 to 1, by which the frame rate is reduced so that a hot board or a weak supply recovers."""

    SLOWER = 0.7  # to a third within half a minute, at a reading every 10 s
    FASTER = 1.2  # from the lowest to 1 in two minutes: slower than down, so that it does not oscillate
    LOWEST = 0.1
    factor = 1.0

    def update(self, health: Health) -> float:
        """Take a reading and return the new factor. A board without sensors counts as healthy."""
        change = self.SLOWER if health.throttled or health.undervoltage else self.FASTER
        self.factor = min(1.0, max(self.LOWEST, self.factor * change))
        return self.factor


def _thermal_zone(folder: Path) -> Path | None:
    named = {_text(zone / "type").lower(): zone / "temp" for zone in sorted(folder.glob("thermal_zone*"), reverse=True)}
    ranked = [*_PROCESSOR_ZONES, *(kind for kind in sorted(named) if "cpu" in kind)]
    return next((named[kind] for kind in ranked if kind in named), None)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):  # gone, unreadable or not text
        return ""


def _number(path: Path | None, base: int = 10, field: int = 0) -> int | None:
    try:
        return None if path is None else int(_text(path).split()[field], base)
    except (ValueError, IndexError):
        return None
