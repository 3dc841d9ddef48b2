"""`edge-nima watch` as a person types it: what works, what is refused, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from command import rows
from conftest import PHOTOS
from edge_nima import open_scorer
from edge_nima.card import read_card
from edge_nima.cli import run
from edge_nima.scorer import BUNDLED
from edge_nima.watch.gallery import Gallery
from fakes import TFLITE
from streams import film as make_film
from watching import until

SLOW_START = """
from edge_nima.watch import worker
def late(self, *given):
    import os, signal
    print("opening", flush=True)
    os.kill(self.pid, signal.SIGSTOP)
    return whole(self, *given)
whole = worker.WorkerProcess._ask
worker.WorkerProcess._ask = late
from edge_nima.__main__ import main
main()
"""
"""The command line, with a worker that does not come to its end of opening the model."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at ten frames a second."""
    pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    return make_film(tmp_path_factory.mktemp("film") / "garden.mp4")


@contextlib.contextmanager
def started(*arguments: str | Path, **how: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, killed at the end if it still runs."""
    command = [sys.executable, "-m", "edge_nima", "watch", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_film_is_scored_kept_and_recorded(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["watch", str(film), "--out", str(out), "--keep", "2", "--every", "1s", "--likeness", "-1"]
    assert run(arguments) == 0
    said, err = capsys.readouterr()
    assert said == ""
    assert err.count("kept garden_") == 4
    assert len(rows(out)) == 20
    shots = Gallery(out).shots()
    assert len(shots) == 4
    best = max(mean for _, mean in rows(out))
    assert max(shot.mean for shot in shots) == pytest.approx(best, abs=1e-3)


def test_photographs_get_the_very_scores_that_score_gives(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["watch", str(PHOTOS / "*.jpg"), "--out", str(out), "--threads", "1"]) == 0
    scorer = open_scorer(threads=1)
    with contextlib.closing(sqlite3.connect(out / "scores.db")) as database:
        found = list(database.execute(f"SELECT name, {', '.join(f'p{bin}' for bin in range(1, 11))} FROM scores"))
    assert len(found) == 6
    for name, *distribution in found:
        assert tuple(distribution) == scorer.score(name).distribution


def test_records_go_to_stdout_on_request_and_a_closed_pipe_ends_it(film: Path) -> None:
    with started(film, "--loop", "--print") as process:
        assert process.stdout is not None
        record = json.loads(process.stdout.readline())
        assert record["camera"] == "garden"
        assert 1 <= record["mean"] <= 10
        assert record["taken_at"].endswith("Z")
        process.stdout.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_window(film: Path, tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "out"
    with started(film, "--loop", "--realtime", "--out", out, "--keep", "2", "--every", "1h", "--likeness", "-1") as one:
        until(lambda: len(rows(out)) > 3)
        one.send_signal(number)
        _, err = one.communicate(timeout=60)  # of an hour
    assert one.returncode == code
    assert len(Gallery(out).shots()) == 2
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert f"stopped; all of it is in '{out}'" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_model_is_being_opened_ends_it_without_a_complaint(
    film: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", SLOW_START, "watch", str(film), "--loop", "--realtime", "--out", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "opening\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 0), said
    assert "died" not in said
    assert "hangs" not in said


def test_sighup_reads_the_settings_again_and_refuses_wrong_ones(film: Path, tmp_path: Path) -> None:
    config, out, other = tmp_path / "watch.toml", tmp_path / "out", tmp_path / "other"

    def write(text: str) -> None:
        config.write_text(f'source = "{film}"\nloop = true\nrealtime = true\n{text}\n')

    write(f'out = "{out}"')
    log = tmp_path / "log"
    with open(log, "w") as err:
        command = [sys.executable, "-m", "edge_nima", "watch", "--config", str(config)]
        with subprocess.Popen(command, stderr=err) as again:
            try:
                until(lambda: len(rows(out)) > 0)
                write("kepe = 3")
                again.send_signal(signal.SIGHUP)
                until(lambda: "did you mean keep?; the last ones stay" in log.read_text())
                before = len(rows(out))
                until(lambda: len(rows(out)) > before)
                write(f'out = "{other}"\nfps = 5')
                again.send_signal(signal.SIGHUP)
                until(lambda: len(rows(other)) > 0)
                assert "changed: out, fps" in log.read_text()
                write('out = "/proc/nowhere"')
                again.send_signal(signal.SIGHUP)
                until(lambda: "the new settings cannot be: " in log.read_text())
                before = len(rows(other))
                until(lambda: len(rows(other)) > before)
                again.terminate()
                assert again.wait(60) == 0
            finally:
                again.kill()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a command line is refused with."""
    assert run(["watch", *map(str, arguments)]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge-nima: ")
    lines = [line for line in err.splitlines() if not line.startswith("edge-nima: warning")]
    assert len(lines) == 1, err
    return lines[0]


def test_sources_that_are_not_there_are_one_line_each(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    assert "/dev/video77" in refused(capsys, "77")
    assert "possible: 0 or /dev/video0" in refused(capsys, "nowhere")
    assert "127.0.0.1:1" in refused(capsys, "rtsp://127.0.0.1:1/live")
    line = refused(capsys, "http://someone:secret@127.0.0.1:1/cam")
    assert "refused" in line
    assert "secret" not in line
    text = tmp_path / "film.mp4"
    text.write_text("no film at all")
    assert "codec" in refused(capsys, text)
    if not Path("/usr/lib/python3/dist-packages/picamera2").exists():
        assert "sudo apt install" in refused(capsys, "picamera2")


def test_models_without_a_card_are_refused_and_failed_ones_warned_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = BUNDLED.read_bytes()
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(TFLITE)
    assert "carries no card" in refused(capsys, PHOTOS, "--model", bare)
    card = read_card(content)
    assert card is not None
    raw = json.loads(card.to_json())
    failure = {"statistic": "srcc", "value": 0.9, "side": "min", "limit": 0.99}
    raw["gate"] = {**asdict(card.gate), "status": "failed", "failures": [failure]}  # type: ignore[call-overload]
    sheet = tmp_path / "card.json"
    sheet.write_text(json.dumps(raw))
    bare.write_bytes(content[: content.index(b"PK\x03\x04")])  # the card is a zip at the end
    assert run(["watch", str(PHOTOS / "cat.jpg"), "--model", str(bare), "--card", str(sheet)]) == 0
    assert "warning" in (err := capsys.readouterr().err)
    assert "failed its gate" in err
    assert "cannot open the model 'nothing'" in refused(capsys, PHOTOS, "--model", "nothing")


def test_a_folder_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    assert f"'{in_the_way}" in refused(capsys, PHOTOS, "--out", in_the_way)
    assert "/proc/nowhere" in refused(capsys, PHOTOS, "--out", "/proc/nowhere")


def test_a_folder_that_another_watcher_writes_is_refused(
    capsys: pytest.CaptureFixture[str], film: Path, tmp_path: Path
) -> None:
    with started(film, "--loop", "--realtime", "--out", tmp_path):
        until(lambda: len(rows(tmp_path)) > 0)
        assert "another process writes in" in refused(capsys, film, "--out", tmp_path)


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn", reason="needs edge-nima[web]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--web", "--metrics-port"):
            line = refused(capsys, PHOTOS, option, str(port))
            assert str(port) in line


def test_with_wait_a_source_that_is_not_there_is_waited_for(film: Path, tmp_path: Path) -> None:
    late, out = tmp_path / "late.mp4", tmp_path / "out"
    late.write_bytes(b"x")
    with started(late, "--wait", "--out", out) as process:
        assert process.stderr is not None
        while "the source is lost" not in (line := process.stderr.readline()):
            assert line, "it has ended"
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(film.read_bytes())
        os.replace(copy, late)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(rows(out)) == 20


def test_the_page_asks_for_a_token_beyond_this_machine_and_it_is_said_once(film: Path, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs edge-nima[web]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, "-m", "edge_nima", "watch", str(film), "--loop", "--realtime"]
    with (
        open(log, "w") as err,
        subprocess.Popen([*command, "--web", str(port), "--web-bind", "0.0.0.0"], stderr=err) as process,
    ):
        try:
            until(lambda: "?token=" in log.read_text())
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert log.read_text().count("token=") == 1
