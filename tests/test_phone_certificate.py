"""Certificates for the page on phones: what a new one says, when it is kept, and one's own."""

from __future__ import annotations

import os
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge_nima.errors import OutputError, RequestError
from edge_nima.phone.certificate import DAYS, Identity, kept_identity, own_identity, state_folder
from phones import split

x509 = pytest.importorskip("cryptography.x509", reason="needs edge-nima[web]")

HOSTS = ("192.168.1.20", "fd00::7", "garden", "garden.local", "localhost")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def parsed(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate.read_bytes())


def test_a_new_certificate_is_for_its_hosts_and_for_a_server_alone(tmp_path: Path) -> None:
    identity = kept_identity(tmp_path, HOSTS[:1], HOSTS[1:], NOW)
    certificate = parsed(identity)

    def extension(kind: type[x509.ExtensionType]) -> x509.Extension[x509.ExtensionType]:
        return certificate.extensions.get_extension_for_class(kind)

    names = extension(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["garden", "garden.local", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("192.168.1.20"), ip_address("fd00::7")]
    assert set(identity.hosts) == set(HOSTS)
    constraints = extension(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.critical) == (False, True)
    assert list(extension(x509.ExtendedKeyUsage).value) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    usage = extension(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    assert certificate.public_key().curve.name == "secp256r1"
    assert certificate.signature_hash_algorithm.name == "sha256"
    certificate.verify_directly_issued_by(certificate)


def test_it_lasts_a_season_and_a_slow_clock_finds_it_valid(tmp_path: Path) -> None:
    certificate = parsed(kept_identity(tmp_path, HOSTS, now=NOW))
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=DAYS)
    assert DAYS + 1 <= 398  # what browsers allow at most


def test_the_fingerprint_is_what_browsers_show(tmp_path: Path) -> None:
    identity = kept_identity(tmp_path, HOSTS, now=NOW)
    der = ssl.PEM_cert_to_DER_cert("-----BEGIN CERT" + identity.certificate.read_text().split("-----BEGIN CERT")[1])
    assert identity.fingerprint.replace(":", "") == sha256(der).hexdigest().upper()
    assert [len(pair) for pair in identity.fingerprint.split(":")] == [2] * 32


def test_the_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        identity = kept_identity(tmp_path / "a" / "phone", HOSTS, now=NOW)
    finally:
        os.umask(before)
    assert identity.certificate.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "phone").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in identity.certificate.parent.iterdir()] == ["certificate.pem"]


def test_it_is_kept_so_that_a_phone_is_asked_once(tmp_path: Path) -> None:
    first = kept_identity(tmp_path, HOSTS[:1], HOSTS[1:], NOW)
    # Other addresses come and go: what a new one would be for besides does not matter.
    again = kept_identity(tmp_path, HOSTS[:1], ["172.17.0.1"], NOW + timedelta(days=DAYS - 8))
    assert again == first


@pytest.mark.parametrize(
    ("needed", "after"),
    [
        (HOSTS, timedelta(days=DAYS - 6)),
        (HOSTS, timedelta(days=DAYS + 1)),
        (HOSTS, timedelta(days=-2)),  # made by a clock that ran ahead
        (("10.0.0.9",), timedelta(0)),
    ],
)
def test_it_is_made_again_when_it_ends_soon_or_is_not_for_the_address(
    tmp_path: Path, needed: tuple[str, ...], after: timedelta
) -> None:
    first = kept_identity(tmp_path, HOSTS, now=NOW)
    second = kept_identity(tmp_path, needed, now=NOW + after)
    assert second.fingerprint != first.fingerprint
    assert second.expires == NOW + after + timedelta(days=DAYS)
    assert set(needed) <= set(second.hosts)


def test_it_is_made_again_when_others_could_have_read_the_key(tmp_path: Path) -> None:
    first = kept_identity(tmp_path, HOSTS, now=NOW)
    first.certificate.chmod(0o640)
    second = kept_identity(tmp_path, HOSTS, now=NOW)
    assert second.fingerprint != first.fingerprint
    assert second.certificate.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["empty", "half", "nonsense", "no key", "another key"])
def test_it_is_made_again_when_it_is_not_whole(tmp_path: Path, damage: str) -> None:
    first = kept_identity(tmp_path / "one", HOSTS, now=NOW)
    other = kept_identity(tmp_path / "two", HOSTS, now=NOW)
    key, _, certificate = first.certificate.read_bytes().partition(b"-----BEGIN CERT")
    other_key = other.certificate.read_bytes().partition(b"-----BEGIN CERT")[0]
    certificate = b"-----BEGIN CERT" + certificate
    content = {
        "empty": b"",
        "half": key[:100],
        "nonsense": b"\0\xff",
        "no key": certificate,
        "another key": other_key + certificate,
    }[damage]
    first.certificate.write_bytes(content)
    second = kept_identity(tmp_path / "one", HOSTS, now=NOW)
    assert second.fingerprint not in {first.fingerprint, other.fingerprint}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(second.certificate)


def test_where_it_cannot_be_kept_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutputError, match=r"cannot keep the certificate in '.*': .*; set XDG_STATE_HOME .*--cert and --key"
    ):
        kept_identity(tmp_path / "file" / "phone", HOSTS, now=NOW)


def test_the_folder_is_the_users_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "edge-nima" / "phone"
    monkeypatch.setenv("HOME", "/home/somebody")
    for ignored in ("relative/path", ""):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert state_folder() == Path("/home/somebody/.local/state/edge-nima/phone")


def test_ones_own_certificate_is_read(tmp_path: Path) -> None:
    kept = kept_identity(tmp_path, HOSTS, now=NOW)
    own = own_identity(*split(kept, tmp_path))
    assert own.own
    assert (own.fingerprint, own.hosts, own.expires) == (kept.fingerprint, kept.hosts, kept.expires)


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("no.pem", "key.pem", r"^cannot read '.*no\.pem': No such file or directory"),
        ("cert.pem", "no.pem", r"^cannot read '.*no\.pem': No such file or directory"),
        ("key.pem", "key.pem", r"^'.*key\.pem' is no certificate in PEM"),
        ("cert.pem", "cert.pem", r"^'.*cert\.pem' is no private key in PEM"),
        ("cert.pem", "empty.pem", r"^'.*empty\.pem' is no private key in PEM"),
        ("cert.pem", "locked.pem", r"^the key '.*locked\.pem' needs a password; take it off: openssl pkey -in "),
        ("cert.pem", "other.pem", r"^the key '.*other\.pem' is not that of the certificate '.*cert\.pem'"),
    ],
)
def test_files_that_do_not_serve_are_refused(tmp_path: Path, cert: str, key: str, message: str) -> None:
    split(kept_identity(tmp_path / "other", HOSTS, now=NOW), tmp_path)
    (tmp_path / "key.pem").rename(tmp_path / "other.pem")
    split(kept_identity(tmp_path / "mine", HOSTS, now=NOW), tmp_path)
    (tmp_path / "empty.pem").write_text("")
    from cryptography.hazmat.primitives import serialization as s

    private = s.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    locked = private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(RequestError, match=message):
        own_identity(tmp_path / cert, tmp_path / key)


def test_a_certificate_of_openssl_without_hosts_is_for_none(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=garden -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    assert own_identity(tmp_path / "cert.pem", tmp_path / "key.pem").hosts == ()
