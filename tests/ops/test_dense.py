"""Dropout: dropped elements depend on key and place only, have the right share, and are independent across places and keys."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.ops.dense import dropout, dropout_backward

KEY = st.integers(0, 2**63 - 1)


@settings(max_examples=100)
@given(key=KEY, rate=st.floats(0.01, 0.9), seed=st.integers(0, 9))
def test_kept_elements_grow_and_backward_is_the_same(key, rate, seed):
    x = np.random.default_rng(seed).normal(size=(3, 5, 7))
    y, ones = dropout(x, key, rate), dropout(np.ones_like(x), key, rate)
    assert set(np.unique(ones)) <= {0, 1 / (1 - rate)}
    np.testing.assert_array_equal(y, x * ones)
    np.testing.assert_array_equal(dropout_backward(x, key, rate), y)
    np.testing.assert_array_equal(dropout(x.astype(np.float32), key, rate) == 0, ones == 0)


def test_the_share_is_the_rate_and_places_and_keys_are_independent():
    rng, n, rate = np.random.default_rng(0), 2**14, 0.1
    dropped = np.array([dropout(np.ones(n), int(rng.integers(2**63)), rate) == 0 for _ in range(200)]) - rate
    sd = np.sqrt(rate * (1 - rate))
    shares = dropped.mean(1) / sd * n**0.5
    assert abs(shares.mean()) < 5 / 200**0.5 and abs(shares.std() - 1) < 0.25
    for lag in (1, 2, 3, 8, 24, 32, 256, 4096):
        z = (dropped[:, lag:] * dropped[:, :-lag]).mean() / sd**2 * (200 * (n - lag)) ** 0.5
        assert abs(z) < 5
    assert abs((dropped[1:] * dropped[:-1]).mean() / sd**2 * (199 * n) ** 0.5) < 5
