"""RAVER (paper 004): learned queries summarize the available frames of each modality before the two are fused.

Data flow: layers of a speech model -> weighted sum; face features -> 1x1 convolution -> N learned queries for each (eq. 1-2)
-> cross-modal encoders, both ways -> self encoders -> attentive statistics pooling -> MLP -> shares of the votes (CBCE, eq. 3).

The summary of a missing modality is not zero: it follows from the queries alone, and the other modality attends to it. The
paper's "near-zero update" (III-C) holds only if the summarizer is replaced by pooling. A clip without any frame has finite
logits, the same for every such clip. No code is public; our readings are listed in docs/deviations.md.
"""

from dataclasses import dataclass

import numpy as np

from refmer.choices import HALF, SHARE
from refmer.data.inputs import flat, sequences, width
from refmer.layers.attention import Rates, cross_encoder, describe_encoder, encoder
from refmer.layers.dense import describe_linear, describe_mlp, linear, mlp, optional
from refmer.layers.sequence import (
    describe_layer_sum,
    describe_statistics_pool,
    layer_sum,
    mean_pool,
    positions,
    statistics_pool,
)
from refmer.layers.summarizer import describe_learned_context, equal_windows, learned_context, window_means
from refmer.layers.trace import note, scope
from refmer.ops import losses
from refmer.ops.activations import sigmoid, sigmoid_backward
from refmer.ops.attention import key_mask
from refmer.ops.contracts import closure
from refmer.systems import protocol
from refmer.train.augment import modality_dropout

MODALITIES = {"audio": ("layers",), "visual": ("units",)}
PAIRS = (("audio", "visual"), ("visual", "audio"))
RECIPE = "paper-004"
VARIANTS = {  # no number of parameters is published
    "raver": ({}, None),
    "raver@out": ({"head": "out"}, None),
    "raver@ff2048": ({"hidden": 2048, "encoder_hidden": 2048}, None),
}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    audio, audio_layers, visual : int
        Width and number of the layers of the speech model (WavLM-large: 1,024, 25); width of the face features (MobileNetV2).
    classes : int
    target : str
        The label that is learned. Of votes, the shares of the raters, where a class counts as present with a share above 1 / K
        (paper IV-B).
    fps : float, optional
        Frames per second at the input, of which those of the streams are averages. None: all frames, as in the paper.
    width, heads : int
        d and H everywhere. Where `audio` is not d, a linear map follows the sum of layers (ours; published, they are equal).
    positions : bool
        Sinusoidal positions added to the frames. The paper does not mention any; the model that it cites has them.
    summarizer : "learned", "mean" or "strided"
        The ablations pool instead: over all frames, or over `n_context` windows of equal length.
    n_context : int
        Learned queries (or windows) per modality (fig. 2).
    summary_layers, hidden : int
        Layers of the summarizer and the width of their feed-forward part (not stated).
    layers, encoder_hidden : int
        Layers of the cross-modal and of the self encoders, and the width of their feed-forward part (not stated).
    dropout, embed_dropout : float
        On attention weights and branches; on the input of an encoder.
    mask_context : bool
        True: queries attend to the available frames (V-A). False: missing frames and padding count as frames of zeros.
    head : "in" or "out"
        The paper's 2048, 1024, 256 as input widths of its three maps, after pooling to d each; or as output widths.
    head_hidden : tuple of int
        Published: 1,024 and 256.
    output : "softmax" or "sigmoid"
        One distribution over classes, or K independent probabilities.
    balance : "class", "sample" or "none"
        The weights of eq. 3 on the cross-entropy of each class; one weight per clip, as in the authors' other code; no weights.
    beta : float, optional
        Of eq. 3. None: (N - 1) / N, N the sum of the classes' counts in the training set.
    normalise : bool
        Scale the weights to sum K; False is eq. 3 as printed.
    modality_dropout : "sample", "batch" or "off"
        One draw for each clip, or one for the batch (the paper's words, IV-D2).
    dropped : float
        Share of clips (or batches) without audio, and the same share without video.
    """

    TINY = {"width": 40, "heads": 4, "fps": 6.25, "n_context": 8, "summary_layers": 2, "hidden": 80}  # frames of 0.16 s
    TINY |= {"layers": 1, "encoder_hidden": 80, "head_hidden": (40, 20)}
    ACCEPTED = {"summarizer": ("learned", "mean", "strided"), "head": ("in", "out")}
    ACCEPTED |= {"output": ("softmax", "sigmoid"), "balance": ("class", "sample", "none")}
    ACCEPTED |= {"modality_dropout": ("sample", "batch", "off")}
    RANGES = {"beta": SHARE, "dropped": HALF}

    audio: int = 1024
    audio_layers: int = 25
    visual: int = 1280
    classes: int = 6
    target: str = "votes"
    task: str = "votes"
    fps: float | None = None
    width: int = 1024
    heads: int = 8
    positions: bool = True
    summarizer: str = "learned"
    n_context: int = 128
    summary_layers: int = 6
    hidden: int = 4096
    layers: int = 3
    encoder_hidden: int = 4096
    dropout: float = 0.1
    embed_dropout: float = 0.25
    mask_context: bool = True
    head: str = "in"
    head_hidden: tuple[int, ...] = (1024, 256)
    output: str = "softmax"
    balance: str = "class"
    beta: float | None = None
    normalise: bool = True
    modality_dropout: str = "sample"
    dropped: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        if (self.output, self.balance) == ("sigmoid", "sample"):
            raise ValueError("balance is 'sample' with output 'sigmoid'; accepted with it: 'class', 'none'")


def widths(streams, config):
    """Return the Config fields that follow from the streams."""
    audio_layers, audio = layered(streams["audio"].x).shape[2:]
    return {"audio": audio, "audio_layers": audio_layers, "visual": width(streams["visual"])}


def inputs(streams, config):
    """Return audio (B, T, L, D), visual (B, T, D) and their masks (B, T)."""
    batch = sequences(streams, config)
    return batch | {"audio": layered(batch["audio"]), "visual": flat(batch["visual"])}


def layered(x):
    """Return frames of layers as they are, vectors as one layer.   (B, T, L, D) or (B, T, D) -> (B, T, L, D)."""
    return x if x.ndim == 4 else flat(x)[:, :, None]


def describe(config):
    d = config.width
    audio, visual = describe_layer_sum(config.audio_layers), describe_linear(config.visual, d)
    tree = {"audio": {"layers": audio}, "visual": {"project": visual}}
    if config.audio != d:
        tree["audio"]["project"] = describe_linear(config.audio, d)
    for part in tree.values():
        if config.summarizer == "learned":
            part["summary"] = describe_learned_context(config.n_context, d, config.hidden, config.summary_layers)
        part["cross"] = describe_encoder(d, config.encoder_hidden, config.layers)
        part["encode"] = describe_encoder(d, config.encoder_hidden, config.layers)
        part["pool"] = describe_statistics_pool(d)
        if config.head == "in":
            part["reduce"] = describe_linear(2 * d, d)
    tree["head"] = describe_mlp(*head_widths(config))
    return tree


def head_widths(config):
    """Return the widths of the MLP: both modalities, [the output of the first map of "out",] hidden widths, classes."""
    d = config.width
    return [*([2 * d] if config.head == "in" else [4 * d, 2 * d]), *config.head_hidden, config.classes]


def augment(batch, config, rng):
    """Apply modality dropout: 20 % without audio, 20 % without video, 60 % with both (paper IV-D2)."""
    if config.modality_dropout == "off":
        return batch
    return modality_dropout(batch, rng, dict.fromkeys(MODALITIES, config.dropped), per=config.modality_dropout)


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, L, D), visual (B, T, D) and masks -> out: logits (B, K) [, probabilities of sigmoids]."""
    c, valid, back_c, h, back_h = {}, {}, {}, {}, {}
    for m in MODALITIES:
        mask = batch[f"{m}_mask"] if config.mask_context else None
        c[m], valid[m], back_c[m] = summarize(getattr(p, m), batch[m], mask, config, rng, scope(trace, m))
    for m, other in PAIRS:
        tokens = (valid[m], valid[other])
        h[m], back_h[m] = fuse(getattr(p, m), c[m], c[other], tokens, config, rng, scope(trace, m))
    logits, back_head = mlp(p.head, np.concatenate([h["audio"], h["visual"]], -1))
    sigmoids = config.output == "sigmoid" and config.task != "regression"
    out = {"logits": logits} | ({"probabilities": sigmoid(logits)} if sigmoids else {})

    def backward(dout, g):
        dlogits = dout["logits"]
        if "probabilities" in dout:  # not from a loss: losses use the logits
            dlogits = dlogits + sigmoid_backward(dout["probabilities"], out["probabilities"])
        dh = dict(zip(MODALITIES, np.split(back_head(dlogits, g.head), 2, -1), strict=True))
        dc = dict.fromkeys(MODALITIES, 0.0)
        for m, other in PAIRS:  # a summary is used twice: as query, and as memory of the other
            dx, dmemory = back_h[m](dh[m], getattr(g, m))
            dc[m], dc[other] = dc[m] + dx, dc[other] + dmemory
        return {m: back_c[m](dc[m], getattr(g, m)) for m in MODALITIES}

    return out, backward


def summarize(p, x, mask, config, rng, trace):
    """The summary c (B, N, d) of one modality, of its features + positions; valid (B, N), or None: all tokens are valid."""
    z, back_features = features(p, x, trace)
    z, back_positions = positions(z, mask) if config.positions else (z, lambda dz: dz)
    c, valid, back_summary = SUMMARIES[config.summarizer](p, z, mask, config, rng, trace)
    note(trace, "context", c)
    return c, valid, lambda dc, g: back_features(back_positions(back_summary(dc, g)), g)


def features(p, x, trace):
    """Weighted sum of layers (audio, III-A); linear map per frame, a Conv1d with k = 1, where p has one.   -> (B, T, d)."""
    weights = {}
    z, back_layers = optional(p, "layers", layer_sum, x, weights)
    if weights:
        note(trace, "layers", np.broadcast_to(weights["layers"], (len(x), *weights["layers"].shape)))
    y, back_project = optional(p, "project", linear, z)
    return y, lambda dy, g: back_layers(back_project(dy, g), g)


def learned_summary(p, x, mask, config, rng, trace):
    """c = Decoder(Q, x) (eq. 1-2). All tokens are valid, also those of a missing modality."""
    c, back = learned_context(p.summary, x, config.heads, mask, config.dropout, rng, scope(trace, "summary"))
    return c, None, lambda dc, g: back(dc, g.summary)


def mean_summary(p, x, mask, config, rng, trace):
    """Ablation: one token, the mean over the available frames."""
    c, back = mean_pool(x, mask)
    return c[:, None], None if mask is None else mask.any(1)[:, None], lambda dc, g: back(dc[:, 0])


def strided_summary(p, x, mask, config, rng, trace):
    """Ablation: the means of N windows of equal length. A window without a frame is masked in all later layers."""
    inside = equal_windows(np.ones(x.shape[:2], bool) if mask is None else mask, config.n_context)
    c, back = window_means(x, inside)
    return c, inside.any(-1), lambda dc, g: back(dc)


SUMMARIES = {"learned": learned_summary, "mean": mean_summary, "strided": strided_summary}


def fuse(p, x, memory, tokens, config, rng, trace):
    """Cross-modal encoder (queries x, keys and values memory), self encoder, AS-pool [, linear]   (III-C).   -> (B, pooled).

    tokens: the valid ones of x and of memory, (B, N) or None.
    """
    rates = Rates(config.dropout, 0.0, config.dropout, config.embed_dropout)
    own, other = (None if valid is None else key_mask(valid) for valid in tokens)
    y, back_cross = cross_encoder(p.cross, x, memory, config.heads, other, rates, rng, scope(trace, "cross"))
    z, back_encode = encoder(p.encode, y, config.heads, own, rates, rng, scope(trace, "encode"))
    h, back_pool = statistics_pool(p.pool, z, tokens[0], scope(trace, "pool"))
    h, back_reduce = optional(p, "reduce", linear, h)

    def backward(dh, g):
        dz = back_pool(back_reduce(dh, g), g.pool)
        return back_cross(back_encode(dz, g.encode), g.cross)

    return h, backward


LOSSES = {
    "softmax": (losses.cross_entropy, losses.cross_entropy_backward),
    "sigmoid": (losses.binary_cross_entropy, losses.binary_cross_entropy_backward),
    "sample": (losses.sample_weighted_cross_entropy, losses.sample_weighted_cross_entropy_backward),
}


def loss(out, batch, config):
    """CBCE (eq. 3) with soft `target` (B, K), classes weighted by their `class_count` (K,) in training."""
    if config.task == "regression":
        return protocol.squared_error(out, batch, {"logits": 1.0})
    f, f_backward = LOSSES["sample" if config.balance == "sample" else config.output]
    value, *saved = f(out["logits"], batch["target"], class_weights(batch["class_count"], config))
    return value, {f.__name__: value}, {"logits": f_backward(1.0, *saved)}


def class_weights(counts, config):
    """w_k = (1 - beta) / (1 - beta^n_k), normalised to sum K unless as printed; 1 without balance.   counts (K,)."""
    if config.balance == "none":
        return np.ones_like(counts)
    N = float(counts.sum())
    beta = (N - 1) / N if config.beta is None else config.beta
    return losses.class_balanced_weights(counts, beta, config.normalise).astype(counts.dtype)


def example(config):
    """Return the shapes of 4 s of audio at 50 Hz and video at 30 Hz."""
    return {"audio": (200, config.audio_layers, config.audio), "visual": (120, config.visual)}
