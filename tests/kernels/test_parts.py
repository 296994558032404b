"""The functions for use inside kernels keep their bounds: of one number, sums, and the product of matrices."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit
from scipy.special import erfc

from refmer.kernels import scalar
from refmer.kernels.gemm import gemm
from refmer.kernels.vectors import dot, total

pytestmark = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def of_each(f):
    """Return the function of arrays that applies the compiled f to each number."""
    return njit(lambda x: np.array([f(v) for v in x]))


exp, tanh, sigmoid, log1p, normal_cdf = (
    of_each(f) for f in (scalar.exp, scalar.tanh, scalar.sigmoid, scalar.log1p, scalar.normal_cdf)
)


def numbers(dtype):
    """Dense where the functions change, at the edges of overflow and underflow, and bit patterns at random."""
    rng = np.random.default_rng(0)
    edge = 89 if dtype == np.float32 else 710
    bits = rng.integers(0, 256, 200_000 * np.dtype(dtype).itemsize, np.uint8).view(dtype)
    parts = [
        np.linspace(-1.2 * edge, 1.2 * edge, 200_001),
        np.linspace(-2, 2, 200_001),
        [sign * (edge + d) for sign in (-1, 1) for d in np.linspace(-1, 1, 2001)],
        np.linspace(-104.5, -86, 20_001) if dtype == np.float32 else np.linspace(-746, -707, 20_001),
        np.linspace(0, 10 * np.finfo(dtype).smallest_normal, 1001),
        [np.inf, -np.inf, np.nan, 0.0, -0.0, np.finfo(dtype).max, -np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal],
    ]
    return np.concatenate([bits, *(np.asarray(part).astype(dtype) for part in parts)])


def ulps(result, exact):
    """Distance in units of the last place of the exact result, where that is finite."""
    dtype = result.dtype
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        off = np.abs(result - exact) / np.spacing(np.abs(rounded))
    # beyond the largest number both are infinite; one ulp below it either may be
    settled = np.isfinite(rounded) & np.isfinite(result)
    wrong = ~settled & ~((result == rounded) | (np.isnan(result) & np.isnan(rounded)))
    assert not wrong.any(), result[wrong]
    return off[settled].astype(float)


@pytest.mark.parametrize("f, exact, bound", [(exp, np.exp, 2), (tanh, np.tanh, 3)])
def test_exp_and_tanh_keep_their_bounds(f, exact, bound, dtype):
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        assert ulps(f(x), exact(x.astype(np.longdouble))).max() <= bound


def test_sigmoid_keeps_its_bound_where_the_result_is_normal_and_is_nearly_0_below(dtype):
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    tiny = exact < np.finfo(dtype).smallest_normal
    assert ulps(sigmoid(x[~tiny]), exact[~tiny]).max() <= 4
    assert (sigmoid(x[tiny]) <= np.finfo(dtype).smallest_normal).all() and tiny.any()


def test_log1p_keeps_its_bound_from_0_to_1(dtype):
    x = np.abs(numbers(dtype))
    x = x[~(x > 1)]
    with np.errstate(all="ignore"):
        assert ulps(log1p(x), np.log1p(x.astype(np.longdouble))).max() <= 2


def test_the_normal_distribution_function_keeps_its_bound(dtype):
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        result, exact = normal_cdf(x), 0.5 * erfc(-x.astype(float) / np.sqrt(2))
    assert (np.isnan(result) == np.isnan(x)).all()
    assert np.nanmax(np.abs(result - exact)) <= 2 * np.finfo(dtype).eps
    assert (result[x == np.inf] == 1).all() and (result[x == -np.inf] == 0).all()


def test_zeros_keep_their_sign_and_special_values_are_exact(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf], dtype)
    for f, expected in ((exp, [1, 1, np.inf, 0]), (tanh, [0.0, -0.0, 1, -1]), (sigmoid, [0.5, 0.5, 1, 0])):
        np.testing.assert_array_equal(f(x), expected)
        assert f(x).dtype == dtype
    assert np.signbit(tanh(x)[1]) and not np.signbit(tanh(x)[0])


@settings(max_examples=100)
@given(n=st.integers(0, 200), seed=st.integers(0, 99))
def test_sums_are_those_of_numpy(dtype, n, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, n)).astype(dtype)
    bound = (n + 1) * np.finfo(dtype).eps
    assert abs(total(x) - x.sum(dtype=float)) <= bound * np.abs(x).sum()
    assert abs(dot(x, y) - x.astype(float) @ y) <= bound * np.abs(x * y).sum() + 1e-300


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_sums(bad, dtype):
    x = np.ones(37, dtype)
    x[5] = bad
    np.testing.assert_equal([total(x), dot(x, np.ones_like(x))], [bad, bad])


@settings(max_examples=30)
@given(m=st.integers(1, 40), k=st.integers(1, 300), n=st.integers(1, 300), transposed=st.booleans(), seed=st.integers(0, 99))
@example(m=45, k=259, n=261, transposed=False, seed=0)  # beyond one block in every direction; packed with AVX2
@example(m=32, k=256, n=512, transposed=True, seed=0)
def test_gemm_adds_the_product(dtype, m, k, n, transposed, seed):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.normal(size=size) for size in ((m, k), (k, n), (m, n)))
    exact, bound = c + a @ b, np.abs(c) + np.abs(a) @ np.abs(b)
    a = np.asfortranarray(a.astype(dtype)) if transposed else a.astype(dtype)
    result = c.astype(dtype)
    gemm(a, b.astype(dtype), result)
    assert (np.abs(result - exact) <= (k + 3) * np.finfo(dtype).eps * bound).all()


@pytest.mark.parametrize("rows, width", [(5, 40), (40, 400)])
def test_gemm_writes_only_into_its_part_of_a_wider_array(dtype, rows, width):
    a, b, c = np.ones((rows, 3), dtype), np.ones((3, width), dtype)[:, :7], np.zeros((rows, 40), dtype)
    gemm(a, b, c[:, 2:9])
    np.testing.assert_array_equal(c[:, 2:9], 3)
    assert not c[:, :2].any() and not c[:, 9:].any()
