"""Stars by percentile."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from edge_nima.watch.ratings import Ratings


def rated_by(means: Iterable[float]) -> Ratings:
    ratings = Ratings()
    for mean in means:
        ratings.add(mean)
    return ratings


def test_stars_are_shares_of_the_scores_so_far() -> None:
    means = np.random.default_rng(0).normal(5, 0.5, 20_000).clip(1, 10)
    rated = rated_by(means)
    got = np.array([rated.stars(mean) for mean in means])
    for stars, share in ((5, 0.01), (4, 0.04), (3, 0.15), (2, 0.30), (1, 0.50)):
        assert np.mean(got == stars) == pytest.approx(share, abs=0.012)


def test_percentiles_run_from_none_to_all() -> None:
    rated = rated_by([4.0, 5.0, 6.0])
    assert rated.percentile(1.0) == 0
    assert rated.percentile(5.0) == pytest.approx(50)
    assert rated.percentile(10.0) == pytest.approx(100)


def test_the_first_frame_of_all_has_two_stars_as_nothing_is_known() -> None:
    assert Ratings().percentile(9.0) == 50
    assert Ratings().stars(9.0) == 2


def test_old_scores_fade() -> None:
    rated = Ratings(half_life_s=100.0)
    for _ in range(1000):
        rated.add(9.0, 1.0)
    for second in range(1000, 2000):
        rated.add(3.0, float(second))
    assert rated.percentile(5.0) > 99
    for second in range(2000, 200_000, 500):  # the weights are brought back before they overflow
        rated.add(3.0, float(second))
    assert np.isfinite(rated.percentile(5.0))
    assert rated.percentile(5.0) == pytest.approx(100)


def test_means_at_the_ends_count() -> None:
    rated = rated_by([1.0, 10.0])
    assert rated.percentile(1.0) == pytest.approx(25)
    assert rated.percentile(10.0) == pytest.approx(75)
