"""Records as lines: whole ones only, whatever tore the file, and each read exactly once."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.errors import OutputError, printable
from edge_nima.records import ScoreRecord, read_records
from edge_nima.watch import line_file as module
from edge_nima.watch.events import Scored
from edge_nima.watch.line_file import SMALLEST_PART, LineFile, rotated_of
from edge_nima.watch.line_store import HEADER, LineStore, _parsed_lines, format_scored, read_lines
from edge_nima.watch.units import utc_moment, utc_text
from storing import AT, Writer, failed, filled, scored, small_disk

FORMS = pytest.mark.parametrize("form", ["jsonl", "csv"])
LINES = [b"one\n", b"the second line\n", b"3\n"]


def names(folder: Path, form: str) -> list[str | None]:
    return [None if one is None else one.record.name for one in read_lines(folder / f"scores.{form}", form)]


def reopened(path: Path, **limits: float) -> bytes:
    """What is left of a file once it was opened again."""
    LineFile(path, **limits).close()  # type: ignore[arg-type]
    return path.read_bytes()


@FORMS
def test_what_is_written_is_read_back_and_read_by_others(tmp_path: Path, form: str) -> None:
    store = LineStore(tmp_path, form)
    batches = [[scored(1), scored(2)], [failed(3, 'it "hangs", again')], []]
    for batch in batches:
        store.write(batch)
    store.event(AT, "lost", "the\ncable")
    store.close()
    store.close()
    assert list(read_lines(tmp_path / f"scores.{form}", form)) == list(itertools.chain(*batches))
    records = [record for record, _ in read_records(tmp_path / f"scores.{form}")]
    assert records == [one.record for one in itertools.chain(*batches)]
    (event,) = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(event) == {"at": "2025-11-24T16:00:00.000Z", "kind": "lost", "text": "the\ncable"}


TEXT = st.text(max_size=30) | st.lists(
    st.sampled_from(list("a,\"'\n\r\0\x85\u2028\\ 木\udcff\udc80{}")), max_size=12
).map("".join)
NUMBER = st.floats(allow_nan=False)
SHARES = st.lists(st.floats(0, 1), min_size=10, max_size=10).map(tuple)
MODEL = TEXT.filter(bool)
RECORD = st.builds(
    Scored,
    st.builds(
        ScoreRecord, TEXT, st.floats(1, 10), st.floats(0, 5), SHARES, MODEL, NUMBER, st.none(), st.none() | MODEL,
    )
    | st.builds(ScoreRecord, TEXT, st.none(), st.none(), st.none(), MODEL, NUMBER, MODEL, st.none()),
    TEXT,
    st.integers(0, 4_102_444_800_000).map(lambda milliseconds: milliseconds / 1000),
    NUMBER,
)  # fmt: skip


@given(st.lists(RECORD, max_size=6))
@settings(max_examples=60)
def test_any_record_comes_back_from_json_lines_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Scored]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    for part in (batch, batch):
        store = LineStore(folder, "jsonl")
        store.write(part)
        store.close()
    assert list(read_lines(folder / "scores.jsonl", "jsonl")) == batch + batch


@given(st.lists(RECORD, max_size=6))
@settings(max_examples=60)
def test_any_record_comes_back_from_csv_with_what_breaks_lines_shown_escaped(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Scored]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    for part in (batch, batch):
        store = LineStore(folder, "csv")
        store.write(part)
        store.close()
    expected = [
        replace(
            one, camera=printable(one.camera), record=replace(
                one.record, name=printable(one.record.name), model=printable(one.record.model),
                error=one.record.error and printable(one.record.error),
                preprocessing=one.record.preprocessing and printable(one.record.preprocessing),
            ),
        )
        for one in batch
    ]  # fmt: skip
    assert list(read_lines(folder / "scores.csv", "csv")) == expected * 2
    content = (folder / "scores.csv").read_bytes()
    assert content.count(b"\n") == (1 + 2 * len(batch) if batch else 0)
    assert b"\0" not in content


@FORMS
def test_every_cut_of_the_last_line_is_mended_and_the_earlier_ones_are_intact(tmp_path: Path, form: str) -> None:
    store = LineStore(tmp_path, form)
    store.write([scored(1), scored(2)])
    store.close()
    path = tmp_path / f"scores.{form}"
    before = path.read_bytes()
    last = format_scored(scored(3), form).encode()
    for length in range(len(last)):
        path.write_bytes(before + last[:length])
        assert reopened(path) == before, f"cut after {length} bytes"
    path.write_bytes(before + last)
    assert reopened(path) == before + last
    for length in range(len(before)):  # and of the whole file
        path.write_bytes(before[:length])
        assert reopened(path) == before[: before.rfind(b"\n", 0, length) + 1]


@FORMS
def test_writing_goes_on_after_a_line_was_torn(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"scores.{form}"
    header = HEADER.encode() if form == "csv" else b""
    for kept in (0, len(header) // 2):
        path.write_bytes(header[:kept])
        store = LineStore(tmp_path, form)
        store.write([scored(1)])
        store.close()
        with open(path, "ab") as file:
            file.write(format_scored(scored(2), form).encode()[:-1])
        store = LineStore(tmp_path, form)
        store.write([scored(3)])
        store.close()
        assert names(tmp_path, form) == ["garden/000001", "garden/000003"]
        assert not rotated_of(path)


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"".join(LINES) + bytes(5000), b"".join(LINES)),
        (b"".join(LINES) + b"half" + bytes(17), b"".join(LINES)),
        (b"".join(LINES) + bytes(17) + b"rest\n", b"".join(LINES)),
        (b"".join(LINES) + b"half" + bytes(9) + b"rest\nwhole\n", b"".join(LINES) + b"whole\n"),
        (b"".join(LINES) + bytes(9) + b"\nwhole\nhalf", b"".join(LINES) + b"whole\n"),
        (bytes(4096), b""),
        (b"", b""),
        (b"\n", b"\n"),
        (b"half", b""),
    ],
)
def test_zeros_after_a_power_cut_are_cut_away(tmp_path: Path, content: bytes, left: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    assert reopened(path) == left
    assert reopened(path) == left


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_zeros_are_found_across_the_chunks_that_a_file_is_read_in(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    path, chance = tmp_path / "lines.jsonl", random.Random(chunk)
    for _ in range(200):
        before = b"".join(b"x" * chance.randint(0, 9) + b"\n" for _ in range(chance.randint(0, 6)))
        torn = b"y" * chance.randint(0, 9) + bytes(chance.randint(0, 20))
        path.write_bytes(before + torn)
        assert reopened(path) == before


KILLED = """
    import sys
    from pathlib import Path
    from edge_nima.watch.line_store import LineStore
    from storing import scored
    number = int(sys.argv[3])
    store = LineStore(Path(sys.argv[1]), sys.argv[2], max_bytes=128 * 1024 * 8)
    print("open", flush=True)
    while True:
        store.write([scored(1000 * number + i) for i in range(number % 7 * 20 + 1)])
        print(number, flush=True)
        number += 1
"""


@FORMS
def test_sigkill_in_the_middle_of_writing_loses_no_batch_that_was_acknowledged(tmp_path: Path, form: str) -> None:
    chance, number = random.Random(2), 0
    for _ in range(10):
        writer = Writer(KILLED, tmp_path, form, number)
        assert writer.line() == "open"
        said = [writer.line() for _ in range(chance.randint(1, 20))]
        said += writer.kill()
        LineStore(tmp_path, form).close()
        read = names(tmp_path, form)
        assert None not in read
        found = [int(str(name).split("/")[1]) for name in read]
        assert found == sorted(set(found))
        for batch in map(int, said):
            whole = [1000 * batch + i for i in range(batch % 7 * 20 + 1)]
            assert set(whole) <= set(found), "a batch that was acknowledged is gone"
        number = max(one // 1000 for one in found) + 1


def test_it_is_rotated_by_size_and_every_line_is_in_one_file(tmp_path: Path) -> None:
    path, written = tmp_path / "lines.jsonl", list[bytes]()
    file = LineFile(path, max_bytes=10**7)
    part = 10**7 // 8
    for number in range(40):
        batch = b"".join(b"%06d %06d %s\n" % (number, i, b"x" * 80) for i in range(1000))
        file.append(batch)
        written.append(batch)
    file.close()
    rotated = rotated_of(path)
    assert len(rotated) == 3
    sizes = [one.stat().st_size for one in (*rotated, path)]
    assert max(sizes) <= part
    assert b"".join(one.read_bytes() for one in (*rotated, path)) == b"".join(written)


def test_a_batch_larger_than_a_part_is_in_one_file(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "lines.jsonl", max_bytes=1)
    batch = b"x" * 99 + b"\n"
    file.append(batch * 2000)
    file.append(batch)
    file.close()
    assert not rotated_of(file.path)  # 200 kB are more than 128 KiB
    assert file.path.read_bytes() == batch


class Clock(datetime):
    at = AT

    @classmethod
    def now(cls, tz: object = None) -> Clock:  # type: ignore[override]
        return cls.fromtimestamp(cls.at, UTC)


def test_names_are_in_the_order_of_writing_also_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "datetime", Clock)
    file = LineFile(tmp_path / "lines.jsonl", max_bytes=10**7)
    for number, at in enumerate([AT, AT - 3600, AT - 3600, AT + 0.4, AT + 7200, AT - 86400 * 365]):
        monkeypatch.setattr(Clock, "at", at)
        file.append(b"%d\n" % number + b"x" * 1_200_000 + b"\n")
    file.close()
    rotated = rotated_of(file.path)
    assert [int(one.read_bytes()[:1]) for one in rotated] == [0, 1, 2, 3, 4]
    assert [one.name for one in rotated][:4] == [
        f"lines-20251124T{time}Z.jsonl" for time in ("150000", "150001", "160000", "180000")
    ]


def test_rotated_files_go_by_age_and_the_current_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "datetime", Clock)
    monkeypatch.setattr(module, "time", lambda: Clock.at)
    path = tmp_path / "lines.jsonl"
    file = LineFile(path, keep_s=1000, max_bytes=10**7)
    for number in range(8):
        monkeypatch.setattr(Clock, "at", AT + 400 * number)
        file.append(b"%d\n" % number + b"x" * 1_200_000 + b"\n")
    file.close()
    # That of 4 was rotated at 5: its last line was written then at the latest.
    assert [int(one.read_bytes()[:1]) for one in (*rotated_of(path), path)] == [4, 5, 6, 7]
    monkeypatch.setattr(Clock, "at", AT + 10**6)
    LineFile(path, keep_s=1000).close()
    assert not rotated_of(path)
    assert path.exists()


def test_all_files_together_stay_within_their_bytes_and_the_oldest_go_first(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    (tmp_path / "lines-mine.jsonl").write_bytes(b"somebody's own\n")
    file, largest, line = LineFile(path, max_bytes=10**6), 0, 0
    for _ in range(300):
        file.append(b"".join(b"%08d %s\n" % (line + i, b"x" * 90) for i in range(100)))
        line += 100
        largest = max(largest, sum(one.stat().st_size for one in (*rotated_of(path), path)))
    file.close()
    assert 700_000 < largest <= 10**6
    content = b"".join(one.read_bytes() for one in (*rotated_of(path), path))
    kept = [int(text[:8]) for text in content.splitlines()]
    assert kept == list(range(kept[0], line))
    assert (tmp_path / "lines-mine.jsonl").exists()


@pytest.mark.parametrize("first", ["name,mean\n", "x\n", HEADER.replace("camera", "kamera")])
def test_a_file_with_another_header_is_rotated_away(tmp_path: Path, first: str) -> None:
    (tmp_path / "scores.csv").write_text(first + "a,5\n")
    store = LineStore(tmp_path, "csv")
    store.write([scored(1)])
    store.close()
    (old,) = rotated_of(tmp_path / "scores.csv")
    assert old.read_text() == first + "a,5\n"
    assert (tmp_path / "scores.csv").read_text().startswith(HEADER)
    assert [one and one.record.name for one in read_lines(tmp_path / "scores.csv", "csv")][-1] == "garden/000001"


def test_a_csv_of_an_earlier_version_keeps_its_own_columns(tmp_path: Path) -> None:
    earlier = HEADER.replace("preprocessing,", "")
    cells = format_scored(replace(scored(1), record=replace(scored(1).record, preprocessing=None)), "csv")
    assert cells.count(",,,,") == 1  # the error, the preprocessing, size and time are empty
    (tmp_path / "scores.csv").write_text(earlier + cells.replace(",,,,", ",,,"))
    store = LineStore(tmp_path, "csv")
    store.write([scored(2)])
    store.close()
    first, second = read_lines(tmp_path / "scores.csv", "csv")
    assert first == replace(scored(1), record=replace(scored(1).record, preprocessing=None))
    assert second == scored(2)


@FORMS
def test_a_full_disk_takes_nothing_of_a_batch_and_once_freed_takes_the_next(tmp_path: Path, form: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        store, written = LineStore(disk, form), list[str]()
        for round_number in range(10):
            with filled(disk, 3000):  # some bytes of a batch would fit
                for attempt in range(3):
                    with pytest.raises(
                        OutputError, match=rf"^cannot write '.*/scores\.{form}': No space left on device$"
                    ):
                        store.write([scored(10_000 + attempt * 100 + i) for i in range(100)])
                assert names(disk, form) == written
            store.write([scored(round_number)])
            written.append(f"garden/{round_number:06}")
            assert names(disk, form) == written
        store.close()
        assert (disk / f"scores.{form}").read_bytes().count(HEADER.encode()) == (form == "csv")


@FORMS
def test_a_file_deleted_by_hand_while_it_runs_is_begun_again(tmp_path: Path, form: str) -> None:
    store = LineStore(tmp_path, form)
    store.write([scored(1)])
    (tmp_path / f"scores.{form}").unlink()
    store.write([scored(2)])
    (tmp_path / f"scores.{form}").write_bytes(b"")
    (tmp_path / "new").write_text((HEADER if form == "csv" else "") + format_scored(scored(7), form))
    (tmp_path / "new").replace(tmp_path / f"scores.{form}")
    store.write([scored(3)])
    store.close()
    assert names(tmp_path, form) == ["garden/000007", "garden/000003"]


@FORMS
@pytest.mark.parametrize(
    "damage", ["", "x", "{}", "[]", "7", "null", '{"name": "a"}', "a,b,c", "," * 30, '"', "{" * 5000]
)
def test_a_damaged_line_is_none_and_those_around_it_are_read(tmp_path: Path, form: str, damage: str) -> None:
    header = HEADER if form == "csv" else ""
    path = tmp_path / f"scores.{form}"
    path.write_text(header + format_scored(scored(1), form) + damage + "\n" + format_scored(scored(2), form))
    assert names(tmp_path, form) == ["garden/000001", None, "garden/000002"]


@FORMS
def test_two_lines_run_into_one_are_not_taken_for_the_first(tmp_path: Path, form: str) -> None:
    header = HEADER if form == "csv" else ""
    one, two = format_scored(scored(1), form), format_scored(scored(2), form)
    (tmp_path / f"scores.{form}").write_text(header + one.rstrip("\n") + "," + two)
    assert names(tmp_path, form) == [None]


@FORMS
def test_a_line_that_is_being_written_is_left_for_later_and_so_is_its_rest(tmp_path: Path, form: str) -> None:
    header = HEADER if form == "csv" else ""
    path = tmp_path / f"scores.{form}"
    last = format_scored(scored(2), form)
    path.write_text(header + format_scored(scored(1), form) + last[:40])
    reading = read_lines(path, form)
    first = next(reading)
    assert first == scored(1)
    assert next(reading, "end") == "end"
    with open(path, "a") as file:
        file.write(last[40:])
    assert names(tmp_path, form) == ["garden/000001", "garden/000002"]


def test_half_a_line_and_its_rest_that_comes_just_then_are_no_damaged_line() -> None:
    last = format_scored(scored(2), "jsonl")
    assert list(_parsed_lines(StringsAsFile([last, last[:40], last[40:]]), "jsonl")) == [scored(2)]
    row = format_scored(scored(2), "csv")
    for parts in (["", HEADER, row], [HEADER[:9], HEADER[9:], row]):  # just begun, its header not whole yet
        assert list(_parsed_lines(StringsAsFile(parts), "csv")) == []
    assert list(_parsed_lines(StringsAsFile([HEADER, row]), "csv")) == [scored(2)]


class StringsAsFile(io.StringIO):
    """A file that ends for a moment after each of its strings."""

    def __init__(self, parts: list[str]) -> None:
        super().__init__()
        self._parts = iter(parts)

    def __next__(self) -> str:
        return next(self._parts)


@FORMS
def test_a_reader_sees_each_record_once_while_files_are_rotated(tmp_path: Path, form: str) -> None:
    store = LineStore(tmp_path, form, max_bytes=8 * SMALLEST_PART * 100)
    store._scores._part = 20_000
    stop, count, errors = threading.Event(), [0], list[BaseException]()

    def write() -> None:
        try:
            while not stop.is_set() and count[0] < 40_000:
                store.write([scored(count[0] + i) for i in range(20)])
                count[0] += 20
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while count[0] < 4000:
            least = count[0]
            read = names(tmp_path, form)
            assert None not in read
            numbers = [int(str(name).split("/")[1]) for name in read]
            assert numbers == list(range(len(numbers))), "a record is missing, there twice, or out of its order"
            assert len(numbers) >= least
    finally:
        stop.set()
        thread.join(60)
        store.close()
    assert not errors
    assert len(rotated_of(tmp_path / f"scores.{form}")) > 5


def test_old_rotated_files_are_not_read_at_all(tmp_path: Path) -> None:
    now = time.time()
    for age_days, number in ((3, 1), (1.5, 2), (0.5, 3)):
        stamp = utc_text(now - age_days * 86400)[:19].replace("-", "").replace(":", "")
        path = tmp_path / f"scores-{stamp}Z.jsonl"
        path.write_text(format_scored(scored(number), "jsonl"))
        os.utime(path, (now - age_days * 86400,) * 2)
    (tmp_path / "scores.jsonl").write_text(format_scored(scored(4), "jsonl"))
    read = [one and one.taken_at - AT for one in read_lines(tmp_path / "scores.jsonl", "jsonl", since=now - 86400)]
    assert read == [2, 3, 4]  # a day is allowed for clocks that were set
    assert len(list(read_lines(tmp_path / "scores.jsonl", "jsonl"))) == 4


def test_nothing_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "scores.jsonl", "jsonl")) == []


def test_lines_say_when_to_the_millisecond(tmp_path: Path) -> None:
    row = json.loads(format_scored(scored(at=AT + 0.1239), "jsonl", shot="a.jpg"))
    assert (row["taken_at"], row["camera"], row["age_ms"], row["shot"]) == (
        "2025-11-24T16:00:00.123Z",
        "garden",
        40.25,
        "a.jpg",
    )
    assert utc_moment(row["taken_at"]) == AT + 0.123
