"""Convolution along time, time before channels: x (B, T, C). A convolution is (windows) @ W.

With a mask (B, T) masked frames are 0 before the product, just as the zeros that pad the ends: padding a clip changes no
valid output. `ops.convolution.thin_mask` gives the mask of the output.
"""

from types import SimpleNamespace

import numpy as np

from refmer.layers.dense import describe_linear
from refmer.ops import convolution as ops
from refmer.ops.convolution import fitting_padding, weight_norm, weight_norm_backward
from refmer.ops.masks import fitting
from refmer.params import Leaf, normal, ones, xavier, zeros


def hide(x, mask):
    """y = x where mask (B, T), else 0.   x (B, T, ...)."""
    if mask is None:
        return x, lambda dy: dy
    mask = fitting(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x)
    return np.where(mask, x, 0), lambda dy: np.where(mask, dy, 0)


def describe_conv1d(n_in, n_out, size):
    return describe_linear(size * n_in, n_out)


def conv1d(p, x, size, stride=1, dilation=1, padding="same", mask=None):
    """y_t = sum_j x_(stride t + dilation j - before) W_j + b.   x (B, T, C), W (size C, E), one tap's rows after another's."""
    check_taps(p.W, x, size)
    mask = None if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])
    before_after = fitting_padding(x, size, stride, dilation, padding, axis=1)
    y, *saved = ops.conv1d(x, p.W, p.b, mask, size, stride, dilation, *before_after)

    def backward(dy, g):
        dx, dW, db = ops.conv1d_backward(dy, *saved)
        g.W += dW
        g.b += db
        return dx

    return y, backward


def check_taps(W, x, taps):
    if W.shape[0] != taps * x.shape[-1]:
        fits = f"W {W.shape} for {taps} taps of width {W.shape[0] / taps:g}"
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {fits}")


def describe_weight_norm_conv1d(n_in, n_out, size):
    return {"v": Leaf((size * n_in, n_out), normal(1)), "gain": Leaf((n_out,), ones), "b": Leaf((n_out,), zeros)}


def weight_norm_conv1d(p, x, size, stride=1, dilation=1, padding="same", mask=None):
    """conv1d with W = gain v / |v| per output channel (Salimans and Kingma 2016); p.W itself, where that has been folded."""
    if hasattr(p, "W"):
        return conv1d(p, x, size, stride, dilation, padding, mask)
    W, *saved = weight_norm(p.v, p.gain)
    y, back_conv = conv1d(SimpleNamespace(W=W, b=p.b), x, size, stride, dilation, padding, mask)

    def backward(dy, g):
        inner = SimpleNamespace(W=np.zeros_like(W), b=g.b)
        dx = back_conv(dy, inner)
        dv, dgain = weight_norm_backward(inner.W, *saved)
        g.v += dv
        g.gain += dgain
        return dx

    return y, backward


def describe_depthwise_conv1d(width, size):
    return {"W": Leaf((size, width), xavier), "b": Leaf((width,), zeros)}


def depthwise_conv1d(p, x, stride=1, dilation=1, padding="same", mask=None):
    """y_tc = sum_j x_(stride t + dilation j - before),c W_jc + b_c.   x (B, T, C), W (size, C): every channel by itself.

    No product of matrices: the one learned map that a quantized matrix cannot take over.
    """
    if p.W.shape[1] != x.shape[-1]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {p.W.shape[1]}, the width of W {p.W.shape}")
    mask = None if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])
    before_after = fitting_padding(x, len(p.W), stride, dilation, padding, axis=1)
    y, *saved = ops.depthwise_conv1d(x, p.W, p.b, mask, stride, dilation, *before_after)

    def backward(dy, g):
        dx, dW, db = ops.depthwise_conv1d_backward(dy, *saved)
        g.W += dW
        g.b += db
        return dx

    return y, backward
