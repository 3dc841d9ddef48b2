"""The model in a process of its own: the same scores, and a hang or a death that costs one frame."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima import open_scorer
from edge_nima.errors import ModelError, PictureError, RequestError
from edge_nima.frames import Frame
from edge_nima.scorer import ModelFile, load_model
from edge_nima.watch import scoring
from edge_nima.watch.scoring import RESTARTS_A_MINUTE, ScoringProcess, WorkerLost
from watching import until

RGB = np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return load_model()


@pytest.fixture
def process(model: ModelFile) -> Iterator[ScoringProcess]:
    made = ScoringProcess(model, 1, stuck_after_s=60)
    yield made
    made.close()


def test_it_scores_to_the_bit_as_a_scorer_does(process: ScoringProcess, model: ModelFile) -> None:
    scorer = open_scorer(model, 1)
    for seed in range(3):
        rgb = np.random.default_rng(seed).integers(0, 256, (90 + seed, 130, 3), dtype=np.uint8)
        ours, theirs = process.score(Frame(rgb, "x")), scorer.score(Frame(rgb, "x"))
        assert replace(ours, elapsed_ms=0) == replace(theirs, elapsed_ms=0)


def test_a_name_that_is_given_goes_before_the_frames_own(process: ScoringProcess) -> None:
    assert process.score(Frame(RGB, "a")).name == "a"
    assert process.score(Frame(RGB, "a"), "b").name == "b"


def test_threads_are_chosen_by_measuring_when_they_are_not_given(model: ModelFile) -> None:
    made = ScoringProcess(model)
    try:
        made.start()
        assert made.threads in range(1, 5)
    finally:
        made.close()


def test_a_worker_that_hangs_is_replaced_and_costs_one_frame(model: ModelFile) -> None:
    with contextlib.closing(ScoringProcess(model, 1, stuck_after_s=2)) as process:
        hang(process)


def hang(process: ScoringProcess) -> None:
    before = process.score(Frame(RGB))
    stuck = process.pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(WorkerLost, match="hangs"):
        process.score(Frame(RGB))
    assert time.monotonic() - started > 1.9
    after = process.score(Frame(RGB))
    assert after.distribution == before.distribution
    assert process.restarts == 1
    assert process.pid not in (None, stuck)
    with pytest.raises(ProcessLookupError):
        os.kill(stuck, 0)


def test_a_worker_that_is_killed_is_replaced_and_the_signal_is_named(process: ScoringProcess) -> None:
    process.score(Frame(RGB))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGILL)
    with pytest.raises(WorkerLost, match=f"signal {int(signal.SIGILL)}"):
        process.score(Frame(RGB))
    assert process.score(Frame(RGB)).mean is not None


def test_after_five_restarts_in_a_minute_it_waits_and_says_how_long(
    process: ScoringProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.score(Frame(RGB))
    for _ in range(RESTARTS_A_MINUTE):
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
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
    monkeypatch.setattr(scoring, "monotonic", lambda: real() + 61)
    assert process.score(Frame(RGB)).mean is not None


def test_a_wait_ends_when_it_is_no_longer_wanted(model: ModelFile) -> None:
    wanted = threading.Event()
    made = ScoringProcess(model, 1, stuck_after_s=30, wanted=lambda: not wanted.is_set())
    try:
        made.score(Frame(RGB))
        os.kill(made.pid or 0, signal.SIGSTOP)
        threading.Timer(0.2, wanted.set).start()
        with pytest.raises(WorkerLost, match="stopped"):  # and not that it hangs
            made.score(Frame(RGB))
    finally:
        made.close()


def test_a_model_that_the_runtime_refuses_is_a_model_error(model: ModelFile) -> None:
    made = ScoringProcess(ModelFile(b"\0\0\0\0TFL3" + bytes(64), model.card, "0" * 64), 1)
    try:
        with pytest.raises(ModelError):
            made.start()
    finally:
        made.close()


def test_pixels_that_are_none_are_refused_and_the_worker_stays(process: ScoringProcess) -> None:
    process.score(Frame(RGB))
    pid = process.pid
    with pytest.raises(PictureError, match="float64"):
        process.score(Frame(RGB / 2))  # type: ignore[arg-type]
    assert process.score(Frame(RGB)).mean is not None
    assert process.pid == pid


PARENT = """
import time
from edge_nima.scorer import load_model
from edge_nima.watch.scoring import ScoringProcess
made = ScoringProcess(load_model(), 1)
made.start()
print(made.pid, flush=True)
time.sleep(600)
"""


def test_the_worker_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().strip() / "cmdline"
        assert "edge_nima" in worker.read_text()
        parent.kill()
    until(lambda: not worker.exists() or not worker.read_text())


def test_closing_leaves_no_process_file_or_map_behind(model: ModelFile) -> None:
    for _ in range(2):  # the first brings modules in
        before = len(os.listdir("/proc/self/fd"))
        made = ScoringProcess(model, 1)
        made.score(Frame(RGB))
        pid = made.pid
        made.close()
        made.close()
        after = len(os.listdir("/proc/self/fd"))
    assert after == before
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


def test_threads_below_one_are_refused(model: ModelFile) -> None:
    with pytest.raises(RequestError, match="threads is 0"):
        ScoringProcess(model, 0)
