"""The networks of paper 002, which AuxFormer and its baselines 1 (no auxiliary networks), 2 (MulT), 3 and 4 share.

Data flow: sequence (projection, 3.1) -> branch, one per modality (cross encoder, 3.2; encoder within, 3.3; token, 3.4) -> head.
An auxiliary network (3.5) is one encoder applied three times, a token and a head. The fields of a `config` are described in
systems/auxformer.py: those of Encoding for sequences and encoders, those of Network for the main network.
"""

from functools import partial

import numpy as np

from refmer.layers.attention import add, cross_encoder, describe_encoder, encoder
from refmer.layers.dense import describe_linear, describe_mlp, describe_project, linear, mlp, optional, project, stack
from refmer.layers.sequence import (
    describe_gru,
    describe_lstm,
    describe_prepend,
    gru,
    last_valid_step,
    lstm,
    mean_pool,
    positions,
    prepend,
)
from refmer.layers.trace import scope
from refmer.ops.activations import log_softmax, log_softmax_backward
from refmer.ops.attention import causal_between, key_mask
from refmer.params import Leaf, uniform

MODALITIES = ("audio", "visual")
PASSES = 3  # of an auxiliary network through its encoder (authors' code)


def literal_positions(x, valid):
    """The rule of the authors' code: frames whose channel 0 is not exactly 0 get positions."""
    return positions(x, x[..., 0].real != 0)


def no_positions(x, valid):
    """y = x (Table 3)."""
    return x, lambda dy: dy


POSITIONS = {"valid": positions, "literal": literal_positions, "off": no_positions}


def place(valid, config):
    """Return the function that adds positions to a sequence with these valid steps (B, T)."""
    return partial(POSITIONS[config.positions], valid=valid)


def causal_on_padded(queries, keys):
    """causal_between on padded lengths, as the authors' code."""
    return causal_between(np.ones_like(queries), np.ones_like(keys))


def not_causal(queries, keys):
    """Every query attends to every key."""
    return np.ones((1, 1, queries.shape[1], keys.shape[1]), bool)


CAUSAL = {"clip": causal_between, "padded": causal_on_padded, "off": not_causal}


def attention_mask(queries, keys, config):
    """The steps that each step attends to.   queries (B, T), keys (B, S) valid -> (B, 1, T, S)."""
    mask = CAUSAL[config.causal](queries, keys)
    if config.token == "prepended":
        mask = mask | (np.arange(queries.shape[1]) == 0)[:, None]
    return mask & key_mask(keys) if config.hide_padding else mask


def last_step(x, valid):
    """The last step, valid or padding.   x (B, T, C) -> (B, C)."""
    return last_valid_step(x, np.ones_like(valid))


def first_step(x, valid):
    """The first step, which is the prepended token.   x (B, T, C) -> (B, C)."""
    return last_valid_step(x, np.broadcast_to(np.arange(x.shape[1]) == 0, x.shape[:2]))


TOKENS = {"last_valid": last_valid_step, "last": last_step, "mean": mean_pool, "prepended": first_step}


def describe_sequence(modality, config):
    n_in, tree = getattr(config, modality), {}
    if modality != "audio" or config.audio_conv:
        tree["project"] = describe_project(n_in, config.width)
    elif n_in != config.width:
        raise ValueError(f"audio_conv is False with audio {n_in} and width {config.width}; accepted: audio = width")
    return tree | ({"token": describe_prepend(config.width)} if config.token == "prepended" else {})


def describe_sequences(config):
    return {m: describe_sequence(m, config) for m in MODALITIES}


def sequence(p, x, valid):
    """z = [token;] x W, a convolution of size 1 without bias (3.1).   x (B, T, D), valid (B, T) -> z (B, T [+ 1], d), valid."""
    z, back_map = optional(p, "project", project, x)
    z, back_token = optional(p, "token", prepend, z)
    valid = np.pad(valid, [(0, 0), (1, 0)], constant_values=True) if hasattr(p, "token") else valid
    return z, valid, lambda dz, g: back_map(back_token(dz, g), g)


def sequences(p, batch):
    """The sequences of both modalities: pairs of z (B, N, d) and its valid steps (B, N)."""
    *audio, back_audio = sequence(p.audio, batch["audio"], batch["audio_mask"])
    *visual, back_visual = sequence(p.visual, batch["visual"], batch["visual_mask"])

    def backward(daudio, dvisual, g):
        return {"audio": back_audio(daudio, g.audio), "visual": back_visual(dvisual, g.visual)}

    return audio, visual, backward


def describe_head(width, hidden, classes):
    return {"mlp": describe_mlp(width, *hidden, width), "out": describe_linear(width, classes)}


def head(p, z, rate=0.0, rng=None):
    """y = W_o (z + MLP(z)) + b_o, dropout after each ReLU of the MLP (3.4-3.5; the residual is the code's).   z (B, C)."""
    r, back_mlp = mlp(p.mlp, z, rate, rng)
    y, back_out = linear(p.out, z + r)

    def backward(dy, g):
        ds = back_out(dy, g.out)  # s = z + r
        return ds + back_mlp(ds, g.mlp)

    return y, backward


def describe_encoding(config):
    """An encoder with the sizes of the config."""
    return describe_encoder(config.width, 4 * config.width, config.layers)


def fixed_residual(p, r, z):
    """y = (r + z) / 2."""
    return 0.5 * (r + z), lambda dy, g: (0.5 * dy, 0.5 * dy)


def describe_learned_residual():
    """One scalar, which starts anywhere in [0, 1)."""
    return {"alpha": Leaf((1,), uniform(0, 1))}


def learned_residual(p, r, z):
    """y = alpha r + (1 - alpha) z (3.3).

    The text has two weights alpha and beta; the published number of parameters leaves one per layer: beta = 1 - alpha.
    """

    def backward(dy, g):
        g.alpha += np.sum(dy * (r - z))  # y = z + alpha (r - z)
        return p.alpha * dy, (1 - p.alpha) * dy

    return p.alpha * r + (1 - p.alpha) * z, backward


MIXES = {"off": add, "fixed": fixed_residual, "learned": learned_residual}


def describe_attention_within(config):
    tree = describe_encoding(config)
    alpha = describe_learned_residual() if config.mix == "learned" else {}
    return tree | {"layers": [layer | alpha for layer in tree["layers"]]}


def attention_within(p, h, valid, config, rng=None, trace=None):
    """Self-attention with the scaled residual (3.3).   h (B, T, d)."""
    where, rates = place(valid, config) if config.positions_within else None, config.rates(config.drop_self)
    mask = attention_mask(valid, valid, config)
    return encoder(p, h, config.heads, mask, rates, rng, trace, place=where, residual=MIXES[config.mix])


def describe_lstm_within(config):
    return describe_lstm(config.width, config.width)


def lstm_within(p, h, valid, config, rng=None, trace=None):
    return lstm(p, h, mask=valid if config.hide_padding else None)


def describe_gru_within(config):
    return describe_gru(config.width, config.width)


def gru_within(p, h, valid, config, rng=None, trace=None):
    return gru(p, h, mask=valid if config.hide_padding else None)


def describe_nothing_within(config):
    return {}


def nothing_within(p, h, valid, config, rng=None, trace=None):
    return h, lambda dh, g: dh


WITHIN = {  # Fig. 6
    "attention": (describe_attention_within, attention_within),
    "lstm": (describe_lstm_within, lstm_within),
    "gru": (describe_gru_within, gru_within),
    "off": (describe_nothing_within, nothing_within),
}


def describe_main(config):
    d, (describe_within, _) = config.width, WITHIN[config.within]
    branches = {m: {"cross": describe_encoding(config), "within": describe_within(config)} for m in MODALITIES}
    return branches | {"head": describe_head(2 * d, (2 * d,), config.classes)}


def main(p, audio, visual, config, rng=None, trace=None):
    """logits = head([branch(audio, visual); branch(visual, audio)])   (eq. 5, in the code's order, which is immaterial).

    audio, visual: pairs of z (B, N, d) and its valid steps (B, N).
    """
    a, back_a = branch(p.audio, *audio, *visual, config, rng, scope(trace, "audio"))
    v, back_v = branch(p.visual, *visual, *audio, config, rng, scope(trace, "visual"))
    logits, back_head = head(p.head, np.concatenate([a, v], -1), config.drop_out, rng)

    def backward(dlogits, g):
        da, dv = np.split(back_head(dlogits, g.head), 2, -1)
        (daudio, dvisual), (dvisual2, daudio2) = back_a(da, g.audio), back_v(dv, g.visual)
        return daudio + daudio2, dvisual + dvisual2

    return logits, backward


def branch(p, x, valid, memory, memory_valid, config, rng=None, trace=None):
    """One modality attends to the other (eq. 2-4), then to itself (3.3), and becomes one token (3.4).

    x (B, T, d), memory (B, S, d), their valid steps (B, T) and (B, S) -> (B, d). The residual carries the queries: the text
    before eq. 3 says keys and values, which have another length.
    """
    options = {"places": (place(valid, config), place(memory_valid, config)), "scale": config.scale}
    mask, rates = attention_mask(valid, memory_valid, config), config.rates(config.drop_cross)
    h, back_cross = cross_encoder(p.cross, x, memory, config.heads, mask, rates, rng, scope(trace, "cross"), **options)
    _, within = WITHIN[config.within]
    s, back_within = within(p.within, h, valid, config, rng, scope(trace, "within"))
    y, back_token = TOKENS[config.token](s, valid)
    return y, lambda dy, g: back_cross(back_within(back_token(dy), g.within), g.cross)


def describe_auxiliary(config, names):
    """An encoder of each name, and a head that all share."""
    hidden = config.auxiliary_hidden
    return {n: describe_encoding(config) for n in names} | {"head": describe_head(config.width, hidden, config.classes)}


def auxiliary(p, name, x, valid, config, rng=None, trace=None):
    """logits of one modality alone (3.5): encoder `name` three times in a row (code), without positions; token; shared head.

    x (B, T, d), valid (B, T) -> (B, K).
    """
    mask, rates = attention_mask(valid, valid, config), config.rates(config.drop_self)
    passes = [getattr(p, name)] * PASSES
    z, back_passes = stack(lambda q, x, i: encoder(q, x, config.heads, mask, rates, rng, trace), passes, x)
    token, back_token = TOKENS[config.token](z, valid)
    logits, back_head = head(p.head, token, config.drop_out, rng)

    def backward(dlogits, g):
        return back_passes(back_token(back_head(dlogits, g.head)), [getattr(g, name)] * PASSES)

    return logits, backward


def mean_logits(x):
    """y = mean_m x_m.   x (M, B, K)."""
    return x.mean(0), lambda dy: np.broadcast_to(dy / len(x), x.shape)


def mean_probabilities(x):
    """y = log mean_m softmax(x_m), so that softmax(y) is the mean of the probabilities.   x (M, B, K)."""
    logp = log_softmax(x)
    top = logp.real.max(0)  # subtracted: the sum never underflows
    y = np.log(np.exp(logp - top).mean(0)) + top

    def backward(dy):
        share = np.exp(logp - y) / len(x)  # dy/dlogp_m = p_m / sum p
        return log_softmax_backward(share * dy, logp)

    return y, backward


AVERAGES = {"logits": mean_logits, "probabilities": mean_probabilities}
