"""What this process is told about its machine without importing anything that could crash."""

from __future__ import annotations

import os
import platform
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path


def _glibc() -> str | None:
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another C library, such as musl
        return None
    return told.removeprefix("glibc ") or None


@dataclass(frozen=True)
class Here:
    """This machine and this Python; made up in tests."""

    root: Path = Path("/")
    """Where /proc, /sys, /etc, /dev and /run lie."""
    bits: int = struct.calcsize("P") * 8
    """Of Python, and so of the programs: the userland."""
    kernel: str = field(default_factory=platform.machine)
    """As `uname -m` says it."""
    glibc: str | None = field(default_factory=_glibc)
    python: str = field(default_factory=platform.python_version)
    prefix: Path = Path(sys.prefix)
    base_prefix: Path = Path(sys.base_prefix)
    home: Path = field(default_factory=Path.cwd)
    """Whose disk is looked at."""

    def text(self, path: str) -> str:
        """What a small file under the root says, without NULs at its end; "" when there is none or it is unreadable."""
        try:
            return (self.root / path).read_bytes().decode(errors="replace").strip("\0\n ")
        except OSError:
            return ""
