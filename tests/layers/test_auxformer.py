"""The laws of the scaled residual, of the switches and of the mean of paper 002."""

import numpy as np

from refmer import params
from refmer.layers import attention, auxformer, sequence
from refmer.ops.activations import softmax
from refmer.proofs import moved

X = np.random.default_rng(1).normal(size=(2, 3, 6))


def test_alpha_of_one_makes_both_halves_the_identity():
    p = moved(attention.describe_encoder_layer(6, 7) | auxformer.describe_learned_residual())
    p.alpha[:] = 1
    np.testing.assert_array_equal(attention.pre_norm_layer(p, X, 2, residual=auxformer.learned_residual)[0], X)


def test_alpha_of_zero_drops_the_residual_and_one_half_is_the_fixed_one():
    p, z = moved(auxformer.describe_learned_residual()), X[::-1]
    for alpha, y in ((0, z), (0.5, auxformer.fixed_residual(None, X, z)[0])):
        p.alpha[:] = alpha
        np.testing.assert_allclose(auxformer.learned_residual(p, X, z)[0], y, rtol=1e-12)
    np.testing.assert_array_equal(auxformer.MIXES["off"](None, X, z)[0], X + z)


def test_the_scalar_starts_between_zero_and_one():
    starts = [params.init(auxformer.describe_learned_residual(), seed).alpha[0] for seed in range(20)]
    assert 0 <= min(starts) < 0.3 and 0.7 < max(starts) < 1


def test_a_prepended_token_is_valid():
    valid = np.array([[True, False, True]])
    z, longer, _ = auxformer.sequence(moved({"token": sequence.describe_prepend(6)}), X[:1], valid)
    np.testing.assert_array_equal(z[:, 1:], X[:1])
    np.testing.assert_array_equal(longer, [[True, True, False, True]])


def test_a_token_is_the_last_step_the_last_valid_one_their_mean_or_the_first():
    valid = np.array([[True, True, False], [True] * 3])
    last, last_valid, mean, first = (auxformer.TOKENS[k](X, valid)[0] for k in ("last", "last_valid", "mean", "prepended"))
    np.testing.assert_array_equal([last, first], [X[:, -1], X[:, 0]])
    np.testing.assert_array_equal(last_valid, [X[0, 1], X[1, 2]])
    np.testing.assert_allclose(mean, [X[0, :2].mean(0), X[1].mean(0)], rtol=1e-12)


def test_the_mean_of_probabilities_is_finite_where_logits_are_large():
    hard = np.array([[[1e4, -1e4]], [[-1e4, 1e4]], [[0.0, -1e4]]])
    np.testing.assert_allclose(softmax(auxformer.mean_probabilities(hard)[0]), [[2 / 3, 1 / 3]], rtol=1e-12)
