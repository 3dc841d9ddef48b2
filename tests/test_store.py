"""Where records go, and that one process writes a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nima.errors import OutputError, RequestError
from edge_nima.watch.store import FORMS, claim_folder, open_store
from storing import AT, Writer, filled, scored, small_disk

HOLDER = """
    import sys, time
    from pathlib import Path
    from edge_nima.watch.store import open_store
    store = open_store(sys.argv[1], Path(sys.argv[2]))
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("form", ["sqlite", "jsonl", "csv"])
def test_a_second_writer_is_refused_until_the_first_is_closed(tmp_path: Path, form: str) -> None:
    first = open_store(form, tmp_path / "out")
    for other in ("sqlite", "jsonl", "csv"):
        with pytest.raises(RequestError, match=r"^another process writes in '.*/out': stop it, or give another --out$"):
            open_store(other, tmp_path / "out")
    first.write([scored()])
    first.close()
    first.close()
    open_store(form, tmp_path / "out").close()


@pytest.mark.parametrize("form", ["sqlite", "csv"])
def test_a_second_writer_is_refused_across_processes_and_free_after_sigkill(tmp_path: Path, form: str) -> None:
    holder = Writer(HOLDER, form, tmp_path)
    assert holder.line() == "held"
    with pytest.raises(RequestError, match="another process writes in"):
        open_store(form, tmp_path)
    holder.kill()
    store = open_store(form, tmp_path)
    store.write([scored()])
    store.close()


def test_another_form_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^records are 'xml'; possible: sqlite, jsonl, csv, none$"):
        open_store("xml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_none_keeps_nothing_and_claims_nothing(tmp_path: Path) -> None:
    store = open_store("none", tmp_path / "out")
    store.write([scored()])
    store.event(AT, "lost", "cable")
    assert list(store.recent(0)) == []
    store.close()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_store_that_cannot_be_opened_lets_the_folder_go(tmp_path: Path, form: str) -> None:
    for name in ("scores.db", "scores.jsonl", "scores.csv"):
        (tmp_path / name).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    if form == "none":
        open_store(form, tmp_path).close()
    else:
        with pytest.raises(OutputError, match=r"cannot write '.*/scores"):
            open_store(form, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    claim_folder(tmp_path).close()


def test_lines_whose_events_cannot_be_opened_leave_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OutputError, match="cannot write"):
        open_store("jsonl", tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("form", ["sqlite", "jsonl", "csv"])
def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"^cannot write in '.*/file/out': Not a directory$"):
        open_store(form, tmp_path / "file" / "out")


@pytest.mark.parametrize("form", ["sqlite", "jsonl", "csv"])
def test_a_watcher_starts_on_a_disk_that_is_full_already(tmp_path: Path, form: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with filled(disk):
            store = open_store(form, disk)
            with pytest.raises(OutputError, match=r"': (No space left|disk I/O error|database or disk)"):
                store.write([scored(number) for number in range(50)])
            assert list(store.recent(0)) == []
        store.write([scored(1)])
        store.close()
        assert (disk / ("scores.db" if form == "sqlite" else f"scores.{form}")).stat().st_size > 0
