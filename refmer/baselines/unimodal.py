"""One modality alone, with AuxFormer's parts (paper 002, 4.5.4 and Fig. 2, baseline 4).

A main branch (encoder with the learned scale, token, head) and an auxiliary branch (one encoder three times, token, head), with
losses 1/2 + 1/2 and the mean of their logits. Two models, for voice and face, by Config.modality. The published 4,364,354
parameters are unresolved: what the text names has 2,844,823 for the face.
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers import auxformer as networks
from refmer.layers.trace import note, scope
from refmer.ops.contracts import closure
from refmer.systems import auxformer
from refmer.systems.auxformer import MODALITIES, RECIPE  # noqa: F401 (the protocol)

VARIANTS = {"unimodal": ({}, 4_364_354), "unimodal@audio": ({"modality": "audio"}, None)}  # not reproduced, for face or voice


@dataclass(frozen=True)
class Config(auxformer.Encoding):
    """The fields of Encoding in systems/auxformer.py; mix, drop_out and auxiliary_hidden as in Network and Config there.

    Parameters
    ----------
    modality : "visual" or "audio"
    positions_within : bool
        Positions where the sequence enters the main branch: AuxFormer adds them in its cross encoders, which are missing here.
    """

    TINY = auxformer.Encoding.TINY | {"auxiliary_hidden": (48, 32)}
    ACCEPTED = auxformer.Encoding.ACCEPTED | {"modality": MODALITIES, "mix": networks.MIXES}

    modality: str = "visual"
    mix: str = "learned"
    positions_within: bool = True
    auxiliary_hidden: tuple[int, ...] = (512, 256)
    drop_out: float = 0.2

    @property
    def modalities(self):
        return (self.modality,)


def describe(config):
    head = networks.describe_head(config.width, (config.width,), config.classes)
    main = {"within": networks.describe_attention_within(config), "head": head}
    auxiliary = networks.describe_auxiliary(config, ["encoder"])
    return {"sequence": networks.describe_sequence(config.modality, config), "main": main, "auxiliary": auxiliary}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: the modality (B, T, D) and its mask -> out: logits (B, K), and those of the branches: main, auxiliary."""
    m = config.modality
    x, valid, back_x = networks.sequence(p.sequence, batch[m], batch[f"{m}_mask"])
    s, back_s = networks.attention_within(p.main.within, x, valid, config, rng, scope(trace, "main"))
    t, back_t = networks.TOKENS[config.token](s, valid)
    y, back_y = networks.head(p.main.head, t, config.drop_out, rng)
    z, back_z = networks.auxiliary(p.auxiliary, "encoder", x, valid, config, rng, scope(trace, "auxiliary"))
    note(trace, "main.logits", y)
    note(trace, "auxiliary.logits", z)

    def backward(dout, g):
        half = 0.5 * dout.get("logits", np.zeros_like(y))
        dy, dz = half + dout.get("main", 0), half + dout.get("auxiliary", 0)
        dx = back_s(back_t(back_y(dy, g.main.head)), g.main.within)
        return {m: back_x(dx + back_z(dz, g.auxiliary), g.sequence)}

    return {"logits": 0.5 * (y + z), "main": y, "auxiliary": z}, backward


def loss(out, batch, config):
    """L = 1/2 CE(main) + 1/2 CE(auxiliary), with the batch's `target` (B, K)."""
    return auxformer.cross_entropies(out, batch, {"main": 0.5, "auxiliary": 0.5}, config)


def example(config):
    """A mean clip of CREMA-D, one modality."""
    return {config.modality: auxformer.example(config)[config.modality]}
