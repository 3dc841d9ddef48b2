"""The assembled camera service: the real command, and what its users do to it on ordinary days."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from broker import Ear, Mosquitto, eventually
from command import Watch, kept, photographs, rows
from conftest import skip_without
from edge_nima import open_scorer
from edge_nima.cli import run
from streams import film, free_port, needs
from test_source_http import BARE, FIELD, OK, by_hand, part
from watching import until

skip_without("av", "edge-nima[camera]")

FAST = ("--threads", 1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second."""
    return film(tmp_path_factory.mktemp("video") / "garden.mp4", seconds=3)


# --- the folder has one owner ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [("--keep", 1, "--max-disk", "1kB"), ("--records", "none"), ()])
def test_a_second_run_with_the_same_folder_changes_nothing_in_it(
    more: tuple[str | int, ...], video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    keeping = ("--keep", 2, "--every", "1s", "--likeness", -1)
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, *keeping) as first:
        until(lambda: len(kept(out)) >= 3)
        before = kept(out)
        with Watch(tmp_path, video, *FAST, "--out", out, *more) as second:
            assert second.end(None) == 2
        assert re.fullmatch(r"edge-nima: another process writes in '.*': stop it, or give another --out\n", second.said)
        assert set(before) <= set(kept(out))
        assert first.end() == 0


def test_the_first_run_owns_the_folder_also_where_it_records_nothing(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, "--records", "none") as first:
        first.says("watching")
        with Watch(tmp_path, video, *FAST, "--out", out) as second:
            assert second.end(None) == 2
        assert "another process writes in" in second.said


def test_a_run_that_keeps_nothing_removes_nothing(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    day = out / "shots" / "2026-11-27"
    photographs(day, 5)
    for number, path in enumerate(sorted(day.glob("*.jpg"))):
        path.rename(day / f"garden_20261127T0{number}0000.000Z_5.000_r3.jpg")
    with Watch(tmp_path, video, *FAST, "--out", out, "--max-disk", "1kB") as one:
        assert one.end(None) == 0
    assert len(kept(out)) == 5


# --- a folder that fills --------------------------------------------------------------------------------------------


def test_every_photograph_of_a_watched_folder_is_scored_and_the_best_are_kept(tmp_path: Path) -> None:
    camera, out = tmp_path / "camera", tmp_path / "out"
    photographs(camera / "2026-11-27" / "jpg", 90)
    keeping = ("--keep", 5, "--every", "1h", "--likeness", -1)
    with Watch(tmp_path, camera, "--existing", *FAST, "--out", out, *keeping) as one:
        until(lambda: len(rows(out)) >= 60)
        photographs(camera / "2026-11-28" / "jpg", 60, start=90)
        until(lambda: len(rows(out)) >= 150)
        time.sleep(1.0)
        assert one.end() == 0
    assert len(rows(out)) == len({name for name, _ in rows(out)}) == 150
    scorer = open_scorer(threads=1)
    means = sorted((scorer.score(path).mean or 0.0 for path in camera.glob("*/jpg/*.jpg")), reverse=True)
    assert sorted((float(path.name.split("_")[2]) for path in kept(out)), reverse=True) == pytest.approx(
        means[:5], abs=6e-4
    )


def test_a_folder_source_remembers_over_restarts_and_reloads(tmp_path: Path) -> None:
    camera, out, config = tmp_path / "camera", tmp_path / "out", tmp_path / "watch.toml"
    photographs(camera, 5)
    config.write_text(f'source = "{camera}"\nout = "{out}"\nthreads = 1\n')
    with Watch(tmp_path, "--config", config) as one:
        until(lambda: (out / "scores.db").exists())
        time.sleep(1.0)
        photographs(camera, 5, start=5)
        until(lambda: len(rows(out)) == 5)  # what was there before the first start is not new
        config.write_text(f'source = "{camera}"\nout = "{out}"\nthreads = 1\nfps = 50\n')
        one.send(signal.SIGHUP)
        photographs(camera, 5, start=10)
        one.says("changed: fps")
        until(lambda: len(rows(out)) == 10)
        one.send(signal.SIGKILL)
    photographs(camera, 5, start=15)  # while nobody watches
    with Watch(tmp_path, "--config", config) as one:
        until(lambda: len(rows(out)) >= 15)
        time.sleep(1.0)
        assert one.end() == 0
    assert [Path(name).stem for name, _ in rows(out)] == [f"{number:04}" for number in range(5, 20)]


def test_with_wait_a_folder_and_a_video_may_come_later(video: Path, tmp_path: Path) -> None:
    camera, late, out, other = (tmp_path / name for name in ("camera", "late.mp4", "out", "other"))
    with (
        Watch(tmp_path, camera, "--wait", *FAST, "--out", out) as one,
        Watch(tmp_path, late, "--wait", *FAST, "--out", other) as two,
    ):
        one.says("the source is lost")
        two.says("the source is lost")
        photographs(camera, 3)
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(video.read_bytes())
        copy.replace(late)
        until(lambda: len(rows(out)) == 3)
        assert two.end(None) == 0
        assert len(rows(other)) == 30
        assert one.end() == 0
    assert run(["watch", str(tmp_path / "nowhere")]) == 2  # without it


# --- what is stored is what was scored ------------------------------------------------------------------------------

FAILS_ONCE = """
from edge_nima.watch import keeper
whole, calls = keeper.encode, []
def encode(*given, **named):
    calls.append(1)
    if len(calls) == 2:
        raise OSError("made so")
    return whole(*given, **named)
keeper.encode = encode
"""


def test_when_encoding_fails_once_no_other_pixels_are_stored_under_its_score(tmp_path: Path) -> None:
    camera, out = tmp_path / "camera", tmp_path / "out"
    made = {path.stem: path for path in photographs(camera, 12)}
    keeping = ("--keep", 20, "--every", "1h", "--likeness", -1)
    with Watch(tmp_path, f"{camera}/*.jpg", *FAST, "--out", out, *keeping, first=FAILS_ONCE) as one:
        assert one.end(None) == 0
    assert len(kept(out)) == 11
    scorer = open_scorer(threads=1)
    pixels = {f"{scorer.score(path).mean:.3f}": np.asarray(Image.open(path)) for path in made.values()}
    for path in kept(out):
        stored = np.asarray(Image.open(path)).astype(float)
        assert np.abs(stored - pixels[path.name.split("_")[2]]).mean() < 8


SLOW_CARD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
static void slow(void) {
    int file = open(getenv("SYNCS"), O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (write(file, "s", 1) != 1) abort();
    close(file);
    usleep(300000);
}
int fsync(int fd) { slow(); return 0; }
int fdatasync(int fd) { slow(); return 0; }
"""


@pytest.fixture(scope="module")
def slow_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload: each sync takes .3 s, and is counted."""
    library = tmp_path_factory.mktemp("slow") / "slow.so"
    command = [needs("gcc"), "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(command, input=SLOW_CARD.encode(), check=True)
    return library


@pytest.mark.slow
def test_on_a_slow_card_it_writes_no_more_often_and_the_stop_loses_nothing(
    slow_card: Path, video: Path, tmp_path: Path
) -> None:
    out, syncs = tmp_path / "out", tmp_path / "syncs"
    env = {"LD_PRELOAD": str(slow_card), "SYNCS": str(syncs)}
    keeping = ("--keep", 5, "--every", "1h", "--likeness", -1)
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, *keeping, env=env) as one:
        until(lambda: len(rows(out)) > 5)
        before, began = syncs.stat().st_size, time.monotonic()
        time.sleep(6.0)
        share = (syncs.stat().st_size - before) * 0.3 / (time.monotonic() - began)
        assert share < 0.7, f"{share:.0%} of the time is spent in syncs"
        assert one.end() == 0
    assert len(kept(out)) == 5
    assert "lost" not in one.said


@pytest.mark.slow
def test_kill_loses_no_photograph_of_the_running_window(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (video, "--loop", "--realtime", *FAST, "--out", out, "--keep", 3, "--every", "1h", "--likeness", -1)
    with Watch(tmp_path, *arguments) as one:
        until(lambda: len(rows(out)) > 25)
        one.send(signal.SIGKILL)
        one.end(None)
    best = sorted((round(mean or 0, 3) for _, mean in rows(out)[:-1]), reverse=True)[:3]
    with Watch(tmp_path, *arguments) as one:
        until(lambda: len(kept(out)) >= 3)
        assert one.end() == 0
    found = sorted((float(path.name.split("_")[2]) for path in kept(out)), reverse=True)
    assert found[0] == pytest.approx(best[0], abs=1e-3)


def test_what_is_kept_today_stays_when_the_disk_is_full_and_older_days_are_thinned(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for day in range(1, 11):
        folder = out / "shots" / f"2025-11-{day:02}"
        for hour, path in enumerate(photographs(folder, 6)):
            path.rename(folder / f"garden_202511{day:02}T{hour:02}0000.000Z_{9 - hour / 10:.3f}_r5.jpg")
    favourite = out / "shots" / "2025-11-01" / "garden_20251101T050000.000Z_8.500_r5.jpg"
    favourite = favourite.rename(favourite.with_stem(f"{favourite.stem}_fav"))
    before = sum(path.stat().st_size for path in kept(out))
    keeping = ("--out", out, "--keep", 2, "--every", "1s", "--likeness", -1, "--max-disk", before, "--keep-per-day", 2)
    with Watch(tmp_path, video, *FAST, *keeping) as one:
        assert one.end(None) == 0
    today = [path for path in kept(out) if not path.name.startswith("garden_2025")]
    assert len(today) == one.said.count("kept garden_") == 6  # and not only the newest, all worse than what was there
    assert favourite.exists()
    for day in range(1, 11):
        names = [path.name.split("_")[2] for path in kept(out) if f"2025-11-{day:02}" in str(path)]
        assert {"9.000", "8.900"} <= set(names), "a day lost its best before others were thinned"


@pytest.mark.slow
def test_the_same_picture_in_window_after_window_is_kept_once(tmp_path: Path) -> None:
    (photograph,) = photographs(tmp_path, 1)
    out = tmp_path / "out"
    keeping = ("--out", out, "--keep", 1, "--every", "1s", "--duration", "5s", "--fps", 10)
    with Watch(tmp_path, photograph, "--loop", *FAST, *keeping) as one:
        assert one.end(None) == 0
    assert len(kept(out)) == 1


def test_a_video_with_a_rotation_flag_is_kept_upright(tmp_path: Path) -> None:
    straight = film(tmp_path / "straight.mp4", seconds=1)
    flagged, out = tmp_path / "flagged.mp4", tmp_path / "out"
    command = [needs("ffmpeg"), "-v", "error", "-i", str(straight), "-c", "copy", "-metadata:s:v", "rotate=90"]
    subprocess.run([*command, str(flagged)], check=True)
    with Watch(tmp_path, flagged, *FAST, "--out", out, "--keep", 1) as one:
        assert one.end(None) == 0
    (path,) = kept(out)
    with Image.open(path) as image:
        assert image.size == (240, 320)


@pytest.mark.parametrize("name", ["a boundary in a comment", "no boundary", "another boundary", "no end marker"])
def test_streams_of_cameras_in_the_field_are_scored_and_a_fault_is_one_line(name: str, tmp_path: Path) -> None:
    headers, piece = FIELD[name]

    def answer(request: bytes) -> Iterator[bytes]:
        yield OK + headers + b"\r\n\r\n"
        for number in range(10_000):
            yield part(b"frame", BARE[: len(BARE) // 2]) if number % 2 and name == "no end marker" else piece
            time.sleep(0.02)

    out = tmp_path / "out"
    with by_hand(answer) as address, Watch(tmp_path, f"http://{address}", *FAST, "--out", out) as one:
        until(lambda: len(rows(out)) >= 30)
        assert one.end() == 0
    assert one.said.count("a damaged frame") <= 1


# --- signals and settings -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def service_manager(folder: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """systemd's side: the environment for the service, and what it says, as it comes."""
    path, heard = str(folder / "notify"), []  # type: tuple[str, list[str]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path)
        ear.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    heard.extend(ear.recv(4096).decode().splitlines())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}, heard
        finally:
            over.set()
            thread.join()


def test_four_reloads_within_a_second_are_no_stop(video: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "watch.toml", tmp_path / "out"

    def write(fps: int) -> None:
        config.write_text(
            f'source = "{video}"\nloop = true\nrealtime = true\nthreads = 1\nout = "{out}"\nfps = {fps}\n'
        )

    write(9)
    with service_manager(tmp_path) as (env, heard), Watch(tmp_path, "--config", config, env=env) as one:
        until(lambda: len(rows(out)) > 2)
        for number in range(4):
            write(5 + number)
            one.send(signal.SIGHUP)
            time.sleep(0.2)
        until(lambda: heard.count("READY=1") >= 2 and heard[-1] != "RELOADING=1")
        before = len(rows(out))
        until(lambda: len(rows(out)) > before + 5)
        assert "STOPPING=1" not in heard
        until(lambda: "WATCHDOG=1" in heard)
        assert one.end() == 0
        until(lambda: "STOPPING=1" in heard)


DIES_AFTER_RELOAD = """
from edge_nima import service
def look(self):
    if type(self).runs > 1:
        self.failed = ValueError("made so")
def start(self, whole=service.Watcher.start):
    type(self).runs += 1
    whole(self)
service.Watcher.runs = 0
service.Watcher.look, service.Watcher.start = look, start
"""


def test_after_a_reload_a_fatal_error_is_not_taken_for_bad_settings(video: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "watch.toml", tmp_path / "out"
    text = f'source = "{video}"\nloop = true\nrealtime = true\nthreads = 1\nout = "{out}"\n'
    config.write_text(text)
    with Watch(tmp_path, "--config", config, first=DIES_AFTER_RELOAD) as one:
        until(lambda: len(rows(out)) > 2)
        config.write_text(f"{text}fps = 5\n")
        one.send(signal.SIGHUP)
        assert one.end(None) == 1
    assert "made so" in one.said
    assert "the last ones stay" not in one.said


MAKING_FAILS = """
from edge_nima import service
from edge_nima.watch import capture
capture.GRACE_S = 0.2
real, calls = service.open_source, []
class Hangs:
    drops = real_time = True
    label = "hangs"
    def open(self): pass
    def close(self): pass
    def read(self):
        import time
        time.sleep(3600)
def open_source(*given, **named):
    import threading
    if threading.current_thread().name != "edge-nima capture":
        return Hangs() if not calls else real(*given, **named)
    calls.append(1)
    if len(calls) < 5:
        raise ValueError("made so")
    return real(*given, **named)
service.open_source = open_source
"""


@pytest.mark.slow
def test_an_error_while_the_source_is_made_again_does_not_end_the_capture(video: Path, tmp_path: Path) -> None:
    arguments = (video, "--loop", "--realtime", *FAST, "--lost-after", "0.5s", "--out", tmp_path / "out")
    with Watch(tmp_path, *arguments, first=MAKING_FAILS) as one:
        until(lambda: len(rows(tmp_path / "out")) > 5)
        assert "a read of the source hangs" in one.said
        one.end()


# --- several cameras ------------------------------------------------------------------------------------------------


def test_several_cameras_of_one_file(video: Path, tmp_path: Path) -> None:
    folder, out, config = tmp_path / "ftp", tmp_path / "out", tmp_path / "watch.toml"
    photographs(folder, 8)
    config.write_text(
        f'out = "{out}"\nthreads = 1\nkeep = 1\nevery = "1h"\nexisting = true\n'
        f'[[camera]]\nsource = "{video}"\nname = "garden"\nfps = 5\n'
        f'[[camera]]\nsource = "{folder}"\nname = "yard"\n'
        f'[[camera]]\nsource = "{video}"\nname = "door"\nrotate = 90\nkeep = 2\nlikeness = -1\n'
    )
    with Watch(tmp_path, "--config", config) as one:
        until(lambda: len(rows(out)) >= 15 + 8 + 30)
        assert one.end() == 0
    names = [name for name, _ in rows(out)]
    assert sum(name.startswith("garden/") for name in names) == 15
    assert sum(name.startswith("door/") for name in names) == 30
    assert sum("/ftp/" in name for name in names) == 8
    assert sorted(path.name.split("_")[0] for path in kept(out)) == ["door", "door", "garden", "yard"]
    assert one.said.count("kept ") == 4


def test_two_cameras_of_one_name_are_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "watch.toml"
    config.write_text(f'[[camera]]\nsource = "{video}"\n[[camera]]\nsource = "{video}"\n')
    assert run(["watch", "--config", str(config)]) == 2
    assert "two cameras are called 'garden'; give each [[camera]] a name of its own" in capsys.readouterr().err


# --- what is published ----------------------------------------------------------------------------------------------


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {line.split("{")[0]: float(line.split()[-1]) for line in lines}


NEVER_SCORES = """
from edge_nima.errors import ModelError
from edge_nima.watch.worker import WorkerProcess
def score(self, picture, name=None):
    raise ModelError("made so")
WorkerProcess.score = score
"""


def test_the_rate_does_not_count_frames_that_failed(video: Path, tmp_path: Path) -> None:
    skip_without("prometheus_client", "edge-nima[watch]")
    port = free_port()
    arguments = (video, "--loop", "--realtime", *FAST, "--metrics-port", port)
    with Watch(tmp_path, *arguments, first=NEVER_SCORES) as one:
        one.says("a frame could not be scored")
        time.sleep(1.5)
        told = metrics(port)
        assert told["edge_nima_frames_failed_total"] > 5
        assert told["edge_nima_frames_per_second"] == 0
        assert one.said.count("made so") == 1, "one line a fault, not one a frame"
        one.end()


def test_a_refused_password_does_not_end_scoring_and_is_said(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Mosquitto(tmp_path / "broker", users={"me": "right"}) as broker:
        address = f"mqtt://me:wr%23ng@127.0.0.1:{broker.port}"
        with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, "--mqtt", address) as one:
            one.says("refuses user 'me'")
            before = len(rows(out))
            until(lambda: len(rows(out)) > before + 10)
            assert one.end() == 0
    assert "wr" not in one.said.replace("written", "").replace("wrong", "").replace("writ", "")


def test_home_assistant_keeps_the_score_of_a_slow_source(video: Path, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Ear(broker, "homeassistant/#") as ear:
        slow = (video, "--loop", "--realtime", *FAST, "--fps", "0.01", "--name", "slow")
        with Watch(tmp_path, *slow, "--mqtt", f"mqtt://127.0.0.1:{broker.port}") as one:
            assert eventually(lambda: ear.last("homeassistant/device/edge_nima_slow/config"))
            told = ear.last("homeassistant/device/edge_nima_slow/config")
            assert told["components"]["score"]["expire_after"] >= 300
            one.end()


def test_a_token_from_the_settings_is_not_logged(video: Path, tmp_path: Path) -> None:
    skip_without("uvicorn", "edge-nima[web]")
    token = "correct-horse-battery-staple"
    web = ("--web", free_port(), "--web-bind", "0.0.0.0", "--web-token", token)
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, *web) as one:
        one.says("the page is at")
        time.sleep(0.5)
        assert one.end() == 0
    assert token not in one.said


def test_behind_a_proxy_the_page_is_at_its_path_and_gives_a_picture_for_the_token(video: Path, tmp_path: Path) -> None:
    skip_without("uvicorn", "edge-nima[web]")
    token, port = "correct-horse-battery-staple", free_port()
    web = ("--web", port, "--web-base", "/camera", "--web-token", token)
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, *web) as one:
        one.says("the page is at")
        for path in ("/camera/live.jpg", "/live.jpg"):  # a proxy that strips its path, and one that does not
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?token={token}", timeout=20) as got:
                assert got.read(2) == b"\xff\xd8"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/camera/live.jpg?token=wrong", timeout=20)
        over = threading.Event()

        def look() -> None:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException):
                while not over.is_set():
                    line.request("GET", f"/live.jpg?token={token}")
                    line.getresponse().read()
            line.close()

        viewer = threading.Thread(target=look)
        viewer.start()
        time.sleep(0.5)
        assert one.end() == 0
        over.set()
        viewer.join()
    assert "Traceback" not in one.said
    assert token not in one.said


def test_a_kept_photograph_starts_a_command(video: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "out", tmp_path / "told"
    keeping = ("--out", out, "--keep", 1, "--every", "1h")
    with Watch(tmp_path, video, *FAST, *keeping, "--on-shot", f"sh -c 'echo $0 >> {told}' {{path}}") as one:
        assert one.end(None) == 0
    assert told.read_text().split() == [str(path) for path in kept(out)]


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--every", "1m"), "--every means nothing without --keep"),
        (("--mqtt-every", "1s"), "--mqtt-every means nothing without --mqtt"),
        (("--web-cert", "x.pem"), "--web-cert means nothing without --web"),
        (("--still-threshold", "3"), "--still-threshold means nothing without --skip-still"),
        (("--max-disk", "0", "--out", "x"), "--max-disk is '0'; possible: 500MB, 2GB, 1.5GB"),
        (("--records", "jsonl", "--out", "x"), "edge-nima best DIR --export jsonl"),
        (("--keep", "1"), "--keep needs a folder: --out DIR"),
        (("--name", "Front Door"), "possible: front-door"),
        (("--when", "25:00-26:00"), "--when"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    arguments: tuple[str, ...], line: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", str(video), *arguments]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1


def test_help_shows_twelve_settings_and_help_all_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--help"]) == 0
    short = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help", "--help-all"}
    assert run(["watch", "--help-all"]) == 0
    everything = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert len(short) == 12
    assert short < everything
    assert len(everything) > 60


def test_a_slow_rate_holds_for_a_video_as_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = film(tmp_path / "long.mp4", seconds=200, fps=1, size="64x48")
    with Watch(tmp_path, long, *FAST, "--fps", "0.01", "--out", out) as one:
        assert one.end(None) == 0
    assert len(rows(out)) == 2


def test_times_and_darkness_pause_it(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, "--skip-dark", "250") as one:
        one.says("garden: paused")
        assert one.end() == 0
    assert rows(out) == []
    now = time.localtime()
    other = f"{(now.tm_hour + 2) % 24:02}:00-{(now.tm_hour + 3) % 24:02}:00"
    with Watch(tmp_path, video, "--loop", "--realtime", *FAST, "--out", out, "--when", other) as one:
        one.says("garden: paused")
        assert one.end() == 0
    assert rows(out) == []


def test_on_windows_it_says_what_it_needs(
    video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_nima.service.POSIX", False)
    assert run(["watch", str(video)]) == 2
    assert "watch needs Linux or macOS" in capsys.readouterr().err


def test_a_listener_of_ones_own_is_told_and_closed(video: Path, tmp_path: Path) -> None:
    from edge_nima.service import Service, declare
    from watching import Memory

    declaration, mine = declare(), Memory()
    settings = declaration.check_together(declaration.settings({"source": str(video), "threads": 1}))
    Service(settings, listeners=[mine]).run()
    assert len(mine.scores) == 30
    assert mine.states[-1] == "stopped"
    assert mine.closed == 1
