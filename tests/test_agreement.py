"""Agreement: closed forms, scipy, and the cases where a statistic is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_nima.agreement import measure_agreement, pearson, spearman


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
