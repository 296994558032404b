"""The reconstruction term of paper 001's loss (eq. 19), which the paper names and never defines."""

from refmer.layers.dense import describe_linear, linear
from refmer.ops.regression import mse, mse_backward


def describe_reconstruction(width, modalities, width_each):
    """One linear decoder per modality, side by side."""
    return describe_linear(width, modalities * width_each)


def reconstruction(p, h, target, available=None):
    """L = mean over available modalities i of ||W_i h + b_i - f_i||^2 / D: our reading of L_rec.

    h (B, C) the fused vector; target f (B, M, D), the time means of the encoded modalities, is data here: no gradient flows
    into the encoders, which could otherwise please the decoder by falling silent. available (B, M) bool.
    """
    y, back = linear(p, h)
    if target.ndim != 3 or target.shape[0] * target.shape[1] * target.shape[2] != y.size or len(target) != len(y):
        raise ValueError(f"target has shape {target.shape}; accepted: {(len(y), 'M', 'D')} with M D = {y.shape[1]}")
    value, *saved = mse(y.reshape(target.shape), target, available)

    def backward(dvalue, g):
        return back(mse_backward(dvalue, *saved).reshape(y.shape), g)

    return value, backward
