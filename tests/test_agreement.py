"""Agreement: closed forms, scipy, and the cases where a statistic is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_nima.agreement import (
    at_least,
    bootstrap_weights,
    correlation_interval,
    is_good,
    measure_agreement,
    pearson,
    percentile_interval,
    resampled_means,
    spearman,
    weighted_pearson,
    weighted_ranks,
    weighted_std,
    wilson_interval,
)
from edge_nima.distribution import RATINGS, mean_rating
from edge_nima.people import people_means


def one_bin(*ratings: int) -> np.ndarray:
    return np.eye(10)[np.array(ratings) - 1]


def test_equal_opinions_agree_in_everything() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(10), 40)
    a = measure_agreement(p, p)
    assert (a.n, a.mae, a.bias, a.p99, a.maximum, a.std_mae) == (40, 0, 0, 0, 0, 0)
    assert (a.emd_r1, a.emd_r2, a.flips, a.largest_bin) == (0, 0, 0, 0)
    assert (a.srcc, a.plcc, a.spread_ratio) == (1.0, pytest.approx(1.0), 1.0)


def test_closed_form_of_a_shift_by_one_rating() -> None:
    a = measure_agreement(one_bin(2, 3, 4, 7), one_bin(3, 4, 5, 8))
    assert (a.mae, a.bias, a.maximum, a.p99) == (1, 1, 1, 1)
    assert a.emd_r1 == pytest.approx(0.1)
    assert a.emd_r2 == pytest.approx(math.sqrt(0.1))
    assert (a.srcc, a.spread_ratio) == (1.0, 1.0)
    assert a.flips == 0.25  # 4 -> 5 crosses to the good side, 5 belonging to it
    assert a.largest_bin == 1


def test_bias_has_the_sign_of_the_candidate() -> None:
    assert measure_agreement(one_bin(5, 6), one_bin(4, 4)).bias == -1.5


def test_a_collapsed_candidate_shows_in_the_spread_ratio() -> None:
    reference = one_bin(2, 4, 6, 8)
    half = np.stack([(one_bin(5)[0] + row) / 2 for row in reference])
    assert measure_agreement(reference, half).spread_ratio == pytest.approx(0.5)


def test_differences_have_shares_of_the_references_spread() -> None:
    a = measure_agreement(one_bin(2, 4, 6, 8), one_bin(3, 5, 6, 8))
    assert a.reference_spread == pytest.approx(math.sqrt(5))
    assert (a.share("mae"), a.share("maximum")) == (pytest.approx(0.5 / math.sqrt(5)), pytest.approx(1 / math.sqrt(5)))
    constant = measure_agreement(one_bin(5, 5, 5), one_bin(4, 5, 6))
    assert constant.reference_spread == 0
    assert math.isnan(constant.share("mae"))


@given(
    votes=st.lists(st.integers(0, 500), min_size=10, max_size=10).filter(any),
    edge=st.sampled_from([4, 5, 7]),
    order=st.permutations(range(10)),
    factor=st.sampled_from([1.0, 3.0, 0.1, 1 / 7, 1e6]),
)
def test_the_side_of_a_mean_of_votes_is_that_of_exact_arithmetic(
    votes: list[int], edge: int, order: list[int], factor: float
) -> None:
    excess = sum(count * (rating - edge) for rating, count in enumerate(votes, 1))
    on_edge = [count * (10 - edge) * (edge - 1) for count in votes]
    on_edge[9 if excess < 0 else 0] += -excess * (edge - 1) if excess < 0 else excess * (10 - edge)
    for counts in (votes, on_edge):
        exact = sum(count * (rating - edge) for rating, count in enumerate(counts, 1)) >= 0
        p = np.array(counts, np.float64) * factor
        p /= p.sum()
        single, ratings = p.astype(np.float32), RATINGS.astype(np.float32)
        means = [
            float(mean_rating(counts)), float(mean_rating(single)), float(p[order] @ RATINGS[order]),
            float((single[order] * ratings[order]).sum()), *people_means(np.stack([p, single])),
        ]  # fmt: skip
        assert (at_least(means, edge) == exact).all(), means
        assert measure_agreement([p], [single]).flips == 0


def test_5_is_good_but_for_what_rounding_takes() -> None:
    assert is_good([5.0, np.nextafter(5.0, 0), float(np.float16(5.0)), 4.9999]).tolist() == [True, True, True, False]


finite = st.floats(-1e3, 1e3, allow_subnormal=False)


@given(st.integers(2, 30).flatmap(lambda n: st.tuples(arrays(np.float64, n, elements=finite), arrays(np.float64, n))))
def test_correlations_stay_in_range_and_are_symmetric(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    y = np.nan_to_num(np.clip(y, -1e3, 1e3))
    for correlation in (pearson, spearman):
        value = correlation(x, y)
        if not math.isnan(value):
            assert -1 <= value <= 1
            assert value == pytest.approx(correlation(y, x), abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_agree_with_scipy(ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(5)
    for n in (2, 3, 10, 200):
        for _ in range(20):
            x, y = random.normal(size=n), random.normal(size=n)
            if ties:
                x, y = np.round(x), np.round(y * 2)
                if np.ptp(x) == 0 or np.ptp(y) == 0:
                    continue
            assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
            assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_what_is_not_defined_is_nan_without_a_warning() -> None:
    one = measure_agreement(one_bin(5), one_bin(6))
    assert one.n == 1
    assert math.isnan(one.srcc)
    assert math.isnan(one.plcc)
    assert math.isnan(one.spread_ratio)
    constant = measure_agreement(one_bin(5, 5, 5), one_bin(4, 5, 6))
    assert math.isnan(constant.srcc)
    assert math.isnan(constant.spread_ratio)
    assert measure_agreement(one_bin(4, 6), one_bin(5, 5)).spread_ratio == 0


@pytest.mark.parametrize(
    ("reference", "candidate", "words"),
    [
        (np.zeros((0, 10)), np.zeros((0, 10)), "at least one"),
        (one_bin(5, 6), one_bin(5), "same photographs"),
        (one_bin(5)[0], one_bin(5)[0], "same photographs"),
        (one_bin(5), np.zeros((1, 10)), "all zero"),
    ],
)
def test_what_cannot_be_compared_is_refused(reference: np.ndarray, candidate: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure_agreement(reference, candidate)


def test_a_constant_reference_has_no_spread_ratio_whatever_its_rounding() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(10))
    for n in (2, 3, 7, 10):
        assert math.isnan(measure_agreement(np.tile(p, (n, 1)), one_bin(*range(1, n + 1))).spread_ratio)


# Resamples


@pytest.mark.parametrize("ties", [False, True])
def test_statistics_of_weights_are_those_of_the_repeated_photographs(ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(2)
    for n in (10, 31, 200):
        x, y = random.normal(5, 1, n), random.normal(5, 1, n)
        if ties:
            x, y = np.round(x), np.round(2 * y)
        weights = next(bootstrap_weights(n, 6, seed=n))
        srcc = weighted_pearson(weighted_ranks(x, weights), weighted_ranks(y, weights), weights)
        plcc = weighted_pearson(x, y, weights)
        for row, w in enumerate(weights.astype(int)):
            a, b = np.repeat(x, w), np.repeat(y, w)
            assert srcc[row] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
            assert plcc[row] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
            assert weighted_std(x, weights)[row] == pytest.approx(a.std(), abs=1e-12)
            drawn = weighted_ranks(x, weights)[row][w > 0]
            assert drawn == pytest.approx(stats.rankdata(a)[np.cumsum(w[w > 0]) - 1])


def test_a_resample_that_is_constant_is_nan_without_a_warning() -> None:
    x, y = np.full(12, 5.1), np.arange(12.0)
    weights = next(bootstrap_weights(12, 8))
    for drawn in resampled_means(x, y, weights).values():
        assert np.isnan(drawn).all()
    one = np.zeros((1, 12))
    one[0, 3] = 12  # one photograph, twelve times
    assert np.isnan(resampled_means(y + 0.1, y * 0.3, one)["srcc"]).all()
    assert np.isnan(resampled_means(y + 0.1, y * 0.3, one)["plcc"]).all()
    assert np.isnan(resampled_means(y + 0.1, y * 0.3, one)["spread_ratio"]).all()


def test_weights_are_n_draws_with_replacement_the_same_for_the_same_seed() -> None:
    weights = np.concatenate(list(bootstrap_weights(3000, 400, seed=4)))
    assert weights.shape == (400, 3000)
    assert (weights.sum(axis=1) == 3000).all()
    assert weights.mean(axis=0).std() == pytest.approx(math.sqrt(1 / 400), rel=0.1)
    assert (weights == np.concatenate(list(bootstrap_weights(3000, 400, seed=4)))).all()
    assert (weights != np.concatenate(list(bootstrap_weights(3000, 400, seed=5)))).any()
    assert list(bootstrap_weights(9)) == []


def test_the_interval_covers_as_often_as_it_says() -> None:
    # Normal data of a known correlation: 95 % intervals of 200 samples, which percentile ones nearly keep.
    random = np.random.default_rng(6)
    covered = 0
    for sample in range(200):
        x = random.normal(size=80)
        y = 0.8 * x + 0.6 * random.normal(size=80)
        drawn = np.concatenate([weighted_pearson(x, y, w) for w in bootstrap_weights(80, 300, seed=sample)])
        low, high = percentile_interval(drawn)
        covered += low <= 0.8 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(8)
    x = random.normal(size=60)
    y = x + 0.5 * random.normal(size=60)
    drawn = [weighted_pearson(x, y, w) for w in bootstrap_weights(60, 4000, seed=1)]
    ours = percentile_interval(np.concatenate(drawn))
    theirs = stats.bootstrap(
        (x, y), pearson, paired=True, vectorized=False, method="percentile", n_resamples=2000, rng=2
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)


@pytest.mark.parametrize("noise", [0.037, 0.6])
def test_the_interval_of_a_rank_correlation_near_1_covers_as_often_as_it_says(noise: float) -> None:
    # Of bivariate normal data, by Pearson (1907). Percentile intervals lie below it in most samples: copies are ties.
    truth = 6 / math.pi * math.asin(1 / math.sqrt(1 + noise**2) / 2)
    random, beyond = np.random.default_rng(7), np.zeros(2)
    for sample in range(150):
        x = random.normal(size=300)
        y = x + noise * random.normal(size=300)
        drawn = [resampled_means(x, y, weights)["srcc"] for weights in bootstrap_weights(300, 200, seed=sample)]
        low, high = correlation_interval(spearman(x, y), np.concatenate(drawn))
        assert low <= spearman(x, y) <= high <= 1
        beyond += high < truth, truth < low
    assert (beyond / 150 <= 0.06).all()
    assert (high - low) < 0.9 * (1 - truth)  # and is narrow enough to say something


def test_a_correlation_of_1_is_in_its_interval() -> None:
    assert correlation_interval(1.0, np.ones(50)) == (pytest.approx(1.0, abs=1e-9), 1.0)
    assert all(map(math.isnan, correlation_interval(1.0, np.full(50, np.nan))))


@pytest.mark.parametrize("share", [0.0, 0.004, 0.0133, 0.3, 1.0])
def test_wilsons_interval_agrees_with_scipys(share: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    for n in (10, 150, 1000):
        count = round(share * n)
        wanted = stats.binomtest(count, n).proportion_ci(method="wilson")
        assert wilson_interval(count / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_an_interval_of_mostly_undefined_draws_is_undefined() -> None:
    draws = np.arange(100.0)
    assert percentile_interval(draws) == pytest.approx((2.475, 96.525))
    draws[:5] = np.nan
    assert not math.isnan(percentile_interval(draws)[0])
    draws[5] = np.nan
    assert all(map(math.isnan, percentile_interval(draws)))
    assert all(map(math.isnan, percentile_interval([])))
