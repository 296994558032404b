"""Cross-modal Transformer (Parthasarathy and Sundaram 2020; paper 002, 4.5.3, baseline 3).

An encoder per modality; each asks the other by attention; m' = a_m attention + b_m encoder with two learned scalars; the mean
over valid steps; the sum of both; a linear map. Neither source gives sizes: width, heads and layers are AuxFormer's, and the
published 2,211,628 parameters (upscaled: 7,125,278) are unresolved.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.baselines.auxformer_baseline1 import MODALITIES, RECIPE, augment, example, inputs, loss, streams, widths
from refmer.layers import auxformer as networks
from refmer.layers.attention import attention, describe_attention, describe_encoder, encoder
from refmer.layers.dense import describe_linear, linear
from refmer.layers.trace import scope
from refmer.params import Leaf, ones

__all__ = ["RECIPE", "VARIANTS", "Config", "augment", "example", "describe", "forward", "inputs", "loss", "streams", "widths"]

VARIANTS = {"parthasarathy": ({}, 2_211_628)}  # not reproduced


@dataclass(frozen=True)
class Config(networks.Encoding):
    """Sizes and switches: these, and those of Encoding in layers/auxformer.py.

    Parameters
    ----------
    drop_cross : float
        Dropout of attention weights between the modalities.
    training : "sample", "batch" or "standard"
        As in Network there.
    """

    causal: str = "off"
    token: str = "mean"
    drop_cross: float = 0.0
    training: str = "sample"

    def __post_init__(self):
        super().__post_init__()
        networks.accept("training", self.training, networks.TRAININGS)

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, on three frames a second."""
        return replace(cls(width=24, heads=4, layers=2, audio_every=16, visual_every=8), **changes)

    @classmethod
    def paper(cls, **changes):
        """The sizes of AuxFormer."""
        return replace(cls(), **changes)


def describe(config):
    d = config.width
    scalars = {name: Leaf((1,), ones) for name in ("a", "b")}
    tree = {
        m: {
            "sequence": networks.describe_sequence(m, config),
            "encoder": describe_encoder(d, 4 * d, config.layers),
            "cross": describe_attention(d) | scalars,
        }
        for m in MODALITIES
    }
    return tree | {"out": describe_linear(d, config.classes)}


def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K)."""
    a, a_valid, back_a = encoded(p.audio, batch, "audio", config, rng, scope(trace, "audio"))
    v, v_valid, back_v = encoded(p.visual, batch, "visual", config, rng, scope(trace, "visual"))
    ya, back_ya = asked(p.audio.cross, a, a_valid, v, v_valid, config, rng, scope(trace, "audio.cross"))
    yv, back_yv = asked(p.visual.cross, v, v_valid, a, a_valid, config, rng, scope(trace, "visual.cross"))
    logits, back_out = linear(p.out, ya + yv)

    def backward(dout, g):
        dy = back_out(dout["logits"], g.out)
        (da, dv), (dv2, da2) = back_ya(dy, g.audio.cross), back_yv(dy, g.visual.cross)
        return {"audio": back_a(da + da2, g.audio), "visual": back_v(dv + dv2, g.visual)}

    return {"logits": logits}, backward


def encoded(p, batch, modality, config, rng, trace):
    """z = encoder(sequence), with positions; and its valid steps.   (B, T, D) -> (B, T, d)."""
    x, valid, back_x = networks.sequence(p.sequence, batch[modality], batch[f"{modality}_mask"])
    mask, where, rates = networks.sight(valid, valid, config), networks.place(valid, config), config.rates(config.drop_self)
    z, back_z = encoder(p.encoder, x, config.heads, mask, rates, rng, trace, place=where)
    return z, valid, lambda dz, g: back_x(back_z(dz, g.encoder), g.sequence)


def asked(p, x, valid, memory, there, config, rng, trace):
    """y = token(a attention(x, memory) + b x).   x (B, T, d), memory (B, S, d) -> (B, d)."""
    mask = networks.sight(valid, there, config)
    c, back_c = attention(p, x, memory, config.heads, mask, config.drop_cross, rng, trace)
    y, back_token = networks.TOKENS[config.token](p.a * c + p.b * x, valid)

    def backward(dy, g):
        dm = back_token(dy)  # m = a c + b x
        g.a += np.sum(dm * c)
        g.b += np.sum(dm * x)
        dx, dmemory = back_c(p.a * dm, g)
        return dx + p.b * dm, dmemory

    return y, backward
