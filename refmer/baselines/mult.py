"""MulT with two modalities (Tsai et al. 2019; paper 002, 4.5.2, baseline 2).

The wiring is that of AuxFormer's main network, which comes from MulT: cross encoders, encoders within, last steps, residual
head. It differs in width (30), plain residuals, and positions that are added before the encoders within as well. Temporal
convolutions have size 1 (the published number of parameters).
"""

from dataclasses import dataclass

from refmer.baselines.auxformer_baseline1 import describe, forward  # noqa: F401 (the protocol)
from refmer.systems.auxformer import MODALITIES, RECIPE, Network, augment, example  # noqa: F401 (the protocol)

VARIANTS = {"mult": ({}, 358_384), "mult@d160-k6": ({"width": 160, "heads": 10, "classes": 6}, 7_070_406)}


@dataclass(frozen=True)
class Config(Network):
    """The fields of Network in systems/auxformer.py. Heads and dropout are MulT's defaults."""

    TINY = Network.TINY | {"width": 20, "heads": 5}

    width: int = 30
    heads: int = 5
    mix: str = "off"
    positions_within: bool = True
    drop_out: float = 0.0
