"""`edge-nima examine`: what comes out, and one line for everything that is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import PHOTOS
from edge_nima.cli import run
from test_report import parsed

COMMAND = [sys.executable, "-m", "edge_nima", "examine"]

Output = tuple[int, str, str]
Examine = Callable[..., Output]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three small photographs in `p`."""
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    for name in ("cat", "coffee", "rocket"):
        with Image.open(PHOTOS / f"{name}.jpg") as image:
            image.resize((360, 240)).save(f"p/{name}.jpg", quality=95)
    return tmp_path


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    def call(*arguments: str) -> Output:
        capsys.readouterr()
        code = run(["examine", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def one_line(err: str) -> str:
    assert err.startswith("edge-nima: ")
    assert err.count("\n") == 1
    return err


def test_the_command_puts_out_table_json_and_page(desk: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    done = subprocess.run(
        [*COMMAND, "p", "--json", "a.json", "--html", "a.html"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "edge-nima: the numbers are in 'a.json'\nedge-nima: the page is 'a.html'\n"
    for words in (
        "mobilenet-ava-int8-mixed@", "n = 3; longest edge 360 pixels", "the spread", "JPEG quality", "crop and shift",
        "mirror", "JPEG 50", "320 px", "misfocus .15 %", "upside down", "95 % interval", "Nothing here allows: 6000 px",
    ):  # fmt: skip
        assert words in done.stdout, words
    assert "nan" not in done.stdout
    text = Path("a.json").read_text(encoding="utf-8")
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert (document["format"], document["format_version"], document["n"]) == ("edge-nima examination", 1, 3)
    found = {one["name"]: one for one in document["changes"]}
    assert (found["misfocus"]["n"], found["misfocus"]["lower"]) == (3, 1.0)
    assert f"{found['misfocus']['mean']:+.3f}" in done.stdout
    (cat, *_) = document["photographs"]
    assert (cat["name"], cat["width"], cat["height"]) == ("p/cat.jpg", 360, 240)
    assert cat["against"]["mirror"] == cat["mean"]
    assert cat["scores"]["mirror"] != cat["mean"]
    html = Path("a.html").read_text(encoding="utf-8")
    tags = parsed(html)
    assert "http" not in html.replace("http-equiv", "")
    unsteady = [one["family"] for one in document["steadiness"] if one["worst"] > 0]
    assert set(unsteady) >= {"JPEG quality", "crop and shift", "mirror"}
    assert sum(tag == "img" for tag, _ in tags.found) == 2 * (len(unsteady) + 10)
    for words in ("Is the score steady", "The worst examples", "Pictures made worse", f"{found['noise']['mean']:+.3f}"):
        assert words in tags.text, words


def test_a_draw_is_said_and_the_same_again(desk: Path, examine: Examine) -> None:
    code, out, err = examine("p", "--count", "2", "--seed", "4")
    assert (code, err) == (0, "")
    assert "n = 2, 2 of 3 drawn with seed 4" in out
    assert examine("p", "--count", "2", "--seed", "4", "--jobs", "2")[1] == out


def test_what_cannot_be_read_is_said_and_counted(desk: Path, examine: Examine) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    evil = "<script>alert('1')<script>.jpg"
    Path("p", evil.replace("/", "")).write_bytes(b"\xff\xd8\xff none")
    code, out, err = examine("p", "--html", "a.html", "--json", "a.json")
    assert code == 3
    assert err.startswith(f"edge-nima: not readable: p/{evil}: ")
    assert "n = 3;" in out
    assert "note: 1 photograph not readable, left out" in out
    assert list(json.loads(Path("a.json").read_text(encoding="utf-8"))["failures"]) == [f"p/{evil}"]
    html = Path("a.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "alert('1')" in parsed(html).text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'PATH...'"),
        (["none.jpg"], "no such file or folder"),
        (["empty"], "no photographs in 'empty'"),
        (["notes.txt"], "none of 1 can be read: 'notes.txt'"),
        (["p", "--model", "none.tflite"], "cannot open the model 'none.tflite'"),
        (["p", "--model", "notes.txt"], "is not a .tflite"),
        (["p", "--count", "0"], "--count"),
        (["p", "--jobs", "0"], "--jobs"),
        (["p", "--seed", "-1"], "--seed"),
        (["p", "--json", "notes.txt"], "'notes.txt' exists: --overwrite replaces it"),
        (["p", "--html", "notes.txt"], "'notes.txt' exists: --overwrite replaces it"),
        (["p", "--json", "none/a.json"], "mkdir -p"),
        (["p", "--html", "empty"], "is a folder"),
        (["p", "--json", "p/cat.jpg", "--overwrite"], "is one of the inputs"),
        (["p", "--json", "a.x", "--html", "./a.x"], "both"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_and_code_2_and_touch_nothing(
    desk: Path, examine: Examine, arguments: list[str], words: str
) -> None:
    Path("empty").mkdir()
    Path("notes.txt").write_text("my notes, longer than eight bytes\n", encoding="utf-8")
    before = sorted(os.listdir())
    code, out, err = examine(*arguments)
    assert (code, out) == (2, "")
    assert words in one_line(err)
    assert sorted(os.listdir()) == before
    assert Path("notes.txt").read_text(encoding="utf-8").startswith("my notes")


def test_overwrite_replaces_and_a_page_without_matplotlib_is_refused_first(
    desk: Path, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.json").write_text("old", encoding="utf-8")
    assert examine("p/cat.jpg", "--json", "a.json", "--overwrite")[0] == 0
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["n"] == 1
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = examine("p", "--model", "none.tflite", "--html", "a.html")
    assert (code, out) == (2, "")
    assert "pip install 'edge-nima[report]'" in one_line(err)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_code_1(desk: Path, examine: Examine) -> None:
    code, _, err = examine("p/cat.jpg", "--json", "/dev/full")
    assert code == 1
    assert "No space left" in one_line(err)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_real_ctrl_c_shows_what_is_done_and_writes_nothing(desk: Path, jobs: str) -> None:
    for number in range(400):
        Path(f"p/copy{number:03}.jpg").symlink_to("cat.jpg")
    master, slave = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "p", "--count", "1000", "--json", "a.json", "--jobs", jobs], stdout=subprocess.PIPE, stderr=slave,
        text=True, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        # A shell that starts pytest in the background has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        while not re.search(rb"\b[2-9]/403", seen):
            seen += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # at its end
            while more := os.read(master, 65536):
                seen += more
        out, _ = process.communicate(timeout=30)
    os.close(master)
    assert process.returncode == 130
    assert sorted(os.listdir()) == ["p"]
    assert b"Traceback" not in seen
    told = re.search(rb"edge-nima: interrupted after (\d+) of 403 photographs; no file is written", seen)
    assert told is not None, seen
    assert f"note: interrupted after {int(told[1])} of 403 photographs" in out
    assert f"n = {int(told[1])};" in out
    assert "misfocus" in out


def test_a_terminal_without_line_characters_gets_plain_ones(desk: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "p/cat.jpg"], capture_output=True, env=environment, check=True)
    assert done.stdout.isascii()
    assert b"\\u" not in done.stdout
