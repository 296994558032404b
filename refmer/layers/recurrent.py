"""LSTM (stacked, bidirectional) and GRU. The products x W of all steps are one; the recurrence is ops/recurrent.py.

Each direction has two biases, of the input and of the hidden part, as PyTorch: for the LSTM only their sum matters, but
published sizes count both; for the GRU they differ. torch's weight_ih is inputs.W.T, bias_hh is hidden.b, and so on.
"""

import numpy as np

from refmer.layers.dense import dropout, linear
from refmer.ops import recurrent as ops
from refmer.ops.masks import fitting
from refmer.ops.shapes import rows
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
        dys = np.split(dy, len(parts), axis=-1)
        grads = [back(d, part) for (_, back), d, part in zip(parts, dys, g, strict=True)]
        dx, dh0, dc0 = zip(*grads, strict=True)
        return sum(dx), np.stack([np.stack(dh0), np.stack(dc0)])

    return np.concatenate([y for y, _ in parts], axis=-1), backward


def lstm_direction(p, x, h0, c0, mask=None, reverse=False):
    """The LSTM of ops/recurrent.py on u = x W + b_input + b_hidden, from the first step on or from the last.   x (B, T, D)."""
    u, back_input = linear(p.inputs, x)
    u, way, mask = _sequence(u + p.hidden.b, mask, reverse)
    y, *saved = ops.lstm(u, p.hidden.W, h0, c0, mask)

    def backward(dy, g):
        du, dU, dh0, dc0 = ops.lstm_backward(dy[:, way], *saved)
        g.hidden.W += dU
        g.hidden.b += rows(du).sum(0)
        return back_input(du[:, way], g.inputs), dh0, dc0

    return y[:, way], backward


def describe_gru(n_in, width):
    return _describe_cell(n_in, width, 3)


def gru(p, x, h0=None, mask=None, reverse=False):
    """The GRU of ops/recurrent.py on u = x W + b_input.   x (B, T, D), h0 (B, H); None is 0 and has no gradient."""
    u, back_input = linear(p.inputs, x)
    u, way, mask = _sequence(u, mask, reverse)
    shape = (len(x), p.hidden.W.shape[0])
    start = np.zeros(shape, x.dtype) if h0 is None else h0
    if start.shape != shape:
        raise ValueError(f"h0 has shape {start.shape}; accepted: {shape}, (B, H)")
    y, *saved = ops.gru(u, p.hidden.W, p.hidden.b, start, mask)

    def backward(dy, g):
        du, dU, db, dh0 = ops.gru_backward(dy[:, way], *saved)
        g.hidden.W += dU
        g.hidden.b += db
        dx = back_input(du[:, way], g.inputs)
        return dx if h0 is None else (dx, dh0)

    return y[:, way], backward


def _sequence(u, mask, reverse):
    """u and mask in the order of reading, and the slice that brings them there (and back)."""
    if u.shape[1] == 0:
        raise ValueError(f"x has no steps (shape {u.shape[:2]} and its width); accepted: at least one")
    way = slice(None, None, -1 if reverse else 1)
    return u[:, way], way, None if mask is None else fitting(mask, u[:, :, 0])[:, way]
