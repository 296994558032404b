"""AuxFormer without auxiliary networks: the main network alone, one loss (paper 002, 4.5.1, baseline 1)."""

from dataclasses import dataclass

from refmer.layers import auxformer as networks
from refmer.ops.contracts import closure
from refmer.systems.auxformer import MODALITIES, RECIPE, Network, augment, example  # noqa: F401 (the protocol)

VARIANTS = {"auxformer_baseline1": ({}, 4_776_994), "auxformer_baseline1@k6": ({"classes": 6}, None)}


@dataclass(frozen=True)
class Config(Network):
    """The fields of Network in systems/auxformer.py."""


def describe(config):
    return networks.describe_sequences(config) | {"main": networks.describe_main(config)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K)."""
    audio, visual, back = networks.sequences(p, batch)
    logits, back_main = networks.main(p.main, audio, visual, config, rng, trace)
    return {"logits": logits}, lambda dout, g: back(*back_main(dout["logits"], g.main), g)
