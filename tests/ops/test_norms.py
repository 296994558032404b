"""Laws of the norms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refmer.ops import norms


@given(st.integers(0, 99), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_layer_norm_ignores_shift_and_scale(seed, scale, shift):
    x, one, zero = np.random.default_rng(seed).normal(size=(3, 7)), np.ones(7), np.zeros(7)
    y = norms.layer_norm(x, one, zero, eps=0)[0]
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(norms.layer_norm(scale * x + shift, one, zero, eps=0)[0], y, atol=1e-8)


@given(st.integers(0, 99), st.floats(1e-6, 1e6))
def test_l2_gives_length_one_in_the_same_direction(seed, scale):
    x = np.random.default_rng(seed).normal(size=(3, 5))
    y = norms.l2_normalise(x)[0]
    np.testing.assert_allclose((y * y).sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(y * np.linalg.norm(x, axis=-1, keepdims=True), x, rtol=1e-12)
    np.testing.assert_allclose(norms.l2_normalise(scale * x)[0], y, rtol=1e-12)


def test_a_zero_vector_stays_zero_and_has_no_gradient():
    y, *saved = norms.l2_normalise(np.array([[0.0, 0], [3, 4]]))
    np.testing.assert_allclose(y, [[0, 0], [0.6, 0.8]])
    dx = norms.l2_normalise_backward(np.array([[1.0, 2], [0.6, 0.8]]), *saved)
    np.testing.assert_allclose(dx, 0, atol=1e-15)  # a step along the vector changes nothing


@pytest.mark.parametrize("x", [np.full((2, 5), 7), 1e-6 * np.arange(10).reshape(2, 5)])
def test_norms_of_almost_constant_rows_stay_finite(x):
    x = x.astype(np.float32)
    for f, axis in ((norms.layer_norm, 5), (norms.batch_norm, 5)):
        y, *saved = f(x, np.ones(axis, "f4"), np.zeros(axis, "f4"))
        dx, *_ = getattr(norms, f"{f.__name__}_backward")(np.ones_like(y), *saved)
        assert np.isfinite(y).all() and np.isfinite(dx).all()
