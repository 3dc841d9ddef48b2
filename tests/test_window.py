"""The best of a window: what it promises whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.watch.window import BestOfWindow, Candidate

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


def run(frames: Frames, window: BestOfWindow[int]) -> tuple[list[Candidate[int]], list[Candidate[int]]]:
    """All candidates, and those that are kept, in one window."""
    mono, candidates = 0.0, []
    for number, (mean, gap, seen) in enumerate(frames):
        mono += gap
        window.begin(mono)
        candidates.append(Candidate(mean, mono, seen, number))
        if window.would_keep(mean, mono):
            window.offer(candidates[-1])
    return candidates, window.close()


@given(FRAMES, st.integers(1, 5), st.sampled_from([0.0, 0.5, 4.0]), st.sampled_from([-1, 0, 6]))
@settings(max_examples=300, deadline=None)
def test_what_it_keeps_is_few_apart_unlike_and_holds_the_best(
    frames: Frames, keep: int, spacing: float, likeness: int
) -> None:
    candidates, kept = run(frames, BestOfWindow(keep, 1e9, spacing, None, likeness))
    assert 1 <= len(kept) <= keep
    for i, one in enumerate(kept):
        for other in kept[i + 1 :]:
            assert other.taken_mono - one.taken_mono >= spacing
            assert (one.hash ^ other.hash).bit_count() > likeness
    assert max(one.mean for one in kept) == max(one.mean for one in candidates)


@given(FRAMES, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_without_conditions_it_keeps_the_very_best(frames: Frames, keep: int) -> None:
    candidates, kept = run(frames, BestOfWindow(keep, 1e9, likeness=-1))
    best = sorted((one.mean for one in candidates), reverse=True)[:keep]
    assert sorted((one.mean for one in kept), reverse=True) == best


@given(FRAMES, st.integers(1, 4), st.sampled_from([0.0, 1.0]))
@settings(max_examples=200, deadline=None)
def test_every_candidate_is_kept_or_given_back_once(frames: Frames, keep: int, spacing: float) -> None:
    window: BestOfWindow[int] = BestOfWindow(keep, 1e9, spacing)
    mono, back = 0.0, []
    for number, (mean, gap, seen) in enumerate(frames):
        mono += gap
        back += window.offer(Candidate(mean, mono, seen, number))
    everything = [one.payload for one in back + window.close()]
    assert sorted(everything) == list(range(len(frames)))


def test_two_of_one_motif_become_the_better_one() -> None:
    window: BestOfWindow[str] = BestOfWindow(3, 60)
    assert window.offer(Candidate(5.0, 1, 0b0, "first")) == []
    (dropped,) = window.offer(Candidate(6.0, 2, 0b111, "better"))
    assert dropped.payload == "first"
    (refused,) = window.offer(Candidate(5.9, 3, 0b1, "worse"))
    assert refused.payload == "worse"
    assert [one.payload for one in window.close()] == ["better"]


def test_a_window_begins_with_its_first_frame_also_after_a_long_gap() -> None:
    window: BestOfWindow[int] = BestOfWindow(1, 10)
    assert not window.due(1e6)
    window.begin(100.0)
    window.begin(105.0)
    assert not window.due(109.9)
    assert window.due(110.0)
    window.close()
    assert not window.due(1e6)
    window.begin(1e6)
    assert not window.due(1e6 + 9)


def test_spacing_holds_across_windows() -> None:
    window: BestOfWindow[int] = BestOfWindow(1, 10, spacing_s=5)
    window.offer(Candidate(5.0, 9.0, 0, 1))
    assert len(window.close()) == 1
    assert not window.would_keep(9.0, 12.0)
    assert window.would_keep(2.0, 14.0)


def test_means_below_the_least_are_not_kept() -> None:
    window: BestOfWindow[int] = BestOfWindow(3, 10, min_score=5.0)
    assert window.offer(Candidate(4.99, 1, 0, 1))
    assert window.offer(Candidate(5.0, 2, 0, 2)) == []
    assert [one.payload for one in window.close()] == [2]


@pytest.mark.parametrize("mean", [4.0, 5.0])
def test_what_would_not_be_kept_is_known_beforehand(mean: float) -> None:
    window: BestOfWindow[int] = BestOfWindow(1, 10)
    window.offer(Candidate(5.0, 1, 0, 1))
    assert not window.would_keep(mean, 2)
    assert window.would_keep(5.01, 2)
