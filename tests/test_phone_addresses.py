"""Where a phone reaches this machine, and that address as a QR code."""

from __future__ import annotations

import re
import socket

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_nima.phone import addresses
from edge_nima.phone.addresses import Address, in_url, is_loopback, local_addresses, machine_names, routed_address
from edge_nima.phone.addresses import served_at as at
from edge_nima.phone.qr import qr_lines

WIRED, WIRELESS = Address("192.168.1.20", "eth0"), Address("192.168.1.21", "wlan0")
DOCKER, TUNNEL = Address("172.17.0.1", "docker0"), Address("10.8.0.2", "tun0")
PUBLIC = Address("9.9.9.9", "eth1")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> object:
    """A machine with these interfaces, whose default routes have these addresses."""

    def set_up(*found: Address, routed: str | None = None, sixth: str | None = None) -> None:
        routes = {socket.AF_INET: routed, socket.AF_INET6: sixth}
        monkeypatch.setattr(addresses, "_of_interfaces", lambda: iter([Address("127.0.0.1", "lo"), *found]))
        monkeypatch.setattr(addresses, "routed_address", lambda family: routes[family])

    return set_up


@pytest.mark.parametrize(
    ("found", "routed", "order"),
    [
        ((WIRED, WIRELESS), WIRELESS.text, [WIRELESS, WIRED]),
        ((DOCKER, WIRED), WIRED.text, [WIRED, DOCKER]),
        ((TUNNEL, WIRED), TUNNEL.text, [WIRED, TUNNEL]),  # a VPN takes the default route, and no phone is in it
        ((PUBLIC, WIRED), None, [WIRED, PUBLIC]),
        ((PUBLIC, WIRED), PUBLIC.text, [PUBLIC, WIRED]),
        ((TUNNEL,), TUNNEL.text, [TUNNEL]),
        ((Address("169.254.3.4", "eth0"),), None, []),
        ((), None, []),
        ((), "192.168.7.7", [Address("192.168.7.7")]),  # where interfaces cannot be listed
    ],
)
def test_the_address_a_phone_most_likely_reaches_is_first(
    network: object, found: tuple[Address, ...], routed: str | None, order: list[Address]
) -> None:
    network(*found, routed=routed)  # type: ignore[operator]
    assert local_addresses() == order


def test_what_is_listened_on_decides_what_is_shown(network: object) -> None:
    network(WIRED, routed=WIRED.text, sixth="fd00::7")  # type: ignore[operator]
    assert at("0.0.0.0") == [WIRED]
    assert at("::") == [WIRED, Address("fd00::7")]
    assert at("127.0.0.1") == at("::1") == at("localhost") == [Address("localhost")]
    assert at("192.168.1.20") == [Address("192.168.1.20")]
    assert at("FD00:0:0::7") == [Address("fd00::7")]
    assert at("garden.example") == [Address("garden.example")]
    network(sixth="fe80::1")  # type: ignore[operator]
    assert at("::") == []


def test_hosts_are_told_apart_and_ipv6_has_brackets_in_an_address() -> None:
    assert (in_url("fd00::7"), in_url("192.168.1.20"), in_url("garden")) == ("[fd00::7]", "192.168.1.20", "garden")
    assert [is_loopback(host) for host in ("127.8.8.8", "::1", "LOCALHOST")] == [True] * 3
    assert [is_loopback(host) for host in ("192.168.1.20", "0.0.0.0", "localhost.example")] == [False] * 3
    named = {"garden": True, "a.b-c.example": True, "192.168.1.20": False, "fd00::7": False, "*.example": False,
             "-x": False, "": False, "käse": False, "a_b": False, "x" * 254: False}  # fmt: skip
    assert {host: addresses.is_name(host) for host in named} == named


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("garden", ["garden", "garden.local"]),
        ("garden.example.org", ["garden.example.org", "garden.local"]),
        ("garden.local", ["garden.local"]),
        ("localhost", []),
        ("käse", []),
        ("", []),
    ],
)
def test_a_machines_names_are_those_that_a_certificate_can_hold(
    name: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert machine_names() == names


def test_this_machines_addresses_are_its_own() -> None:
    for address in local_addresses():
        family = socket.AF_INET6 if ":" in address.text else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as mine:
            mine.bind((address.text, 0))  # what is not its own cannot be bound
    routed = routed_address(socket.AF_INET)
    assert routed is None or routed in [address.text for address in local_addresses()]


def drawn(lines: list[str], colour: bool) -> NDArray[np.uint8]:
    """What a terminal shows: eight pixels a module, on the background that the drawing is for."""
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows: list[list[int]] = []
    for line in lines:
        if colour:
            inside = re.fullmatch("\x1b\\[38;5;16;48;5;231m(.*)\x1b\\[0m", line)
            assert inside is not None
            line = inside[1]
        rows += [[halves[c][half] for c in line] for half in (0, 1)]
    ink = np.array(rows, np.uint8)
    light = 1 - ink if colour else ink
    return np.kron(light * 255, np.ones((8, 8), np.uint8)).astype(np.uint8)


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("url", ["https://192.168.1.20:8443/", "https://[fd00:1234:5678:9abc::7]:8443/"])
def test_the_code_says_the_address_and_fits_a_terminal(url: str, colour: bool) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    pytest.importorskip("segno", reason="needs edge-nima[web]")
    lines = qr_lines(url, colour)
    picture = drawn(lines, colour)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == url
    quiet = np.concatenate(
        [picture[:32].ravel(), picture[-32:].ravel(), picture[:, :32].ravel(), picture[:, -32:].ravel()]
    )
    assert quiet.min() == 255  # four modules of light all around, as the standard asks for
    assert picture.shape[1] // 8 <= 80
    assert len(lines) <= 22  # with the address beneath, in view on 24 lines
