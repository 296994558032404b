"""AuxFormer without auxiliary networks: the main network alone, one loss (paper 002, 4.5.1, baseline 1).

The inputs, their augmentation and costs are those of AuxFormer and of the other audiovisual baselines of paper 002 too.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import sequences, width
from refmer.layers import auxformer as networks
from refmer.ops.losses import cross_entropy, cross_entropy_backward
from refmer.train.augment import modality_dropout

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
RECIPE = "paper-002"
VARIANTS = {"auxformer_baseline1": ({}, 4_776_994), "auxformer_baseline1@k6": ({"classes": 6}, None)}


@dataclass(frozen=True)
class Config(networks.Network):
    """Sizes and switches: see Network and Encoding in layers/auxformer.py."""

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, on three frames a second."""
        return replace(cls(width=24, heads=4, layers=2, audio_every=16, visual_every=8), **changes)

    @classmethod
    def paper(cls, **changes):
        """The published model size on MSP-IMPROV, 4 classes: 4,776,994 parameters."""
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return [name for names in MODALITIES.values() for name in names]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    return {m: width(streams, names) for m, names in MODALITIES.items()}


def inputs(streams, config):
    """audio (B, T, D), visual (B, S, D) and their masks (B, T), (B, S)."""
    return sequences(streams, MODALITIES, config)


def describe(config):
    return {m: networks.describe_sequence(m, config) for m in MODALITIES} | {"main": networks.describe_main(config)}


def augment(batch, config, rng):
    """The optimized training (3.6): 20 % of the clips lose the voice, 20 % the face, features and mask."""
    if config.training == "standard":
        return batch
    return modality_dropout(batch, rng, {"audio": 0.2, "visual": 0.2}, per=config.training)


def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K)."""
    logits, back = networks.audiovisual(p, batch, config, rng, trace)
    return {"logits": logits}, lambda dout, g: back(dout["logits"], g)


def loss(out, batch, config):
    """Cross-entropy with the batch's `target` (B, K), classes unweighted."""
    value, *saved = cross_entropy(out["logits"], batch["target"], np.ones_like(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


def example(config):
    """A mean clip of CREMA-D: 2.54 s, a step of 16 ms, 30 frames a second."""
    return {"audio": (158, config.audio), "visual": (76, config.visual)}
