"""The TCN of paper 003: causal, with a known reach and size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer import params
from refmer.layers import convolution
from refmer.proofs import moved

C = 3
rng = np.random.default_rng(1)


def test_paper_003_counts():
    assert params.count(convolution.describe_tcn(512, [512, 512])) == 4 * 786_944 == 3_147_776
    assert params.count(convolution.describe_tcn(512, [512, 512], weight_norm=True)) == 3_147_776 + 4 * 512
    assert (
        params.count(convolution.describe_tcn(C, [5, 5]))
        == params.count(convolution.describe_tcn(5, [5, 5])) - 2 * 3 * 5 + C * 5 + 5
    )


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 4), st.integers(2, 3), st.booleans())
def test_the_receptive_field_is_exactly_that_of_the_formula(L, size, weight_norm):
    reach = 1 + 2 * (size - 1) * (2**L - 1)
    T = reach + 3
    x = np.ones((1, T, 1))
    p = moved(convolution.describe_tcn(1, [1] * L, size, weight_norm))
    p.vector[:] = abs(p.vector)
    _, backward = convolution.tcn(p, x, size, weight_norm=weight_norm)
    dy = np.zeros_like(x)
    dy[0, -1] = 1  # what the last output has seen
    dx = backward(dy, params.zeros_like(p))
    np.testing.assert_array_equal(dx[0, :, 0] != 0, np.arange(T) >= T - reach)


@settings(deadline=None, max_examples=10)
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
    with pytest.raises(ValueError, match="dilations has 1 entries; accepted: 2"):
        convolution.tcn(p, x, dilations=[1])


def test_masked_steps_give_zero():
    valid = np.arange(6) < np.array([[4], [0]])
    y, _ = convolution.tcn(moved(convolution.describe_tcn(C, [4])), rng.normal(size=(2, 6, C)), mask=valid)
    assert (y[~valid] == 0).all() and y[valid].any()
