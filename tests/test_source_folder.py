"""A folder that another program fills, as programs fill folders."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from edge_nima.errors import PictureError, SourceError
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames import folder as module
from edge_nima.frames.folder import FolderSource
from edge_nima.frames.opening import open_source
from streams import assert_scene, jpeg, scene

WHOLE = jpeg(scene())


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "Inbox Süd"
    path.mkdir()
    return path


def opened(folder: Path, **how: bool) -> FolderSource:
    source = FolderSource(folder, **how)
    source.open()
    return source


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that follow each other at once, and a patience that no busy machine outlasts."""
    for name, seconds in (("_LOOK_EVERY_S", 0.01), ("_QUIET_S", 0.05), ("_PATIENCE_S", 60.0)):
        monkeypatch.setattr(module, name, seconds)


def next_name(source: FolderSource, within_s: float = 60.0) -> str:
    """The next photograph's file name."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            frame = source.read()
        except NothingYet:
            continue
        assert isinstance(frame, Frame)
        return os.path.basename(frame.name)
    pytest.fail("no photograph came")


def nothing_comes(source: FolderSource, looks: int = 4) -> bool:
    """Whether so many looks and more find nothing."""
    for _ in range(looks):
        with pytest.raises(NothingYet):
            source.read()
    return True


def test_new_photographs_come_in_the_order_of_their_arrival(inbox: Path) -> None:
    (inbox / "old.jpg").write_bytes(WHOLE)
    source = opened(inbox)
    assert (source.label, source.live) == ("inbox-sud", True)
    for number, name in enumerate(("z.jpg", "a.png", "m.JPEG")):
        (inbox / name).write_bytes(WHOLE)
        os.utime(inbox / name, (1000 + number, 1000 + number))
    assert [next_name(source) for _ in range(3)] == ["z.jpg", "a.png", "m.JPEG"]
    assert nothing_comes(source)
    (inbox / "later.jpg").write_bytes(WHOLE)
    assert next_name(source) == "later.jpg"
    source.close()
    source.close()


def test_a_frame_is_the_photograph_and_its_time_that_of_the_file(inbox: Path) -> None:
    source = opened(inbox)
    (inbox / "a.jpg").write_bytes(WHOLE)
    os.utime(inbox / "a.jpg", (1_700_000_000, 1_700_000_000))
    before = time.monotonic()
    while True:
        try:
            frame = source.read()
            break
        except NothingYet:
            continue
    assert frame is not None
    assert_scene(frame.rgb)
    assert frame.taken_at == 1_700_000_000
    assert before <= frame.taken_mono <= time.monotonic()
    assert frame.name == f"{inbox}/a.jpg"


def test_what_is_there_already_comes_when_asked_for(inbox: Path) -> None:
    for number, name in enumerate("cab"):
        (inbox / f"{name}.jpg").write_bytes(WHOLE)
        os.utime(inbox / f"{name}.jpg", (number, number))
    source = open_source(str(inbox), existing=True)
    assert isinstance(source, FolderSource)
    source.open()
    assert [next_name(source) for _ in range(3)] == ["c.jpg", "a.jpg", "b.jpg"]


def test_a_photograph_that_is_still_being_written_waits_until_it_is_whole(inbox: Path) -> None:
    source = opened(inbox)
    with open(inbox / "slow.jpg", "wb", buffering=0) as file:
        for at in range(0, len(WHOLE) - 10, len(WHOLE) // 6):
            file.write(WHOLE[at : min(at + len(WHOLE) // 6, len(WHOLE) - 10)])
            assert nothing_comes(source, 1)
        file.write(WHOLE[-10:])
    assert next_name(source) == "slow.jpg"


def test_a_writer_that_pauses_is_waited_for(inbox: Path) -> None:
    source = opened(inbox)
    (inbox / "paused.jpg").write_bytes(WHOLE[: len(WHOLE) // 2])
    assert nothing_comes(source)
    with open(inbox / "paused.jpg", "ab") as file:
        file.write(WHOLE[len(WHOLE) // 2 :])
    assert next_name(source) == "paused.jpg"


def test_one_that_stays_truncated_is_damaged_once_and_holds_up_no_other(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    source = opened(inbox)
    (inbox / "a-cut.jpg").write_bytes(WHOLE[: len(WHOLE) // 2])
    (inbox / "b.jpg").write_bytes(WHOLE)
    assert next_name(source) == "b.jpg"
    with pytest.raises(PictureError, match=r"a-cut\.jpg'"):
        next_name(source)
    assert nothing_comes(source)


def test_hidden_and_half_written_names_are_left_out_until_they_are_renamed(inbox: Path) -> None:
    source = opened(inbox)
    for name in (".a.jpg", "b.jpg.tmp", "c.jpg.partial", "d.txt", "e.jpg~", "f.part"):
        (inbox / name).write_bytes(WHOLE)
    (inbox / "folder.jpg").mkdir()
    (inbox / "link.jpg").symlink_to("nowhere.jpg")
    (inbox / "empty.jpg").touch()
    assert nothing_comes(source)
    (inbox / "b.jpg.tmp").rename(inbox / "b.jpg")
    assert next_name(source) == "b.jpg"


def test_a_file_moved_in_with_an_old_date_is_new(inbox: Path, tmp_path: Path) -> None:
    source = opened(inbox)
    (inbox / "a.jpg").write_bytes(WHOLE)
    assert next_name(source) == "a.jpg"
    (tmp_path / "b.jpg").write_bytes(WHOLE)
    os.utime(tmp_path / "b.jpg", (5, 5))
    (tmp_path / "b.jpg").rename(inbox / "b.jpg")
    assert next_name(source) == "b.jpg"


def test_one_written_anew_under_the_same_name_is_new(inbox: Path) -> None:
    source = opened(inbox)
    for number in range(3):
        (inbox / "latest.jpg").write_bytes(jpeg(scene(64, 48 + 8 * number)))
        assert next_name(source) == "latest.jpg"
    assert nothing_comes(source)


def test_a_file_removed_before_its_turn_is_forgotten(inbox: Path) -> None:
    source = opened(inbox)
    (inbox / "a.jpg").write_bytes(WHOLE)
    while not source._looked():
        pass
    assert list(source._waiting) == ["a.jpg"]
    (inbox / "a.jpg").unlink()
    assert nothing_comes(source)
    assert source._waiting == {}


def test_a_folder_that_goes_and_comes_back_is_lost_and_goes_on(inbox: Path) -> None:
    source = opened(inbox)
    (inbox / "a.jpg").write_bytes(WHOLE)
    assert next_name(source) == "a.jpg"
    aside = inbox.with_name("aside")
    inbox.rename(aside)
    with pytest.raises(SourceError, match="is gone: No such file"):
        next_name(source)
    source.close()
    with pytest.raises(SourceError, match="does not exist; mkdir -p"):
        source.open()
    with pytest.raises(SourceError, match="is not open"):
        source.read()
    (aside / "b.jpg").write_bytes(WHOLE)  # while it was away
    aside.rename(inbox)
    source.open()
    assert next_name(source) == "b.jpg"
    assert nothing_comes(source)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(SourceError, match="is no folder"):
        FolderSource(tmp_path / "x").open()


def test_a_folder_that_is_emptied_leaves_nothing_in_memory(inbox: Path) -> None:
    source = opened(inbox)
    small = jpeg(scene(16, 16))
    for number in range(40):
        (inbox / f"{number}.jpg").write_bytes(small)
    names = [next_name(source) for _ in range(40)]
    assert sorted(map(str, names)) == sorted(f"{number}.jpg" for number in range(40))
    shutil.rmtree(inbox)
    inbox.mkdir()
    assert nothing_comes(source)
    assert (len(source._known), source._waiting, source._fresh) == (0, {}, set())


def test_more_photographs_than_are_remembered_all_come_once(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 7)
    small = jpeg(scene(16, 16))
    for number in range(60):
        (inbox / f"{number:02}.jpg").write_bytes(small)
        os.utime(inbox / f"{number:02}.jpg", (number, number))
    source = opened(inbox, existing=True)
    names = []
    while len(names) < 60:
        names.append(next_name(source))
        assert len(source._waiting) <= 7
    assert names == [f"{number:02}.jpg" for number in range(60)]
    assert nothing_comes(source)


def test_a_look_that_takes_long_does_not_keep_read_from_answering(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        (inbox / f"{number}.jpg").touch()
    source = opened(inbox)

    def slow(name: str, status: os.stat_result) -> int:
        time.sleep(0.005)  # a slow disk: 0.2 s a look
        return mark(name, status)

    mark = module._mark
    monkeypatch.setattr(module, "_mark", slow)
    monkeypatch.setattr(module, "_SLICE", 2)
    monkeypatch.setattr(module, "_REST", 1)
    (inbox / "new.jpg").write_bytes(WHOLE)
    assert nothing_comes(source)  # two looks, each over many calls of `read`
    assert next_name(source) == "new.jpg"


def test_closed_in_the_middle_of_a_look_it_begins_anew(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(inbox)
    (inbox / "a.jpg").write_bytes(WHOLE)
    (inbox / "b.jpg").write_bytes(WHOLE)
    monkeypatch.setattr(module, "_SLICE", 1)
    assert not source._looked()
    source.close()
    with pytest.raises(SourceError, match="is not open"):
        source.read()
    source.open()
    assert sorted(seen.looks for seen in source._waiting.values()) == [1, 1]
    assert {next_name(source), next_name(source)} == {"a.jpg", "b.jpg"}
    assert nothing_comes(source)


@pytest.mark.slow
def test_a_hundred_thousand_files_cost_eight_bytes_each_and_little_time(inbox: Path) -> None:
    for number in range(100_000):
        (inbox / f"{number}.jpg").touch()
    source = opened(inbox)
    assert source._known.itemsize * len(source._known) == 800_000
    assert not source._waiting
    assert np.all(np.diff(np.array(source._known, np.uint64).astype(np.float64)) >= 0)
    (inbox / "new.jpg").write_bytes(WHOLE)
    assert next_name(source, 600) == "new.jpg"
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < 6:
        with pytest.raises(NothingYet):
            source.read()
    assert (time.process_time() - cpu) / (time.monotonic() - began) < 0.3
