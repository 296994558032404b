"""Normalisation over the last axis (layer norm, unit length) or over the batch (batch norm)."""

import numpy as np

from refmer.ops.dense import rows
from refmer.ops.twins import twin


@twin("x (..., C), gamma (C), beta (C), eps float from 0 -> y (..., C) where C >= 1")
def layer_norm(x, gamma, beta, eps=1e-5):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over the last axis."""
    xc = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((xc * xc).mean(-1, keepdims=True) + eps)
    z = xc * rstd
    return gamma * z + beta, z, rstd, gamma


@twin("z (..., C), rstd (..., 1), gamma (C), dy (..., C) -> dx (..., C), dgamma (C), dbeta (C) where C >= 1")
def layer_norm_backward(dy, z, rstd, gamma):
    return _standardise_backward(dy * gamma, z, rstd, -1), rows(dy * z).sum(0), rows(dy).sum(0)


@twin("x (B, C), gamma (C), beta (C), eps float from 0 -> y (B, C) where B >= 1")
def batch_norm(x, gamma, beta, eps=1e-5):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, mean and var over the batch."""
    xc = x - x.mean(0)
    rstd = 1 / np.sqrt((xc * xc).mean(0) + eps)
    z = xc * rstd
    return gamma * z + beta, z, rstd, gamma


@twin("z (B, C), rstd (C), gamma (C), dy (B, C) -> dx (B, C), dgamma (C), dbeta (C) where B >= 1")
def batch_norm_backward(dy, z, rstd, gamma):
    return _standardise_backward(dy * gamma, z, rstd, 0), (dy * z).sum(0), dy.sum(0)


@twin("x (..., C) -> y (..., C)")
def l2_normalise(x):
    """y = x / ||x|| over the last axis. A zero vector has no direction: y = 0, and its gradient is 0."""
    length = np.sqrt((x * x).sum(-1, keepdims=True))
    positive = length.real > 0
    rlength = np.where(positive, 1 / np.where(positive, length, 1), 0)
    y = x * rlength
    return y, y, rlength


@twin("y (..., C), rlength (..., 1), dy (..., C) -> dx (..., C)")
def l2_normalise_backward(dy, y, rlength):
    # y = x r, r = (x . x)^(-1/2):  dr = -r^3 (x . dx)
    return rlength * (dy - y * (dy * y).sum(-1, keepdims=True))


@twin("x (B, C) -> mean (C), variance (C) where B >= 2")
def moments(x):
    """Mean and unbiased variance over the batch, for running statistics."""
    mean = x.mean(0)
    xc = x - mean
    return mean, (xc * xc).sum(0) / (len(x) - 1)


def _standardise_backward(dz, z, rstd, axis):
    # z = (x - mean) rstd:  both mean and rstd depend on every x along the axis
    return rstd * (dz - dz.mean(axis, keepdims=True) - z * (dz * z).mean(axis, keepdims=True))
