"""Laws of the activations."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from scipy.stats import norm

from refmer.ops import activations

X = np.linspace(-30, 30, 241)
MASK = np.random.default_rng(1).random((3, 5, 7)) > 0.4
MASK[1, 2] = False  # a row that is all masked


def value(f, x):
    y = f(x)
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.parametrize(
    "f, expected",
    [
        (activations.gelu, X * norm.cdf(X)),
        (activations.swish, X * expit(X)),
        (activations.sigmoid, expit(X)),
        (activations.log_sigmoid, log_expit(X)),
        (activations.relu, np.maximum(X, 0)),
    ],
)
def test_values_are_those_of_scipy(f, expected):
    np.testing.assert_allclose(value(f, X), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "sigmoid", "swish", "log_sigmoid", "glu", "softmax", "log_softmax"])
def test_nothing_overflows_at_ten_thousand(name):
    x = np.float32([[1e4, -1e4, 0, 1e4]])
    result = getattr(activations, name)(x)
    y, *saved = result if isinstance(result, tuple) else (result, result)
    assert y.dtype == np.float32 and np.isfinite(y).all()
    assert np.isfinite(getattr(activations, f"{name}_backward")(np.ones_like(y), *saved)).all()


def test_log_sigmoid_keeps_both_tails():
    y = activations.log_sigmoid(np.array([-800.0, -40, 40]))
    np.testing.assert_allclose(y, [-800, -40 - np.exp(-40), -np.exp(-40)], rtol=1e-15)
    np.testing.assert_allclose(activations.log_sigmoid_backward(np.ones(3), y), [1, 1, np.exp(-40)], rtol=1e-12)


@given(st.integers(1, 6), st.integers(1, 5), st.floats(-1e3, 1e3), st.integers(0, 99))
def test_softmax_rows_sum_to_one_and_ignore_shifts(B, K, shift, seed):
    x = np.random.default_rng(seed).normal(0, 3, (B, K))
    a = activations.softmax(x)
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(activations.softmax(x + shift), a, rtol=1e-10)
    np.testing.assert_allclose(np.exp(activations.log_softmax(x)), a, rtol=1e-12)


@given(st.integers(0, 99))
def test_a_masked_softmax_is_the_softmax_of_what_is_left(seed):
    rng = np.random.default_rng(seed)
    x, mask = rng.normal(size=7), rng.random(7) > 0.3
    mask[2] = True
    np.testing.assert_allclose(activations.softmax(x, mask)[mask], activations.softmax(x[mask]), rtol=1e-12)


def test_an_empty_row_has_no_gradient():
    a = activations.softmax(np.ones((2, 3)), np.array([[True, False, True], [False] * 3]))
    dx = activations.softmax_backward(np.random.default_rng(0).normal(size=(2, 3)), a)
    assert (dx[1] == 0).all() and dx[0, 1] == 0 and dx[0, 0] != 0


def test_glu_gates_the_first_half_by_the_second():
    np.testing.assert_allclose(activations.glu(np.array([[3.0, 5, 0, 1e4]]))[0], [[1.5, 5]])


@pytest.mark.parametrize("name", ["relu", "sigmoid", "gelu", "swish", "glu"])
def test_nan_stays_nan_with_and_without_kernels(name, on):
    x = np.full((3, 38), 0.5, np.float32)
    x[1] = np.nan
    y = value(getattr(activations, name), x)
    assert np.isnan(y[1]).all() and not np.isnan(y[[0, 2]]).any()


def test_masked_softmax_gives_zero_to_the_masked_and_to_empty_rows():
    a = activations.softmax(np.random.default_rng(0).normal(size=MASK.shape), MASK)
    assert (a[~MASK] == 0).all()
    np.testing.assert_allclose(a.sum(-1), MASK.any(-1), rtol=1e-12)


def test_softmax_survives_large_logits():
    a = activations.softmax(np.float32([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]]))
    np.testing.assert_allclose(a, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


test_wrong_arguments_are_named = pytest.mark.usefixtures("on")(
    errors(
        (lambda: activations.glu(np.ones((2, 3))), r"glu: x has shape \(2, 3\); expected \(..., 2C\) = \(2, 2\)"),
        (lambda: activations.softmax(np.ones((5, 7)), np.ones(4, bool)), r"\(4,\)"),
        (lambda: activations.softmax(np.ones((5, 7)), np.ones(7)), "float64"),
    )
)
