"""The linear map, and dropout."""

from math import prod

import numpy as np

from refmer.ops.contracts import contract
from refmer.ops.twins import twin


def rows(x):
    """All axes but the last in one: (..., C) -> (N, C)."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


@twin("x (..., D), W (D, E), b (E) or number -> y (..., E)")
def linear(x, W, b):
    """y = x W + b."""
    y = rows(x) @ W + b  # in rows: with more axes NumPy makes many small products
    return y.reshape(*x.shape[:-1], W.shape[-1]), x, W


@twin("x (..., D), W (D, E), dy (..., E) -> dx (..., D), dW (D, E), db (E)")
def linear_backward(dy, x, W):
    # y = x W + b:  dx = dy W^T, dW = x^T dy, db = sum of dy
    dy = rows(dy)
    return (dy @ W.T).reshape(x.shape), rows(x).T @ dy, dy.sum(0)


@twin("x (...), key int from 0 below 2**63, rate float from 0 below 1 -> y (...)")
def dropout(x, key, rate):
    """y = x m / (1 - rate), m = `kept`."""
    return x * (kept(x.size, key, rate) / (1 - rate)).astype(x.real.dtype).reshape(x.shape)


@contract("dy (...), key int from 0 below 2**63, rate float from 0 below 1 -> dx (...)")
def dropout_backward(dy, key, rate):
    return dropout(dy, key, rate)


@twin("n int from 0, key int from 0 below 2**63, rate float from 0 below 1 -> m (n) bool")
def kept(n, key, rate):
    """m, False with probability `rate`.

    m_i is a hash of i and the key, a whole number from 0 to 2^63 - 1: backward needs only the key, and the same key
    drops the same elements on every machine. (Wellons's hash lowbias32 with a part of the key before each round.)
    """
    h = np.arange(n, dtype=np.uint32) + np.uint32(key & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D) ^ np.uint32(key >> 32)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16)) >= np.uint32(min(round(rate * 2**32), 2**32 - 1))
