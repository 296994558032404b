"""Transformer-LSTM (Huang et al. 2020), a baseline of paper 004: attention within and across modalities, then an LSTM.

Data flow: linear -> self-attention encoder per modality -> attention each way, added to its queries -> both
modalities concatenated at each step -> LSTM -> last valid step -> linear.

Ours: everything that the one page of architecture in the source leaves open: positions, pre-norm layers, attention both ways.
Both modalities have one rate, so that a step of the LSTM is one interval of time; a step is valid where either modality is.
"""

from dataclasses import dataclass

import numpy as np

from refmer.data.inputs import flat, same_steps, sub_sequence_means, thinned
from refmer.layers.attention import Rates, attention, describe_attention, describe_encoder, encoder
from refmer.layers.convolution import hide
from refmer.layers.dense import describe_linear, linear
from refmer.layers.sequence import describe_lstm, last_valid_step, lstm, positions
from refmer.layers.trace import scope
from refmer.ops.attention import key_mask
from refmer.ops.contracts import closure
from refmer.systems import protocol

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
PAIRS = (("audio", "visual"), ("visual", "audio"))
RECIPE = "paper-002"
VARIANTS = {"transformer_lstm": ({}, None)}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; as RAVER's, with which paper 004 compares.
    classes : int
    target : str
        The label that is learned.
    fps : float, optional
        Frames per second, of which those of the streams are averages, at most the rate of the slower one. None: that rate.
    width, heads, layers, hidden : int
        Of the encoders; `width` is also that of the LSTM.
    cross : bool
        Attention across modalities; False: the outputs of the encoders are concatenated.
    dropout : float
    """

    TINY = {"width": 32, "heads": 4, "layers": 1, "hidden": 64, "fps": 6.25}

    audio: int = 1024
    visual: int = 1280
    classes: int = 6
    target: str = "emotion"
    fps: float | None = None
    width: int = 256
    heads: int = 8
    layers: int = 2
    hidden: int = 1024
    cross: bool = True
    dropout: float = 0.1


def inputs(streams, config):
    """Return audio, visual (B, T, D) and their masks (B, T) at one rate, filled to the same number of steps."""
    rate, batch = min([s.rate for s in streams.values()] + [config.fps] * (config.fps is not None)), {}
    for m, s in streams.items():
        batch[m], batch[f"{m}_mask"] = thinned(s, rate) if s.rate % rate == 0 else sub_sequence_means(s, 1 / rate)
    return {name: x if name.endswith("_mask") else flat(x) for name, x in same_steps(batch).items()}


def describe(config):
    d, tree = config.width, {}
    for m in MODALITIES:
        encode = describe_encoder(d, config.hidden, config.layers)
        tree[m] = {"project": describe_linear(getattr(config, m), d), "encode": encode}
        if config.cross:
            tree[m]["attend"] = describe_attention(d)
    return tree | {"lstm": describe_lstm(2 * d, d), "head": describe_linear(d, config.classes)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio, visual (B, T, D) and masks -> out: logits (B, K)."""
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    parts = {m: encode(getattr(p, m), batch[m], masks[m], config, rng, scope(trace, m)) for m in MODALITIES}
    x, back_fuse = (across if config.cross else apart)(p, {m: y for m, (y, _) in parts.items()}, masks, config, rng, trace)
    visible, back_hide = zip(*(hide(x[m], masks[m]) for m in MODALITIES), strict=True)
    valid = masks["audio"] | masks["visual"]
    u, back_lstm = lstm(p.lstm, np.concatenate(visible, -1), mask=valid)  # (B, T, 2d) -> (B, T, d)
    last, back_last = last_valid_step(u, valid)
    logits, back_head = linear(p.head, last)

    def backward(dout, g):
        du = back_last(back_head(dout["logits"], g.head))
        dvisible = np.split(back_lstm(du, g.lstm), 2, -1)
        dx = back_fuse({m: back(d) for m, back, d in zip(MODALITIES, back_hide, dvisible, strict=True)}, g)
        return {m: parts[m][1](dx[m], getattr(g, m)) for m in MODALITIES}

    return {"logits": logits}, backward


def encode(p, x, mask, config, rng, trace):
    """One modality: linear map, positions, self-attention.   x (B, T, D) -> (B, T, d)."""
    rates = Rates(config.dropout, config.dropout, config.dropout, config.dropout)
    u, back_project = linear(p.project, x)
    inside, place = scope(trace, "encode"), lambda u: positions(u, mask)
    y, back_encode = encoder(p.encode, u, config.heads, key_mask(mask), rates, rng, inside, place=place)
    return y, lambda dy, g: back_project(back_encode(dy, g.encode), g.project)


def across(p, x, masks, config, rng, trace):
    """y_m = x_m + Attention(x_m, x_other).   x {m: (B, T, d)}."""
    y, backs = {}, {}
    for m, other in PAIRS:
        part, mask = getattr(p, m).attend, key_mask(masks[other])
        a, backs[m] = attention(part, x[m], x[other], config.heads, mask, config.dropout, rng, scope(trace, f"{m}.cross"))
        y[m] = x[m] + a

    def backward(dy, g):
        dx = dy
        for m, other in PAIRS:
            dm, dmemory = backs[m](dy[m], getattr(g, m).attend)
            dx = dx | {m: dx[m] + dm, other: dx[other] + dmemory}
        return dx

    return y, backward


def apart(p, x, masks, config, rng, trace):
    """y_m = x_m, without attention across modalities."""
    return x, lambda dx, g: dx


def example(config):
    """Return the shapes of 4 s at 25 Hz."""
    return {m: (100, getattr(config, m)) for m in MODALITIES}
