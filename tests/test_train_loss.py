"""The Keras losses are the NumPy definition, and behave as losses must."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import skip_without
from edge_nima.distribution import as_distribution, earth_movers_distance, mean_rating, rating_std
from edge_nima_train.loss import emd, loss_of, smooth, squared_emd

skip_without("keras", "edge-nima[train]")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

P = as_distribution(np.random.default_rng(0).random((50, 10)) ** 3)
Q = as_distribution(np.random.default_rng(1).random((50, 10)) ** 3)


def test_the_losses_are_numpys_earth_movers_distance() -> None:
    p, q = P.astype(np.float32), Q.astype(np.float32)
    assert np.asarray(squared_emd(p, q)) == pytest.approx(earth_movers_distance(P, Q) ** 2, abs=1e-6)
    assert np.asarray(emd(p, q)) == pytest.approx(earth_movers_distance(P, Q), abs=1e-6)
    assert loss_of("squared-emd") is squared_emd
    assert loss_of("emd") is emd


def test_all_on_1_against_all_on_10() -> None:
    ends = np.eye(10, dtype=np.float32)[[0, 9]]
    assert float(squared_emd(ends[:1], ends[1:])[0]) == pytest.approx(0.9)
    assert float(emd(ends[:1], ends[1:])[0]) == pytest.approx(np.sqrt(0.9))


def test_gradients_are_finite_where_prediction_and_people_are_equal() -> None:
    import tensorflow as tf

    p = tf.constant(P[:4], tf.float32)
    for loss in (squared_emd, emd):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = tf.reduce_sum(loss(tf.constant(P[:4], tf.float32), p))
        assert np.isfinite(tape.gradient(value, p).numpy()).all()


@given(st.integers(0, 49), st.floats(0, 0.5))
def test_smoothing_keeps_the_sum_and_spreads_to_neighbours_only(row: int, share: float) -> None:
    p = P[row]
    s = smooth(p[None], share)[0]
    assert s.sum() == pytest.approx(1)
    assert (s >= 0).all()
    assert earth_movers_distance(p, s, r=1) <= share * 0.1 + 1e-12


def test_smoothing_by_hand() -> None:
    spike = np.eye(10)[[4, 0]]
    s = smooth(spike, 0.2)
    assert s[0, 3:6] == pytest.approx([0.1, 0.8, 0.1])
    assert s[1, :2] == pytest.approx([0.9, 0.1])
    assert float(mean_rating(s[0])) == pytest.approx(5)
    assert float(rating_std(s[0])) ** 2 == pytest.approx(0.2)
    assert smooth(P, 0) == pytest.approx(P, abs=1e-15)
