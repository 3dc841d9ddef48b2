"""`edge-nima phone` as a person types it: what it says, what is refused, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_nima.cli import run
from edge_nima.cli.phone_screen import visitor
from edge_nima.phone.addresses import served_at
from edge_nima.phone.certificate import kept_identity
from edge_nima.scorer import load_model
from fakes import TFLITE
from phones import SCRIPT, make_page, split, with_card

httpx = pytest.importorskip("httpx", reason="needs httpx")
for package in ("uvicorn", "starlette", "cryptography", "segno"):
    pytest.importorskip(package, reason="needs edge-nima[web]")

START = """
import sys
from pathlib import Path
from edge_nima.phone import page
page.FOLDER = Path(sys.argv.pop(1))
from edge_nima.__main__ import main
main()
"""
"""The command line, with another page."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small page in place of the built one, and a state folder of its own."""
    folder = make_page(tmp_path / "page")
    monkeypatch.setattr("edge_nima.phone.page.FOLDER", folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


class Started:
    """The command in a process of its own."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        command = [sys.executable, "-c", START, str(folder), "phone", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""
        assert self.process.stdout is not None
        while "Ctrl-C ends." not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            self.said += line

    @property
    def url(self) -> str:
        """The address beneath the code."""
        return self.said.splitlines()[-1].split()[0]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def end(self, number: int) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Started]:
    one = Started(folder, arguments)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """The exit code and the one line that it says."""
    code = run(["phone", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge-nima: ")
    assert err.count("\n") == 1
    return code, err[len("edge-nima: ") : -1]


def test_it_serves_the_page_and_says_where_and_what_the_phone_will_ask(folder: Path, tmp_path: Path) -> None:
    with started(folder, "--bind", "127.0.0.1", "--qr") as one:
        assert one.url == f"https://localhost:{one.port}/"
        pem = tmp_path / "state/edge-nima/phone/certificate.pem"
        agent = {"User-Agent": "Mozilla/5.0 (Linux; Android 10; K) Chrome/140 Safari/537"}
        with httpx.Client(verify=ssl.create_default_context(cafile=os.fspath(pem)), headers=agent) as http:
            assert http.get(one.url).text == "<!doctype html><title>page</title>"
            typed = http.get(one.url.replace("https:", "http:"), follow_redirects=True)
            assert (typed.status_code, str(typed.url)) == (200, one.url)
            script = http.get(f"{one.url}assets/page-1a2b3c.js", headers={"Accept-Encoding": "gzip"})
            assert (script.content, script.headers["content-encoding"]) == (SCRIPT, "gzip")
        shown = ssl.get_server_certificate(("127.0.0.1", one.port))
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        mark = x509.load_pem_x509_certificate(shown.encode()).fingerprint(hashes.SHA256()).hex(":").upper()
        assert mark in re.sub(r"\n +([0-9A-F]{2}:)", r":\1", one.said)
        for told in ("Advanced > Proceed", "SHA-256", "camera: allow it", "same Wi-Fi", "guest", "firewall", "--http"):
            assert told in one.said
        assert max(map(len, one.said.splitlines())) <= 80
        assert "█" in one.said
        assert "1. Scan the code" in one.said
        assert "\x1b" not in one.said
        code, err = one.end(signal.SIGINT)
    assert code == 130
    assert err == "edge-nima: 127.0.0.1 is here: Android, Chrome\nedge-nima: stopped\n"


def test_a_terminal_without_block_characters_gets_the_address_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with started(folder, "--bind", "127.0.0.1", "--qr") as one:
        assert "(no QR code: this terminal has no block characters, see LANG)" in one.said
        assert "1. Type the address" in one.said


def test_sigterm_ends_it_without_a_word_and_the_certificate_is_the_same_next_time(folder: Path, tmp_path: Path) -> None:
    pem = tmp_path / "state/edge-nima/phone/certificate.pem"
    served = []
    for _ in range(2):
        with started(folder, "--bind", "127.0.0.1") as one:
            served.append(ssl.get_server_certificate(("127.0.0.1", one.port)))
            assert one.end(signal.SIGTERM) == (0, "")
    assert served[0] == served[1]
    assert served[0] in pem.read_text()
    assert [path.name for path in pem.parent.iterdir()] == ["certificate.pem"]


def test_it_is_served_to_the_local_network_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    first = next((address.text for address in served_at("0.0.0.0")), "localhost")
    pem = tmp_path / "state/edge-nima/phone/certificate.pem"
    with started(folder) as one:
        assert one.url == f"https://{first}:{one.port}/"
        assert "█" not in one.said  # nobody looks at a pipe
        assert "1. Type the address" in one.said
        with httpx.Client(verify=ssl.create_default_context(cafile=os.fspath(pem))) as http:
            assert http.get(one.url).status_code == 200


def test_a_chosen_model_is_checked_and_offered(folder: Path) -> None:
    with started(folder, "--http", "--model", "mobilenet-ava-int8-mixed") as one:
        label = load_model().label
        assert f"Its model: {label}, passed its golden probes\n" in one.said
        index = httpx.get(f"{one.url}models/index.json").json()
        assert index["default"] == "mobilenet-ava-int8-mixed"
        assert len(httpx.get(one.url + index["models"][0]["file"]).content) == index["models"][0]["size"]


def test_without_tls_it_is_for_a_cable_or_a_proxy(folder: Path, tmp_path: Path) -> None:
    with started(folder, "--http") as one:
        assert one.url == f"http://localhost:{one.port}/"
        assert f"adb reverse tcp:{one.port} tcp:{one.port}" in one.said
        assert "SHA-256" not in one.said
        assert max(map(len, one.said.splitlines())) <= 80
        assert httpx.get(one.url).status_code == 200
    assert not (tmp_path / "state").exists()


def test_ones_own_certificate_is_served_under_a_name_that_it_has(folder: Path, tmp_path: Path) -> None:
    cert, key = split(kept_identity(tmp_path / "own", ["*.example", "garden.example"]), tmp_path)
    with started(folder, "--cert", str(cert), "--key", str(key), "--bind", "127.0.0.1") as one:
        assert one.url == f"https://garden.example:{one.port}/"
        assert "Unless the phone trusts your certificate" in one.said
        assert ssl.get_server_certificate(("127.0.0.1", one.port)) == cert.read_text()
        assert one.end(signal.SIGTERM)[1] == ""
    assert not (tmp_path / "state").exists()
    cert, key = split(kept_identity(tmp_path / "other", ["*.example"]), tmp_path)
    with started(folder, "--cert", str(cert), "--key", str(key), "--bind", "127.0.0.1") as one:
        assert one.end(signal.SIGTERM)[1] == (
            "edge-nima: warning: the certificate is for *.example, not for localhost: browsers will warn\n"
        )


def test_sigterm_ends_it_however_early_it_comes(folder: Path) -> None:
    for _ in range(4):
        with started(folder, "--http") as one:
            assert one.end(signal.SIGTERM) == (0, "")


def test_a_port_in_use_is_told_with_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = refused(capsys, "--bind", "127.0.0.1", "--port", str(port))
    assert code == 2
    assert line == (
        f"port {port} of 127.0.0.1 is in use; give another: edge-nima phone --port {port + 1}, or stop what listens "
        "there (ss -ltnp)"
    )


def test_an_installation_without_the_page_says_how_to_build_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there in (False, True):
        nothing = tmp_path / "nothing"
        if there:
            nothing.mkdir()
        monkeypatch.setattr("edge_nima.phone.page.FOLDER", nothing)
        code, line = refused(capsys)
        assert code == 2
        assert "`npm ci && npm run build` in examples/web (Node 20.19 or newer) and install again, or install" in line


def test_a_missing_package_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima.phone.server.find_spec", lambda name: None)
    assert refused(capsys) == (2, "phone needs starlette: pip install 'edge-nima[web]'")


def test_a_model_that_fails_its_probes_is_offered_to_no_phone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    card = load_model().card
    wrong = replace(card.probes[1], own=tuple(reversed(card.probes[1].own)))
    path = tmp_path / "wrong.tflite"
    path.write_bytes(with_card(replace(card, probes=(card.probes[0], wrong))))
    code, line = refused(capsys, "--port", "0", "--model", path)
    assert code == 1
    assert re.fullmatch(
        r"mobilenet-ava-int8-mixed@[0-9a-f]{8} fails 1 of its 2 golden probes on this machine, so no phone is offered "
        r"it: edge-nima check .*wrong\.tflite shows which",
        line,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cert", "a.pem"], "TLS needs both files: --cert and --key"),
        (["--key", "a.pem"], "TLS needs both files: --cert and --key"),
        (["--http", "--cert", "a.pem", "--key", "b.pem"], "--http is without TLS: leave out --cert and --key"),
        (["--cert", "a.pem", "--key", "b.pem"], "cannot read 'a.pem': No such file or directory"),
        (["--port", "65536"], "Invalid value for '--port': 65536 is not in the range 0<=x<=65535."),
        (["--bind", "203.0.113.77"], "this machine has no address 203.0.113.77; ip address shows which"),
        (["--bind", "no such host"], "cannot serve the page at 'no such host': "),
        (["--model", "nowhere.tflite"], "cannot open the model 'nowhere.tflite': No such file or directory; names"),
        (["--model", "idealo-mobilenet-aesthetic"], "idealo-mobilenet-aesthetic is a checkpoint, not a .tflite"),
        (["--model", "plain.tflite"], "'plain.tflite' carries no card, and a phone takes it from inside the .tflite"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.tflite").write_bytes(TFLITE)
    port = [] if "--port" in arguments else ["--port", "0"]
    code, line = refused(capsys, *port, *arguments)
    assert code == 2
    assert line.startswith(message)


def test_where_the_certificate_cannot_be_kept_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    code, line = refused(capsys, "--port", "0", "--bind", "127.0.0.1")
    assert code == 1
    assert line.startswith("cannot keep the certificate in '")


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("(Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36", "Android, Chrome"),
        ("(Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile EdgA/140.0", "Android, Edge"),
        ("(Linux; Android 14) SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36", "Android, Samsung Internet"),
        ("(Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "Android, Firefox"),
        ("(iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1", "iPhone, Safari"),
        ("curl/8.5.0", "a device"),
        ("\x1b[31mevil", "a device"),
    ],
)
def test_a_visitor_is_named_in_words_of_ours(agent: str, told: str) -> None:
    assert visitor(agent) == told
