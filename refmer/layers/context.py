"""The context of a sequence in a fixed number of tokens (paper 004, III-B): learned queries read it, or windows average it."""

import numpy as np

from refmer.layers.embedding import describe_tokens, tokens
from refmer.layers.summarizer import describe_summarizer, summarizer
from refmer.ops.masks import key_mask


def describe_learned_context(count, width, hidden, layers):
    return {"queries": describe_tokens(count, width)} | describe_summarizer(width, hidden, layers)


def learned_context(p, x, heads, valid=None, rate=0.0, rng=None, trace=None):
    """c = Decoder(Q, x)   (eq. 1-2).   x (B, T, C), valid (B, T), Q (N, C) of all clips -> (B, N, C).

    Every token holds something, with or without a step to read.
    """
    queries, back_queries = tokens(p.queries, len(x))
    c, back_read = summarizer(p, queries, x, heads, None if valid is None else key_mask(valid), rate, rng, trace)

    def backward(dc, g):
        dqueries, dx = back_read(dc, g)
        back_queries(dqueries, g.queries)
        return dx

    return c, backward


def equal_windows(valid, count):
    """Which valid steps belong to which of `count` windows of equal length, from a clip's first step to its last valid one.

    valid (B, T) -> bool (B, N, T). Where steps are fewer than windows, neighbours share one.
    """
    T, window = valid.shape[1], np.arange(count)[:, None]
    length = (valid * np.arange(1, T + 1)).max(1)[:, None, None]
    start, end = window * length // count, -(-(window + 1) * length // count)
    return (np.arange(T) >= start) & (np.arange(T) < end) & valid[:, None]


def window_means(x, inside):
    """c_n = the mean of the steps inside window n; of none, 0.   x (B, T, C), inside (B, N, T) bool -> (B, N, C)."""
    share = (inside / np.maximum(inside.sum(-1, keepdims=True), 1)).astype(x.real.dtype)
    return share @ x, lambda dc: share.swapaxes(-1, -2) @ dc  # c = share x
