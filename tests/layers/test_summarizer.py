"""The laws of the contextual summarizer, of windows of equal length and of learned queries."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer import params
from refmer.layers import summarizer
from refmer.layers.summarizer import describe_learned_context, equal_windows, learned_context, window_means
from refmer.ops.attention import key_mask
from refmer.proofs import moved

B, N, S, C, H = 2, 3, 5, 6, 2
rng = np.random.default_rng(1)
QUERIES, CONTEXT = rng.normal(size=(B, N, C)), rng.normal(size=(B, S, C))
VALID = np.array([[True, True, True, False, False], [False] * 5])
P = moved(summarizer.describe_summarizer(C, 7, 2))


def summarize(queries, context, valid=None):
    return summarizer.summarizer(P, queries, context, H, None if valid is None else key_mask(valid))[0]


def test_a_masked_context_has_no_effect():
    y = summarize(QUERIES, CONTEXT, VALID)
    np.testing.assert_array_equal(summarize(QUERIES, np.where(VALID[..., None], CONTEXT, 9.0), VALID), y)
    for layer in P.layers:  # all masked, the biases of the cross-attention have no effect
        layer.cross.out.b[:] += 1
    try:
        z = summarize(QUERIES, CONTEXT, VALID)
    finally:
        for layer in P.layers:
            layer.cross.out.b[:] -= 1
    np.testing.assert_array_equal(z[1], y[1])
    assert not np.allclose(z[0], y[0])


def test_a_context_of_zeros_is_not_a_masked_one():
    """Paper 004 expects a near-zero update from a zeroed modality, but the biases of keys and values remain."""
    zeros = np.zeros_like(CONTEXT)
    masked, zeroed = summarize(QUERIES, zeros, np.zeros((B, S), bool)), summarize(QUERIES, zeros)
    assert np.abs(masked - zeroed).max() > 0.1


def test_the_order_of_the_context_does_not_matter_and_that_of_queries_is_kept():
    order, turned = rng.permutation(S), QUERIES[:, ::-1]
    np.testing.assert_allclose(summarize(QUERIES, CONTEXT[:, order]), summarize(QUERIES, CONTEXT), rtol=1e-11)
    np.testing.assert_allclose(summarize(turned, CONTEXT), summarize(QUERIES, CONTEXT)[:, ::-1], rtol=1e-11)


@pytest.mark.parametrize("hidden, n", [(4096, 16_796_672), (2048, 12_600_320)])
def test_numbers_of_parameters(hidden, n):
    assert params.count(summarizer.describe_decoder_layer(1024, hidden)) == n
    assert params.count(summarizer.describe_summarizer(1024, hidden, 6)) == 6 * n


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


test_bad_input_is_named = errors(
    (learned_context, moved(describe_learned_context(3, 6, 7, 1)), np.ones((2, 4, 5)), 2, "x has width 5")
)
