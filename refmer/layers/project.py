"""Linear maps without bias, as printed in equations that name a matrix only."""

from refmer.ops.shapes import rows
from refmer.params import Leaf, xavier


def describe_project(n_in, n_out):
    return {"W": Leaf((n_in, n_out), xavier)}


def project(p, x):
    """y = x W.   x (..., D), W (D, E)."""
    if x.shape[-1] != p.W.shape[0]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {p.W.shape[0]}, the width of W {p.W.shape}")

    def backward(dy, g):
        g.W += rows(x).T @ rows(dy)
        return dy @ p.W.T

    return x @ p.W, backward
