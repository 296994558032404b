"""Pooling of the valid steps."""

import numpy as np
import pytest

from refmer.ops import pooling

rng = np.random.default_rng(1)
X = rng.normal(size=(3, 5, 2)) - 10  # all negative: a masked 0 that took part would show
MASK = np.array([[True] * 5, [False, True, True, False, False], [False] * 5])


def test_pools_are_loops_over_valid_steps_and_zero_without_any():
    for f, one in [(pooling.masked_mean, np.mean), (pooling.masked_max, np.max), (pooling.last_valid, lambda v, axis: v[-1])]:
        y = f(X, MASK)[0]
        for b in (0, 1):
            np.testing.assert_allclose(y[b], one(X[b][MASK[b]], axis=0), rtol=1e-12)
        assert (y[2] == 0).all()


def test_an_empty_row_has_zero_gradient_and_what_is_masked_has_none():
    for f in (pooling.masked_mean, pooling.masked_max, pooling.last_valid):
        y, *saved = f(X, MASK)
        dx = getattr(pooling, f.__name__ + "_backward")(np.ones_like(y), *saved)
        assert (dx[~MASK] == 0).all() and dx[0].any()


def test_the_first_of_equal_maxima_gets_the_gradient():
    y, *saved = pooling.masked_max(np.array([[[1.0], [3], [3]]]), np.ones((1, 3), bool))
    np.testing.assert_array_equal(pooling.masked_max_backward(np.ones((1, 1)), *saved), [[[0], [1], [0]]])


def test_statistics_are_mean_and_deviation():
    y = pooling.statistics(X[:1], np.full((1, 5), 0.2))[0]
    np.testing.assert_allclose(y[0], [*X[0].mean(0), *X[0].std(0)], rtol=1e-12)


@pytest.mark.parametrize("spread", [0, 1e-6, 1e-20])
def test_a_constant_sequence_has_finite_statistics_and_gradients(spread):
    x = (1e3 + spread * rng.normal(size=(1, 7, 3))).astype("f4")
    y, *saved = pooling.statistics(x, np.full((1, 7), 1 / 7, "f4"))
    dx, da = pooling.statistics_backward(np.ones_like(y), *saved)
    assert np.isfinite(y).all() and np.isfinite(dx).all() and np.isfinite(da).all()
    np.testing.assert_allclose(y[0, 3:], 1e-5**0.5, rtol=1e-5)  # the floor


def test_statistics_without_weights_are_zero():
    y, *saved = pooling.statistics(X[:1], np.zeros((1, 5)))
    assert (y == 0).all() and (pooling.statistics_backward(np.ones_like(y), *saved)[0] == 0).all()
