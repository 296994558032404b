"""What paper 001 (OF-CMAER-CAT) has around CMAA and AWOM (cmaa.py): plain stand-ins for both, and the Transformer after them.

Streams are {modality: (B, T_i, C)}, valid {modality: (B, T_i)}, as there.
"""

import numpy as np

from refmer.layers.attention import Rates, describe_encoder, encoder
from refmer.layers.embedding import describe_embedding, modality_embedding, positions
from refmer.layers.norms import layer_norm
from refmer.layers.pooling import mean_pool
from refmer.layers.trace import note
from refmer.ops.masks import key_mask


def time_means(streams, valid):
    """Means over the valid steps of each modality, eq. (2).   -> (B, M, d)."""
    found = {m: mean_pool(x, valid[m]) for m, x in streams.items()}

    def backward(dy):
        return {m: back(dy[:, i]) for i, (m, (_, back)) in enumerate(found.items())}

    return np.stack([y for y, _ in found.values()], 1), backward


def keep(p, streams, valid, available, trace=None):
    """In place of CMAA: F_i^a = LN(F_i), eq. (7) without its second summand."""
    found = {m: layer_norm(p.norm, x) for m, x in streams.items()}
    return {m: y for m, (y, _) in found.items()}, lambda dy, g: {m: back(dy[m], g.norm) for m, (_, back) in found.items()}


def even(p, streams, aligned, valid, available, trace=None):
    """In place of AWOM: the modalities that are there weigh the same."""
    pooled, back_means = time_means(aligned, valid)
    w = (available / np.maximum(available.sum(1, keepdims=True), 1)).astype(pooled.real.dtype)
    note(trace, "weights", w)

    def backward(dy, g):
        dh, _ = dy
        return {m: 0.0 for m in streams}, back_means(w[..., None] * dh[:, None])

    return ((w[..., None] * pooled).sum(1), w), backward


def describe_context(modalities, width, hidden, layers):
    return {"modality": describe_embedding(modalities, width), "encoder": describe_encoder(width, hidden, layers)}


def context(p, streams, w, valid, heads, rate=0.0, rng=None, trace=None):
    """Every step attends to all steps of all modalities; then a mean per modality.   -> (B, M, C).

    Tokens w~_i F_i^a + embedding of i, scaled, + positions (from 1 in each modality) -> pre-norm layers. Where it stands the
    paper does not say: its text has it after the weights, its eq. (11) leaves no sequence for it.
    """
    tokens, back_tokens = arrange(p.modality, streams, w)
    ends = np.cumsum([v.shape[1] for v in valid.values()])[:-1]

    def place(x):
        parts = zip(np.split(x, ends, 1), valid.values(), strict=True)
        return np.concatenate([positions(part, v)[0] for part, v in parts], 1), lambda dx: dx

    mask, rates = key_mask(np.concatenate(list(valid.values()), 1)), Rates(*[rate] * 4)
    x, back_encoder = encoder(p.encoder, tokens, heads, mask, rates, rng, trace, place=place)
    z, back_means = time_means(dict(zip(valid, np.split(x, ends, 1), strict=True)), valid)

    def backward(dz, g):
        dx = np.concatenate(list(back_means(dz).values()), 1)
        return back_tokens(back_encoder(dx, g.encoder), g.modality)

    return z, backward


def arrange(p, streams, w):
    """w_i F_i + the modality's embedding, all modalities one after another; w (B, M).   -> (B, sum T_i, C)."""
    found = [modality_embedding(p, w[:, i, None, None] * x, i) for i, x in enumerate(streams.values())]
    ends = np.cumsum([x.shape[1] for x in streams.values()])[:-1]

    def backward(dy, g):
        parts = [back(d, g) for d, (_, back) in zip(np.split(dy, ends, 1), found, strict=True)]
        dw = np.stack([(d * x).sum((1, 2)) for d, x in zip(parts, streams.values(), strict=True)], 1)
        return {m: w[:, i, None, None] * parts[i] for i, m in enumerate(streams)}, dw

    return np.concatenate([y for y, _ in found], 1), backward
