"""Convolutions as products of windows that are gathered, a few hundred rows at a time, into the second cache.

Images are (B, H, W, C); a sequence (B, T, C) is an image of one line, (B, 1, T, C). Row r of the windows is place r of
the result, all clips and lines one after another.
"""

import numpy as np
from numba import njit

from refmer.kernels.gemm import gemm as _gemm
from refmer.kernels.vectors import add_product

BLOCK = 1 << 15  # numbers gathered at a time: 128 kB of float32


@njit(cache=True, error_model="numpy")
def conv1d(x, W, b, mask, size, stride, dilation, before, after):
    """Gain: 4.7 times at x (4, 16, 16), 16 outputs, size 3; 1.3 to 2.2 at (16, 32, 64), 64 outputs."""
    B, T, C = x.shape
    steps = (T + before + after - dilation * (size - 1) - 1) // stride + 1
    padded = _padded(x.reshape((B, 1, T, C)), mask, 0, 0, before, after)
    y = _forward(padded, _walk(padded, 1, size, stride, dilation), W, b)
    return y.reshape((B, steps, W.shape[1])), x, W, mask, size, stride, dilation, before, after


@njit(cache=True, error_model="numpy")
def conv1d_backward(dy, x, W, mask, size, stride, dilation, before, after):
    """Gain: 5.6 times at x (4, 16, 16), 16 outputs, size 3; 1.7 to 2.6 at (16, 32, 64), 64 outputs."""
    B, T, C = x.shape
    padded = _padded(x.reshape((B, 1, T, C)), mask, 0, 0, before, after)
    dpadded, dW, db = _backward(dy.reshape((-1, W.shape[1])), padded, _walk(padded, 1, size, stride, dilation), W)
    dx = dpadded[:, 0, before : before + T].copy()
    if mask is not None:
        _hide(dx, mask)
    return dx, dW, db


@njit(cache=True, error_model="numpy")
def conv2d(x, W, b, size, stride, before, after):
    """Gain: 4.9 times at x (160, 12, 12, 16), 16 outputs, size 3, stride 2; 1.8 at (160, 24, 24, 1)."""
    padded = _padded(x, None, before, after, before, after)
    walk = _walk(padded, size, size, stride, 1)
    y = _forward(padded, walk, W, b)
    return y.reshape((len(x), *walk[0], W.shape[1])), x, W, size, stride, before, after


@njit(cache=True, error_model="numpy")
def conv2d_backward(dy, x, W, size, stride, before, after):
    """Error: 3e-6 in float32. Gain: 3.8 times at x (160, 12, 12, 16), 16 outputs, size 3, stride 2; 1.8 at (160, 24, 24, 1)."""
    padded = _padded(x, None, before, after, before, after)
    dpadded, dW, db = _backward(dy.reshape((-1, W.shape[1])), padded, _walk(padded, size, size, stride, 1), W)
    H, V = x.shape[1:3]
    return dpadded[:, before : before + H, before : before + V].copy(), dW, db


@njit(cache=True, error_model="numpy")
def depthwise_conv1d(x, W, b, mask, stride, dilation, before, after):
    """Gain: 13 times at x (16, 100, 64), size 15; 3.9 at (16, 50, 16), size 5, masked."""
    B, T, C = x.shape
    size = len(W)
    steps = (T + before + after - dilation * (size - 1) - 1) // stride + 1
    y = np.empty((B, steps, C), x.dtype)
    for i in range(B):
        for t in range(steps):
            _copy(b, y[i, t])
            for j in range(size):
                s = stride * t + dilation * j - before
                if 0 <= s < T and (mask is None or mask[i, s]):
                    add_product(y[i, t], x[i, s], W[j])
    return y, x, W, mask, stride, dilation, before, after


@njit(cache=True, error_model="numpy")
def depthwise_conv1d_backward(dy, x, W, mask, stride, dilation, before, after):
    """Gain: 12 times at x (16, 100, 64), size 15; 3.6 at (16, 50, 16), size 5, masked."""
    B, T, C = x.shape
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(C, x.dtype)
    for i in range(B):
        for t in range(dy.shape[1]):
            _add(dy[i, t], db)
            for j in range(len(W)):
                s = stride * t + dilation * j - before
                if 0 <= s < T and (mask is None or mask[i, s]):
                    add_product(dx[i, s], dy[i, t], W[j])
                    add_product(dW[j], dy[i, t], x[i, s])
    return dx, dW, db


@njit(error_model="numpy")
def _padded(x, mask, above, below, before, after):
    """x (B, H, V, C) between zeros; 0 also where not mask (B, V)."""
    B, H, V, C = x.shape
    padded = np.zeros((B, above + H + below, before + V + after, C), x.dtype)
    for i in range(B):
        for h in range(H):
            if mask is None:
                padded[i, above + h, before : before + V] = x[i, h]
            else:
                for v in range(V):
                    if mask[i, v]:
                        padded[i, above + h, before + v] = x[i, h, v]
    return padded


@njit(error_model="numpy")
def _hide(x, mask):
    for i in range(x.shape[0]):
        for t in range(x.shape[1]):
            if not mask[i, t]:
                x[i, t] = 0


@njit(error_model="numpy")
def _walk(padded, high, wide, stride, dilation):
    """Layout of windows in a padded array: counts (H', V'), (high, taps, run), strides (clip, H', V', high, taps).

    A run is contiguous: the C numbers of one tap if taps are dilated, else those of all taps.
    """
    B, H, V, C = padded.shape
    counts = (H - high) // stride + 1, (V - dilation * (wide - 1) - 1) // stride + 1
    taps = (1, wide * C) if dilation == 1 else (wide, C)
    return counts, (high, *taps), (H * V * C, stride * V * C, stride * C, V * C, dilation * C)


@njit(error_model="numpy")
def _forward(padded, walk, W, b):
    lines, steps = walk[0]
    rows, K = len(padded) * lines * steps, len(W)
    y = np.empty((rows, len(b)), W.dtype)
    for r in range(rows):
        _copy(b, y[r])
    block = max(8, BLOCK // K)
    w = np.empty((min(rows, block), K), W.dtype)
    for r in range(0, rows, block):
        part = y[r : r + block]
        _gather(padded, walk, w[: len(part)], r)
        _gemm(w[: len(part)], W, part)
    return y


@njit(error_model="numpy")
def _backward(dy, padded, walk, W):
    rows, K = len(dy), len(W)
    dpadded, dW, db = np.zeros_like(padded), np.zeros_like(W), np.zeros(W.shape[1], W.dtype)
    for r in range(rows):
        _add(dy[r], db)
    turned = np.ascontiguousarray(W.T)
    block = max(8, BLOCK // K)
    w = np.empty((min(rows, block), K), W.dtype)
    for r in range(0, rows, block):
        part = dy[r : r + block]
        here = w[: len(part)]
        _gather(padded, walk, here, r)
        _gemm(here.T, part, dW)
        here[:] = 0
        _gemm(part, turned, here)
        _scatter(dpadded, walk, here, r)
    return dpadded, dW, db


@njit(error_model="numpy")
def _copy(x, y):
    for i in range(len(x)):
        y[i] = x[i]


@njit(error_model="numpy")
def _add(x, y):
    for i in range(len(x)):
        y[i] += x[i]


@njit(error_model="numpy")
def _give(x, y):
    _add(y, x)


def _between(move):
    """Make a function that calls move(run of x, same run of w[k]) for all runs of the window of row r + k of the result."""

    @njit(error_model="numpy")
    def walk_along(x, walk, w, r):
        (lines, steps), (high, taps, run), (to_clip, to_line, to_step, to_high, to_tap) = walk
        x = x.reshape(-1)
        line, j = divmod(r, steps)
        for k in range(len(w)):
            if j == steps:
                line, j = line + 1, 0
            if j == 0 or k == 0:
                first = line // lines * to_clip + line % lines * to_line
            row, column = w[k], 0
            for a in range(high):
                for b in range(taps):
                    start = first + j * to_step + a * to_high + b * to_tap
                    move(x[start : start + run], row[column : column + run])
                    column += run
            j += 1

    return walk_along


_gather, _scatter = _between(_copy), _between(_give)  # w = windows of x; its transpose, x += w
