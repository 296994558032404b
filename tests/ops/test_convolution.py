"""Windows, their masks, and weight normalisation."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import example, given
from hypothesis import strategies as st

from refmer.ops import convolution

rng = np.random.default_rng(1)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]))


def steps(T, size, stride, dilation, padding):
    """Number of windows, or None where none fits."""
    try:
        return convolution.windows(np.zeros((1, T, 1)), size, stride, dilation, padding)[0].shape[1]
    except ValueError:
        return None


def test_the_three_rules_of_padding():
    x = np.arange(1.0, 6)[None, :, None]
    taps = {rule: convolution.windows(x, 4, 1, 1, rule)[0][0, :, :, 0].tolist() for rule in ("valid", "same", "causal")}
    assert taps["valid"] == [[1, 2, 3, 4], [2, 3, 4, 5]]
    assert taps["same"] == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 0], [4, 5, 0, 0]]  # one before, two after
    assert taps["causal"][:2] == [[0, 0, 0, 1], [0, 0, 1, 2]] and taps["causal"][-1] == [2, 3, 4, 5]


@given(shapes, st.integers(1, 12))
def test_same_and_causal_give_one_window_per_stride(shape, T):
    size, stride, dilation, padding = shape
    if padding != "valid":
        assert steps(T, size, stride, dilation, padding) == -(-T // stride)


@given(shapes, st.integers(1, 12), st.integers(0, 5))
@example((3, 2, 2, "valid"), 7, 3)
def test_the_mask_of_the_windows_counts_those_of_the_clip_alone(shape, length, extra):
    mask = (np.arange(length + extra) < length)[None]
    if steps(length + extra, *shape) is None:
        return
    thin = convolution.thin_mask(mask, *shape)
    assert thin.shape[1] == steps(length + extra, *shape)
    alone = steps(length, *shape) or 0
    np.testing.assert_array_equal(thin[0], np.arange(thin.shape[1]) < alone)


@given(shapes, st.integers(1, 12))
def test_backward_is_the_transpose(shape, T):
    if steps(T, *shape) is None:
        return
    x = rng.normal(size=(2, T, 3))
    y, *saved = convolution.windows(x, *shape)
    dy = rng.normal(size=y.shape)
    assert (dy * y).sum() == pytest.approx((convolution.windows_backward(dy, *saved) * x).sum(), rel=1e-12, abs=1e-12)


def test_a_zero_column_has_no_direction():
    v, gain = np.array([[3.0, 0], [4, 0]]), np.array([2.0, 5])
    W, *saved = convolution.weight_norm(v, gain)
    dv, dgain = convolution.weight_norm_backward(np.ones((2, 2)), *saved)
    np.testing.assert_allclose(W, [[1.2, 0], [1.6, 0]], rtol=1e-15)
    assert (dv[:, 1] == 0).all() and dgain[1] == 0 and np.isfinite(dv).all()


def test_weight_norm_gives_columns_their_length():
    v, gain = rng.normal(size=(5, 3)), np.array([0.5, -2, 3])
    W = convolution.weight_norm(v, gain)[0]
    np.testing.assert_allclose(np.sqrt((W * W).sum(0)), abs(gain), rtol=1e-12)
    np.testing.assert_allclose(convolution.weight_norm(7 * v, gain)[0], W, rtol=1e-12)


X = np.zeros((1, 2, 1))
test_bad_windows_are_named = errors(
    (convolution.windows, X, 3, 1, 1, "full", "padding is 'full'; accepted: valid, same, causal"),
    (convolution.windows, X, 0, "size is 0"),
    (convolution.windows, X, 3, 1, 0, "dilation is 0; expected int from 1"),
    (convolution.windows, X, 3, 0, "stride is 0; expected int from 1"),
    (convolution.windows, X, 3, 1, 1, "valid", "axis 1 has length 2"),
)
