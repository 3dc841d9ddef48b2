"""The board, its processor, and what kind of system runs on it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from edge_nima.doctor.findings import Finding, Level
from edge_nima.doctor.here import Here

KERNELS_64 = {"aarch64", "x86_64", "amd64", "arm64", "riscv64", "ppc64le", "s390x"}
GLIBC = (2, 27)
"""The oldest that the wheels of ai-edge-litert run on."""


def machine_findings(here: Here) -> Iterator[Finding]:
    """Look at the hardware, the system and Python."""
    yield Finding("machine", "board", Level.ok, _board(here))
    yield _processor(here)
    yield _bits(here)
    yield Finding("machine", "system", Level.ok, _system(here))
    yield _glibc(here)


def _board(here: Here) -> str:
    board = here.text("proc/device-tree/model") or " ".join(
        part
        for part in (here.text("sys/class/dmi/id/sys_vendor"), here.text("sys/class/dmi/id/product_name"))
        if part and not part.startswith(("To be filled", "System "))
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = re.search(r"^MemTotal: +(\d+) kB", here.text("proc/meminfo"), re.MULTILINE)
    memory = f", {int(found[1]) / 2**20:.1f} GiB memory" if found else ""
    return f"{board or _cpuinfo(here, 'model name') or here.kernel}, {cores} core{'s'[: cores != 1]}{memory}"


def _cpuinfo(here: Here, *keys: str) -> str:
    """The first of some keys that /proc/cpuinfo has."""
    text = here.text("proc/cpuinfo")
    for key in keys:
        found = re.search(rf"^{key}[ \t]*:[ \t]*(.+)$", text, re.MULTILINE | re.IGNORECASE)
        if found:
            return found[1].strip()
    return ""


def _processor(here: Here) -> Finding:
    has = set(_cpuinfo(here, "features", "flags").lower().split())
    if not has:
        return Finding("machine", "processor", Level.warning, f"{here.kernel}; /proc/cpuinfo does not say what it has")
    if here.kernel in {"x86_64", "amd64", "i686"}:
        told = _has(has, {"avx2": ("avx2",), "avx512_vnni": ("avx512_vnni", "avx_vnni")})
        level = Level.ok if "avx2" in has else Level.warning
        return Finding("machine", "processor", level, told if level is Level.ok else f"{told}: scoring is slow")
    if "neon" not in has and "asimd" not in has:
        told = f"{here.kernel} without NEON (Raspberry Pi 1 or Zero): there is no TFLite runtime for it"
        return Finding("machine", "processor", Level.problem, told, "use a Raspberry Pi Zero 2 W, 3, 4 or 5")
    wanted = {"asimd": ("asimd", "neon"), "asimddp": ("asimddp",), "fphp": ("fphp", "asimdhp")}
    told = _has(has, wanted if here.bits == 64 else {"neon": ("neon", "asimd")})
    if here.bits == 64 and "asimddp" not in has:
        told += " (int8 is slower than on a Raspberry Pi 5, and right)"
    return Finding("machine", "processor", Level.ok, told)


def _has(has: set[str], wanted: dict[str, tuple[str, ...]]) -> str:
    return ", ".join(name if has & {*names} else f"no {name}" for name, names in wanted.items())


def _bits(here: Here) -> Finding:
    kernel = 64 if here.kernel in KERNELS_64 else 32
    told = f"{here.bits}-bit system on a {kernel}-bit kernel ({here.kernel})"
    if here.bits == 64:
        return Finding("machine", "bits", Level.ok, told)
    trap = "; a 64-bit kernel does not help, the programs are 32-bit" if kernel == 64 else ""
    return Finding(
        "machine", "bits", Level.warning, f"{told}{trap}: LiteRT needs 64 bits, here only tflite-runtime runs",
        "write the SD card again with Raspberry Pi OS (64-bit); or stay: Python 3.11, tflite-runtime, numpy<2",
    )  # fmt: skip


def _system(here: Here) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', here.text("etc/os-release"), re.MULTILINE)
    release = found[1] if found else "Linux of unknown name"
    # Raspberry Pi OS calls itself Debian.
    return f"Raspberry Pi OS ({release})" if here.text("etc/rpi-issue") else release


def _glibc(here: Here) -> Finding:
    if here.glibc is None:
        return Finding(
            "machine", "glibc", Level.problem, "not glibc: the runtimes have no wheels for another C library",
            "use Raspberry Pi OS, Debian or Ubuntu, not Alpine",
        )  # fmt: skip
    have = tuple(int(part) for part in re.findall(r"\d+", here.glibc)[:2])
    if have < GLIBC:
        oldest = ".".join(map(str, GLIBC))
        return Finding(
            "machine", "glibc", Level.problem, f"{here.glibc}: LiteRT needs {oldest} or newer",
            "write the SD card again with Raspberry Pi OS (64-bit), Bookworm or newer",
        )  # fmt: skip
    return Finding("machine", "glibc", Level.ok, here.glibc)
