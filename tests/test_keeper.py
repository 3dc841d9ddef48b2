"""The best of each window, on the disk: which, when, and what happens when they cannot be written."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_nima.frame import Frame
from edge_nima.selection import KeepPolicy
from edge_nima.watch import keeper as module
from edge_nima.watch import xmp
from edge_nima.watch.events import Listener, Shot
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.keeper import Keeper
from storing import AT, Writer, filled, scored, small_disk, until


class Memory(Listener):
    """Remembers the photographs that it is told of."""

    def __init__(self) -> None:
        self.shots: list[Shot] = []

    def kept(self, shot: Shot) -> None:
        self.shots.append(shot)


UNLIKE = KeepPolicy(keep=2, every_s=10.0, likeness=-1)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "RETRY_EVERY_S", 0.02)
    before = {*threading.enumerate()}
    yield
    until(
        lambda: not any(t.name == "edge-nima shots" for t in {*threading.enumerate()} - before), what="a thread is left"
    )


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Means of the photographs that were made into files."""
    means: list[float] = []
    real = xmp.encode

    def encode(rgb: NDArray[np.uint8], **facts: object) -> bytes:
        means.append(float(facts["mean"]))  # type: ignore[arg-type]
        return real(rgb, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode", encode)
    return means


def motif(number: int) -> NDArray[np.uint8]:
    """Pictures that look different."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))


def offer(keeper: Keeper, mono: float, mean: float | None, rgb: NDArray[np.uint8] | None = None) -> None:
    """A frame of a mean at a moment; without `rgb` each looks different."""
    pixels = motif(round(mono * 10)) if rgb is None else rgb
    one = scored(at=AT + mono)
    record = replace(one.record, mean=mean, error=None if mean is not None else "no")
    keeper.offer(replace(one, record=record), Frame(pixels, "garden", AT + mono, 1000 + mono))


def kept(folder: Path) -> list[tuple[float, float]]:
    """Moment and mean of each photograph, oldest first."""
    return sorted((shot.taken_at - AT, shot.mean) for shot in Gallery(folder).shots())


def blocked(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Saving waits for the first event and says by the second that it does."""
    free, waiting, real = threading.Event(), threading.Event(), gallery.save

    def save(*file: bytes | Path, **facts: object) -> Shot:
        waiting.set()
        free.wait(20)
        return real(*file, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "save", save)
    return free, waiting


FLAT, SHARP = (np.full((48, 64, 3), 90, np.uint8) for _ in range(2))
SHARP[:, ::2] = 200


@pytest.mark.parametrize(
    ("policy", "offered", "best"),
    [
        (
            UNLIKE,
            [(0, 5), (1, 7), (2, 6), (3, 4), (11, 3), (12, 2), (13, 3.5), (25, 1), (26, None), (27, float("nan"))],
            [(1, 7), (2, 6), (11, 3), (13, 3.5), (25, 1)],
        ),
        (
            KeepPolicy(keep=3, every_s=100, likeness=6),  # of those that look alike the best
            [(0, 5, motif(1)), (1, 6, motif(1)), (2, 5.5, motif(1)), (3, 5.2, motif(2)), (4, 4, motif(2))],
            [(1, 6), (3, 5.2)],
        ),
        (replace(UNLIKE, min_score=5.5), [(0, 5.4), (1, 5.5), (2, 9), (13, 5.49)], [(1, 5.5), (2, 9)]),
        (replace(UNLIKE, spacing_s=4), [(0, 5), (2, 6), (3, 5.5), (7, 4), (10.5, 9), (14.8, 2)], [(2, 6), (7, 4)]),
        (
            KeepPolicy(keep=9, every_s=100, burst_s=1.0, likeness=-1),  # the sharpest of the best
            [(0, 5, FLAT), (0.25, 5.01, SHARP), (0.5, 5.005, FLAT), (1.5, 4, SHARP), (1.75, 6, FLAT), (3, 2, FLAT)],
            [(0.25, 5.01), (1.75, 6), (3, 2)],
        ),
    ],
)
def test_the_best_of_each_window_are_kept_and_told(
    tmp_path: Path, policy: KeepPolicy, offered: list[tuple[float, float]], best: list[tuple[float, float]]
) -> None:
    memory = Memory()
    keeper = Keeper(Gallery(tmp_path), policy, "garden", [memory])
    for frame in offered:
        offer(keeper, *frame)
    keeper.finish(60)
    assert kept(tmp_path)[: len(best)] == best
    assert sorted((shot.taken_at - AT, shot.mean) for shot in memory.shots) == kept(tmp_path)
    assert (keeper.shots, keeper.lost, keeper.problem) == (len(kept(tmp_path)), 0, None)


def test_a_window_is_written_when_its_time_is_over_without_another_frame(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE, "garden")
    offer(keeper, 0, 5)
    keeper.look(None)
    keeper.look(1009.9)
    assert kept(tmp_path) == []
    keeper.look(1010.0)
    until(lambda: kept(tmp_path) == [(0, 5)])
    keeper.finish(60)


def test_those_displaced_before_their_turn_are_not_made_into_files_and_take_no_memory(
    tmp_path: Path, encoded: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, KeepPolicy(keep=2, every_s=10), "garden")
    offer(keeper, 0, 1.0)
    keeper.look(1010)
    assert waiting.wait(60)  # the thread is busy
    for number in range(40):
        offer(keeper, 11 + number / 10, 2 + number / 10)
    assert len([shot for shot in keeper._to_encode if shot.rgb is not None]) <= 4
    free.set()
    keeper.finish(60)
    assert len(encoded) <= 5
    assert [mean for _, mean in kept(tmp_path)] == [1.0, 5.8, 5.9]


def test_buffers_are_used_again_and_every_file_shows_its_own_frame(tmp_path: Path, encoded: list[float]) -> None:
    keeper, cameras = Keeper(Gallery(tmp_path), UNLIKE, "garden"), np.empty((48, 64, 3), np.uint8)
    for number in range(40):
        cameras[:] = motif(number)
        offer(keeper, number * 6.0, 5.0 + number / 100, cameras)
        cameras[:] = 0
        until(lambda: len(encoded) > number)  # noqa: B023
    keeper.finish(60)
    assert keeper._pool.made <= 4
    shots = {round(shot.mean * 100) - 500: shot.path for shot in Gallery(tmp_path).shots()}
    assert sorted(shots) == list(range(40))
    for number, path in shots.items():
        with Image.open(path) as image:
            difference = np.abs(np.asarray(image).astype(int) - motif(number)).mean()
        assert difference < 8, f"the file of frame {number} shows something else"


def test_the_larger_picture_is_what_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE, "garden")
    keeper.offer(scored(), Frame(motif(1), taken_mono=0.0, larger=lambda: np.zeros((300, 400, 3), np.uint8)))
    keeper.finish(60)
    with Image.open(Gallery(tmp_path).shots()[0].path) as image:
        assert image.size == (400, 300)


def test_stars_go_by_the_scores_of_before_and_of_the_window_in_whatever_order(tmp_path: Path) -> None:
    """Fault 14: the first frame of a window had other stars than the last of the same mean."""
    stars = []
    for number, means in enumerate(([9.0, 3.5, *[8.0] * 30], [*[8.0] * 30, 3.5, 9.0])):
        folder = tmp_path / str(number)
        keeper = Keeper(Gallery(folder), replace(UNLIKE, keep=40), "garden", recent=[3 + n / 100 for n in range(200)])
        for at, mean in enumerate(means):
            offer(keeper, at / 10, mean)
        keeper.finish(60)
        stars.append({shot.mean: shot.rating for shot in Gallery(folder).shots()})
        with Image.open(Gallery(folder).shots("best")[0].path) as image:
            assert b'xmp:Rating="5"' in image.info["xmp"]
    assert stars[0] == stars[1] == {9.0: 5, 8.0: 3, 3.5: 1}


def test_what_looks_like_a_photograph_of_late_is_kept_only_if_better_and_in_its_place(tmp_path: Path) -> None:
    """Fault 14: near-duplicates collapsed within a window alone."""
    removed: list[float] = []
    gallery = Gallery(tmp_path)
    gallery.on_removed = lambda shot: removed.append(shot.mean)
    policy = KeepPolicy(keep=1, every_s=10, alike_for_s=100)
    keeper = Keeper(gallery, policy, "garden")
    for mono, mean in [(0, 5), (11, 5.02), (22, 6), (33, 5.9), (121, 5.99), (123.5, 4)]:
        offer(keeper, mono, mean, motif(1))
    keeper.finish(60)
    assert kept(tmp_path) == [(22, 6), (123.5, 4)]
    assert removed == [5]
    keeper = Keeper(gallery, policy, "garden")  # and across a restart
    until(lambda: len(keeper._alike) == 1)
    offer(keeper, 130, 4.02, motif(1))
    keeper.finish(60)
    assert kept(tmp_path) == [(22, 6), (123.5, 4)]
    gallery.set_favourite(gallery.shots()[0].path.name, True)
    keeper = Keeper(gallery, policy, "garden")
    until(lambda: len(keeper._alike) == 1)
    offer(keeper, 150, 4.03, motif(1))
    keeper.finish(60)
    assert kept(tmp_path) == [(22, 6), (123.5, 4), (150, 4.03)]


def test_a_full_disk_holds_so_many_windows_and_counts_the_rest_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        keeper = Keeper(Gallery(disk), UNLIKE, "garden")
        windows = module.WINDOWS_HELD + 3
        with filled(disk):
            for window in range(windows):
                for i in range(2):
                    offer(keeper, 11 * window + i, 5 + i)
            keeper.look(1000 + 11.0 * windows)
            until(lambda: keeper.problem is not None and keeper.lost == 2 * 3)
            assert "No space left" in str(keeper.problem)
            assert keeper.shots == 0
        until(lambda: keeper.shots == 2 * module.WINDOWS_HELD)
        keeper.finish(60)
        assert (keeper.shots, keeper.lost, keeper.problem) == (2 * module.WINDOWS_HELD, 6, None)
        assert [moment for moment, _ in kept(disk)] == [11 * w + i for w in range(3, windows) for i in range(2)]
    assert caplog.text.count("photographs cannot be written") == 1
    assert caplog.text.count("photographs are written again") == 1


def test_finishing_on_a_full_disk_is_quick_and_counts_what_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        keeper = Keeper(Gallery(disk), UNLIKE, "garden")
        with filled(disk):
            for mono in (0, 1, 11, 12):
                offer(keeper, mono, 5 + mono / 100)
            started = time.monotonic()
            assert keeper.finish(600) == 0
            assert time.monotonic() - started < 300  # it does not wait for a disk that is full
            assert (keeper.shots, keeper.lost) == (0, 4)
            assert keeper.finish(60) == 0
            assert (keeper.shots, keeper.lost) == (0, 4)


def failing(*_: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("ends_well", [True, False])
def test_finishing_while_the_disk_hangs_is_in_time_and_the_next_start_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_well: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 11: of five photographs three were lost in silence."""
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, UNLIKE, "garden")
    for mono in (0, 1):
        offer(keeper, mono, 5 + mono / 100)
    keeper.look(1010)
    assert waiting.wait(60)
    offer(keeper, 11, 5)
    assert keeper.finish(0.1) == 1  # the one in hand may still be written; the last was never encoded
    assert (keeper.shots, keeper.lost) == (0, 1)
    assert "wait for the next start: 1" in caplog.text
    if not ends_well:
        monkeypatch.setattr("edge_nima.watch.gallery.os.replace", failing)
    free.set()
    until(lambda: not keeper._thread.is_alive())
    assert (keeper.shots, keeper.lost) == (int(ends_well), 1)
    monkeypatch.undo()
    Keeper(Gallery(tmp_path), UNLIKE, "garden").finish(60)
    assert kept(tmp_path) == [(0, 5), (1, 5.01)]
    assert list((tmp_path / "window").iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("cannot be a JPEG"), MemoryError()])
def test_one_that_cannot_be_encoded_is_counted_and_no_other_frame_is_stored_under_its_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Fault 3: its buffer went back to the pool and was encoded again at the window's end, with another's pixels."""
    real, failed = xmp.encode, list[float]()

    def encode(rgb: NDArray[np.uint8], **facts: object) -> bytes:
        if facts["mean"] == 9.0 and not failed:
            failed.append(9.0)
            raise error
        return real(rgb, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode", encode)
    keeper = Keeper(Gallery(tmp_path), UNLIKE, "garden")
    for mono, mean in [(0, 9.0), (1, 5), (2, 4), (11, 6)]:
        offer(keeper, mono, mean, np.full((48, 64, 3), 20 * mean, np.uint8))
        until(lambda: not keeper._to_encode and (failed == [9.0]))
    keeper.finish(60)
    assert kept(tmp_path) == [(1, 5), (2, 4), (11, 6)]
    assert (keeper.shots, keeper.lost) == (3, 1)
    for shot in Gallery(tmp_path).shots():
        with Image.open(shot.path) as image:
            assert np.asarray(image).mean() == pytest.approx(20 * shot.mean, abs=2)
    assert "a photograph of 'garden' cannot be kept" in caplog.text


def test_a_listener_that_fails_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Listener):
        def kept(self, shot: Shot) -> None:
            raise ZeroDivisionError("mine")

    memory = Memory()
    keeper = Keeper(Gallery(tmp_path), UNLIKE, "garden", [Bad(), memory])
    offer(keeper, 0, 5)
    offer(keeper, 11, 6)
    keeper.finish(60)
    assert len(memory.shots) == keeper.shots == 2
    assert "ZeroDivisionError" in caplog.text


def test_offering_never_waits_for_the_disk_and_the_windows_let_go_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, replace(UNLIKE, keep=1), "garden")
    for number in range(300):
        offer(keeper, 11 * number, 5, FLAT)
        keeper.look(1010 + 11 * number)
        assert waiting.wait(60)
    assert len([shot for shot in keeper._to_encode if shot.rgb is not None]) <= 1 + module.WINDOWS_HELD
    free.set()
    keeper.finish(60)
    assert keeper.shots == len(kept(tmp_path)) == 1 + module.WINDOWS_HELD
    assert keeper.shots + keeper.lost == 300


def test_a_folder_that_is_deleted_costs_what_was_in_it_and_no_more(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE, "garden")
    offer(keeper, 0, 5)
    until(lambda: (tmp_path / "window").is_dir() and not keeper._to_encode)
    until(lambda: isinstance(keeper._window.held[0].file, Path))
    shutil.rmtree(tmp_path / "window")
    shutil.rmtree(tmp_path / "shots")
    offer(keeper, 11, 6)
    offer(keeper, 12, 7)
    assert keeper.finish(60) == 0
    assert kept(tmp_path) == [(11, 6), (12, 7)]
    assert (keeper.shots, keeper.lost) == (2, 1)


def test_the_thread_gives_a_sign_of_life_while_it_works_and_none_while_a_write_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, UNLIKE, "garden")
    until(lambda: time.monotonic() - keeper.alive_at > 0.01)
    until(lambda: time.monotonic() - keeper.alive_at < 0.01)  # idle, it looks around
    offer(keeper, 0, 5)
    keeper.look(1010)
    assert waiting.wait(60)
    until(lambda: time.monotonic() - keeper.alive_at > 0.1)
    free.set()
    keeper.finish(60)
    assert time.monotonic() - keeper.alive_at < 30


def test_what_an_earlier_process_left_is_kept_as_the_window_would_have(tmp_path: Path) -> None:
    """Candidates and reserves of a window that was killed; a camera that is watched no more; nothing twice."""
    policy = KeepPolicy(keep=2, every_s=100)
    keeper = Keeper(Gallery(tmp_path), policy, "garden")
    for mono, mean, number in [(0, 5, 1), (1, 6, 1), (2, 5.5, 2), (3, 4, 3), (4, 3, 4)]:
        offer(keeper, mono, mean, motif(number))
        until(lambda: all(isinstance(one.file, Path) for one in keeper._window.held))
    assert len(list((tmp_path / "window").iterdir())) == 5
    Keeper(Gallery(tmp_path), policy, "other").finish(60)
    assert kept(tmp_path) == []
    assert Keeper(Gallery(tmp_path), policy, "garden").finish(60) == 0
    assert kept(tmp_path) == [(1, 6), (2, 5.5)]
    assert list((tmp_path / "window").iterdir()) == []
    keeper._window.held = []
    keeper.finish(60)


KILLED = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from edge_nima.records import ScoreRecord
    from edge_nima.frame import Frame
    from edge_nima.watch.events import Scored
    from edge_nima.watch.gallery import Gallery
    from edge_nima.watch.keeper import Keeper
    from edge_nima.selection import KeepPolicy
    keeper = Keeper(Gallery(Path(sys.argv[1])), KeepPolicy(keep=3, every_s=10, likeness=-1), "garden")
    chance, start = np.random.default_rng(int(sys.argv[2])), int(sys.argv[2]) * 1000
    rgb = chance.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for number in range(100_000):
        mean, at = round(float(chance.uniform(1, 10)), 3), start + number / 2
        print(at, mean, flush=True)
        record = ScoreRecord("", mean, 1.0, (0.1,) * 10, "fake@ffffffff", 1.0)
        keeper.offer(Scored(record, "garden", 1764000000.0 + at, 1.0), Frame(rgb, taken_mono=at))
        while keeper._to_encode:  # the thread has taken it
            time.sleep(0.0002)
        time.sleep(0.002)
"""


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_at_most_the_frame_in_flight(tmp_path: Path) -> None:
    """Fault 11: twenty processes are killed; what is kept is the best of every window, finished and running."""
    chance, policy, said = random.Random(7), KeepPolicy(keep=3, every_s=10, likeness=-1), list[list[str]]()
    for turn in range(20):
        writer = Writer(KILLED, tmp_path, turn)
        lines = [writer.line() for _ in range(chance.randint(15, 90))]
        time.sleep(chance.uniform(0, 0.01))
        said.append(lines + writer.kill())
    assert Keeper(Gallery(tmp_path), policy, "garden").finish(60) == 0
    got, lost = kept(tmp_path), 0
    for turn, lines in enumerate(said):
        offered = [(float(at), float(mean)) for at, mean in (line.split() for line in lines)]
        of_turn = [shot for shot in got if turn * 1000 <= shot[0] < turn * 1000 + 1000]
        # The last was perhaps said and not offered; of the others one was perhaps being encoded.
        whole = [best_of_windows(offered), best_of_windows(offered[:-1])]
        but_one = [best_of_windows([f for f in offered[:-1] if f != flying]) for flying in offered[-5:-1]]
        but_one += [best_of_windows([f for f in offered if f != flying]) for flying in offered[-5:-1]]
        assert of_turn in whole + but_one
        lost += of_turn not in whole
    assert lost < 20
    assert list((tmp_path / "window").iterdir()) == []


def best_of_windows(frames: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The best three of each ten seconds, in order."""
    windows: dict[float, list[tuple[float, float]]] = {}
    for at, mean in frames:
        windows.setdefault(at // 10, []).append((at, mean))
    return sorted(one for window in windows.values() for one in sorted(window, key=lambda one: -one[1])[:3])
