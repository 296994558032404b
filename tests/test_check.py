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
        (lambda dx, g, dy, x, p: dx.swapaxes(0, 1).reshape(dx.shape), "input.x"),
        (lambda dx, g, dy, x, p: dx * (1 + 1e-11), "input.x"),
        (lambda dx, g, dy, x, p: dx[:1], r"input.x has shape \(1, 3, 5\) and dtype float64; expected: shape \(2, 3, 5\)"),
        (lambda dx, g, dy, x, p: dx.astype(np.float32), "dtype float32; expected: shape .* and dtype float64"),
        (lambda dx, g, dy, x, p: None, "input.x has type NoneType"),
        (lambda dx, g, dy, x, p: dx.astype(np.float64), "float32"),
        (lambda dx, g, dy, x, p: (dx, dx), "2 gradients"),
        (overwrites, "add the same"),
        (writes_into_dy, "wrote into"),
        (misses_a_term, "gradient of b: relative error 1e-09"),
    ],
)
def test_a_broken_backward_fails(change, match):
    fails(broken(change), describe_linear(5, 4), match)


def test_a_layer_norm_without_the_mean_fails_with_a_random_gradient_from_above():
    def without_mean(p, x):
        y, back = layer_norm(p, x)
        return y, lambda dy, g: back(dy, g) + 0.1 * dy.mean(-1, keepdims=True)

    fails(without_mean, describe_layer_norm(5), "input.x")


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
    assert set(good) == {"W", "b", "input.x"} and max(good.values()) < 1e-14
    fails(broken(misses_a_term), describe_linear(5, 4), "gradient of b: .* along a random direction", directions=True)


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


@pytest.mark.parametrize(
    "dW, message",
    [
        (
            lambda x, dy, dW: -dW,
            r"wrong gradient of W: relative error 2; at \[., .\] expected .*, received .*; the sign is wrong",
        ),
        (lambda x, dy, dW: 6**0.5 * dW, r"received = 2.44948974278 \* expected: a constant factor"),
        (lambda x, dy, dW: 0 * dW, "it is 0: a path is missing"),
        (lambda x, dy, dW: dW.T, "it is transposed"),
        (lambda x, dy, dW: np.where(np.arange(5) == 2, 0, dW), r"at \[., 2\] .*, received 0; 20 of 25 elements are right"),
    ],
)
def test_a_failure_names_the_leaf_the_place_and_the_mistake(dW, message):
    def layer(p, x):
        y, back = linear(p, x)

        def backward(dy, g):
            dx = back(dy, params.zeros_like(p))
            g.W += dW(x, dy, rows(x).T @ rows(dy))
            g.b += rows(dy).sum(0)
            return dx

        return y, backward

    fails(layer, describe_linear(5, 5), message)
    fails(layer, describe_linear(5, 5), "wrong gradient of W: .* along a random direction", directions=True)


@pytest.mark.parametrize(
    "dx, message",
    [
        (lambda dy: dy[None], r"shape \(1, 2, 3\) .* expected: shape \(2, 3\) .*: it is not summed over axes \[0\]"),
        (lambda dy: dy.sum(0), r"shape \(3,\) .*: it is summed over axes \[0\]"),
        (lambda dy: dy.T, r"gradient of input.voice has shape \(3, 2\) .*: it is transposed"),
    ],
)
def test_a_gradient_of_another_shape_is_named_with_its_mistake(dx, message):
    def layer(voice):
        return voice, dx

    with pytest.raises(AssertionError, match=message):
        assert_gradient(layer, None, X[0, :2, :3].copy(), rng=np.random.default_rng(0))
