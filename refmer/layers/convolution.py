"""Convolution along time, x (B, T, C), and over images, x (B, H, W, C); the TCN. A convolution is (windows) @ W.

With a mask (B, T) masked frames are 0 before the product, as the zeros that pad the ends: padding a clip changes no valid
output. `ops.convolution.thin_mask` gives the mask of the output.
"""

from types import SimpleNamespace

import numpy as np

from refmer.layers.dense import describe_layer_norm, describe_linear, dropout, layer_norm, linear, optional, stack
from refmer.ops import convolution as ops
from refmer.ops.activations import fitting, relu, relu_backward
from refmer.ops.contracts import closure
from refmer.ops.convolution import fitting_padding, weight_norm, weight_norm_backward
from refmer.params import Leaf, normal, ones, xavier, zeros


@closure
def hide(x, mask):
    """y = x where mask (B, T), else 0.   x (B, T, ...)."""
    if mask is None:
        return x, lambda dy: dy
    mask = fitting(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x)
    return np.where(mask, x, 0), lambda dy: np.where(mask, dy, 0)


def describe_conv1d(n_in, n_out, size):
    return describe_linear(size * n_in, n_out)


@closure
def conv1d(p, x, size, stride=1, dilation=1, padding="same", mask=None):
    """y_t = sum_j x_(stride t + dilation j - before) W_j + b.   x (B, T, C), W (size C, E), one tap's rows after another's."""
    check_taps(p.W, x, size)
    mask = None if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])
    before_after = fitting_padding(x, size, stride, dilation, padding, axis=1)
    return _learned(ops.conv1d, ops.conv1d_backward, p, x, mask, size, stride, dilation, *before_after)


def _learned(op, op_backward, p, x, *options):
    """The layer of a pair of ops with W and b."""
    y, *saved = op(x, p.W, p.b, *options)

    def backward(dy, g):
        dx, dW, db = op_backward(dy, *saved)
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


@closure
def weight_norm_conv1d(p, x, size, stride=1, dilation=1, padding="same", mask=None):
    """conv1d with W = gain v / |v| per output channel (Salimans and Kingma 2016); p.W itself, if folded."""
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


@closure
def depthwise_conv1d(p, x, stride=1, dilation=1, padding="same", mask=None):
    """y_tc = sum_j x_(stride t + dilation j - before),c W_jc + b_c.   x (B, T, C), W (size, C): each channel alone.

    No product of matrices: the only learned map that cannot be quantized.
    """
    if p.W.shape[1] != x.shape[-1]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {p.W.shape[1]}, the width of W {p.W.shape}")
    mask = None if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])
    before_after = fitting_padding(x, len(p.W), stride, dilation, padding, axis=1)
    return _learned(ops.depthwise_conv1d, ops.depthwise_conv1d_backward, p, x, mask, stride, dilation, *before_after)


def describe_conv2d(n_in, n_out, size):
    return describe_linear(size * size * n_in, n_out)


@closure
def conv2d(p, x, size, stride=1, padding="same"):
    """y_hw = sum_ij x_(stride h + i - before, stride w + j - before) W_ij + b.   x (B, H, W, C), W (size size C, E)."""
    check_taps(p.W, x, size * size)
    for axis in (1, 2):
        before_after = fitting_padding(x, size, stride, 1, padding, axis)
    return _learned(ops.conv2d, ops.conv2d_backward, p, x, size, stride, *before_after)


def describe_conv2plus1d(n_in, n_out, size):
    """The width between the two makes them as large as one size^3 convolution (Tran et al. 2018, section 3.5)."""
    middle = size**3 * n_in * n_out // (size**2 * n_in + size * n_out)
    return {
        "space": describe_conv2d(n_in, middle, size),
        "norm": describe_layer_norm(middle),
        "time": describe_conv1d(middle, n_out, size),
    }


@closure
def conv2plus1d(p, x, size, stride=1):
    """A convolution over each image, norm, relu, a convolution over time; the stride counts for both.   x (B, T, H, W, C).

    Tran et al. 2018; layer norm in place of batch norm, as in all encoders here.
    """
    B, T = x.shape[:2]
    z, back_space = conv2d(p.space, x.reshape(B * T, *x.shape[2:]), size, stride)  # (B T, H', W', M)
    n, back_norm = layer_norm(p.norm, z)
    r = relu(n)
    H, W, M = r.shape[1:]
    lines = r.reshape(B, T, H * W, M).swapaxes(1, 2).reshape(-1, T, M)  # (B H' W', T, M)
    y, back_time = conv1d(p.time, lines, size, stride)  # (B H' W', T', E)
    steps, E = y.shape[1:]

    def backward(dy, g):
        dy = dy.reshape(B, steps, H * W, E).swapaxes(1, 2).reshape(-1, steps, E)
        dlines = back_time(dy, g.time)
        dr = dlines.reshape(B, H * W, T, M).swapaxes(1, 2).reshape(r.shape)
        return back_space(back_norm(relu_backward(dr, r), g.norm), g.space).reshape(x.shape)

    return y.reshape(B, H * W, steps, E).swapaxes(1, 2).reshape(B, steps, H, W, E), backward


def describe_tcn_block(n_in, n_out, size=3, weight_norm=False):
    describe = describe_weight_norm_conv1d if weight_norm else describe_conv1d
    skip = {} if n_in == n_out else {"skip": describe_linear(n_in, n_out)}
    return {"conv1": describe(n_in, n_out, size), "conv2": describe(n_out, n_out, size)} | skip


@closure
def tcn_block(p, x, size=3, dilation=1, weight_norm=False, mask=None, rate=0.0, rng=None):
    """y = relu(F(x) + x), F twice drop(relu(causal convolution)); where widths differ x W_skip + b for x.   x (B, T, C)."""
    conv = weight_norm_conv1d if weight_norm else conv1d
    z1, back_conv1 = conv(p.conv1, x, size, 1, dilation, "causal", mask)
    r1 = relu(z1)
    h, back_drop1 = dropout(rng, r1, rate)
    z2, back_conv2 = conv(p.conv2, h, size, 1, dilation, "causal", mask)
    r2 = relu(z2)
    f, back_drop2 = dropout(rng, r2, rate)
    skip, back_skip = optional(p, "skip", linear, x)
    r = relu(f + skip)
    y, back_hide = hide(r, mask)

    def backward(dy, g):
        ds = relu_backward(back_hide(dy), r)  # s = f + skip
        dh = back_conv2(relu_backward(back_drop2(ds), r2), g.conv2)
        dx = back_conv1(relu_backward(back_drop1(dh), r1), g.conv1)
        return dx + back_skip(ds, g)

    return y, backward


def describe_tcn(n_in, widths, size=3, weight_norm=False):
    """One block per width. Without weight norm, and without 1x1 maps where widths agree, as counted in paper 003."""
    pairs = zip([n_in, *widths[:-1]], widths, strict=True)
    return {"blocks": [describe_tcn_block(*pair, size, weight_norm) for pair in pairs]}


@closure
def tcn(p, x, size=3, dilations=None, weight_norm=False, mask=None, rate=0.0, rng=None):
    """Blocks on top of each other, block i with dilation 2^i or dilations[i].   x (B, T, C) -> (B, T, E).

    Causal: y_t depends on x up to t, with 2^i from x_(t - 2 (size - 1) (2^L - 1)) on. Masked steps (B, T) are 0, and so is y.
    """
    dilations = [2**i for i in range(len(p.blocks))] if dilations is None else dilations
    if len(dilations) != len(p.blocks):
        raise ValueError(f"dilations has {len(dilations)} entries; accepted: {len(p.blocks)}, one per block")
    y, back = stack(lambda q, x, i: tcn_block(q, x, size, dilations[i], weight_norm, mask, rate, rng), p.blocks, x)
    return y, lambda dy, g: back(dy, g.blocks)
