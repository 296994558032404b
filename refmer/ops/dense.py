"""The linear map, and dropout."""

import numpy as np

from refmer.ops.shapes import rows
from refmer.ops.twins import twin


def linear(x, W, b):
    """y = x W + b.   x (..., D), W (D, E), b (E). A W of 8 bits (quantize/matrix.py) has a way of its own."""
    y = W.linear(x, b) if hasattr(W, "linear") else rows(x) @ W + b  # in rows: with more axes NumPy makes many small products
    return y.reshape(*x.shape[:-1], W.shape[-1]), x, W


@twin
def linear_backward(dy, x, W):
    # y = x W + b:  dx = dy W^T, dW = x^T dy, db = sum of dy
    dy = rows(dy)
    return (dy @ W.T).reshape(x.shape), rows(x).T @ dy, dy.sum(0)


@twin
def dropout(x, key, rate):
    """y = x m / (1 - rate), m_i = 0 with probability `rate`, else 1.

    m_i is a hash of the element's place i and of the key, a whole number from 0 to 2^63 - 1: nothing has to be kept for the way
    back, and element i of the same key is dropped in every machine and dtype. (Rounds of Wellons's lowbias32.)
    """
    h = np.arange(x.size, dtype=np.uint32).reshape(x.shape) + np.uint32(key & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D) ^ np.uint32(key >> 32)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    h = h ^ (h >> np.uint32(16))
    return x * ((h >= drop_below(rate)) / (1 - rate)).astype(x.real.dtype)


def dropout_backward(dy, key, rate):
    return dropout(dy, key, rate)


def drop_below(rate):
    """The hash values below this, of 2^32, drop their element."""
    return np.uint32(min(round(rate * 2**32), 2**32 - 1))
