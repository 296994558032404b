"""Convolutions as products of windows with the weights, without a copy of the windows: they are views that overlap.

Images are (B, H, W, C); a sequence (B, T, C) is an image of one line, (B, 1, T, C). A window of a line is `wide` taps of C
numbers: contiguous if the taps are not dilated, so that one product covers them all; else there is a product for each tap. The
rows of a product are the steps of a line or the clips, whichever are more.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from refmer.kernels import njit
from refmer.kernels.gemm import gemm
from refmer.kernels.vectors import ALL, add_product, add_rows, copy, fill_rows


def conv1d(x, W, b, mask, size, stride, dilation, before, after):
    """Gain: 8 times at x (4, 16, 16), 16 outputs, size 3; 2.0 at (16, 32, 64), 64 outputs."""
    sizes = (1, size, stride, dilation, 0, 0, before, after)
    y = _forward(x[:, None], ALL if mask is None else mask, W, b, sizes)
    return y[:, 0], x, W, mask, size, stride, dilation, before, after


def conv1d_backward(dy, x, W, mask, size, stride, dilation, before, after):
    """Gain: 8 times at x (4, 16, 16), 16 outputs, size 3; 2.6 at (16, 32, 64), 64 outputs."""
    sizes = (1, size, stride, dilation, 0, 0, before, after)
    dx, dW, db = _backward(dy[:, None], x[:, None], ALL if mask is None else mask, W, sizes)
    return dx[:, 0], dW, db


def conv2d(x, W, b, size, stride, before, after):
    """Gain: 10 times at x (160, 12, 12, 16), 16 outputs, size 3, stride 2; 2.8 at (160, 24, 24, 1)."""
    y = _forward(x, ALL, W, b, (size, size, stride, 1, before, after, before, after))
    return y, x, W, size, stride, before, after


def conv2d_backward(dy, x, W, size, stride, before, after):
    """Error: 3e-6 in float32. Gain: 8 times at x (160, 12, 12, 16), 16 outputs, size 3, stride 2; 2.0 at (160, 24, 24, 1)."""
    return _backward(dy, x, ALL, W, (size, size, stride, 1, before, after, before, after))


@njit(cache=True)
def depthwise_conv1d(x, W, b, mask, stride, dilation, before, after):
    """Gain: 13 times at x (16, 100, 64), size 15; 3.9 at (16, 50, 16), size 5, masked."""
    B, T, C = x.shape
    size = len(W)
    steps = (T + before + after - dilation * (size - 1) - 1) // stride + 1
    y = np.empty((B, steps, C), x.dtype)
    for i in range(B):
        for t in range(steps):
            copy(b, y[i, t])
            for j in range(size):
                s = stride * t + dilation * j - before
                if 0 <= s < T and (mask is None or mask[i, s]):
                    add_product(y[i, t], x[i, s], W[j])
    return y, x, W, mask, stride, dilation, before, after


@njit(cache=True)
def depthwise_conv1d_backward(dy, x, W, mask, stride, dilation, before, after):
    """Gain: 12 times at x (16, 100, 64), size 15; 3.6 at (16, 50, 16), size 5, masked."""
    B, T, C = x.shape
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(C, x.dtype)
    add_rows(db, dy.reshape((-1, C)))
    for i in range(B):
        for t in range(dy.shape[1]):
            for j in range(len(W)):
                s = stride * t + dilation * j - before
                if 0 <= s < T and (mask is None or mask[i, s]):
                    add_product(dx[i, s], dy[i, t], W[j])
                    add_product(dW[j], dy[i, t], x[i, s])
    return dx, dW, db


@njit(cache=True)
def _forward(x, mask, W, b, sizes):
    """sizes: high, wide, stride, dilation, and the padding above, below, before and after."""
    high, wide, stride, dilation, above, below, before, after = sizes
    (B, H, V, _), E = x.shape, len(b)
    lines, steps = (H + above + below - high) // stride + 1, (V + before + after - dilation * (wide - 1) - 1) // stride + 1
    y = np.empty((B, lines, steps, E), W.dtype)
    fill_rows(y.reshape((-1, E)), b)
    (padded, inside), (rows, to_next, y_next, products) = _room(x, steps, sizes), _plan(x, y, sizes)
    for i in range(0, B, len(padded)):
        _move(x[i:], mask[i:], inside)
        for start, out, k, run in products:
            gemm(_view(padded, start, rows, to_next, run), W[k : k + run], _view(y[i:], out, rows, y_next, E))
    return y


@njit(cache=True)
def _backward(dy, x, mask, W, sizes):
    E = W.shape[1]
    dx, dW, db, turned = np.empty_like(x), np.zeros_like(W), np.zeros(E, W.dtype), np.ascontiguousarray(W.T)
    add_rows(db, dy.reshape((-1, E)))
    rows, to_next, y_next, products = _plan(x, dy, sizes)
    (padded, inside), (dpadded, dinside) = _room(x, dy.shape[2], sizes), _room(x, dy.shape[2], sizes)
    for i in range(0, len(x), len(padded)):
        _move(x[i:], mask[i:], inside)
        dpadded[:] = 0
        for start, out, k, run in products:
            part = _view(dy[i:], out, rows, y_next, E)
            gemm(_view(padded, start, rows, to_next, run).T, part, dW[k : k + run])
            gemm(part, turned[:, k : k + run], _view(dpadded, start, rows, to_next, run))
        _move(dinside, mask[i:], dx[i : i + len(padded)])
    return dx, dW, db


@njit
def _room(x, steps, sizes):
    """Room for the clips of a product, zeros, and their place in it; clips that are rows of one product need no padding."""
    B, H, V, C = x.shape
    above, below, before, after = (0, 0, 0, 0) if B > steps else sizes[4:]
    room = np.zeros((B if B > steps else 1, above + H + below, before + V + after, C), x.dtype)
    return room, room[:, above : above + H, before : before + V]


@njit
def _plan(x, y, sizes):
    """Number of rows of a product, their distances in the room and in y, and a table of the products: their starts in the room,
    in y and in W, and the length of their windows. If the rows are clips, taps outside are left out: they are so for all.
    """
    high, wide, stride, dilation, above, _, before, after = sizes
    (_, H, V, C), (B, lines, steps, E) = x.shape, y.shape
    by_clip, taps = B > steps, wide if dilation == 1 else 1
    top, left, line = (0, 0, V) if by_clip else (above, before, before + V + after)
    table, n = np.empty((lines * high * wide // taps * (steps if by_clip else 1), 4), np.int64), 0
    for h in range(lines):
        for step in range(steps if by_clip else 1):
            for k in range(0, high * wide, taps):
                row, column, first, last = stride * h + k // wide - above, stride * step + k % wide * dilation - before, 0, taps
                if by_clip:
                    first, last = max(0, -column), min(taps, V - column) if 0 <= row < H else 0
                if first < last:
                    start = ((row + top) * line + column + left + first) * C
                    table[n, 0], table[n, 1], table[n, 2] = start, (h * steps + step) * E, (k + first) * C
                    table[n, 3], n = (last - first) * C, n + 1
    rows, to_next, y_next = (B, H * V * C, lines * steps * E) if by_clip else (steps, stride * C, E)
    return rows, to_next, y_next, table[:n]


@njit
def _view(x, start, rows, to_next, run):
    """Rows of `run` numbers of an array, each `to_next` numbers behind the one before; they may overlap."""
    return as_strided(x.reshape(-1)[start:], (rows, run), (to_next * x.itemsize, x.itemsize))


@njit
def _move(x, mask, y):
    """y (B, H, V, C) = x, 0 where not mask (B, V)."""
    for i in range(len(y)):
        for h in range(y.shape[1]):
            for v in range(y.shape[2]):
                if not mask.size or mask[i, v]:
                    copy(x[i, h, v], y[i, h, v])
                else:
                    y[i, h, v] = 0
