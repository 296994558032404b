"""Layer norm and batch norm with their parameters."""

import numpy as np

from refmer.ops import norms
from refmer.params import Leaf, ones, zeros


def describe_layer_norm(width):
    return {"gamma": Leaf((width,), ones), "beta": Leaf((width,), zeros)}


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
