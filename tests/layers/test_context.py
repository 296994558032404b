"""Windows of equal length, and learned queries without a step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.layers.summarizer import describe_learned_context, equal_windows, learned_context, window_means
from refmer.proofs import moved


@settings(deadline=None, max_examples=25)
@given(steps=st.integers(1, 12), padding=st.integers(0, 5), count=st.integers(1, 9))
def test_windows_cover_every_valid_step_in_order_and_padding_moves_none(steps, padding, count):
    valid = np.arange(steps + padding)[None] < steps
    inside = equal_windows(valid, count)[0]
    np.testing.assert_array_equal(inside.any(0), valid[0])
    assert inside.any(1).all() and (np.diff(inside.argmax(1)) >= 0).all()
    np.testing.assert_array_equal(inside[:, :steps], equal_windows(valid[:, :steps], count)[0])
    widths = inside.sum(1)
    assert widths.max() - widths.min() <= 2
    if steps % count == 0:
        assert (widths == steps // count).all() and (inside.sum(0)[:steps] == 1).all()


def test_a_window_is_the_mean_of_its_steps_and_an_empty_one_zero():
    x = np.arange(12.0).reshape(1, 6, 2)
    valid = np.array([[True, True, False, False, True, True]])
    c, _ = window_means(x, equal_windows(valid, 3))
    np.testing.assert_allclose(c[0], [[1, 2], [0, 0], [9, 10]], rtol=1e-12)
    np.testing.assert_array_equal(window_means(x, equal_windows(valid & False, 3))[0], 0)


def test_queries_without_a_step_give_the_same_in_every_clip():
    p, rng = moved(describe_learned_context(3, 6, 7, 2)), np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6))
    c, _ = learned_context(p, x, 2, np.zeros((2, 5), bool))
    np.testing.assert_allclose(c[0], c[1], rtol=1e-12)
    assert c.shape == (2, 3, 6) and np.abs(c).min() > 0
    one = np.arange(5) == np.array([[2], [4]])
    np.testing.assert_allclose(learned_context(p, x, 2, one)[0], learned_context(p, x[one][:, None], 2)[0], rtol=1e-12)


def test_the_width_of_the_sequence_is_checked():
    with pytest.raises(ValueError, match="x has width 5"):
        learned_context(moved(describe_learned_context(3, 6, 7, 1)), np.ones((2, 4, 5)), 2)
