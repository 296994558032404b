"""Concatenation, the fusion that paper 000 argues against (before eq. 1): an MLP on the segment means of all modalities.

Also the parts that the general baselines (late_fusion, tfn, lmf, lf_rnn) share: fields of Config, inputs and the loss.
"""

from dataclasses import dataclass

import numpy as np

from refmer.data.inputs import segment_means
from refmer.layers.dense import describe_mlp, mlp
from refmer.ops.contracts import closure
from refmer.ops.losses import balanced_weights, cross_entropy, cross_entropy_backward
from refmer.systems import protocol

MODALITIES = {"visual": ("units",), "audio": ("prosody", "mfcc"), "text": ("words",)}
RECIPE = "baselines"
VARIANTS = {"concatenation": ({}, None)}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches. Widths are ours: the papers give none.

    Parameters
    ----------
    visual, audio, text : int
        Features per frame.
    classes : int
    target : str
        The label that is learned.
    modalities : tuple
        The modalities that are used, of "visual", "audio", "text".
    hidden : int
        Width of the hidden layer.
    dropout, mixup : float
        After the hidden layer; the a of mixup's Beta(a, a), 0: no mixup.
    """

    TINY = {"hidden": 32}

    visual: int = 713
    audio: int = 74
    text: int = 300
    classes: int = 7
    target: str = "sentiment"
    task: str = "ordinal"
    modalities: tuple[str, ...] = tuple(MODALITIES)
    hidden: int = 128
    dropout: float = 0.3
    mixup: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        if set(self.modalities) - set(MODALITIES) or not self.modalities:
            raise ValueError(f"modalities is {self.modalities}; accepted: one or more of {', '.join(MODALITIES)}")


def inputs(streams, config):
    """Return segment means: visual, audio, text (B, D) and visual_mask, ... (B,), False where the modality is missing."""
    return segment_means(streams)


def describe(config):
    return describe_mlp(sum(getattr(config, m) for m in config.modalities), config.hidden, config.classes)


@closure
def forward(p, batch, config, rng=None, trace=None):
    """logits = W2 dropout(relu(W1 [v; a; t] + b1)) + b2."""
    sizes = np.cumsum([batch[m].shape[-1] for m in config.modalities])[:-1]
    logits, back = mlp(p, np.concatenate([batch[m] for m in config.modalities], -1), config.dropout, rng)

    def backward(dout, g):
        return dict(zip(config.modalities, np.split(back(dout["logits"], g), sizes, -1), strict=True))

    return {"logits": logits}, backward


def loss(out, batch, config):
    """Cross-entropy with soft `target` (B, K), classes weighted by the inverse of `class_count` (K,)."""
    if config.task == "regression":
        return protocol.squared_error(out, batch, {"logits": 1.0})
    value, *saved = cross_entropy(out["logits"], batch["target"], balanced_weights(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


def example(config):
    """Return the shapes of one vector per modality."""
    return {m: (getattr(config, m),) for m in config.modalities}
