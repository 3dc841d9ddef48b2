"""Messages to systemd (Type=notify): readiness, reload, stop, watchdog. Without systemd nothing is sent.

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
    """Sends datagrams to the service manager. A message that is lost is counted in `failed` and raises nothing."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        """Send to a path or @NAME, or nothing with None; without `alive` for `watchdog_s`, systemd restarts us."""
        self.watchdog_s = watchdog_s
        self.failed = 0
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._alive_at = float("-inf")

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """As systemd's variables ask for, which are removed: child processes must not send for this one."""
        address, interval, pid = (environ.pop(key, "") for key in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
        if not address.startswith(("/", "@")):  # vsock: of a virtual machine's manager, and not this one's
            return cls()
        ours = pid in {"", str(os.getpid())} and interval.isascii() and interval.isdigit()
        return cls(address, (int(interval) / 1e6 or None) if ours else None)

    def alive(self) -> None:
        """Feed the watchdog, at most three times in its interval: may be called at every frame."""
        now = time.monotonic()
        if self.watchdog_s and now - self._alive_at >= self.watchdog_s / 3 and self.send("WATCHDOG=1"):
            self._alive_at = now

    def reloading(self) -> None:
        """The service reads its settings again; "READY=1" ends that."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def send(self, lines: str) -> bool:
        """Send assignments such as "READY=1", "STOPPING=1", "STATUS=one line"; False when they do not arrive."""
        if self._address is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # a service manager that hangs must not block the service
                sender.sendto(lines.encode("utf-8", "replace"), self._address)
        except OSError as error:
            self.failed += 1
            if self.failed == 1:
                log.warning("the service manager does not take messages: %s", error)
            return False
        return True
