"""Files of score records: they come back as they went in, and survive what interrupts them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_nima.errors import OutputError, RequestError
from edge_nima.records import (
    COLUMNS,
    FileStamp,
    RecordFile,
    ScoreRecord,
    form_of,
    format_record,
    partial_path,
    read_records,
    write_whole,
)

Item = tuple[ScoreRecord, FileStamp]

BINS = (0.01, 0.02, 0.05, 0.1, 0.3, 0.32, 0.1, 0.05, 0.03, 0.02)
NAMES = ["a.jpg", "Größe, 日本.jpg", 'with "quotes", and, commas.jpg', "l'été\u2028.jpg", r"bad\xff.jpg", "=1+1", " x "]
NAMES += ["Screenshot at 9.41\u202fAM.jpg", os.fsdecode(b"caf\xe9.jpg"), "\r\x1b\n.jpg"]


HOW = "224x224, stretch, Pillow NEAREST (no antialias), RGB, p * 0.00784314 - 1 inside the graph"


def scored(name: str, mean: float = 5.4, how: str | None = HOW) -> Item:
    record = ScoreRecord(name, mean, 1.5, BINS, "net@01234567", 12.345, preprocessing=how)
    return record, FileStamp(1234, 1_700_000_000_123_456_789)


def failed(name: str) -> Item:
    return (
        ScoreRecord(name, None, None, None, "net@01234567", 0.2, 'damaged: "x", at byte 3'),
        FileStamp(None, None),
    )


def write(path: Path, items: list[Item]) -> Path:
    with RecordFile(path, form_of(path)) as file:
        for item in items:
            file.write(*item)
    return path


every_form = pytest.mark.parametrize("form", ["jsonl", "csv"])


@every_form
def test_records_come_back_as_they_went_in(tmp_path: Path, form: str) -> None:
    items = [scored(name) for name in NAMES] + [failed(name) for name in NAMES]
    assert read_records(write(tmp_path / f"r.{form}", items)) == items


@every_form
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.binary(max_size=30).map(os.fsdecode),
    mean=st.floats(1, 10),
    bins=st.lists(st.floats(0, 1), min_size=10, max_size=10),
    size=st.none() | st.integers(0, 2**63),
)
def test_any_name_and_any_number_comes_back_exactly(
    tmp_path: Path, form: str, name: str, mean: float, bins: list[float], size: int | None
) -> None:
    item = ScoreRecord(name, mean, 0.0, tuple(bins), "m@0", 1.0), FileStamp(size, size)
    path = tmp_path / f"any.{form}"
    path.unlink(missing_ok=True)
    assert read_records(write(path, [item, scored("after")])) == [item, scored("after")]


@every_form
def test_a_name_that_is_not_utf8_does_not_end_the_run(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"r.{form}", [scored(os.fsdecode(b"\xff.jpg")), scored("b")])
    records = read_records(path)
    assert len(records) == 2
    assert "dcff" in ascii(records[0][0].name)


def test_json_lines_have_the_documented_keys_and_csv_the_documented_columns() -> None:
    keys = [
        "name", "mean", "std", "distribution", "model", "elapsed_ms", "error", "preprocessing", "size", "mtime_ns",
    ]  # fmt: skip
    row = json.loads(format_record(*scored("a"), "jsonl"))
    assert list(row) == keys
    assert row["error"] is None
    assert len(row["distribution"]) == 10
    assert len(next(csv.reader([format_record(*scored("a, b"), "csv")]))) == len(COLUMNS) == 19


def test_the_order_of_a_records_fields_stays() -> None:
    record = ScoreRecord("n", 5.0, 1.0, BINS, "m@0", 2.0, None)
    assert (record.error, record.preprocessing) == (None, None)
    assert ScoreRecord("n", None, None, None, "m@0", 2.0, "why", HOW).preprocessing == HOW


def without_preprocessing(path: Path) -> None:
    """Make of a file what an earlier version wrote."""
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        at = rows[0].index("preprocessing")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([*row[:at], *row[at + 1 :]] for row in rows)
        return
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["preprocessing"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@every_form
def test_files_of_earlier_versions_are_read_and_gone_on_with(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"r.{form}", [scored("a"), failed("b")])
    without_preprocessing(path)
    old = [scored("a", how=None), failed("b")]
    assert read_records(path) == old
    with RecordFile(path, form, read_records(path), ["a", "b", "c"]) as file:
        file.write(*scored("c"))
    assert read_records(path) == [*old, scored("c")]
    header = path.read_bytes().partition(b"\n")[0]
    if form == "csv":
        path.write_bytes(header.replace(b"preprocessing,", b"")[:70])
        assert read_records(path) == []  # torn within its header, and still one of ours


@every_form
@pytest.mark.parametrize("name", ["plain.jpg", "Größe, 日本.jpg"])
def test_a_file_torn_at_any_byte_gives_whole_records_only(tmp_path: Path, form: str, name: str) -> None:
    items = [scored(name), failed("b.jpg"), scored(name + "2")]
    content = write(tmp_path / f"whole.{form}", items).read_bytes()
    torn = tmp_path / f"torn.{form}"
    last_line = content[:-1].rindex(b"\n") + 1
    for at in [*range(0, 60), *range(last_line, len(content))]:
        torn.write_bytes(content[:at])
        found = read_records(torn)
        for (record, _), (wanted, _) in zip(found, items, strict=False):
            # In CSV a stamp of which digits are missing looks like another stamp: the photograph is scored again.
            assert record == wanted
        assert len(found) == content[:at].count(b"\n") - (form == "csv" and at > 0 and b"\n" in content[:at]) or (
            len(found) == len(items)
        )


@every_form
def test_zeros_that_a_power_cut_left_are_a_torn_line(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"r.{form}", [scored("a")])
    path.write_bytes(path.read_bytes() + b"\0" * 500)
    assert read_records(path) == [scored("a")]


@every_form
def test_byte_order_mark_crlf_and_blank_lines_are_tolerated(tmp_path: Path, form: str) -> None:
    items = [scored("a"), failed("b"), scored("c")]
    path = write(tmp_path / f"r.{form}", items)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_records(path) == items


@every_form
@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"hello\n",
        b"a,b,c\n1,2,3\n",
        b"[1, 2]\n",
        b'"name"\n',
        b"null\n",
        b"3\n",
        b"[" * 100_000 + b"\n",
        b"\xff\xd8\xff\xe0\n\x10",
        b'{"name": "a"}\n',
        b'{"name":"a","mean":null,"std":null,"distribution":null,"model":"m","elapsed_ms":1,"error":null}\n',
        b'{"name":"a","mean":1,"std":1,"distribution":[1],"model":"m","elapsed_ms":1,"error":null}\n',
        b'{"name":"a","mean":1'
        + b"0" * 400
        + b',"std":1,"distribution":null,"model":"m","elapsed_ms":1,"error":null}\n',
        b'{"name":"a","mean":1,"std":1,"distribution":null,"model":"m","elapsed_ms":1,"error":null,"size":"x"}\n',
    ],
    ids=range(14),
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path: Path, form: str, content: bytes) -> None:
    path = tmp_path / f"other.{form}"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="records") as caught:
        read_records(path)
    assert "\n" not in str(caught.value)


@every_form
def test_the_number_of_the_wrong_record_is_said(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"r.{form}", [scored("a"), scored("b")])
    good = path.read_bytes()
    for wrong in (b"nonsense\n", good.splitlines(keepends=True)[-1].replace(b"5.4", b'"x"')):
        path.write_bytes(good + wrong + good.splitlines(keepends=True)[-1])
        with pytest.raises(RequestError, match=r"at record 3$"):
            read_records(path)


def test_a_missing_file_and_an_unknown_ending_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        read_records(tmp_path / "none.csv")
    with pytest.raises(RequestError, match="--format"):
        read_records(tmp_path / "none.txt")
    assert form_of("A.JSONL") == form_of("a.ndjson") == "jsonl"


def test_while_it_is_written_only_the_partial_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RecordFile(path, "jsonl") as file:
        file.write(*scored("a"))
        assert not path.exists()
        assert read_records(partial_path(path), "jsonl") == [scored("a")]
    assert read_records(path) == [scored("a")]
    assert os.listdir(tmp_path) == ["r.jsonl"]


def test_an_incomplete_run_leaves_an_earlier_file_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [scored("old")])
    with RecordFile(path, "jsonl") as file:
        file.write(*scored("new"))
        file.complete = False
    assert read_records(path) == [scored("old")]
    assert file.left_at == partial_path(path)
    assert read_records(partial_path(path), "jsonl") == [scored("new")]


def test_an_exception_puts_nothing_in_place_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with contextlib.suppress(ZeroDivisionError), RecordFile(path, "csv") as file:
        file.write(*scored("a"))
        raise ZeroDivisionError
    assert not path.exists()
    assert read_records(partial_path(path), "csv") == [scored("a")]


@every_form
def test_records_of_an_earlier_run_and_new_ones_come_into_the_given_order(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"r.{form}"
    with RecordFile(path, form, [scored("elsewhere"), scored("c"), scored("a")], ["a", "b", "c", "d"]) as file:
        file.write(*scored("b"))
        file.write(*scored("d"))
    assert [record.name for record, _ in read_records(path)] == ["elsewhere", "a", "b", "c", "d"]


def test_held_records_are_never_only_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RecordFile(path, "jsonl", [scored("a"), scored("b")])
    assert read_records(partial_path(path), "jsonl") == [scored("a"), scored("b")]
    with file:
        pass
    assert len(read_records(path)) == 2


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is a folder"):
        RecordFile(tmp_path, "jsonl")
    with pytest.raises(RequestError, match="mkdir -p"):
        RecordFile(tmp_path / "none" / "r.jsonl", "jsonl")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@every_form
def test_a_full_device_is_an_output_error_and_leaves_no_open_file(form: str) -> None:
    with pytest.raises(OutputError, match="No space left"), RecordFile("/dev/full", form) as file:
        file.write(*scored("a"))
    assert not os.path.isfile("/dev/full")


def test_write_whole_replaces_in_full_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_whole(path, b"old")

    def fail(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_the_stamp_of_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert FileStamp.of(tmp_path / "none") == FileStamp.of("a\0b") == FileStamp(None, None)
    (tmp_path / "f").write_bytes(b"123")
    os.utime(tmp_path / "f", ns=(5, 7_000_000_001))
    assert FileStamp.of(tmp_path / "f") == FileStamp(3, 7_000_000_001)


@every_form
def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"r.{form}"
    with RecordFile(path, form) as first:
        first.write(*scored("a.jpg"))
        for held in ([], [scored("b.jpg")]):
            with pytest.raises(RequestError, match="another run is writing"):
                RecordFile(path, form, held)
        first.write(*scored("c.jpg"))
    assert [record.name for record, _ in read_records(path)] == ["a.jpg", "c.jpg"]
