"""What is looked up or shared by all clips: embedding tables, learned tokens, positions, the weights of a sum of layers."""

import numpy as np

from refmer.layers.trace import note
from refmer.ops.activations import softmax, softmax_backward
from refmer.ops.positions import sinusoidal
from refmer.params import Leaf, normal, zeros


def describe_embedding(count, width):
    """Rows of length about 1."""
    return {"W": Leaf((count, width), normal(width**-0.5))}


def embedding(p, index):
    """y = W[index].   index (...) of int, W (N, C) -> (..., C). An index is no input to differentiate: backward returns ()."""
    index = _indices(index, len(p.W))

    def backward(dy, g):
        g.W += _rows_of(dy, index, g.W)
        return ()

    return p.W[index], backward


def modality_embedding(p, x, modality):
    """y = x + W[modality]: tells an attention which modality a step or a token comes from.

    x (..., C), W (M, C); modality of int broadcasts to (...): one number for a stream, (T) for joined streams or tokens.
    """
    steps = x.shape[:-1]
    index = np.broadcast_to(_indices(modality, len(p.W)), steps)

    def backward(dy, g):
        g.W += _rows_of(dy, index, g.W)
        return dy

    return x + p.W[index], backward


def describe_tokens(count, width):
    return {"W": Leaf((count, width), normal(0.02))}


def tokens(p, B):
    """The same learned tokens (N, C) for each of B clips: queries of a summarizer, or a token to prepend. -> (B, N, C)."""

    def backward(dy, g):
        g.W += dy.sum(0)
        return ()

    return np.broadcast_to(p.W, (B, *p.W.shape)), backward


def positions(x, valid=None, literal=False):
    """y = x + sinusoidal(T, C).   x (B, T, C); valid (B, T) bool: nothing is added to the other steps.

    With `literal=True`, the rule of paper 002's code takes the place of `valid`: where channel 0 is exactly 0 is padding.
    """
    table = sinusoidal(*x.shape[-2:]).astype(x.real.dtype)
    if literal:
        valid = x[..., 0].real != 0
    if valid is not None:
        if valid.dtype != bool or valid.shape != x.shape[:-1]:
            raise ValueError(f"valid has dtype {valid.dtype} and shape {valid.shape}; accepted: bool, {x.shape[:-1]}")
        table = np.where(valid[..., None], table, 0)
    return x + table, lambda dy: dy


def describe_layer_sum(count):
    """One scalar per layer; all 0: the plain mean."""
    return {"score": Leaf((count,), zeros)}


def layer_sum(p, x, trace=None):
    """y = sum_l a_l x_l, a = softmax(score).   x (B, T, L, D), score (L) -> (B, T, D)   (paper 004, II-A: layers of WavLM).

    The paper speaks of learnable weights; that they pass a softmax is our reading.
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


def _rows_of(dy, index, W):
    """dW[i] = the sum of the dy that came from row i."""
    dW = np.zeros_like(W)
    np.add.at(dW, index, dy)  # an index may occur more than once
    return dW


def _indices(index, count):
    index = np.asarray(index)
    if index.dtype.kind not in "iu" or (index.size and not 0 <= index.min() <= index.max() < count):
        raise ValueError(f"index is {index.dtype}, {index.min()} to {index.max()}; accepted: integers from 0 to {count - 1}")
    return index
