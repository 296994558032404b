"""Layers along time: LSTM and GRU; pooling; learned vectors (tokens, embeddings of modalities); positions; a sum of layers.

The recurrences are in ops/recurrent.py. Each direction has two biases, of the input and of the hidden part, as PyTorch: for the
LSTM only their sum matters, but published sizes count both; for the GRU they differ. torch's weight_ih is inputs.W.T, bias_hh
is hidden.b, and so on.
"""

import math
from functools import reduce

import numpy as np

from refmer.layers.dense import describe_linear, dropout, fitting_width, linear
from refmer.layers.trace import note
from refmer.ops import pooling, recurrent
from refmer.ops.activations import fitting, softmax, softmax_backward, tanh, tanh_backward
from refmer.ops.contracts import closure
from refmer.ops.convolution import windows, windows_backward
from refmer.ops.dense import rows
from refmer.params import Leaf, normal, uniform, xavier, zeros


# --- Recurrence ---
def _describe_cell(n_in, width, gates):
    """Uniform in +-1/sqrt(H), as PyTorch."""
    values = uniform(-(width**-0.5), width**-0.5)

    def maps(n):
        return {"W": Leaf((n, gates * width), values), "b": Leaf((gates * width,), values)}

    return {"inputs": maps(n_in), "hidden": maps(width)}


def describe_lstm(n_in, width, layers=1, bidirectional=False):
    """layers[k][0] reads forwards, layers[k][1] backwards; `width` is that of one direction."""
    ways = 2 if bidirectional else 1
    return {"layers": [[_describe_cell(ways * width if k else n_in, width, 4) for _ in range(ways)] for k in range(layers)]}


@closure
def lstm(p, x, state=None, mask=None, rate=0.0, rng=None):
    """A stack of LSTMs, each in one direction or two side by side, dropout between.   x (B, T, D) -> (B, T, ways H).

    mask (B, T): a masked step keeps the state and gives 0. state (2, layers ways, B, H): initial h and c, in PyTorch's order
    (layer 0 forwards, backwards, layer 1, ...); None is 0. With a state, backward returns (dx, dstate); else dx.
    """
    ways, H = len(p.layers[0]), p.layers[0][0].hidden.W.shape[0]
    shape = (2, len(p.layers) * ways, len(x), H)
    start = np.zeros(shape, x.dtype) if state is None else state
    if start.shape != shape:
        raise ValueError(f"state has shape {start.shape}; accepted: {shape}, (h and c, layers x directions, B, H)")
    y, backs = x, []
    for k, directions in enumerate(p.layers):
        y, back_drop = dropout(rng, y, rate if k else 0.0)
        y, back_layer = _both_ways(directions, y, start[:, k * ways : (k + 1) * ways], mask)
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


@closure
def lstm_direction(p, x, h0, c0, mask=None, reverse=False):
    """The LSTM of ops/recurrent.py with b = b_input + b_hidden, from the first step on or from the last.   x (B, T, D)."""
    mask = _fitting(p, x, mask)
    y, *saved = recurrent.lstm(x, p.inputs.W, p.inputs.b + p.hidden.b, p.hidden.W, h0, c0, mask, reverse)

    def backward(dy, g):
        dx, dW, db, dU, dh0, dc0 = recurrent.lstm_backward(dy, *saved)
        g.inputs.W += dW
        g.inputs.b += db
        g.hidden.W += dU
        g.hidden.b += db
        return dx, dh0, dc0

    return y, backward


def describe_gru(n_in, width):
    return _describe_cell(n_in, width, 3)


@closure
def gru(p, x, h0=None, mask=None, reverse=False):
    """The GRU of ops/recurrent.py.   x (B, T, D), h0 (B, H); None is 0 and has no gradient."""
    mask = _fitting(p, x, mask)
    shape = (len(x), p.hidden.W.shape[0])
    start = np.zeros(shape, x.dtype) if h0 is None else h0
    if start.shape != shape:
        raise ValueError(f"h0 has shape {start.shape}; accepted: {shape}, (B, H)")
    y, *saved = recurrent.gru(x, p.inputs.W, p.inputs.b, p.hidden.W, p.hidden.b, start, mask, reverse)

    def backward(dy, g):
        dx, dW, db, dU, db_hidden, dh0 = recurrent.gru_backward(dy, *saved)
        g.inputs.W += dW
        g.inputs.b += db
        g.hidden.W += dU
        g.hidden.b += db_hidden
        return dx if h0 is None else (dx, dh0)

    return y, backward


def _fitting(p, x, mask):
    """Check that x and mask fit; return the mask (B, T) or None."""
    fitting_width(p.inputs, x)
    if x.shape[1] == 0:
        raise ValueError(f"x has no steps (shape {x.shape}); accepted: at least one")
    return None if mask is None else np.broadcast_to(fitting(mask, x[:, :, 0]), x.shape[:2])


# --- Pooling ---
@closure
def max_pool1d(x, size, stride=None, padding="same", mask=None):
    """The largest of the valid steps in each window.   x (B, T, C) -> (B, T', C); stride None is `size`.

    Steps outside and masked steps are left out. With "same" no step is lost: T' = ceil(T / stride). The mask of the output
    is that of ops.convolution.thin_mask.
    """
    options = {"size": size, "stride": stride or size, "padding": padding}
    w, *saved_windows = windows(x, **options)  # (B, T', size, C)
    inside, *_ = windows(_valid(x, mask)[..., None], **options)  # (B, T', size, 1)
    y, *saved = pooling.masked_max(w, inside[..., 0])
    return y, lambda dy: windows_backward(pooling.masked_max_backward(dy, *saved), *saved_windows)


@closure
def mean_pool(x, mask=None):
    """The mean over the valid steps.   x (B, T, C), mask (B, T) -> (B, C)."""
    y, *saved = pooling.masked_mean(x, _valid(x, mask))
    return y, lambda dy: pooling.masked_mean_backward(dy, *saved)


@closure
def mean_positions(x):
    """The mean over all axes between batch and channels (global average pooling).   x (B, ..., C) -> (B, C)."""
    y, back_mean = mean_pool(x.reshape(len(x), -1, x.shape[-1]))
    return y, lambda dy: back_mean(dy).reshape(x.shape)


@closure
def last_valid_step(x, mask):
    """The last valid step of the mask (B, T); 0 without a valid step.   x (B, T, C) -> (B, C)."""
    y, *saved = pooling.last_valid(x, _valid(x, mask))
    return y, lambda dy: pooling.last_valid_backward(dy, *saved)


def describe_statistics_pool(width):
    return {"hidden": describe_linear(width, width), "score": {"W": Leaf((width, 1), xavier)}}


@closure
def statistics_pool(p, x, mask=None, trace=None):
    """a = softmax_t(v . tanh(x_t W + b)); y = [weighted mean | weighted std]   (paper 004; Okabe et al. 2018).

    x (B, T, C), mask (B, T) -> (B, 2C). Without a valid step 0.
    """
    u, back_hidden = linear(p.hidden, x)
    h = tanh(u)
    a = softmax((h @ p.score.W)[..., 0], _valid(x, mask))  # (B, T)
    y, *saved = pooling.statistics(x, a)
    note(trace, "weights", a)

    def backward(dy, g):
        dx, da = pooling.statistics_backward(dy, *saved)
        ds = softmax_backward(da, a)[..., None]  # s = h W
        g.score.W += rows(h).T @ rows(ds)
        return dx + back_hidden(tanh_backward(ds @ p.score.W.T, h), g.hidden)

    return y, backward


def _valid(x, mask):
    return np.ones(x.shape[:2], bool) if mask is None else np.broadcast_to(fitting(mask, x[..., 0]), x.shape[:2])


# --- Learned vectors and weights ---
def describe_prepend(width):
    return {"token": Leaf((width,), normal(0.02))}


@closure
def prepend(p, x):
    """[token; x_0; x_1; ...]: a learned step in front, which attention turns into a summary.   x (B, T, C) -> (B, T + 1, C)."""
    if p.token.shape != x.shape[-1:]:
        raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {len(p.token)}, the width of the token")
    token = np.broadcast_to(p.token, (len(x), 1, x.shape[-1]))

    def backward(dy, g):
        g.token += dy[:, 0].sum(0)
        return dy[:, 1:]

    return np.concatenate([token, x], axis=1), backward


def describe_tokens(count, width):
    return {"W": Leaf((count, width), normal(0.02))}


@closure
def tokens(p, B):
    """The same learned tokens (N, C) for each of B clips: the queries of a summarizer. -> (B, N, C)."""

    def backward(dy, g):
        g.W += dy.sum(0)
        return ()

    return np.broadcast_to(p.W, (B, *p.W.shape)), backward


def describe_embedding(count, width):
    """Rows of length about 1."""
    return {"W": Leaf((count, width), normal(width**-0.5))}


@closure
def modality_embedding(p, x, modality):
    """y = x + W[modality]: marks the modality of each step or token for attention.

    x (..., C), W (M, C); modality of int broadcasts to (...): one number for a stream, (T) for joined streams or tokens.
    """
    index, count = np.asarray(modality), len(p.W)
    if index.dtype.kind not in "iu" or (index.size and not 0 <= index.min() <= index.max() < count):
        raise ValueError(f"index is {index.dtype}, {index.min()} to {index.max()}; accepted: integers from 0 to {count - 1}")
    index = np.broadcast_to(index, x.shape[:-1])

    def backward(dy, g):
        dW = np.zeros_like(g.W)
        np.add.at(dW, index, dy)  # an index may occur more than once
        g.W += dW
        return dy

    return x + p.W[index], backward


def describe_layer_sum(count):
    """One scalar per layer; all 0: the plain mean."""
    return {"score": Leaf((count,), zeros)}


@closure
def layer_sum(p, x, trace=None):
    """y = sum_l a_l x_l, a = softmax(score).   x (B, T, L, D), score (L) -> (B, T, D)   (paper 004, II-A: layers of WavLM).

    The paper names learnable weights; the softmax is our reading.
    """
    if x.shape[-2] != len(p.score):
        raise ValueError(f"x has {x.shape[-2]} layers (shape {x.shape}); accepted: {len(p.score)}, one per score")
    a = softmax(p.score)
    note(trace, "layers", a)

    def backward(dy, g):
        da = (x @ dy[..., None]).reshape(-1, len(a)).sum(0)  # y = a x
        g.score += softmax_backward(da, a)
        return a[:, None] * dy[..., None, :]

    return a @ x, backward


# --- Positions ---
@closure
def positions(x, valid=None):
    """y = x + sinusoidal(T, C).   x (B, T, C); valid (B, T) bool: nothing is added to the other steps."""
    table = sinusoidal(*x.shape[-2:]).astype(x.real.dtype)
    if valid is not None:
        if valid.dtype != bool or valid.shape != x.shape[:-1]:
            raise ValueError(f"valid has dtype {valid.dtype} and shape {valid.shape}; accepted: bool, {x.shape[:-1]}")
        table = np.where(valid[..., None], table, 0)
    return x + table, lambda dy: dy


def sinusoidal(length, width):
    """Row t is [sin((t + 1) f) | cos((t + 1) f)], f_i = exp(-i ln(10^4) / (half - 1)), half = width // 2. -> (length, width).

    The layout of fairseq and of paper 002's code: positions from 1, sines first (Vaswani et al. 2017 interleave them); a last
    odd channel is 0.
    """
    if length < 0 or width < 2:
        raise ValueError(f"length is {length} and width {width}; accepted: lengths from 0, widths from 2")
    half = width // 2
    f = np.exp(-np.arange(half) * math.log(1e4) / max(half - 1, 1))
    angle = np.arange(1, length + 1)[:, None] * f  # (length, half)
    return np.concatenate([np.sin(angle), np.cos(angle), np.zeros((length, width % 2))], axis=1)
