"""Low-rank multimodal fusion (Liu et al. 2018), named in paper 001: tensor fusion whose weight is a sum of R outer products."""

from dataclasses import dataclass

from refmer.baselines import tfn
from refmer.layers.fusion import describe_low_rank_fusion, low_rank_fusion
from refmer.ops.contracts import closure

MODALITIES = tfn.MODALITIES
RECIPE = "baselines"
VARIANTS = {"lmf": ({}, None)}
loss, example = tfn.loss, tfn.example


@dataclass(frozen=True)
class Config(tfn.Config):
    """Sizes and switches: those of TFN (`hidden` and `dropout` are not used), and this.

    Parameters
    ----------
    rank : int
        R, the number of outer products.
    """

    rank: int = 4


def describe(config):
    return tfn.describe_vectors(config) | {"fuse": describe_low_rank_fusion(tfn.vectors(config), config.rank, config.classes)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """logits = sum_r prod_m W_mr [z_m; 1] + b, straight to the classes (Liu et al. 2018, eq. 6)."""
    z, back_vectors = tfn.read_vectors(p, batch, config)
    logits, back_fuse = low_rank_fusion(p.fuse, z)
    return {"logits": logits}, lambda dout, g: back_vectors(back_fuse(dout["logits"], g.fuse), g)
