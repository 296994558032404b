"""Pointwise non-linearities, each in one pass over memory, and the softmax."""

import math

import numpy as np
from numba import njit

from refmer.kernels import scalar
from refmer.kernels.vectors import dot, total

# contract alone: nan and infinity must give the results of the definitions
kernel = njit(cache=True, error_model="numpy", fastmath={"contract"})


@kernel
def _flat(dy, y):
    return dy.reshape(-1)


@kernel
def relu(x):
    """Gain: 8 times at (448, 96), 2 at (32, 32)."""
    y = np.empty_like(x)
    a, b = x.reshape(-1), y.reshape(-1)
    zero = x.dtype.type(0)
    for i in range(a.size):
        b[i] = zero if a[i] <= zero else a[i]
    return y


@kernel
def relu_backward(dy, y):
    """Gain: 6 times at (448, 96), 1.7 at (32, 32)."""
    dx = np.empty_like(dy)
    d, a, b = _flat(dy, y), y.reshape(-1), dx.reshape(-1)
    zero = y.dtype.type(0)
    for i in range(a.size):
        b[i] = d[i] if a[i] > zero else zero
    return dx


@kernel
def sigmoid(x):
    """Gain: 1.7 times at (448, 96), 2 at (32, 32)."""
    y = np.empty_like(x)
    a, b = x.reshape(-1), y.reshape(-1)
    for i in range(a.size):
        b[i] = scalar.sigmoid(a[i])
    return y


@kernel
def sigmoid_backward(dy, y):
    """Gain: 2 times at (448, 96), none at (32, 32)."""
    dx = np.empty_like(dy)
    d, a, b = _flat(dy, y), y.reshape(-1), dx.reshape(-1)
    one = y.dtype.type(1)
    for i in range(a.size):
        b[i] = d[i] * a[i] * (one - a[i])
    return dx


@kernel
def gelu(x):
    """Gain: 9 times at (448, 96), 2.5 at (32, 32)."""
    y, below = np.empty_like(x), np.empty_like(x)
    a, b, c = x.reshape(-1), y.reshape(-1), below.reshape(-1)
    for i in range(a.size):
        c[i] = scalar.normal_cdf(a[i])
    for i in range(a.size):
        b[i] = a[i] * c[i]
    return y, x, below


@kernel
def gelu_backward(dy, x, below):
    """Gain: 2.7 times at (448, 96), 2 at (32, 32)."""
    dx = np.empty_like(x)
    d, a, c, b = _flat(dy, x), x.reshape(-1), below.reshape(-1), dx.reshape(-1)
    half, root = x.dtype.type(-0.5), x.dtype.type(1 / math.sqrt(2 * math.pi))
    for i in range(a.size):
        b[i] = d[i] * (c[i] + a[i] * scalar.exp(half * a[i] * a[i]) * root)
    return dx


@kernel
def swish(x):
    """Gain: 1.6 times at (448, 96), 1.4 at (32, 32)."""
    y, s = np.empty_like(x), np.empty_like(x)
    a, b, c = x.reshape(-1), y.reshape(-1), s.reshape(-1)
    for i in range(a.size):
        c[i] = scalar.sigmoid(a[i])
    for i in range(a.size):
        b[i] = a[i] * c[i]
    return y, x, s


@kernel
def swish_backward(dy, x, s):
    """Gain: 2.6 times at (448, 96), 1.5 at (32, 32)."""
    dx = np.empty_like(x)
    d, a, c, b = _flat(dy, x), x.reshape(-1), s.reshape(-1), dx.reshape(-1)
    one = x.dtype.type(1)
    for i in range(a.size):
        b[i] = d[i] * c[i] * (one + a[i] * (one - c[i]))
    return dx


@kernel
def glu(x):
    """Gain: 2.5 times at (448, 96), 4 at (32, 32)."""
    C = x.shape[-1] // 2
    y, s = np.empty(x.shape[:-1] + (C,), x.dtype), np.empty(x.shape[:-1] + (C,), x.dtype)
    a, b, c = x.reshape(-1, 2 * C), y.reshape(-1, C), s.reshape(-1, C)
    for i in range(len(a)):
        for j in range(C):
            c[i, j] = scalar.sigmoid(a[i, C + j])
        for j in range(C):
            b[i, j] = a[i, j] * c[i, j]
    return y, x, s


@kernel
def glu_backward(dy, x, s):
    """Gain: 3.6 times at (448, 96), 2.5 at (32, 32)."""
    C = s.shape[-1]
    dx = np.empty_like(x)
    d, a, c, b = _flat(dy, s).reshape(-1, C), x.reshape(-1, 2 * C), s.reshape(-1, C), dx.reshape(-1, 2 * C)
    one = s.dtype.type(1)
    for i in range(len(a)):
        for j in range(C):
            b[i, j] = d[i, j] * c[i, j]
        for j in range(C):
            b[i, C + j] = d[i, j] * c[i, j] * (one - c[i, j]) * a[i, j]
    return dx


@kernel
def softmax_rows(x, mask):
    """Gain: 3 times at (32, 7), 1.7 at (1792, 14), 1.3 with a mask."""
    y = np.empty_like(x)
    N, K = x.shape
    lowest, zero, one = x.dtype.type(-np.inf), x.dtype.type(0), x.dtype.type(1)
    for i in range(N):
        a, e = x[i], y[i]
        e[:] = a
        if mask is not None:
            valid = mask[i // (N // len(mask))]
            _hide(e, valid, lowest)
        top = lowest
        for k in range(K):
            top = e[k] if e[k] > top else top
        top = top if top > lowest else zero
        for k in range(K):
            e[k] -= top
        if mask is not None:
            _hide(e, valid, zero)  # exp(-inf) would pass through subnormal numbers, which are slow
        for k in range(K):
            e[k] = scalar.exp(e[k])
        if mask is not None:
            _hide(e, valid, zero)
        scale = total(e)
        scale = one / (scale if scale != zero else one)
        for k in range(K):
            e[k] *= scale
    return y


@kernel
def softmax_backward(da, a):
    """Gain: 1.9 times at (32, 7), 3.3 at (1792, 14)."""
    dx = np.empty_like(a)
    K = a.shape[-1]
    d, w, out = _flat(da, a).reshape(-1, K), a.reshape(-1, K), dx.reshape(-1, K)
    for i in range(len(w)):
        inner = dot(d[i], w[i])
        for k in range(K):
            out[i, k] = w[i, k] * (d[i, k] - inner)
    return dx


@kernel
def _hide(x, valid, value):
    for k in range(len(x)):
        score = x[k]  # read before the choice: no branch
        x[k] = score if valid[k] else value
