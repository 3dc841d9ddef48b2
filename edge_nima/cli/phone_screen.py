"""What `edge-nima phone` says: where the page is, as text and as a QR code, and what the phone will ask."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from edge_nima.errors import printable
from edge_nima.phone.addresses import Address, in_url, is_loopback
from edge_nima.phone.certificate import Identity
from edge_nima.phone.qr import qr_lines
from edge_nima.reports.terminal import can_show

_DEVICES = ("iPhone", "iPad", "Android", "Macintosh", "Windows", "Linux")
_BROWSERS = {"Firefox/": "Firefox", "FxiOS/": "Firefox", "SamsungBrowser/": "Samsung Internet", "Edg": "Edge",
             "CriOS/": "Chrome", "Chrome/": "Chrome", "Safari/": "Safari"}  # fmt: skip
"""Marks in user agents, in this order: most call themselves Chrome and Safari too."""


@dataclass(frozen=True)
class Served:
    """What there is to tell."""

    addresses: Sequence[Address]
    """Where it is reached, the likeliest first."""
    port: int
    identity: Identity | None
    """None: plain HTTP."""
    model: str | None = None
    """What is known of the model that was chosen."""

    @property
    def url(self) -> str:
        """The page's address."""
        return self._at(self.addresses[0])

    @property
    def phone_url(self) -> str:
        """What is opened on the phone: plain HTTP comes to it as its own localhost."""
        return self.url if self.identity is not None else f"http://localhost:{self.port}/"

    @property
    def others(self) -> list[str]:
        """Its other addresses, with their interfaces."""
        named = ((self._at(address), address.interface) for address in self.addresses[1:])
        return [f"{url} ({interface})" if interface else url for url, interface in named]

    def _at(self, address: Address) -> str:
        scheme = "http" if self.identity is None else "https"
        return f"{scheme}://{in_url(address.text)}:{self.port}/"


def show(served: Served, qr: bool | None) -> None:
    """Print all of it to stdout, `qr` None: the code where somebody looks."""
    if sys.stdout is None:  # closed by the caller
        return
    live = sys.stdout.isatty()
    wanted, possible = live if qr is None else qr, can_show("█▀▄", sys.stdout.encoding)
    lines = [f"The page for phones is at {served.url}"]
    if served.model is not None:
        lines.append(f"Its model: {printable(served.model)}")
    lines.append("")
    lines += _by_proxy(served) if served.identity is None else _by_network(served, served.identity, wanted and possible)
    lines.append("")
    if wanted:
        # Last, so that it is in view on a terminal of 24 lines.
        none = ["(no QR code: this terminal has no block characters, see LANG)"]
        lines += qr_lines(served.phone_url, live) if possible else none
    print("\n".join([*lines, f"{served.phone_url}   Ctrl-C ends."]), flush=True)


def _by_network(served: Served, identity: Identity, code: bool) -> list[str]:
    port, mark = served.port, identity.fingerprint
    where = "On the phone, in the same network as this machine:"
    if is_loopback(served.addresses[0].text):
        where = "No phone reaches this address, only this machine does: --bind 0.0.0.0 for all."
    return [
        where,
        f"1. {'Scan the code with the camera, or type' if code else 'Type'} the address, https:// included.",
        *(_OWN if identity.own else _OURS),
        f"     {mark[:47]}",
        f"     {mark[48:]}",
        "3. It asks for the camera: allow it. Photographs and scores stay on the phone.",
        "",
        "No connection? The phone must be in the same Wi-Fi, and not in its guest",
        "network, which keeps devices apart; a VPN on the phone must be off. A firewall",
        f"here must let TCP port {port} in: sudo ufw allow {port}/tcp",
        *_others(served),
        "",
        "Chrome keeps the page for use offline only where it trusts the certificate. For",
        "that, and for no warning: a phone on USB (Android), edge-nima phone --http; or a",
        "certificate that the phone trusts, --cert and --key.",
    ]


_OURS = (
    "2. The browser warns of the certificate: it was made here, and nobody vouches",
    "   for it. Advanced > Proceed (Chrome), Show Details > visit this website",
    "   (Safari), Advanced > Accept the Risk (Firefox). To be sure that it is this",
    "   machine, compare the certificate's SHA-256 fingerprint first:",
)
_OWN = (
    "2. Unless the phone trusts your certificate, its browser warns. Its SHA-256",
    "   fingerprint, to compare:",
)


def _by_proxy(served: Served) -> list[str]:
    port = served.port
    return [
        "Browsers give the camera to https:// and to localhost alone. So bring it there:",
        f"- Android on USB: adb reverse tcp:{port} tcp:{port}",
        f"  then {served.phone_url} in its browser: no certificate, no warning",
        f"- or a reverse proxy with TLS that forwards to {served.url}",
        "It asks for the camera: allow it. Photographs and scores stay on the phone.",
        *_others(served),
    ]


def _others(served: Served) -> list[str]:
    return ["Other addresses of this machine:", *(f"  {url}" for url in served.others)] if served.others else []


def visitor(agent: str) -> str:
    """A user agent in two words at most that are ours: what it says of itself is not shown."""
    device = next((name for name in _DEVICES if name in agent), "a device")
    browser = next((name for mark, name in _BROWSERS.items() if mark in agent), "")
    return f"{device}, {browser}" if browser else device
