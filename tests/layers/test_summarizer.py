"""The laws of the contextual summarizer."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import summarizer
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


def test_a_clip_alone_gives_the_same():
    y = summarize(QUERIES, CONTEXT, VALID)
    np.testing.assert_allclose(summarize(QUERIES[:1], CONTEXT[:1, :3]), y[:1], rtol=1e-11)


@pytest.mark.parametrize("hidden, n", [(4096, 16_796_672), (2048, 12_600_320)])
def test_numbers_of_parameters(hidden, n):
    assert params.count(summarizer.describe_decoder_layer(1024, hidden)) == n
    assert params.count(summarizer.describe_summarizer(1024, hidden, 6)) == 6 * n
