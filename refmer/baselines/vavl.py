"""VAVL (Goncalves et al. 2025), a baseline of paper 004: Conformer blocks for each modality, then blocks that both share.

Data flow: 1x1 convolution -> linear -> positions -> Conformer blocks per modality -> shared Conformer blocks with a residual
around them -> layer norm -> mean over time -> an MLP on both, and one MLP for either alone.

Ours: one sum of three cross-entropies, where the authors' code takes three optimizer steps and trains only the MLP on both in
the third; no reconstruction of the input by either modality; no thinning by 4 inside the Conformer (`every` thins before it);
sinusoidal positions for its relative ones; layer norm for its batch norm.
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers.conformer import conformer_block, describe_conformer_block
from refmer.layers.dense import (
    describe_layer_norm,
    describe_linear,
    describe_mlp,
    describe_project,
    layer_norm,
    linear,
    mlp,
    project,
    stack,
)
from refmer.layers.sequence import mean_pool, positions
from refmer.layers.trace import scope
from refmer.ops.contracts import closure
from refmer.systems import protocol
from refmer.systems.auxformer import cross_entropies

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
RECIPE = "paper-002"
VARIANTS = {"vavl": ({}, None)}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; published: wav2vec 2.0 1,024 and EfficientNet 1,408.
    classes : int
    target : str
        The label that is learned.
    fps : float, optional
        Frames per second, of which those of the streams are averages. None: all frames.
    narrow, width, heads, hidden, kernel : int
        Width after the 1x1 convolution; of the Conformer blocks, their heads, feed-forward halves and depthwise window.
    own, shared : int
        Number of blocks of each modality, and of both.
    head_hidden : tuple of int
        Hidden widths of the MLPs.
    dropout : float
    unimodal : float
        Weight of the cross-entropy of either modality alone; 0: without their MLPs.
    """

    TINY = {"narrow": 24, "width": 24, "heads": 4, "hidden": 48, "kernel": 5, "own": 1, "shared": 1, "head_hidden": (24,)}
    TINY |= {"fps": 6.25}

    audio: int = 1024
    visual: int = 1408
    classes: int = 6
    target: str = "emotion"
    fps: float | None = None
    narrow: int = 50
    width: int = 512
    heads: int = 8
    hidden: int = 2048
    kernel: int = 31
    own: int = 3
    shared: int = 2
    head_hidden: tuple[int, ...] = (512, 256)
    dropout: float = 0.1
    unimodal: float = 1.0

    @property
    def alone(self):
        """The modalities that have logits of their own."""
        return tuple(MODALITIES) if self.unimodal else ()


def describe(config):
    def blocks(count):
        return [describe_conformer_block(config.width, config.hidden, config.kernel) for _ in range(count)]

    def head(modalities):
        return describe_mlp(modalities * config.width, *config.head_hidden, config.classes)

    tree = {"shared": {"blocks": blocks(config.shared), "norm": describe_layer_norm(config.width)}, "head": head(2)}
    for m in MODALITIES:
        enter = {"narrow": describe_project(getattr(config, m), config.narrow)}
        enter["widen"] = describe_linear(config.narrow, config.width)
        tree[m] = enter | {"blocks": blocks(config.own)} | ({"head": head(1)} if m in config.alone else {})
    return tree


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio, visual (B, T, D) and masks -> out: logits of both [, logits_audio, logits_visual] (B, K)."""
    r, backs = {}, {}
    for m in MODALITIES:
        r[m], backs[m] = branch(p, m, batch[m], batch[f"{m}_mask"], config, rng, scope(trace, m))
    out, back_heads = {}, {}
    out["logits"], back_head = mlp(p.head, np.concatenate(list(r.values()), -1), config.dropout, rng)
    for m in config.alone:
        out[f"logits_{m}"], back_heads[m] = mlp(getattr(p, m).head, r[m], config.dropout, rng)

    def backward(dout, g):
        dr = dict(zip(MODALITIES, np.split(back_head(dout["logits"], g.head), 2, -1), strict=True))
        for m in config.alone:
            dr[m] = dr[m] + back_heads[m](dout[f"logits_{m}"], getattr(g, m).head)
        return {m: backs[m](dr[m], g) for m in MODALITIES}

    return out, backward


def branch(p, m, x, mask, config, rng, trace):
    """One modality through its own blocks and the shared ones: mean over time of LN(shared(z) + z).   x (B, T, D) -> (B, C)."""
    own = getattr(p, m)
    u, back_narrow = project(own.narrow, x)
    u, back_widen = linear(own.widen, u)
    u, back_positions = positions(u, mask)
    z, back_own = conformer(own.blocks, u, mask, config, rng, scope(trace, "own"))
    s, back_shared = conformer(p.shared.blocks, z, mask, config, rng, scope(trace, "shared"))
    n, back_norm = layer_norm(p.shared.norm, s + z)
    r, back_mean = mean_pool(n, mask)

    def backward(dr, g):
        dn = back_norm(back_mean(dr), g.shared.norm)  # n = LN(s + z)
        dz = dn + back_shared(dn, g.shared.blocks)
        part = getattr(g, m)
        return back_narrow(back_widen(back_positions(back_own(dz, part.blocks)), part.widen), part.narrow)

    return r, backward


def conformer(p, x, mask, config, rng, trace):
    """Blocks in a row.   x (B, T, C), p a list."""

    def block(q, x, i):
        return conformer_block(q, x, config.heads, mask, config.dropout, rng, scope(trace, str(i)))

    return stack(block, p, x)


def loss(out, batch, config):
    """L = CE(both) + unimodal (CE(audio) + CE(visual)), with soft `target` (B, K)."""
    weights = {"logits": 1.0} | {f"logits_{m}": config.unimodal for m in config.alone}
    value, terms, dout = cross_entropies(out, batch, weights, config)
    return value, {name.replace("logits", "cross_entropy"): term for name, term in terms.items()}, dout


def example(config):
    """Return the shapes of 4 s of audio at 50 Hz and video at 30 Hz."""
    return {"audio": (200, config.audio), "visual": (120, config.visual)}
