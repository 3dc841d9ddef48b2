"""What HTTPS needs: a certificate made on the spot and kept, so that a phone is asked about it once; or one's own."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import write_whole

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, DNSName, GeneralName, IPAddress

DAYS = 90
"""How long a certificate of ours lasts."""
_RENEW_DAYS = 7  # before its end: a server that runs for a week does not see it
_SKEW = timedelta(days=1)  # a phone whose clock is slow must not find it to be of the future
_FILE = "certificate.pem"
_OURS = "edge-nima phone"


@dataclass(frozen=True)
class Identity:
    """Files for TLS and what they say."""

    certificate: Path
    key: Path | None
    """None: the certificate's file holds it too."""
    fingerprint: str
    """SHA-256 of the certificate, as browsers show it: "AB:CD:...", 32 pairs."""
    hosts: tuple[str, ...]
    """Names and addresses that it is for."""
    expires: datetime
    own: bool = False
    """Whether it was given and not made here."""


def state_folder() -> Path:
    """$XDG_STATE_HOME/edge-nima/phone, ~/.local/state/edge-nima/phone without it.

    Raises:
        RequestError: there is no home folder.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative paths ignored
        return Path(base) / "edge-nima" / "phone"
    try:
        return Path.home() / ".local" / "state" / "edge-nima" / "phone"
    except RuntimeError as error:
        raise RequestError("no home folder to keep the certificate in: set XDG_STATE_HOME to one") from error


def kept_identity(
    folder: Path, needed: Sequence[str], others: Sequence[str] = (), now: datetime | None = None
) -> Identity:
    """The certificate of this machine: the one that is kept, or a new one.

    A new one is made when there is none, when it ends within a week, when it is not for all that is `needed`, and when
    others than its owner could have read its key.

    Args:
        folder: where it is kept; made with permissions for the owner alone.
        needed: names and addresses that it must be for.
        others: more that a new one is for.
        now: the time.

    Raises:
        OutputError: it cannot be kept.
    """
    now = now or datetime.now(UTC)
    path = folder / _FILE
    kept = _kept(path, now)
    if kept is not None and set(needed) <= set(kept.hosts):
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_whole(path, _make([*needed, *others], now), 0o600)
    except OSError as error:
        raise OutputError(
            f"cannot keep the certificate in '{printable(path)}': {reason(error)}; set XDG_STATE_HOME to a folder that "
            "can be written, or give --cert and --key"
        ) from error
    made = _kept(path, now)
    if made is None:
        raise OutputError(f"'{printable(path)}' is not what was written to it: is another edge-nima phone starting?")
    return made


def own_identity(certificate: Path, key: Path) -> Identity:
    """A certificate and key that somebody gives.

    Raises:
        RequestError: a file cannot be read, is no PEM, the key needs a password, or it belongs to another certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    content, secret = _read(certificate), _read(key)
    try:
        parsed = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise RequestError(f"'{printable(certificate)}' is no certificate in PEM ({reason(error)})") from error
    try:
        private = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise RequestError(
            f"the key '{printable(key)}' needs a password; take it off: openssl pkey -in KEY -out PLAIN"
        ) from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm: whatever it says, it is no key for us
        raise RequestError(f"'{printable(key)}' is no private key in PEM ({reason(error)})") from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != parsed.public_key().public_bytes(*form):
        raise RequestError(f"the key '{printable(key)}' is not that of the certificate '{printable(certificate)}'")
    return Identity(certificate, key, _fingerprint(parsed), _hosts(parsed), parsed.not_valid_after_utc, own=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error


def _kept(path: Path, now: datetime) -> Identity | None:
    """What is kept, when it can still be used."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            return None
        content = path.read_bytes()
        parsed = x509.load_pem_x509_certificate(content)
        private = serialization.load_pem_private_key(content, None)
    except (OSError, ValueError, TypeError):  # not there, or not whole: a new one is as good
        return None
    ends = parsed.not_valid_after_utc
    if private.public_key() != parsed.public_key() or not parsed.not_valid_before_utc <= now:
        return None
    if ends - now < timedelta(days=_RENEW_DAYS):
        return None
    return Identity(path, None, _fingerprint(parsed), _hosts(parsed), ends)


def _make(hosts: Sequence[str], now: datetime) -> bytes:
    """A new key and its certificate, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _OURS)])
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in dict.fromkeys(hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _general(host: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hosts(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds: tuple[type[DNSName] | type[IPAddress], ...] = (x509.DNSName, x509.IPAddress)
    return tuple(str(host) for kind in kinds for host in names.get_values_for_type(kind))


def _fingerprint(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
