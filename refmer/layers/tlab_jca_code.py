"""The parts of TLAB-JCA in its authors' code, whose 26,971,763 parameters are the published count. See tlab_jca_paper.py."""

import numpy as np

from refmer.layers.coattention import dense_coattention, describe_dense_coattention
from refmer.layers.dense import describe_linear, describe_mlp, linear, mlp
from refmer.layers.sequence import describe_lstm, lstm
from refmer.layers.tlab import describe_tlab_code, tlab_code
from refmer.ops.attention import banded, key_mask
from refmer.ops.norms import l2_normalise, l2_normalise_backward
from refmer.params import Leaf, normal

HEADS = 2
SUBLAYERS = 2  # of dense co-attention


def describe_recur(width, layers):
    return describe_lstm_module(width, width)


def recur(p, x, valid, rates, rng):
    """L = their LSTM module."""
    return lstm_module(p, x, valid, rates.lstm, rng)


def describe_lstm_module(n_in, width):
    return {
        "lstm": describe_lstm(n_in, width // 2, 2, bidirectional=True),
        "start": Leaf((2, 4, width // 2), normal(0.02)),  # learned h_0 and c_0 of 2 layers in 2 directions
        "out": describe_linear(n_in + width, width),
    }


def lstm_module(p, x, valid=None, rate=0.0, rng=None):
    """y = z / ||z||, z = [x; h] W + b, h = BLSTM(x) from a learned state.   x (B, T, D) -> (B, T, C)."""
    start = np.broadcast_to(p.start[:, :, None], (2, 4, len(x), p.start.shape[-1]))
    h, back_lstm = lstm(p.lstm, x, start, valid, rate, rng)
    z, back_out = linear(p.out, np.concatenate([x, h], -1))
    y, *saved = l2_normalise(z)

    def backward(dy, g):
        dx, dh = np.split(back_out(l2_normalise_backward(dy, *saved), g.out), [x.shape[-1]], -1)
        dx2, dstart = back_lstm(dh, g.lstm)
        g.start += dstart.sum(2)
        return dx + dx2

    return y, backward


def describe_attend(width):
    return describe_tlab_code(width)


def attend(p, recurrent, convolved, valid, rates, rng, band, trace):
    """y = LN(L + Attention(L, T)) with two heads; no local attention, unless `band` makes all of it local."""
    mask = key_mask(valid)
    if band is not None:
        mask = mask & banded(valid.shape[1], valid.shape[1], band)
    return tlab_code(p, recurrent, convolved, HEADS, mask, rates.attention, rng, trace)


def describe_fuse(width, steps, hidden):
    return {"layers": [describe_dense_coattention(width, width, steps) for _ in range(SUBLAYERS)]}


def fuse(p, audio, visual, valid, rates, rng, trace):
    """Dense co-attention, twice."""
    backs, y = [], (audio, visual)
    for layer in p.layers:
        y, back = dense_coattention(layer, *y, valid, rates.fusion, rng, trace)
        backs.append(back)

    def backward(dy, g):
        for back, layer in zip(reversed(backs), reversed(g.layers), strict=True):
            dy = back(dy, layer)
        return dy

    return y, backward


def describe_join(n_in, width, layers):
    return describe_lstm_module(n_in, width)


def join(p, x, valid, rates, rng):
    """Their LSTM module again."""
    return lstm_module(p, x, valid, rates.lstm, rng)


def describe_head(width, hidden, outputs):
    return {"each": [describe_mlp(width, hidden, 1) for _ in range(outputs)]}


def head(p, h, rates, rng):
    """A regressor of two layers for every output."""
    parts = [mlp(part, h, rates.head, rng) for part in p.each]

    def backward(dy, g):
        return sum(back(dy[..., i : i + 1], part) for i, ((_, back), part) in enumerate(zip(parts, g.each, strict=True)))

    return np.concatenate([y for y, _ in parts], -1), backward
