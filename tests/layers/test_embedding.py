"""Laws of embeddings, tokens, positions and the sum of layers."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import sequence
from refmer.layers.sequence import sinusoidal
from refmer.proofs import moved

rng = np.random.default_rng(1)
X = rng.normal(size=(2, 5, 6))
TABLE = moved(sequence.describe_embedding(4, 6))


def test_an_embedding_is_a_one_hot_product():
    index = np.array([[0, 3, 3], [1, 0, 3]])
    y, backward = sequence.embedding(TABLE, index)
    one_hot = np.eye(4)[index]
    np.testing.assert_allclose(y, one_hot @ TABLE.W, rtol=1e-12)
    g, dy = params.zeros_like(TABLE), rng.normal(size=y.shape)
    assert backward(dy, g) == ()
    np.testing.assert_allclose(g.W, np.einsum("btn,btc->nc", one_hot, dy), atol=1e-14)
    assert (g.W[2] == 0).all()  # never looked up


@pytest.mark.parametrize("index", [[0, 4], [0, -1], [0.5]])
def test_an_index_that_does_not_fit_is_named(index):
    with pytest.raises(ValueError, match="accepted: integers from 0 to 3"):
        sequence.embedding(TABLE, np.array(index))
    with pytest.raises(ValueError, match="accepted: integers from 0 to 3"):
        sequence.modality_embedding(TABLE, X, np.array(index[-1]))


def test_modality_embeddings_of_joined_streams_are_those_of_each_stream():
    joined = sequence.modality_embedding(TABLE, X, np.array([0, 0, 2, 2, 2]))[0]
    np.testing.assert_array_equal(joined[:, :2], sequence.modality_embedding(TABLE, X[:, :2], 0)[0])
    np.testing.assert_array_equal(joined[:, 2:], sequence.modality_embedding(TABLE, X[:, 2:], 2)[0])


def test_tokens_are_the_same_for_every_clip():
    p = moved(sequence.describe_tokens(3, 6))
    y, backward = sequence.tokens(p, 7)
    assert y.shape == (7, 3, 6) and (y == p.W).all()
    g = params.zeros_like(p)
    backward(np.ones_like(y), g)
    np.testing.assert_array_equal(g.W, 7)


def test_positions_are_added_to_valid_steps_only():
    valid = np.array([[True, True, True, False, False], [False] * 5])
    y = sequence.positions(X, valid)[0]
    np.testing.assert_array_equal(y[~valid], X[~valid])
    np.testing.assert_array_equal(y[0, :3], X[0, :3] + sinusoidal(3, 6))
    np.testing.assert_array_equal(sequence.positions(X)[0], X + sinusoidal(5, 6))


def test_the_literal_rule_takes_a_zero_in_channel_0_for_padding():
    """So a stream that was zeroed as missing gets no positions at all; a key mask would say the same by name."""
    x = X.copy()
    x[0, 3:] = 0
    x[1, 2, 0] = 0  # a valid step by accident
    y = sequence.positions(x, literal=True)[0]
    assert (y[0, 3:] == 0).all()
    np.testing.assert_array_equal(y[1, 2], x[1, 2])
    assert (y[1, 1] != x[1, 1]).any()


@pytest.mark.parametrize("valid", [np.ones((2, 4), bool), np.ones((2, 5))])
def test_validity_of_another_shape_is_named(valid):
    with pytest.raises(ValueError, match=r"accepted: bool, \(2, 5\)"):
        sequence.positions(X, valid)


def test_the_sum_of_layers_starts_as_their_mean_and_can_choose_one():
    layers = rng.normal(size=(2, 5, 4, 3))
    p = params.init(sequence.describe_layer_sum(4), 0, np.float64)
    trace = {}
    np.testing.assert_allclose(sequence.layer_sum(p, layers, trace)[0], layers.mean(2), rtol=1e-12)
    np.testing.assert_allclose(trace["layers"], 0.25)
    p.score[2] = 1e4
    np.testing.assert_allclose(sequence.layer_sum(p, layers)[0], layers[:, :, 2], rtol=1e-12)
    with pytest.raises(ValueError, match=r"x has 5 layers .* accepted: 4"):
        sequence.layer_sum(p, X)
