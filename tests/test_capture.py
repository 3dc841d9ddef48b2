"""Capture: a thread that reads and, whatever happens to the source, opens it again; and the slot it fills."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge_nima.frame import Frame
from edge_nima.watch import capture as module
from edge_nima.watch.capture import FIRST_WAIT_S, LONGEST_WAIT_S, Capture, Slot, backoff
from edge_nima.watch.fault_log import FaultLog
from fake_source import FakeSource


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(module, "GRACE_S", 0.1)


@pytest.fixture
def made() -> Iterator[Callable[..., tuple[Capture, Slot]]]:
    captures: list[Capture] = []

    def make(*sources: FakeSource, lost_after_s: float = 0.3) -> tuple[Capture, Slot]:
        slot = Slot()
        left = list(sources)
        captures.append(Capture(lambda: left.pop(0) if len(left) > 1 else left[0], slot, lost_after_s))
        captures[-1].start()
        return captures[-1], slot

    yield make
    for one in captures:
        one.close()


def until(condition: Callable[[], bool], capture: Capture | None = None, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        if capture is not None:
            capture.look()
        time.sleep(0.005)


def test_backoff_doubles_to_half_a_minute_and_half_of_it_is_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert [backoff(n, lambda: 1.0) for n in (1, 2, 3, 50)] == [
        FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, LONGEST_WAIT_S,
    ]  # fmt: skip
    assert backoff(3, lambda: 0.0) == 2 * FIRST_WAIT_S
    assert len({backoff(50) for _ in range(20)}) > 10


def test_a_film_is_read_in_step_and_its_end_is_noticed(made: Callable[..., tuple[Capture, Slot]]) -> None:
    capture, slot = made(FakeSource(*["frame"] * 20, drops=False))
    for _ in range(20):
        assert slot.take(2.0) is not None
    until(lambda: capture.ended)
    assert (slot.put_count, slot.dropped, capture.problem) == (20, 0, None)


def test_a_lost_source_is_closed_opened_again_and_counted(made: Callable[..., tuple[Capture, Slot]]) -> None:
    source = FakeSource("frame", "lost", "frame", "lost", every_s=0.005, then="frame")
    capture, _ = made(source)
    until(lambda: capture.reconnects == 2)
    assert source.opened == 3
    assert source.closed == 2
    assert capture.problem is None


def test_a_source_that_is_not_there_is_tried_until_it_is(made: Callable[..., tuple[Capture, Slot]]) -> None:
    source = FakeSource(every_s=0.005, then="frame")
    source.open_errors = ["no such host"] * 8
    capture, slot = made(source)
    until(lambda: capture.problem == "no such host")
    assert slot.put_count == 0
    until(lambda: slot.put_count > 0)
    assert source.opened == 9
    assert capture.problem is None


def test_a_drivers_own_error_is_a_lost_source_and_not_the_end(
    made: Callable[..., tuple[Capture, Slot]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    capture, slot = made(FakeSource("frame", "bug", every_s=0.005, then="frame"))
    until(lambda: capture.reconnects == 1 and slot.put_count > 2)
    assert "ZeroDivisionError" in caplog.text


def test_a_source_that_cannot_be_made_is_tried_again() -> None:
    calls = []

    def make() -> FakeSource:
        calls.append(1)
        if len(calls) < 4:
            raise ValueError("in a driver")
        return FakeSource(every_s=0.005, then="frame")

    capture = Capture(make, Slot(), 1.0)
    capture.start()
    until(lambda: capture.delivered > 2, capture)
    capture.close()


def test_a_fault_is_logged_once_a_minute_whatever_numbers_it_has(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    faults = FaultLog(lambda: now[0])
    for number in range(100):
        faults.log(logging.WARNING, f"a damaged frame: {number} bytes")
        now[0] += 1.0
    assert caplog.messages == ["a damaged frame: 0 bytes", "a damaged frame: 60 bytes (59 more since)"]


def test_a_damaged_frame_is_counted_and_the_next_one_is_taken(made: Callable[..., tuple[Capture, Slot]]) -> None:
    capture, slot = made(FakeSource("frame", "damaged", "damaged", "frame", every_s=0.005, then="frame"))
    until(lambda: slot.put_count >= 3)
    assert capture.damaged == 2
    assert capture.reconnects == 0


def test_nothing_but_damaged_frames_is_a_lost_source(made: Callable[..., tuple[Capture, Slot]]) -> None:
    source = FakeSource(every_s=0.02, then="damaged")
    capture, _ = made(source, lost_after_s=0.2)
    until(lambda: (capture.problem or "").startswith("only damaged frames for 0.2 s"))
    until(lambda: source.opened > 1)


def test_silence_is_noticed_after_its_time(made: Callable[..., tuple[Capture, Slot]]) -> None:
    source = FakeSource("frame", "hang", then="frame")
    capture, slot = made(source, lost_after_s=0.2)
    until(lambda: slot.put_count == 1)
    started = time.monotonic()
    until(lambda: capture.problem is not None, capture)
    assert time.monotonic() - started > 0.1
    assert str(capture.problem).startswith("no frame for")
    source.release.set()


def test_silence_that_is_normal_is_none(made: Callable[..., tuple[Capture, Slot]]) -> None:
    source = FakeSource(then="quiet")
    capture, _ = made(source, lost_after_s=0.1)
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        capture.look()
        assert capture.problem is None
        time.sleep(0.01)
    assert source.reads > 10


def test_a_read_that_never_returns_is_given_up_and_the_source_made_anew(
    made: Callable[..., tuple[Capture, Slot]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stuck, good = FakeSource("frame", "hang"), FakeSource(every_s=0.01, then="frame")
    capture, slot = made(stuck, good, lost_after_s=0.1)
    until(lambda: good.reads > 3, capture)
    until(lambda: capture.problem is None, capture)
    assert "hangs" in caplog.text
    before = slot.put_count
    stuck.release.set()  # it comes back after all: closed, and its frame is not let in
    until(lambda: stuck.closed == 1)
    until(lambda: slot.put_count > before)
    assert not capture.hopeless


def test_when_every_read_hangs_it_says_that_it_is_hopeless(
    made: Callable[..., tuple[Capture, Slot]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ABANDONED", 2)
    source = FakeSource(then="hang")
    capture, _ = made(source, lost_after_s=0.05)
    until(lambda: capture.hopeless, capture)
    assert source.opened >= 3
    source.release.set()
    until(lambda: not capture.hopeless)


def test_closing_ends_the_thread_and_the_source() -> None:
    source = FakeSource(every_s=0.01, then="frame")
    before = set(threading.enumerate())
    capture = Capture(lambda: source, Slot(), 1.0)
    capture.start()
    time.sleep(0.05)
    capture.close()
    assert set(threading.enumerate()) <= before
    assert source.closed >= 1


# --- the slot -------------------------------------------------------------------------------------------------------


def frame(number: int, closed: list[int] | None = None) -> Frame:
    release = None if closed is None else lambda: closed.append(number)
    return Frame(np.zeros((1, 1, 3), np.uint8), str(number), release=release)


def test_only_the_newest_frame_waits_and_what_it_replaced_is_counted_and_given_back() -> None:
    slot, closed = Slot(), []
    for number in range(5):
        slot.put(frame(number, closed))
    taken = slot.take(0)
    assert taken is not None
    assert taken.name == "4"
    assert (slot.put_count, slot.dropped, closed) == (5, 4, [0, 1, 2, 3])
    assert slot.take(0) is None


def test_in_step_nothing_is_dropped_and_everything_comes_in_order() -> None:
    slot, names = Slot(), []

    def fill() -> None:
        for number in range(50):
            assert slot.put_in_step(frame(number), 5.0)

    thread = threading.Thread(target=fill)
    thread.start()
    while len(names) < 50:
        taken = slot.take(5.0)
        assert taken is not None
        names.append(taken.name)
    thread.join()
    assert names == [str(number) for number in range(50)]
    assert slot.dropped == 0


def test_in_step_gives_up_after_its_time_and_when_the_slot_is_closed() -> None:
    slot = Slot()
    assert slot.put_in_step(frame(0), 0.0)
    started = time.monotonic()
    assert not slot.put_in_step(frame(1), 0.05)
    assert time.monotonic() - started > 0.04
    threading.Timer(0.05, slot.close).start()
    assert not slot.put_in_step(frame(1), 5.0)


def test_a_frame_is_not_taken_before_its_time_and_the_newest_is_taken_then() -> None:
    slot = Slot()
    slot.put(frame(0))
    not_before = time.monotonic() + 0.15
    assert slot.take(0.02, not_before) is None
    threading.Timer(0.05, slot.put, [frame(1)]).start()
    taken = slot.take(5.0, not_before)
    assert taken is not None
    assert taken.name == "1"
    assert time.monotonic() >= not_before
    assert slot.dropped == 1


def test_taking_waits_for_a_frame_and_ends_with_its_time() -> None:
    slot = Slot()
    threading.Timer(0.05, slot.put, [frame(7)]).start()
    taken = slot.take(5.0)
    assert taken is not None
    assert taken.name == "7"
    started = time.monotonic()
    assert slot.take(0.05) is None
    assert time.monotonic() - started >= 0.05


def test_closing_gives_back_what_it_holds_and_lets_everybody_go() -> None:
    slot, closed = Slot(), []
    slot.put(frame(3, closed))
    slot.close()
    assert closed == [3]
    started = time.monotonic()
    assert slot.take(600) is None
    assert time.monotonic() - started < 300
