"""Records in SQLite: all or nothing, whatever happens to the process, the disk and the file."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.errors import OutputError, RequestError
from edge_nima.watch import sqlite_store as module
from edge_nima.watch.sqlite_file import APPLICATION, PAGE, VERSION
from edge_nima.watch.sqlite_store import SqliteStore
from storing import AT, SHARES, Writer, failed, filled, scored, small_disk
from watching import until

Damage = Callable[[Path, random.Random], None]


@contextlib.contextmanager
def opened(folder: Path, keep_s: float | None = None, max_bytes: int | None = None) -> Iterator[SqliteStore]:
    store = SqliteStore(folder, keep_s, max_bytes)
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
        store.event(AT, "lost", "the cable")
    first, second = asked(tmp_path / "scores.db", "SELECT * FROM records ORDER BY id")
    assert first == (
        1, AT + 7, "garden", "garden/000007", 1.07, 1.25, *SHARES, 1, 12.5, 40.25, None, "fake@ffffffff",
        "224x224 nearest", "2025-11-24T16:00:07.000Z",
    )  # fmt: skip
    assert second[3:6] == ("garden/000008", None, None)
    assert second[19] == "it hangs"
    assert events(tmp_path) == [("lost", "the cable")]
    pragmas = ("user_version", "application_id", "auto_vacuum", "journal_mode", "page_size")
    values = [asked(tmp_path / "scores.db", f"PRAGMA {name}")[0][0] for name in pragmas]
    assert values == [VERSION, APPLICATION, 2, "wal", PAGE]


def test_a_model_is_written_once_however_many_rows_it_has(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path) as store:
            store.write([scored(number) for number in range(20)])
            store.write([failed(20)])  # without its preprocessing: another line
    assert asked(tmp_path / "scores.db", "SELECT model, preprocessing FROM models ORDER BY id") == [
        ("fake@ffffffff", "224x224 nearest"),
        ("fake@ffffffff", ""),
    ]
    assert asked(tmp_path / "scores.db", "SELECT count(*), count(DISTINCT model_id) FROM scores") == [(42, 2)]


@pytest.mark.parametrize(
    "name",
    [
        "Blüte 木 🌸",
        'it\'s "quoted"; DROP TABLE scores; --',
        "two\nlines\r\n",
        "nul\0within",
        "",
        "?1 :a @b $c",
        "x" * 5000,
    ],
)
def test_any_name_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    with opened(tmp_path) as store:
        store.write([scored(name=name, camera=name)])
        store.event(AT, name, name)
    assert asked(tmp_path / "scores.db", "SELECT name, camera FROM scores") == [(name, name)]
    assert events(tmp_path) == [(name, name)]


def test_a_name_that_is_not_unicode_is_shown_escaped_and_costs_no_batch(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    with opened(tmp_path) as store:
        store.write([scored(1), scored(name=name, camera=name), replace(failed(2, name))])
        store.event(AT, "lost", name)
    assert names(tmp_path) == ["garden/000001", r"caf\xe9", "garden/000002"]
    assert asked(tmp_path / "scores.db", "SELECT error FROM scores WHERE error IS NOT NULL") == [(r"caf\xe9",)]
    assert events(tmp_path) == [("lost", r"caf\xe9")]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.text(max_size=40))
@settings(max_examples=100)
def test_names_survive_whatever_they_are(tmp_path_factory: pytest.TempPathFactory, name: str, other: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    with opened(folder) as store:
        store.write([scored(name=name), scored(name=other)])
    assert names(folder)[0] == name
    assert len(names(folder)) == 2


@pytest.mark.parametrize("folder", ["what?", "#1", "100%", "file:", "a b", "%41", "é", "q?mode=memory#x", "'"])
def test_folders_whose_names_mean_something_in_an_address(tmp_path: Path, folder: str) -> None:
    out = tmp_path / folder
    out.mkdir()
    with opened(out) as store:
        store.write([scored()])
        assert list(store.recent(0)) == [(AT, 1.0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder]
    assert sorted(path.name for path in out.iterdir()) == ["scores.db"]
    with opened(out) as store:
        assert list(store.recent(0)) == [(AT, 1.0)]


def test_a_batch_that_fails_in_its_middle_leaves_nothing_and_the_next_is_written(tmp_path: Path) -> None:
    other = replace(scored(2), record=replace(scored(2).record, model="other@00000000"))
    broken = replace(scored(3), age_ms=object())  # type: ignore[arg-type]
    with opened(tmp_path) as store:
        store.write([scored(1)])
        with pytest.raises(sqlite3.Error):  # a mistake in the program, that trying again does not mend
            store.write([other, broken, scored(4)])
        assert names(tmp_path) == ["garden/000001"]
        store.write([other, scored(5)])
    assert names(tmp_path) == ["garden/000001", "garden/000002", "garden/000005"]
    assert asked(tmp_path / "scores.db", "SELECT model FROM records ORDER BY id")[1] == ("other@00000000",)


@pytest.mark.parametrize("column", ["taken_at", "age_ms"])
def test_what_the_schema_refuses_is_no_full_disk_that_is_waited_for(tmp_path: Path, column: str) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.write([scored(1), replace(scored(2), **{column: float("nan")})])
        store.write([scored(3)])
    assert names(tmp_path) == ["garden/000003"]


KILLED = """
    import sys
    from pathlib import Path
    from edge_nima.watch.sqlite_store import SqliteStore
    from storing import scored
    number = int(sys.argv[2])
    store = SqliteStore(Path(sys.argv[1]))
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


def test_an_event_that_finds_the_disk_full_can_be_given_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, opened(disk) as store:
        with filled(disk):
            with pytest.raises(OutputError):  # noqa: PT012
                for _ in range(100):
                    store.event(AT, "big", "x" * 20_000)
            before = len(events(disk))
        store.event(AT, "small", "y")
        assert len(events(disk)) == before + 1


def damage_header(path: Path, _: random.Random) -> None:
    with open(path, "r+b") as file:
        file.write(b"not a database, not any more")


def damage_middle(path: Path, chance: random.Random) -> None:
    """A page is overwritten, as by a card that mixes up its blocks."""
    pages = path.stat().st_size // PAGE
    with open(path, "r+b") as file:
        file.seek(pages // 2 * PAGE)
        file.write(chance.randbytes(PAGE))


def damage_tail(path: Path, _: random.Random) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE * PAGE)


def full_of_rows(folder: Path, rows: int = 3000) -> None:
    with opened(folder) as store:
        store.write([scored(number) for number in range(rows)])


@pytest.mark.parametrize("damage", [damage_header, damage_middle, damage_tail])
def test_a_damaged_database_is_moved_aside_and_begun_again(tmp_path: Path, damage: Damage) -> None:
    full_of_rows(tmp_path)
    damage(tmp_path / "scores.db", random.Random(3))
    content = (tmp_path / "scores.db").read_bytes()
    with opened(tmp_path) as store:
        store.write([scored(1)])
    assert names(tmp_path) == ["garden/000001"]
    (old,) = aside(tmp_path)
    assert old.read_bytes() == content
    ((kind, text),) = events(tmp_path)
    assert kind == "damaged"
    assert str(text).endswith(f"moved to {old.name}, begun again")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_in_the_header_a_watcher_starts_or_says_whose_file_it_is(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    full_of_rows(tmp_path, 50)
    start = chance.randrange(100)
    with open(tmp_path / "scores.db", "r+b") as file:
        file.seek(start)
        file.write(chance.randbytes(chance.randint(1, 100 - start)))
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
        damage_header(tmp_path / "scores.db", random.Random(0))
        opened_once = SqliteStore(tmp_path)
        opened_once.close()
        seen = [*seen, *(path for path in aside(tmp_path) if path not in seen)]
        assert aside(tmp_path) == seen[-3:]
    assert len(seen) == 5


def test_damage_that_shows_while_it_runs_is_moved_aside_with_its_log_and_the_batch_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(3000)])
        asked(tmp_path / "scores.db", "PRAGMA wal_checkpoint(TRUNCATE)")
        with open(tmp_path / "scores.db", "r+b") as file:
            file.seek(PAGE)
            file.write(random.Random(0).randbytes((tmp_path / "scores.db").stat().st_size - PAGE))
        # It may come to this only when pages are read again that were cached.
        until(lambda: written(store) and bool(aside(tmp_path)), what="the damage was never noticed")
        store.write([scored(9)])
        assert names(tmp_path)[-1] == "garden/000009"
        assert [kind for kind, _ in events(tmp_path)] == ["damaged"]
        assert asked(tmp_path / "scores.db", "PRAGMA integrity_check") == [("ok",)]


def written(store: SqliteStore) -> bool:
    store.write([scored(5)])
    return True


def test_what_became_of_a_damaged_one_is_noted_also_when_the_disk_was_full_just_then(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        full_of_rows(disk, 100)
        damage_header(disk / "scores.db", random.Random(0))
        with filled(disk), opened(disk) as store:
            with pytest.raises(OutputError):
                store.write([scored(1)])
            (disk / "filler").unlink()
            store.write([scored(2)])
        assert names(disk) == ["garden/000002"]
        assert [kind for kind, _ in events(disk)] == ["damaged"]


def test_a_disk_that_fails_to_read_for_long_counts_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.open_database
    failing = True

    def fails(path: Path, pages: int) -> sqlite3.Connection:
        if failing and path.exists():
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        return real(path, pages)

    with opened(tmp_path) as store:
        store.write([scored(1)])
        store.close()
        monkeypatch.setattr(module, "open_database", fails)
        for _ in range(module._TRIES - 1):
            with pytest.raises(OutputError, match="disk I/O error"):
                store.write([scored(2)])
        assert not aside(tmp_path)
        store.write([scored(2)])
        assert len(aside(tmp_path)) == 1
        assert names(tmp_path) == ["garden/000002"]


def test_a_database_that_is_damaged_again_and_again_is_an_error_and_no_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, pages: int) -> sqlite3.Connection:
        path.touch()
        raise module.Damaged("malformed")

    with opened(tmp_path) as store:
        store.close()
        monkeypatch.setattr(module, "open_database", fails)
        with pytest.raises(OutputError, match=r"^cannot write '.*scores.db': malformed, again and again$"):
            store.write([scored(1)])


@pytest.mark.parametrize("pattern", ["scores.db", "scores.db*"])
def test_a_database_deleted_by_hand_while_it_runs_is_begun_again(tmp_path: Path, pattern: str) -> None:
    with opened(tmp_path) as store:
        for number in range(3):
            store.write([scored(number)])
            for path in tmp_path.glob(pattern):
                path.unlink()
        store.write([scored(7), scored(8)])
        assert names(tmp_path) == ["garden/000007", "garden/000008"]
        assert list(store.recent(0)) == [(AT + 7, 1.07), (AT + 8, 1.08)]
    assert asked(tmp_path / "scores.db", "PRAGMA integrity_check") == [("ok",)]


def test_a_database_replaced_by_hand_while_it_runs_is_the_one_written_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    full_of_rows(tmp_path / "other", 2)
    with opened(tmp_path) as store:
        store.write([scored(1)])
        store.write([scored(2)])
        (tmp_path / "other" / "scores.db").replace(tmp_path / "scores.db")
        store.write([scored(7)])
    assert names(tmp_path) == ["garden/000000", "garden/000001", "garden/000007"]


def test_a_newer_schema_is_refused_with_both_versions_and_left_as_it_is(tmp_path: Path) -> None:
    full_of_rows(tmp_path, 10)
    asked(tmp_path / "scores.db", "PRAGMA journal_mode = DELETE")
    asked(tmp_path / "scores.db", f"PRAGMA user_version = {VERSION + 6}")
    content = (tmp_path / "scores.db").read_bytes()
    with pytest.raises(RequestError, match=rf"is of schema {VERSION + 6}, this edge-nima writes {VERSION}: update"):
        SqliteStore(tmp_path)
    assert (tmp_path / "scores.db").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["scores.db"]


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE theirs (x)"],
        ["CREATE TABLE theirs (x)", "PRAGMA user_version = 57"],
        ["CREATE TABLE theirs (x)", "PRAGMA application_id = 1234", "PRAGMA user_version = 1"],
        ["PRAGMA application_id = 1234"],
    ],
)
def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path, statements: list[str]) -> None:
    for statement in statements:
        asked(tmp_path / "scores.db", statement)
    content = (tmp_path / "scores.db").read_bytes()
    with pytest.raises(RequestError, match=r"^'.*scores.db' is the database of another program: give another --out$"):
        SqliteStore(tmp_path)
    assert (tmp_path / "scores.db").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["scores.db"]


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    (tmp_path / "scores.db").touch()
    full_of_rows(tmp_path, 3)
    assert len(names(tmp_path)) == 3


def test_records_that_are_too_old_go(tmp_path: Path) -> None:
    now = time.time()
    with opened(tmp_path, keep_s=100) as store:
        store.write([scored(number, at=now - 1000 + number) for number in range(1000)])
        until(lambda: written_at(store, now) and len(names(tmp_path)) < 200)
        times = [at for (at,) in asked(tmp_path / "scores.db", "SELECT taken_at FROM scores")]
        assert min(map(float, times)) >= now - 100 - 1  # type: ignore[arg-type]
        assert {f"garden/{number:06}" for number in range(902, 1000)} <= set(names(tmp_path))


def written_at(store: SqliteStore, at: float) -> bool:
    store.write([scored(5000, at=at)])
    return True


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
        with store._turn:
            store._in_transaction(lambda database: many_events(store, database))
        for number in range(40):
            store.event(AT, "lost", "the source is lost " * 5)
            store.write([scored(10_000 + number)])
        assert len(names(tmp_path)) > 1500
        assert events(tmp_path)
        assert size(tmp_path) <= 2 * limit


def many_events(store: SqliteStore, database: sqlite3.Connection) -> None:
    for number in range(10_000):
        store._put_event(database, AT + number, "lost", "the source is lost " * 5)


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


def test_recent_is_in_order_of_time_and_leaves_out_what_has_no_mean(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(300, at=AT + 30), scored(100, at=AT + 10), failed(20), scored(200, at=AT + 20)])
        assert list(store.recent(AT + 10)) == [(AT + 10, 2.0), (AT + 20, 3.0), (AT + 30, 4.0)]
        assert list(store.recent(AT + 10.5)) == [(AT + 20, 3.0), (AT + 30, 4.0)]
        assert list(store.recent(AT + 31)) == []


def test_recent_is_read_while_another_thread_writes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(5000)])
        stop, errors = threading.Event(), list[BaseException]()

        def write() -> None:
            number = 5000
            try:
                while not stop.is_set():
                    store.write([scored(number + i) for i in range(10)])
                    number += 10
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            lengths = []
            for _ in range(20):
                got = list(store.recent(0))
                assert [at for at, _ in got] == [AT + number for number in range(len(got))]
                assert len(got) % 10 == 0
                lengths.append(len(got))
        finally:
            stop.set()
            thread.join(60)
        assert not errors
        assert lengths == sorted(lengths)
        assert lengths[0] >= 5000
        assert lengths[-1] > lengths[0]


def test_recent_of_a_damaged_page_is_logged_and_keeps_nobody_from_beginning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:
        store.write([scored(number) for number in range(3000)])
        asked(tmp_path / "scores.db", "PRAGMA wal_checkpoint(TRUNCATE)")
        with open(tmp_path / "scores.db", "r+b") as file:
            file.seek(PAGE)
            file.write(random.Random(0).randbytes((tmp_path / "scores.db").stat().st_size - PAGE))
        assert len(list(store.recent(0))) < 3000
        assert "cannot read '" in caplog.text


def test_threads_take_turns(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        threads = [
            threading.Thread(target=lambda k=k: [store.write([scored(100 * k + i)]) for i in range(50)])  # type: ignore[misc]
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(str, names(tmp_path))) == [f"garden/{100 * k + i:06}" for k in range(4) for i in range(50)]


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


def test_an_empty_batch_is_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write([])
    assert names(tmp_path) == []
