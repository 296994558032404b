"""Scaled dot products: the weights of attention, and what may scale them."""

import numpy as np

from refmer.ops.activations import softmax, softmax_backward
from refmer.ops.masks import fitting


def attention_weights(q, k, mask=None, scale="width"):
    """a = softmax(c q k^T) over the keys.   q (..., T, D), k (..., S, D), a (..., T, S); mask broadcasts to a.

    c = 1 / sqrt(D) with scale "width" (Vaswani et al. 2017, eq. 1); with "keys" 1 / sqrt(N), N the number of keys that any
    query may see (paper 002, eq. 2 as printed). Every row sums to 1, or is 0 where nothing may be seen.
    """
    scores = q @ k.swapaxes(-1, -2)  # (..., T, S)
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; accepted: {', '.join(map(repr, SCALES))}")
    c = SCALES[scale](q, scores, mask)
    a = softmax(scores * c, mask)
    return a, a, q, k, c


def attention_weights_backward(da, a, q, k, c):
    ds = softmax_backward(da, a) * c  # a = softmax(c s), s = q k^T
    return ds @ k, ds.swapaxes(-1, -2) @ q


def _by_width(q, scores, mask):
    return q.shape[-1] ** -0.5


def _by_keys(q, scores, mask):
    if mask is None:
        return scores.shape[-1] ** -0.5
    count = np.broadcast_to(fitting(mask, scores), scores.shape).any(-2, keepdims=True).sum(-1, keepdims=True)  # (..., 1, 1)
    return (np.maximum(count, 1) ** -0.5).astype(scores.real.dtype)


SCALES = {"width": _by_width, "keys": _by_keys}
