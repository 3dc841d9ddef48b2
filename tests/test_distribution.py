"""What the mathematics of rating histograms promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_nima.distribution import (
    as_distribution,
    earth_movers_distance,
    max_entropy_distribution,
    mean_rating,
    rating_std,
)

votes = arrays(np.float64, 10, elements=st.floats(0, 500)).filter(lambda h: h.sum() > 1e-3)
ALL_ON_1, ALL_ON_10 = np.eye(10)[0], np.eye(10)[9]


@given(votes, votes)
def test_emd_is_a_distance(p: np.ndarray, q: np.ndarray) -> None:
    for r in (1, 2):
        assert earth_movers_distance(p, p, r) == 0
        there, back = earth_movers_distance(p, q, r), earth_movers_distance(q, p, r)
        assert there == pytest.approx(back, abs=1e-12)
        assert 0 <= there <= 0.9 ** (1 / r) + 1e-12


@given(votes, votes, votes)
def test_emd_keeps_the_triangle_inequality(p: np.ndarray, q: np.ndarray, s: np.ndarray) -> None:
    for r in (1, 2):
        direct = earth_movers_distance(p, s, r)
        assert direct <= earth_movers_distance(p, q, r) + earth_movers_distance(q, s, r) + 1e-9


def test_emd_of_opposite_ends() -> None:
    assert earth_movers_distance(ALL_ON_1, ALL_ON_10, r=2) == pytest.approx(np.sqrt(0.9), abs=1e-15)
    assert earth_movers_distance(ALL_ON_1, ALL_ON_10, r=1) == pytest.approx(0.9, abs=1e-15)


@given(votes, votes)
def test_emd_r1_bounds_the_difference_of_means(p: np.ndarray, q: np.ndarray) -> None:
    # |mean_p - mean_q| = |sum of CDF gaps| <= 10 * EMD_1, with equality when one dominates the other.
    assert abs(mean_rating(p) - mean_rating(q)) <= 10 * earth_movers_distance(p, q, r=1) + 1e-9


def test_emd_r1_agrees_with_scipy() -> None:
    wasserstein = pytest.importorskip("scipy.stats").wasserstein_distance
    random = np.random.default_rng(0)
    for _ in range(50):
        p, q = random.random(10), random.random(10)
        ratings = np.arange(1, 11)
        assert 10 * earth_movers_distance(p, q, r=1) == pytest.approx(wasserstein(ratings, ratings, p, q), abs=1e-12)


def test_emd_broadcasts_rows() -> None:
    rows = np.stack([ALL_ON_1, ALL_ON_10])
    np.testing.assert_allclose(earth_movers_distance(rows, ALL_ON_1), [0, np.sqrt(0.9)])


@given(votes)
def test_mean_and_std_stay_in_range(p: np.ndarray) -> None:
    assert 1 <= mean_rating(p) <= 10
    assert 0 <= rating_std(p) <= 4.5 + 1e-9


@given(votes, st.floats(1e-3, 1e3))
def test_votes_and_proportions_say_the_same(p: np.ndarray, k: float) -> None:
    assert mean_rating(p * k) == pytest.approx(mean_rating(p), abs=1e-9)
    assert as_distribution(p * k).sum() == pytest.approx(1, abs=1e-12)


def test_mean_and_std_of_a_published_row() -> None:
    # AVA image 953619, the first row of AVA.txt (Murray et al. 2012).
    row = [0, 1, 5, 17, 38, 36, 15, 6, 5, 1]
    ratings = np.repeat(np.arange(1, 11), row)
    assert mean_rating(row) == pytest.approx(ratings.mean(), abs=1e-12)
    assert rating_std(row) == pytest.approx(ratings.std(), abs=1e-12)


@given(st.floats(1, 10))
def test_max_entropy_has_the_mean_asked_for(mean: float) -> None:
    p = max_entropy_distribution(mean)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert mean_rating(p) == pytest.approx(mean, abs=1e-9)


@given(st.floats(1.1, 9.9), st.integers(0, 10_000))
def test_no_other_histogram_of_that_mean_has_more_entropy(mean: float, seed: int) -> None:
    p = max_entropy_distribution(mean)
    # Move a little mass so that sum and mean stay: i-1, i+1 gain e, i loses 2e, or the reverse.
    i = int(np.random.default_rng(seed).integers(1, 9))
    step = np.zeros(10)
    step[[i - 1, i, i + 1]] = [1, -2, 1]
    for e in (1e-4, -1e-4):
        other = p + e * step
        if other.min() > 0 and p.min() > 1e-12:
            assert -(other * np.log(other)).sum() < -(p * np.log(p)).sum()


def test_max_entropy_at_the_ends_and_the_middle() -> None:
    np.testing.assert_allclose(max_entropy_distribution(1), ALL_ON_1, atol=1e-12)
    np.testing.assert_allclose(max_entropy_distribution(10), ALL_ON_10, atol=1e-12)
    np.testing.assert_allclose(max_entropy_distribution(5.5), np.full(10, 0.1), atol=1e-12)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([1, 2, 3], "shape"),
        (3.0, "shape"),
        ([0] * 10, "all zero"),
        ([1] * 9 + [-1], "negative"),
        ([1] * 9 + [float("nan")], "not finite"),
        ([[1] * 10, [0] * 10], "all zero"),
    ],
)
def test_what_is_no_histogram_is_refused(bad: object, words: str) -> None:
    for function in (mean_rating, rating_std, as_distribution):
        with pytest.raises(ValueError, match=words):
            function(bad)  # type: ignore[operator]
    with pytest.raises(ValueError, match=words):
        earth_movers_distance(bad, ALL_ON_1)  # type: ignore[arg-type]


@pytest.mark.parametrize("r", [0.5, 0, -1, float("nan"), float("inf")])
def test_an_exponent_below_one_is_refused(r: float) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        earth_movers_distance(ALL_ON_1, ALL_ON_10, r)


@pytest.mark.parametrize("mean", [0.99, 10.01, float("nan"), float("inf")])
def test_a_mean_outside_the_ratings_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match=r"1\.\.10"):
        max_entropy_distribution(mean)
