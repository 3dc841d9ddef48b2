from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from broker import eventually, free_port
from edge_nima.errors import RequestError
from edge_nima.outputs import Context
from edge_nima.outputs.on_shot import OnShotSettings, _OnShot, open_output
from edge_nima.watch.events import Shot

SHOT = Shot(Path("/shots/a b.jpg"), "garden", 1.7e9, 6.51, 4, 12345)
CONTEXT = Context({"garden": 1.0}, list)


def opened(command: str, timeout: str = "30s") -> _OnShot:
    settings = OnShotSettings(command, timeout)
    settings.check()
    output = open_output(settings, CONTEXT)
    assert isinstance(output, _OnShot)
    return output


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return f"{sys.executable} {path}"


WRITES = "import sys, os, json; json.dump([sys.argv[1:], dict(os.environ)], open(os.environ['EDGE_NIMA_TEST'], 'w'))"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_NIMA_TEST", str(tmp_path / "written"))
    return tmp_path / "written"


def test_a_command_gets_the_photographs_path_and_its_facts_as_environment(tmp_path: Path, written: Path) -> None:
    output = opened(script(tmp_path, WRITES))
    output.kept(SHOT)
    output.kept(replace(SHOT, path=Path("/shots/$(touch x); `y` 'z.jpg")))
    assert eventually(lambda: output.done == 2)
    words, environ = json.loads(written.read_text())
    assert words == ["/shots/$(touch x); `y` 'z.jpg"]  # no shell reads it
    assert environ["EDGE_NIMA_PATH"] == words[0]
    assert (environ["EDGE_NIMA_CAMERA"], environ["EDGE_NIMA_RATING"]) == ("garden", "4")
    assert (environ["EDGE_NIMA_MEAN"], environ["EDGE_NIMA_TAKEN_AT"]) == ("6.51", "2023-11-14T22:13:20.000Z")
    assert output.problem("garden") is None
    output.close()
    assert open_output(OnShotSettings(), CONTEXT) is None


def test_placeholders_are_replaced_in_each_argument_and_other_braces_are_left(tmp_path: Path, written: Path) -> None:
    arguments = """ --title "{camera}: {mean}, {rating} stars" '{"a": {path}}' {taken_at} {unknown}"""
    output = opened(script(tmp_path, WRITES) + arguments)
    output.kept(SHOT)
    assert eventually(lambda: output.done == 1)
    assert json.loads(written.read_text())[0] == [
        "--title", "garden: 6.51, 4 stars", '{"a": /shots/a b.jpg}', "2023-11-14T22:13:20.000Z", "{unknown}"
    ]  # fmt: skip
    output.close()


def test_a_command_that_fails_is_said_once_a_minute_and_the_next_has_its_turn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = opened(script(tmp_path, "import sys; sys.exit(3)"))
    for _ in range(3):
        output.kept(SHOT)
    assert eventually(lambda: output.failed == 3)
    assert str(output.problem("garden")).endswith("failed: exit code 3")
    assert len(caplog.records) == 1
    output.close()


SLEEPS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)", "{marker}"])
print("noise")
time.sleep(3600)
"""


def running(marker: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"time.sleep.3600. {marker}"], capture_output=True).returncode == 0


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    marker = f"marker-{os.getpid()}-long"
    output = opened(script(tmp_path, SLEEPS.replace("{marker}", marker)), "1s")
    output.kept(SHOT)
    assert eventually(lambda: running(marker))
    assert eventually(lambda: output.failed == 1)
    assert "ended after 1 s (--on-shot-timeout)" in str(output.problem("garden"))
    assert eventually(lambda: not running(marker))
    (tmp_path / "script.py").write_text("import time; time.sleep(0.3)")
    output.kept(SHOT)
    assert eventually(lambda: output.done == 1)  # the next one has its whole time
    output.close()


def test_closing_ends_the_command_and_says_what_was_not_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    marker = f"marker-{os.getpid()}-close"
    output = opened(script(tmp_path, SLEEPS.replace("{marker}", marker)))
    output.kept(SHOT)
    assert eventually(lambda: running(marker))
    start = time.monotonic()
    for _ in range(300):
        output.kept(SHOT)
    assert time.monotonic() - start < 1  # nobody waits for it
    assert output.failed == 200  # a hundred may wait
    start = time.monotonic()
    output.close()
    assert time.monotonic() - start < 1.5
    assert eventually(lambda: not running(marker))
    assert "not done for the last 101 photographs" in caplog.text
    assert [thread for thread in threading.enumerate() if thread.name == "on-shot"] == []


def test_the_last_photographs_before_the_end_have_half_a_second(tmp_path: Path, written: Path) -> None:
    output = opened("/bin/sh -c 'echo {path} >> $EDGE_NIMA_TEST'")
    for _ in range(5):
        output.kept(SHOT)
    output.close()
    assert written.read_text().count("a b.jpg") == 5


class Hook:
    """A web server that answers with the given codes, the last one for ever."""

    def __init__(self, *codes: int) -> None:
        self.told: list[tuple[str, dict[str, str], dict[str, object]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.told.append((self.path, dict(self.headers), body))
                self.send_response(codes[min(len(hook.told), len(codes)) - 1])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_webhook_gets_the_facts_as_json() -> None:
    with Hook(200) as hook:
        output = opened(f"http://{hook.address}/api/webhook/abc?x=1")
        output.kept(SHOT)
        assert eventually(lambda: output.done == 1)
        path, headers, body = hook.told[0]
        assert (path, headers["Content-Type"]) == ("/api/webhook/abc?x=1", "application/json")
        assert body == {
            "event": "kept", "camera": "garden", "taken_at": "2023-11-14T22:13:20.000Z", "path": "/shots/a b.jpg",
            "mean": 6.51, "rating": 4, "size": 12345,
        }  # fmt: skip
        output.close()


def test_a_webhook_that_refuses_or_is_away_is_said_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with Hook(404) as hook:
        output = opened(f"http://{hook.address}/api/webhook/s3cret")
        output.kept(SHOT)
        assert eventually(lambda: output.failed == 1)
        expected = f"--on-shot http://{hook.address} failed: HTTP Error 404: Not Found"
        assert output.problem("garden") == expected
        output.close()
    away = opened(f"http://127.0.0.1:{free_port()}/s3cret")
    away.kept(SHOT)
    assert eventually(lambda: away.failed == 1)
    assert "Connection refused" in str(away.problem("garden"))
    assert "s3cret" not in caplog.text
    away.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "no program ''"),
        ("no-such-program {path}", "no program 'no-such-program' that can be run; possible: .*sh -c"),
        ("sh -c 'x", "no closing quotation"),
        ("http://", "not a web address; possible: http://HOST"),
        ("https://me:s3cret@host/", "not a web address"),
    ],
)
def test_what_is_neither_a_command_nor_an_address_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        OnShotSettings(wrong).check()
    assert "s3cret" not in str(caught.value)
