"""The scaled residual of paper 002 (AuxFormer), section 3.3."""

import numpy as np

from refmer.params import Leaf


def describe_scaled_residual(mix):
    """One scalar where it is learned, starting anywhere in [0, 1); nothing otherwise."""
    _known(mix)
    return {"alpha": Leaf((1,), lambda rng, shape: rng.random(shape))} if mix == "learned" else {}


def scaled_residual(p, r, z, mix="off"):
    """y = r + z with mix "off";  y = alpha r + (1 - alpha) z with alpha "learned" (p.alpha) or "fixed" at 1/2.

    The text has two weights alpha and beta; the published number of parameters leaves one a layer: beta = 1 - alpha.
    """
    return _known(mix)(p, r, z)


def _plain(p, r, z):
    return r + z, lambda dy, g: (dy, dy)


def _fixed(p, r, z):
    return 0.5 * (r + z), lambda dy, g: (0.5 * dy, 0.5 * dy)


def _learned(p, r, z):
    def backward(dy, g):
        g.alpha += np.sum(dy * (r - z))  # y = z + alpha (r - z)
        return p.alpha * dy, (1 - p.alpha) * dy

    return p.alpha * r + (1 - p.alpha) * z, backward


MIXES = {"off": _plain, "fixed": _fixed, "learned": _learned}


def _known(mix):
    if mix not in MIXES:
        raise ValueError(f"mix is {mix!r}; accepted: {', '.join(map(repr, MIXES))}")
    return MIXES[mix]
