"""Linear maps, dropout and the feed-forward half of a Transformer layer."""

from refmer.ops.activations import relu, relu_backward
from refmer.ops.shapes import rows
from refmer.params import Leaf, xavier, zeros


def describe_linear(n_in, n_out):
    return {"W": Leaf((n_in, n_out), xavier), "b": Leaf((n_out,), zeros)}


def linear(p, x):
    """y = x W + b.   x (..., D), W (D, E), b (E)."""
    if x.shape[-1] != p.W.shape[0]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {p.W.shape[0]}, the width of W {p.W.shape}")
    y = x @ p.W + p.b

    def backward(dy, g):
        g.W += rows(x).T @ rows(dy)
        g.b += rows(dy).sum(0)
        return dy @ p.W.T

    return y, backward


def dropout(rng, x, rate):
    """y = x m / (1 - rate), m = 0 with probability `rate`, else 1. Without a generator, or at rate 0: y = x."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate is {rate}; accepted: 0 <= rate < 1")
    if rng is None or rate == 0:
        return x, lambda dy: dy
    scale = ((rng.random(x.shape, dtype="f4") >= rate) / (1 - rate)).astype(x.real.dtype)
    return x * scale, lambda dy: dy * scale


def describe_feed_forward(width, hidden):
    return {"up": describe_linear(width, hidden), "down": describe_linear(hidden, width)}


def feed_forward(p, x, rate=0.0, rng=None):
    """y = dropout(relu(x W1 + b1)) W2 + b2.   x (..., C)."""
    u, back_up = linear(p.up, x)
    r = relu(u)
    h, back_drop = dropout(rng, r, rate)
    y, back_down = linear(p.down, h)

    def backward(dy, g):
        dr = back_drop(back_down(dy, g.down))
        return back_up(relu_backward(dr, r), g.up)

    return y, backward
