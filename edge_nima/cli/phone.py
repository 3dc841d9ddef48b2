"""edge-nima phone: the page that scores on a phone, served to the local network."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import ModelOption, warn_of_gate
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.phone.addresses import Address
    from edge_nima.phone.certificate import Identity
    from edge_nima.scorer import ModelFile

FAILED = 1
PORT = 8443


def phone(
    model: ModelOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = PORT,
    bind: Annotated[
        str | None,
        typer.Option(
            "--bind", help="Address to listen on. Default: 0.0.0.0, all; with --http 127.0.0.1.", metavar="IP"
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="Your own certificate (PEM, the whole chain); with --key."),
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key (PEM).")] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Without TLS: for a phone on USB (adb reverse), or behind a reverse proxy.")
    ] = False,
    qr: Annotated[
        bool | None,
        typer.Option("--qr/--no-qr", help="The address as a QR code. Default: on a terminal.", show_default=False),
    ] = None,
) -> None:
    """Serve the page that scores on a phone, camera or photographs, to the phones of this network.

    The phone scores by itself: no photograph comes here. The certificate for HTTPS is made here, and kept so that a
    phone is asked about it once. Exit code: 0 stopped by SIGTERM, 1 the model fails its golden probes, 2 usage, 130
    Ctrl-C.
    """
    if (cert is None) != (key is None):
        raise RequestError("TLS needs both files: --cert and --key")
    if http and cert is not None:
        raise RequestError("--http is without TLS: leave out --cert and --key")
    from edge_nima.phone.server import need_packages

    need_packages()
    from edge_nima.outputs.web.listening import listen
    from edge_nima.phone.page import load_page

    page = load_page()
    bind = bind or ("127.0.0.1" if http else "0.0.0.0")
    another = f"give another: edge-nima phone --port {port + 1 if port < 65535 else PORT}"
    with contextlib.closing(listen(bind, port, another)) as listening:
        from edge_nima.cli.phone_screen import Served, show, visitor
        from edge_nima.phone.addresses import Address, served_at
        from edge_nima.phone.offer import with_model
        from edge_nima.phone.server import PhoneServer

        chosen = None if model is None else _checked(model)
        if chosen is not None:
            page = with_model(page, chosen)
        addresses = served_at(bind)
        if not addresses:
            say("warning: this machine is in no network that a phone could be in")
            addresses = [Address("localhost")]
        identity = None if http else _identity(addresses, cert, key)
        if identity is not None and identity.own:
            addresses = _named_by(identity, addresses)
        server = PhoneServer(
            page, listening, identity, lambda address, agent: say(f"{printable(address)} is here: {visitor(agent)}")
        )
        label = None if chosen is None else f"{chosen.label}, passed its golden probes"
        # Before anything is said: whoever reads that it serves may end it at once. uvicorn has handlers of its own
        # later, and hands the signal on when it is done: without this one the exit code would not be 0.
        signal.signal(signal.SIGTERM, lambda number, frame: server.stop())
        show(Served(addresses, listening.getsockname()[1], identity, label), qr)
        _serve(server.serve)


def _checked(model: str) -> ModelFile:
    """The model, when it passes its golden probes here."""
    from edge_nima.phone.offer import load_checked

    file, results = load_checked(model)
    warn_of_gate(file.card)
    failed = [result for result in results if result.problem is not None]
    if failed:
        say(
            f"{file.label} fails {len(failed)} of its {len(results)} golden probes on this machine, so no phone is "
            f"offered it: edge-nima check {printable(model)} shows which"
        )
        raise typer.Exit(FAILED)
    return file


def _identity(addresses: list[Address], cert: Path | None, key: Path | None) -> Identity:
    from datetime import UTC, datetime

    from edge_nima.phone.addresses import machine_names
    from edge_nima.phone.certificate import kept_identity, own_identity, state_folder

    if cert is None or key is None:
        texts = [address.text for address in addresses]
        # Only the address that is shown must be in it: containers come and go, and phones would be asked anew.
        return kept_identity(state_folder(), texts[:1], [*texts[1:], *machine_names(), "localhost", "127.0.0.1", "::1"])
    own = own_identity(cert, key)
    if own.expires <= datetime.now(UTC):
        say(f"warning: the certificate '{printable(cert)}' has ended on {own.expires:%Y-%m-%d}: browsers will warn")
    return own


def _named_by(identity: Identity, addresses: list[Address]) -> list[Address]:
    """The addresses with one first that somebody's own certificate is for."""
    from edge_nima.phone.addresses import Address, is_loopback, is_name

    first = [address for address in addresses if address.text in identity.hosts]
    first = first or [Address(host) for host in identity.hosts if is_name(host) and not is_loopback(host)]
    if not first:
        named = ", ".join(map(printable, identity.hosts)) or "no host at all"
        say(f"warning: the certificate is for {named}, not for {addresses[0].text}: browsers will warn")
    return [*first[:1], *(address for address in addresses if address not in first[:1])]


def _serve(serve: Callable[[], None]) -> None:
    try:
        serve()
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(INTERRUPTED) from None
