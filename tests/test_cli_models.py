"""`edge-nima models`: what is known, and fetching it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge_nima import registry
from edge_nima.cli import run
from edge_nima.registry import Entry

CONTENT = b"a model" * 100


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "small.tflite").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/small.tflite"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def known(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    entry = Entry("small", "a [bold]small[/bold] one", "small.tflite", sha256, len(CONTENT), "CC0-1.0", "", url)
    monkeypatch.setattr(registry, "entries", lambda: (entry,))
    return entry


def test_the_list_shows_each_model_on_one_line_and_whether_it_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "small" in line)
    verified = ["SHA-256", f"{hashlib.sha256(CONTENT).hexdigest()[:8]}…"]
    assert line.split() == ["small", "0.0", "CC0-1.0", "pull", "it", *verified, "a", "[bold]small[/bold]", "one"]
    assert run(["models", "pull", "small"]) == 0
    capsys.readouterr()
    assert run(["models", "list"]) == 0
    assert "yes" in capsys.readouterr().out


def test_pull_prints_the_path_of_a_verified_file_and_nothing_else(
    known: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run(["models", "pull", "small"]) == 0
        out, err = capsys.readouterr()
        assert out == f"{known.path}\n"
        assert err == ""
    assert known.path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["smal"], 2, "no model is called 'smal'; did you mean small?"),
        (["small", "--url", "http://127.0.0.1:9/"], 1, "pass the path of a copy instead"),
        (["small", "--url", "file:///etc/passwd"], 2, "is no http or https address"),
        (["small", "--url", "http://[::1/"], 2, "is no http or https address"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_pulled_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(["models", "pull", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge-nima: ")
    assert message in err
    assert err.count("\n") == 1


def test_another_file_under_the_address_is_one_line_and_not_kept(
    known: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "www" / "small.tflite").write_bytes(CONTENT[::-1])
    assert run(["models", "pull", "small"]) == 1
    err = capsys.readouterr().err
    assert "SHA-256" in err
    assert err.count("\n") == 1
    assert list(known.path.parent.iterdir()) == []


def test_models_alone_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 2
    out, err = capsys.readouterr()
    assert "pull" in out + err
    assert "edge-nima: " not in err
