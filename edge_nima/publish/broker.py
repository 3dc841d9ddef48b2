"""Which broker, and how to speak to it: read from one address, checked before anything is sent."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from edge_nima.errors import RequestError, printable, reason

PASSWORD_VARIABLE = "EDGE_NIMA_MQTT_PASSWORD"
_FORMS = "possible: HOST, HOST:PORT, mqtt://USER:PASSWORD@HOST:PORT, mqtts://HOST"
_DEFAULT_PORT = {False: 1883, True: 8883}


@dataclass(frozen=True)
class Broker:
    """An MQTT broker and what it needs to know of us.

    Raises:
        RequestError: values that no broker could take.
    """

    host: str
    port: int | None = None
    """None for 1883, with TLS 8883."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    """Certificates that sign the broker's, PEM; None for the system's."""
    certificate: Path | None = None
    """Of ours, PEM, where the broker asks for one."""
    key: Path | None = None
    """Of our certificate; None where it is in the same file. Without a pass phrase: nobody is there to type it."""
    insecure: bool = False
    """TLS without checking who answers, only ever on request: whoever stands in between can read and change all."""
    client_id: str | None = None
    """None for a name that is different at each start. Two clients of one name throw each other out for ever."""
    prefix: str = "edge_nima"
    """Topics are PREFIX/CAMERA/score and so on."""
    discovery: str | None = "homeassistant"
    """Home Assistant's discovery prefix; None for no discovery."""
    every_s: float = 1.0
    """At most one score message in so many seconds, the newest; 0 for every score."""
    buffer: int = 1000
    """So many score and shot messages are held while the broker is away; then the oldest are dropped."""

    def __post_init__(self) -> None:
        _check_host(self.host)
        if self.port is not None and not 0 < self.port < 65536:
            raise RequestError(f"MQTT port {self.port}; possible: 1 to 65535")
        if self.password is not None and self.user is None:
            raise RequestError("an MQTT password without a user; write mqtt://USER@HOST")
        if not self.tls and (self.ca or self.certificate or self.key or self.insecure):
            raise RequestError("certificates are for TLS; write mqtts:// in place of mqtt://")
        if self.insecure and self.ca:
            raise RequestError("either the broker is checked against a CA file, or it is not checked: choose one")
        if self.key and not self.certificate:
            raise RequestError("an MQTT key without its certificate")
        _check_topic(self.prefix, "edge_nima")
        if self.discovery is not None:
            _check_topic(self.discovery, "homeassistant")
        if self.buffer < 1:
            raise RequestError(f"an MQTT buffer of {self.buffer} messages; possible: 1 and more, 1000 is usual")
        if not 0 <= self.every_s < float("inf"):
            raise RequestError(f"a score message every {self.every_s} s; possible: 0 (each) and more")

    @property
    def address(self) -> str:
        """HOST:PORT, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.numbered_port}"

    @property
    def numbered_port(self) -> int:
        """The port, also where none was given."""
        return self.port or _DEFAULT_PORT[self.tls]

    def tls_context(self) -> TlsContext:
        """What checks the broker's certificate and shows ours.

        Raises:
            RequestError: a certificate or key that cannot be read.
        """
        context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
            elif not self.insecure:
                context.load_default_certs()
        except OSError as error:
            raise RequestError(
                f"cannot read CA certificates from '{printable(self.ca or '')}': {reason(error)}"
            ) from error
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            shown = printable(self.certificate or "") + (f"' and '{printable(self.key)}" if self.key else "")
            raise RequestError(f"cannot use the client certificate '{shown}': {reason(error)}") from error
        return context


class TlsContext(ssl.SSLContext):
    """Remembers the newest socket that it made, so that it can be closed when the handshake fails."""

    newest: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext` does."""
        self.newest = super().wrap_socket(*args, **kwargs)
        return self.newest


def parse_broker(
    text: str, *, password_file: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Broker:
    """Read HOST, HOST:PORT, mqtt://USER:PASSWORD@HOST:PORT or mqtts://...; characters may be written as %40.

    The password is the address's, else the file's first line, else that of the variable EDGE_NIMA_MQTT_PASSWORD.

    Raises:
        RequestError: something else was given, or the file cannot be read. Never repeats what may hold a password.
    """
    shown = printable(text.rpartition("@")[2])
    problem = f"'{shown}' is no MQTT broker's address; {_FORMS}"
    try:
        parts = urlsplit(text if "://" in text else f"mqtt://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RequestError(problem) from None  # its words may hold the password
    if parts.scheme not in {"mqtt", "mqtts"} or not host or port == 0:
        raise RequestError(problem)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise RequestError(f"{problem}; a password with / ? or # has them as %2F %3F %23")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if password_file is not None and (user is None or password is not None):
        what = "no user" if user is None else "a password already"
        raise RequestError(f"an MQTT password file, but the address has {what}; write mqtt://USER@HOST")
    if user is not None and password is None:
        password = environ.get(PASSWORD_VARIABLE) if password_file is None else _first_line(Path(password_file))
    return Broker(host, port, user, password, tls=parts.scheme == "mqtts")


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read an MQTT password from '{printable(path)}': {reason(error)}") from error


def _check_host(host: str) -> None:
    try:
        usable = bool(host) and not any(c.isspace() or c in "/@" for c in host) and bool(host.encode("idna"))
    except UnicodeError:
        usable = ":" in host  # an IPv6 address has no need of being a name
    if not usable:
        raise RequestError(f"'{printable(host)}' is no name of a machine; {_FORMS}")


def _check_topic(topic: str, usual: str) -> None:
    wrong = not topic or topic[0] in "/$" or topic[-1] == "/" or any(c in "+#" or not c.isprintable() for c in topic)
    if wrong:
        raise RequestError(
            f"the MQTT prefix '{printable(topic)}' is empty, begins with / or $, ends in / or has + or # in it; "
            f"the usual one is {usual}"
        )
