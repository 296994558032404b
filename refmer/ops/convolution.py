"""Convolutions along one and two axes, their windows, and weight normalisation.

A convolution is (windows) @ W, so that W can be a quantized matrix.

Three rules of padding, with reach = dilation (size - 1), the distance from a window's first tap to its last: "valid" adds
nothing; "same" adds reach zeros, half before and half after (an odd one after), so that stride 1 keeps the length; "causal"
adds them all before, so that output t depends on no input after stride * t.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from refmer.ops.contracts import contract
from refmer.ops.dense import rows
from refmer.ops.twins import twin


def padding_of(padding, size, dilation=1):
    """Numbers of zeros (before, after) the sequence.   `padding` is the name of a rule, or such a pair."""
    if size < 1 or dilation < 1:
        raise ValueError(f"size is {size} and dilation {dilation}; accepted: integers from 1")
    if isinstance(padding, tuple):
        return padding
    reach = dilation * (size - 1)
    rules = {"valid": (0, 0), "same": (reach // 2, reach - reach // 2), "causal": (reach, 0)}
    if padding not in rules:
        raise ValueError(f"padding is {padding!r}; accepted: {', '.join(rules)}")
    return rules[padding]


def fitting_padding(x, size, stride, dilation, padding, axis):
    """Return (before, after) if a window fits; else raise a ValueError with the shape and the arguments."""
    before, after = padding_of(padding, size, dilation)
    if stride < 1 or x.shape[axis] + before + after <= dilation * (size - 1):
        rule = f"size {size}, stride {stride}, dilation {dilation}, padding {padding!r}"
        raise ValueError(f"no window fits: axis {axis} has length {x.shape[axis]} (shape {x.shape}); requested: {rule}")
    return before, after


@contract(
    "x (...) any, size int from 1, stride int from 1, dilation int from 1, axis int from 0 -> y where axis < len(x.shape)"
)
def windows(x, size, stride=1, dilation=1, padding="same", axis=1):
    """y[:, t, j] = x[:, stride t + dilation j - before], 0 outside.   x (B, T, C) -> (B, T', size, C).

    Along another axis likewise: the taps j always become the last axis but one. T' = floor((T + before + after - reach - 1) /
    stride) + 1.
    """
    before, after = fitting_padding(x, size, stride, dilation, padding, axis)
    T = x.shape[axis]
    steps = (T + before + after - dilation * (size - 1) - 1) // stride + 1
    index = stride * np.arange(steps)[:, None] + dilation * np.arange(size)  # (T', size), into the padded axis
    length, inside = before + T + after, slice(before, before + T)
    padded = np.zeros((*x.shape[:axis], length, *x.shape[axis + 1 :]), x.dtype)
    padded[(slice(None),) * axis + (inside,)] = x
    shape, strides, number = list(x.shape), list(padded.strides), padded.strides[axis]
    shape[axis], strides[axis] = steps, stride * number
    shape.insert(-1, size)
    strides.insert(-1, dilation * number)
    return as_strided(padded, shape, strides, writeable=False), index, inside, length, axis


@contract("dy (...), index (S, K) int, length int from 0, axis int from 0 -> dx where dy.shape[axis] == S; dy.shape[-2] == K")
def windows_backward(dy, index, inside, length, axis):
    dy = np.moveaxis(dy, (axis, -2), (0, 1))  # (T', size, ...)
    dx = np.zeros((length, *dy.shape[2:]), dy.dtype)
    for j in range(index.shape[1]):  # an input is in many windows; within one tap the steps are distinct
        dx[index[:, j]] += dy[:, j]
    return np.moveaxis(dx[inside], 0, axis)


@twin(
    "x (B, T, C), W (size*C, E), b (E), mask (B, T) bool or None, size int from 1, stride int from 1, dilation int from 1, "
    "before int from 0, after int from 0 -> y (B, S, E) "
    "where S = (T + before + after - dilation*(size - 1) - 1) // stride + 1; S >= 1"
)
def conv1d(x, W, b, mask, size, stride, dilation, before, after):
    """y_t = sum_j x_(stride t + dilation j - before) W_j + b, x = 0 outside and where not mask.

    W holds one tap's rows after another's.
    """
    w, *_ = windows(_masked(x, mask), size, stride, dilation, (before, after))  # (B, T', size, C)
    return w.reshape(*w.shape[:2], W.shape[0]) @ W + b, x, W, mask, size, stride, dilation, before, after


@twin(
    "x (B, T, C), W (size*C, E), mask (B, T) bool or None, size int from 1, stride int from 1, dilation int from 1, "
    "before int from 0, after int from 0, dy (B, S, E) -> dx (B, T, C), dW (size*C, E), db (E) "
    "where S = (T + before + after - dilation*(size - 1) - 1) // stride + 1; S >= 1"
)
def conv1d_backward(dy, x, W, mask, size, stride, dilation, before, after):
    w, *saved = windows(_masked(x, mask), size, stride, dilation, (before, after))
    dx = windows_backward((dy @ W.T).reshape(w.shape), *saved)
    return _masked(dx, mask), rows(w.reshape(*w.shape[:2], W.shape[0])).T @ rows(dy), rows(dy).sum(0)


@twin(
    "x (B, Y, X, C), W (size*size*C, E), b (E), size int from 1, stride int from 1, before int from 0, after int from 0 "
    "-> y (B, Y2, X2, E) "
    "where Y2 = (Y + before + after - size) // stride + 1; X2 = (X + before + after - size) // stride + 1; Y2 >= 1; X2 >= 1"
)
def conv2d(x, W, b, size, stride, before, after):
    """y_hw = sum_ij x_(stride h + i - before, stride w + j - before) W_ij + b, x = 0 outside."""
    w, *_ = windows(x, size, stride, 1, (before, after), axis=1)  # (B, H', W, size, C)
    w, *_ = windows(w, size, stride, 1, (before, after), axis=2)  # (B, H', W', size, size, C)
    return w.reshape(*w.shape[:3], W.shape[0]) @ W + b, x, W, size, stride, before, after


@twin(
    "x (B, Y, X, C), W (size*size*C, E), size int from 1, stride int from 1, before int from 0, after int from 0, "
    "dy (B, Y2, X2, E) -> dx (B, Y, X, C), dW (size*size*C, E), db (E) "
    "where Y2 = (Y + before + after - size) // stride + 1; X2 = (X + before + after - size) // stride + 1; Y2 >= 1; X2 >= 1"
)
def conv2d_backward(dy, x, W, size, stride, before, after):
    w, *saved1 = windows(x, size, stride, 1, (before, after), axis=1)
    w, *saved2 = windows(w, size, stride, 1, (before, after), axis=2)
    dw = (dy @ W.T).reshape(w.shape)
    dx = windows_backward(windows_backward(dw, *saved2), *saved1)
    return dx, rows(w.reshape(*w.shape[:3], W.shape[0])).T @ rows(dy), rows(dy).sum(0)


@twin(
    "x (B, T, C), W (K, C), b (C), mask (B, T) bool or None, stride int from 1, dilation int from 1, before int from 0, "
    "after int from 0 -> y (B, S, C) where S = (T + before + after - dilation*(K - 1) - 1) // stride + 1; S >= 1; K >= 1"
)
def depthwise_conv1d(x, W, b, mask, stride, dilation, before, after):
    """conv1d of every channel by itself: y_tc = sum_j x_(stride t + dilation j - before),c W_jc + b_c."""
    w, *_ = windows(_masked(x, mask), len(W), stride, dilation, (before, after))  # (B, T', size, C)
    return (w * W).sum(-2) + b, x, W, mask, stride, dilation, before, after


@twin(
    "x (B, T, C), W (K, C), mask (B, T) bool or None, stride int from 1, dilation int from 1, before int from 0, "
    "after int from 0, dy (B, S, C) -> dx (B, T, C), dW (K, C), db (C) "
    "where S = (T + before + after - dilation*(K - 1) - 1) // stride + 1; S >= 1; K >= 1"
)
def depthwise_conv1d_backward(dy, x, W, mask, stride, dilation, before, after):
    w, *saved = windows(_masked(x, mask), len(W), stride, dilation, (before, after))
    dx = windows_backward(dy[:, :, None] * W, *saved)
    return _masked(dx, mask), (w * dy[:, :, None]).sum((0, 1)), rows(dy).sum(0)


def _masked(x, mask):
    return x if mask is None else np.where(mask[..., None], x, 0)


@contract("mask (B, T) bool, size int from 1, stride int from 1, dilation int from 1 -> thin (B, S) bool")
def thin_mask(mask, size, stride=1, dilation=1, padding="same"):
    """Mask of the windows: True where the clip without its padding has a window.

    Window t is valid where input stride t ("same", "causal") or its last tap ("valid") is valid.
    """
    return mask[:, dilation * (size - 1) - sum(padding_of(padding, size, dilation)) :: stride]


@contract("v (D, E), gain (E) -> W (D, E)")
def weight_norm(v, gain):
    """W = gain v / |v|, a length and a direction per output (Salimans and Kingma 2016, eq. 2); v = 0 gives W = 0."""
    norm = np.sqrt((v * v).sum(0))
    rnorm = np.where(norm.real > 0, 1 / np.where(norm.real > 0, norm, 1), 0)
    unit = v * rnorm
    return gain * unit, unit, rnorm, gain


@contract("unit (D, E), rnorm (E), gain (E), dW (D, E) -> dv (D, E), dgain (E)")
def weight_norm_backward(dW, unit, rnorm, gain):
    # W = gain unit, unit = v / |v|:  only the part perpendicular to v changes the direction
    dgain = (dW * unit).sum(0)
    return gain * rnorm * (dW - dgain * unit), dgain
