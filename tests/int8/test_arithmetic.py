"""The arithmetic of 8 bits: published values and laws."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.int8 import arithmetic as a

FLOATS = st.floats(-1e6, 1e6, width=32)
ROWS = st.lists(FLOATS, min_size=1, max_size=20).map(lambda x: np.array([x], np.float32))
SEED = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("x", "scale", "zero", "q"),
    [
        ([0, 2, -3, -2.5, 1.34, 0.5], 0.019607844, 153, [153, 255, 0, 26, 221, 179]),  # ONNX, DynamicQuantizeLinear
        ([-1, 0, 1, 2], 0.0117647059, 85, [0, 85, 170, 255]),  # torch.quantize_per_tensor
        ([1, 2, 5.1], 0.02, 0, [50, 100, 255]),  # widened to 0 from above
        ([-5.1, -1], 0.02, 255, [0, 205]),  # and from below
        ([0, 0], 1, 0, [0, 0]),
        ([3, 3], 3 / 255, 0, [255, 255]),
        ([1e-37, -1e-40], 1, 0, [0, 0]),
    ],
)
def test_published_values(x, scale, zero, q):
    result_q, result_scale, result_zero = a.affine_rows(np.array([x], np.float32))
    np.testing.assert_allclose(result_scale, [scale], rtol=1e-7)
    assert result_zero == zero
    np.testing.assert_array_equal(result_q, [q])


def from_affine(q, scale, zero):
    """x = s (q - z)."""
    return (q.astype(np.int32) - zero).astype(np.float32) * scale


def test_halves_go_to_the_even_number_and_the_rest_saturates():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 300, -300], np.float32)
    np.testing.assert_array_equal(a.affine(x, np.float32(1), 100), [100, 102, 102, 100, 98, 255, 0])
    np.testing.assert_array_equal(a.symmetric(x, np.float32(1)), [0, 2, 2, 0, -2, 127, -127])


@settings(max_examples=100)
@given(ROWS)
def test_the_error_is_half_a_step_at_most(x):
    q, scale, zero = a.affine_rows(x)
    error = np.abs(from_affine(q, scale, zero).astype(float) - x)
    assert (error <= scale / 2 + 2 * np.spacing(np.abs(x).max())).all()
    assert (from_affine(a.affine(np.zeros_like(x), scale, zero), scale, zero) == 0).all()  # zero is exact


@settings(max_examples=100)
@given(ROWS)
def test_quantizing_again_changes_nothing(x):
    q, scale, zero = a.affine_rows(x)
    np.testing.assert_array_equal(a.affine(from_affine(q, scale, zero), scale, zero), q)
    w, t = a.symmetric(x, a.symmetric_scale(x, per_channel=False)), a.symmetric_scale(x, per_channel=False)
    np.testing.assert_array_equal(a.symmetric(w * t, t), w)


@settings(max_examples=100)
@given(SEED, st.sampled_from(["max", "mse"]))
def test_the_error_of_weights_is_half_a_step_and_least_per_channel(seed, clip):
    rng = np.random.default_rng(seed)
    w = (rng.normal(size=(31, 7)) * rng.uniform(0.01, 3, 7)).astype(np.float32)
    one, each = (a.symmetric_scale(w, clip, per_channel) for per_channel in (False, True))
    assert one.shape == () and each.shape == (7,) and one.dtype == each.dtype == np.float32
    if clip == "max":
        assert (each <= one).all()  # so is the bound of the error, scale / 2
        for scale in (one, each):
            assert (np.abs(a.symmetric(w, scale) * scale - w) <= scale / 2 + np.spacing(np.abs(w).max())).all()
    else:
        full = a.symmetric_scale(w)
        errors = [((a.symmetric(w, scale) * scale - w) ** 2).sum(0) for scale in (each, full)]
        assert (errors[0] <= errors[1]).all()


def test_one_large_weight_is_clipped_for_the_least_squared_error():
    rng = np.random.default_rng(0)
    w = np.append(rng.uniform(-1, 1, 200_000), 1.6).astype(np.float32)[:, None]
    assert a.symmetric_scale(w, "mse") < 0.8 * a.symmetric_scale(w, "max")


@settings(max_examples=30)
@given(SEED, st.integers(1, 9), st.integers(1, 300), st.integers(1, 9))
def test_the_integer_product_is_exact_and_that_of_the_dequantized_operands(seed, m, k, n):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    q, scale, zero = a.affine_rows(x)
    t = a.symmetric_scale(w)
    p = a.symmetric(w, t)
    sums = a.accumulate(q, zero, p)
    assert sums.dtype == np.int32
    np.testing.assert_array_equal(sums, (q.astype(np.int64) - zero[:, None]) @ p.astype(np.int64))
    operands = scale[:, None] * (q - zero[:, None].astype(float)), p * t.astype(float)
    bound = 3 * np.finfo(np.float32).eps * np.abs(operands[0] @ operands[1])  # three roundings to float32
    assert (np.abs(a.dequantize(sums, scale, t, 0.0) - operands[0] @ operands[1]) <= bound + 1e-12).all()


def test_the_largest_depth_does_not_overflow():
    k = a.LARGEST_DEPTH
    q, w = np.full((1, k), 255, np.uint8), np.full((k, 1), -128, np.int8)
    assert a.accumulate(q, np.array([0], np.int32), w) == -255 * 128 * k
    assert a.accumulate(np.zeros_like(q), np.array([255], np.int32), w) == 255 * 128 * k


def test_relu_and_bias_come_with_dequantizing_and_nan_stays():
    y = a.dequantize(
        np.array([[-4, 4, 1]], np.int32), np.array([0.5], np.float32), np.float32(1), np.array([1, 1, np.nan]), 0.0
    )
    np.testing.assert_array_equal(y, [[0, 3, np.nan]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_gets_the_scale_nan(bad):
    x = np.array([[1, bad, 2], [1, 2, 3]], np.float32)
    for kind, ok in ((a.BY_ROW, True), (a.BY_TENSOR, False), (a.STATIC, True)):
        scale = a.affine_rows(x, kind, -1.0, 1.0)[1]
        assert np.isnan(scale[0]) and np.isfinite(scale[1]) == ok
    assert np.isnan(a.affine_rows(np.array([[-3e38, 3e38]], np.float32))[1]).all()


def test_a_column_of_zeros_has_scale_1():
    np.testing.assert_array_equal(a.symmetric_scale(np.array([[0, 127], [0, -5]], np.float32)), [1, 1])
    np.testing.assert_array_equal(a.symmetric_scale(np.zeros((2, 3), np.float32), "mse"), 1)


BOUNDS = [(np.nan, 1), (0, np.inf), (2, 1), (-3e38, 3e38)]
test_errors_name_the_cause = errors(
    *((a.affine_range, *bounds, "accepted: finite numbers, the first not above") for bounds in BOUNDS),
    (a.symmetric_scale, np.array([[np.nan]]), "weights are not finite"),
    (a.symmetric_scale, np.ones((2, 2)), "least", "clip is 'least'; accepted: 'max', 'mse'"),
)
