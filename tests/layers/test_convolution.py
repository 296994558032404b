"""Convolution along time against scipy.signal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from refmer.layers import convolution
from refmer.ops.convolution import padding_of
from refmer.proofs import moved

B, C, E = 2, 3, 4
rng = np.random.default_rng(1)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]))


def by_scipy(x, kernel, stride, dilation, padding):
    """x (T, C), kernel (size, C) -> (T'): pad, put zeros between the taps, correlate, keep every stride-th."""
    spread = np.zeros(((len(kernel) - 1) * dilation + 1, kernel.shape[1]))
    spread[::dilation] = kernel
    padded = np.pad(x, [padding_of(padding, len(kernel), dilation), (0, 0)])
    return correlate(padded, spread, "valid")[::stride, 0]


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(10, 13))
def test_conv1d_is_that_of_scipy(shape, T):
    size, stride, dilation, padding = shape
    x, p = rng.normal(size=(B, T, C)), moved(convolution.describe_conv1d(C, E, size))
    y, _ = convolution.conv1d(p, x, size, stride, dilation, padding)
    kernels = p.W.reshape(size, C, E)
    for b in range(B):
        want = np.stack([by_scipy(x[b], kernels[..., e], stride, dilation, padding) for e in range(E)], -1) + p.b
        np.testing.assert_allclose(y[b], want, rtol=1e-11, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(10, 13))
def test_depthwise_conv1d_is_that_of_scipy_per_channel(shape, T):
    size, stride, dilation, padding = shape
    x, p = rng.normal(size=(B, T, C)), moved(convolution.describe_depthwise_conv1d(C, size))
    y, _ = convolution.depthwise_conv1d(p, x, stride, dilation, padding)
    for c in range(C):
        want = by_scipy(x[1, :, c : c + 1], p.W[:, c : c + 1], stride, dilation, padding) + p.b[c]
        np.testing.assert_allclose(y[1, :, c], want, rtol=1e-11, atol=1e-12)


def test_masked_frames_count_as_zero():
    x, p = rng.normal(size=(B, 6, C)), moved(convolution.describe_conv1d(C, E, 3))
    mask = rng.random((B, 6)) > 0.5
    zeroed = np.where(mask[..., None], x, 0)
    np.testing.assert_array_equal(convolution.conv1d(p, x, 3, mask=mask)[0], convolution.conv1d(p, zeroed, 3)[0])


def test_weight_norm_of_unit_gain_is_conv1d_with_unit_columns():
    x, p = rng.normal(size=(B, 6, C)), moved(convolution.describe_weight_norm_conv1d(C, E, 2))
    plain = moved(convolution.describe_conv1d(C, E, 2))
    plain.W[:], plain.b[:] = p.gain * p.v / np.sqrt((p.v**2).sum(0)), p.b
    np.testing.assert_allclose(convolution.weight_norm_conv1d(p, x, 2)[0], convolution.conv1d(plain, x, 2)[0], rtol=1e-11)


def test_bad_input_is_named():
    p, x = moved(convolution.describe_conv1d(C, E, 2)), np.zeros((B, 6, C))
    with pytest.raises(ValueError, match=r"x has width 2 .* accepted: W \(6, 4\) for 2 taps of width 3"):
        convolution.conv1d(p, x[..., :2], 2)
    with pytest.raises(ValueError, match="for 3 taps of width 2"):
        convolution.conv1d(p, x, 3)
    with pytest.raises(ValueError, match="mask has shape"):
        convolution.conv1d(p, x, 2, mask=np.ones((B, 5), bool))
    with pytest.raises(ValueError, match="x has width 2"):
        convolution.depthwise_conv1d(moved(convolution.describe_depthwise_conv1d(C, 2)), x[..., :2])
