"""The thread that writes records: nobody waits for it, and what it cannot write it holds or counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_nima.errors import OutputError
from edge_nima.watch import recorder as module
from edge_nima.watch.events import Scored
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.store import open_store
from storing import filled, scored, small_disk
from watching import until


class FakeStore:
    """Remembers what it was given; blocks, is full or has a bug when a test says so."""

    def __init__(self) -> None:
        self.batches: list[list[Scored]] = []
        self.events: list[tuple[float, str, str]] = []
        self.tries = 0
        self.closed = 0
        self.error: Exception | None = None
        self.event_error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.waiting = threading.Event()

    def write(self, batch: Sequence[Scored]) -> None:
        self.tries += 1
        if not self.free.is_set():
            self.waiting.set()
            self.free.wait(20)
        if self.error is not None:
            raise self.error
        self.batches.append(list(batch))

    def event(self, at: float, kind: str, text: str) -> None:
        if self.event_error is not None:
            raise self.event_error
        self.events.append((at, kind, text))

    def close(self) -> None:
        self.closed += 1

    @property
    def written(self) -> list[Scored]:
        return [one for batch in self.batches for one in batch]


FULL = OutputError("cannot write 'scores.db': database or disk is full")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_EVERY_S", 0.01)


@pytest.fixture
def store() -> Iterator[FakeStore]:
    made = FakeStore()
    yield made
    made.free.set()
    until(lambda: not any(thread.name == "edge-nima records" for thread in threading.enumerate()))


def test_records_are_written_in_order_and_in_batches(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 30)
    recorder = Recorder(store, 0.02)
    given = [scored(number) for number in range(100)]
    for one in given:
        recorder.put(one)
    until(lambda: recorder.recorded == 100)
    recorder.close()
    assert store.written == given
    assert max(map(len, store.batches)) <= 30
    assert (recorder.lost, recorder.problem, store.closed) == (0, None, 1)


def test_put_returns_at_once_while_the_store_blocks(store: FakeStore) -> None:
    store.free.clear()
    recorder = Recorder(store, 0.001)
    recorder.put(scored(0))
    assert store.waiting.wait(60)
    for number in range(1, 2001):
        recorder.put(scored(number))
        recorder.event("lost", str(number))
    store.free.set()
    until(lambda: recorder.recorded == 2001)
    recorder.close()
    assert [one.taken_at for one in store.written] == sorted(one.taken_at for one in store.written)
    assert recorder.lost == 0


def test_what_a_full_disk_refuses_is_held_and_written_in_order(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.error = FULL
    recorder = Recorder(store, 0.001)
    given = [scored(number) for number in range(50)]
    for one in given:
        recorder.put(one)
        recorder.event("e", str(one.taken_at))
        time.sleep(0.0005)
    until(lambda: store.tries > 3)
    assert recorder.problem == "cannot write 'scores.db': database or disk is full"
    assert recorder.recorded == recorder.lost == 0
    store.error = None
    until(lambda: recorder.recorded == 50)
    until(lambda: recorder.problem is None)
    recorder.close()
    assert store.written == given
    assert [text for _, _, text in store.events] == [str(one.taken_at) for one in given]
    assert caplog.text.count("records cannot be written") == 1
    assert caplog.text.count("records are written again") == 1


def test_so_many_are_held_the_oldest_go_first_and_are_counted(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_AT_MOST", 100)
    monkeypatch.setattr(module, "BATCH", 30)
    store.error = FULL
    recorder = Recorder(store, 0.001)
    for number in range(250):
        recorder.put(scored(number))
        if number % 50 == 0:
            seen = store.tries
            until(lambda: store.tries > seen)  # noqa: B023
    until(lambda: recorder._in_hand == 0 and recorder.lost == 150)
    store.error = None
    until(lambda: recorder.recorded == 100)
    recorder.close()
    assert store.written == [scored(number) for number in range(150, 250)]
    assert recorder.lost == 150


def test_a_bug_in_a_store_costs_its_batch_and_no_more(store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.error = ZeroDivisionError("mine")
    recorder = Recorder(store, 0.001)
    recorder.put(scored(1))
    until(lambda: recorder.lost == 1)
    assert "ZeroDivisionError" in caplog.text
    store.error = None
    recorder.put(scored(2))
    until(lambda: recorder.recorded == 1)
    until(lambda: recorder.problem is None)
    recorder.close()
    assert store.written == [scored(2)]
    assert recorder.lost == 1


def test_a_bug_with_an_event_costs_no_record(store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.event_error = UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")
    recorder = Recorder(store, 0.001)
    recorder.event("lost", "\udcff")
    recorder.put(scored(1))
    until(lambda: recorder.recorded == 1)
    recorder.close()
    assert recorder.lost == 0
    assert "an event cannot be written" in caplog.text


def test_a_problem_that_only_events_had_is_over_once_they_are_written(store: FakeStore) -> None:
    store.event_error = FULL
    recorder = Recorder(store, 0.001)
    recorder.event("lost", "cable")
    until(lambda: recorder.problem is not None)
    store.event_error = None
    until(lambda: recorder.problem is None, what="it stays although nothing is left to write")
    recorder.close()
    assert [kind for _, kind, _ in store.events] == ["lost"]


def test_events_say_when_and_the_oldest_go_when_there_are_too_many(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_HELD", 5)
    store.event_error = FULL
    recorder = Recorder(store, 0.001)
    before = time.time()
    for number in range(20):
        recorder.event("kind", str(number))
    after = time.time()
    until(lambda: recorder.problem is not None)
    store.event_error = None
    until(lambda: len(store.events) >= 5)
    recorder.close()
    assert [text for _, _, text in store.events] == ["15", "16", "17", "18", "19"]
    assert all(before <= at <= after for at, _, _ in store.events)


def test_closing_writes_what_is_left_without_waiting_for_its_turn(store: FakeStore) -> None:
    recorder = Recorder(store, 3600)
    recorder.put(scored(1))
    recorder.event("stopped", "")
    recorder.close(60)
    assert store.written == [scored(1)]
    assert len(store.events) == 1
    assert (recorder.recorded, recorder.lost, store.closed) == (1, 0, 1)
    recorder.close()
    assert (recorder.recorded, recorder.lost, store.closed) == (1, 0, 1)


def test_closing_on_a_full_disk_counts_what_is_left(store: FakeStore) -> None:
    store.error = FULL
    recorder = Recorder(store, 60)
    for number in range(7):
        recorder.put(scored(number))
    recorder.close(60)
    recorder.close(60)
    assert (recorder.recorded, recorder.lost, store.closed) == (0, 7, 1)


@pytest.mark.parametrize("ends_well", [True, False])
def test_closing_while_the_store_hangs_is_in_time_and_counts_the_batch_in_hand(
    store: FakeStore, ends_well: bool
) -> None:
    store.free.clear()
    recorder = Recorder(store, 0.001)
    recorder.put(scored(0))
    assert store.waiting.wait(60)
    for number in range(1, 6):
        recorder.put(scored(number))
    recorder.close(0.1)
    assert (recorder.recorded, recorder.lost) == (0, 6)
    recorder.close(0.01)
    assert recorder.lost == 6
    store.error = None if ends_well else FULL
    store.free.set()
    until(lambda: store.closed == 1)
    assert (recorder.recorded, recorder.lost) == ((1, 5) if ends_well else (0, 6))


@pytest.mark.parametrize("form", ["sqlite", "jsonl", "csv"])
def test_a_real_disk_is_filled_and_freed_and_no_record_is_lost(tmp_path: Path, form: str) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        recorder, number = Recorder(open_store(form, disk), 0.002), 0
        for _ in range(3):
            with filled(disk):
                while recorder.problem is None and number < 30_000:
                    for _ in range(20):
                        recorder.put(scored(number))
                        number += 1
                    time.sleep(0.002)
                assert recorder.problem is not None
            until(lambda: recorder.recorded == number)  # noqa: B023
            until(lambda: recorder.problem is None)
        recorder.close()
        assert (recorder.recorded, recorder.lost) == (number, 0)
