"""The contextual summarizer of paper 004 (RAVER), section III-B: learned queries attend to a sequence.

The paper draws a decoder and cites SparseSync; the order of norms, the GELU and the places of dropout are those of that model.
"""

import numpy as np

from refmer.layers.attention import attention, describe_attention
from refmer.layers.dense import describe_feed_forward, describe_layer_norm, dropout, feed_forward, layer_norm
from refmer.layers.sequence import describe_tokens, tokens
from refmer.layers.trace import scope
from refmer.ops.attention import key_mask
from refmer.ops.contracts import closure


def describe_decoder_layer(width, hidden):
    return {
        "norm1": describe_layer_norm(width),
        "attend": describe_attention(width),
        "norm2": describe_layer_norm(width),
        "cross": describe_attention(width),
        "norm3": describe_layer_norm(width),
        "ffn": describe_feed_forward(width, hidden),
    }


@closure
def decoder_layer(p, x, context, heads, mask=None, rate=0.0, rng=None, trace=None):
    """s = x + Attention(LN1(x));  h = s + Attention(LN2(s), context);  y = h + FFN(LN3(h)), dropout on each branch.

    Queries x (B, N, C), context (B, S, C) without a norm; mask broadcasts to (B, H, N, S). Where the context of a clip is all
    masked, its branch is 0, bias included.
    """
    n1, back_n1 = layer_norm(p.norm1, x)
    a, back_a = attention(p.attend, n1, n1, heads, None, rate, rng, scope(trace, "self"))
    a, back_drop1 = dropout(rng, a, rate)
    s = x + a
    n2, back_n2 = layer_norm(p.norm2, s)
    c, back_c = attention(p.cross, n2, context, heads, mask, rate, rng, scope(trace, "cross"))
    c, back_drop2 = dropout(rng, c, rate)
    h = s + c
    n3, back_n3 = layer_norm(p.norm3, h)
    f, back_f = feed_forward(p.ffn, n3, activation="gelu")
    f, back_drop3 = dropout(rng, f, rate)

    def backward(dy, g):
        dh = dy + back_n3(back_f(back_drop3(dy), g.ffn), g.norm3)  # y = h + f
        dn2, dcontext = back_c(back_drop2(dh), g.cross)
        ds = dh + back_n2(dn2, g.norm2)  # h = s + c
        dn1, dmemory = back_a(back_drop1(ds), g.attend)
        return ds + back_n1(dn1 + dmemory, g.norm1), dcontext  # s = x + a

    return h + f, backward


def describe_summarizer(width, hidden, layers):
    return {"layers": [describe_decoder_layer(width, hidden) for _ in range(layers)]}


@closure
def summarizer(p, queries, context, heads, mask=None, rate=0.0, rng=None, trace=None):
    """Decoder layers in a row, one context for all, no final norm.   queries (B, N, C), context (B, S, C)."""
    x, back_x = dropout(rng, queries, rate)
    m, back_m = dropout(rng, context, rate)
    backs = []
    for i, layer in enumerate(p.layers):
        x, back = decoder_layer(layer, x, m, heads, mask, rate, rng, scope(trace, f"layers.{i}"))
        backs.append(back)

    def backward(dy, g):
        dx, dm = dy, 0.0
        for back, layer in zip(reversed(backs), reversed(g.layers), strict=True):
            dx, d = back(dx, layer)
            dm = dm + d
        return back_x(dx), back_m(dm)

    return x, backward


def describe_learned_context(count, width, hidden, layers):
    return {"queries": describe_tokens(count, width)} | describe_summarizer(width, hidden, layers)


@closure
def learned_context(p, x, heads, valid=None, rate=0.0, rng=None, trace=None):
    """c = Decoder(Q, x)   (eq. 1-2).   x (B, T, C), valid (B, T), Q (N, C) of all clips -> (B, N, C), without a step too."""
    queries, back_queries = tokens(p.queries, len(x))
    c, back_read = summarizer(p, queries, x, heads, None if valid is None else key_mask(valid), rate, rng, trace)

    def backward(dc, g):
        dqueries, dx = back_read(dc, g)
        back_queries(dqueries, g.queries)
        return dx

    return c, backward


def equal_windows(valid, count):
    """Assign valid steps to N = count windows of equal length, from the first step to the last valid one.

    valid (B, T) -> bool (B, N, T). With fewer steps than windows, adjacent windows share a step.
    """
    T, window = valid.shape[1], np.arange(count)[:, None]
    length = (valid * np.arange(1, T + 1)).max(1)[:, None, None]
    start, end = window * length // count, -(-(window + 1) * length // count)
    return (np.arange(T) >= start) & (np.arange(T) < end) & valid[:, None]


@closure
def window_means(x, inside):
    """c_n = the mean of the steps inside window n; 0 without a step.   x (B, T, C), inside (B, N, T) bool -> (B, N, C)."""
    share = (inside / np.maximum(inside.sum(-1, keepdims=True), 1)).astype(x.real.dtype)
    return share @ x, lambda dc: share.swapaxes(-1, -2) @ dc  # c = share x
