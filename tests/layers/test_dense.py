"""Laws of the dense layers."""

import numpy as np
import pytest
from error_table import errors

from refmer import params
from refmer.layers import dense
from refmer.ops import activations
from refmer.proofs import moved

rng = np.random.default_rng(1)
X = rng.normal(size=(2, 3, 5))


@pytest.mark.parametrize("name", ["relu", "gelu", "swish", "tanh", "sigmoid"])
def test_an_activation_is_chosen_by_name(name):
    result = getattr(activations, name)(X)
    np.testing.assert_array_equal(dense.activate(name, X)[0], result[0] if isinstance(result, tuple) else result)


def test_a_feed_forward_is_an_mlp_of_two_maps():
    p = moved(dense.describe_mlp(5, 7, 4))
    up, down = p.maps
    y = activations.gelu(X @ up.W + up.b)[0] @ down.W + down.b
    np.testing.assert_allclose(dense.mlp(p, X, activation="gelu")[0], y, rtol=1e-12)
    q = params.like(params.init({"up": p.description["maps"][0], "down": p.description["maps"][1]}, 0), p.vector)
    np.testing.assert_allclose(dense.feed_forward(q, X, activation="gelu")[0], y, rtol=1e-12)


def test_an_mlp_has_nothing_after_its_last_map_and_drops_only_between():
    p = moved(dense.describe_mlp(5, 4))
    np.testing.assert_array_equal(dense.mlp(p, X, 0.9, np.random.default_rng(0))[0], dense.linear(p.maps[0], X)[0])
    p = moved(dense.describe_mlp(5, 40, 4))
    other = dense.mlp(p, X, 0.5, np.random.default_rng(0))[0]
    assert (other != dense.mlp(p, X)[0]).any()


def test_the_number_of_parameters_is_that_of_the_published_heads():
    assert params.count(dense.describe_mlp(130, 512, 256, 130)) == 231_810  # paper 002, auxiliary head


def test_a_clip_alone_and_in_a_batch_gives_the_same_output():
    p = moved(dense.describe_mlp(5, 7, 4))
    np.testing.assert_allclose(dense.mlp(p, X[1:])[0], dense.mlp(p, X)[0][1:], rtol=1e-12)


def test_without_a_bias_zero_stays_zero():
    assert not dense.project(moved(dense.describe_project(4, 3)), np.zeros((2, 4)))[0].any()


def test_dropout_keeps_the_mean_and_is_the_identity_without_a_generator():
    y, _ = dense.dropout(np.random.default_rng(0), np.ones((300, 301)), 0.3)
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert dense.dropout(None, X, 0.3)[0] is X


def test_batch_norm_moves_its_running_statistics_only_through_g():
    p = moved(dense.describe_batch_norm(6))
    g = params.zeros_like(p)
    x = rng.normal(3, 2, size=(50, 6))
    _, backward = dense.batch_norm(p, x, rng=rng)
    backward(np.zeros_like(x), g)
    p.state += 1.0 * g.state
    np.testing.assert_allclose(p.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(p.var, x.var(0, ddof=1), rtol=1e-12)


test_bad_input_is_named = errors(
    (lambda: dense.activate("elu", X), "activation is 'elu'; accepted: 'relu'"),
    (lambda: dense.activate("erf", X), "activation is 'erf'"),  # a name of the module is not yet an activation
    (lambda: dense.project(moved(dense.describe_project(4, 3)), X), "x has width 5 .* accepted: 4"),
    (lambda: dense.linear(moved(dense.describe_linear(4, 3)), X), "x has width 5 .* accepted: 4"),
    (lambda: dense.dropout(None, X, 1), "dropout rate is 1"),
)
