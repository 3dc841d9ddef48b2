"""The page's server, over real connections: what it gives, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
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
from edge_nima.outputs.web import WebServer, WebSettings, app, feed, open_output
from edge_nima.watch.events import State
from watched import TOKEN, Kept, Watched, served, until

skip_without("uvicorn", "edge-nima[web]")
skip_without("starlette", "edge-nima[web]")

httpx = pytest.importorskip("httpx", reason="needs httpx")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "secret.jpg").write_bytes(b"not for you")
    gallery = Kept(tmp_path)
    for mean in (4.5, 6.25, 5.0):
        gallery.add(mean)
    return gallery


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a busy machine: that a connection is let go is tested elsewhere."""
    monkeypatch.setattr("edge_nima.outputs.web.listening.PATIENCE_S", 60.0)


@pytest.fixture
def watched(kept: Kept) -> Iterator[Watched]:
    with served(kept) as watched:
        yield watched


@pytest.fixture
def locked(kept: Kept) -> Iterator[Watched]:
    with served(kept, web_token=TOKEN) as watched:
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


def csrf(http: Any) -> dict[str, str]:
    with http.stream("GET", "/events") as stream:
        return {"X-Edge-Nima-CSRF": Events(stream).next("hello")["csrf"]}


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
        names = {part.split('"')[0] for part in page.text.split('"static/')[1:]}
        assert {name.split("?")[0] for name in names} == {"page.css", "page.js", "charts.js", "gallery.js", "icon.svg"}
        for name in names:
            file = http.get(f"/static/{name}")
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]
            assert "content-security-policy" in file.headers
        assert http.get("/static/page.html").status_code == 404
        assert http.get("/nowhere").status_code == 404


def test_a_picture_comes_with_the_score_of_its_frame_and_the_next_one_is_another(watched: Watched) -> None:
    with client(watched) as http, watched.running(), http.stream("GET", "/events") as stream:
        first = http.get("/live.jpg?after=0")
        second = http.get(f"/live.jpg?after={first.headers['x-number']}")
        assert int(second.headers["x-number"]) > int(first.headers["x-number"])
        assert first.content != second.content
        assert Image.open(BytesIO(second.content)).size == (640, 480)
        score = json.loads(second.headers["x-score"])
        assert len(score["distribution"]) == 10
        assert sum(score["distribution"]) == pytest.approx(1, abs=1e-3)
        events = Events(stream)
        while not (camera := (status := events.next("status"))["cameras"][0])["last"]:
            pass
        assert (camera["camera"], camera["state"]) == ("garden", "watching")
        assert 1 <= camera["last"]["mean"] <= 10
        assert status["viewers"] == 1
        assert http.get("/history").json()["points"][-1][4] > 0


def test_pictures_are_made_only_for_who_looks_few_and_small(watched: Watched) -> None:
    for _ in range(100):
        watched.turn()
    camera = watched.server._feed.cameras["garden"]
    assert (camera.pictures.number, camera._next) == (0, 0.0)
    with client(watched) as http:
        began = monotonic()
        with watched.running():
            assert http.get("/live.jpg").headers["x-number"] == "1"
        for _ in range(30):
            watched.turn((1920, 1080))
            sleep(0.02)
        last = http.get("/live.jpg?after=1")
        assert int(last.headers["x-number"]) <= 2 + 6 * (monotonic() - began)
        assert Image.open(BytesIO(last.content)).size == (960, 540)


def test_metrics_are_there_or_say_what_to_install(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client", reason="needs prometheus-client (edge-nima[dev])")
    with client(watched) as http:
        assert 'edge_nima_frames_captured_total{camera="garden"} 900.0' in http.get("/metrics").text
        assert http.get("/status").json()["cameras"][0]["fps"] == 14.2
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        missing = http.get("/metrics")
        said = "metrics need prometheus-client: pip install 'edge-nima[metrics]'\n"
        assert (missing.status_code, missing.text) == (404, said)


def test_a_change_of_state_is_told_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(watched) as http, http.stream("GET", "/events") as stream:
        events = Events(stream)
        events.next("status")
        monkeypatch.setattr(feed, "_EVERY_S", 3600)  # from the next status on
        events.next("status")
        for state in (State.lost, State.watching) * 3:
            watched.change(state, "no frames" if state is State.lost else None)
            while (status := events.next("status")["cameras"][0])["state"] != state:
                pass
            assert status["problem"] == ("no frames" if state is State.lost else None)


def test_photographs_are_listed_shown_small_downloaded_and_deleted(watched: Watched, kept: Kept) -> None:
    with client(watched) as http:
        told = http.get("/shots").json()
        assert [shot["mean"] for shot in told["shots"]] == [6.25, 5.0, 4.5]
        assert told["total"] == 3
        assert len(http.get("/shots?limit=1&order=newest").json()["shots"]) == 1
        name = told["shots"][0]["name"]
        assert Image.open(BytesIO(http.get(f"/thumbnails/{name}").content)).size == (480, 360)
        whole = http.get(f"/shots/{name}?download")
        assert whole.content == kept.of(6.25).path.read_bytes()
        assert "attachment" in whole.headers["content-disposition"]
        assert http.head(f"/shots/{name}").headers["content-length"] == str(len(whole.content))
        proof, at = csrf(http), f"/shots/{name}"
        for wrong in (
            {}, {"X-Edge-Nima-CSRF": "0" * 64}, {**proof, "Origin": "http://evil.example"},
            {**proof, "Sec-Fetch-Site": "cross-site"},
        ):  # fmt: skip
            assert http.delete(at, headers=wrong).status_code == 403
        assert kept.means() == [6.25, 5.0, 4.5]
        origin = f"http://127.0.0.1:{watched.server.port}"
        assert http.delete(at, headers={**proof, "Origin": origin}).status_code == 204
        assert kept.means() == [5.0, 4.5]
        assert http.delete(at, headers=proof).status_code == 404


def test_what_is_missing_is_named(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima.outputs.web.find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match=r"needs starlette: pip install 'edge-nima\[web\]'"):
        open_output(WebSettings(web=0), watched.context)
    assert open_output(WebSettings(), watched.context) is None


def test_new_photographs_are_told(watched: Watched, kept: Kept) -> None:
    with client(watched) as http, http.stream("GET", "/events") as stream:
        events = Events(stream)
        before = events.next("status")["gallery"]
        watched.server.kept(kept.add(7.0))
        while events.next("status")["gallery"] == before:
            pass
        assert http.get("/shots").json()["total"] == 4


def test_small_pictures_are_kept_until_the_file_is_another_and_damaged_ones_harm_nothing(
    watched: Watched, kept: Kept
) -> None:
    path = kept.of(4.5).path
    first = app.thumbnail(path)
    assert app.thumbnail(path) is first
    path.write_bytes(kept.add(9.0, width=1600).path.read_bytes())
    assert app.thumbnail(path) != first
    with client(watched) as http:
        for content in (b"\xff\xd8\xff\xe0garbage", b""):
            path.write_bytes(content)
            assert http.get(f"/thumbnails/{path.name}").status_code == 404
            assert http.get(f"/shots/{path.name}").content == content
        assert http.get(f"/thumbnails/{kept.of(6.25).path.name}").status_code == 200


def test_photographs_are_filtered_by_camera_day_stars_and_favourites(watched: Watched, kept: Kept) -> None:
    kept.add(8.5, "porch", 1_796_000_000.0)
    with client(watched) as http:

        def means(query: str) -> list[float]:
            return [shot["mean"] for shot in http.get(f"/shots?{query}").json()["shots"]]

        assert means("") == [8.5, 6.25, 5.0, 4.5]
        assert means("camera=garden&limit=2") == [6.25, 5.0]
        assert means("stars=4") == [8.5, 6.25]
        days = http.get("/shots").json()["days"]
        assert len(days) == 2
        assert [8.5] in [means(f"day={day}") for day in days]
        assert means("favourites") == []
        kept.set_favourite(kept.of(5.0).path.name, True)
        assert means("favourites") == [5.0]
        assert means("camera=nobody&stars=x&day=x") == []


def test_a_favourite_is_marked_by_who_may_and_its_new_name_is_told(watched: Watched, kept: Kept) -> None:
    name = kept.of(4.5).path.name
    with client(watched) as http:
        address = f"/shots/{name}/favourite"
        assert http.post(address).status_code == 403
        assert http.get(address).status_code == 405
        proof = csrf(http)
        told = http.post(address, headers=proof).json()
        assert (told["name"], told["favourite"]) == (name.replace(".jpg", "_fav.jpg"), True)
        assert http.post(address, headers=proof).status_code == 404  # of that name there is none any more
        assert http.delete(f"/shots/{told['name']}/favourite", headers=proof).json()["favourite"] is False
        assert kept.of(4.5).path.name == name


def test_each_camera_has_its_pictures_and_history_and_only_those_looked_at_are_made() -> None:
    with served(cameras=("garden", "porch")) as watched, client(watched) as http, watched.running(20):
        assert [camera["camera"] for camera in http.get("/status").json()["cameras"]] == ["garden", "porch"]
        garden = http.get("/live.jpg")  # whoever says nothing looks at the first
        sleep(1)
        porch = http.get("/live.jpg?camera=porch")
        assert porch.headers["x-number"] == "1"
        assert garden.content != porch.content
        for camera in ("garden", "porch"):
            assert len(http.get(f"/history?camera={camera}").json()["points"]) > 20  # with those of before
        missing = http.get("/live.jpg?camera=attic")
        assert (missing.status_code, missing.text) == (404, "no such camera; possible: garden, porch\n")
        assert http.get("/history?camera=attic").status_code == 404


def test_a_camera_that_gives_a_picture_a_minute_has_one_for_a_script_at_once() -> None:
    with served(usual_s=100.0) as watched, client(watched) as http:
        watched.turn()
        until(lambda: watched.server._feed.cameras["garden"].pictures.number == 1)
        began = monotonic()
        first = http.get("/live.jpg")
        assert (first.status_code, monotonic() - began < 2) == (200, True)
        assert float(first.headers["x-age"]) >= 0


def test_a_picture_for_another_program_comes_with_the_token_in_the_address(locked: Watched) -> None:
    with client(locked) as http, locked.running():
        picture = http.get(f"/live.jpg?token={TOKEN}")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert picture.headers["cache-control"] == "no-store"
        assert "set-cookie" not in picture.headers
        assert http.get(f"/status?token={TOKEN}").status_code == 401
        assert [http.get("/live.jpg?token=wrong").status_code for _ in range(11)] == [401] * 10 + [429]
        assert http.get(f"/live.jpg?token={TOKEN}").status_code == 429


TRAVERSALS = [
    "../secret.jpg", "%2e%2e%2fsecret.jpg", "..%2fsecret.jpg", "..%5csecret.jpg", "..\\secret.jpg", "%2fetc%2fpasswd",
    "/etc/passwd", "//etc/passwd", "....//secret.jpg", "%2e%2e/%2e%2e/etc/passwd", "{good}%00.png", "%00",
    ".", "..", "", "%252e%252e%252fsecret.jpg", "{link}", "{folder}", "{pipe}", ".hidden_9.0.jpg",
    "{good}/", "x/../{good}", "../shots/{good}", "%ff%fe", "%c0%ae%c0%ae%c0%afsecret.jpg", "a" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_the_folder(locked: Watched, kept: Kept, tmp_path: Path, name: str) -> None:
    good = kept.of(4.5).path
    link, folder, pipe = (good.with_name(good.name.replace("4.500", mean)) for mean in ("9.100", "9.200", "9.300"))
    link.symlink_to(tmp_path / "secret.jpg")
    folder.mkdir()
    os.mkfifo(pipe)
    name = name.format(good=good.name, link=link.name, folder=folder.name, pipe=pipe.name)
    bearer = f"Authorization: Bearer {TOKEN}"
    for request in (
        get(f"/shots/{name}", bearer), get(f"/thumbnails/{name}", bearer),
        get(f"/shots/{name}", bearer).replace(b"GET", b"DELETE", 1),
    ):  # fmt: skip
        answer = raw(locked, request)
        assert answer.split(b" ")[1] in {b"404", b"400", b"405"}, answer[:200]
        assert b"not for you" not in answer
        assert b"root:" not in answer
    assert (tmp_path / "secret.jpg").read_bytes() == b"not for you"
    assert len(kept.means()) == 3


def test_another_sites_name_for_this_machine_is_refused(watched: Watched) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1", "192.168.1.9"):
        answer = raw(watched, get("/").replace(b"localhost", host.encode()))
        assert answer.split(b" ")[1] == b"400", host
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
    assert answer.split(b" ")[1] in {b"405", b"400", b"403"}


def test_without_the_token_there_is_only_the_way_to_sign_in(locked: Watched, kept: Kept) -> None:
    with client(locked) as http:
        for path in ("/status", "/events", "/live.jpg", "/shots", "/shots/x.jpg", "/metrics", "/history", "/nowhere"):
            assert http.get(path).status_code == 401, path
        assert http.delete(f"/shots/{kept.of(4.5).path.name}").status_code == 401
        assert http.post("/logout").status_code == 401
        first = http.get("/")
        assert (first.status_code, first.headers["refresh"]) == (401, "0;url=login")
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
        assert (reply.status_code, reply.headers["location"]) == (303, "./")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert http.get("/").status_code == 200
        assert http.get("/login").headers["location"] == "./"
        assert http.post("/logout", headers=csrf(http)).status_code == 204
        assert http.get("/status").status_code == 401
        copied = cookie.split(";")[0]  # what was copied before is worth nothing, also when settings are read again
        assert http.get("/status", headers={"Cookie": copied}).status_code == 401
    with served(web_token=TOKEN) as again, client(again) as http:
        cookie = f"edge_nima_{again.server.port}={copied.partition('=')[2]}"
        assert http.get("/status", headers={"Cookie": cookie}).status_code == 401


def test_the_token_in_the_address_is_taken_and_led_away_from_at_once(locked: Watched) -> None:
    with client(locked) as http:
        assert http.get("/?token=wrong").status_code == 401
        reply = http.get(f"/?token={TOKEN}")
        assert (reply.status_code, reply.headers["location"]) == (303, "./")
        assert http.get("/").status_code == 200
        assert http.get("/status?token=" + TOKEN, headers={"Cookie": ""}).status_code == 401


def test_a_script_sends_the_token_itself(locked: Watched, kept: Kept) -> None:
    with client(locked, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        assert http.get("/status").status_code == 200
        assert http.delete(f"/shots/{kept.of(4.5).path.name}").status_code == 204
        assert kept.means() == [6.25, 5.0]
    with client(locked, headers={"Authorization": "Bearer wrong"}) as http:
        reply = http.get("/status")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"


def test_wrong_tokens_are_refused_and_who_is_in_stays_in(locked: Watched) -> None:
    with client(locked) as inside, client(locked) as http:
        assert inside.post("/login", data={"token": TOKEN}).status_code == 303
        codes = [http.post("/login", data={"token": f"wrong-token-{i:05}"}).status_code for i in range(30)]
        assert codes == [401] * 10 + [429] * 20
        late = http.post("/login", data={"token": TOKEN})
        assert late.status_code == 429
        assert "Too many wrong tokens" in late.text
        script = http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (script.status_code, 0 < int(script.headers["retry-after"]) <= 61) == (429, True)
        assert http.get(f"/?token={TOKEN}").status_code == 429
        assert inside.get("/status").status_code == 200


@pytest.mark.parametrize("strips", [True, False])
def test_behind_a_proxy_the_page_is_under_its_path(kept: Kept, strips: bool) -> None:
    with served(kept, web_token=TOKEN, web_base="/camera/", web_proxy="127.0.0.1") as watched:
        before = "" if strips else "/camera"
        forwarded = {
            "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "home.example",
        }  # fmt: skip
        with client(watched, headers=forwarded) as http:
            if not strips:
                assert http.get("/camera").headers["location"] == "/camera/"
            first = http.get(f"{before}/")
            assert (first.status_code, first.headers["refresh"]) == (401, "0;url=login")
            reply = http.post(f"{before}/login", data={"token": TOKEN}, headers={"Origin": "https://home.example"})
            assert (reply.status_code, reply.headers["location"]) == (303, "./")
            cookie = reply.headers["set-cookie"]
            assert cookie.startswith(f"__Secure-edge_nima_{watched.server.port}=")
            assert "; Path=/camera; " in cookie
            assert cookie.endswith("; HttpOnly; SameSite=Strict; Secure")
            session = {"Cookie": cookie.split(";")[0]}
            page = http.get(f"{before}/", headers=session)
            assert page.status_code == 200
            assert not [link for link in re.findall(r'(?:src|href|action)="([^"]+)"', page.text) if link[0] == "/"]
            assert http.get(f"{before}/status", headers=session).status_code == 200
            with http.stream("GET", f"{before}/events", headers=session) as stream:
                proof = {**session, "X-Edge-Nima-CSRF": Events(stream).next("hello")["csrf"]}
            shot = f"{before}/shots/{kept.of(4.5).path.name}"
            assert http.delete(shot, headers={**proof, "Origin": "https://evil.example"}).status_code == 403
            assert http.delete(shot, headers={**proof, "Origin": "https://home.example"}).status_code == 204
            assert http.get(f"{before}/%2e%2e/etc/passwd", headers=session).status_code == 404


def test_behind_home_assistants_ingress_the_page_is_where_it_says_and_in_its_frame(kept: Kept) -> None:
    ingress = {"X-Ingress-Path": "/api/hassio_ingress/abc-_1", "X-Forwarded-Proto": "http"}
    with (
        served(kept, web_token=TOKEN, web_proxy="127.0.0.1", web_frame_ancestors="self") as watched,
        client(watched, headers=ingress) as http,
    ):
        reply = http.post("/login", data={"token": TOKEN})
        assert "; Path=/api/hassio_ingress/abc-_1; " in reply.headers["set-cookie"]
        assert "SameSite=Strict" in reply.headers["set-cookie"]
        assert "frame-ancestors 'self';" in reply.headers["content-security-policy"]
        bad = http.post("/login", data={"token": TOKEN}, headers={"X-Ingress-Path": "/x; Domain=evil.example"})
        assert "; Path=/; " in bad.headers["set-cookie"]
    with served(kept, web_token=TOKEN, web_proxy="192.0.2.0/24") as watched, client(watched, headers=ingress) as http:
        reply = http.post("/login", data={"token": TOKEN})
        assert "; Path=/; " in reply.headers["set-cookie"]


def test_a_frame_of_another_site_keeps_its_cookie_over_https_only(kept: Kept) -> None:
    how: dict[str, Any] = {"web_proxy": "127.0.0.1", "web_frame_ancestors": "https://ha.local:8123"}
    with served(kept, web_token=TOKEN, **how) as watched, client(watched) as http:
        plain = http.post("/login", data={"token": TOKEN})
        assert "frame-ancestors https://ha.local:8123;" in plain.headers["content-security-policy"]
        assert plain.headers["set-cookie"].endswith("SameSite=Strict")
        tls = http.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
        assert tls.headers["set-cookie"].endswith("; HttpOnly; SameSite=None; Partitioned; Secure")


def test_wrong_tokens_count_for_who_sent_them_not_for_the_proxy_and_nobody_else_may_say_who_they_are(
    kept: Kept,
) -> None:
    def tries(http: Any, address: str) -> set[int]:
        wrong = {"Authorization": "Bearer wrong", "X-Forwarded-For": address}
        return {http.get("/status", headers=wrong).status_code for _ in range(11)}

    with served(kept, web_token=TOKEN, web_proxy="127.0.0.1") as watched, client(watched) as http:
        assert tries(http, "198.51.100.1, 203.0.113.9") == {401, 429}  # the last is what the proxy saw
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert http.get("/status", headers={**right, "X-Forwarded-For": "203.0.113.9"}).status_code == 429
        assert http.get("/status", headers={**right, "X-Forwarded-For": "198.51.100.1"}).status_code == 200
        assert http.get("/status", headers=right).status_code == 200
    with served(kept, web_token=TOKEN) as watched, client(watched) as http:
        assert tries(http, "203.0.113.9") == {401, 429}
        assert http.get("/status", headers={**right, "X-Forwarded-For": "203.0.113.8"}).status_code == 429


def test_a_token_that_was_made_is_said_once_and_one_of_the_settings_never(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr("edge_nima.outputs.web._made", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = []
    for token in (None, None, TOKEN):
        caplog.clear()
        settings = WebSettings(web=port, web_bind="0.0.0.0", web_token=token)
        WebServer(settings, watched.context).close()
        said.append(caplog.text)
    assert f":{port}/?token={WebSettings(web=port, web_bind='0.0.0.0').token()[0]}" in said[0]
    for text in said[1:]:
        assert f":{port}/" in text
        assert "token" not in text
        assert TOKEN not in text


def test_behind_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate], capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("needs openssl")
    with served(web_token=TOKEN, web_cert=str(certificate), web_key=str(key)) as watched:
        assert watched.server.url.startswith("https://")
        with httpx.Client(base_url=watched.server.url, verify=False) as http:
            reply = http.post("/login", data={"token": TOKEN})
            assert reply.headers["set-cookie"].startswith("__Host-edge_nima_")
            assert "Secure" in reply.headers["set-cookie"]
            assert http.get("/status").status_code == 200
            typed = http.get(watched.server.url.replace("https:", "http:"), follow_redirects=True)
            assert (typed.status_code, typed.url.scheme) == (200, "https")
    key.write_text("no key")
    with pytest.raises(PublishError, match=r"TLS with the certificate '.*cert.pem' fails: "):
        WebServer(WebSettings(web=0, web_cert=str(certificate), web_key=str(key)), watched.context)


def test_what_is_too_large_is_refused(locked: Watched) -> None:
    with client(locked) as http:
        assert http.post("/login", content=b"x" * 5000).status_code == 413
        assert http.post("/login", content=(b"x" * 1000 for _ in range(10))).status_code == 413

    def refused(request: bytes) -> bool:
        answer = raw(locked, request)  # none at all when it was closed while we still sent
        return answer == b"" or answer.split(b" ")[1] in {b"400", b"414", b"431"}

    post = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: %b\r\n\r\n"
    assert raw(locked, post % b"-1").split(b" ")[1] == b"400"
    assert refused(get("/", "X-Large: " + "x" * 400_000))
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
    def failing(**settings: Any) -> str:
        with pytest.raises(PublishError) as error:
            open_output(WebSettings(**settings), watched.context)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert f"port {watched.server.port} of 127.0.0.1 is in use" in failing(web=watched.server.port)
    assert "this machine has no address 192.0.2.1" in failing(web=0, web_bind="192.0.2.1")
    assert "possible: 127.0.0.1" in failing(web=0, web_bind="no such name")


def test_it_closes_with_streams_open_and_opens_again(kept: Kept) -> None:
    with served(kept) as watched:
        port = watched.server.port
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
        for connection in connections[:4]:
            connection.sendall(get("/events"))
        connections[4].sendall(b"GET /events HTTP/1.1\r\nHo")
        until(lambda: watched.viewers == 4)
        watched.server.close()
        assert not watched.server._thread.is_alive()
        watched.turn()  # nobody minds
        watched.change(State.stopped)
        watched.server.close()
        for connection in connections:
            connection.close()
    WebServer(WebSettings(web=port), watched.context).close()
    assert not [t for t in threading.enumerate() if t.name.startswith("edge-nima-web")]
