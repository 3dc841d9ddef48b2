"""Where a phone reaches this machine: its addresses in local networks, the likeliest first."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
_VIRTUAL = ("br-", "cni", "docker", "lxc", "podman", "ppp", "tailscale", "tap", "tun", "vboxnet", "veth", "virbr",
            "vmnet", "wg", "zt")  # fmt: skip
"""Beginnings of the names of interfaces that lead into containers, virtual machines and private networks."""
# Reserved for documentation (RFC 5737, RFC 3849): nobody is there, so the way to them is the default route.
_NOWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


@dataclass(frozen=True)
class Address:
    """One address of this machine."""

    text: str
    interface: str = ""
    """The network interface that has it, where known."""

    @property
    def virtual(self) -> bool:
        """Whether phones are hardly behind its interface."""
        return self.interface.startswith(_VIRTUAL)


def local_addresses() -> list[Address]:
    """This machine's addresses that other machines may reach, the one a phone most likely does first.

    First is that of the default route, unless it leads into a tunnel; containers' and tunnels' are last. IPv4, with
    the IPv6 address of the default route behind. Empty without a network.
    """
    routed = routed_address(socket.AF_INET)
    found = list(_of_interfaces())
    if routed is not None and all(address.text != routed for address in found):
        found.append(Address(routed))
    found = [address for address in found if _reachable(address.text)]
    found.sort(key=lambda address: (address.virtual, address.text != routed, not ip_address(address.text).is_private))
    sixth = routed_address(socket.AF_INET6)
    if sixth is not None and _reachable(sixth):
        found.append(Address(sixth))
    return found


def served_at(bind: str) -> list[Address]:
    """Where a server that listens on `bind` is reached, the likeliest first; empty without a network."""
    if bind in {"", "0.0.0.0"}:
        return [address for address in local_addresses() if ":" not in address.text]
    if bind == "::":
        return local_addresses()
    if is_loopback(bind):
        return [Address("localhost")]
    try:
        return [Address(str(ip_address(bind.partition("%")[0])))]
    except ValueError:
        return [Address(bind)]


def routed_address(family: socket.AddressFamily) -> str | None:
    """The address that this machine has on its default route; None when there is no such route. Sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_NOWHERE[family], 9))  # a datagram socket only looks the route up
            return str(probe.getsockname()[0])
    except OSError:
        return None


def machine_names() -> list[str]:
    """What this machine is called, and what multicast DNS calls it; none of what is no host name."""
    name = socket.gethostname()
    if not is_name(name) or is_loopback(name):
        return []
    return list(dict.fromkeys([name, f"{name.partition('.')[0]}.local"]))


def is_name(host: str) -> bool:
    """Whether it is one host's name, and neither an address nor a pattern."""
    try:
        ip_address(host)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is not None and len(host) < 254
    return False


def in_url(host: str) -> str:
    """A host as an address of a page has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether this machine alone reaches it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _reachable(text: str) -> bool:
    address = ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _of_interfaces() -> Iterator[Address]:
    """The IPv4 addresses of this machine's interfaces; none where the system is not asked like this."""
    try:
        import fcntl

        names = [name for _, name in socket.if_nameindex()]
    except (ImportError, OSError):
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for name in names:
            try:
                answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has none
            yield Address(socket.inet_ntoa(answer[20:24]), name)
