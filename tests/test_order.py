"""The order of training: a pure function of seed, phase and epoch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_nima_train.config import HeadPhase, Phase, WholePhase
from edge_nima_train.order import Epoch, plan_epoch, rare_shares, spread_draws
from edge_nima_train.stages import learning_rate

ROWS = np.arange(100, 200)


def plan(seed: int = 0, phase: int = 2, epoch: int = 0, **more: object) -> Epoch:
    settings = {"batch": 16, "slack": 32, **more}
    return plan_epoch(seed, phase, epoch, ROWS, **settings)  # type: ignore[arg-type]


def same(a: Epoch, b: Epoch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("rows", "left", "top", "mirrored"))


def test_an_epoch_is_a_function_of_its_number_alone() -> None:
    assert same(plan(), plan())
    for other in (plan(seed=1), plan(phase=1), plan(epoch=1)):
        assert not np.array_equal(plan().rows, other.rows)


def test_an_epoch_shows_each_photograph_at_most_once_in_whole_batches() -> None:
    one = plan()
    assert len(one) == 96
    assert len(set(one.rows)) == 96
    assert set(one.rows) <= set(ROWS)
    assert len(plan(batch=1000)) == 100


def test_crops_reach_every_offset_and_half_are_mirrored() -> None:
    parts = [plan(epoch=epoch, batch=100) for epoch in range(40)]
    left = np.concatenate([part.left for part in parts])
    assert set(left) == set(range(33))
    assert abs(np.concatenate([part.mirrored for part in parts]).mean() - 0.5) < 0.03
    assert not np.array_equal(parts[0].left, parts[0].top)


def test_switching_one_augmentation_off_leaves_the_rest_as_it_was() -> None:
    plain, still = plan(), plan(crop=False)
    assert (still.left == 16).all()
    assert (still.top == 16).all()
    assert np.array_equal(plain.rows, still.rows)
    assert np.array_equal(plain.mirrored, still.mirrored)
    assert not plan(flip=False).mirrored.any()
    assert np.array_equal(plan(flip=False).left, plain.left)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30).filter(lambda s: sum(s) > 1e-3), st.integers(1, 200))
def test_systematic_draws_are_as_even_as_whole_numbers_can_be(shares: list[float], n: int) -> None:
    drawn = spread_draws(np.array(shares), n, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=len(shares))
    wanted = n * np.array(shares) / sum(shares)
    assert counts.sum() == n
    assert (np.abs(counts - wanted) < 1 + 1e-6).all()


def test_photographs_without_weight_are_never_drawn() -> None:
    shares = np.where(np.arange(100) < 50, 1.0, 0.0)
    assert set(plan(shares=shares, batch=100).rows) == set(range(100, 150))


def test_rare_bins_are_shown_more_often_but_not_beyond_the_limit() -> None:
    means = np.array([5.5] * 100 + [9.5] * 4 + [1.5])
    shares = rare_shares(means, 4)
    assert shares[:100].tolist() == [1.0] * 100
    assert shares[100:104].tolist() == [4.0] * 4  # sqrt(100 / 4) = 5, held at 4
    assert rare_shares(means, 7)[100] == 5.0
    assert rare_shares(means, 1).tolist() == [1.0] * 105


def test_the_seeds_decay_is_that_of_keras_2() -> None:
    phase = WholePhase(learning_rate=3e-5, schedule="inverse-time", decay=2.3e-5)
    assert learning_rate(phase, 0, 100) == 3e-5
    assert learning_rate(phase, 1000, 100) == 3e-5 / (1 + 2.3e-5 * 1000)


def test_cosine_falls_to_nothing_after_a_linear_warm_up() -> None:
    phase = Phase(epochs=4, learning_rate=1.0, schedule="cosine", warmup=1)
    rates = [learning_rate(phase, step, 10) for step in range(40)]
    assert rates[:10] == [(step + 1) / 10 for step in range(10)]
    assert rates[10] == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01
    assert learning_rate(phase, 25, 10) == 0.5
    assert learning_rate(HeadPhase(learning_rate=0.5), 10_000, 10) == 0.5
