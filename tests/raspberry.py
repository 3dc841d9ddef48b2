"""A Raspberry Pi 4 with Raspberry Pi OS Bookworm's Python, emulated: its own machine code, on this machine's kernel.

qemu-user runs Debian's arm64 Python 3.11 and the packages' aarch64 wheels. No binfmt_misc: what Python calls
`sys.executable` is a shell script of this machine that starts qemu again, so child processes work too. Nothing of this
machine's own packages is touched; apt gets a configuration and folders of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
QEMU = "qemu-aarch64-static"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MODEL = "Raspberry Pi 4 Model B Rev 1.4"

_SHARED = ("pillow", "rich", "typer<0.29", "av")
# pip takes the OpenCV that goes with the NumPy.
_PACKAGES = {
    "ai-edge-litert": ("ai-edge-litert", "numpy>=2", "opencv-python-headless", *_SHARED),
    "ai-edge-litert, numpy 1": ("ai-edge-litert", "numpy<2", "opencv-python-headless", *_SHARED),
    "tflite-runtime": ("tflite-runtime", "numpy<2", "opencv-python-headless", *_SHARED),
}
_PLATFORMS = ("2_34", "2_28", "2_27", "2_17")

_APT = """\
Dir "{0}"; Dir::State "state"; Dir::State::status "{0}/status"; Dir::Cache "cache"; Dir::Log "log"; Dir::Etc "etc";
Dir::Etc::sourcelist "sources.list"; Dir::Etc::sourceparts "-"; Dir::Etc::parts "-";
APT::Architecture "arm64"; APT::Architectures {{ "arm64"; }}; APT::Sandbox::User "root"; Acquire::Languages "none";
"""
_SOURCE = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian bookworm main\n"

# XNNPACK reads /proc/cpuinfo, and crashes on another architecture's.
_CORE = """\
processor\t: {}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
_FILES = {
    "proc/cpuinfo": "".join(_CORE.format(core) for core in range(4)) + f"Revision\t: c03114\nModel\t\t: {MODEL}\n",
    "proc/device-tree/model": MODEL + "\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48200\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "etc/rpi-issue": "Raspberry Pi reference 2024-11-19\n",
}
_PYTHON = """\
#!/bin/sh
ulimit -c 0
exec {qemu} -cpu cortex-a72 -L '{sysroot}' -0 "$0" '{sysroot}/usr/bin/python3.11' "$@"
"""


def missing() -> str | None:
    """Why there can be no emulated Raspberry Pi here; None when there can."""
    absent = [name for name in (QEMU, "apt-get", "dpkg-deb") if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install qemu-user-static, on Debian"
    return None if KEYRING.exists() else f"no {KEYRING} here: apt-get install debian-archive-keyring"


def cache_folder() -> Path:
    """EDGE_NIMA_PI, or edge-nima-tests/pi in the user's cache."""
    given = os.environ.get("EDGE_NIMA_PI")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given).absolute() if given else Path(cache) / "edge-nima-tests" / "pi"


@dataclass(frozen=True)
class Pi:
    """The emulated board with one runtime."""

    sysroot: Path
    packages: Path

    @classmethod
    def build(cls, runtime: str) -> Pi:
        """Make it, or take the one that was made before: 100 MB of downloads, some ten seconds.

        Args:
            runtime: "ai-edge-litert" or "tflite-runtime"; "ai-edge-litert, numpy 1" is what Bookworm's picamera2 takes.
        """
        made_of = repr((_PACKAGES, _PLATFORMS, _APT, _SOURCE, _FILES, _PYTHON))
        recipe = hashlib.sha256(made_of.encode()).hexdigest()[:8]
        folder = cache_folder() / recipe
        sysroot, packages = folder / "sysroot", folder / runtime.replace(", ", "-").replace(" ", "")
        _make(sysroot, _make_sysroot)
        _make(packages, lambda where: _make_packages(where, _PACKAGES[runtime]))
        return cls(sysroot, packages)

    @property
    def python(self) -> Path:
        """What starts its Python, on this machine: a shell script."""
        return self.sysroot / "usr/bin/python3"

    def run(
        self, args: Sequence[str | os.PathLike[str]], timeout: float, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python with these arguments in the checkout; everything it started ends with it.

        Raises:
            subprocess.TimeoutExpired: it took longer, seconds.
        """
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.sysroot.parent),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{self.packages}:{ROOT}",
            "PYTHONPYCACHEPREFIX": str(self.sysroot.parent / "pycache"),
            **(env or {}),
        }
        command = [str(self.python), *map(os.fspath, args)]
        with subprocess.Popen(
            command, cwd=ROOT, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _make(where: Path, make: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all."""
    if where.is_dir():
        return
    where.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=where.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        make(made)
        try:
            made.rename(where)
        except OSError:  # another test run was faster
            assert where.is_dir()


def _run(*command: str | os.PathLike[str], **env: str) -> None:
    done = subprocess.run([*command], env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{os.fspath(command[0])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _make_sysroot(where: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        apt = Path(scratch)
        for folder in ("state/lists/partial", "cache/archives/partial", "log", "etc/preferences.d"):
            (apt / folder).mkdir(parents=True)
        (apt / "status").touch()
        (apt / "etc/sources.list").write_text(_SOURCE)
        (apt / "apt.conf").write_text(_APT.format(apt))
        config = str(apt / "apt.conf")
        _run("apt-get", "-qq", "update", APT_CONFIG=config)
        get = ("apt-get", "-qq", "install", "-y", "--download-only", "--no-install-recommends")
        _run(*get, "python3.11", "libstdc++6", APT_CONFIG=config)
        for package in sorted((apt / "cache/archives").glob("*.deb")):
            _run("dpkg-deb", "-x", package, where)
    for name, text in _FILES.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(text)
    python = where / "usr/bin/python3"
    final = where.parent.parent / "sysroot"
    python.write_text(_PYTHON.format(qemu=shutil.which(QEMU), sysroot=final))
    python.chmod(0o755)


def _make_packages(where: Path, packages: Sequence[str]) -> None:
    platforms = [word for version in _PLATFORMS for word in ("--platform", f"manylinux_{version}_aarch64")]
    _run(
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", where, *platforms,
        "--python-version", "3.11", "--implementation", "cp", "--only-binary=:all:", "--no-compile", *packages,
    )  # fmt: skip
