"""The page's server, over real connections: what it gives, and what it refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from PIL import Image

from conftest import skip_without
from edge_nima.errors import PackageMissing, PublishError
from edge_nima.watch.events import State
from edge_nima.watch.shots import Gallery
from edge_nima.web import Options, WebServer, telling
from edge_nima.web.shots import Thumbnails
from watched import TOKEN, Folder, Watched, served
from watching import until

skip_without("uvicorn", "edge-nima[web]")
skip_without("starlette", "edge-nima[web]")

httpx = pytest.importorskip("httpx", reason="needs httpx")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "shots").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"not for you")
    gallery = Folder(tmp_path / "shots")
    for i, mean in enumerate((4.5, 6.25, 5.0)):
        gallery.add(f"garden_{i}_{mean}.jpg", mean)
    return gallery


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a busy machine: that a viewer is let go is tested elsewhere."""
    for module in ("viewers", "connections"):
        monkeypatch.setattr(f"edge_nima.web.{module}.PATIENCE_S", 60.0)


@pytest.fixture
def watched(folder: Folder) -> Iterator[Watched]:
    with served(gallery=folder) as watched:
        yield watched


@pytest.fixture
def locked(folder: Folder) -> Iterator[Watched]:
    with served(Options(port=0, token=TOKEN), folder) as watched:
        yield watched


def client(watched: Watched, **how: Any) -> Any:
    return httpx.Client(base_url=f"http://127.0.0.1:{watched.server.port}", timeout=60, **how)


def raw(watched: Watched, request: bytes) -> bytes:
    """What the server answers to bytes, until it closes or says no more."""
    with socket.create_connection(("127.0.0.1", watched.server.port), timeout=60) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                answer += chunk
                connection.settimeout(0.5)
        except (TimeoutError, ConnectionError):
            pass
        return answer


def get(target: str, *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Events:
    """A stream of events, read as it comes."""

    def __init__(self, stream: Any) -> None:
        self._lines = stream.iter_lines()

    def next(self, kind: str) -> dict[str, Any]:
        found = ""
        for line in self._lines:
            if line.startswith("event: "):
                found = line[7:]
            elif line.startswith("data: ") and found == kind:
                return dict(json.loads(line[6:]))
        raise AssertionError("the stream ended")


def csrf(http: Any) -> str:
    with http.stream("GET", "/events") as stream:
        return str(Events(stream).next("hello")["csrf"])


def test_the_page_and_its_files_come_from_here_with_a_strict_policy(watched: Watched) -> None:
    with client(watched) as http:
        page = http.get("/")
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "server" not in page.headers
        assert "://" not in page.text
        assert "{{" not in page.text
        names = {part.split('"')[0] for part in page.text.split('"/static/')[1:]}
        assert {name.split(".")[0] for name in names} == {"page", "charts", "gallery", "icon"}
        for name in names:
            file = http.get(f"/static/{name}")
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]
            assert "content-security-policy" in file.headers
        assert http.get("/static/page.css").status_code == 404
        assert http.get("/nowhere").status_code == 404


def test_a_picture_comes_with_the_score_of_its_frame_and_the_next_one_is_another(watched: Watched) -> None:
    with client(watched) as http, watched.running(), http.stream("GET", "/events") as stream:
        events = Events(stream)
        viewer = events.next("hello")["viewer"]
        first = http.get(f"/live.jpg?viewer={viewer}")
        second = http.get(f"/live.jpg?viewer={viewer}&after={first.headers['x-number']}")
        assert int(second.headers["x-number"]) > int(first.headers["x-number"])
        assert first.content != second.content
        assert Image.open(BytesIO(second.content)).size == (640, 480)
        score = json.loads(second.headers["x-score"])
        assert len(score["distribution"]) == 10
        assert sum(score["distribution"]) == pytest.approx(1, abs=1e-3)
        status = events.next("status")
        assert (status["camera"], status["state"]) == ("garden", "watching")
        assert 1 <= status["last"]["mean"] <= 10
        assert status["viewers"] == 1
        history = http.get("/history").json()
        assert history["points"][-1][4] > 0


def test_large_frames_are_made_small_and_pictures_are_few(watched: Watched) -> None:
    with client(watched) as http, http.stream("GET", "/events") as stream:
        events = Events(stream)
        viewer = events.next("hello")["viewer"]
        watched.turn((1920, 1080))
        first = http.get(f"/live.jpg?viewer={viewer}")
        assert Image.open(BytesIO(first.content)).size == (960, 540)
        began = monotonic()
        for _ in range(30):
            watched.turn((2592, 1944))
            sleep(0.02)
        number = int(http.get(f"/live.jpg?viewer={viewer}").headers["x-number"])
        assert number <= 2 + 6 * (monotonic() - began)


def test_without_a_viewer_frames_are_not_even_copied(watched: Watched) -> None:
    for _ in range(100):
        watched.turn()
    with client(watched) as http, watched.running():
        assert http.get("/live.jpg").headers["x-number"] == "1"


def test_a_script_gets_one_picture_and_leaves(watched: Watched) -> None:
    with client(watched) as http, watched.running():
        assert http.get("/live.jpg").headers["content-type"] == "image/jpeg"
        assert watched.server.viewers == 0
        assert http.get("/live.jpg?viewer=nobody").status_code == 409
        assert http.get("/status").json()["fps"] == 14.2
        assert http.get("/metrics").text == "edge_nima_frames_total 1\n"


def test_a_change_of_state_is_told_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(watched) as http, http.stream("GET", "/events") as stream:
        events = Events(stream)
        events.next("status")
        monkeypatch.setattr(telling, "_EVERY_S", 3600)  # from the next status on
        events.next("status")
        for state in (State.lost, State.watching) * 3:
            watched.change(state, "no frames" if state is State.lost else None)
            while (status := events.next("status"))["state"] != state:
                pass
            assert status["problem"] == ("no frames" if state is State.lost else None)


def test_photographs_are_listed_shown_small_downloaded_and_deleted(watched: Watched, folder: Folder) -> None:
    with client(watched) as http:
        told = http.get("/shots").json()
        assert [shot["mean"] for shot in told["shots"]] == [6.25, 5.0, 4.5]
        assert told["total"] == 3
        assert len(http.get("/shots?limit=1&order=newest").json()["shots"]) == 1
        name = told["shots"][0]["name"]
        small = Image.open(BytesIO(http.get(f"/thumbnails/{name}").content))
        assert small.size == (480, 360)
        assert http.get(f"/thumbnails/{name}?side=999").status_code == 404
        whole = http.get(f"/shots/{name}?download")
        assert whole.content == (folder.path / name).read_bytes()
        assert "attachment" in whole.headers["content-disposition"]
        assert http.head(f"/shots/{name}").headers["content-length"] == str(len(whole.content))
        assert http.delete(f"/shots/{name}").status_code == 403
        assert http.delete(f"/shots/{name}", headers={"X-Edge-Nima-CSRF": "0" * 64}).status_code == 403
        proof = {"X-Edge-Nima-CSRF": csrf(http)}
        assert http.delete(f"/shots/{name}", headers={**proof, "Origin": "http://evil.example"}).status_code == 403
        assert http.delete(f"/shots/{name}", headers={**proof, "Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert folder.deleted == []
        origin = f"http://127.0.0.1:{watched.server.port}"
        assert http.delete(f"/shots/{name}", headers={**proof, "Origin": origin}).status_code == 204
        assert folder.deleted == [name]
        assert http.delete(f"/shots/{name}", headers=proof).status_code == 404


def test_the_watchers_own_gallery_is_served(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    buffer = BytesIO()
    Image.new("RGB", (640, 480), "teal").save(buffer, "JPEG")
    with served(gallery=gallery) as watched, client(watched) as http:  # type: ignore[arg-type]
        shot = gallery.save(buffer.getvalue(), camera="garden", taken_at=1_796_000_000.5, mean=5.432, rating=4)
        watched.server.kept(shot)
        told = http.get("/shots").json()["shots"][0]
        assert (told["name"], told["mean"], told["rating"]) == (shot.path.name, 5.432, 4)
        assert http.get(f"/shots/{told['name']}").content == buffer.getvalue()
        assert http.get(f"/thumbnails/{told['name']}").status_code == 200
        assert http.get(f"/shots/{shot.path.parent.name}/{told['name']}").status_code == 404
        assert http.delete(f"/shots/{told['name']}", headers={"X-Edge-Nima-CSRF": csrf(http)}).status_code == 204
        assert http.get("/shots").json() == {"total": 0, "bytes": 0, "shots": []}
        assert not shot.path.exists()


def test_what_is_missing_is_named(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima.web.server.find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match=r"needs starlette: pip install 'edge-nima\[web\]'"):
        WebServer(Options(port=0), lambda: watched.told).start()


def test_new_photographs_are_told(watched: Watched, folder: Folder) -> None:
    with client(watched) as http, http.stream("GET", "/events") as stream:
        events = Events(stream)
        before = events.next("status")["gallery"]
        watched.server.kept(folder.add("garden_9_7.0.jpg", 7.0))
        while events.next("status")["gallery"] == before:
            pass
        assert http.get("/shots").json()["total"] == 4


def test_small_pictures_are_kept_in_bounded_memory(folder: Folder) -> None:
    thumbnails = Thumbnails(most=20_000)
    paths = [folder.add(f"garden_{i}_5.0.jpg", i / 10, (1600, 1200)).path for i in range(20)]
    first = thumbnails.jpeg(paths[0], 480)
    assert thumbnails.jpeg(paths[0], 480) is first
    for path in paths:
        assert Image.open(BytesIO(thumbnails.jpeg(path, 480))).size == (480, 360)
    assert thumbnails.bytes <= 20_000
    folder.add(paths[-1].name, 9.0, (1200, 1600))  # another picture under the same name
    assert Image.open(BytesIO(thumbnails.jpeg(paths[-1], 480))).size == (360, 480)


def test_a_damaged_photograph_has_no_small_picture_and_harms_nothing(watched: Watched, folder: Folder) -> None:
    (folder.path / "torn_1.0.jpg").write_bytes(b"\xff\xd8\xff\xe0garbage")
    (folder.path / "empty_1.0.jpg").write_bytes(b"")
    with client(watched) as http:
        assert http.get("/thumbnails/torn_1.0.jpg").status_code == 404
        assert http.get("/thumbnails/empty_1.0.jpg").status_code == 404
        assert http.get("/shots/empty_1.0.jpg").content == b""
        assert http.get("/thumbnails/garden_0_4.5.jpg").status_code == 200


TRAVERSALS = [
    "../secret.jpg", "%2e%2e%2fsecret.jpg", "..%2fsecret.jpg", "..%5csecret.jpg", "..\\secret.jpg", "%2fetc%2fpasswd",
    "/etc/passwd", "//etc/passwd", "....//secret.jpg", "%2e%2e/%2e%2e/etc/passwd", "garden_0_4.5.jpg%00.png", "%00",
    ".", "..", "", "%252e%252e%252fsecret.jpg", "link_9.0.jpg", "folder_9.0.jpg", "pipe_9.0.jpg", ".hidden_9.0.jpg",
    "garden_0_4.5.jpg/", "x/../garden_0_4.5.jpg", "%ff%fe", "%c0%ae%c0%ae%c0%afsecret.jpg", "a" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_the_folder(locked: Watched, folder: Folder, tmp_path: Path, name: str) -> None:
    import os

    (folder.path / "link_9.0.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder.path / "folder_9.0.jpg").mkdir()
    os.mkfifo(folder.path / "pipe_9.0.jpg")
    (folder.path / ".hidden_9.0.jpg").write_bytes(b"not for you")
    bearer = f"Authorization: Bearer {TOKEN}"
    for room in ("shots", "thumbnails"):
        answer = raw(locked, get(f"/{room}/{name}", bearer))
        if room == "shots" and name == "":
            continue  # the list
        assert answer.split(b" ")[1] in {b"404", b"307", b"400"}, answer[:200]
        assert b"not for you" not in answer
        assert b"root:" not in answer
    assert raw(locked, get(f"/shots/{name}", bearer).replace(b"GET", b"DELETE", 1)).split(b" ")[1] in {
        b"404", b"307", b"400", b"405",
    }  # fmt: skip
    assert (tmp_path / "secret.jpg").read_bytes() == b"not for you"
    assert len(list(folder.path.glob("garden*.jpg"))) == 3


def test_another_sites_name_for_this_machine_is_refused(watched: Watched) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1", "192.168.1.9"):
        answer = raw(watched, get("/").replace(b"localhost", host.encode()))
        assert answer.split(b" ")[1] in {b"421", b"400"}, host
    for host in ("localhost", "localhost:9999", "127.0.0.1:1", "[::1]:8080", "LOCALHOST"):
        assert raw(watched, get("/").replace(b"localhost", host.encode())).split(b" ")[1] == b"200", host


def test_other_sites_pages_can_neither_read_nor_open_streams(watched: Watched) -> None:
    with client(watched) as http:
        for site in ("cross-site", "same-site"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
            assert http.get("/events", headers=headers).status_code == 403
            assert http.get("/live.jpg", headers=headers).status_code == 403
        assert http.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
        assert "access-control-allow-origin" not in http.get("/status", headers={"Origin": "http://x.example"}).headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_other_methods_are_refused(watched: Watched, method: str) -> None:
    answer = raw(watched, get("/").replace(b"GET", method.encode(), 1))
    assert answer.split(b" ")[1] in {b"405", b"400"}


def test_without_the_token_there_is_only_the_way_to_sign_in(locked: Watched) -> None:
    with client(locked) as http:
        for path in ("/status", "/events", "/live.jpg", "/shots", "/shots/x.jpg", "/metrics", "/history", "/nowhere"):
            assert http.get(path).status_code == 401, path
        assert http.delete("/shots/garden_0_4.5.jpg").status_code == 401
        assert http.post("/logout").status_code == 401
        first = http.get("/")
        assert first.status_code == 401
        assert "url=/login" in first.text
        form = http.get("/login")
        assert form.status_code == 200
        assert 'type="password"' in form.text
        assert http.get("/status", headers={"Cookie": f"edge_nima_{locked.server.port}=x.y"}).status_code == 401


def test_the_form_takes_the_token_and_gives_a_cookie_that_scripts_and_other_sites_cannot_use(locked: Watched) -> None:
    with client(locked) as http:
        wrong = http.post("/login", data={"token": "wrong-wrong-wrong-wrong"})
        assert wrong.status_code == 401
        assert "This is not the token." in wrong.text
        reply = http.post("/login", data={"token": f" {TOKEN} "}, headers={"Origin": str(http.base_url).rstrip("/")})
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert http.get("/").status_code == 200
        assert http.get("/login").headers["location"] == "/"
        out = http.post("/logout", headers={"X-Edge-Nima-CSRF": csrf(http)})
        assert out.status_code == 204
        assert http.get("/status").status_code == 401


def test_the_token_in_the_address_is_taken_and_led_away_from_at_once(locked: Watched) -> None:
    with client(locked) as http:
        assert http.get("/?token=wrong").status_code == 401
        reply = http.get(locked.server.login_url)
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        assert http.get("/").status_code == 200
        assert http.get("/status?token=" + TOKEN, headers={"Cookie": ""}).status_code == 401


def test_a_script_sends_the_token_itself(locked: Watched, folder: Folder) -> None:
    with client(locked, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        assert http.get("/metrics").status_code == 200
        assert http.delete("/shots/garden_0_4.5.jpg").status_code == 204
        assert folder.deleted == ["garden_0_4.5.jpg"]
    with client(locked, headers={"Authorization": "Bearer wrong"}) as http:
        reply = http.get("/metrics")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"


def test_wrong_tokens_are_refused_and_who_is_in_stays_in(locked: Watched) -> None:
    with client(locked) as inside, client(locked) as http:
        assert inside.post("/login", data={"token": TOKEN}).status_code == 303
        codes = []
        for i in range(100):
            codes.append(http.post("/login", data={"token": f"wrong-token-number-{i:05}"}).status_code)
        assert codes[:10] == [401] * 10
        assert set(codes[10:]) == {429}
        late = http.post("/login", data={"token": TOKEN})
        assert late.status_code == 429
        assert 0 < int(late.headers["retry-after"]) <= 61
        assert "Too many wrong tokens" in late.text
        assert http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 429
        assert http.get(f"/?token={TOKEN}").status_code == 429
        assert inside.get("/status").status_code == 200


def test_behind_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate], capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("needs openssl")
    with served(Options(port=0, token=TOKEN, certificate=certificate, key=key)) as watched:
        assert watched.server.url.startswith("https://")
        with httpx.Client(base_url=watched.server.url, verify=False) as http:
            reply = http.post("/login", data={"token": TOKEN})
            assert reply.headers["set-cookie"].startswith("__Host-edge_nima_")
            assert "Secure" in reply.headers["set-cookie"]
            assert http.get("/status").status_code == 200
    key.write_text("no key")
    with pytest.raises(PublishError, match=r"TLS with the certificate '.*cert.pem' fails: "):
        WebServer(Options(port=0, token=TOKEN, certificate=certificate, key=key), lambda: watched.told).start()


def test_what_is_too_large_is_refused(locked: Watched) -> None:
    with client(locked) as http:
        assert http.post("/login", content=b"x" * 5000).status_code == 413
        assert http.post("/login", content=(b"x" * 1000 for _ in range(10))).status_code == 413

    def refused(request: bytes) -> bool:
        answer = raw(locked, request)  # none at all when it was closed while we still sent
        return answer == b"" or answer.split(b" ")[1] in {b"400", b"414", b"431"}

    post = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: %b\r\n\r\n"
    assert raw(locked, post % b"99999999999999").split(b" ")[1] == b"413"
    assert raw(locked, post % b"-1").split(b" ")[1] == b"400"
    assert refused(get("/", "X-Large: " + "x" * 400_000))
    assert raw(locked, get("/", "X-Large: " + "x" * 17_000)).split(b" ")[1] == b"431"
    assert raw(locked, get("/" + "x" * 3_000)).split(b" ")[1] == b"414"
    assert refused(get("/" + "x" * 400_000))
    assert refused(get("/", *(f"X-{i}: {'x' * 100}" for i in range(4000))))
    assert raw(locked, get("/login")).split(b" ")[1] == b"200"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 9\r\n\r\nabc",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", bytes(range(256)) * 8, b"\r\n" * 500,
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(locked: Watched, garbage: bytes) -> None:
    answer = raw(locked, garbage)
    assert answer == b"" or answer.split(b" ")[1] in {b"400", b"401", b"413"}
    assert raw(locked, get("/login")).split(b" ")[1] == b"200"


def test_a_port_that_is_taken_or_an_address_that_is_not_ours_is_said_in_one_line(watched: Watched) -> None:
    def failing(options: Options) -> str:
        with pytest.raises(PublishError) as error:
            WebServer(options, lambda: watched.told).start()
        assert "\n" not in str(error.value)
        return str(error.value)

    assert f"port {watched.server.port} of 127.0.0.1 is in use" in failing(Options(port=watched.server.port))
    assert "this machine has no address 192.0.2.1" in failing(Options(port=0, bind="192.0.2.1"))
    assert "possible: 127.0.0.1" in failing(Options(port=0, bind="no such name"))


def test_it_closes_with_streams_open_and_opens_again(folder: Folder) -> None:
    with served(gallery=folder) as watched:
        port = watched.server.port
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
        for connection in connections[:4]:
            connection.sendall(get("/events"))
        connections[4].sendall(b"GET /events HTTP/1.1\r\nHo")
        until(lambda: watched.server.viewers == 4)
        watched.server.close()
        assert not watched.server.alive
        watched.turn()  # nobody minds
        watched.change(State.stopped)
        watched.server.close()
        for connection in connections:
            connection.close()
    again = WebServer(Options(port=port), lambda: watched.told)
    again.start()
    again.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("edge-nima-web")]
