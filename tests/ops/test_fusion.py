"""Laws of the outer product with ones."""

from functools import reduce

import numpy as np
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.ops.fusion import outer_with_ones, outer_with_ones_backward


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 99))
def test_it_is_the_kronecker_product_of_each_clip(widths, B, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(B, width)) for width in widths]
    y = outer_with_ones(*parts)[0]
    for b in range(B):
        np.testing.assert_allclose(y[b], reduce(np.kron, [np.append(z[b], 1) for z in parts]), rtol=1e-12)
    assert (y[:, -1] == 1).all()


def test_each_modality_alone_is_among_the_products():
    a, b = np.random.default_rng(0).normal(size=(2, 1, 3))
    y = outer_with_ones(a, b)[0].reshape(4, 4)
    np.testing.assert_array_equal(y[:3, 3], a[0])
    np.testing.assert_array_equal(y[3, :3], b[0])


test_parts_that_do_not_fit_are_named = errors(
    (outer_with_ones, np.ones((2, 3)), np.ones((4, 3)), "parts have shapes"),
    (outer_with_ones, np.ones((2, 3)), np.ones((2, 3, 1)), "parts have shapes"),
    (outer_with_ones, [1.0], "parts have shapes .*list"),
    (lambda: outer_with_ones(), "parts have shapes"),
    (
        lambda: outer_with_ones_backward(np.ones((2, 13)), *outer_with_ones(np.ones((2, 3)), np.ones((2, 2)))[1:]),
        r"dy has shape \(2, 13\); expected \(B, prod \(C_m \+ 1\)\) = \(2, 12\)",
    ),
)
