"""MulT with two modalities (Tsai et al. 2019; paper 002, 4.5.2, baseline 2).

The wiring is that of AuxFormer's main network, which comes from MulT: cross encoders, encoders within, last steps, residual
head. It differs in width (30), plain residuals, and positions that are added before the encoders within as well. Temporal
convolutions have size 1 (the published number of parameters).
"""

from dataclasses import dataclass, replace

from refmer.baselines.auxformer_baseline1 import RECIPE, augment, describe, example, forward, inputs, loss, streams, widths
from refmer.layers.auxformer import Network

__all__ = ["RECIPE", "VARIANTS", "Config", "augment", "describe", "example", "forward", "inputs", "loss", "streams", "widths"]

VARIANTS = {
    "mult": ({}, 358_384),
    "mult@d160-k6": ({"width": 160, "heads": 10, "classes": 6}, 7_070_406),
}


@dataclass(frozen=True)
class Config(Network):
    """Sizes and switches: see Network and Encoding in layers/auxformer.py. Heads and dropout are MulT's defaults."""

    width: int = 30
    heads: int = 5
    mix: str = "off"
    positions_within: bool = True
    drop_out: float = 0.0

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, on three frames a second."""
        return replace(cls(width=20, layers=2, audio_every=16, visual_every=8), **changes)

    @classmethod
    def paper(cls, **changes):
        """The published model size on MSP-IMPROV, 4 classes: 358,384 parameters; `paper(width=160, classes=6)`: 7,070,406."""
        return replace(cls(), **changes)
