"""The camera loop."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import ModelError
from edge_nima.frame import Frame
from edge_nima.selection import KeepPolicy
from edge_nima.watch import capture as capture_module
from edge_nima.watch import loop as module
from edge_nima.watch.events import Listener, Scored, State
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.keeper import Keeper
from edge_nima.watch.loop import Watcher, WatchLimits
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.records import Records
from edge_nima.watch.units import utc_text
from edge_nima.watch.worker import WorkerLost
from fake_source import FakeSource
from watching import FakeScoring, Memory, running, until


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)


def watcher(
    source: FakeSource, scoring: FakeScoring | None = None, plan: WatchLimits | None = None, **more: object
) -> Watcher:
    return Watcher(lambda: source, scoring or FakeScoring(), plan or WatchLimits(), model="fake@ffffffff", **more)  # type: ignore[arg-type]


def finish(watcher: Watcher) -> None:
    """Run it to its end, as a service does."""
    with running(watcher):
        until(lambda: watcher.ended)
        watcher.look()
    watcher.tell(State.stopped)


def test_every_frame_of_a_film_is_scored_once_and_it_ends() -> None:
    memory = Memory()
    made = watcher(FakeSource(*["frame"] * 40, drops=False), listeners=[memory])
    finish(made)
    counts = made.status().counts
    assert (counts.captured, counts.scored, counts.dropped, len(memory.scores)) == (40, 40, 0, 40)
    assert memory.states[-1] == "stopped"
    assert made.status().state is State.stopped


def test_a_live_source_that_is_faster_than_scoring_loses_frames_and_counts_them() -> None:
    source = FakeSource(every_s=0.005, then="frame")
    with running(watcher(source, FakeScoring(seconds=0.03))) as made:
        until(lambda: made.status().counts.scored >= 20)
    counts = made.status().counts
    assert counts.dropped > counts.scored
    assert 0 <= counts.captured - counts.scored - counts.dropped <= 1  # one may lie in the slot


def test_the_newest_score_is_never_older_than_two_inferences() -> None:
    source, memory = FakeSource(every_s=1 / 30, then="frame"), Memory()
    with running(watcher(source, FakeScoring(seconds=0.08), listeners=[memory])):
        until(lambda: len(memory.scores) >= 25)
    assert max(scored.age_ms for scored in memory.scores) < 2 * 80 + 20


def test_names_say_camera_and_time_and_those_of_files_stay() -> None:
    memory = Memory()
    source = FakeSource("frame", "frame", drops=False)
    finish(watcher(source, listeners=[memory], camera="garden"))
    first = memory.scores[0]
    assert first.record.name == f"garden/{utc_text(first.taken_at)}"
    assert first.camera == "garden"
    assert utc_text(1764000000.1234) == "2025-11-24T16:00:00.123Z"


def test_fps_holds_on_average_and_the_rest_is_counted() -> None:
    source, memory = FakeSource(every_s=0.004, then="frame"), Memory()
    started = time.monotonic()
    with running(watcher(source, plan=WatchLimits(fps=20), listeners=[memory])) as made:
        until(lambda: len(memory.scores) >= 30)
    seconds = time.monotonic() - started
    assert seconds > 1.2
    assert made.status().counts.dropped > 30


def test_fps_of_a_film_is_by_the_films_own_time() -> None:
    class Film(FakeSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return None if frame is None else replace(frame, taken_mono=100 + self.reads / 25)

    memory = Memory()
    made = watcher(Film(*["frame"] * 250, drops=False), plan=WatchLimits(fps=5), listeners=[memory])
    finish(made)
    assert made.status().counts.scored == 50
    assert made.status().counts.dropped == 200


def test_still_frames_are_left_out_and_counted() -> None:
    source = FakeSource(*["frame"] * 30, drops=False)

    def every_tenth(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        rgb = np.full((48, 64, 3), 80, np.uint8)
        rgb[:, : 6 * ((number - 1) // 10)] = 200
        return rgb

    source.rgb = every_tenth
    made = watcher(source, plan=WatchLimits(still_threshold=2.0))
    finish(made)
    assert (made.status().counts.scored, made.status().counts.still) == (3, 27)


def test_it_stops_after_its_frames_and_after_its_time() -> None:
    made = watcher(FakeSource(then="frame", drops=False), plan=WatchLimits(max_frames=7))
    finish(made)
    assert made.status().counts.scored == 7
    started = time.monotonic()
    finish(watcher(FakeSource(every_s=0.01, then="frame"), plan=WatchLimits(duration_s=0.3)))
    assert time.monotonic() - started > 0.25


def test_a_lost_source_is_told_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    memory = Memory()
    source = FakeSource(*["frame"] * 10, "hang", every_s=0.005, then="frame")
    with running(watcher(source, plan=WatchLimits(lost_after_s=0.2), listeners=[memory])) as made:
        until(lambda: made.status().state is State.lost)
        assert "no frame for" in str(made.status().problem)
        source.release.set()
        until(lambda: made.status().state is State.watching)
        assert made.status().problem is None
    assert memory.states[-3:] == ["watching", "lost", "watching"]
    assert made.status().counts.lost == 1
    assert "the source is lost" in caplog.text


def test_a_frame_that_cannot_be_scored_is_a_record_with_its_error(tmp_path: Path) -> None:
    memory, scoring = Memory(), FakeScoring()
    scoring.errors = [ModelError("no distribution"), WorkerLost("it hangs")]
    recorder = Recorder(Records(tmp_path))
    made = watcher(FakeSource(*["frame"] * 5, every_s=0.05), scoring, listeners=[memory], recorder=recorder)
    finish(made)
    recorder.close()
    counts = made.status().counts
    assert (counts.scored, counts.failed, counts.recorded) == (3, 2, 5)
    assert [scored.record.error for scored in memory.scores] == ["no distribution", "it hangs", None, None, None]
    assert made.status().problem is None


def test_a_file_is_scored_again_when_the_worker_was_lost_and_left_with_its_error_the_third_time() -> None:
    memory, scoring = Memory(), FakeScoring()
    scoring.errors = [WorkerLost("it hangs")] * 2 + [ModelError("no distribution")] + [WorkerLost("it died")] * 3
    finish(watcher(FakeSource(*["frame"] * 4, drops=False), scoring, listeners=[memory]))
    assert [scored.record.error for scored in memory.scores] == ["no distribution", "it died", None, None]


def test_while_the_worker_may_not_be_started_no_frames_are_burnt() -> None:
    scoring = FakeScoring()
    scoring.errors = [WorkerLost("too often", wait_s=0.3)]
    started = time.monotonic()
    with running(watcher(FakeSource(every_s=0.005, then="frame"), scoring)) as made:
        until(lambda: made.status().counts.scored > 0)
        assert time.monotonic() - started > 0.3
        assert made.status().counts.failed == 1


def test_a_listener_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Listener):
        def scored(self, scored: Scored, frame: Frame) -> None:
            raise ZeroDivisionError("mine")

    memory = Memory()
    finish(watcher(FakeSource(*["frame"] * 3, drops=False), listeners=[Bad(), memory]))
    assert len(memory.scores) == 3
    assert "ZeroDivisionError" in caplog.text


def test_the_best_of_each_window_is_kept_with_its_score(tmp_path: Path) -> None:
    memory = Memory()
    means = [5.0] * 30
    means[3], means[11], means[25] = 7.0, 8.0, 6.0
    source = FakeSource(*["frame"] * 30, every_s=0.02, drops=True)
    keeper = Keeper(Gallery(tmp_path), KeepPolicy(keep=1, every_s=0.2, likeness=-1), "fake", [memory])
    scoring = FakeScoring(lambda number: means[number - 1])
    finish(watcher(source, scoring, keeper=keeper, listeners=[memory]))
    keeper.finish(60)
    until(lambda: len(memory.shots) >= 3)
    assert {7.0, 8.0, 6.0} <= {shot.mean for shot in memory.shots}
    assert all(shot.path.is_file() for shot in memory.shots)
    assert len(memory.shots) <= 5


def test_stopping_keeps_the_window_that_is_open(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), KeepPolicy(keep=2, every_s=3600, likeness=-1), "fake")
    with running(watcher(FakeSource(every_s=0.005, then="frame"), keeper=keeper)) as made:
        until(lambda: made.status().counts.scored > 20)
    assert keeper.finish(60) == 0  # and not after an hour
    assert made.status().counts.shots == len(list(tmp_path.glob("shots/*/*.jpg"))) == 2


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        keeper = Keeper(Gallery(tmp_path), KeepPolicy(keep=1), "fake")
        recorder = Recorder(Records(tmp_path))
        finish(watcher(FakeSource(*["frame"] * 5, drops=False), keeper=keeper, recorder=recorder))
        keeper.finish(60)
        recorder.close(60)
    assert set(threading.enumerate()) <= before


def test_live_frames_above_the_longest_edge_are_said_once_and_those_of_a_file_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    for live, rgb, longest_edge, lines in (
        (True, (480, 641), 640, 1),
        (True, (480, 640), 640, 0),
        (True, (480, 641), None, 0),
        (False, (480, 641), 640, 0),
    ):
        caplog.clear()
        source = FakeSource(*["frame"] * 3, drops=live)
        source.rgb = lambda _, size=rgb: np.zeros((*size, 3), np.uint8)  # type: ignore[misc]
        finish(watcher(source, longest_edge=longest_edge))
        said = [line for line in caplog.messages if "reduced" in line]
        assert len(said) == lines
        assert all("641x480" in line and "second stream" in line for line in said)
