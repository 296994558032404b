"""One modality alone, with AuxFormer's parts (paper 002, 4.5.4 and Fig. 2, baseline 4).

A main branch (encoder with the learned scale, token, head) and an auxiliary branch (one encoder three times, token, head), with
losses 1/2 + 1/2 and the mean of their logits. Two models, for voice and face, by Config.modality. The published 4,364,354
parameters are unresolved: what the text names has 2,844,823 for the face.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.baselines import auxformer_baseline1 as main
from refmer.data.inputs import side_by_side, width
from refmer.layers import auxformer as networks
from refmer.layers.attention import MIXES
from refmer.layers.trace import note, scope
from refmer.ops.losses import cross_entropy, cross_entropy_backward

RECIPE = "paper-002"
VARIANTS = {"unimodal": ({}, 4_364_354), "unimodal@audio": ({"modality": "audio"}, None)}  # not reproduced, for face or voice


@dataclass(frozen=True)
class Config(networks.Encoding):
    """Sizes and switches: these, and those of Encoding in layers/auxformer.py.

    Parameters
    ----------
    modality : "visual" or "audio"
    mix : "learned", "fixed" or "off"
        The scaled residual of the main branch.
    positions_within : bool
        Positions where the sequence enters the main branch: in AuxFormer they come with the cross encoders, which are not here.
    auxiliary_hidden : tuple
        Widths inside the auxiliary MLP.
    drop_out : float
        Dropout inside heads.
    """

    modality: str = "visual"
    mix: str = "learned"
    positions_within: bool = True
    auxiliary_hidden: tuple = (512, 256)
    drop_out: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "auxiliary_hidden", tuple(self.auxiliary_hidden))  # a list, where it comes from JSON
        networks.accept("modality", self.modality, main.MODALITIES)
        networks.accept("mix", self.mix, MIXES)

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, on three frames a second."""
        base = cls(width=24, heads=4, layers=2, auxiliary_hidden=(48, 32), audio_every=16, visual_every=8)
        return replace(base, **changes)

    @classmethod
    def paper(cls, **changes):
        """The sizes of AuxFormer."""
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return list(main.MODALITIES[config.modality])


def widths(streams, config):
    """The Config field that follows from the corpus."""
    return {config.modality: width(streams, main.MODALITIES[config.modality])}


def inputs(streams, config):
    """audio or visual (B, T, D), and its mask (B, T)."""
    m = config.modality
    x, mask = side_by_side(streams, main.MODALITIES[m], getattr(config, f"{m}_every"))
    return {m: x, f"{m}_mask": mask}


def describe(config):
    d, K = config.width, config.classes
    return {
        "sequence": networks.describe_sequence(config.modality, config),
        "main": {"within": networks.describe_within(config), "head": networks.describe_head(d, (d,), K)},
        "auxiliary": {
            "encoder": networks.describe_auxiliary_encoder(config),
            "head": networks.describe_head(d, config.auxiliary_hidden, K),
        },
    }


def augment(batch, config, rng):
    """Nothing: its only modality is always there in training."""
    return batch


def forward(p, batch, config, rng=None, trace=None):
    """batch: the modality (B, T, D) and its mask -> out: logits (B, K), and those of the branches: main, auxiliary."""
    m = config.modality
    x, valid, back_x = networks.sequence(p.sequence, batch[m], batch[f"{m}_mask"])
    s, back_s = networks.attention_within(p.main.within, x, valid, config, rng, scope(trace, "main"))
    t, back_t = networks.TOKENS[config.token](s, valid)
    y, back_y = networks.head(p.main.head, t, config.drop_out, rng)
    u, back_u = networks.auxiliary_token(p.auxiliary.encoder, x, valid, config, rng, scope(trace, "auxiliary"))
    z, back_z = networks.head(p.auxiliary.head, u, config.drop_out, rng)
    note(trace, "main.logits", y)
    note(trace, "auxiliary.logits", z)

    def backward(dout, g):
        half = 0.5 * dout.get("logits", np.zeros_like(y))
        dy, dz = half + dout.get("main", 0), half + dout.get("auxiliary", 0)
        dx = back_s(back_t(back_y(dy, g.main.head)), g.main.within)
        return {m: back_x(dx + back_u(back_z(dz, g.auxiliary.head), g.auxiliary.encoder), g.sequence)}

    return {"logits": 0.5 * (y + z), "main": y, "auxiliary": z}, backward


def loss(out, batch, config):
    """L = 1/2 CE(main) + 1/2 CE(auxiliary), with the batch's `target` (B, K)."""
    value, terms, dout = 0.0, {}, {}
    for name in ("main", "auxiliary"):
        terms[name], *saved = cross_entropy(out[name], batch["target"], np.ones_like(batch["class_count"]))
        value, dout[name] = value + 0.5 * terms[name], cross_entropy_backward(0.5, *saved)
    return value, terms, dout


def example(config):
    """A mean clip of CREMA-D, one modality."""
    return {config.modality: main.example(config)[config.modality]}
