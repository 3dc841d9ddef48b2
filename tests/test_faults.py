"""What happens to a camera within months, each several times, and each time it recovers without a person.

Real servers, a real full disk, real signals; the scoring is the real model's, in its process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_nima.scorer import load_model
from edge_nima.selection import KeepPolicy
from edge_nima.sources import Source, SourceOptions, open_source
from edge_nima.watch import recorder as recorder_module
from edge_nima.watch import worker as worker_module
from edge_nima.watch.events import State
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.keeper import Keeper
from edge_nima.watch.loop import Watcher, WatchLimits
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.records import Records
from edge_nima.watch.worker import WorkerProcess
from fake_source import FakeSource
from streams import Rtsp, http_camera, jpeg, needs, rtsp_server, scene
from watching import FakeScoring, Memory, running, until

pytestmark = pytest.mark.slow
TIMES = int(os.environ.get("EDGE_NIMA_TIMES", "4"))
"""Each of them; before a release: EDGE_NIMA_TIMES=20."""


@contextlib.contextmanager
def watching(make: Callable[[], Source], lost_after_s: float, **more: object) -> Iterator[tuple[Watcher, Memory]]:
    """A watcher with the real model on a source that is there."""
    memory, scoring = Memory(), WorkerProcess(load_model(), 1)
    limits = WatchLimits(lost_after_s=lost_after_s)
    watcher = Watcher(make, scoring, limits, model=scoring.model.label, listeners=[memory], **more)  # type: ignore[arg-type]
    try:
        with running(watcher):
            until(lambda: watcher.status().counts.scored > 3)
            yield watcher, memory
    finally:
        scoring.close()


def goes_on(watcher: Watcher) -> None:
    """New scores come, and nothing is wrong."""
    before = watcher.status().counts.scored
    until(lambda: watcher.status().counts.scored > before + 2, what="no new scores")
    until(lambda: watcher.status().state is State.watching and watcher.status().problem is None)


@pytest.fixture
def rtsp(tmp_path: Path) -> Iterator[Rtsp]:
    pytest.importorskip("av", reason="needs edge-nima[camera]")
    with rtsp_server(tmp_path) as server:
        yield server


def test_a_source_that_is_killed_and_started_again(rtsp: Rtsp) -> None:
    with watching(lambda: open_source(rtsp.url, SourceOptions(timeout_s=2)), 2) as (watcher, _):
        for time_number in range(1, TIMES + 1):
            rtsp.kill()
            until(lambda n=time_number: watcher.status().counts.lost >= n, what="it was not noticed")  # type: ignore[misc]
            rtsp.start()
            goes_on(watcher)
        assert watcher.status().counts.lost == TIMES


def test_a_source_that_is_frozen_but_connected(rtsp: Rtsp) -> None:
    with watching(lambda: open_source(rtsp.url, SourceOptions(timeout_s=1)), 1) as (watcher, _):
        for _ in range(TIMES):
            rtsp.freeze()
            until(lambda: watcher.status().state is State.lost, what="it was not noticed")
            rtsp.thaw()
            goes_on(watcher)
        assert watcher.status().counts.lost >= TIMES


def test_frames_that_change_size_or_turn_grey() -> None:
    sizes = [(320, 240), (640, 480), (161, 121), (240, 320)]

    def picture(number: int) -> bytes:
        phase = number // 6
        rgb = scene(*sizes[phase % 4])
        if phase % 3 == 2:
            grey = Image.fromarray(rgb).convert("L")
            return jpeg(np.asarray(grey))
        return jpeg(rgb)

    with http_camera() as camera:
        camera.pictures, camera.fps = picture, 60
        with watching(lambda: open_source(camera.url, SourceOptions(timeout_s=2)), 2) as (watcher, memory):
            until(lambda: watcher.status().counts.captured > 6 * (TIMES * 4 + 1))
            counts = watcher.status().counts
    assert (counts.failed, counts.damaged, counts.lost) == (0, 0, 0)
    assert len({round(scored.record.mean or 0, 3) for scored in memory.scores}) >= 4


def test_truncated_jpegs_within_a_stream() -> None:
    whole = jpeg(scene())

    def picture(number: int) -> bytes:
        return whole[: len(whole) // 2] if number % 10 == 5 else whole

    with http_camera() as camera:
        camera.pictures, camera.fps = picture, 60
        with watching(lambda: open_source(camera.url, SourceOptions(timeout_s=2)), 2) as (watcher, memory):
            until(lambda: watcher.status().counts.damaged >= TIMES)
            goes_on(watcher)
            counts = watcher.status().counts
    assert (counts.failed, counts.lost) == (0, 0)
    means = [scored.record.mean for scored in memory.scores]
    assert max(means) - min(means) < 1e-9, "a half picture was scored"  # type: ignore[type-var, operator]


def test_inferences_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RESTARTS_A_MINUTE", 100)
    memory, scoring = Memory(), WorkerProcess(load_model(), 1, stuck_after_s=1.5)
    source = FakeSource(every_s=0.02, then="frame")
    watcher = Watcher(lambda: source, scoring, WatchLimits(), model="m", listeners=[memory])
    try:
        with running(watcher):
            for number in range(1, TIMES + 1):
                goes_on(watcher)
                os.kill(scoring.pid or 0, signal.SIGSTOP)
                until(lambda n=number: scoring.restarts >= n)  # type: ignore[misc]
            goes_on(watcher)
            counts = watcher.status().counts
    finally:
        scoring.close()
    assert counts.worker_restarts == counts.failed == TIMES
    assert sum(scored.record.error is not None for scored in memory.scores) == TIMES


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs root to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_filled_and_freed(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_EVERY_S", 0.2)
    monkeypatch.setattr("edge_nima.watch.keeper.RETRY_EVERY_S", 0.2)
    # With a limit, which bounds SQLite's log too: of its usual 4 MB the disk would stay full for good.
    recorder = Recorder(Records(small_disk, max_bytes=1_000_000), write_every_s=0.1)
    gallery = Gallery(small_disk, 200_000)
    keeper = Keeper(gallery, KeepPolicy(keep=1, every_s=1.0, likeness=-1), "fake")
    source = FakeSource(every_s=0.005, then="frame")
    noise = np.random.default_rng(0).integers(0, 256, (7, 96, 128, 3), dtype=np.uint8)
    source.rgb = lambda number: noise[number % 7]
    watcher = Watcher(lambda: source, FakeScoring(), WatchLimits(), model="m", recorder=recorder, keeper=keeper)
    filler = small_disk / "filler"
    with running(watcher):
        for _ in range(TIMES):
            goes_on(watcher)
            with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            until(lambda: watcher.status().problem is not None, what="a full disk was not noticed")
            before = watcher.status().counts.scored
            until(lambda n=before: watcher.status().counts.scored > n + 10, what="scoring has stopped")  # type: ignore[misc]
            filler.unlink()
    keeper.finish(60)
    recorder.close(60)
    counts = watcher.status().counts
    assert counts.records_lost == 0
    assert counts.recorded == counts.scored
    with contextlib.closing(sqlite3.connect(small_disk / "scores.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM scores ORDER BY id")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(names) == counts.scored
    assert counts.shots > 0
    for shot in gallery.shots():
        with Image.open(shot.path) as image:
            image.load()


def edge_nima(*arguments: str | Path, env: dict[str, str] | None = None, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge_nima", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from streams import film as make

    pytest.importorskip("av", reason="needs edge-nima[camera]")
    return make(tmp_path_factory.mktemp("film") / "film.mp4", seconds=3, fps=30)


def rows(out: Path) -> int:
    if not (out / "scores.db").exists():
        return 0
    with (
        contextlib.closing(sqlite3.connect(f"file:{out}/scores.db?mode=ro", uri=True)) as database,
        contextlib.suppress(sqlite3.OperationalError),  # the table is not made yet
    ):
        return int(database.execute("SELECT count(*) FROM scores").fetchone()[0])
    return 0


def test_sigkill_of_the_whole_process_leaves_a_whole_database_and_gallery(film: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out", 0
    chance = np.random.default_rng(1)
    for _ in range(TIMES):
        process = edge_nima(
            "watch", film, "--loop", "--realtime", "--threads", 1, "--out", out, "--keep", 2, "--every", "1s",
            "--likeness", "-1", env={"WATCHED_INTO": str(out)},
        )  # fmt: skip
        until(lambda n=before: rows(out) > n, what="no records after the restart")  # type: ignore[misc]
        time.sleep(float(chance.uniform(0, 1.2)))
        process.kill()
        process.communicate()
        held = rows(out)
        assert held >= before
        before = held
        with contextlib.closing(sqlite3.connect(out / "scores.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        gallery = Gallery(out)  # which removes what was cut short
        assert not list(out.glob("shots/*/*.new"))
        for shot in gallery.shots():
            with Image.open(shot.path) as image:
                image.load()
    assert len(Gallery(out).shots()) > 0
    # The workers end by themselves once their parent is gone.
    until(lambda: not left_behind(out), what="a worker was left behind")


def left_behind(out: Path) -> list[str]:
    """Processes that were started to watch into this folder, and their children."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"WATCHED_INTO={out}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
    return found


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/time.h>
static long set_by(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_SET_BY"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += set_by();
    return result;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return result;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
"""Sets the wall clock of one process, and that alone: by so many seconds as a file says."""


def set_clock(clock: Path, seconds: str) -> None:
    """In one step: a file that is empty for a moment would be a clock set twice."""
    new = clock.with_suffix(".new")
    new.write_text(seconds)
    new.replace(clock)


def test_a_clock_that_is_set_back_and_forth_breaks_no_window(film: Path, tmp_path: Path) -> None:
    library, clock, out = tmp_path / "clock.so", tmp_path / "clock", tmp_path / "out"
    subprocess.run(
        [needs("gcc"), "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], input=CLOCK.encode(), check=True
    )
    set_clock(clock, "0")
    process = edge_nima(
        "watch", film, "--loop", "--realtime", "--threads", 1, "--out", out, "--keep", 1, "--every", "1s",
        "--likeness", "-1", env={"LD_PRELOAD": str(library), "CLOCK_SET_BY": str(clock)},
    )  # fmt: skip
    try:
        until(lambda: rows(out) > 0)
        started = time.monotonic()
        for number in range(TIMES):
            set_clock(clock, ("-5184000", "3600", "0", "5184000")[number % 4])
            before = rows(out)
            until(lambda n=before: rows(out) > n + 10, what="no records after the clock was set")  # type: ignore[misc]
            time.sleep(0.4)
        seconds = time.monotonic() - started
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "lost" not in said
    shots = len(Gallery(out).shots())
    assert seconds * 0.6 < shots < seconds + 4, "windows were cut short or stretched"
    with contextlib.closing(sqlite3.connect(out / "scores.db")) as database:
        times = [at for (at,) in database.execute("SELECT taken_at FROM scores ORDER BY id")]
    jumps = np.abs(np.diff(times)) > 1800
    assert jumps.sum() == TIMES, "the clock was not really set"
