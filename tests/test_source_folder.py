"""A folder that another program fills, as programs fill folders."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_nima.errors import PictureError, SourceError
from edge_nima.frame import Frame
from edge_nima.sources import NothingYet, SourceOptions, open_source
from edge_nima.sources import folder as module
from edge_nima.sources.folder import FolderSource
from streams import assert_scene, jpeg, scene

WHOLE = jpeg(scene())


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "Inbox Süd"
    path.mkdir()
    return path


def opened(folder: Path, **how: Any) -> FolderSource:
    source = FolderSource(folder, SourceOptions(**how))
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
    assert (source.label, source.drops, source.real_time) == ("inbox-sud", False, True)
    for number, name in enumerate(("z\n.jpg", "a.png", "m.JPEG")):
        (inbox / name).write_bytes(WHOLE)
        os.utime(inbox / name, (1000 + number, 1000 + number))
    assert [next_name(source) for _ in range(3)] == ["z\n.jpg", "a.png", "m.JPEG"]
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
    source = open_source(str(inbox), SourceOptions(existing=True))
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


def test_one_written_anew_under_the_same_name_is_new(inbox: Path) -> None:
    source = opened(inbox)
    for number in range(3):
        (inbox / "latest.jpg").write_bytes(jpeg(scene(64, 48 + 8 * number)))
        assert next_name(source) == "latest.jpg"
    assert nothing_comes(source)


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


def test_an_emptied_folder_is_remembered_until_something_new_comes(inbox: Path) -> None:
    # A disk that is not mounted looks the same: what was on it must not be new when it is back.
    source = opened(inbox)
    small = jpeg(scene(16, 16))
    for number in range(40):
        (inbox / f"{number}.jpg").write_bytes(small)
    names = [next_name(source) for _ in range(40)]
    assert sorted(map(str, names)) == sorted(f"{number}.jpg" for number in range(40))
    shutil.rmtree(inbox)
    inbox.mkdir()
    assert nothing_comes(source)
    assert (len(source._known), source._waiting, source._fresh) == (40, {}, set())
    (inbox / "new.jpg").write_bytes(small)
    assert next_name(source) == "new.jpg"
    assert nothing_comes(source)
    assert len(source._known) == 1


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
    while not source._looked():
        pass
    assert [seen.settled for seen in source._waiting.values()] == [False, False]
    assert {next_name(source), next_name(source)} == {"a.jpg", "b.jpg"}
    assert nothing_comes(source)


@pytest.mark.slow
def test_thirty_thousand_files_cost_eight_bytes_each_and_little_time(inbox: Path) -> None:
    for number in range(30_000):
        (inbox / f"{number}.jpg").touch()
    source = opened(inbox)
    assert source._known.itemsize * len(source._known) == 240_000
    assert not source._waiting
    assert np.all(np.diff(np.array(source._known, np.int64).astype(np.float64)) >= 0)
    (inbox / "new.jpg").write_bytes(WHOLE)
    assert next_name(source, 600) == "new.jpg"
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < 6:
        with pytest.raises(NothingYet):
            source.read()
    assert (time.process_time() - cpu) / (time.monotonic() - began) < 0.3


class Remembered:
    """A memory as the records keep it."""

    def __init__(self) -> None:
        self.marks: set[int] | None = None

    def load(self) -> Iterable[int] | None:
        return self.marks

    def begin(self, marks: Iterable[int]) -> None:
        self.marks = set(marks)

    def forget(self, marks: Iterable[int]) -> None:
        assert self.marks is not None
        self.marks -= set(marks)


def next_frame(source: FolderSource) -> Frame:
    while True:
        try:
            frame = source.read()
        except NothingYet:
            continue
        assert frame is not None
        return frame


def test_files_that_came_while_nobody_watched_are_new_and_none_comes_twice(inbox: Path) -> None:
    memory = Remembered()
    (inbox / "old.jpg").write_bytes(WHOLE)
    source = opened(inbox, memory=memory)
    assert len(memory.marks or ()) == 1  # the first time, what is there is where it begins
    (inbox / "a.jpg").write_bytes(WHOLE)
    (inbox / "b.jpg").write_bytes(WHOLE)
    frame = next_frame(source)
    assert memory.marks is not None
    assert frame.mark is not None
    assert -(1 << 63) <= frame.mark < 1 << 63
    memory.marks.add(frame.mark)  # this one was scored, and the power failed
    source.close()
    (inbox / "while-away.jpg").write_bytes(WHOLE)
    (inbox / "old.jpg").unlink()
    again = opened(inbox, memory=memory)
    left = {"a.jpg", "b.jpg"} - {os.path.basename(frame.name)}
    assert {next_name(again), next_name(again)} == {"while-away.jpg", *left}
    assert nothing_comes(again)
    assert memory.marks == {frame.mark}  # what is gone is forgotten
    with_all = opened(inbox, memory=Remembered(), existing=True)
    assert {next_name(with_all) for _ in range(3)} == {"a.jpg", "b.jpg", "while-away.jpg"}


def test_a_disk_that_is_not_mounted_makes_nothing_forgotten(inbox: Path) -> None:
    memory = Remembered()
    (inbox / "a.jpg").write_bytes(WHOLE)
    opened(inbox, memory=memory).close()
    aside = inbox.with_name("aside")
    inbox.rename(aside)
    inbox.mkdir()
    assert nothing_comes(opened(inbox, memory=memory))
    inbox.rmdir()
    aside.rename(inbox)
    assert nothing_comes(opened(inbox, memory=memory))


def test_folders_in_it_are_watched_also_those_that_come_later(inbox: Path) -> None:
    out = inbox / "best"
    for name in ("best", "@eaDir", ".thumbnails", "#recycle"):
        (inbox / name).mkdir()
    source = opened(inbox, exclude=(str(out),))
    dated = inbox / "2026-11-27" / "jpg"
    dated.mkdir(parents=True)
    for folder in (dated, out, inbox / "@eaDir", inbox / ".thumbnails", inbox / "#recycle"):
        (folder / "a.jpg").write_bytes(WHOLE)
    (inbox / "2026-11-27" / "loop").symlink_to(inbox)
    frame = next_frame(source)
    assert frame.name == str(dated / "a.jpg")
    assert nothing_comes(source)


def test_a_folder_that_is_awaited_gives_all_that_comes_with_it(tmp_path: Path) -> None:
    source = FolderSource(tmp_path / "later")
    with pytest.raises(SourceError, match="does not exist"):
        source.open()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.jpg").write_bytes(WHOLE)
    source.open()
    assert next_name(source) == "a.jpg"


def test_what_is_left_out_is_said_once(inbox: Path, caplog: pytest.LogCaptureFixture) -> None:
    (inbox / "@eaDir").mkdir()
    for name in ("a.jpg", "@eaDir/a.jpg", "film.mov", ".part.jpg"):
        (inbox / name).write_bytes(WHOLE)
    with caplog.at_level("INFO", "edge_nima.sources"):
        source = opened(inbox, existing=True)
        assert next_name(source) == "a.jpg"
        assert nothing_comes(source)
    told = [message for message in caplog.messages if "left out" in message]
    assert told == [f"'{inbox}': left out: 1 .mov, 1 hidden, 1 in @eaDir"]
