"""Frame buffers that are used again, and frames that are turned."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from edge_nima.errors import RequestError
from edge_nima.frame import Frame
from edge_nima.sources import BufferPool
from edge_nima.sources.rotated import TURNS, RotatedSource, turn
from streams import assert_scene, scene


def test_a_buffer_given_back_is_used_again_and_is_never_in_two_frames() -> None:
    pool = BufferPool(2)
    first, back = pool.take(4, 6)
    second, _ = pool.take(4, 6)
    assert first.shape == (4, 6, 3)
    assert first.flags.c_contiguous
    assert first is not second
    back()
    back()  # a frame closed twice: the buffer must not come out twice
    third, _ = pool.take(4, 6)
    fourth, _ = pool.take(4, 6)
    assert third is first
    assert fourth is not first


def test_buffers_above_the_count_and_of_an_old_size_are_let_go() -> None:
    pool = BufferPool(2)
    leases = [pool.take(4, 6) for _ in range(10)]
    for _, back in leases:
        back()
    again = [pool.take(4, 6) for _ in range(3)]
    assert sum(any(buffer is old for old, _ in leases) for buffer, _ in again) == 2
    small, _ = pool.take(2, 2)
    again[0][1]()
    assert small.shape == (2, 2, 3)
    assert pool.take(4, 6)[0] is not again[0][0]


def test_frames_closed_by_other_threads_never_share_a_buffer() -> None:
    pool, wrong = BufferPool(4), []

    def work(number: int) -> None:
        for _ in range(2000):
            buffer, back = pool.take(8, 8)
            buffer[...] = number
            if not (buffer == number).all():
                wrong.append(number)
            back()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotate", TURNS)
@pytest.mark.parametrize("size", [(7, 5), (130, 200)])
def test_a_turn_is_clockwise_and_a_mirror_comes_after_it(rotate: int, mirror: bool, size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    wanted = np.rot90(rgb, -rotate // 90)
    if mirror:
        wanted = np.fliplr(wanted)
    turned = turn(rgb, rotate, mirror)
    assert np.array_equal(turned, wanted)
    assert turned.flags.c_contiguous
    assert np.array_equal(turn(rgb[:, ::-1], rotate, mirror), turn(np.fliplr(rgb).copy(), rotate, mirror))


class Two:
    """A source with a small and a large picture."""

    label, drops, real_time = "two", True, True

    def __init__(self, larger: Callable[[], np.ndarray] | None = None) -> None:
        self.larger, self.closed, self.opened = larger, 0, 0

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Frame | None:
        return Frame(scene(64, 48), "two", 12.0, 34.0, self.larger, self._close)

    def _close(self) -> None:
        self.closed += 1

    def close(self) -> None:
        self.opened -= 1


def test_a_turned_source_turns_the_full_picture_too_and_closes_what_it_wraps() -> None:
    inner = Two(lambda: scene(640, 480))
    source = RotatedSource(inner, 90, mirror=True)
    source.open()
    frame = source.read()
    assert frame is not None
    assert (source.label, source.drops, source.real_time) == ("two", True, True)
    assert (frame.name, frame.taken_at, frame.taken_mono) == ("two", 12.0, 34.0)
    assert frame.rgb.shape == (64, 48, 3)
    assert frame.full().shape == (640, 480, 3)
    assert np.array_equal(turn(frame.full(), 90, mirror=True), scene(640, 480))  # such a turn undoes itself
    assert inner.closed == 0  # the full picture may still be asked for
    frame.close()
    assert inner.closed == 1
    source.close()
    assert inner.opened == 0


def test_a_turned_frame_without_a_larger_one_gives_the_camera_its_buffer_at_once() -> None:
    inner = Two()
    source = RotatedSource(inner, 180)
    kept = source.read()
    assert kept is not None
    assert inner.closed == 1
    other = source.read()
    assert other is not None
    assert not np.shares_memory(kept.rgb, other.rgb)
    assert_scene(turn(kept.full(), 180), 0)


def test_only_quarter_turns_are_possible() -> None:
    with pytest.raises(RequestError, match="rotate is 45; possible: 0, 90, 180, 270"):
        RotatedSource(Two(), 45)
