"""The best of a window: what it promises whatever comes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima.selection import Candidate, KeepPolicy, by_sharpness, choose
from edge_nima.similarity import perceptual_hash
from edge_nima.watch.policy import Ratings, Window


@dataclass(eq=False)
class Numbered(Candidate):
    """One of a row."""

    number: int = 0


Frames = Sequence[tuple[float, float, int]]
MEANS = st.integers(100, 1000).map(lambda n: n / 100)
HASHES = st.sampled_from([0, 1, 3, 0xFF, 0xFFF, 0xFF00, 0xFFFF0000, 2**64 - 1]) | st.integers(0, 2**64 - 1)


def frames(most: int) -> st.SearchStrategy[Frames]:
    """Means, seconds since the one before, hashes."""
    return st.lists(st.tuples(MEANS, st.floats(0.01, 3.0), HASHES), min_size=1, max_size=most)


def candidates(frames: Frames) -> list[Numbered]:
    moments = np.cumsum([gap for _, gap, _ in frames])
    return [
        Numbered(mean, float(moment), seen, number=number)
        for number, ((mean, _, seen), moment) in enumerate(zip(frames, moments, strict=True))
    ]


def run(offered: Iterable[Numbered], policy: KeepPolicy) -> list[int]:
    """Which are chosen as they come, best first."""
    window: Window[Numbered] = Window(policy)
    for candidate in offered:
        if window.may_hold(candidate.mean, candidate.taken_mono):
            window.offer(candidate)
            assert len(window.held) <= policy.reserve
    return [one.number for one in window.close()[0]]


def brute_force(offered: Sequence[Numbered], policy: KeepPolicy) -> list[int]:
    """The greedy choice over all frames, written out."""
    taken: list[Numbered] = []
    for one in sorted(offered, key=lambda one: (-one.mean, one.number)):
        unlike = all((one.hash ^ other.hash).bit_count() > policy.likeness for other in taken)
        apart = all(abs(one.taken_mono - other.taken_mono) >= policy.spacing_s for other in taken)
        if unlike and apart and len(taken) < policy.keep:
            taken.append(one)
    return [one.number for one in taken]


POLICIES = st.builds(
    KeepPolicy,
    st.integers(1, 5),
    st.just(1e9),
    st.sampled_from([0.0, 0.5, 4.0]),
    st.none(),
    st.sampled_from([-1, 0, 6]),
)


@given(st.data(), POLICIES)
@settings(max_examples=300)
def test_it_keeps_the_greedy_best_of_all_frames(data: st.DataObject, policy: KeepPolicy) -> None:
    exact = policy.reserve == policy.keep
    offered = candidates(data.draw(frames(60 if exact else policy.reserve)))
    assert run(offered, policy) == brute_force(offered, policy)


@given(frames(80), POLICIES)
@settings(max_examples=200)
def test_of_many_frames_it_keeps_few_apart_unlike_and_the_very_best(some: Frames, policy: KeepPolicy) -> None:
    offered = candidates(some)
    kept = [offered[number] for number in run(offered, policy)]
    assert kept == choose(kept, policy)
    assert kept[0].mean == max(one.mean for one in offered)


def test_what_a_later_rival_displaces_returns_when_that_is_displaced() -> None:
    """The second is excluded by the third, and the third by the fourth, which the second does not resemble."""
    offered = candidates([(4.0, 1, 2**64 - 1), (5.0, 1, 0x3F), (6.0, 1, 0xFFF), (7.0, 1, 0x3FFFF)])
    assert run(offered, KeepPolicy(2, 60)) == [3, 1]


def real_frames(data: Path) -> list[list[tuple[float, int]]]:
    """Means at the defaults and hashes of each video's frames."""
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    pytest.importorskip("ai_edge_litert", reason="needs edge-nima[litert]")
    from edge_nima.scorer import open_scorer

    scorer, found = open_scorer(), []
    for path in sorted((data / "videos").iterdir()):
        video, rows = cv2.VideoCapture(str(path)), []
        while (read := video.read())[0]:
            rgb = np.ascontiguousarray(read[1][..., ::-1])
            mean = scorer.score(rgb).mean
            assert mean is not None
            rows.append((mean, perceptual_hash(rgb)))
        found.append(rows)
    return found


@pytest.mark.slow
def test_every_window_of_real_frames_keeps_the_greedy_best(data: Path) -> None:
    videos, chance = real_frames(data), random.Random(0)
    pool = [*videos, [*itertools.chain(*videos)]]
    windows = [rows[at : at + size] for rows in pool for size in (27, 60, 200, 600) for at in range(0, len(rows), size)]
    windows += [rows[::-1] for rows in pool] + [sorted(chance.sample(rows, 60), key=rows.index) for rows in pool * 5]
    # Half an hour in which the light rises or falls.
    windows += [[(m + up * i / 1000, h) for i, (m, h) in enumerate(pool[-1] * 3)] for up in (-0.6, -0.1, 0.1, 0.3, 0.6)]
    policy = KeepPolicy(every_s=1e9)
    different = 0
    for rows in windows:
        offered = candidates([(mean, 0.08, seen) for mean, seen in rows])
        different += run(offered, policy) != brute_force(offered, policy)
    assert (different, len(windows) > 80) == (0, True)


def test_of_equals_the_first_stays() -> None:
    for likeness in (-1, 6):
        assert run(candidates([(5.0, 1, 0), (5.0, 1, 2**64 - 1)]), KeepPolicy(1, 60, likeness=likeness)) == [0]


def test_a_window_begins_with_its_first_candidate_also_after_a_long_gap_or_a_rewind() -> None:
    window: Window[Candidate] = Window(KeepPolicy(1, 10))
    for begins in (100.0, 1e6):
        assert not window.due(1e9)
        window.offer(Candidate(5.0, begins, 0))
        window.offer(Candidate(6.0, begins + 5, 0))
        assert [window.due(begins + later) for later in (9.9, 10.0, -1.0)] == [False, True, True]
        window.close()


def test_spacing_holds_across_windows() -> None:
    window: Window[Candidate] = Window(KeepPolicy(1, 10, spacing_s=5))
    window.offer(Candidate(5.0, 9.0, 0))
    assert len(window.close()[0]) == 1
    assert not window.may_hold(9.0, 12.0)
    assert window.may_hold(2.0, 14.0)


@pytest.mark.parametrize(("mean", "held"), [(4.99, False), (5.0, True), (float("nan"), False)])
def test_what_is_never_kept(mean: float, held: bool) -> None:
    assert Window[Candidate](KeepPolicy(min_score=5.0)).may_hold(mean, 1.0) == held


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
    burst: Window[Numbered] = Window(KeepPolicy(1, 1.0, likeness=-1), by_sharpness)
    for number, (mean, sharp) in enumerate(frames):
        if burst.may_hold(mean, 0.1 * number):
            burst.offer(Numbered(mean, 0.1 * number, 0, sharp=sharp, number=number))
    ((best,), rest) = burst.close()
    assert (best.number, rest) == (chosen, [])


def test_stars_are_shares_of_the_scores_so_far() -> None:
    means = np.random.default_rng(0).normal(5, 0.5, 20_000).clip(1, 10)
    rated = Ratings(means)
    got = np.array([rated.stars(mean) for mean in means])
    for stars, share in ((5, 0.01), (4, 0.04), (3, 0.15), (2, 0.30), (1, 0.50)):
        assert np.mean(got == stars) == pytest.approx(share, abs=0.012)


def test_the_first_of_all_has_two_stars_and_equals_count_half() -> None:
    assert Ratings().stars(9.0) == 2
    rated = Ratings([4.0, 5.0, 6.0])
    assert [rated.stars(mean) for mean in (1.0, 5.0, 6.0, 10.0)] == [1, 2, 3, 5]


def test_old_scores_fade() -> None:
    rated = Ratings(half_life_s=100.0)
    for _ in range(1000):
        rated.add(9.0, 1.0)
    for second in range(1000, 2000):
        rated.add(3.0, float(second))
    assert rated.stars(5.0) == 5
    rated.add(7.0, 1e9)
    assert rated.stars(5.0) == 1
