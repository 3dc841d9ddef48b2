"""The best of a window: what it promises whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.watch.window import BestOfWindow, Burst, Candidate

Frames = list[tuple[float, float, int]]
FRAMES = st.lists(
    st.tuples(
        st.integers(100, 1000).map(lambda n: n / 100),  # mean
        st.floats(0.01, 3.0),  # seconds since the one before
        st.sampled_from([0, 1, 3, 0xFF, 0xFF00, 0xFFFF0000, 2**64 - 1]),  # hash
    ),
    min_size=1,
    max_size=60,
)


def offer(window: BestOfWindow, mean: float, mono: float, seen: int = 0, payload: object = None) -> bool:
    return window.offer(mean, mono, 1e9 + mono, seen, payload)


def run(frames: Frames, window: BestOfWindow) -> tuple[list[float], list[Candidate]]:
    """All means, and the candidates that are kept, in one window."""
    mono = 0.0
    for mean, gap, seen in frames:
        mono += gap
        might = window.would_keep(mean, mono)
        took = offer(window, mean, mono, seen)
        assert might or not took, "what the cheap question refuses is never taken"
    return [mean for mean, _, _ in frames], window.close()


@given(FRAMES, st.integers(1, 5), st.sampled_from([0.0, 0.5, 4.0]), st.sampled_from([-1, 0, 6]))
@settings(max_examples=300)
def test_what_it_keeps_is_few_apart_unlike_and_holds_the_best(
    frames: Frames, keep: int, spacing: float, likeness: int
) -> None:
    means, kept = run(frames, BestOfWindow(keep, 1e9, spacing_s=spacing, likeness=likeness))
    assert 1 <= len(kept) <= keep
    for i, one in enumerate(kept):
        for other in kept[i + 1 :]:
            assert one.mean >= other.mean
            assert abs(other.taken_mono - one.taken_mono) >= spacing
            assert (one.hash ^ other.hash).bit_count() > likeness
    assert kept[0].mean == max(means)


@given(FRAMES, st.integers(1, 5))
@settings(max_examples=200)
def test_without_conditions_it_keeps_the_very_best(frames: Frames, keep: int) -> None:
    means, kept = run(frames, BestOfWindow(keep, 1e9, likeness=-1))
    assert [one.mean for one in kept] == sorted(means, reverse=True)[:keep]


def test_two_of_one_motif_become_the_better_one() -> None:
    window = BestOfWindow(3, 60)
    assert offer(window, 5.0, 1, 0b0, "first")
    assert offer(window, 6.0, 2, 0b111, "better")
    assert not offer(window, 5.9, 3, 0b1, "worse")
    assert [one.payload for one in window.held] == ["better"]
    assert [one.payload for one in window.close()] == ["better"]
    assert window.held == []


def test_of_equals_the_first_stays() -> None:
    window = BestOfWindow(1, 60)
    assert offer(window, 5.0, 1, payload="first")
    assert not offer(window, 5.0, 2, 2**64 - 1, payload="second")
    assert window.close()[0].payload == "first"


def test_a_window_begins_with_what_it_keeps_first_also_after_a_long_gap() -> None:
    window = BestOfWindow(1, 10)
    assert not window.due(1e6)
    offer(window, 5.0, 100.0)
    offer(window, 6.0, 105.0)
    assert not window.due(109.9)
    assert window.due(110.0)
    window.close()
    assert not window.due(1e6)
    offer(window, 5.0, 1e6)
    assert not window.due(1e6 + 9.9)


def test_a_film_that_begins_again_ends_the_window() -> None:
    window = BestOfWindow(1, 10)
    offer(window, 5.0, 100.0)
    assert window.due(99.0)


def test_spacing_holds_across_windows() -> None:
    window = BestOfWindow(1, 10, spacing_s=5)
    offer(window, 5.0, 9.0)
    assert len(window.close()) == 1
    assert not window.would_keep(9.0, 12.0)
    assert window.would_keep(2.0, 14.0)


def test_means_below_the_least_are_not_kept() -> None:
    window = BestOfWindow(3, 10, min_score=5.0)
    assert not offer(window, 4.99, 1)
    assert offer(window, 5.0, 2)
    assert [one.mean for one in window.close()] == [5.0]


@pytest.mark.parametrize("mean", [4.0, 5.0, float("nan")])
def test_what_would_not_be_kept_is_known_beforehand(mean: float) -> None:
    window = BestOfWindow(1, 10)
    offer(window, 5.0, 1)
    assert not window.would_keep(mean, 2)
    assert window.would_keep(5.01, 2)


def burst(*frames: tuple[float, float]) -> Candidate | None:
    """The one of a stretch, from means and sharpnesses."""
    stretch = Burst(1.0)
    for number, (mean, sharp) in enumerate(frames):
        if stretch.would_keep(mean):
            stretch.offer(Candidate(mean, 0.1 * number, 0.0, 0, number), sharp)
    return stretch.close()


@pytest.mark.parametrize(
    ("frames", "chosen"),
    [
        ([(5.0, 1), (6.0, 0), (5.5, 9)], 1),  # the best mean, however soft
        ([(5.0, 1), (5.01, 3), (5.005, 2)], 1),  # among equals the sharpest
        ([(5.01, 1), (5.0, 3)], 1),
        ([(5.0, 9), (5.01, 3), (5.03, 1)], 2),  # a chain of near equals ends at the best of it
        ([(5.0, 1)], 0),
    ],
)
def test_one_frame_of_a_burst_goes_on(frames: list[tuple[float, float]], chosen: int) -> None:
    candidate = burst(*frames)
    assert candidate is not None
    assert candidate.payload == chosen


def test_a_burst_lasts_its_time_and_begins_with_its_first_frame() -> None:
    stretch = Burst(1.0)
    assert not stretch.due(1e6)
    assert stretch.close() is None
    stretch.offer(Candidate(5.0, 7.0, 0.0, 0, "a"), 1.0)
    assert not stretch.due(7.9)
    assert stretch.due(8.0)
    assert stretch.close() is not None
    assert not stretch.due(8.0)
