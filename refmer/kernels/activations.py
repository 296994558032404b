"""Pointwise non-linearities, each in one pass over memory, and the softmax."""

import math

import numpy as np

from refmer.kernels import njit, scalar
from refmer.kernels.vectors import ALL, copy, dot, total

# contract alone: nan and infinity must give the results of the definitions
kernel = njit(cache=True, fastmath={"contract"})


@kernel
def relu(x):
    """Gain: 8 times at (448, 96), 2 at (32, 32)."""
    y, zero = np.empty_like(x), x.dtype.type(0)
    for i in range(x.size):
        y[i] = zero if x[i] <= zero else x[i]
    return y


@kernel
def relu_backward(dy, y):
    """Gain: 6 times at (448, 96), 1.7 at (32, 32)."""
    dx, zero = np.empty_like(dy), y.dtype.type(0)
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > zero else zero
    return dx


@kernel
def sigmoid(x):
    """Gain: 1.7 times at (448, 96), 2 at (32, 32)."""
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = scalar.sigmoid(x[i])
    return y


@kernel
def sigmoid_backward(dy, y):
    """Gain: 2 times at (448, 96), none at (32, 32)."""
    dx, one = np.empty_like(dy), y.dtype.type(1)
    for i in range(y.size):
        dx[i] = dy[i] * y[i] * (one - y[i])
    return dx


@kernel
def gelu(x):
    """Gain: 9 times at (448, 96), 2.5 at (32, 32)."""
    y, below = np.empty_like(x), np.empty_like(x)
    for i in range(x.size):
        below[i] = scalar.normal_cdf(x[i])
    for i in range(x.size):
        y[i] = x[i] * below[i]
    return y, x, below


@kernel
def gelu_backward(dy, x, below):
    """Gain: 2.7 times at (448, 96), 2 at (32, 32)."""
    dx, half, root = np.empty_like(x), x.dtype.type(-0.5), x.dtype.type(1 / math.sqrt(2 * math.pi))
    for i in range(x.size):
        dx[i] = dy[i] * (below[i] + x[i] * scalar.exp(half * x[i] * x[i]) * root)
    return dx


@kernel
def swish(x):
    """Gain: 1.6 times at (448, 96), 1.4 at (32, 32)."""
    y, s = np.empty_like(x), np.empty_like(x)
    for i in range(x.size):
        s[i] = scalar.sigmoid(x[i])
    for i in range(x.size):
        y[i] = x[i] * s[i]
    return y, x, s


@kernel
def swish_backward(dy, x, s):
    """Gain: 2.6 times at (448, 96), 1.5 at (32, 32)."""
    dx, one = np.empty_like(x), x.dtype.type(1)
    for i in range(x.size):
        dx[i] = dy[i] * s[i] * (one + x[i] * (one - s[i]))
    return dx


@kernel
def glu(x):
    """Gain: 2.5 times at (448, 96), 4 at (32, 32)."""
    N, C = len(x), x.shape[1] // 2
    y, s = np.empty((N, C), x.dtype), np.empty((N, C), x.dtype)
    for i in range(N):
        for j in range(C):
            s[i, j] = scalar.sigmoid(x[i, C + j])
        for j in range(C):
            y[i, j] = x[i, j] * s[i, j]
    return y, x, s


@kernel
def glu_backward(dy, x, s):
    """Gain: 3.6 times at (448, 96), 2.5 at (32, 32)."""
    N, C = s.shape
    dx, one = np.empty_like(x), s.dtype.type(1)
    for i in range(N):
        for j in range(C):
            dx[i, j] = dy[i, j] * s[i, j]
        for j in range(C):
            dx[i, C + j] = dy[i, j] * s[i, j] * (one - s[i, j]) * x[i, j]
    return dx


def softmax_rows(x, mask):
    """Gain: 3 times at (32, 7), 1.7 at (1792, 14), 1.3 with a mask."""
    return _softmax_rows(x, ALL if mask is None else mask)


@kernel
def _softmax_rows(x, mask):
    y = np.empty_like(x)
    N, K = x.shape
    lowest, zero, one = x.dtype.type(-np.inf), x.dtype.type(0), x.dtype.type(1)
    for i in range(N):
        e, valid = y[i], mask[i // (N // len(mask)) if mask.size else 0]
        copy(x[i], e)
        if mask.size:
            _hide(e, valid, lowest)
        top = lowest
        for k in range(K):
            top = e[k] if e[k] > top else top
        top = top if top > lowest else zero
        for k in range(K):
            e[k] -= top
        if mask.size:
            _hide(e, valid, zero)  # exp(-inf) would pass through subnormal numbers, which are slow
        for k in range(K):
            e[k] = scalar.exp(e[k])
        if mask.size:
            _hide(e, valid, zero)
        scale = total(e)
        scale = one / (scale if scale != zero else one)
        for k in range(K):
            e[k] *= scale
    return y


@kernel
def softmax_backward(da, a):
    """Gain: 1.9 times at (32, 7), 3.3 at (1792, 14)."""
    N, K = a.shape
    dx = np.empty_like(a)
    for i in range(N):
        inner = dot(da[i], a[i])
        for k in range(K):
            dx[i, k] = a[i, k] * (da[i, k] - inner)
    return dx


@kernel
def _hide(x, valid, value):
    for k in range(len(x)):
        score = x[k]  # read before the choice: no branch
        x[k] = score if valid[k] else value
