"""The attention of TLAB, the temporal block of paper 003, eq. 3-6: queries from an LSTM, keys and values from a TCN."""

from refmer.layers.attention import attention, describe_attention
from refmer.layers.dense import describe_layer_norm, describe_project, layer_norm, project
from refmer.layers.trace import note
from refmer.ops.attention import attention_weights, attention_weights_backward, banded


def describe_tlab(width):
    return {name: describe_project(width, width) for name in ("query", "key", "value")}


def tlab(p, recurrent, convolved, valid=None, band=None, trace=None):
    """y = A_G (A_L v), A_G = softmax(q k^T / sqrt(C)), A_L = softmax(k q^T / sqrt(C)), eq. (3)-(6), to the letter.

    recurrent, convolved (B, T, C), valid (B, T). Transposed logits make A_L no more local than A_G: any step may look at any
    other. With `band`, which the paper does not have, A_L sees |t - s| <= band only.
    """
    if recurrent.shape != convolved.shape:
        raise ValueError(f"recurrent has shape {recurrent.shape}, convolved {convolved.shape}; accepted: the same")
    q, back_q = project(p.query, recurrent)
    k, back_k = project(p.key, convolved)
    v, back_v = project(p.value, convolved)
    T = q.shape[1]
    wide = None if valid is None else valid[:, None, :]  # (B, 1, T)
    narrow = wide if band is None else _and(banded(T, T, band), wide)
    a_global, *saved_global = attention_weights(q, k, wide)  # (B, T, T)
    a_local, *saved_local = attention_weights(k, q, narrow)
    inner = a_local @ v  # (B, T, C)
    note(trace, "global", a_global)
    note(trace, "local", a_local)

    def backward(dy, g):
        dq, dk = attention_weights_backward(dy @ inner.swapaxes(-1, -2), *saved_global)  # y = A_G inner
        dinner = a_global.swapaxes(-1, -2) @ dy
        dk2, dq2 = attention_weights_backward(dinner @ v.swapaxes(-1, -2), *saved_local)  # inner = A_L v
        dv = a_local.swapaxes(-1, -2) @ dinner
        return back_q(dq + dq2, g.query), back_k(dk + dk2, g.key) + back_v(dv, g.value)

    return a_global @ inner, backward


def _and(mask, other):
    return mask if other is None else mask & other


def describe_tlab_code(width):
    return {"attend": describe_attention(width), "norm": describe_layer_norm(width)}


def tlab_code(p, recurrent, convolved, heads=2, mask=None, rate=0.0, rng=None, trace=None):
    """y = LN(recurrent + Attention(recurrent, convolved)): what the authors' code has in the place of eq. (4)-(6).

    recurrent, convolved (B, T, C). mask broadcasts to (B, H, T, T); banded makes the attention local.
    """
    a, back_a = attention(p.attend, recurrent, convolved, heads, mask, rate, rng, trace)
    y, back_norm = layer_norm(p.norm, recurrent + a)

    def backward(dy, g):
        dr = back_norm(dy, g.norm)  # r = recurrent + a
        drecurrent, dconvolved = back_a(dr, g.attend)
        return dr + drecurrent, dconvolved

    return y, backward
