"""The server for phones with a small page in place of the built one, for tests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import ssl
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge_nima import scorer
from edge_nima.card import CARD_FILE, Card
from edge_nima.outputs.web.listening import listen
from edge_nima.phone.certificate import Identity, kept_identity
from edge_nima.phone.page import Page, load_page
from edge_nima.phone.server import PhoneServer

SCRIPT = b"console.log('page')\n" * 40
WASM = bytes(range(256)) * 9000
"""Longer than several pieces of sending."""
PACKED = b"not truly brotli, which nobody looks into here"
BUNDLED = b"1234TFL3 a model of the page"


def make_page(folder: Path) -> Path:
    """A folder as `npm run build` would leave it, but small."""
    index = {
        "models": [
            {"file": "models/small.tflite", "name": "small", "recipe": "int8", "size": len(BUNDLED),
             "sha256": sha256(BUNDLED).hexdigest()},
            {"file": "models/other.tflite", "name": "other", "recipe": "float16", "size": 4, "sha256": "0" * 64},
        ],
        "default": "small",
    }  # fmt: skip
    files = {
        "index.html": b"<!doctype html><title>page</title>",
        "sw.js": b"self.skipWaiting()",
        "manifest.webmanifest": b"{}",
        "icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "assets/page-1a2b3c.js": SCRIPT,
        "assets/page-1a2b3c.js.br": PACKED,
        "assets/page-1a2b3c.css": b"body{}",
        "assets/lite-4d5e6f.wasm": WASM,
        "assets/alone.bin.br": b"what it is of is not there",
        "models/index.json": json.dumps(index).encode(),
        "models/small.tflite": BUNDLED,
        "models/other.tflite": b"oooo",
        ".hidden": b"not for you",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder.parent / "secret.txt").write_bytes(b"not for you")
    return folder


def split(identity: Identity, folder: Path) -> tuple[Path, Path]:
    """The certificate and its key, as others keep them: in two files."""
    key, separator, certificate = identity.certificate.read_text().partition("-----BEGIN CERTIFICATE")
    for name, text in (("cert.pem", separator + certificate), ("key.pem", key)):
        (folder / name).write_text(text)
    return folder / "cert.pem", folder / "key.pem"


def with_card(card: Card) -> bytes:
    """The bundled model with another card."""
    content = scorer.BUNDLED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        network = content[: archive.infolist()[0].header_offset]
    made = io.BytesIO()
    made.write(network)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(CARD_FILE, card.to_json())
    return made.getvalue()


@dataclass
class Serving:
    """A server that runs."""

    server: PhoneServer
    port: int
    identity: Identity
    told: list[tuple[str, str]]
    """What `on_phone` was told."""

    def trusting(self) -> ssl.SSLContext:
        """A client's TLS that trusts this certificate alone, and checks the host's name."""
        return ssl.create_default_context(cafile=os.fspath(self.identity.certificate))

    def client(self, host: str = "localhost", **how: Any) -> Any:
        """An HTTP client that takes no encoding unless it is asked to."""
        import httpx

        headers = {"Accept-Encoding": "identity", **how.pop("headers", {})}
        return httpx.Client(
            base_url=f"https://{host}:{self.port}", verify=self.trusting(), timeout=60, headers=headers, **how
        )


@contextlib.contextmanager
def serving(page: Page | Path, folder: Path) -> Iterator[Serving]:
    """Serve a page on a free port of this machine, with a certificate that is kept in `folder`."""
    identity = kept_identity(folder, ["localhost"], ["127.0.0.1"])
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    told: list[tuple[str, str]] = []
    server = PhoneServer(
        load_page(page) if isinstance(page, Path) else page, listening, identity,
        lambda address, agent: told.append((address, agent)),
    )  # fmt: skip
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield Serving(server, port, identity, told)
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"
