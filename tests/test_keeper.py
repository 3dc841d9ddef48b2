"""The best of each window, on the disk: which, when, and what happens when they cannot be written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_nima.errors import OutputError
from edge_nima.frames import Frame
from edge_nima.watch import keeper as module
from edge_nima.watch.events import Listener, Shot
from edge_nima.watch.keeper import Keeper, Wishes
from edge_nima.watch.shots import Gallery
from storing import AT, filled, scored, small_disk
from watching import Memory, until

UNLIKE = Wishes(keep=2, every_s=10.0, likeness=-1)


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
    real = module.encode

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

    def save(*content: bytes, **facts: object) -> Shot:
        waiting.set()
        free.wait(20)
        return real(*content, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "save", save)
    return free, waiting


def test_the_best_of_each_window_are_kept(tmp_path: Path) -> None:
    memory = Memory()
    keeper = Keeper(Gallery(tmp_path), UNLIKE, [memory])
    for mono, mean in [(0, 5), (1, 7), (2, 6), (3, 4), (11, 3), (12, 2), (13, 3.5), (25, 1), (26, None)]:
        offer(keeper, mono, mean)
    keeper.finish(60)
    assert kept(tmp_path) == [(1, 7), (2, 6), (11, 3), (13, 3.5), (25, 1)]
    assert sorted((shot.taken_at - AT, shot.mean) for shot in memory.shots) == kept(tmp_path)
    assert (keeper.shots, keeper.lost, keeper.problem) == (5, 0, None)


def test_a_window_is_written_when_its_time_is_over_without_another_frame(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE)
    offer(keeper, 0, 5)
    keeper.look(None)
    keeper.look(1009.9)
    assert kept(tmp_path) == []
    keeper.look(1010.0)
    until(lambda: kept(tmp_path) == [(0, 5)])
    keeper.finish(60)


def test_of_those_that_look_alike_the_best_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), Wishes(keep=3, every_s=100, likeness=6))
    for mono, mean, number in [(0, 5, 1), (1, 6, 1), (2, 5.5, 1), (3, 5.2, 2), (4, 4, 2), (5, 3, 3)]:
        offer(keeper, mono, mean, motif(number))
    keeper.finish(60)
    assert kept(tmp_path) == [(1, 6), (3, 5.2), (5, 3)]


def test_two_are_so_far_apart_also_across_windows(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), Wishes(keep=3, every_s=10, spacing_s=4, likeness=-1))
    for mono, mean in [(0, 5), (2, 6), (3, 5.5), (7, 4), (10.5, 9), (11.5, 3), (14.8, 2)]:
        offer(keeper, mono, mean)
    keeper.finish(60)
    moments = [moment for moment, _ in kept(tmp_path)]
    assert min(np.diff(moments)) >= 4
    assert (2, 6) in kept(tmp_path)
    assert len(moments) >= 3


def test_only_means_of_at_least_so_much_are_kept(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), replace(UNLIKE, min_score=5.5))
    for mono, mean in [(0, 5.4), (1, 5.5), (2, 9), (13, 5.49), (14, float("nan"))]:
        offer(keeper, mono, mean)
    keeper.finish(60)
    assert kept(tmp_path) == [(1, 5.5), (2, 9)]


def test_of_a_burst_the_sharpest_of_the_best_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), Wishes(keep=9, every_s=100, burst_s=1.0, likeness=-1))
    flat, sharp = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64, 3), 90, np.uint8)
    sharp[:, ::2] = 200
    for mono, mean, rgb in [
        (0, 5, flat),
        (0.25, 5.01, sharp),
        (0.5, 5.005, flat),
        (1.5, 4, sharp),
        (1.75, 6, flat),
        (3, 2, flat),
    ]:
        offer(keeper, mono, mean, rgb)
    keeper.finish(60)
    assert kept(tmp_path) == [(0.25, 5.01), (1.75, 6), (3, 2)]


def test_those_displaced_before_their_turn_are_not_made_into_files(
    tmp_path: Path, encoded: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, Wishes(keep=2, every_s=10, likeness=-1))
    offer(keeper, 0, 1.0)
    keeper.look(1010)
    assert waiting.wait(60)  # the thread is busy
    for number in range(40):
        offer(keeper, 11 + number / 10, 2 + number / 10)
    pixels = [entry for entry in keeper._to_encode if entry.rgb is not None]
    assert len(pixels) == 2  # and no more memory than that
    free.set()
    keeper.finish(60)
    assert encoded == [1.0, 5.8, 5.9]
    assert [mean for _, mean in kept(tmp_path)] == [1.0, 5.8, 5.9]


def test_pixels_are_the_keepers_own(tmp_path: Path) -> None:
    """A camera's buffer is used again as soon as the frame is closed."""
    keeper = Keeper(Gallery(tmp_path), UNLIKE)
    rgb = np.full((48, 64, 3), 200, np.uint8)
    offer(keeper, 0, 5, rgb)
    rgb[:] = 0
    keeper.finish(60)
    with Image.open(Gallery(tmp_path).shots()[0].path) as image:
        assert np.asarray(image).mean() == pytest.approx(200, abs=2)


def test_buffers_are_used_again_and_every_file_shows_its_own_frame(tmp_path: Path, encoded: list[float]) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE)
    for number in range(40):
        offer(keeper, number * 6.0, 5.0 + number / 100, motif(number))
        until(lambda: len(encoded) > number)  # noqa: B023
    keeper.finish(60)
    assert keeper._pool.made <= 3
    shots = {round(shot.mean * 100) - 500: shot.path for shot in Gallery(tmp_path).shots()}
    assert sorted(shots) == list(range(40))
    for number, path in shots.items():
        with Image.open(path) as image:
            difference = np.abs(np.asarray(image).astype(int) - motif(number)).mean()
        assert difference < 8, f"the file of frame {number} shows something else"


def test_the_larger_picture_is_what_is_kept(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE)
    keeper.offer(scored(), Frame(motif(1), taken_mono=0.0, larger=lambda: np.zeros((300, 400, 3), np.uint8)))
    keeper.finish(60)
    with Image.open(Gallery(tmp_path).shots()[0].path) as image:
        assert image.size == (400, 300)


def test_stars_go_by_the_scores_of_before(tmp_path: Path) -> None:
    keeper = Keeper(Gallery(tmp_path), UNLIKE, recent=[3 + n / 100 for n in range(200)])
    offer(keeper, 0, 9.0)
    offer(keeper, 1, 3.5)
    keeper.finish(60)
    assert {shot.mean: shot.rating for shot in Gallery(tmp_path).shots()} == {9.0: 5, 3.5: 1}


def test_a_full_disk_holds_so_many_windows_and_counts_the_rest_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        keeper = Keeper(Gallery(disk), UNLIKE)
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
        keeper = Keeper(Gallery(disk), UNLIKE)
        with filled(disk):
            for mono in (0, 1, 11, 12):
                offer(keeper, mono, 5 + mono / 100)
            started = time.monotonic()
            keeper.finish(600)
            assert time.monotonic() - started < 300  # it does not wait for a disk that is full
            assert (keeper.shots, keeper.lost) == (0, 4)
            keeper.finish(60)
            assert (keeper.shots, keeper.lost) == (0, 4)


@pytest.mark.parametrize("ends_well", [True, False])
def test_finishing_while_the_disk_hangs_is_in_time_and_every_photograph_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_well: bool
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, UNLIKE)
    for mono in (0, 1, 11, 12):
        offer(keeper, mono, 5 + mono / 100)
    assert waiting.wait(60)
    keeper.finish(0.1)
    assert (keeper.shots, keeper.lost) == (0, 3)
    if not ends_well:
        monkeypatch.setattr("edge_nima.watch.shots.write_whole", raises(OSError(5, "Input/output error")))
    free.set()
    until(lambda: not keeper._thread.is_alive())
    assert (keeper.shots, keeper.lost) == ((1, 3) if ends_well else (0, 4))
    assert len(kept(tmp_path)) == keeper.shots


def raises(error: Exception) -> Callable[..., None]:
    def work(*_: object, **__: object) -> None:
        raise error

    return work


def test_windows_let_go_while_the_disk_hangs_leave_the_one_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, replace(UNLIKE, keep=1))
    windows = module.WINDOWS_HELD + 4
    for window in range(windows):
        offer(keeper, 11 * window, 5)
        keeper.look(1000 + 11 * window + 10)
        assert waiting.wait(60)
    free.set()
    keeper.finish(60)
    assert keeper.shots == len(kept(tmp_path)) == 1 + module.WINDOWS_HELD
    assert keeper.shots + keeper.lost == windows


@pytest.mark.parametrize("error", [ValueError("cannot be a JPEG"), MemoryError()])
def test_one_that_cannot_be_made_into_a_file_is_counted_and_the_next_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    real = module.encode

    def encode(rgb: NDArray[np.uint8], **facts: object) -> bytes:
        if facts["mean"] == 9.0:
            raise error
        return real(rgb, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode", encode)
    keeper = Keeper(Gallery(tmp_path), UNLIKE)
    for mono, mean in [(0, 9.0), (1, 5), (11, 6)]:
        offer(keeper, mono, mean)
    keeper.finish(60)
    assert kept(tmp_path) == [(1, 5), (11, 6)]
    assert (keeper.shots, keeper.lost) == (2, 1)
    assert "a photograph cannot be kept" in caplog.text


def test_a_listener_that_fails_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Listener):
        def kept(self, shot: Shot) -> None:
            raise ZeroDivisionError("mine")

    memory = Memory()
    keeper = Keeper(Gallery(tmp_path), UNLIKE, [Bad(), memory])
    offer(keeper, 0, 5)
    offer(keeper, 11, 6)
    keeper.finish(60)
    assert len(memory.shots) == keeper.shots == 2
    assert "ZeroDivisionError" in caplog.text


def test_offering_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = Gallery(tmp_path)
    free, waiting = blocked(gallery, monkeypatch)
    keeper = Keeper(gallery, replace(UNLIKE, keep=1))
    rgb = motif(1)
    for number in range(300):
        offer(keeper, 11 * number, 5, rgb)
    assert waiting.is_set()
    held = [entry for entry in (*keeper._to_encode, *keeper._to_save) if entry.rgb is not None]
    assert len({id(entry) for entry in held}) <= 1 + module.WINDOWS_HELD
    free.set()
    keeper.finish(60)
    assert keeper.shots + keeper.lost == 300


def test_an_error_of_the_gallery_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, real = Gallery(tmp_path), Gallery.save
    monkeypatch.setattr(gallery, "save", raises(OutputError("cannot write 'shots': Read-only file system")))
    keeper = Keeper(gallery, UNLIKE)
    offer(keeper, 0, 5)
    keeper.look(1010)
    until(lambda: keeper.problem == "cannot write 'shots': Read-only file system")
    monkeypatch.setattr(gallery, "save", lambda content, **facts: real(gallery, content, **facts))
    until(lambda: keeper.shots == 1)
    until(lambda: keeper.problem is None)
    keeper.finish(60)
    assert keeper.lost == 0
