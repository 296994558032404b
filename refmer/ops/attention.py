"""Scaled dot products: the weights of attention, and what may scale them."""

import numpy as np

from refmer.ops.activations import fitting, softmax, softmax_backward
from refmer.ops.twins import twin


@twin
def attend(q, k, v, heads, c, mask=None, keep=None, rate=0.0):
    """y = a v, a = softmax(c q k^T) in every head of width C / H, heads side by side.   q, y (B, T, C), k, v (B, S, C).

    c is a number or (B|1, H|1, 1, 1); mask and keep are bool, of four axes that broadcast to (B, H, T, S). Weights that are not
    in `keep` drop out, the others grow by 1 / (1 - rate). A query that sees nothing gives 0. Backward computes the weights
    anew: what stays in memory between the two does not grow with T S.
    """
    a = softmax(split_heads(q, heads) @ split_heads(k, heads).swapaxes(-1, -2) * c, mask)  # (B, H, T, S)
    return merge_heads(_dropped(a, keep, rate) @ split_heads(v, heads)), q, k, v, heads, c, mask, keep, rate


@twin
def attend_backward(dy, q, k, v, heads, c, mask, keep, rate):
    q, k, v, dy = (split_heads(x, heads) for x in (q, k, v, dy))
    a = softmax(q @ k.swapaxes(-1, -2) * c, mask)
    da = _dropped(dy @ v.swapaxes(-1, -2), keep, rate)  # y = drop(a) v
    ds = softmax_backward(da, a) * c  # a = softmax(c s), s = q k^T
    dv = _dropped(a, keep, rate).swapaxes(-1, -2) @ dy
    return merge_heads(ds @ k), merge_heads(ds.swapaxes(-1, -2) @ q), merge_heads(dv)


def _dropped(a, keep, rate):
    return a if keep is None else np.where(keep, a / (1 - rate), 0)


def attention_weights(q, k, mask=None, scale="width"):
    """a = softmax(c q k^T) over the keys.   q (..., T, D), k (..., S, D), a (..., T, S); mask broadcasts to a.

    c = 1 / sqrt(D) with scale "width" (Vaswani et al. 2017, eq. 1); with "keys" 1 / sqrt(N), N the number of keys that any
    query may see (paper 002, eq. 2 as printed). Every row sums to 1, or is 0 where nothing may be seen.
    """
    scores = q @ k.swapaxes(-1, -2)  # (..., T, S)
    c = factor(q, scores.shape, mask, scale)
    a = softmax(scores * c, mask)
    return a, a, q, k, c


def attention_weights_backward(da, a, q, k, c):
    ds = softmax_backward(da, a) * c  # a = softmax(c s), s = q k^T
    return ds @ k, ds.swapaxes(-1, -2) @ q


def factor(q, shape, mask=None, scale="width"):
    """c of attention_weights, for weights of this shape (..., T, S): a number, or an array (..., 1, 1)."""
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; accepted: {', '.join(map(repr, SCALES))}")
    return SCALES[scale](q, shape, mask)


def _by_width(q, shape, mask):
    return q.shape[-1] ** -0.5


def _by_keys(q, shape, mask):
    if mask is None:
        return shape[-1] ** -0.5
    count = (
        np.broadcast_to(fitting(mask, np.broadcast_to(0, shape)), shape).any(-2, keepdims=True).sum(-1, keepdims=True)
    )  # (..., 1, 1)
    return (np.maximum(count, 1) ** -0.5).astype(q.real.dtype)


SCALES = {"width": _by_width, "keys": _by_keys}


def split_heads(x, heads):
    """(B, T, H D) -> (B, H, T, D)."""
    B, T, C = x.shape
    if C % heads:
        raise ValueError(f"a width of {C} does not divide into {heads} heads")
    return x.reshape(B, T, heads, C // heads).swapaxes(1, 2)


def merge_heads(x):
    """(B, H, T, D) -> (B, T, H D)."""
    B, H, T, D = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * D)


def key_mask(valid):
    """Every query sees the valid keys only. valid (B, S) -> (B, 1, 1, S)."""
    if valid.dtype != bool or valid.ndim != 2:
        raise ValueError(f"valid has dtype {valid.dtype} and shape {valid.shape}; accepted: bool, (clips, keys)")
    return valid[:, None, None, :]


def causal(queries, keys):
    """Query t sees keys up to t; where lengths differ, the last query sees the last key. -> (queries, keys)."""
    return np.tri(queries, keys, keys - queries, dtype=bool)


def causal_between(queries, keys):
    """Query t sees keys up to t + |N_q - N_k|: the rule of MulT's and paper 002's code, on each clip's own lengths.

    queries (B, T), keys (B, S) bool, True where there is a step -> (B, 1, T, S). N counts the steps up to the last valid one:
    padding changes nothing. Unlike `causal` it leaves no query blind where N_q > N_k; from N_q = 2 N_k - 1 on it hides nothing.
    """
    T, S = queries.shape[1], keys.shape[1]
    n_q, n_k = ((valid * np.arange(1, valid.shape[1] + 1)).max(1, initial=0) for valid in (queries, keys))
    return np.arange(S) <= np.arange(T)[:, None] + np.abs(n_q - n_k)[:, None, None, None]


def banded(queries, keys, width):
    """Query t sees keys s with |t - s| <= width. -> (queries, keys)."""
    if width < 0:
        raise ValueError(f"width is {width}; accepted: 0 (itself only) or more")
    return np.abs(np.arange(queries)[:, None] - np.arange(keys)) <= width
