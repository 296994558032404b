"""The Conformer block (Gulati et al. 2020), for baseline VAVL of paper 004."""

from refmer.layers.attention import attention, describe_attention
from refmer.layers.convolution import depthwise_conv1d, describe_depthwise_conv1d
from refmer.layers.dense import (
    describe_feed_forward,
    describe_layer_norm,
    describe_linear,
    dropout,
    feed_forward,
    layer_norm,
    linear,
)
from refmer.layers.trace import scope
from refmer.ops.activations import glu, glu_backward, swish, swish_backward
from refmer.ops.attention import key_mask
from refmer.ops.contracts import closure


def describe_half(width, hidden):
    return {"norm": describe_layer_norm(width), "ffn": describe_feed_forward(width, hidden)}


@closure
def half(p, x, rate=0.0, rng=None):
    """y = x + 1/2 drop(FFN(LN(x))), FFN with swish.   x (B, T, C)   (fig. 4)."""
    n, back_norm = layer_norm(p.norm, x)
    f, back_ffn = feed_forward(p.ffn, n, rate, rng, "swish")
    f, back_drop = dropout(rng, f, rate)

    def backward(dy, g):
        return dy + back_norm(back_ffn(back_drop(0.5 * dy), g.ffn), g.norm)

    return x + 0.5 * f, backward


def describe_convolution_module(width, size):
    return {
        "norm1": describe_layer_norm(width),
        "expand": describe_linear(width, 2 * width),
        "depthwise": describe_depthwise_conv1d(width, size),
        "norm2": describe_layer_norm(width),
        "project": describe_linear(width, width),
    }


@closure
def convolution_module(p, x, mask=None, rate=0.0, rng=None):
    """y = x + drop(swish(LN(depthwise(glu(LN(x) W1 + b1)))) W2 + b2).   x (B, T, C)   (fig. 2).

    The second norm is layer norm in place of batch norm: the output does not depend on padding or on other clips.
    """
    n, back_norm1 = layer_norm(p.norm1, x)
    u, back_expand = linear(p.expand, n)
    v, *saved_glu = glu(u)
    d, back_depthwise = depthwise_conv1d(p.depthwise, v, mask=mask)
    n, back_norm2 = layer_norm(p.norm2, d)
    s, *saved_swish = swish(n)
    z, back_project = linear(p.project, s)
    z, back_drop = dropout(rng, z, rate)

    def backward(dy, g):
        dn = swish_backward(back_project(back_drop(dy), g.project), *saved_swish)
        dv = back_depthwise(back_norm2(dn, g.norm2), g.depthwise)
        return dy + back_norm1(back_expand(glu_backward(dv, *saved_glu), g.expand), g.norm1)

    return x + z, backward


def describe_conformer_block(width, hidden, size):
    """hidden: width inside the feed-forward halves; size: of the depthwise window."""
    return {
        "half1": describe_half(width, hidden),
        "norm1": describe_layer_norm(width),
        "attend": describe_attention(width),
        "convolve": describe_convolution_module(width, size),
        "half2": describe_half(width, hidden),
        "norm2": describe_layer_norm(width),
    }


@closure
def conformer_block(p, x, heads, mask=None, rate=0.0, rng=None, trace=None):
    """a = half(x);  b = a + drop(Attention(LN(a)));  c = convolution_module(b);  y = LN(half(c)).   x (B, T, C), mask (B, T).

    Gulati et al. 2020, eq. (1). Without relative positions: add positions to x.
    """
    a, back_half1 = half(p.half1, x, rate, rng)
    n, back_norm1 = layer_norm(p.norm1, a)
    keys = None if mask is None else key_mask(mask)
    z, back_attend = attention(p.attend, n, n, heads, keys, rate, rng, scope(trace, "attend"))
    z, back_drop = dropout(rng, z, rate)
    c, back_convolve = convolution_module(p.convolve, a + z, mask, rate, rng)
    d, back_half2 = half(p.half2, c, rate, rng)
    y, back_norm2 = layer_norm(p.norm2, d)

    def backward(dy, g):
        db = back_convolve(back_half2(back_norm2(dy, g.norm2), g.half2), g.convolve)  # b = a + z
        dn, dmemory = back_attend(back_drop(db), g.attend)
        return back_half1(db + back_norm1(dn + dmemory, g.norm1), g.half1)

    return y, backward
