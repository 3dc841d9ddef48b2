"""How the machine is now: temperature, supply, disk, clock."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from edge_nima.doctor.children import Children
from edge_nima.doctor.findings import Finding, Level
from edge_nima.doctor.here import Here

HOT_C = 80.0
"""A Raspberry Pi slows down from here on."""
LITTLE_DISK = 1 << 30
_SINCE_BOOT = 0xF0000
_LOW_SINCE_BOOT = 0x10000
_SUPPLY = "use the board's own supply: 5 V 3 A for a Raspberry Pi 4, 5 V 5 A for a 5"


def condition_findings(here: Here, children: Children | None) -> Iterator[Finding]:
    """Look at what changes from day to day; without children, at what needs none."""
    if children is not None:
        yield from _health(here, children)
    yield _disk(here)
    yield from _clock(here)


def _health(here: Here, children: Children) -> Iterator[Finding]:
    answer = children.ask("health", root=str(here.root))
    if not answer.ok:
        yield Finding("state", "temperature", Level.warning, f"not known: {answer.error}")
        return
    said = answer.result
    celsius = said["temperature_c"]
    if celsius is None:
        yield Finding("state", "temperature", Level.ok, "the machine does not say")
    elif celsius >= HOT_C:
        yield Finding("state", "temperature", Level.warning, f"{celsius:.0f} °C: too hot to keep its speed", "cool it")
    else:
        yield Finding("state", "temperature", Level.ok, f"{celsius:.0f} °C")
    flags, low, slowed = said["flags"] or 0, said["undervoltage"], said["throttled"]
    if low is None and slowed is None:
        return
    if low:
        yield Finding("state", "supply", Level.warning, "the voltage is too low now", _SUPPLY)
    elif slowed:
        yield Finding("state", "supply", Level.warning, "the processor is slowed down now, by heat", "cool it")
    elif flags & _SINCE_BOOT:
        low = bool(flags & _LOW_SINCE_BOOT)
        what = "the voltage has been too low" if low else "the processor has been slowed down"
        told = f"good now; since boot {what} (flags {flags:#x})"
        yield Finding("state", "supply", Level.warning, told, _SUPPLY if low else "cool it")
    else:
        yield Finding("state", "supply", Level.ok, "good, never slowed down since boot")


def _disk(here: Here) -> Finding:
    free = shutil.disk_usage(here.home).free
    told = f"{free / 1e9:.1f} GB free in this folder"
    if free < LITTLE_DISK:
        return Finding("state", "disk", Level.warning, told, "free some, or watch with --max-disk 500MB")
    return Finding("state", "disk", Level.ok, told)


def _clock(here: Here) -> Iterator[Finding]:
    """Only where systemd keeps the time: a Raspberry Pi has no clock that runs while it is off."""
    timesync = here.root / "run/systemd/timesync"
    if not timesync.is_dir():
        return
    if (timesync / "synchronized").exists():
        yield Finding("state", "clock", Level.ok, "synchronised")
    else:
        told = "not synchronised: names of shots and records may carry a wrong time"
        yield Finding("state", "clock", Level.warning, told, "timedatectl")
