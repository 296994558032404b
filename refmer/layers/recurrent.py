"""LSTM (stacked, bidirectional) and GRU. The recurrence is ops/recurrent.py.

Each direction has two biases, of the input and of the hidden part, as PyTorch: for the LSTM only their sum matters, but
published sizes count both; for the GRU they differ. torch's weight_ih is inputs.W.T, bias_hh is hidden.b, and so on.
"""

from functools import reduce

import numpy as np

from refmer.layers.dense import dropout, fitting_width
from refmer.ops import recurrent as ops
from refmer.ops.masks import fitting
from refmer.params import Leaf


def _describe_cell(n_in, width, gates):
    """Uniform in +-1/sqrt(H), as PyTorch."""

    def uniform(rng, shape):
        return rng.uniform(-(width**-0.5), width**-0.5, shape)

    def maps(n):
        return {"W": Leaf((n, gates * width), uniform), "b": Leaf((gates * width,), uniform)}

    return {"inputs": maps(n_in), "hidden": maps(width)}


def describe_lstm(n_in, width, layers=1, bidirectional=False):
    """layers[k][0] reads forwards, layers[k][1] backwards; `width` is that of one direction."""
    ways = 2 if bidirectional else 1
    return {"layers": [[_describe_cell(ways * width if k else n_in, width, 4) for _ in range(ways)] for k in range(layers)]}


def lstm(p, x, state=None, mask=None, rate=0.0, rng=None):
    """A stack of LSTMs, each in one direction or two side by side, dropout between.   x (B, T, D) -> (B, T, ways H).

    mask (B, T): a masked step keeps the state and gives 0. state (2, layers ways, B, H): initial h and c, in PyTorch's order
    (layer 0 forwards, backwards, layer 1, ...); None is 0. With a state, backward returns (dx, dstate); else dx.
    """
    ways, H = len(p.layers[0]), p.layers[0][0].hidden.W.shape[0]
    shape = (2, len(p.layers) * ways, len(x), H)
    given = np.zeros(shape, x.dtype) if state is None else state
    if given.shape != shape:
        raise ValueError(f"state has shape {given.shape}; accepted: {shape}, (h and c, layers x directions, B, H)")
    y, backs = x, []
    for k, directions in enumerate(p.layers):
        y, back_drop = dropout(rng, y, rate if k else 0.0)
        y, back_layer = _both_ways(directions, y, given[:, k * ways : (k + 1) * ways], mask)
        backs.append((back_drop, back_layer))

    def backward(dy, g):
        dstates = []
        for k, (back_drop, back_layer) in reversed(list(enumerate(backs))):
            dy, dstate = back_layer(dy, g.layers[k])
            dy = back_drop(dy)
            dstates.insert(0, dstate)
        return dy if state is None else (dy, np.concatenate(dstates, axis=1))

    return y, backward


def _both_ways(p, x, state, mask):
    """One layer: a list of one or two directions.   state (2, ways, B, H)."""
    parts = [lstm_direction(q, x, *state[:, k], mask, reverse=k == 1) for k, q in enumerate(p)]

    def backward(dy, g):
        H = dy.shape[-1] // len(parts)
        dys = [dy[..., k * H : (k + 1) * H] for k in range(len(parts))]
        grads = [back(d, part) for (_, back), d, part in zip(parts, dys, g, strict=True)]
        dx, dh0, dc0 = zip(*grads, strict=True)
        return reduce(np.add, dx), (dh0, dc0)

    y, *other = (y for y, _ in parts)
    return np.concatenate([y, *other], axis=-1) if other else y, backward


def lstm_direction(p, x, h0, c0, mask=None, reverse=False):
    """The LSTM of ops/recurrent.py with b = b_input + b_hidden, from the first step on or from the last.   x (B, T, D)."""
    mask = _fitting(p, x, mask)
    y, *saved = ops.lstm(x, p.inputs.W, p.inputs.b + p.hidden.b, p.hidden.W, h0, c0, mask, reverse)

    def backward(dy, g):
        dx, dW, db, dU, dh0, dc0 = ops.lstm_backward(dy, *saved)
        g.inputs.W += dW
        g.inputs.b += db
        g.hidden.W += dU
        g.hidden.b += db
        return dx, dh0, dc0

    return y, backward


def describe_gru(n_in, width):
    return _describe_cell(n_in, width, 3)


def gru(p, x, h0=None, mask=None, reverse=False):
    """The GRU of ops/recurrent.py.   x (B, T, D), h0 (B, H); None is 0 and has no gradient."""
    mask = _fitting(p, x, mask)
    shape = (len(x), p.hidden.W.shape[0])
    start = np.zeros(shape, x.dtype) if h0 is None else h0
    if start.shape != shape:
        raise ValueError(f"h0 has shape {start.shape}; accepted: {shape}, (B, H)")
    y, *saved = ops.gru(x, p.inputs.W, p.inputs.b, p.hidden.W, p.hidden.b, start, mask, reverse)

    def backward(dy, g):
        dx, dW, db, dU, db_hidden, dh0 = ops.gru_backward(dy, *saved)
        g.inputs.W += dW
        g.inputs.b += db
        g.hidden.W += dU
        g.hidden.b += db_hidden
        return dx if h0 is None else (dx, dh0)

    return y, backward


def _fitting(p, x, mask):
    """The mask, once it and x fit."""
    fitting_width(p.inputs, x)
    if x.shape[1] == 0:
        raise ValueError(f"x has no steps (shape {x.shape}); accepted: at least one")
    return None if mask is None else np.broadcast_to(fitting(mask, x[:, :, 0]), x.shape[:2])
