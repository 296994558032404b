"""Attention: scaled dot products with heads, Transformer layers in post-norm and pre-norm order, and two encoders of them.

`encoder` attends within a sequence, `cross_encoder` from one sequence to another (paper 002; its networks: auxformer.py).
"""

from math import prod
from typing import NamedTuple

import numpy as np

from refmer.layers.convolution import hide
from refmer.layers.dense import (
    describe_feed_forward,
    describe_layer_norm,
    describe_linear,
    dropout,
    dropout_key,
    feed_forward,
    layer_norm,
    linear,
    stack,
)
from refmer.layers.trace import note, scope
from refmer.ops.activations import fitting
from refmer.ops.attention import attend, attend_backward, attention_weights, factor, split_heads
from refmer.ops.contracts import closure
from refmer.ops.dense import kept


class Rates(NamedTuple):
    """Dropout of an encoder: of attention weights, after ReLU, of both branches before their residual, of the input."""

    attention: float = 0.0
    relu: float = 0.0
    residual: float = 0.0
    embed: float = 0.0


NO_DROPOUT = Rates()


def describe_attention(width):
    return {name: describe_linear(width, width) for name in ("query", "key", "value", "out")}


@closure
def attention(p, x, memory, heads, mask=None, rate=0.0, rng=None, trace=None, *, scale="width"):
    """Queries from x (B, T, C), keys and values from memory (B, S, C); mask broadcasts to (B, H, T, S).

    softmax(q k^T / sqrt(D)) v per head of width D = C / H, heads side by side, times W_out (Vaswani et al. 2017, eq. 1).
    The output of a query whose keys are all masked is 0, not the output bias. `scale`: see ops.attention.attention_weights.
    """
    if len(x) != len(memory):
        raise ValueError(f"memory holds {len(memory)} clips, x {len(x)}; accepted: the same number")
    q, back_q = linear(p.query, x)
    k, back_k = linear(p.key, memory)
    v, back_v = linear(p.value, memory)
    by_head = split_heads(q, heads), split_heads(k, heads)  # (B, H, T|S, D)
    shape = (len(x), heads, x.shape[1], memory.shape[1])
    if mask is not None:
        fitting(mask, np.broadcast_to(0, shape))
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    key = dropout_key(rng, rate)
    keep = None if key is None else kept(prod(shape), key, rate).reshape(shape)
    c, *saved = attend(q, k, v, heads, factor(by_head[0], shape, mask, scale), mask, keep, 0.0 if keep is None else rate)
    y, back_out = linear(p.out, c)
    y, back_empty = hide(y, None if mask is None else np.broadcast_to(mask.any(-1), shape[:-1]).any(1))
    if trace is not None:
        note(trace, "attention", attention_weights(*by_head, mask, scale)[0])

    def backward(dy, g):
        dq, dk, dv = attend_backward(back_out(back_empty(dy), g.out), *saved)
        return back_q(dq, g.query), back_k(dk, g.key) + back_v(dv, g.value)

    return y, backward


def describe_encoder_layer(width, hidden):
    return {
        "attend": describe_attention(width),
        "norm1": describe_layer_norm(width),
        "ffn": describe_feed_forward(width, hidden),
        "norm2": describe_layer_norm(width),
    }


@closure
def post_norm_layer(p, x, heads, mask=None, rate=0.0, rng=None, trace=None):
    """h = LN(x + drop(Attention(x)));  y = LN(h + drop(FFN(h))).   x (B, T, C).   (Vaswani et al. 2017)."""
    a, back_a = attention(p.attend, x, x, heads, mask, rate, rng, trace)
    a, back_drop1 = dropout(rng, a, rate)
    h, back_norm1 = layer_norm(p.norm1, x + a)
    f, back_f = feed_forward(p.ffn, h, rate, rng)
    f, back_drop2 = dropout(rng, f, rate)
    y, back_norm2 = layer_norm(p.norm2, h + f)

    def backward(dy, g):
        ds = back_norm2(dy, g.norm2)  # s = h + f
        dh = ds + back_f(back_drop2(ds), g.ffn)
        dr = back_norm1(dh, g.norm1)  # r = x + a
        dx, dmemory = back_a(back_drop1(dr), g.attend)
        return dr + dx + dmemory

    return y, backward


@closure
def add(p, r, z):
    """y = r + z: the plain residual."""
    return r + z, lambda dy, g: (dy, dy)


@closure
def cross_layer(p, x, memory, heads, mask=None, rates=NO_DROPOUT, rng=None, trace=None, *, scale="width", residual=add):
    """h = R(x, drop(Attention(LN(x), LN(memory))));  y = R(h, drop(FFN(LN'(h)))).   x (B, T, C), memory (B, S, C).

    LN is shared by queries, keys and values; R is `residual(p, r, z)`, r + z unless given. The pre-norm layer of MulT and
    AuxFormer (paper 002, eq. 3-4; two maps in the FFN and no outer norm, as the authors' code).
    """
    n, back_n = layer_norm(p.norm1, x)
    m, back_m = layer_norm(p.norm1, memory)
    a, back_a = attention(p.attend, n, m, heads, mask, rates.attention, rng, trace, scale=scale)
    a, back_drop1 = dropout(rng, a, rates.residual)
    h, back_r1 = residual(p, x, a)
    n2, back_n2 = layer_norm(p.norm2, h)
    f, back_f = feed_forward(p.ffn, n2, rates.relu, rng)
    f, back_drop2 = dropout(rng, f, rates.residual)
    y, back_r2 = residual(p, h, f)

    def backward(dy, g):
        dh, df = back_r2(dy, g)  # y = R(h, f)
        dh = dh + back_n2(back_f(back_drop2(df), g.ffn), g.norm2)
        dx, da = back_r1(dh, g)  # h = R(x, a)
        dn, dm = back_a(back_drop1(da), g.attend)
        return dx + back_n(dn, g.norm1), back_m(dm, g.norm1)

    return y, backward


@closure
def pre_norm_layer(p, x, heads, mask=None, rates=NO_DROPOUT, rng=None, trace=None, *, residual=add):
    """cross_layer with x as its own memory: h = R(x, Attention(LN(x)));  y = R(h, FFN(LN'(h))).   x (B, T, C)."""
    y, back = cross_layer(p, x, x, heads, mask, rates, rng, trace, residual=residual)

    def backward(dy, g):
        dx, dmemory = back(dy, g)
        return dx + dmemory

    return y, backward


@closure
def embed(x, place=None, rate=0.0, rng=None):
    """y = drop(place(sqrt(C) x)): the input of an encoder of paper 002.   x (B, T, C).

    `place` adds positions, with or without a mask: `lambda x: positions(x, valid)` (sequence.py).
    """
    scale = x.shape[-1] ** 0.5
    y, back_place = (scale * x, lambda dy: dy) if place is None else place(scale * x)
    y, back_drop = dropout(rng, y, rate)
    return y, lambda dy: scale * back_place(back_drop(dy))


def describe_encoder(width, hidden, layers):
    return {"layers": [describe_encoder_layer(width, hidden) for _ in range(layers)], "norm": describe_layer_norm(width)}


@closure
def encoder(p, x, heads, mask=None, rates=NO_DROPOUT, rng=None, trace=None, *, place=None, residual=add):
    """y = LN(layer_L(... layer_1(embed(x)))), each a pre_norm_layer.   x (B, T, C).   (Paper 002, the authors' code.)

    `place`: see embed; `residual`: see cross_layer.
    """
    h, back_embed = embed(x, place, rates.embed, rng)

    def layer(q, h, i):
        return pre_norm_layer(q, h, heads, mask, rates, rng, scope(trace, f"layers.{i}"), residual=residual)

    h, back_layers = stack(layer, p.layers, h)
    y, back_norm = layer_norm(p.norm, h)
    return y, lambda dy, g: back_embed(back_layers(back_norm(dy, g.norm), g.layers))


@closure
def cross_encoder(
    p, x, memory, heads, mask=None, rates=NO_DROPOUT, rng=None, trace=None, *, places=(None, None), scale="width"
):
    """y = LN(layer_L(... layer_1(embed(x), m), m)), m = embed(memory): every layer, a cross_layer, attends to the same m.

    x (B, T, C), memory (B, S, C), `places` for x and for memory (paper 002, 3.2). One draw of dropout for m, where the authors'
    code draws for keys and values apart.
    """
    h, back_x = embed(x, places[0], rates.embed, rng)
    m, back_m = embed(memory, places[1], rates.embed, rng)
    backs = []
    for i, layer in enumerate(p.layers):
        h, back = cross_layer(layer, h, m, heads, mask, rates, rng, scope(trace, f"layers.{i}"), scale=scale)
        backs.append(back)
    y, back_norm = layer_norm(p.norm, h)

    def backward(dy, g):
        dh, dm = back_norm(dy, g.norm), 0.0
        for back, layer in zip(reversed(backs), reversed(g.layers), strict=True):
            dh, d = back(dh, layer)
            dm = dm + d
        return back_x(dh), back_m(dm)

    return y, backward
