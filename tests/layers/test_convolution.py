"""Convolution along time and over images against scipy.signal, and the TCN of paper 003."""

import numpy as np
from error_table import errors
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from refmer import params
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


@given(shapes, st.integers(10, 13))
def test_conv1d_is_that_of_scipy(shape, T):
    size, stride, dilation, padding = shape
    x, p = rng.normal(size=(B, T, C)), moved(convolution.describe_conv1d(C, E, size))
    y, _ = convolution.conv1d(p, x, size, stride, dilation, padding)
    kernels = p.W.reshape(size, C, E)
    for b in range(B):
        exact = np.stack([by_scipy(x[b], kernels[..., e], stride, dilation, padding) for e in range(E)], -1) + p.b
        np.testing.assert_allclose(y[b], exact, rtol=1e-11, atol=1e-12)


@given(shapes, st.integers(10, 13))
def test_depthwise_conv1d_is_that_of_scipy_per_channel(shape, T):
    size, stride, dilation, padding = shape
    x, p = rng.normal(size=(B, T, C)), moved(convolution.describe_depthwise_conv1d(C, size))
    y, _ = convolution.depthwise_conv1d(p, x, stride, dilation, padding)
    for c in range(C):
        exact = by_scipy(x[1, :, c : c + 1], p.W[:, c : c + 1], stride, dilation, padding) + p.b[c]
        np.testing.assert_allclose(y[1, :, c], exact, rtol=1e-11, atol=1e-12)


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


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same"]), st.integers(3, 6), st.integers(3, 7))
def test_conv2d_is_that_of_scipy(size, stride, padding, H, W):
    x, p = rng.normal(size=(B, H, W, C)), moved(convolution.describe_conv2d(C, E, size))
    y, _ = convolution.conv2d(p, x, size, stride, padding)
    zeros = padding_of(padding, size)
    kernels = p.W.reshape(size, size, C, E)
    for e in range(E):
        exact = correlate(np.pad(x[1], [zeros, zeros, (0, 0)]), kernels[..., e], "valid")[::stride, ::stride, 0] + p.b[e]
        np.testing.assert_allclose(y[1, ..., e], exact, rtol=1e-11, atol=1e-12)


def test_conv2plus1d_is_about_as_large_as_a_convolution_in_three_dimensions():
    p = convolution.describe_conv2plus1d(64, 64, 3)
    assert p["norm"]["gamma"].shape == (144,)  # Tran et al. 2018, section 3.5
    weights = sum(np.prod(p[part]["W"].shape) for part in ("space", "time"))
    assert weights == 27 * 64 * 64


def test_conv2plus1d_depends_on_a_cube():
    p = moved(convolution.describe_conv2plus1d(C, E, 3))
    x = rng.normal(size=(1, 5, 6, 7, C))
    y, backward = convolution.conv2plus1d(p, x, 3)
    assert y.shape == (1, 5, 6, 7, E)
    dy = np.zeros_like(y)
    dy[0, 2, 3, 4] = rng.normal(size=E)
    inputs = backward(dy, params.zeros_like(p))[0].any(-1)
    cube = np.zeros_like(inputs)
    cube[1:4, 2:5, 3:6] = True
    np.testing.assert_array_equal(inputs, cube)


def test_the_stride_of_conv2plus1d_is_that_of_space_and_time():
    p = moved(convolution.describe_conv2plus1d(C, E, 3))
    y, _ = convolution.conv2plus1d(p, rng.normal(size=(2, 5, 6, 7, C)), 3, 2)
    assert y.shape == (2, 3, 3, 4, E)


def test_paper_003_counts():
    assert params.count(convolution.describe_tcn(512, [512, 512])) == 4 * 786_944 == 3_147_776
    assert params.count(convolution.describe_tcn(512, [512, 512], weight_norm=True)) == 3_147_776 + 4 * 512
    assert (
        params.count(convolution.describe_tcn(C, [5, 5]))
        == params.count(convolution.describe_tcn(5, [5, 5])) - 2 * 3 * 5 + C * 5 + 5
    )


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(2, 3), st.booleans())
def test_the_receptive_field_is_exactly_that_of_the_formula(L, size, weight_norm):
    reach = 1 + 2 * (size - 1) * (2**L - 1)
    T = reach + 3
    x = np.ones((1, T, 1))
    p = moved(convolution.describe_tcn(1, [1] * L, size, weight_norm))
    p.vector[:] = abs(p.vector)
    _, backward = convolution.tcn(p, x, size, weight_norm=weight_norm)
    dy = np.zeros_like(x)
    dy[0, -1] = 1  # of the last output
    dx = backward(dy, params.zeros_like(p))
    np.testing.assert_array_equal(dx[0, :, 0] != 0, np.arange(T) >= T - reach)


@settings(max_examples=10)
@given(st.integers(0, 11))
def test_the_future_changes_nothing_before_it(t):
    p = moved(convolution.describe_tcn(C, [4, 4, 4]))
    x = rng.normal(size=(2, 12, C))
    later = x.copy()
    later[:, t:] += 10
    before, after = convolution.tcn(p, x)[0], convolution.tcn(p, later)[0]
    np.testing.assert_array_equal(before[:, :t], after[:, :t])
    assert (before[:, t] != after[:, t]).any()


def test_dilations_are_one_per_block():
    p, x = moved(convolution.describe_tcn(C, [C, C])), rng.normal(size=(2, 6, C))
    np.testing.assert_array_equal(convolution.tcn(p, x)[0], convolution.tcn(p, x, dilations=[1, 2])[0])
    assert (convolution.tcn(p, x)[0] != convolution.tcn(p, x, dilations=[1, 4])[0]).any()


def test_masked_steps_of_the_tcn_give_zero():
    valid = np.arange(6) < np.array([[4], [0]])
    y, _ = convolution.tcn(moved(convolution.describe_tcn(C, [4])), rng.normal(size=(2, 6, C)), mask=valid)
    assert (y[~valid] == 0).all() and y[valid].any()


CONV, X = moved(convolution.describe_conv1d(C, E, 2)), np.zeros((B, 6, C))
DEPTHWISE, IMAGE = moved(convolution.describe_depthwise_conv1d(C, 2)), moved(convolution.describe_conv2d(C, E, 3))


test_bad_input_is_named = errors(
    (lambda: convolution.conv1d(CONV, X[..., :2], 2), r"x has width 2 .* accepted: W \(6, 4\) for 2 taps of width 3"),
    (lambda: convolution.conv1d(CONV, X, 3), "for 3 taps of width 2"),
    (lambda: convolution.conv1d(CONV, X, 2, mask=np.ones((B, 5), bool)), "mask has shape"),
    (lambda: convolution.depthwise_conv1d(DEPTHWISE, X[..., :2]), "x has width 2"),
    (lambda: convolution.conv2d(IMAGE, X[:, None, :, :2], 3), "for 9 taps of width 3"),
    (
        lambda: convolution.tcn(moved(convolution.describe_tcn(C, [C, C])), X, dilations=[1]),
        "dilations has 1 entries; accepted: 2",
    ),
)
