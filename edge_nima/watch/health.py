"""How the board is: temperature, throttling, voltage, disk, memory; and how much slower to go when it is too hot."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time

from edge_nima.watch.events import Health

log = logging.getLogger("edge_nima.watch")

UNDERVOLTAGE_NOW = 1 << 0
SLOWED_NOW = 1 << 1 | 1 << 2 | 1 << 3
"""Frequency capped, throttled, at the soft temperature limit. The same 16 bits higher: has been, since boot."""
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled

_PROCESSOR_ZONES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal", "x86_pkg_temp")
"""Types of thermal zones, the best first; then any that names a cpu."""
_ASK_S = 1.0
_PATIENCE = 3
"""After so many failures vcgencmd is not asked again: without rights on /dev/vcio it never answers."""


class Board:
    """Reads a machine's health. What the machine does not say is None; a file that says nonsense counts as none.

    Where the kernel does not tell of throttling, `vcgencmd` is asked, which takes a Raspberry Pi some 10 ms; everything
    else takes less than 2 ms.
    """

    def __init__(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        root: Path = Path("/"),
        pids: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        """Look for what there is to read.

        Args:
            out: the folder of the shots, whose free disk is told; None to leave that out.
            root: where /sys and /proc lie; another one in tests.
            pids: asked at each reading for the child processes whose memory counts as ours.
        """
        self._out, self._pids, self._proc = out, pids, root / "proc"
        sys = root / "sys"
        self._temperature = _thermal_zone(sys / "class/thermal")
        self._flags = next(iter(sorted(sys.glob("devices/platform/soc*/soc*firmware/get_throttled"))), None)
        self._alarm = _hwmon(sys / "class/hwmon", "rpi_volt", "in0_lcrit_alarm")
        self._ask = None if self._flags else shutil.which("vcgencmd")
        self._failures = 0

    def read(self) -> Health:
        """The health now."""
        flags = _number(self._flags, lambda text: int(text, 16)) if self._ask is None else self._asked()
        alarm = _number(self._alarm, int)
        low = [bool(flags & UNDERVOLTAGE_NOW)] if flags is not None else []
        low += [bool(alarm)] if alarm is not None else []
        return Health(
            at=time(),
            temperature_c=_celsius(_number(self._temperature, int)),
            throttled=None if flags is None else bool(flags & SLOWED_NOW),
            undervoltage=any(low) if low else None,
            flags=flags,
            free_disk=None if self._out is None else _free(self._out),
            memory=self._memory(),
        )

    def _asked(self) -> int | None:
        try:
            answer = subprocess.run(
                [self._ask or "", "get_throttled"], capture_output=True, text=True, timeout=_ASK_S, check=True
            )
            flags = int(answer.stdout.strip().removeprefix("throttled="), 16)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._failures += 1
            if self._failures >= _PATIENCE:
                self._ask = None
                log.warning("throttling is not known: vcgencmd fails (%s)", error)
            return None
        self._failures = 0
        return flags

    def _memory(self) -> int | None:
        """A child that has just ended has none."""
        pages = [_number(self._proc / str(pid) / "statm", _resident) for pid in ("self", *self._pids())]
        known = [count for count in pages if count is not None]
        return sum(known) * os.sysconf("SC_PAGE_SIZE") if known else None


class RateGovernor:
    """By how much to slow down, so that a hot board or a weak supply recovers: a factor 0.1..1 of the rate."""

    SLOWER = 0.7
    """At each reading while it is throttled or its voltage is low: a third in half a minute, at a reading in ten s."""
    FASTER = 1.2
    """At each reading while it is not: back from the lowest in two minutes, slower than it went, so as not to swing."""
    LOWEST = 0.1
    """It goes on watching."""

    def __init__(self) -> None:
        self.factor = 1.0

    def update(self, health: Health) -> float:
        """Take a reading; the factor from now on. A board that does not say how it is counts as well."""
        change = self.SLOWER if health.throttled or health.undervoltage else self.FASTER
        self.factor = min(1.0, max(self.LOWEST, self.factor * change))
        return self.factor


def _thermal_zone(folder: Path) -> Path | None:
    zones = [(_text(zone / "type") or "", zone / "temp") for zone in sorted(folder.glob("thermal_zone*"))]
    named = {kind.lower(): path for kind, path in reversed(zones)}
    ranked = [*_PROCESSOR_ZONES, *(kind for kind in sorted(named) if "cpu" in kind)]
    return next((named[kind] for kind in ranked if kind in named), None)


def _hwmon(folder: Path, name: str, file: str) -> Path | None:
    return next((hwmon / file for hwmon in sorted(folder.glob("hwmon*")) if _text(hwmon / "name") == name), None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):  # gone, unreadable or not text: then the machine does not say
        return None


def _number(path: Path | None, parse: Callable[[str], int]) -> int | None:
    text = None if path is None else _text(path)
    try:
        return None if text is None else parse(text)
    except (ValueError, IndexError):
        return None


def _resident(statm: str) -> int:
    return int(statm.split()[1])


def _celsius(millidegrees: int | None) -> float | None:
    """Sensors that are not connected say 0 K or 127 °C and worse."""
    return millidegrees / 1000 if millidegrees is not None and -50_000 < millidegrees < 126_000 else None


def _free(out: str | os.PathLike[str]) -> int | None:
    try:
        disk = os.statvfs(out)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
