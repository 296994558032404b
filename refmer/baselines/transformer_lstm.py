"""Transformer-LSTM (Huang et al. 2020), a baseline of paper 004: attention within and across modalities, then an LSTM.

Data flow: linear -> self-attention encoder per modality -> multi-head attention each way, the answers of one width -> added to
what asked, side by side step by step -> LSTM -> last step that is there -> linear.

Ours: everything that the one page of architecture in the source leaves open: positions, pre-norm layers, attention both ways.
Both modalities have one rate, so that a step of the LSTM is one stretch of time; a step is there where either modality is.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import side_by_side, width
from refmer.layers.attention import Rates, attention, describe_attention, describe_encoder, encoder
from refmer.layers.convolution import hide
from refmer.layers.dense import describe_linear, linear
from refmer.layers.sequence import describe_lstm, last_valid_step, lstm, positions
from refmer.layers.trace import scope
from refmer.ops.attention import key_mask
from refmer.ops.losses import cross_entropy, cross_entropy_backward

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
PAIRS = (("audio", "visual"), ("visual", "audio"))
RECIPE = "paper-002"
VARIANTS = {"transformer_lstm": ({}, None)}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; as RAVER's, with which paper 004 compares.
    classes, target
    audio_every, visual_every : int
        Frames averaged into one, so that both have one rate.
    width, heads, layers, hidden : int
        Of the encoders; `width` is also that of the LSTM.
    cross : bool
        Attention across modalities; False: the encoders' answers side by side.
    dropout : float
    """

    audio: int = 1024
    visual: int = 1280
    classes: int = 6
    target: str = "emotion"
    audio_every: int = 2
    visual_every: int = 1
    width: int = 256
    heads: int = 8
    layers: int = 2
    hidden: int = 1024
    cross: bool = True
    dropout: float = 0.1

    def __post_init__(self):
        if self.target not in ("emotion", "votes", "sentiment"):
            raise ValueError(f"target is {self.target!r}; accepted: 'emotion', 'votes', 'sentiment'")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus: frames of 0.16 s."""
        small = {"width": 32, "heads": 4, "layers": 1, "hidden": 64}
        return replace(cls(audio_every=8, visual_every=4, **small), **changes)

    @classmethod
    def paper(cls, **changes):
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return [name for names in MODALITIES.values() for name in names]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    return {m: width(streams, names) for m, names in MODALITIES.items()}


def inputs(streams, config):
    """audio, visual (B, T, D) and their masks (B, T), cut to the same number of steps.

    Raises
    ------
    ValueError
        If the two do not have one rate after averaging.
    """
    every = {m: getattr(config, f"{m}_every") for m in MODALITIES}
    rates = {m: streams[names[0]].rate / every[m] for m, names in MODALITIES.items()}
    if abs(rates["audio"] - rates["visual"]) > 1e-6 * rates["audio"]:
        raise ValueError(f"audio_every and visual_every are {every}, which gives {rates} Hz; accepted: one rate for both")
    parts = {m: side_by_side(streams, names, every[m]) for m, names in MODALITIES.items()}
    T = min(x.shape[1] for x, _ in parts.values())
    batch = {m: x[:, :T] for m, (x, _) in parts.items()}
    return batch | {f"{m}_mask": mask[:, :T] for m, (_, mask) in parts.items()}


def describe(config):
    d, tree = config.width, {}
    for m in MODALITIES:
        tree[m] = {
            "project": describe_linear(getattr(config, m), d),
            "encode": describe_encoder(d, config.hidden, config.layers),
        }
        if config.cross:
            tree[m]["attend"] = describe_attention(d)
    return tree | {"lstm": describe_lstm(2 * d, d), "head": describe_linear(d, config.classes)}


def augment(batch, config, rng):
    """Nothing: paper 004 does not say that its baselines are trained with modality dropout."""
    return batch


def forward(p, batch, config, rng=None, trace=None):
    """batch: audio, visual (B, T, D) and masks -> out: logits (B, K)."""
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    parts = {m: encode(getattr(p, m), batch[m], masks[m], config, rng, scope(trace, m)) for m in MODALITIES}
    x, back_fuse = (across if config.cross else apart)(p, {m: y for m, (y, _) in parts.items()}, masks, config, rng, trace)
    shown, back_hide = zip(*(hide(x[m], masks[m]) for m in MODALITIES), strict=True)
    there = masks["audio"] | masks["visual"]
    u, back_lstm = lstm(p.lstm, np.concatenate(shown, -1), mask=there)  # (B, T, 2d) -> (B, T, d)
    last, back_last = last_valid_step(u, there)
    logits, back_head = linear(p.head, last)

    def backward(dout, g):
        du = back_last(back_head(dout["logits"], g.head))
        dshown = np.split(back_lstm(du, g.lstm), 2, -1)
        dx = back_fuse({m: back(d) for m, back, d in zip(MODALITIES, back_hide, dshown, strict=True)}, g)
        return {m: parts[m][1](dx[m], getattr(g, m)) for m in MODALITIES}

    return {"logits": logits}, backward


def encode(p, x, mask, config, rng, trace):
    """One modality: linear map, positions, self-attention.   x (B, T, D) -> (B, T, d)."""
    rates = Rates(config.dropout, config.dropout, config.dropout, config.dropout)
    u, back_project = linear(p.project, x)
    options = {"place": lambda u: positions(u, mask)}
    y, back_encode = encoder(p.encode, u, config.heads, key_mask(mask), rates, rng, scope(trace, "encode"), **options)
    return y, lambda dy, g: back_project(back_encode(dy, g.encode), g.project)


def across(p, x, masks, config, rng, trace):
    """y_m = x_m + Attention(x_m, x_other): one width, and what asks stays.   x {m: (B, T, d)}."""
    y, backs = {}, {}
    for m, other in PAIRS:
        part, mask = getattr(p, m).attend, key_mask(masks[other])
        found, backs[m] = attention(part, x[m], x[other], config.heads, mask, config.dropout, rng, scope(trace, f"{m}.cross"))
        y[m] = x[m] + found

    def backward(dy, g):
        dx = dy
        for m, other in PAIRS:
            dm, dmemory = backs[m](dy[m], getattr(g, m).attend)
            dx = dx | {m: dx[m] + dm, other: dx[other] + dmemory}
        return dx

    return y, backward


def apart(p, x, masks, config, rng, trace):
    """The encoders' answers as they are."""
    return x, lambda dx, g: dx


def loss(out, batch, config):
    """Cross-entropy with the batch's soft `target` (B, K)."""
    value, *saved = cross_entropy(out["logits"], batch["target"], np.ones_like(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


def example(config):
    """4 s at 25 Hz."""
    return {m: (100, getattr(config, m)) for m in MODALITIES}
