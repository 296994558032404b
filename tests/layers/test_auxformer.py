"""The laws of the scaled residual."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import attention
from refmer.proofs import moved

X = np.random.default_rng(1).normal(size=(2, 3, 6))


def test_alpha_of_one_makes_both_halves_the_identity():
    p = moved(attention.describe_encoder_layer(6, 7, "learned"))
    p.alpha[:] = 1
    np.testing.assert_array_equal(attention.pre_norm_layer(p, X, 2, mix="learned")[0], X)


def test_alpha_of_zero_drops_the_residual_and_one_half_is_the_fixed_one():
    p = moved(attention.describe_scaled_residual("learned"))
    z = X[::-1]
    for alpha, y in ((0, z), (0.5, attention.scaled_residual(None, X, z, "fixed")[0])):
        p.alpha[:] = alpha
        np.testing.assert_allclose(attention.scaled_residual(p, X, z, "learned")[0], y, rtol=1e-12)
    np.testing.assert_array_equal(attention.scaled_residual(None, X, z)[0], X + z)


def test_the_scalar_starts_between_zero_and_one():
    starts = [params.init(attention.describe_scaled_residual("learned"), seed).alpha[0] for seed in range(20)]
    assert 0 <= min(starts) < 0.3 and 0.7 < max(starts) < 1


def test_an_unknown_mix_is_named():
    for call in (attention.describe_scaled_residual, lambda mix: attention.scaled_residual(None, X, X, mix)):
        with pytest.raises(ValueError, match="mix is 'on'; accepted: 'off', 'fixed', 'learned'"):
            call("on")
