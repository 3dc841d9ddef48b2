"""The model in a process of its own: the same scores, and a hang or a death that costs one frame."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima import open_scorer
from edge_nima.errors import ModelError, PictureError
from edge_nima.frame import Frame
from edge_nima.scorer import ModelFile, load_model
from edge_nima.watch import worker as module
from edge_nima.watch.worker import RESTARTS_A_MINUTE, WorkerLost, WorkerProcess

RGB = np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return load_model()


@pytest.fixture
def process(model: ModelFile) -> Iterator[WorkerProcess]:
    made = WorkerProcess(model, 1, stuck_after_s=60)
    yield made
    made.close()


@contextlib.contextmanager
def threads(count: int, target: Callable[[int], object]) -> Iterator[None]:
    """That many call it with their number; they have ended where the block has."""
    running = [threading.Thread(target=target, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    yield
    for thread in running:
        thread.join(60)
        assert not thread.is_alive()


def test_it_scores_to_the_bit_as_a_scorer_does(process: WorkerProcess, model: ModelFile) -> None:
    scorer = open_scorer(model, 1)
    for seed in range(3):
        rgb = np.random.default_rng(seed).integers(0, 256, (90 + seed, 130, 3), dtype=np.uint8)
        ours, theirs = process.score(Frame(rgb, "a"), "x"), scorer.score(Frame(rgb, "x"))
        assert replace(ours, elapsed_ms=0) == replace(theirs, elapsed_ms=0)


def test_threads_are_chosen_by_measuring_when_they_are_not_given(model: ModelFile) -> None:
    with contextlib.closing(WorkerProcess(model)) as made:
        made.start()
        assert made.threads in range(1, 5)


def test_a_worker_that_hangs_is_replaced_and_costs_one_frame(model: ModelFile) -> None:
    with contextlib.closing(WorkerProcess(model, 1, stuck_after_s=2)) as process:
        before = process.score(Frame(RGB))
        stuck = process.pid or 0
        os.kill(stuck, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(WorkerLost, match="hangs"):
            process.score(Frame(RGB))
        assert time.monotonic() - started > 1.9
        assert process.score(Frame(RGB)).distribution == before.distribution
        assert process.restarts == 1
        assert process.pid not in (None, stuck)
        with pytest.raises(ProcessLookupError):
            os.kill(stuck, 0)


def test_a_worker_that_is_killed_is_replaced_and_the_signal_is_named(process: WorkerProcess) -> None:
    process.score(Frame(RGB))
    os.kill(process.pid or 0, signal.SIGILL)
    with pytest.raises(WorkerLost, match=f"signal {int(signal.SIGILL)}"):
        process.score(Frame(RGB))
    assert process.score(Frame(RGB)).mean is not None


def test_after_five_restarts_in_a_minute_it_waits_and_says_how_long(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.score(Frame(RGB))
    for _ in range(RESTARTS_A_MINUTE):
        os.kill(process.pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="died"):
            process.score(Frame(RGB))
        process.score(Frame(RGB))
    os.kill(process.pid or 0, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="died"):
        process.score(Frame(RGB))
    with pytest.raises(WorkerLost, match="5 times within a minute; the next try is in") as error:
        process.score(Frame(RGB))
    assert 0 < error.value.wait_s <= 60
    real = time.monotonic
    monkeypatch.setattr(module, "monotonic", lambda: real() + 61)
    assert process.score(Frame(RGB)).mean is not None


def test_a_wait_ends_when_it_is_no_longer_wanted(model: ModelFile) -> None:
    wanted = threading.Event()
    made = WorkerProcess(model, 1, stuck_after_s=30, wanted=lambda: not wanted.is_set())
    with contextlib.closing(made):
        made.score(Frame(RGB))
        os.kill(made.pid or 0, signal.SIGSTOP)
        threading.Timer(0.2, wanted.set).start()
        with pytest.raises(WorkerLost, match="stopped"):  # and not that it hangs
            made.score(Frame(RGB))


def test_a_model_that_the_runtime_refuses_is_a_model_error(model: ModelFile) -> None:
    made = WorkerProcess(ModelFile(b"\0\0\0\0TFL3" + bytes(64), model.card, "0" * 64), 1)
    with contextlib.closing(made), pytest.raises(ModelError):
        made.start()


def test_four_cameras_share_a_worker_and_each_gets_its_own_scores(process: WorkerProcess, model: ModelFile) -> None:
    pictures = [np.full((40, 60, 3), 60 * number, np.uint8) + RGB[:40, :60] // 8 for number in range(4)]
    scorer = open_scorer(model, 1)
    expected = [scorer.score(Frame(rgb)).distribution for rgb in pictures]
    assert len(set(expected)) == 4
    wrong: list[int] = []

    def watch(number: int) -> None:
        for _ in range(20):
            record = process.score(Frame(pictures[number]), f"camera {number}")
            if (record.name, record.distribution) != (f"camera {number}", expected[number]):
                wrong.append(number)

    with threads(4, watch):
        pass
    assert not wrong
    assert process.restarts == 0


def test_waiting_for_other_cameras_does_not_count_as_stuck(model: ModelFile) -> None:
    """Eight threads wait while the worker is stopped: one hang, one restart, one frame lost, and the others score."""
    process, lost, scores = WorkerProcess(model, 1, stuck_after_s=2), [], []

    def watch(number: int) -> None:
        try:
            scores.append(process.score(Frame(RGB)))
        except WorkerLost as error:
            lost.append(error)

    with contextlib.closing(process):
        process.score(Frame(RGB))
        os.kill(process.pid or 0, signal.SIGSTOP)
        with threads(8, watch):
            pass
    assert (len(lost), len(scores), process.restarts) == (1, 7, 1)


def test_killed_eight_times_under_four_cameras_each_goes_on(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTARTS_A_MINUTE", 100)
    process, done, lost, scores = WorkerProcess(model, 1, stuck_after_s=20), threading.Event(), [], [0] * 4

    def watch(number: int) -> None:
        while not done.is_set():
            try:
                process.score(Frame(RGB))
                scores[number] += 1
            except WorkerLost as error:
                lost.append(error)

    with contextlib.closing(process):
        process.start()
        with threads(4, watch):
            for times in range(1, 9):
                before = [*scores]
                os.kill(process.pid or 0, signal.SIGKILL)
                end = time.monotonic() + 60
                while process.restarts < times or any(now <= then for now, then in zip(scores, before, strict=True)):
                    assert time.monotonic() < end, f"stands after kill {times}: {lost[-1]}"
                    time.sleep(0.01)
            done.set()
    assert len(lost) == process.restarts == 8


def test_closing_ends_a_call_that_waits(model: ModelFile) -> None:
    process = WorkerProcess(model, 1, stuck_after_s=60)
    process.start()
    os.kill(process.pid or 0, signal.SIGSTOP)
    threading.Timer(0.3, process.close).start()
    with pytest.raises(WorkerLost, match="died"):
        process.score(Frame(RGB))
    until = time.monotonic() + 5
    while process.pid is not None:
        assert time.monotonic() < until


def test_pixels_that_are_none_are_refused_and_the_worker_stays(process: WorkerProcess) -> None:
    process.score(Frame(RGB))
    pid = process.pid
    with pytest.raises(PictureError, match="float64"):
        process.score(Frame(RGB / 2))  # type: ignore[arg-type]
    assert process.score(Frame(RGB)).mean is not None
    assert process.pid == pid


PARENT = """
import sys, time
from edge_nima.scorer import load_model
from edge_nima.watch.worker import WorkerProcess
made = WorkerProcess(load_model(), 1)
made.start()
print(made.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


def test_the_worker_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, "600"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().strip() / "cmdline"
        assert "edge_nima.watch.worker" in worker.read_text()
        parent.kill()
    for _ in range(600):
        if not worker.exists() or not worker.read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlives its parent")


def test_a_program_that_forgets_to_close_ends() -> None:
    assert subprocess.run([sys.executable, "-c", PARENT, "0"], timeout=60).returncode == 0


def test_signals_of_the_service_do_not_reach_the_worker(process: WorkerProcess) -> None:
    process.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process.pid or 0, number)
    assert process.score(Frame(RGB)).mean is not None
    assert process.restarts == 0


def test_closing_leaves_no_process_file_or_map_behind(model: ModelFile) -> None:
    for _ in range(4):  # the first brings modules in
        before = len(os.listdir("/proc/self/fd"))
        made = WorkerProcess(model, 1)
        made.score(Frame(RGB))
        pid = made.pid
        made.close()
        made.close()
        after = len(os.listdir("/proc/self/fd"))
    assert after == before
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)
