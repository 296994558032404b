"""Pooling over windows, over all positions, and over time."""

import numpy as np

from refmer.layers.dense import describe_linear, linear
from refmer.layers.trace import note
from refmer.ops import pooling as ops
from refmer.ops.activations import softmax, softmax_backward, tanh, tanh_backward
from refmer.ops.convolution import windows, windows_backward
from refmer.ops.masks import fitting
from refmer.ops.shapes import rows
from refmer.params import Leaf, normal, xavier


def max_pool1d(x, size, stride=None, padding="same", mask=None):
    """The largest of the valid steps in each window.   x (B, T, C) -> (B, T', C); stride None is `size`.

    What lies outside, or is masked, takes no part. With "same" no step is lost: T' = ceil(T / stride). The mask of the output
    is that of ops.convolution.thin_mask.
    """
    return _pool(ops.masked_max, ops.masked_max_backward, x, size, stride, padding, _valid(x, mask), (1,))


def avg_pool1d(x, size, stride=None, padding="same", mask=None):
    """The mean of the valid steps in each window; see max_pool1d."""
    return _pool(ops.masked_mean, ops.masked_mean_backward, x, size, stride, padding, _valid(x, mask), (1,))


def max_pool2d(x, size, stride=None, padding="same"):
    """The largest in each window of size x size.   x (B, H, W, C) -> (B, H', W', C); stride None is `size`."""
    return _pool(ops.masked_max, ops.masked_max_backward, x, size, stride, padding, np.ones(x.shape[:-1], bool), (1, 2))


def avg_pool2d(x, size, stride=None, padding="same"):
    """The mean in each window of size x size; see max_pool2d."""
    return _pool(ops.masked_mean, ops.masked_mean_backward, x, size, stride, padding, np.ones(x.shape[:-1], bool), (1, 2))


def _pool(pool, pool_backward, x, size, stride, padding, valid, axes):
    inside, w, steps = valid[..., None], x, []  # (B, T, 1): windows of the mask say which taps count
    for axis in axes:
        w, *saved = windows(w, size, stride or size, 1, padding, axis)
        inside = windows(inside, size, stride or size, 1, padding, axis)[0]
        steps.append(saved)
    shape, taps = w.shape, size ** len(axes)
    y, *saved = pool(w.reshape(*shape[: x.ndim - 1], taps, -1), inside.reshape(*shape[: x.ndim - 1], taps))

    def backward(dy):
        dw = pool_backward(dy, *saved).reshape(shape)
        for step in reversed(steps):
            dw = windows_backward(dw, *step)
        return dw

    return y, backward


def mean_positions(x):
    """The mean over all axes between batch and channels (global average pooling).   x (B, ..., C) -> (B, C)."""
    y, back_mean = mean_pool(x.reshape(len(x), -1, x.shape[-1]))
    return y, lambda dy: back_mean(dy).reshape(x.shape)


def mean_pool(x, mask=None):
    """The mean over the valid steps.   x (B, T, C), mask (B, T) -> (B, C)."""
    y, *saved = ops.masked_mean(x, _valid(x, mask))
    return y, lambda dy: ops.masked_mean_backward(dy, *saved)


def last_step(x):
    """The last step, be it padding or not.   x (B, T, C) -> (B, C)."""
    return last_valid_step(x, np.ones(x.shape[:2], bool))


def last_valid_step(x, mask):
    """The last step that the mask (B, T) calls valid; without any, 0.   x (B, T, C) -> (B, C)."""
    y, *saved = ops.last_valid(x, _valid(x, mask))
    return y, lambda dy: ops.last_valid_backward(dy, *saved)


def describe_prepend(width):
    return {"token": Leaf((width,), normal(0.02))}


def prepend(p, x):
    """[token; x_0; x_1; ...]: a learned step in front, to be read off after attention.   x (B, T, C) -> (B, T + 1, C)."""
    if p.token.shape != x.shape[-1:]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {len(p.token)}, the width of the token")
    token = np.broadcast_to(p.token, (len(x), 1, x.shape[-1]))

    def backward(dy, g):
        g.token += dy[:, 0].sum(0)
        return dy[:, 1:]

    return np.concatenate([token, x], axis=1), backward


def prepend_mask(mask):
    """The mask of a sequence with a token in front, which is always valid.   (B, T) -> (B, T + 1)."""
    return np.pad(mask, [(0, 0), (1, 0)], constant_values=True)


def describe_statistics_pool(width):
    return {"hidden": describe_linear(width, width), "score": {"W": Leaf((width, 1), xavier)}}


def statistics_pool(p, x, mask=None, trace=None):
    """a = softmax_t(v . tanh(W x_t + b)); y = [weighted mean | weighted std]   (paper 004; Okabe et al. 2018).

    x (B, T, C), mask (B, T) -> (B, 2C). Without a valid step 0.
    """
    u, back_hidden = linear(p.hidden, x)
    h = tanh(u)
    a = softmax((h @ p.score.W)[..., 0], _valid(x, mask))  # (B, T)
    y, *saved = ops.statistics(x, a)
    note(trace, "weights", a)

    def backward(dy, g):
        dx, da = ops.statistics_backward(dy, *saved)
        ds = softmax_backward(da, a)[..., None]  # s = h W
        g.score.W += rows(h).T @ rows(ds)
        return dx + back_hidden(tanh_backward(ds @ p.score.W.T, h), g.hidden)

    return y, backward


def _valid(x, mask):
    return np.ones(x.shape[:2], bool) if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])
