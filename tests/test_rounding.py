"""Rounding promises less error in a layer's output than rounding to nearest, and never more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_nima_convert.tflite.rounding import LIMIT, descend, round_apart, round_together, row_scales


def correlated(random: np.random.Generator, k: int, alike: float = 0.9) -> Any:
    """Covariance (k, k) of inputs that go up and down together, as neighbouring pixels do."""
    sizes = np.exp(random.normal(0, 1, k))
    return (alike + (1 - alike) * np.eye(k)) * sizes[:, None] * sizes


def cost(rows: Any, scales: Any, integers: Any, covariance: Any) -> Any:
    """e H e' of each row."""
    error = integers * scales - rows
    return np.einsum("rk,...kj,rj->r" if covariance.ndim == 2 else "rk,rkj,rj->r", error, covariance, error)


def nearest(rows: Any, scales: Any) -> Any:
    return np.clip(np.rint(rows / scales), -LIMIT, LIMIT)


def in_range(integers: Any) -> bool:
    return bool(np.all(integers == np.rint(integers)) and np.all(np.abs(integers) <= LIMIT))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 6), k=st.integers(1, 12), rank=st.integers(1, 12))
def test_descent_never_raises_the_error(seed: int, rows: int, k: int, rank: int) -> None:
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 1, (rows, rank, k))  # of lower rank than k: some directions do not matter at all
    covariances = inputs.transpose(0, 2, 1) @ inputs
    weights = random.normal(0, 1, (rows, k))
    scales = row_scales(weights, 1e-6) * random.uniform(0.5, 8, (rows, 1))
    start = np.clip(nearest(weights, scales) + random.integers(-3, 4, weights.shape), -LIMIT, LIMIT)
    kept = start.copy()
    after = descend(weights, scales, covariances, start)
    assert np.all(cost(weights, scales, after, covariances) <= cost(weights, scales, start, covariances) + 1e-9)
    assert in_range(after)
    np.testing.assert_array_equal(start, kept)  # what it was given is left alone


def test_descent_reads_one_covariance_for_all_rows_as_the_same_for_each() -> None:
    random = np.random.default_rng(1)
    weights, covariance = random.normal(0, 1, (5, 8)), correlated(random, 8)
    scales = row_scales(weights, 1e-6) * 10
    start = nearest(weights, scales)
    shared = descend(weights, scales, covariance[None], start)
    np.testing.assert_array_equal(shared, descend(weights, scales, np.repeat(covariance[None], 5, 0), start))


@pytest.mark.parametrize("seed", range(4))
def test_rounding_together_beats_rounding_to_nearest_where_inputs_are_alike(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, covariance = random.normal(0, 1, (30, 27)), correlated(random, 27)
    scales = row_scales(rows, 1e-9)
    together = round_together(rows, scales, covariance)
    ours = cost(rows, scales, together, covariance)
    plain = cost(rows, scales, nearest(rows, scales), covariance)
    assert in_range(together)
    assert np.mean(ours < plain) > 0.9
    assert ours.sum() < 0.5 * plain.sum()
    # It pays in the weights: by their own distance they are further off.
    assert np.abs(together * scales - rows).sum() > np.abs(nearest(rows, scales) * scales - rows).sum()


def test_rounding_together_is_rounding_to_nearest_where_inputs_know_nothing_of_each_other() -> None:
    random = np.random.default_rng(2)
    rows = random.normal(0, 1, (20, 16))
    scales = row_scales(rows, 1e-9)
    covariance = np.diag(np.exp(random.normal(0, 2, 16)))
    np.testing.assert_array_equal(round_together(rows, scales, covariance), nearest(rows, scales))


def test_rounding_together_does_not_depend_on_the_order_of_the_inputs() -> None:
    random = np.random.default_rng(3)
    rows, covariance = random.normal(0, 1, (10, 12)), correlated(random, 12)
    scales = row_scales(rows, 1e-9)
    order = random.permutation(12)
    np.testing.assert_array_equal(
        round_together(rows, scales, covariance)[:, order],
        round_together(rows[:, order], scales, covariance[np.ix_(order, order)]),
    )


def test_inputs_that_never_move_leave_whole_numbers() -> None:
    rows = np.random.default_rng(4).normal(0, 1, (3, 5))
    scales = row_scales(rows, 1e-9)
    dead = np.diag([1.0, 0, 1, 0, 0])
    for covariance in (dead, np.zeros((5, 5))):
        np.testing.assert_array_equal(round_together(rows, scales, covariance), nearest(rows, scales))


@pytest.mark.parametrize("seed", range(4))
def test_rounding_apart_is_at_least_as_good_as_the_nearest_at_full_scale(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(0, 1, (12, 9)) * np.exp(random.normal(0, 2, (12, 1)))
    covariances = np.stack([correlated(random, 9) for _ in rows])
    full = row_scales(rows, 1e-9)
    integers, scales = round_apart(rows, 1e-9, covariances)
    plain = cost(rows, full, nearest(rows, full), covariances)
    assert in_range(integers)
    assert np.all(cost(rows, scales, integers, covariances) <= plain * (1 + 1e-9))
    assert np.all((scales >= full * 0.5 - 1e-12) & (scales <= full + 1e-12))


def test_a_row_of_zeros_stays_zero_at_the_smallest_scale() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(0, 1, (3, 9))
    rows[1] = 0
    integers, scales = round_apart(rows, 0.25, np.repeat(np.eye(9)[None], 3, 0))
    assert not integers[1].any()
    assert scales.shape == (3, 1)
    assert scales.min() >= 0.25
    assert np.isfinite(integers).all()


def test_scales_put_the_largest_weight_at_127() -> None:
    rows = np.array([[1.0, -2.54], [0, 0]])
    np.testing.assert_allclose(row_scales(rows, 1e-3), [[0.02], [1e-3]])
    np.testing.assert_array_equal(nearest(rows, row_scales(rows, 1e-3)), [[50, -127], [0, 0]])
