"""Records in SQLite: all or nothing, whatever happens to the process, the disk and the file."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_nima.errors import OutputError, RequestError
from edge_nima.watch.clock import SteadyClock
from edge_nima.watch.events import Scored
from edge_nima.watch.records import APPLICATION, PAGE, VERSION, RecordFilter, RecordReader, Records
from storing import AT, SHARES, Writer, failed, filled, scored, small_disk, until


@contextlib.contextmanager
def opened(folder: Path, keep_s: float | None = None, max_bytes: int | None = None) -> Iterator[Records]:
    store = Records(folder, keep_s, max_bytes)
    try:
        yield store
    finally:
        store.close()


def asked(path: Path, question: str, *values: object) -> list[tuple[object, ...]]:
    """What another program would read meanwhile."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(question, values).fetchall()


def names(folder: Path) -> list[object]:
    return [name for (name,) in asked(folder / "scores.db", "SELECT name FROM scores ORDER BY id")]


def events(folder: Path) -> list[tuple[object, ...]]:
    return asked(folder / "scores.db", "SELECT kind, text FROM events ORDER BY id")


def aside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("scores.db.damaged-*") if not path.name.endswith("-wal"))


def size(folder: Path) -> int:
    """Of the database and its log."""
    return sum(path.stat().st_size for path in folder.glob("scores.db*") if not path.name.endswith("-shm"))


def test_every_column_holds_what_was_scored(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(7), failed(8, "it hangs")])
        store.write([scored(9)], [(AT, "lost", "the cable")])
    first, second, _ = asked(tmp_path / "scores.db", "SELECT * FROM records ORDER BY id")
    assert asked(tmp_path / "scores.db", "SELECT model, preprocessing FROM models ORDER BY preprocessing DESC") == [
        ("fake@ffffffff", "224x224 nearest"), ("fake@ffffffff", ""),
    ]  # fmt: skip
    assert first == (
        1, AT + 7, "garden", "garden/000007", 1.07, 1.25, *SHARES, first[16], 12.5, 40.25, None, "fake@ffffffff",
        "224x224 nearest", "2025-11-24T16:00:07.000Z",
    )  # fmt: skip
    assert second[3:6] == ("garden/000008", None, None)
    assert second[19] == "it hangs"
    assert events(tmp_path) == [("lost", "the cable")]
    pragmas = ("user_version", "application_id", "auto_vacuum", "journal_mode", "page_size")
    values = [asked(tmp_path / "scores.db", f"PRAGMA {name}")[0][0] for name in pragmas]
    assert values == [VERSION, APPLICATION, 2, "wal", PAGE]


@pytest.mark.parametrize("name", ["Blüte 木 🌸", 'it\'s "quoted"; DROP TABLE scores; --', "two\nlines\r\n", ""])
def test_any_name_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as store:
        store.write([scored(name=name, camera=name)], [(AT, name, name)])
    assert asked(tmp_path / "scores.db", "SELECT name, camera FROM scores") == [(name, name)]
    assert events(tmp_path) == [(name, name)]


def test_a_name_that_is_not_unicode_is_shown_escaped_and_costs_no_batch(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    with opened(tmp_path) as store:
        store.write([scored(1), scored(name=name, camera=name), replace(failed(2, name))])
        store.write(events=[(AT, "lost", name)])
        assert store.recent(0, name) == [(AT, 1.0)]
    assert names(tmp_path) == ["garden/000001", r"caf\udce9", "garden/000002"]
    assert asked(tmp_path / "scores.db", "SELECT error FROM scores WHERE error IS NOT NULL") == [(r"caf\udce9",)]
    assert events(tmp_path) == [("lost", r"caf\udce9")]


@pytest.mark.parametrize("folder", ["100%", "file:", "%41", "é", "q?mode=memory#x"])
def test_folders_whose_names_mean_something_in_an_address(tmp_path: Path, folder: str) -> None:
    out = tmp_path / folder
    out.mkdir()
    with opened(out) as store:
        store.write([scored()])
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder]
    assert sorted(path.name for path in out.iterdir()) == ["scores.db"]
    with opened(out) as store, contextlib.closing(RecordReader(out / "scores.db")) as reader:
        assert store.recent(0, "garden") == [(AT, 1.0)]
        assert reader.cameras() == ["garden"]


@pytest.mark.parametrize("broken", [{"age_ms": object()}, {"age_ms": float("nan")}, {"taken_at": float("nan")}])
def test_a_batch_that_fails_in_its_middle_leaves_nothing_and_the_next_is_written(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    other = replace(scored(2), record=replace(scored(2).record, model="other@00000000"))
    with opened(tmp_path) as store:
        store.write([scored(1)])
        with pytest.raises(sqlite3.Error):  # a mistake in the program, that trying again does not mend
            store.write([other, replace(scored(3), **broken), scored(4)], [(AT, "lost", "the cable")])
        assert (names(tmp_path), events(tmp_path)) == (["garden/000001"], [])
        store.write([other, scored(5)])
    assert names(tmp_path) == ["garden/000001", "garden/000002", "garden/000005"]
    assert asked(tmp_path / "scores.db", "SELECT model FROM records ORDER BY id")[1] == ("other@00000000",)


KILLED = """
    import sys
    from pathlib import Path
    from edge_nima.watch.records import Records
    from storing import scored
    number = int(sys.argv[2])
    store = Records(Path(sys.argv[1]))
    print("open", flush=True)
    while True:
        count = number % 7 * 20 + 1
        store.write([scored(1000 * number + i) for i in range(count)])
        print(number, flush=True)
        number += 1
"""


def test_sigkill_in_the_middle_of_writing_loses_no_batch_and_doubles_none(tmp_path: Path) -> None:
    chance, number, acknowledged = random.Random(1), 0, set[int]()
    for _ in range(12):
        writer = Writer(KILLED, tmp_path, number)
        assert writer.line() == "open"
        said = [writer.line() for _ in range(chance.randint(0, 4))]
        time.sleep(chance.uniform(0, 0.01))
        said += writer.kill()
        acknowledged |= {int(line) for line in said}
        with contextlib.closing(sqlite3.connect(tmp_path / "scores.db")) as database:
            assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            found = [int(name.split("/")[1]) for (name,) in database.execute("SELECT name FROM scores")]
        assert len(found) == len(set(found)), "a record is there twice"
        batches = {one // 1000 for one in found}
        assert acknowledged <= batches, "a batch that was acknowledged is gone"
        assert len(batches - acknowledged) <= 12  # of each kill one at most that was not acknowledged any more
        assert sorted(found) == [1000 * batch + i for batch in sorted(batches) for i in range(batch % 7 * 20 + 1)]
        number = max(batches, default=-1) + 1
    assert len(acknowledged) > 12
    with opened(tmp_path) as store:
        assert not aside(tmp_path)
        store.write([scored(1)])


def test_a_full_disk_takes_nothing_of_a_batch_and_once_freed_takes_the_next(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk, opened(disk) as store:
        batch, written, said = 0, list[str](), set[str]()
        for _ in range(5):
            refused = 0
            with filled(disk):
                while refused < 3:
                    records = [scored(1000 * batch + i) for i in range(200)]
                    batch += 1
                    try:
                        store.write(records)
                        written += [one.record.name for one in records]
                    except OutputError as error:
                        said.add(str(error))
                        refused += 1
                    assert batch < 100, "the disk is never full"
            again = [scored(1000 * batch + i) for i in range(20)]
            store.write(again)
            batch += 1
            written += [one.record.name for one in again]
            assert names(disk) == written
        assert all(text.startswith(f"cannot write '{disk}/scores.db': ") for text in said)
        assert asked(disk / "scores.db", "PRAGMA integrity_check") == [("ok",)]
        assert not aside(disk)


def overwrite(path: Path, content: bytes, start: int = 0) -> None:
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(content)


def damage_header(path: Path) -> None:
    overwrite(path, b"not a database, not any more")


def damage_middle(path: Path) -> None:
    """A page is overwritten, as by a card that mixes up its blocks."""
    overwrite(path, random.Random(3).randbytes(PAGE), path.stat().st_size // PAGE // 2 * PAGE)


def damage_tail(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def damage_all(path: Path) -> None:
    overwrite(path, random.Random(0).randbytes(path.stat().st_size - PAGE), PAGE)


def full_of_rows(folder: Path, rows: int = 3000) -> None:
    with opened(folder) as store:
        store.write([scored(number) for number in range(rows)])


@pytest.mark.parametrize("damage", [damage_header, damage_middle, damage_tail])
def test_a_damaged_database_is_moved_aside_and_begun_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    full_of_rows(tmp_path)
    damage(tmp_path / "scores.db")
    content = (tmp_path / "scores.db").read_bytes()
    with opened(tmp_path) as store:
        store.write([scored(1)])
    assert names(tmp_path) == ["garden/000001"]
    (old,) = aside(tmp_path)
    assert old.read_bytes() == content
    ((kind, text),) = events(tmp_path)
    assert kind == "damaged"
    assert str(text).endswith(f"moved to {old.name}, begun again")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_in_the_header_a_watcher_starts_or_says_whose_file_it_is(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    full_of_rows(tmp_path, 50)
    start = chance.randrange(100)
    overwrite(tmp_path / "scores.db", chance.randbytes(chance.randint(1, 100 - start)), start)
    content = (tmp_path / "scores.db").read_bytes()
    try:
        with opened(tmp_path) as store:
            store.write([scored(1000)])
    except RequestError:
        assert (tmp_path / "scores.db").read_bytes() == content
        assert start < 72  # the version is in bytes 60 to 63, the application in 68 to 71
    else:
        assert "garden/001000" in names(tmp_path)


def test_three_damaged_ones_are_kept_the_newest(tmp_path: Path) -> None:
    seen = list[Path]()
    for _ in range(5):
        full_of_rows(tmp_path, 10)
        damage_header(tmp_path / "scores.db")
        opened_once = Records(tmp_path)
        opened_once.close()
        seen = [*seen, *(path for path in aside(tmp_path) if path not in seen)]
        assert aside(tmp_path) == seen[-3:]
    assert len(seen) == 5


def test_damage_that_shows_while_it_runs_is_moved_aside_with_its_log_and_the_batch_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(3000)])
        asked(tmp_path / "scores.db", "PRAGMA wal_checkpoint(TRUNCATE)")
        damage_all(tmp_path / "scores.db")
        # It may come to this only when pages are read again that were cached.
        until(lambda: written(store) and bool(aside(tmp_path)), what="the damage was never noticed")
        store.write([scored(9)])
        assert names(tmp_path)[-1] == "garden/000009"
        assert [kind for kind, _ in events(tmp_path)] == ["damaged"]
        assert asked(tmp_path / "scores.db", "PRAGMA integrity_check") == [("ok",)]


def written(store: Records) -> bool:
    store.write([scored(5)])
    return True


def test_what_became_of_a_damaged_one_is_noted_also_when_the_disk_was_full_just_then(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        full_of_rows(disk, 100)
        damage_header(disk / "scores.db")
        with filled(disk), opened(disk) as store:
            with pytest.raises(OutputError):
                store.write([scored(1)])
            (disk / "filler").unlink()
            store.write([scored(2)])
        assert names(disk) == ["garden/000002"]
        assert [kind for kind, _ in events(disk)] == ["damaged"]


def put_another(folder: Path) -> None:
    full_of_rows(folder / "other", 2)
    (folder / "other" / "scores.db").replace(folder / "scores.db")


@pytest.mark.parametrize(
    ("done", "left"),
    [
        (lambda folder: (folder / "scores.db").unlink(), []),
        (lambda folder: [path.unlink() for path in folder.glob("scores.db*")], []),
        (shutil.rmtree, []),
        (put_another, ["garden/000000", "garden/000001"]),
    ],
)
def test_a_database_deleted_or_replaced_by_hand_while_it_runs_is_begun_again(
    tmp_path: Path, done: Callable[[Path], object], left: list[str]
) -> None:
    out = tmp_path / "out"
    with opened(out) as store:
        for number in (11, 12):
            store.write([scored(number)])
            done(out)
        store.write([scored(7), scored(8)])
        assert names(out) == [*left, "garden/000007", "garden/000008"]
        assert store.recent(AT + 7, "garden") == [(AT + 7, 1.07), (AT + 8, 1.08)]
    assert asked(out / "scores.db", "PRAGMA integrity_check") == [("ok",)]


NEWER = f"is of schema {VERSION + 6}, this edge-nima knows {VERSION}: update it"


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["CREATE TABLE theirs (x)", "PRAGMA user_version = 57"], "of another program: give another --out"),
        (["PRAGMA application_id = 1234"], "of another program"),
        ([f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION + 6}"], NEWER),
    ],
)
def test_a_database_of_others_or_of_the_future_is_refused_and_left_as_it_is(
    tmp_path: Path, statements: list[str], problem: str
) -> None:
    for statement in statements:
        asked(tmp_path / "scores.db", statement)
    content = (tmp_path / "scores.db").read_bytes()
    with pytest.raises(RequestError, match=problem):
        Records(tmp_path)
    assert (tmp_path / "scores.db").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["scores.db"]


def test_records_that_are_too_old_go(tmp_path: Path) -> None:
    now = time.time()
    with opened(tmp_path, keep_s=100) as store:
        store.write([scored(number, at=now - 1000 + number) for number in range(1000)])
        for _ in range(3):
            store.write([scored(5000, at=now)])
        times = [at for (at,) in asked(tmp_path / "scores.db", "SELECT taken_at FROM scores")]
        assert min(map(float, times)) >= now - 100 - 1  # type: ignore[arg-type]
        assert {f"garden/{number:06}" for number in range(902, 1000)} <= set(names(tmp_path))


def test_the_size_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    limit = 1_000_000
    with opened(tmp_path, max_bytes=limit) as store:
        largest, number = 0, 0
        for batch in range(600):
            store.write([scored(number + i, at=AT - 3 * (number + i)) for i in range(20)])  # the clock runs backwards
            number += 20
            if batch % 10 == 0:
                largest = max(largest, size(tmp_path))
        kept = [int(str(name).split("/")[1]) for name in names(tmp_path)]
        assert kept == list(range(number - len(kept), number))  # the last that were written, whatever their time
        assert len(kept) > 2500
        assert largest <= limit
        assert limit / 2 < size(tmp_path)
    assert size(tmp_path) <= limit
    assert asked(tmp_path / "scores.db", "PRAGMA integrity_check") == [("ok",)]


def test_events_do_not_crowd_out_the_records(tmp_path: Path) -> None:
    limit = 1_000_000
    with opened(tmp_path, max_bytes=limit) as store:
        store.write([scored(number) for number in range(2000)])
        store.write(events=[(AT + number, "lost", "the source is lost " * 5) for number in range(10_000)])
        for number in range(40):
            store.write(events=[(AT, "lost", "the source is lost " * 5)])
            store.write([scored(10_000 + number)])
        assert len(names(tmp_path)) > 1500
        assert events(tmp_path)
        assert size(tmp_path) <= 2 * limit


def test_a_lower_limit_makes_the_file_smaller_bit_by_bit(tmp_path: Path) -> None:
    full_of_rows(tmp_path, 20_000)
    before = size(tmp_path)
    assert before > 3_000_000
    with opened(tmp_path, max_bytes=1_000_000) as store:
        longest = 0.0
        for number in range(400):
            started = time.perf_counter()
            store.write([scored(50_000 + number)])
            longest = max(longest, time.perf_counter() - started)
        assert size(tmp_path) <= 1_000_000
        assert longest < 0.5
    assert names(tmp_path)[-1] == "garden/050399"


def test_recent_is_of_one_camera_in_order_of_time_and_leaves_out_what_has_no_mean(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(300, at=AT + 30), scored(100, at=AT + 10), failed(20), scored(200, at=AT + 20)])
        store.write([scored(15, camera="gate")])
        assert store.recent(AT + 10, "garden") == [(AT + 10, 2.0), (AT + 20, 3.0), (AT + 30, 4.0)]
        assert store.recent(AT + 10.5, "garden") == [(AT + 20, 3.0), (AT + 30, 4.0)]
        assert store.recent(AT + 31, "garden") == []
        assert store.recent(AT, "gate") == [(AT + 15, 1.15)]


def test_recent_of_a_damaged_page_is_logged_and_keeps_nobody_from_beginning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(3000)])
        asked(tmp_path / "scores.db", "PRAGMA wal_checkpoint(TRUNCATE)")
        damage_all(tmp_path / "scores.db")
        store.close()
        assert store.recent(0, "garden") == []
        assert len(aside(tmp_path)) == 1
        assert "is damaged" in caplog.text


def test_another_program_that_holds_the_database_costs_a_try_and_no_record(tmp_path: Path) -> None:
    with opened(tmp_path) as store, contextlib.closing(sqlite3.connect(tmp_path / "scores.db")) as other:
        assert store._database is not None
        store._database.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match="database is locked"):
            store.write([scored(1)])
        other.execute("ROLLBACK")
        store.write([scored(1)])
    assert names(tmp_path) == ["garden/000001"]


def test_a_database_emptied_by_hand_while_it_runs_is_written_to_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(3000)])
        os.truncate(tmp_path / "scores.db", 0)
        for number in range(3000, 3020):
            store.write([scored(number)])
        assert "garden/003019" in names(tmp_path)
        assert asked(tmp_path / "scores.db", "PRAGMA integrity_check") == [("ok",)]


# Another camera, and the files of a watched folder


def marked(number: int, mark: int, camera: str = "garden") -> Scored:
    return replace(scored(number, camera=camera), mark=mark)


def known(folder: Path, place: str = "garden") -> list[int] | None:
    """What a watcher that starts now knows."""
    with opened(folder) as store:
        marks = store.memory(place).load()
    return None if marks is None else sorted(marks)


def test_a_file_is_remembered_with_its_record_or_not_at_all(tmp_path: Path) -> None:
    assert known(tmp_path) is None
    with opened(tmp_path) as store:
        memory = store.memory("garden")
        memory.begin([1, -(2**63), 2**63 - 1])
        memory.forget([1, 99])
        memory.remember(6)
        assert asked(tmp_path / "scores.db", "SELECT mark FROM files") == []
        store.write([marked(1, 7), scored(2), marked(3, 8, "gate")])
        with pytest.raises(sqlite3.Error):
            store.write([marked(4, 9), replace(scored(5), age_ms=float("nan"))])
    assert known(tmp_path) == [-(2**63), 6, 7, 2**63 - 1]
    assert known(tmp_path, "gate") is None  # never begun
    with opened(tmp_path) as store:
        memory = store.memory("garden")
        memory.forget([6, 7, -(2**63), 2**63 - 1])
        assert memory.load() is not None
        assert not memory.load()
        memory.begin([5])
        assert list(memory.load() or ()) == [5]
        memory.begin([])
        assert not memory.load()


def test_a_memory_waits_for_a_disk_with_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, opened(disk) as store:
        with filled(disk):
            store.memory("garden").begin(range(200_000))
            with pytest.raises(OutputError):
                store.write()
            store._later.clear()
            store.memory("garden").begin(range(1000))
        store.write()
        assert list(store.memory("garden").load() or ()) == list(range(1000))


def test_a_memory_whose_database_is_lost_is_none(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.memory("garden").begin([1, 2])
        store.write([marked(1, 3)])
        for path in tmp_path.glob("scores.db*"):
            path.unlink()
        store.write([marked(2, 4)])
    assert known(tmp_path) is None  # rather than all but one file scored again


def test_a_database_of_schema_1_is_read_as_it_is_and_written_to(tmp_path: Path) -> None:
    full_of_rows(tmp_path, 1)
    for statement in ("DROP TABLE files", "PRAGMA user_version = 1"):
        asked(tmp_path / "scores.db", statement)
    content = (tmp_path / "scores.db").read_bytes()
    with contextlib.closing(RecordReader(tmp_path / "scores.db")) as reader:
        assert [one.record.mean for one in reader.best(RecordFilter(), 10)] == [1.0]
        assert [one.record.mean for one in reader.all(RecordFilter())] == [1.0]
    assert (tmp_path / "scores.db").read_bytes() == content
    for number in (7, 8):
        with opened(tmp_path) as store:
            store.write([marked(number, number)])
    assert names(tmp_path) == ["garden/000000", "garden/000007", "garden/000008"]
    assert asked(tmp_path / "scores.db", "PRAGMA user_version") == [(VERSION,)]
    assert asked(tmp_path / "scores.db", "SELECT * FROM files") == [("garden", 7), ("garden", 8)]


# Clocks that are wrong for a while


class Clocks:
    """A wall-clock that somebody sets, and what nobody sets."""

    def __init__(self) -> None:
        self.mono, self.offset = 100.0, AT

    def wall(self) -> float:
        return self.mono + self.offset


DAY = 86400.0


@pytest.mark.parametrize("days", [60, -60])
def test_a_clock_that_is_wrong_for_half_an_hour_removes_no_record(tmp_path: Path, days: int) -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.wall, lambda: clocks.mono)
    number = 0
    with opened(tmp_path, keep_s=30 * DAY) as store:
        store._clock = clock.now

        def run(seconds: float) -> None:
            nonlocal number
            for _ in range(int(seconds / 60)):
                clocks.mono += 60
                number += 1
                store.write([scored(number, at=clocks.wall())])

        run(2 * 3600)
        clocks.offset += days * DAY
        run(1800)
        assert len(names(tmp_path)) == number
        clocks.offset -= days * DAY
        if days > 0:
            run(3 * 3600)
            assert len(names(tmp_path)) == number
        # A year on, what is old goes: the clock has been right all the while.
        clocks.mono += 100 * DAY
        run(1200)
        assert len(names(tmp_path)) <= 20 + (30 if days > 0 else 0)


def test_a_clock_is_believed_after_an_hour_without_a_jump() -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.wall, lambda: clocks.mono)
    for _ in range(59):
        clocks.mono += 60
        assert clock.now() == 0.0  # at the start nobody knows whether it is right
    clocks.mono += 60
    assert clock.now() == clocks.wall()
    before = clocks.offset
    for jump in (60 * DAY, -60 * DAY, 120.0):
        clocks.offset = before + jump
        for _ in range(59):
            clocks.mono += 60
            assert clock.now() == clocks.mono + min(before, before + jump)
        clocks.offset = before
        clocks.mono += 60
        assert clock.now() == clocks.wall()
    clocks.offset = before + 60 * DAY  # and stays: it was wrong before
    for _ in range(61):
        clocks.mono += 60
        clock.now()
    assert clock.now() == clocks.wall()


def test_what_ntp_corrects_bit_by_bit_is_no_jump() -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.wall, lambda: clocks.mono)
    for _ in range(200):
        clocks.mono += 60
        clocks.offset += 1
        clock.now()
    assert clock.now() == clocks.wall()
