"""Scaled dot-product attention with heads, and the Transformer encoder layer."""

from refmer.layers.dense import describe_feed_forward, describe_linear, dropout, feed_forward, linear
from refmer.layers.norms import describe_layer_norm, layer_norm
from refmer.layers.trace import note
from refmer.ops.activations import softmax, softmax_backward
from refmer.ops.shapes import merge_heads, split_heads


def describe_attention(width):
    return {name: describe_linear(width, width) for name in ("query", "key", "value", "out")}


def attention(p, x, memory, heads, mask=None, rate=0.0, rng=None, trace=None):
    """Queries from x (B, T, C), keys and values from memory (B, S, C); mask broadcasts to (B, H, T, S).

    softmax(q k^T / sqrt(D)) v per head of width D = C / H, heads side by side, times W_out (Vaswani et al. 2017, eq. 1).
    A query that may see nothing gets the output bias alone.
    """
    q, back_q = linear(p.query, x)
    k, back_k = linear(p.key, memory)
    v, back_v = linear(p.value, memory)
    q, k, v = (split_heads(z, heads) for z in (q, k, v))  # (B, H, T|S, D)
    scale = q.shape[-1] ** -0.5
    a = softmax(q @ k.swapaxes(-1, -2) * scale, mask)  # (B, H, T, S)
    kept, back_drop = dropout(rng, a, rate)
    y, back_out = linear(p.out, merge_heads(kept @ v))
    note(trace, "attention", a)

    def backward(dy, g):
        dc = split_heads(back_out(dy, g.out), heads)  # c = kept v
        da = back_drop(dc @ v.swapaxes(-1, -2))
        ds = softmax_backward(da, a) * scale  # a = softmax(scale q k^T)
        dq, dk, dv = ds @ k, ds.swapaxes(-1, -2) @ q, kept.swapaxes(-1, -2) @ dc
        dmemory = back_k(merge_heads(dk), g.key) + back_v(merge_heads(dv), g.value)
        return back_q(merge_heads(dq), g.query), dmemory

    return y, backward


def describe_encoder_layer(width, hidden):
    return {
        "attend": describe_attention(width),
        "norm1": describe_layer_norm(width),
        "ffn": describe_feed_forward(width, hidden),
        "norm2": describe_layer_norm(width),
    }


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
