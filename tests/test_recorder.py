"""The thread that writes records: nobody waits for it, and what it cannot write it holds or counts."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_nima.errors import OutputError
from edge_nima.watch import recorder as module
from edge_nima.watch.events import Scored
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.records import Records
from storing import filled, scored, small_disk, until


class FakeRecords(Records):
    """Remembers what it was given; takes long, blocks, is full or has a bug when a test says so."""

    def __init__(self) -> None:
        self.batches: list[list[Scored]] = []
        self.events: list[tuple[float, str, str]] = []
        self.tries = 0
        self.closed = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.blocked = threading.Event()

    def write(self, batch: Sequence[Scored] = (), events: Sequence[tuple[float, str, str]] = ()) -> None:
        self.tries += 1
        time.sleep(self.seconds)
        if not self.free.is_set():
            self.blocked.set()
            self.free.wait(20)
        if self.error is not None:
            raise self.error
        self.batches.append(list(batch))
        self.events += events

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
def store() -> Iterator[FakeRecords]:
    made = FakeRecords()
    yield made
    made.free.set()
    until(lambda: not any(thread.name == "edge-nima records" for thread in threading.enumerate()))


def written(recorder: Recorder) -> int:
    return recorder.counts("garden")[0]


def test_records_are_written_in_order_and_in_batches(store: FakeRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 30)
    recorder = Recorder(store, 0.02)
    given = [scored(number) for number in range(100)]
    for one in given:
        recorder.put(one)
    until(lambda: written(recorder) == 100)
    recorder.close()
    assert store.written == given
    assert max(map(len, store.batches)) <= 30
    assert (recorder.counts("garden")[1], recorder.problem, store.closed) == (0, None, 1)


def test_put_returns_at_once_while_the_store_blocks(store: FakeRecords) -> None:
    store.free.clear()
    recorder = Recorder(store, 0.001)
    recorder.put(scored(0))
    assert store.blocked.wait(60)
    for number in range(1, 2001):
        recorder.put(scored(number))
        recorder.event("lost", str(number))
    store.free.set()
    until(lambda: written(recorder) == 2001)
    recorder.close()
    assert [one.taken_at for one in store.written] == sorted(one.taken_at for one in store.written)
    assert recorder.counts("garden")[1] == 0


def test_what_a_full_disk_refuses_is_held_and_written_in_order(
    store: FakeRecords, caplog: pytest.LogCaptureFixture
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
    assert recorder.counts("garden") == (0, 0)
    store.error = None
    until(lambda: written(recorder) == 50)
    until(lambda: recorder.problem is None)
    recorder.close()
    assert store.written == given
    assert [text for _, _, text in store.events] == [str(one.taken_at) for one in given]
    assert caplog.text.count("records cannot be written") == 1
    assert caplog.text.count("records are written again") == 1


def test_so_many_are_held_the_oldest_go_first_and_are_counted(
    store: FakeRecords, monkeypatch: pytest.MonkeyPatch
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
    until(lambda: not recorder._in_hand and recorder.counts("garden")[1] == 150)
    store.error = None
    until(lambda: written(recorder) == 100)
    recorder.close()
    assert store.written == [scored(number) for number in range(150, 250)]
    assert recorder.counts("garden")[1] == 150


def test_a_bug_in_a_store_costs_its_batch_and_no_more(store: FakeRecords, caplog: pytest.LogCaptureFixture) -> None:
    store.error = ZeroDivisionError("mine")
    recorder = Recorder(store, 0.001)
    recorder.put(scored(1))
    until(lambda: recorder.counts("garden")[1] == 1)
    assert "ZeroDivisionError" in caplog.text
    store.error = None
    recorder.put(scored(2))
    until(lambda: written(recorder) == 1)
    until(lambda: recorder.problem is None)
    recorder.close()
    assert store.written == [scored(2)]
    assert recorder.counts("garden")[1] == 1


def test_events_say_when_and_the_oldest_go_when_there_are_too_many(
    store: FakeRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_HELD", 5)
    store.error = FULL
    recorder = Recorder(store, 0.001)
    before = time.time()
    for number in range(20):
        recorder.event("kind", str(number))
    after = time.time()
    until(lambda: recorder.problem is not None)
    store.error = None
    until(lambda: len(store.events) >= 5)
    recorder.close()
    assert [text for _, _, text in store.events] == ["15", "16", "17", "18", "19"]
    assert all(before <= at <= after for at, _, _ in store.events)


def test_closing_writes_what_is_left_without_waiting_for_its_turn(store: FakeRecords) -> None:
    recorder = Recorder(store, 3600)
    recorder.put(scored(1))
    recorder.event("stopped", "")
    recorder.close(60)
    assert store.written == [scored(1)]
    assert len(store.events) == 1
    assert (recorder.counts("garden"), store.closed) == ((1, 0), 1)
    recorder.close()
    assert (recorder.counts("garden"), store.closed) == ((1, 0), 1)


def test_closing_on_a_full_disk_counts_what_is_left(store: FakeRecords, caplog: pytest.LogCaptureFixture) -> None:
    store.error = FULL
    recorder = Recorder(store, 60)
    for number in range(7):
        recorder.put(scored(number))
    assert recorder.close(60) == 7
    assert recorder.close(60) == 0
    assert (recorder.counts("garden"), store.closed) == ((0, 7), 1)
    assert "7 records are not written: cannot write 'scores.db'" in caplog.text


def test_closing_while_the_store_hangs_is_in_time_and_counts_the_batch_in_hand(store: FakeRecords) -> None:
    store.free.clear()
    recorder = Recorder(store, 0.001)
    recorder.put(scored(0))
    assert store.blocked.wait(60)
    for number in range(1, 6):
        recorder.put(scored(number))
    assert recorder.close(0.1) == 6
    assert recorder.counts("garden") == (0, 6)
    assert recorder.close(0.01) == 0
    assert recorder.counts("garden")[1] == 6
    store.free.set()
    until(lambda: store.closed == 1)
    assert recorder.counts("garden") == (0, 6)  # also when the batch is written after all


def test_a_real_disk_is_filled_and_freed_and_no_record_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        recorder, number = Recorder(Records(disk), 0.002), 0
        for _ in range(3):
            with filled(disk):
                while recorder.problem is None and number < 30_000:
                    for _ in range(20):
                        recorder.put(scored(number))
                        number += 1
                    time.sleep(0.002)
                assert recorder.problem is not None
            until(lambda: written(recorder) == number)  # noqa: B023
            until(lambda: recorder.problem is None)
        recorder.close()
        assert recorder.counts("garden") == (number, 0)


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 16), (0.04, 16), (0.1, 8)])
def test_a_slow_card_is_given_its_rest_and_each_transaction_takes_all_that_waits(
    store: FakeRecords, seconds: float, most: int
) -> None:
    store.seconds = seconds
    recorder = Recorder(store, 0.1)
    started, number = time.monotonic(), 0
    while time.monotonic() - started < 1.6:
        recorder.put(scored(number))
        recorder.event("kind", str(number))  # no transactions of their own
        number += 1
        time.sleep(0.005)
    assert 3 < store.tries <= most  # one a pause of .1 s, and as long as a write where that is longer
    assert recorder.close(10) == 0
    assert store.written == [scored(i) for i in range(number)]
    assert len(store.events) == number


def test_a_write_that_hangs_is_noticed(store: FakeRecords) -> None:
    recorder = Recorder(store, 0.01)
    seen = recorder.alive_at
    until(lambda: recorder.alive_at > seen)
    store.free.clear()
    recorder.put(scored(0))
    assert store.blocked.wait(60)
    seen = recorder.alive_at
    time.sleep(0.05)
    assert recorder.alive_at == seen
    store.free.set()
    until(lambda: recorder.alive_at > seen)
    recorder.close()


def test_each_camera_has_its_counts_and_a_mark_without_a_record_is_written(tmp_path: Path) -> None:
    recorder = Recorder(Records(tmp_path), 0.01)
    recorder.remember("garden", 5)
    until(lambda: recorder._records.memory("garden").load() is None and not recorder._records._later)
    for number in range(3):
        recorder.put(scored(number, camera="garden" if number else "gate"))
    recorder.remember("gate", 6)
    assert recorder.close(60) == 0
    assert [recorder.counts(camera) for camera in ("garden", "gate", "other")] == [(2, 0), (1, 0), (0, 0)]
    with contextlib.closing(sqlite3.connect(tmp_path / "scores.db")) as database:
        assert database.execute("SELECT * FROM files").fetchall() == [("garden", 5), ("gate", 6)]
