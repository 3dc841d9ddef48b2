"""The server for phones, over real TLS connections: what it gives, and what it refuses."""

from __future__ import annotations

import contextlib
import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import skip_without
from edge_nima.errors import PackageMissing, PublishError
from edge_nima.outputs.web.listening import listen
from edge_nima.phone import server as phone_server
from edge_nima.phone.page import Asset, load_page
from phones import BUNDLED, PACKED, SCRIPT, WASM, Serving, make_page, serving

skip_without("httpx", "httpx")

for package in ("uvicorn", "starlette", "cryptography"):
    pytest.importorskip(package, reason="needs edge-nima[web]")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("phone")
    with serving(make_page(folder / "page"), folder / "state") as running:
        yield running


def raw(running: Serving, request: bytes, wait: float = 60) -> bytes:
    """What the server answers to bytes, until it closes or says no more."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=wait) as plain,
        running.trusting().wrap_socket(plain, server_hostname="localhost") as connection,
        contextlib.suppress(TimeoutError, ConnectionError),
    ):
        connection.sendall(request)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def get(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/assets/page-1a2b3c.js", "text/javascript; charset=utf-8"),
        ("/assets/page-1a2b3c.css", "text/css; charset=utf-8"),
        ("/assets/lite-4d5e6f.wasm", "application/wasm"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icon.svg", "image/svg+xml"),
        ("/models/index.json", "application/json"),
        ("/models/small.tflite", "application/octet-stream"),
    ],
)
def test_a_file_has_its_type(running: Serving, path: str, kind: str) -> None:
    with running.client() as http:
        reply = http.get(path)
        assert (reply.status_code, reply.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), ("/nowhere", "GET"), ("/", "POST"), ("/", "HEAD")])
def test_every_answer_has_a_strict_policy_and_isolates_the_page(running: Serving, path: str, method: str) -> None:
    with running.client() as http:
        headers = http.request(method, path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    # A photograph can go nowhere but here, and here nothing but GET and HEAD is taken.
    assert set(" ".join(policy.values()).split()) == {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:", "data:"}
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]
    assert "server" not in headers


def test_the_certificate_holds_for_each_name_that_it_is_for(running: Serving) -> None:
    for host in ("localhost", "127.0.0.1"):
        with running.client(host) as http:
            assert http.get("/").status_code == 200


def test_hashed_files_last_and_all_others_are_asked_for_again(running: Serving) -> None:
    with running.client() as http:
        for path in ("/assets/page-1a2b3c.js", "/assets/lite-4d5e6f.wasm"):
            assert http.get(path).headers["cache-control"] == "public, max-age=31536000, immutable"
        for path in ("/", "/sw.js", "/models/index.json", "/models/small.tflite", "/manifest.webmanifest"):
            assert http.get(path).headers["cache-control"] == "no-cache"


def test_what_the_browser_has_already_is_not_sent_again(running: Serving) -> None:
    path = "/models/small.tflite"
    with running.client() as http:
        tag = http.get(path).headers["etag"]
        for known in (tag, f"W/{tag}", f'"else", {tag}', "*"):
            reply = http.get(path, headers={"If-None-Match": known})
            assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", tag)
            assert reply.headers["cache-control"] == "no-cache"
        for unknown in ('"else"', tag.strip('"'), ""):
            reply = http.get(path, headers={"If-None-Match": unknown})
            assert (reply.status_code, reply.content) == (200, BUNDLED)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"), ("br;q=0.8", "br"), ("BR", "br"), ("gzip;q=0.5 , br ; q=1", "br"),
        ("gzip, deflate", "gzip"), ("br;q=0, GZIP", "gzip"), ("br; q=0.000", ""), ("gzip;q=0", ""), ("brotli", ""),
    ],
)  # fmt: skip
def test_a_large_file_goes_in_the_best_coding_that_the_client_takes(
    running: Serving, accepted: str, coding: str
) -> None:
    path, takes = "/assets/page-1a2b3c.js", {"Accept-Encoding": accepted}
    with running.client() as http:
        plain = http.get(path)
        assert (plain.content, plain.headers.get("content-encoding", "")) == (SCRIPT, "")
        with http.stream("GET", path, headers=takes) as reply:
            raw = b"".join(reply.iter_raw())
        assert reply.headers.get("content-encoding", "") == coding
        assert {"br": PACKED, "": SCRIPT}.get(coding, raw) == raw
        assert coding != "gzip" or (gzip.decompress(raw) == SCRIPT and len(raw) < len(SCRIPT) / 4)
        assert reply.headers["content-length"] == str(len(raw))
        assert reply.headers["content-type"] == plain.headers["content-type"]
        assert plain.headers["vary"] == reply.headers["vary"] == "Accept-Encoding"
        assert (reply.headers["etag"] == plain.headers["etag"]) == (coding == "")
        head = http.head(path, headers=takes)
        assert {**head.headers, "date": ""} == {**reply.headers, "date": ""}
        known = {"If-None-Match": reply.headers["etag"]}
        assert http.get(path, headers={**takes, **known}).status_code == 304
        other = http.get(path, headers={"Accept-Encoding": "identity", **known})
        assert other.status_code == (200 if coding else 304)
        # A part is not served: who asks for one is sent all, as HTTP allows.
        assert http.get(path, headers={"Range": "bytes=5-9"}).content == SCRIPT
        assert "vary" not in http.get("/assets/page-1a2b3c.css", headers=takes).headers


@pytest.mark.parametrize(
    "target",
    [
        "/nowhere", "/assets", "/assets/", "/models/", "//index.html", "/index.html/", "/./index.html", "/INDEX.HTML",
        "/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%5c..%5csecret.txt",
        "/..\\secret.txt", "/%00", "/index.html%00", "/.hidden", "//etc/passwd", "/%ff", "/" + "a/" * 2000,
        "/assets/page-1a2b3c.js.br", "/assets/alone.bin.br", "/assets/alone.bin",
    ],
)  # fmt: skip
def test_what_is_not_in_the_page_is_not_found(running: Serving, target: str) -> None:
    reply = raw(running, get(target))
    assert reply.startswith(b"HTTP/1.1 404 "), reply[:80]
    assert reply.endswith(b"\r\n\r\nno such file\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_but_reading_is_possible(running: Serving, method: str) -> None:
    with running.client() as http:
        reply = http.request(method, "/")
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")
        assert reply.text == "possible: GET, HEAD\n"


def test_what_a_refused_request_would_bring_is_not_waited_for(running: Serving) -> None:
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nphotograph"
    assert raw(running, request).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("path", ["/", "/assets/lite-4d5e6f.wasm", "/assets/page-1a2b3c.js", "/nowhere"])
def test_head_tells_what_get_would_and_sends_nothing(running: Serving, path: str) -> None:
    with running.client() as http:
        told, sent = http.head(path), http.get(path)
        assert told.status_code == sent.status_code
        assert {**told.headers, "date": ""} == {**sent.headers, "date": ""}
        assert told.headers["content-length"] == str(len(sent.content))
    assert raw(running, get(path, "HEAD")).endswith(b"\r\n\r\n")


def test_a_file_of_many_pieces_arrives_whole_and_one_who_leaves_meanwhile_harms_nobody(running: Serving) -> None:
    with running.client() as http:
        for _ in range(3):
            with http.stream("GET", "/assets/lite-4d5e6f.wasm") as left:
                next(left.iter_raw(1000))
        assert http.get("/assets/lite-4d5e6f.wasm").content == WASM


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (get("/x?y=1"), b"\r\nLocation: https://localhost/\r\n"),
        (get("/", "HEAD"), b"\r\nLocation: https://localhost/\r\n"),
        (b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHOST:  192.168.1.7:8443 \r\n\r\n", b"Location: https://192.168.1.7:8443/\r\n"),
        (b"GET / HTTP/1.0\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\nHost: a\x0bb/c\r\n\r\n", b" 400 "),
    ],
)  # fmt: skip
def test_plain_http_is_sent_to_https_and_harms_nobody(running: Serving, request_: bytes, told: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain:
        plain.sendall(request_)
        answer = plain.recv(4096)
    assert answer.startswith(b"HTTP/1.1 ")
    assert told in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"this port speaks HTTPS" in body
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    with running.client() as http:
        assert http.get("/").status_code == 200


def test_a_browser_that_types_http_comes_to_the_page(running: Serving) -> None:
    import httpx

    url = f"http://localhost:{running.port}/"
    reply = httpx.get(url, verify=running.trusting(), follow_redirects=True, timeout=60)
    assert (reply.status_code, str(reply.url)) == (200, url.replace("http:", "https:"))


def test_what_is_neither_tls_nor_http_gets_no_answer(running: Serving) -> None:
    for noise in (b"\0" * 200, b"SSH-2.0-x\r\n", b"\x16\x03\x01\0\x05hello"):
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain, contextlib.suppress(OSError):
            plain.sendall(noise)
            assert b"HTTP" not in plain.recv(1000)


def test_connections_are_so_many_and_no_more(running: Serving) -> None:
    most = phone_server._CONNECTIONS
    with contextlib.ExitStack() as held:
        for _ in range(most):
            plain = held.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=60))
            one = held.enter_context(running.trusting().wrap_socket(plain, server_hostname="localhost"))
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 200")
        assert raw(running, get("/")) == b""
    with running.client(transport=None) as http:
        assert http.get("/").status_code == 200


def test_a_phone_is_told_of_once(tmp_path: Path) -> None:
    with serving(make_page(tmp_path / "page"), tmp_path / "state") as running:
        for agent in ("Android", "another"):
            with running.client(headers={"User-Agent": agent}) as http:
                http.get("/nowhere")
                http.get("/")
        assert running.told == [("127.0.0.1", "Android")]


def test_it_stops_soon_although_a_browser_keeps_its_connection_and_another_takes_nothing(tmp_path: Path) -> None:
    page = {"index.html": Asset(b"x", "text/html"), "large": Asset(bytes(50_000_000), "application/octet-stream")}
    with contextlib.ExitStack() as held, serving(page, tmp_path / "state") as running:
        http = held.enter_context(running.client())
        assert http.get("/").status_code == 200
        plain = held.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=60))
        idle = held.enter_context(running.trusting().wrap_socket(plain, server_hostname="localhost"))
        idle.sendall(get("/large"))
        assert idle.recv(100).startswith(b"HTTP/1.1 200")


def test_the_page_is_as_it_was_when_the_server_began(tmp_path: Path) -> None:
    folder = make_page(tmp_path / "page")
    with serving(folder, tmp_path / "state") as running, running.client() as http:
        (folder / "sw.js").write_bytes(b"changed")
        (folder / "new.js").write_bytes(b"new")
        assert http.get("/sw.js").content == b"self.skipWaiting()"
        assert http.get("/new.js").status_code == 404


def test_a_link_in_the_page_is_read_as_installers_that_link_files_need(tmp_path: Path) -> None:
    folder = make_page(tmp_path / "page")
    (tmp_path / "store.js").write_bytes(b"linked")
    (folder / "linked.js").symlink_to(tmp_path / "store.js")
    assert load_page(folder)["linked.js"].content == b"linked"


def test_tls_with_files_that_are_none_is_refused_in_one_line(tmp_path: Path) -> None:
    from edge_nima.phone.certificate import kept_identity

    identity = kept_identity(tmp_path, ["localhost"])
    identity.certificate.write_text("nonsense")
    with (
        contextlib.closing(listen("127.0.0.1", 0)) as listening,
        pytest.raises(PublishError, match=r"TLS with the certificate '.*certificate\.pem' fails: "),
    ):
        phone_server.PhoneServer({}, listening, identity)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "cryptography", "segno"])
def test_what_is_missing_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima.phone.server.find_spec", lambda name: None if name == missing else object())
    with pytest.raises(PackageMissing, match=rf"^phone needs {missing}: pip install 'edge-nima\[web\]'$"):
        phone_server.need_packages()
