"""SFAV (Chumachenko et al. 2022), a baseline of paper 004: convolutions along time per modality, fused late or in between.

Data flow: four Conv1d blocks (k = 3, norm, ReLU) per modality -> mean over time -> concatenation -> linear. `fusion`: "late"
puts a cross-modal layer each way at the end; "intermediate" adds the same layers after block 2; "attention" weighs the frames
of each modality, after block 2, by the attention of the other modality to them.

Ours: layer norm for the batch norm of the authors' code and no max-pooling of sound (padding changes nothing), one list of
widths for both modalities, the pre-norm layer of layers/attention.py for theirs. No EfficientFace in front: features come in.
"""

from dataclasses import dataclass

import numpy as np

from refmer.choices import HALF
from refmer.layers.attention import Rates, cross_layer, describe_encoder_layer
from refmer.layers.convolution import conv1d, describe_conv1d
from refmer.layers.dense import describe_layer_norm, describe_linear, describe_project, layer_norm, linear, project
from refmer.layers.sequence import mean_pool
from refmer.layers.trace import note, scope
from refmer.ops.activations import fitting, relu, relu_backward
from refmer.ops.attention import attention_weights, attention_weights_backward, key_mask, merge_heads, split_heads
from refmer.ops.contracts import closure
from refmer.systems import protocol
from refmer.train.augment import modality_dropout

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
PAIRS = (("audio", "visual"), ("visual", "audio"))
RECIPE = "paper-002"
VARIANTS = {
    "sfav": ({}, None),
    "sfav@intermediate": ({"fusion": "intermediate"}, None),
    "sfav@attention": ({"fusion": "attention"}, None),
}
TAPS = 3
FUSIONS = {"late": 4, "intermediate": 2, "attention": 2}  # after which block the modalities meet


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; published: 10 MFCC, EfficientFace 1,024.
    classes, target
    fps : float, optional
        Frames per second, of which those of the streams are averages. None: all frames.
    blocks : tuple of 4 int
        Widths of the convolutions, the same for both modalities.
    fusion : "late", "intermediate" or "attention"
    heads, hidden : int
        Of the cross-modal layers.
    dropout : float
    modality_dropout : float
        Share of the training clips without sound, and as many without face. The authors' code shows each batch whole, softly
        masked, without sound and without face; a third each is the closest without a batch four times the size.
    """

    TINY = {"fps": 6.25, "blocks": (32,) * 4, "hidden": 64, "dropout": 0.1}
    ACCEPTED = {"fusion": tuple(FUSIONS)}
    RANGES = {"modality_dropout": HALF}

    audio: int = 10
    visual: int = 1024
    classes: int = 8
    target: str = "emotion"
    fps: float | None = None
    blocks: tuple[int, ...] = (64, 64, 128, 128)
    fusion: str = "late"
    heads: int = 1
    hidden: int = 256
    dropout: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if len(self.blocks) != 4:
            raise ValueError(f"blocks is {self.blocks}; accepted: 4 widths")
        if (width := self.blocks[FUSIONS[self.fusion] - 1]) % self.heads:
            raise ValueError(f"blocks is {self.blocks}, heads {self.heads}; accepted: {width} a multiple of the heads")


def describe(config):
    width, tree = config.blocks[FUSIONS[config.fusion] - 1], {}
    for m in MODALITIES:
        sizes = [getattr(config, m), *config.blocks]
        blocks = [describe_block(n_in, n_out) for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True)]
        weigh = config.fusion == "attention"
        fuse = describe_frame_attention(width, width, width) if weigh else describe_encoder_layer(width, config.hidden)
        tree[m] = {"blocks": blocks, "fuse": fuse}
    return tree | {"head": describe_linear(2 * config.blocks[-1], config.classes)}


def describe_block(n_in, n_out):
    return {"conv": describe_conv1d(n_in, n_out, TAPS), "norm": describe_layer_norm(n_out)}


def augment(batch, config, rng):
    """Return a batch with modalities dropped, if modality_dropout is above 0."""
    rates = dict.fromkeys(MODALITIES, config.modality_dropout)
    return modality_dropout(batch, rng, rates) if config.modality_dropout else batch


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio, visual (B, T, D) and masks -> out: logits (B, K)."""
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    layer, after = {"late": late, "intermediate": intermediate, "attention": attended}[config.fusion], FUSIONS[config.fusion]
    x, back_first = convolve(p, {m: batch[m] for m in MODALITIES}, masks, range(after))
    x, back_fuse = across(layer, p, x, masks, config, rng, trace)
    x, back_second = convolve(p, x, masks, range(after, 4))
    pooled, back_pool = zip(*(mean_pool(x[m], masks[m]) for m in MODALITIES), strict=True)
    logits, back_head = linear(p.head, np.concatenate(pooled, -1))

    def backward(dout, g):
        dpooled = np.split(back_head(dout["logits"], g.head), 2, -1)
        dx = {m: back(d) for m, back, d in zip(MODALITIES, back_pool, dpooled, strict=True)}
        return back_first(back_fuse(back_second(dx, g), g), g)

    return {"logits": logits}, backward


def convolve(p, x, masks, blocks):
    """The numbered blocks of both modalities: x = relu(LN(conv(x))).   x {m: (B, T, C)}."""
    x, backs = dict(x), []
    for m in MODALITIES:
        for i in blocks:
            x[m], back = block(getattr(p, m).blocks[i], x[m], masks[m])
            backs.append((m, i, back))

    def backward(dx, g):
        for m, i, back in reversed(backs):
            dx = dx | {m: back(dx[m], getattr(g, m).blocks[i])}
        return dx

    return x, backward


def block(p, x, mask):
    u, back_conv = conv1d(p.conv, x, TAPS, mask=mask)
    n, back_norm = layer_norm(p.norm, u)
    y = relu(n)

    def backward(dy, g):
        return back_conv(back_norm(relu_backward(dy, y), g.norm), g.conv)

    return y, backward


def across(layer, p, x, masks, config, rng, trace):
    """The layer both ways, with the parameters of the modality that changes.   x {m: (B, T, C)}."""
    y, backs = {}, {}
    for m, other in PAIRS:
        part = getattr(p, m).fuse
        y[m], backs[m] = layer(part, x[m], x[other], (masks[m], masks[other]), config, rng, scope(trace, m))

    def backward(dy, g):
        dx = dict.fromkeys(MODALITIES, 0.0)
        for m, other in PAIRS:
            dm, dmemory = backs[m](dy[m], getattr(g, m).fuse)
            dx[m], dx[other] = dx[m] + dm, dx[other] + dmemory
        return dx

    return y, backward


def late(p, x, memory, masks, config, rng, trace):
    """y = cross_layer(x, memory)."""
    rates = Rates(config.dropout, config.dropout, config.dropout)
    return cross_layer(p, x, memory, config.heads, key_mask(masks[1]), rates, rng, trace)


def intermediate(p, x, memory, masks, config, rng, trace):
    """y = x + cross_layer(x, memory)."""
    z, back = late(p, x, memory, masks, config, rng, trace)

    def backward(dy, g):
        dx, dmemory = back(dy, g)
        return dy + dx, dmemory

    return x + z, backward


def attended(p, x, memory, masks, config, rng, trace):
    """y = w x, w the attention of the other modality to each frame; 0 where it has no frame."""
    mask, valid = masks
    y, back = frame_attention(p, memory, x, config.heads, valid, mask, trace)
    return y, lambda dy, g: back(dy, g)[::-1]


def describe_frame_attention(query, key, width):
    return {"query": describe_project(query, width), "key": describe_project(key, width)}


def frame_attention(p, x, memory, heads=1, x_valid=None, valid=None, trace=None):
    """y_s = w_s memory_s, w_s = sum_t softmax(q k^T / sqrt(D))_ts, the mean over heads: the attention of x to frame s.

    x (B, T, C) with x_valid (B, T), memory (B, S, E) with valid (B, S), w (B, S). The weights sum to the number of valid steps
    of x. There are no values.
    """
    q, back_q = project(p.query, x)
    k, back_k = project(p.key, memory)
    a, *saved = attention_weights(split_heads(q, heads), split_heads(k, heads), None if valid is None else key_mask(valid))
    rows = None if x_valid is None else fitting(x_valid[:, None, :, None], a)  # (B, 1, T, 1)
    counted = a if rows is None else np.where(rows, a, 0)  # (B, H, T, S)
    w = counted.sum((1, 2)) / heads  # (B, S)
    note(trace, "frames", w)

    def backward(dy, g):
        dw = (dy * memory).sum(-1)  # y = w memory
        da = np.broadcast_to(dw[:, None, None] / heads, a.shape)
        dq, dk = attention_weights_backward(da if rows is None else np.where(rows, da, 0), *saved)
        return back_q(merge_heads(dq), g.query), w[..., None] * dy + back_k(merge_heads(dk), g.key)

    return w[..., None] * memory, backward


def example(config):
    """3.6 s of sound at 43 Hz, 15 frames of video."""
    return {"audio": (156, config.audio), "visual": (15, config.visual)}
