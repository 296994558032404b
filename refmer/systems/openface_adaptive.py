"""OpenFace-Adaptive (paper 000): reliability gates and a Transformer over three nodes, one per modality.

Data flow: mean over the segment -> batch norm -> linear -> ReLU -> gate (eq. 2-3; V and A) -> nodes [V, A, T] -> 3 post-LN
Transformer layers (eq. 4) -> concatenation -> MLP -> classes. See docs/deviations.md for where paper and authors' code differ.
"""

from dataclasses import dataclass

import numpy as np

from refmer.data.inputs import segment_means
from refmer.layers.attention import describe_encoder_layer, post_norm_layer
from refmer.layers.dense import (
    batch_norm,
    describe_batch_norm,
    describe_linear,
    describe_mlp,
    dropout,
    linear,
    mlp,
    stack,
)
from refmer.layers.gate import describe_gate, gate
from refmer.layers.trace import scope
from refmer.ops.activations import relu, relu_backward
from refmer.ops.contracts import closure
from refmer.ops.losses import (
    balanced_weights,
    binary_cross_entropy,
    binary_cross_entropy_backward,
    focal,
    focal_backward,
)
from refmer.params import Leaf, normal
from refmer.systems import protocol

MODALITIES = {"visual": ("units",), "audio": ("prosody", "mfcc"), "text": ("words",)}
RECIPE = "paper-000"
VARIANTS = {"openface_adaptive": ({}, 1_962_503), "openface_adaptive@d192": ({"width": 192}, 3_086_663)}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    visual, audio, text : int
        Widths of the segment means; published: OpenFace 713, COVAREP 74, GloVe 300.
    classes : int
        7 classes of sentiment, or the emotions.
    target : str
        The label that is learned.
    modalities : tuple
        The modalities that are used, of "visual", "audio", "text" (Table II: one alone).
    width, heads, layers, hidden, head : int
        d, H, Transformer layers, their feed-forward width, width of the MLP. The paper says d = 192; its sizes have d = 128.
    gate, gate_text, gate_hidden
        Gates on V and A; the paper's text also names T (the authors' code has no gate there).
    transformer : bool
        False: concatenation and an MLP instead (Table II, "No Transformer").
    modality_embedding : bool
        Learned node types, for a literal "heterogeneous" graph; neither the paper's equations nor the code have them.
    hide_missing : bool
        True: no node attends to a missing modality. The paper's soft gate cannot do that: with alpha = 0 a node still has
        biases and a share of the softmax.
    dropout, head_dropout : float
        Inside the Transformer (authors' code 0.1), and before the last layer (the paper's 0.5, nowhere in the code).
    gamma, literal_focal, balanced
        Focal loss; literal_focal=False is the authors' code (see ops/losses.py); classes weighted by inverse frequency.
    mixup : float
        The a of mixup's Beta(a, a); 0: no mixup.
    reliability : float
        Beyond the paper. Above 0: training has corrupted copies of clips too (data/copies.py), and this weight of a term that
        asks the gates for the state of their sensors; 0: clean clips and the paper's loss.
    """

    TINY = {"width": 32, "hidden": 64, "head": 32, "gate_hidden": 16, "layers": 2}
    TINY |= {"dropout": 0.3, "head_dropout": 0.5, "gamma": 0.0, "balanced": False, "mixup": 0.0, "reliability": 1.0}
    PAPER = {"width": 128}

    visual: int = 713
    audio: int = 74
    text: int = 300
    classes: int = 7
    target: str = "sentiment"
    task: str = "ordinal"
    modalities: tuple[str, ...] = ("visual", "audio", "text")
    width: int = 192
    heads: int = 4
    layers: int = 3
    hidden: int = 2048
    head: int = 64
    gate: bool = True
    gate_text: bool = False
    gate_hidden: int = 64
    transformer: bool = True
    modality_embedding: bool = False
    hide_missing: bool = False
    dropout: float = 0.1
    head_dropout: float = 0.0
    gamma: float = 2.0
    literal_focal: bool = True
    balanced: bool = True
    mixup: float = 0.2
    reliability: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        unknown = set(self.modalities) - set(MODALITIES)
        if unknown or not self.modalities:
            raise ValueError(f"modalities is {self.modalities}; accepted: one or more of {', '.join(MODALITIES)}")

    def gated(self, modality):
        """Return True if a modality has a gate."""
        return self.gate and (modality != "text" or self.gate_text)


def inputs(streams, config):
    """Return segment means: visual, audio, text (B, D) and visual_mask, ... (B,), False where the modality is missing."""
    return segment_means(streams)


def describe(config):
    d, nodes = config.width, len(config.modalities)
    tree = {}
    for m in config.modalities:
        tree[m] = {"norm": describe_batch_norm(getattr(config, m)), "project": describe_linear(getattr(config, m), d)}
        if config.gated(m):
            tree[m]["gate"] = describe_gate(d, config.gate_hidden)
    if config.modality_embedding:
        tree["embedding"] = {"W": Leaf((nodes, d), normal(0.02))}
    if config.transformer:
        tree["layers"] = [describe_encoder_layer(d, config.hidden) for _ in range(config.layers)]
    else:
        tree["join"] = describe_linear(nodes * d, d)
    tree["head"] = describe_mlp(nodes * d if config.transformer else d, config.head, config.classes)
    return tree


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: visual, audio, text (B, D) -> out: logits (B, K) and, with gates, their scores (B, G)."""
    nodes = {m: node(getattr(p, m), batch[m], rng, scope(trace, m)) for m in config.modalities}
    x = np.stack([h for h, _, _ in nodes.values()], 1)  # H^(0) = [h_V, h_A, h_T]  (B, M, d)
    gated = [m for m in config.modalities if config.gated(m)]
    if config.modality_embedding:
        x = x + p.embedding.W
    fuse = transformer if config.transformer else join
    z, back_fuse = fuse(p, x, batch, config, rng, trace)
    logits, back_head = mlp(p.head, z, config.head_dropout, rng)

    def backward(dout, g):
        dx = back_fuse(back_head(dout["logits"], g.head), g)
        if config.modality_embedding:
            g.embedding.W += dx.sum(0)
        ds = {m: dout["scores"][:, i : i + 1] for i, m in enumerate(gated)} if "scores" in dout else {}
        return {m: back(dx[:, i], ds.get(m, 0.0), getattr(g, m)) for i, (m, (_, _, back)) in enumerate(nodes.items())}

    return {"logits": logits} | ({"scores": np.hstack([nodes[m][1] for m in gated])} if gated else {}), backward


def node(p, x, rng, trace):
    """h_m = gate(relu(BN(x) W + b)), the gate where the modality has one.   x (B, D) -> h (B, d), s (B, 1) or None."""
    n, back_norm = batch_norm(p.norm, x, rng)
    u, back_project = linear(p.project, n)
    r = relu(u)
    h, s, back_gate = gate(p.gate, r, trace) if hasattr(p, "gate") else (r, None, None)

    def backward(dh, ds, g):
        dr = back_gate(dh, ds, g.gate) if back_gate else dh
        return back_norm(back_project(relu_backward(dr, r), g.project), g.norm)

    return h, s, backward


def transformer(p, x, batch, config, rng, trace):
    """Transformer layers over the nodes (eq. 4), their outputs concatenated.   x (B, M, d) -> (B, M d)."""
    mask = np.stack([batch[f"{m}_mask"] for m in config.modalities], 1)[:, None, None] if config.hide_missing else None

    def layer(q, x, i):
        return post_norm_layer(q, x, config.heads, mask, config.dropout, rng, scope(trace, f"layers.{i}"))

    y, back = stack(layer, p.layers, x)
    return y.reshape(len(x), -1), lambda dz, g: back(dz.reshape(x.shape), g.layers)


def join(p, x, batch, config, rng, trace):
    """Ablation without Transformer: z = drop(relu(x W + b)) of the concatenated nodes, dropout 0.3 (authors' code)."""
    u, back_join = linear(p.join, x.reshape(len(x), -1))
    r = relu(u)
    z, back_drop = dropout(rng, r, 0.3)

    def backward(dz, g):
        return back_join(relu_backward(back_drop(dz), r), g.join).reshape(x.shape)

    return z, backward


def loss(out, batch, config):
    """Focal loss (paper IV-A) with soft `target` (B, K), classes weighted by the inverse of `class_count` (K,).

    Beyond the paper, where the batch has the states r (B,) of the sensors, `reliability` times the mean over clips and gates
    of -r log(alpha) - (1 - r) log(1 - alpha) is added; a missing modality has the state 0.
    """
    if config.task == "regression":
        value, terms, dout = protocol.squared_error(out, batch, {"logits": 1.0})
    else:
        weight = balanced_weights(batch["class_count"]) if config.balanced else np.ones_like(batch["class_count"])
        value, *saved = focal(out["logits"], batch["target"], weight, config.gamma, config.literal_focal)
        terms, dout = {"focal": value}, {"logits": focal_backward(1.0, *saved)}
    gated = [m for m in config.modalities if f"{m}_state" in batch and config.gated(m)]
    if gated:
        states = np.stack([batch[f"{m}_state"] * batch[f"{m}_mask"] for m in gated], 1)
        bce, *saved = binary_cross_entropy(out["scores"], states, np.full(len(gated), config.reliability, states.dtype))
        value, terms = value + bce, terms | {"reliability": bce}
        dout["scores"] = binary_cross_entropy_backward(1.0, *saved)
    return value, terms, dout


def copied(config):
    """Return the modalities of whose sensors training has corrupted copies: those with gates, without gates the same ones."""
    return tuple(m for m in config.modalities if m != "text" or config.gate_text) if config.reliability else ()


def example(config):
    """Return the shapes of one vector per modality."""
    return {m: (getattr(config, m),) for m in config.modalities}
