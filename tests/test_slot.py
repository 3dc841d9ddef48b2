"""The slot between capture and scoring."""

from __future__ import annotations

import threading
import time

import numpy as np

from edge_nima.frames import Frame
from edge_nima.watch.slot import Slot


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
