"""The camera loop."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import ModelError, SourceError
from edge_nima.frames import Frame
from edge_nima.watch import capture as capture_module
from edge_nima.watch import watcher as module
from edge_nima.watch.events import Health, Listener, Scored, State
from edge_nima.watch.health import Board
from edge_nima.watch.keeper import Keeper, Wishes
from edge_nima.watch.notify import Notifier
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.scoring import WorkerLost
from edge_nima.watch.shots import Gallery
from edge_nima.watch.store import open_store
from edge_nima.watch.watcher import Plan, Watcher, utc
from fake_source import FakeSource
from watching import FakeScoring, Memory, running, until


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)


def watcher(source: FakeSource, scoring: FakeScoring | None = None, plan: Plan = Plan(), **more: object) -> Watcher:  # noqa: B008
    return Watcher(lambda: source, scoring or FakeScoring(), plan, model="fake@ffffffff", **more)  # type: ignore[arg-type]


def test_every_frame_of_a_film_is_scored_once_and_it_ends() -> None:
    memory = Memory()
    made = watcher(FakeSource(*["frame"] * 40, live=False), listeners=[memory])
    made.run()
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
    source = FakeSource("frame", "frame", live=False)
    watcher(source, listeners=[memory], camera="garden").run()
    first = memory.scores[0]
    assert first.record.name == f"garden/{utc(first.taken_at)}"
    assert first.camera == "garden"
    assert utc(1764000000.1234) == "2025-11-24T16:00:00.123Z"


def test_fps_holds_on_average_and_the_rest_is_counted() -> None:
    source, memory = FakeSource(every_s=0.004, then="frame"), Memory()
    started = time.monotonic()
    with running(watcher(source, plan=Plan(fps=20), listeners=[memory])) as made:
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
    made = watcher(Film(*["frame"] * 250, live=False), plan=Plan(fps=5), listeners=[memory])
    made.run()
    assert made.status().counts.scored == 50
    assert made.status().counts.dropped == 200


def test_still_frames_are_left_out_and_counted() -> None:
    source = FakeSource(*["frame"] * 30, live=False)

    def every_tenth(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        rgb = np.full((48, 64, 3), 80, np.uint8)
        rgb[:, : 6 * ((number - 1) // 10)] = 200
        return rgb

    source.rgb = every_tenth
    made = watcher(source, plan=Plan(still_threshold=2.0))
    made.run()
    assert (made.status().counts.scored, made.status().counts.still) == (3, 27)


def test_it_stops_after_its_frames_and_after_its_time() -> None:
    made = watcher(FakeSource(then="frame", live=False), plan=Plan(max_frames=7))
    made.run()
    assert made.status().counts.scored == 7
    started = time.monotonic()
    watcher(FakeSource(every_s=0.01, then="frame"), plan=Plan(duration_s=0.3)).run()
    assert time.monotonic() - started > 0.25


def test_a_lost_source_is_told_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    memory = Memory()
    source = FakeSource(*["frame"] * 10, "hang", every_s=0.005, then="frame")
    with running(watcher(source, plan=Plan(lost_after_s=0.2), listeners=[memory])) as made:
        until(lambda: made.status().state is State.lost)
        assert "no frame for" in str(made.status().problem)
        source.release.set()
        until(lambda: made.status().state is State.watching)
        assert made.status().problem is None
    assert memory.states[-4:] == ["watching", "lost", "watching", "stopped"]
    assert made.status().counts.lost == 1
    assert "the source is lost" in caplog.text


def test_a_frame_that_cannot_be_scored_is_a_record_with_its_error(tmp_path: Path) -> None:
    memory, scoring = Memory(), FakeScoring()
    scoring.errors = [ModelError("no distribution"), WorkerLost("it hangs")]
    recorder = Recorder(open_store("sqlite", tmp_path))
    made = watcher(FakeSource(*["frame"] * 5, live=False), scoring, listeners=[memory], recorder=recorder)
    made.run()
    counts = made.status().counts
    assert (counts.scored, counts.failed, counts.recorded) == (3, 2, 5)
    assert [scored.record.error for scored in memory.scores] == ["no distribution", "it hangs", None, None, None]
    assert made.status().problem is None


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
    watcher(FakeSource(*["frame"] * 3, live=False), listeners=[Bad(), memory]).run()
    assert len(memory.scores) == 3
    assert "ZeroDivisionError" in caplog.text


def test_a_hot_board_slows_it_down_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hot(Board):
        throttled = True

        def read(self) -> Health:
            return Health(time.time(), 84.0, self.throttled)

    monkeypatch.setattr(module, "HEALTH_EVERY_S", 0.05)
    board = Hot()
    with running(watcher(FakeSource(every_s=0.002, then="frame"), FakeScoring(seconds=0.01), board=board)) as made:
        until(lambda: made._pace < 0.2)
        started, before = time.monotonic(), made.status().counts.scored
        until(lambda: made.status().counts.scored >= before + 5)
        assert time.monotonic() - started > 0.1  # a fifth of the rate that the 10 ms of scoring would allow, at most
        board.throttled = False
        until(lambda: made._pace == 1.0)
        assert made.status().health is not None
    assert "throttled: the rate is reduced" in caplog.text
    assert "no longer throttled" in caplog.text


def test_the_best_of_each_window_is_kept_with_its_score(tmp_path: Path) -> None:
    memory = Memory()
    means = [5.0] * 30
    means[3], means[11], means[25] = 7.0, 8.0, 6.0
    source = FakeSource(*["frame"] * 30, every_s=0.02, live=True)
    keeper = Keeper(Gallery(tmp_path), Wishes(keep=1, every_s=0.2, likeness=-1), [memory])
    scoring = FakeScoring(lambda number: means[number - 1])
    watcher(source, scoring, keeper=keeper, listeners=[memory]).run()
    until(lambda: len(memory.shots) >= 3)
    assert {7.0, 8.0, 6.0} <= {shot.mean for shot in memory.shots}
    assert all(shot.path.is_file() for shot in memory.shots)
    assert len(memory.shots) <= 5


def test_stopping_keeps_the_window_that_is_open(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), Wishes(keep=2, every_s=3600, likeness=-1))
    recorder = Recorder(open_store("sqlite", tmp_path))
    with running(watcher(FakeSource(every_s=0.005, then="frame"), keeper=keeper, recorder=recorder)) as made:
        until(lambda: made.status().counts.scored > 20)
        made.stop()
        until(lambda: made.status().state is State.stopped)  # and not after an hour
    counts = made.status().counts
    assert counts.shots == len(list(tmp_path.glob("shots/*/*.jpg"))) == 2
    assert counts.recorded == counts.scored


def test_a_source_that_hangs_in_its_driver_for_good_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "GRACE_S", 0.02)
    monkeypatch.setattr(capture_module, "MOST_GIVEN_UP", 1)
    source = FakeSource(then="hang")
    with pytest.raises(SourceError, match="start again"):
        watcher(source, plan=Plan(lost_after_s=0.05)).run()
    source.release.set()


def test_the_service_manager_hears_of_it_all() -> None:
    class Heard(Notifier):
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []

        def ready(self) -> None:
            self.words.append("ready")

        def alive(self) -> None:
            self.words.append("alive")

        def status(self, text: str) -> None:
            self.words.append(text)

        def stopping(self) -> None:
            self.words.append("stopping")

    heard = Heard()
    watcher(FakeSource(*["frame"] * 5, live=False, every_s=0.02), notifier=heard).run()
    assert heard.words[0] == "ready"
    assert "fake: watching" in heard.words
    assert heard.words.index("stopping") < heard.words.index("fake: stopped")
    assert heard.words.count("alive") > 2


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        keeper = Keeper(Gallery(tmp_path), Wishes(keep=1))
        recorder = Recorder(open_store("jsonl", tmp_path))
        watcher(FakeSource(*["frame"] * 5, live=False), keeper=keeper, recorder=recorder).run()
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
        source = FakeSource(*["frame"] * 3, live=live)
        source.rgb = lambda _, size=rgb: np.zeros((*size, 3), np.uint8)  # type: ignore[misc]
        watcher(source, longest_edge=longest_edge).run()
        said = [line for line in caplog.messages if "reduced" in line]
        assert len(said) == lines
        assert all("641x480" in line and "second stream" in line for line in said)
