"""The parts of TLAB-JCA in its authors' code, whose 26,971,763 parameters are the published count.

They take the places of the equations of paper 003 in tlab.py.
"""

import numpy as np

from refmer.layers.attention import attention, describe_attention
from refmer.layers.convolution import hide
from refmer.layers.dense import describe_layer_norm, describe_linear, describe_mlp, dropout, layer_norm, linear, mlp, stack
from refmer.layers.sequence import describe_lstm, lstm
from refmer.layers.tlab import joined, within
from refmer.layers.trace import note, scope
from refmer.ops.activations import relu, relu_backward, tanh, tanh_backward
from refmer.ops.attention import key_mask
from refmer.ops.contracts import closure
from refmer.ops.norms import l2_normalise, l2_normalise_backward
from refmer.params import Leaf, normal

HEADS = 2


def describe_lstm_module(n_in, width):
    return {
        "lstm": describe_lstm(n_in, width // 2, 2, bidirectional=True),
        "start": Leaf((2, 4, width // 2), normal(0.02)),  # learned h_0 and c_0 of 2 layers in 2 directions
        "out": describe_linear(n_in + width, width),
    }


@closure
def lstm_module(p, x, mask=None, rate=0.0, rng=None):
    """y = z / ||z||, z = [x; h] W + b, h = BLSTM(x) from a learned state, for eq. (2) and (13).   x (B, T, D) -> (B, T, C)."""
    start = np.broadcast_to(p.start[:, :, None], (2, 4, len(x), p.start.shape[-1]))
    h, back_lstm = lstm(p.lstm, x, start, mask, rate, rng)
    z, back_out = linear(p.out, np.concatenate([x, h], -1))
    y, *saved = l2_normalise(z)

    def backward(dy, g):
        dx, dh = np.split(back_out(l2_normalise_backward(dy, *saved), g.out), [x.shape[-1]], -1)
        dx2, dstart = back_lstm(dh, g.lstm)
        g.start += dstart.sum(2)
        return dx + dx2

    return y, backward


def describe_tlab_code(width):
    return {"attend": describe_attention(width), "norm": describe_layer_norm(width)}


@closure
def tlab_code(p, recurrent, convolved, valid=None, band=None, rate=0.0, rng=None, trace=None):
    """y = LN(recurrent + Attention(recurrent, convolved)), for eq. (3)-(6).   recurrent, convolved (B, T, C), valid (B, T).

    Two heads, and no local attention, unless `band` makes all of it local.
    """
    mask = within(None if valid is None else key_mask(valid), recurrent.shape[1], band)
    a, back_a = attention(p.attend, recurrent, convolved, HEADS, mask, rate, rng, trace)
    y, back_norm = layer_norm(p.norm, recurrent + a)

    def backward(dy, g):
        dr = back_norm(dy, g.norm)  # r = recurrent + a
        drecurrent, dconvolved = back_a(dr, g.attend)
        return dr + drecurrent, dconvolved

    return y, backward


def describe_dense_coattention(audio, visual, steps):
    joint = audio + visual
    return {"query": describe_linear(joint, joint)} | {
        name: {
            "time": describe_linear(steps, steps),
            "guide": describe_linear(width, width),
            "out": describe_linear(joint, width),
        }
        for name, width in (("audio", audio), ("visual", visual))
    }


@closure
def dense_coattention(p, audio, visual, valid=None, rate=0.0, rng=None, trace=None):
    """q = J W_q + b, J = [audio; visual];  x <- x + drop(relu(w W_o + b)) for both x, w by _guided.   (Authors' code of 003.)

    audio (B, T, A), visual (B, T, V), valid (B, T). Returns (audio, visual). For eq. (8)-(11), see coattentions.
    """
    audio, visual, joint, back_joined = joined(p.audio.time.W, audio, visual, valid)
    q, back_q = linear(p.query, joint)
    q, back_hide = hide(q, valid)  # its bias must not reach the sum over time
    y_audio, back_audio = _guided(p.audio, audio, q, rate, rng, scope(trace, "audio"))
    y_visual, back_visual = _guided(p.visual, visual, q, rate, rng, scope(trace, "visual"))

    def backward(dy, g):
        daudio, dq1 = back_audio(dy[0], g.audio)
        dvisual, dq2 = back_visual(dy[1], g.visual)
        return back_joined(daudio, dvisual, back_q(back_hide(dq1 + dq2), g.query))

    return (y_audio, y_visual), backward


def _guided(p, x, q, rate, rng, trace):
    """S = tanh(k q / sqrt(D)), k = x^T W_t + b_t;  w = relu(tanh((x W_g + b_g) drop(S)));  y = x + drop(relu(w W_o + b_o)).

    x (B, T, C), q (B, T, D), k (B, C, T), S (B, C, D), w (B, T, D).
    """
    scale = q.shape[-1] ** -0.5
    k, back_k = linear(p.time, x.swapaxes(1, 2))  # (B, C, T)
    s = tanh(k @ q * scale)  # (B, C, D)
    note(trace, "correlation", s)
    dropped, back_drop1 = dropout(rng, s, rate)
    e, back_e = linear(p.guide, x)  # (B, T, C)
    t = tanh(e @ dropped)  # (B, T, D)
    w = relu(t)
    o, back_o = linear(p.out, w)
    r = relu(o)  # (B, T, C)
    z, back_drop2 = dropout(rng, r, rate)

    def backward(dy, g):
        dw = back_o(relu_backward(back_drop2(dy), r), g.out)
        dm = tanh_backward(relu_backward(dw, w), t)  # t = tanh(m), m = e dropped
        ds = back_drop1(e.swapaxes(1, 2) @ dm)
        dn = tanh_backward(ds, s) * scale  # s = tanh(scale n), n = k q
        dx = dy + back_e(dm @ dropped.swapaxes(1, 2), g.guide)
        dx = dx + back_k(dn @ q.swapaxes(1, 2), g.time).swapaxes(1, 2)
        return dx, k.swapaxes(1, 2) @ dn

    return x + z, backward


def describe_coattentions(width, steps):
    return {"layers": [describe_dense_coattention(width, width, steps) for _ in range(2)]}


@closure
def coattentions(p, audio, visual, valid, rate=0.0, rng=None, trace=None):
    """Dense co-attention, twice, for eq. (8)-(11).   audio, visual (B, T, C)."""
    y, back = stack(lambda q, x, i: dense_coattention(q, *x, valid, rate, rng, trace), p.layers, (audio, visual))
    return y, lambda dy, g: back(dy, g.layers)


def describe_regressors(width, hidden, outputs):
    return {"each": [describe_mlp(width, hidden, 1) for _ in range(outputs)]}


@closure
def regressors(p, h, rate=0.0, rng=None):
    """An MLP of two layers for every output, for eq. (14).   h (..., C) -> (..., outputs)."""
    parts = [mlp(part, h, rate, rng) for part in p.each]

    def backward(dy, g):
        return sum(back(dy[..., i : i + 1], part) for i, ((_, back), part) in enumerate(zip(parts, g.each, strict=True)))

    return np.concatenate([y for y, _ in parts], -1), backward
