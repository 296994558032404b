"""Dense layers: linear maps, dropout, activations by name, feed-forward blocks and MLPs, layer and batch norm.

Two helpers combine layers: `optional`, for a part that a description may lack, and `stack`, for layers in a row.
"""

import numpy as np

from refmer.ops import activations, norms
from refmer.ops import dense as ops
from refmer.ops.contracts import closure
from refmer.params import Leaf, ones, xavier, zeros


@closure
def optional(p, name, layer, x, *args, **options):
    """y = layer(p.NAME, x, ...) where p has a part of this name, else y = x.   backward(dy, g): g is that of p, as a whole."""
    if not hasattr(p, name):
        return x, lambda dy, g: dy
    y, back = layer(getattr(p, name), x, *args, **options)
    return y, lambda dy, g: back(dy, getattr(g, name))


@closure
def stack(layer, parts, x):
    """x_(i+1) = layer(parts[i], x_i, i), i = 0, 1, ...   backward(dy, g): g is the list of gradients of the parts."""
    backs = []
    for i, part in enumerate(parts):
        x, back = layer(part, x, i)
        backs.append(back)

    def backward(dy, g):
        for back, part in zip(reversed(backs), reversed(g), strict=True):
            dy = back(dy, part)
        return dy

    return x, backward


def describe_linear(n_in, n_out):
    return {"W": Leaf((n_in, n_out), xavier), "b": Leaf((n_out,), zeros)}


@closure
def linear(p, x):
    """y = x W + b.   x (..., D), W (D, E), b (E)."""
    fitting_width(p, x)
    y, *saved = ops.linear(x, p.W, p.b)

    def backward(dy, g):
        dx, dW, db = ops.linear_backward(dy, *saved)
        g.W += dW
        g.b += db
        return dx

    return y, backward


def fitting_width(p, x):
    """Raise a ValueError unless x (..., D) fits W (D, E)."""
    if x.shape[-1] != p.W.shape[0]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {p.W.shape[0]}, the width of W {p.W.shape}")


def describe_project(n_in, n_out):
    return {"W": Leaf((n_in, n_out), xavier)}


@closure
def project(p, x):
    """y = x W, without bias, as printed in equations that name a matrix only.   x (..., D), W (D, E)."""
    fitting_width(p, x)
    y, *saved = ops.linear(x, p.W, 0.0)

    def backward(dy, g):
        dx, dW, _ = ops.linear_backward(dy, *saved)
        g.W += dW
        return dx

    return y, backward


@closure
def dropout(rng, x, rate):
    """y = x m / (1 - rate), m = 0 with probability `rate`, else 1. Without a generator, or at rate 0: y = x."""
    key = dropout_key(rng, rate)
    if key is None:
        return x, lambda dy: dy
    return ops.dropout(x, key, rate), lambda dy: ops.dropout_backward(dy, key, rate)


def dropout_key(rng, rate):
    """The key of ops.dense.kept; None without dropout."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate is {rate}; accepted: 0 <= rate < 1")
    return None if rng is None or rate == 0 else int(rng.bit_generator.random_raw()) >> 1  # rng.integers: six times slower


@closure
def activate(name, x):
    """y = f(x) for a pointwise f of ops/activations.py by its name: "relu", "gelu", "swish", "tanh", "sigmoid"."""
    if name not in ("relu", "gelu", "swish", "tanh", "sigmoid"):
        raise ValueError(f"activation is {name!r}; accepted: 'relu', 'gelu', 'swish', 'tanh', 'sigmoid'")
    result, back = getattr(activations, name)(x), getattr(activations, f"{name}_backward")
    y, *saved = result if isinstance(result, tuple) else (result, result)
    return y, lambda dy: back(dy, *saved)


def describe_feed_forward(width, hidden):
    return {"up": describe_linear(width, hidden), "down": describe_linear(hidden, width)}


@closure
def feed_forward(p, x, rate=0.0, rng=None, activation="relu"):
    """y = dropout(f(x W1 + b1)) W2 + b2, f = relu unless named.   x (..., C)."""
    h, back_up = _hidden(p.up, x, rate, rng, activation)
    y, back_down = linear(p.down, h)
    return y, lambda dy, g: back_up(back_down(dy, g.down), g.up)


def _hidden(p, x, rate, rng, activation):
    """h = dropout(f(x W + b))."""
    u, back_map = linear(p, x)
    r, back_activation = activate(activation, u)
    h, back_drop = dropout(rng, r, rate)
    return h, lambda dh, g: back_map(back_activation(back_drop(dh)), g)


def describe_mlp(*widths):
    """Linear maps from each width to the next."""
    return {"maps": [describe_linear(n_in, n_out) for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)]}


@closure
def mlp(p, x, rate=0.0, rng=None, activation="relu"):
    """Linear maps with dropout(f(.)) between them, f = relu unless named, and no activation after the last.   x (..., C)."""
    h, back_hidden = stack(lambda q, x, i: _hidden(q, x, rate, rng, activation), p.maps[:-1], x)
    y, back_last = linear(p.maps[-1], h)
    return y, lambda dy, g: back_hidden(back_last(dy, g.maps[-1]), g.maps[:-1])


def describe_layer_norm(width):
    return {"gamma": Leaf((width,), ones), "beta": Leaf((width,), zeros)}


@closure
def layer_norm(p, x):
    """y = gamma (x - mean) / sqrt(var + eps) + beta over the last axis.   x (..., C)."""
    y, *saved = norms.layer_norm(x, p.gamma, p.beta)

    def backward(dy, g):
        dx, dgamma, dbeta = norms.layer_norm_backward(dy, *saved)
        g.gamma += dgamma
        g.beta += dbeta
        return dx

    return y, backward


def describe_batch_norm(width):
    return describe_layer_norm(width) | {
        "mean": Leaf((width,), zeros, state=True),
        "var": Leaf((width,), ones, state=True),
    }


@closure
def batch_norm(p, x, rng=None, eps=1e-5):
    """y = gamma (x - mean) / sqrt(var + eps) + beta.   x (B, C).

    Training (rng given): mean and variance of the batch; backward adds (batch - running) into the state of g, with the
    variance unbiased as in PyTorch. Evaluation (rng=None), and a batch of one: the running statistics.
    """
    if rng is None or len(x) == 1:
        scale = p.gamma / np.sqrt(p.var + eps)
        z = (x - p.mean) / np.sqrt(p.var + eps)

        def backward(dy, g):
            g.gamma += (dy * z).sum(0)
            g.beta += dy.sum(0)
            return dy * scale

        return scale * (x - p.mean) + p.beta, backward

    y, *saved = norms.batch_norm(x, p.gamma, p.beta, eps)

    def backward(dy, g):
        dx, dgamma, dbeta = norms.batch_norm_backward(dy, *saved)
        g.gamma += dgamma
        g.beta += dbeta
        mean, var = norms.moments(x)
        g.mean += mean - p.mean
        g.var += var - p.var
        return dx

    return y, backward
