"""Telling systemd how the service is (Type=notify), by its protocol: a datagram of lines. Without systemd, nothing.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

log = logging.getLogger("edge_nima.watch")


class Notifier:
    """Sends one line after another to whoever started us. A lost message is counted, and never an error."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        """Speak to a socket.

        Args:
            address: an absolute path, or @NAME of an abstract one; None says nothing to nobody.
            watchdog_s: after so many seconds without `alive` we are restarted; None for never.
        """
        self.watchdog_s = watchdog_s
        self.failed = 0
        """Messages that nobody took."""
        self._alive_at = float("-inf")
        self._socket: socket.socket | None = None
        if address is not None:
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)  # a service manager that is stuck must not make the camera stick

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """What systemd has put there for us; taken out, so that no child process believes that it is meant."""
        address = environ.pop("NOTIFY_SOCKET", None)
        interval, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        if address is not None and not address.startswith(("/", "@")):
            log.warning("NOTIFY_SOCKET is '%s', which is no local socket: the service manager is told nothing", address)
            address = None
        ours = pid in {"", str(os.getpid())}
        micros = int(interval) if ours and address is not None and interval.isascii() and interval.isdigit() else 0
        return cls(address, micros / 1e6 if micros else None)

    def ready(self) -> None:
        """It runs: after the start, and after each `reloading`."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """Say so to the watchdog, at most three times in its interval: may be called at every frame."""
        if self.watchdog_s is None:
            return
        now = time.monotonic()
        if now - self._alive_at >= self.watchdog_s / 3 and self._send("WATCHDOG=1"):
            self._alive_at = now

    def reloading(self) -> None:
        """It reads its configuration again; `ready` says when that is done."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It ends of its own accord or as it was told."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Ask for so much more time to start or to stop, from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, lines: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto(lines.encode("utf-8", "replace"), self._address)
        except OSError as error:
            self.failed += 1
            if self.failed == 1:
                log.warning("the service manager does not take messages: %s", error)
            return False
        return True
