"""The proof itself: right gradients pass, and every kind of wrong gradient fails."""

import numpy as np
import pytest

from refmer import params
from refmer.check import assert_gradient, assert_pair, gradient_errors
from refmer.layers.dense import describe_layer_norm, describe_linear, layer_norm, linear
from refmer.ops import activations
from refmer.ops.dense import rows

X = np.random.default_rng(1).normal(size=(2, 3, 5))


def weights(description):
    p = params.init(description, 0, np.float64)
    p.vector += np.random.default_rng(2).normal(size=len(p.vector))
    return p


def fails(f, description, match, x=X, **options):
    with pytest.raises(AssertionError, match=match):
        assert_gradient(f, weights(description), x.copy(), rng=np.random.default_rng(0), **options)


def broken(change):
    """linear, with `change(dx, g, dy, x, p)` applied in its backward."""

    def layer(p, x):
        y, back = linear(p, x)

        def backward(dy, g):
            return change(back(dy, g), g, dy, x, p)

        return y, backward

    return layer


def overwrites(dx, g, dy, x, p):
    g.W[:] = rows(x).T @ rows(dy)
    return dx


def writes_into_dy(dx, g, dy, x, p):
    dy *= 1
    dy += 1
    return dx


def misses_a_term(dx, g, dy, x, p):
    g.b -= 1e-9 * rows(dy).sum(0)
    return dx


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda dx, g, dy, x, p: dx.swapaxes(0, 1).reshape(dx.shape), "input.0"),
        (lambda dx, g, dy, x, p: dx * (1 + 1e-11), "input.0"),
        (lambda dx, g, dy, x, p: dx[:1], r"input.0 has shape \(1, 3, 5\) and dtype float64; expected: shape \(2, 3, 5\)"),
        (lambda dx, g, dy, x, p: dx.astype(np.float32), "dtype float32; expected: shape .* and dtype float64"),
        (lambda dx, g, dy, x, p: None, "input.0 has type NoneType"),
        (lambda dx, g, dy, x, p: dx.astype(np.float64), "float32"),
        (lambda dx, g, dy, x, p: (dx, dx), "2 gradients"),
        (overwrites, "add the same"),
        (writes_into_dy, "wrote into"),
        (misses_a_term, "'b'"),
    ],
)
def test_a_broken_backward_fails(change, match):
    fails(broken(change), describe_linear(5, 4), match)


def test_a_layer_norm_without_the_mean_fails_with_a_random_gradient_from_above():
    def without_mean(p, x):
        y, back = layer_norm(p, x)
        return y, lambda dy, g: back(dy, g) + 0.1 * dy.mean(-1, keepdims=True)

    fails(without_mean, describe_layer_norm(5), "input.0")


def test_a_leaf_that_is_never_used_must_be_named():
    description = {"used": describe_linear(5, 4), "spare": describe_linear(5, 3)}

    def f(p, x):
        y, back = linear(p.used, x)
        return y, lambda dy, g: back(dy, g.used)

    fails(f, description, "spare")
    assert_gradient(f, weights(description), X, rng=np.random.default_rng(0), zero=("spare.*",))
    with pytest.raises(ValueError, match="matches none"):
        assert_gradient(f, weights(description), X, rng=np.random.default_rng(0), zero=("spare.q",))


def test_directions_find_the_same_errors():
    good = gradient_errors(linear, weights(describe_linear(5, 4)), X, rng=np.random.default_rng(0), directions=True)
    assert set(good) == {"W", "b", "input.0"} and max(good.values()) < 1e-14
    fails(broken(misses_a_term), describe_linear(5, 4), "'b'", directions=True)


def test_a_complex_value_in_a_float_buffer_is_an_error():
    def f(x):
        y = np.zeros(x.shape)
        y[:] = x
        return y, lambda dy: dy

    with pytest.raises((AssertionError, np.exceptions.ComplexWarning)):
        assert_gradient(f, None, X, rng=np.random.default_rng(0))


def test_assert_pair_fails_for_a_wrong_pair(monkeypatch):
    monkeypatch.setattr(activations, "sigmoid_backward", lambda dy, y: dy * y)
    with pytest.raises(AssertionError, match="sigmoid"):
        assert_pair(activations.sigmoid, X, rng=np.random.default_rng(0))
