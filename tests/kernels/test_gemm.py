"""The product for use inside kernels is that of NumPy, at any size and with any strides of its first factor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.kernels.gemm import gemm

SIZE = st.integers(1, 300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30)
@given(m=st.integers(1, 40), k=SIZE, n=SIZE, transposed=st.booleans(), seed=st.integers(0, 99))
def test_it_adds_the_product(dtype, m, k, n, transposed, seed):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.normal(size=size) for size in ((m, k), (k, n), (m, n)))
    exact, bound = c + a @ b, np.abs(c) + np.abs(a) @ np.abs(b)
    a = np.asfortranarray(a.astype(dtype)) if transposed else a.astype(dtype)
    result = c.astype(dtype)
    gemm(a, b.astype(dtype), result)
    assert (np.abs(result - exact) <= (k + 3) * np.finfo(dtype).eps * bound).all()


def test_it_writes_only_into_its_part_of_a_wider_array():
    a, b, c = np.ones((5, 3)), np.ones((3, 40))[:, :7], np.zeros((5, 40))
    gemm(a, b, c[:, 2:9])
    np.testing.assert_array_equal(c[:, 2:9], 3)
    assert not c[:, :2].any() and not c[:, 9:].any()
