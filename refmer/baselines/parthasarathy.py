"""Cross-modal Transformer (Parthasarathy and Sundaram 2020; paper 002, 4.5.3, baseline 3).

An encoder per modality; each attends to the other; m' = a_m attention + b_m encoder with two learned scalars; the mean over
valid steps; the sum of both; a linear map. Neither source gives sizes: width, heads and layers are AuxFormer's, and the
published 2,211,628 parameters (upscaled: 7,125,278) are unresolved.
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers import auxformer as networks
from refmer.layers.attention import attention, describe_attention, encoder
from refmer.layers.dense import describe_linear, linear
from refmer.layers.trace import scope
from refmer.ops.contracts import closure
from refmer.params import Leaf, ones
from refmer.systems.auxformer import MODALITIES, RECIPE, TRAININGS, Encoding, augment, example  # noqa: F401 (the protocol)

VARIANTS = {"parthasarathy": ({}, 2_211_628)}  # not reproduced


@dataclass(frozen=True)
class Config(Encoding):
    """The fields of Encoding in systems/auxformer.py, and drop_cross and training of Network there."""

    ACCEPTED = Encoding.ACCEPTED | {"training": TRAININGS}

    causal: str = "off"
    token: str = "mean"
    drop_cross: float = 0.0
    training: str = "sample"


def describe(config):
    tree = {}
    for m in MODALITIES:
        cross = describe_attention(config.width) | {"a": Leaf((1,), ones), "b": Leaf((1,), ones)}
        encoding = networks.describe_encoding(config)
        tree[m] = {"sequence": networks.describe_sequence(m, config), "encoder": encoding, "cross": cross}
    return tree | {"out": describe_linear(config.width, config.classes)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K)."""
    a, a_valid, back_a = encode(p.audio, batch, "audio", config, rng, scope(trace, "audio"))
    v, v_valid, back_v = encode(p.visual, batch, "visual", config, rng, scope(trace, "visual"))
    ya, back_ya = cross(p.audio.cross, (a, a_valid), (v, v_valid), config, rng, scope(trace, "audio.cross"))
    yv, back_yv = cross(p.visual.cross, (v, v_valid), (a, a_valid), config, rng, scope(trace, "visual.cross"))
    logits, back_out = linear(p.out, ya + yv)

    def backward(dout, g):
        dy = back_out(dout["logits"], g.out)
        (da, dv), (dv2, da2) = back_ya(dy, g.audio.cross), back_yv(dy, g.visual.cross)
        return {"audio": back_a(da + da2, g.audio), "visual": back_v(dv + dv2, g.visual)}

    return {"logits": logits}, backward


def encode(p, batch, modality, config, rng, trace):
    """z = encoder(sequence), with positions; and its valid steps.   (B, T, D) -> (B, T, d)."""
    x, valid, back_x = networks.sequence(p.sequence, batch[modality], batch[f"{modality}_mask"])
    mask, rates = networks.attention_mask(valid, valid, config), config.rates(config.drop_self)
    z, back_z = encoder(p.encoder, x, config.heads, mask, rates, rng, trace, place=networks.place(valid, config))
    return z, valid, lambda dz, g: back_x(back_z(dz, g.encoder), g.sequence)


def cross(p, queries, keys, config, rng, trace):
    """y = token(a attention(x, memory) + b x).   queries: x (B, T, d), valid (B, T); keys: memory (B, S, d), valid (B, S)."""
    (x, valid), (memory, memory_valid) = queries, keys
    mask = networks.attention_mask(valid, memory_valid, config)
    c, back_c = attention(p, x, memory, config.heads, mask, config.drop_cross, rng, trace)
    y, back_token = networks.TOKENS[config.token](p.a * c + p.b * x, valid)

    def backward(dy, g):
        dm = back_token(dy)  # m = a c + b x
        g.a += np.sum(dm * c)
        g.b += np.sum(dm * x)
        dx, dmemory = back_c(p.a * dm, g)
        return dx + p.b * dm, dmemory

    return y, backward
