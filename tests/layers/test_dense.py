"""Laws of the dense layers."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import dense
from refmer.ops import activations
from refmer.proofs import moved

X = np.random.default_rng(1).normal(size=(2, 3, 5))


@pytest.mark.parametrize("name", ["relu", "gelu", "swish", "tanh", "sigmoid"])
def test_an_activation_is_chosen_by_name(name):
    result = getattr(activations, name)(X)
    np.testing.assert_array_equal(dense.activate(name, X)[0], result[0] if isinstance(result, tuple) else result)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation is 'elu'; accepted: 'relu'"):
        dense.activate("elu", X)
    with pytest.raises(ValueError, match="activation is 'erf'"):  # a name of the module is not yet an activation
        dense.activate("erf", X)


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


def test_a_clip_alone_gives_what_it_gives_in_a_batch():
    p = moved(dense.describe_mlp(5, 7, 4))
    np.testing.assert_allclose(dense.mlp(p, X[1:])[0], dense.mlp(p, X)[0][1:], rtol=1e-12)


def test_without_a_bias_zero_stays_zero_and_a_wrong_width_is_named():
    p = moved(dense.describe_project(4, 3))
    assert not dense.project(p, np.zeros((2, 4)))[0].any()
    with pytest.raises(ValueError, match="x has width 5 .* accepted: 4"):
        dense.project(p, np.zeros((2, 5)))
