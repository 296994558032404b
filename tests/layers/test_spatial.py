"""Convolution over images and image sequences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from refmer import params
from refmer.layers import convolution
from refmer.ops.convolution import padding_of
from refmer.proofs import moved

B, C, E = 2, 3, 4
rng = np.random.default_rng(1)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same"]), st.integers(3, 6), st.integers(3, 7))
def test_conv2d_is_that_of_scipy(size, stride, padding, H, W):
    x, p = rng.normal(size=(B, H, W, C)), moved(convolution.describe_conv2d(C, E, size))
    y, _ = convolution.conv2d(p, x, size, stride, padding)
    zeros = padding_of(padding, size)
    kernels = p.W.reshape(size, size, C, E)
    for e in range(E):
        want = correlate(np.pad(x[1], [zeros, zeros, (0, 0)]), kernels[..., e], "valid")[::stride, ::stride, 0] + p.b[e]
        np.testing.assert_allclose(y[1, ..., e], want, rtol=1e-11, atol=1e-12)


def test_conv2plus1d_is_about_as_large_as_a_convolution_in_three_dimensions():
    p = convolution.describe_conv2plus1d(64, 64, 3)
    assert p["norm"]["gamma"].shape == (144,)  # Tran et al. 2018, section 3.5
    weights = sum(np.prod(p[part]["W"].shape) for part in ("space", "time"))
    assert weights == 27 * 64 * 64


def test_conv2plus1d_sees_a_cube():
    p = moved(convolution.describe_conv2plus1d(C, E, 3))
    x = rng.normal(size=(1, 5, 6, 7, C))
    y, backward = convolution.conv2plus1d(p, x, 3)
    assert y.shape == (1, 5, 6, 7, E)
    dy = np.zeros_like(y)
    dy[0, 2, 3, 4] = rng.normal(size=E)
    seen = backward(dy, params.zeros_like(p))[0].any(-1)
    cube = np.zeros_like(seen)
    cube[1:4, 2:5, 3:6] = True
    np.testing.assert_array_equal(seen, cube)


def test_the_stride_counts_for_space_and_time():
    p = moved(convolution.describe_conv2plus1d(C, E, 3))
    y, _ = convolution.conv2plus1d(p, rng.normal(size=(2, 5, 6, 7, C)), 3, 2)
    assert y.shape == (2, 3, 3, 4, E)


def test_a_wrong_width_is_named():
    with pytest.raises(ValueError, match="for 9 taps of width 3"):
        convolution.conv2d(moved(convolution.describe_conv2d(C, E, 3)), np.zeros((B, 4, 4, 2)), 3)
