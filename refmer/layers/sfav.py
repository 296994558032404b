"""Attention as weights of frames: the intermediate fusion of SFAV, a baseline of paper 004 (Chumachenko et al. 2022)."""

import numpy as np

from refmer.layers.dense import describe_project, project
from refmer.layers.trace import note
from refmer.ops.activations import fitting
from refmer.ops.attention import attention_weights, attention_weights_backward, key_mask, merge_heads, split_heads


def describe_frame_attention(query, key, width):
    return {"query": describe_project(query, width), "key": describe_project(key, width)}


def frame_attention(p, x, memory, heads=1, x_valid=None, valid=None, trace=None):
    """y_s = w_s memory_s, w_s = sum_t softmax(q k^T / sqrt(D))_ts, the mean over heads: the attention of x to frame s.

    x (B, T, C) with x_valid (B, T), memory (B, S, E) with valid (B, S), w (B, S). The weights sum to the number of valid steps
    of x. There are no values.
    """
    q, back_q = project(p.query, x)
    k, back_k = project(p.key, memory)
    a, *saved = attention_weights(split_heads(q, heads), split_heads(k, heads), None if valid is None else key_mask(valid))
    rows = None if x_valid is None else fitting(x_valid[:, None, :, None], a)  # (B, 1, T, 1)
    counted = a if rows is None else np.where(rows, a, 0)  # (B, H, T, S)
    w = counted.sum((1, 2)) / heads  # (B, S)
    note(trace, "frames", w)

    def backward(dy, g):
        dw = (dy * memory).sum(-1)  # y = w memory
        da = np.broadcast_to(dw[:, None, None] / heads, a.shape)
        dq, dk = attention_weights_backward(da if rows is None else np.where(rows, da, 0), *saved)
        return back_q(merge_heads(dq), g.query), w[..., None] * dy + back_k(merge_heads(dk), g.key)

    return w[..., None] * memory, backward
