"""Laws of the masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.ops.attention import banded, causal, causal_between, key_mask

few = settings(deadline=None, max_examples=25, derandomize=True)


@few
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 7))
def test_masks_are_what_their_loops_say(T, S, width):
    np.testing.assert_array_equal(causal(T, S), [[s <= t + S - T for s in range(S)] for t in range(T)])
    np.testing.assert_array_equal(banded(T, S, width), [[abs(t - s) <= width for s in range(S)] for t in range(T)])


@few
@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 3))
def test_between_two_sequences_only_the_valid_lengths_count(n_q, n_k, padding):
    T, S = max(n_q, 1) + padding, max(n_k, 1) + 2 * padding
    found = causal_between(np.arange(T)[None] < n_q, np.arange(S)[None] < n_k)
    assert found.shape == (1, 1, T, S)
    np.testing.assert_array_equal(found[0, 0], [[s <= t + abs(n_q - n_k) for s in range(S)] for t in range(T)])
    assert found.any(-1).all()  # nobody is blind


def test_a_hole_is_no_end_and_a_clip_has_lengths_of_its_own():
    queries = np.array([[True, False, True], [True, False, False]])
    found = causal_between(queries, np.ones((2, 3), bool))[:, 0]
    np.testing.assert_array_equal(found, [np.tri(3), np.tri(3, k=2)])


def test_masks_combine():
    valid = np.array([[True, True, False]])
    both = key_mask(valid) & causal(3, 3) & banded(3, 3, 1)
    np.testing.assert_array_equal(both[0, 0], [[True, False, False], [True, True, False], [False, True, False]])


@pytest.mark.parametrize("valid", [np.ones((2, 3)), np.ones(3, bool)])
def test_a_key_mask_of_another_kind_is_named(valid):
    with pytest.raises(ValueError, match="accepted: bool"):
        key_mask(valid)


def test_a_band_has_a_width():
    with pytest.raises(ValueError, match="width is -1"):
        banded(3, 3, -1)
