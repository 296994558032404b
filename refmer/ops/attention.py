"""Attention by scaled dot products: its weights, its scales, its heads and its masks."""

import numpy as np

from refmer.ops.activations import fitting, softmax, softmax_backward
from refmer.ops.contracts import contract
from refmer.ops.twins import twin

SCALES = "width", "keys"


@twin(
    "q (B, T, heads*D), k (B, S, heads*D), v (B, S, heads*D), heads int from 1, c (B|1, heads|1, 1, 1) or number, "
    "mask (B|1, heads|1, T|1, S|1) bool or None, keep (B|1, heads|1, T|1, S|1) bool or None, rate float from 0 below 1 "
    "-> y (B, T, heads*D)"
)
def attend(q, k, v, heads, c, mask=None, keep=None, rate=0.0):
    """y = a v, a = softmax(c q k^T) in every head of width D, heads concatenated.

    Weights where `keep` is False drop out, the others grow by 1 / (1 - rate). A query without a valid key gives 0. Backward
    computes the weights again: the memory held between the two does not grow with T S.
    """
    a = softmax(split_heads(q, heads) @ split_heads(k, heads).swapaxes(-1, -2) * c, mask)  # (B, H, T, S)
    return merge_heads(_dropped(a, keep, rate) @ split_heads(v, heads)), q, k, v, heads, c, mask, keep, rate


@twin(
    "q (B, T, heads*D), k (B, S, heads*D), v (B, S, heads*D), heads int from 1, c (B|1, heads|1, 1, 1) or number, "
    "mask (B|1, heads|1, T|1, S|1) bool or None, keep (B|1, heads|1, T|1, S|1) bool or None, rate float from 0 below 1, "
    "dy (B, T, heads*D) -> dq (B, T, heads*D), dk (B, S, heads*D), dv (B, S, heads*D)"
)
def attend_backward(dy, q, k, v, heads, c, mask, keep, rate):
    q, k, v, dy = (split_heads(x, heads) for x in (q, k, v, dy))
    a = softmax(q @ k.swapaxes(-1, -2) * c, mask)
    da = _dropped(dy @ v.swapaxes(-1, -2), keep, rate)  # y = drop(a) v
    ds = softmax_backward(da, a) * c  # a = softmax(c s), s = q k^T
    dv = _dropped(a, keep, rate).swapaxes(-1, -2) @ dy
    return merge_heads(ds @ k), merge_heads(ds.swapaxes(-1, -2) @ q), merge_heads(dv)


def _dropped(a, keep, rate):
    return a if keep is None else np.where(keep, a / (1 - rate), 0)


@contract("q (..., T, D), k (..., S, D) -> a (..., T, S) where D >= 1")
def attention_weights(q, k, mask=None, scale="width"):
    """a = softmax(c q k^T) over the keys; the mask broadcasts to a.

    c = 1 / sqrt(D) with scale "width" (Vaswani et al. 2017, eq. 1); with "keys" 1 / sqrt(N), N the number of keys that at
    least one query attends to (paper 002, eq. 2 as printed). Every row sums to 1, or is 0 where all of it is masked.
    """
    scores = q @ k.swapaxes(-1, -2)  # (..., T, S)
    c = factor(q, scores.shape, mask, scale)
    a = softmax(scores * c, mask)
    return a, a, q, k, c


@contract(
    "a (..., T, S), q (..., T, D), k (..., S, D), c (..., 1, 1) or number, da (..., T, S) -> dq (..., T, D), dk (..., S, D)"
)
def attention_weights_backward(da, a, q, k, c):
    ds = softmax_backward(da, a) * c  # a = softmax(c s), s = q k^T
    return ds @ k, ds.swapaxes(-1, -2) @ q


def factor(q, shape, mask=None, scale="width"):
    """c of attention_weights, for weights of this shape (..., T, S): a number, or an array (..., 1, 1)."""
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; accepted: {', '.join(map(repr, SCALES))}")
    if scale == "width" or mask is None:
        return (q.shape[-1] if scale == "width" else shape[-1]) ** -0.5
    mask = np.broadcast_to(fitting(mask, np.broadcast_to(0, shape)), shape)
    count = mask.any(-2, keepdims=True).sum(-1, keepdims=True)  # (..., 1, 1)
    return (np.maximum(count, 1) ** -0.5).astype(q.real.dtype)


@contract("heads int from 1, x (B, T, heads*D) -> y (B, heads, T, D)")
def split_heads(x, heads):
    """Divide the width into heads."""
    B, T, C = x.shape
    return x.reshape(B, T, heads, C // heads).swapaxes(1, 2)


@contract("x (B, H, T, D) -> y (B, T, H*D)")
def merge_heads(x):
    """Concatenate the heads."""
    B, H, T, D = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * D)


@contract("valid (B, S) bool -> mask (B, 1, 1, S) bool")
def key_mask(valid):
    """Let every query attend to the valid keys only."""
    return valid[:, None, None, :]


def causal(queries, keys):
    """Let query t attend to keys up to t; where lengths differ, the last query up to the last key.   -> (queries, keys)."""
    return np.tri(queries, keys, keys - queries, dtype=bool)


@contract("queries (B, T) bool, keys (B, S) bool -> mask (B, 1, T, S) bool")
def causal_between(queries, keys):
    """Let query t attend to keys up to t + |N_q - N_k|: the rule of MulT's and paper 002's code, on each clip's own lengths.

    queries and keys are True where a step is valid. N counts the steps up to the last valid one: padding changes nothing.
    Unlike `causal` it masks no whole row where N_q > N_k; from N_q = 2 N_k - 1 on it masks nothing.
    """
    T, S = queries.shape[1], keys.shape[1]
    n_q, n_k = ((valid * np.arange(1, valid.shape[1] + 1)).max(1, initial=0) for valid in (queries, keys))
    return np.arange(S) <= np.arange(T)[:, None] + np.abs(n_q - n_k)[:, None, None, None]


def banded(queries, keys, width):
    """Let query t attend to keys s with |t - s| <= width.   -> (queries, keys)."""
    if width < 0:
        raise ValueError(f"width is {width}; accepted: 0 (itself only) or more")
    return np.abs(np.arange(queries)[:, None] - np.arange(keys)) <= width
