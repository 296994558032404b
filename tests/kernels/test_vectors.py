"""The sums inside kernels equal NumPy's up to their order, and keep nan and infinity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.kernels.vectors import dot, total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=100)
@given(n=st.integers(0, 200), seed=st.integers(0, 99))
def test_sums_are_those_of_numpy(dtype, n, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, n)).astype(dtype)
    bound = (n + 1) * np.finfo(dtype).eps
    assert abs(total(x) - x.sum(dtype=float)) <= bound * np.abs(x).sum()
    assert abs(dot(x, y) - x.astype(float) @ y) <= bound * np.abs(x * y).sum() + 1e-300


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay(bad):
    x = np.ones(37)
    x[5] = bad
    np.testing.assert_equal([total(x), dot(x, np.ones(37))], [bad, bad])
