"""LF-RNN, with which paper 000 compares: an LSTM per modality, last valid states side by side, two linear maps."""

from dataclasses import dataclass, replace

import numpy as np

from refmer.baselines import tfn
from refmer.layers.dense import describe_mlp, mlp
from refmer.layers.sequence import describe_lstm

MODALITIES = tfn.MODALITIES
RECIPE = "paper-000"
VARIANTS = {"lf_rnn": ({}, None)}  # paper 000 prints 12 MB, no number of parameters and no width
streams, widths, inputs, augment, loss = tfn.streams, tfn.widths, tfn.inputs, tfn.augment, tfn.loss


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    visual, audio, text : int
        Features per frame.
    classes : int
    target : "sentiment" or "emotion"
    width, hidden : int
        Of the LSTMs, and between the two maps.
    visual_every, audio_every : int
        Frames of the stream that are averaged into one.
    dropout, mixup : float
        Between the two maps; Beta(a, a) of mixup, 0: none.
    """

    visual: int = 713
    audio: int = 74
    text: int = 300
    classes: int = 7
    target: str = "sentiment"
    width: int = 128
    hidden: int = 128
    visual_every: int = 1
    audio_every: int = 1
    dropout: float = 0.3
    mixup: float = 0.2

    def __post_init__(self):
        if self.target not in ("sentiment", "emotion"):
            raise ValueError(f"target is {self.target!r}; accepted: 'sentiment', 'emotion'")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, whose face and voice become 5 frames a second."""
        return replace(cls(width=16, hidden=32, visual_every=5, audio_every=10), **changes)

    @classmethod
    def paper(cls, **changes):
        """Widths are ours: the papers give none."""
        return replace(cls(), **changes)


def describe(config):
    readers = {m: {"lstm": describe_lstm(getattr(config, m), config.width)} for m in MODALITIES}
    return readers | {"head": describe_mlp(len(MODALITIES) * config.width, config.hidden, config.classes)}


def forward(p, batch, config, rng=None, trace=None):
    """logits = W2 dropout(relu(W1 [h_V; h_A; h_T] + b1)) + b2, h_m the last valid state of modality m's LSTM."""
    states, backs = zip(
        *(tfn.last_state(getattr(p, m), batch[m], batch[f"{m}_mask"]) for m in MODALITIES), strict=True
    )  # (B, C) each
    logits, back_head = mlp(p.head, np.concatenate(states, -1), config.dropout, rng)

    def backward(dout, g):
        dstates = np.split(back_head(dout["logits"], g.head), len(MODALITIES), -1)
        return {m: back(ds, getattr(g, m)) for m, back, ds in zip(MODALITIES, backs, dstates, strict=True)}

    return {"logits": logits}, backward


def example(config):
    """10 s of the features of paper 000."""
    return {m: (frames, getattr(config, m)) for m, frames in zip(MODALITIES, (300, 1000, 25), strict=True)}
