"""RAVER (paper 004): learned queries summarize each modality, whatever is left of it, before the two meet.

Data flow: layers of a speech model -> weighted sum; face features -> 1x1 convolution -> N learned queries read each (eq. 1-2)
-> cross-modal encoders, both ways -> self encoders -> attentive statistics pooling -> MLP -> shares of the votes (CBCE, eq. 3).

A modality that is missing is no zero here: its summary is what the queries hold, and the other modality attends to that. The
paper's "near-zero update" (III-C) holds only if the summarizer is replaced by pooling. A clip without any frame gets finite
logits, the same for every such clip. There is no public code; readings that are ours are named in docs/deviations.md.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import side_by_side, width
from refmer.layers.attention import Rates, cross_encoder, describe_encoder, encoder
from refmer.layers.dense import describe_linear, describe_mlp, linear, mlp
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
from refmer.train.augment import modality_dropout

MODALITIES = {"audio": "layers", "visual": "units"}
RECIPE = "paper-004"
VARIANTS = {  # nothing is published to compare with
    "raver": ({}, None),
    "raver@out": ({"head": "out"}, None),
    "raver@ff2048": ({"hidden": 2048, "encoder_hidden": 2048}, None),
}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    audio, audio_layers, visual : int
        Width and number of the layers of the speech model (WavLM-large: 1,024, 25); width of the face features (MobileNetV2).
    classes : int
    target : "votes" or "emotion"
        Shares of the raters, a class being there where its share is above 1 / K (paper IV-B); or one class per clip.
    every : int
        Frames averaged into one before anything else; 1 in the paper.
    width, heads : int
        d and H everywhere. Where `audio` is not d, a linear map follows the sum of layers (ours; published, they agree).
    positions : bool
        Sinusoidal positions on what the queries read. The paper does not mention any; the model it cites for them has them.
    summarizer : "learned", "mean" or "strided"
        The ablations pool instead: over all frames, or over `n_context` windows of equal length.
    n_context : int
        Learned queries (or windows) per modality (fig. 2).
    summary_layers, hidden : int
        Layers of the summarizer and the width inside their feed-forward part, which is not stated.
    layers, encoder_hidden : int
        Layers of the cross-modal and of the self encoders, and the width inside (not stated either).
    dropout, embed_dropout : float
        On attention weights and branches; on what enters an encoder.
    mask_context : bool
        True: queries see the frames that are there (V-A). False: frames that are missing, and padding, are zeros to be seen.
    head : "in" or "out"
        The paper's 2048, 1024, 256 as widths that enter its three maps, after pooling to d each; or as widths that leave them.
    head_hidden : tuple of int
        Published: 1,024 and 256.
    output : "softmax" or "sigmoid"
        One distribution over classes, or K independent answers.
    balance : "class", "sample" or "none"
        The weights of eq. 3 on each class' cross-entropy; one weight per clip, as the authors' code for other papers; plain.
    beta : float, optional
        Of eq. 3. None: (N - 1) / N, N the sum of the classes' counts in the training set.
    normalise : bool
        Scale the weights to sum K; False is eq. 3 as printed.
    modality_dropout : "sample", "batch" or "off"
        Who draws: each clip, or the batch as a whole (the paper's words, IV-D2).
    dropped : float
        Share of clips (or batches) without sound, and as many without face.
    """

    audio: int = 1024
    audio_layers: int = 25
    visual: int = 1280
    classes: int = 6
    target: str = "votes"
    every: int = 1
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
    head_hidden: tuple = (1024, 256)
    output: str = "softmax"
    balance: str = "class"
    beta: float | None = None
    normalise: bool = True
    modality_dropout: str = "sample"
    dropped: float = 0.2

    def __post_init__(self):
        object.__setattr__(self, "head_hidden", tuple(self.head_hidden))  # a list, where it comes from JSON
        accepted = {
            "target": ("votes", "emotion"),
            "summarizer": tuple(SUMMARIES),
            "head": ("in", "out"),
            "output": ("softmax", "sigmoid"),
            "balance": ("class", "sample", "none"),
            "modality_dropout": ("sample", "batch", "off"),
        }
        for name, values in accepted.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {', '.join(map(repr, values))}")
        if (self.output, self.balance) not in LOSSES:
            raise ValueError("balance is 'sample' with output 'sigmoid'; accepted with it: 'class', 'none'")
        if self.beta is not None and not 0 <= self.beta <= 1:
            raise ValueError(f"beta is {self.beta}; accepted: 0 to 1, or None")
        if self.n_context < 1 or self.every < 1:
            raise ValueError(f"n_context is {self.n_context}, every {self.every}; accepted: 1 or more")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus: frames of 0.16 s, 8 queries."""
        small = {"width": 40, "heads": 4, "n_context": 8, "summary_layers": 2, "hidden": 80, "layers": 1}
        return replace(cls(**small, every=4, encoder_hidden=80, head_hidden=(40, 20)), **changes)

    @classmethod
    def paper(cls, **changes):
        """The published widths: 362,956,575 parameters at 6 classes. The paper prints no count."""
        return replace(cls(), **changes)

    @property
    def pooled(self):
        """Width of one modality after pooling."""
        return self.width if self.head == "in" else 2 * self.width

    @property
    def contexts(self):
        """Tokens of a summary."""
        return 1 if self.summarizer == "mean" else self.n_context


def streams(config):
    """The streams that are read."""
    return list(MODALITIES.values())


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    audio_layers, audio = streams["layers"].x.shape[2:]
    return {"audio": audio, "audio_layers": audio_layers, "visual": width(streams, ("units",))}


def inputs(streams, config):
    """audio (B, T, L, D), visual (B, T, D) and their masks (B, T)."""
    batch = {}
    for m, name in MODALITIES.items():
        x, batch[f"{m}_mask"] = side_by_side(streams, (name,), config.every)
        batch[m] = x.reshape(*x.shape[:2], *streams[name].x.shape[2:])
    return batch


def describe(config):
    d = config.width
    tree = {
        "audio": {"layers": describe_layer_sum(config.audio_layers)},
        "visual": {"project": describe_linear(config.visual, d)},
    }
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
    """Both modalities side by side, [what leaves the first map of "out",] the hidden widths, the classes."""
    first = [] if config.head == "in" else [2 * config.width]
    return [2 * config.pooled, *first, *config.head_hidden, config.classes]


def augment(batch, config, rng):
    """Modality dropout: 20 % without sound, 20 % without face, 60 % whole (paper IV-D2)."""
    if config.modality_dropout == "off":
        return batch
    return modality_dropout(batch, rng, dict.fromkeys(MODALITIES, config.dropped), per=config.modality_dropout)


def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, L, D), visual (B, T, D) and masks -> out: logits (B, K) [, probabilities, of sigmoids]."""
    c, valid, back_c, h, back_h = {}, {}, {}, {}, {}
    for m in MODALITIES:
        mask = batch[f"{m}_mask"] if config.mask_context else None
        c[m], valid[m], back_c[m] = summarize(getattr(p, m), batch[m], mask, config, rng, scope(trace, m))
    pairs = (("audio", "visual"), ("visual", "audio"))
    for m, other in pairs:
        seen = (valid[m], valid[other])
        h[m], back_h[m] = fuse(getattr(p, m), c[m], c[other], seen, config, rng, scope(trace, m))
    logits, back_head = mlp(p.head, np.concatenate([h["audio"], h["visual"]], -1))
    out, back_answer = ANSWERS[config.output](logits)

    def backward(dout, g):
        dh = dict(zip(MODALITIES, np.split(back_head(back_answer(dout), g.head), 2, -1), strict=True))
        dc = dict.fromkeys(MODALITIES, 0.0)
        for m, other in pairs:  # a summary is read twice: as query, and as memory of the other
            dx, dmemory = back_h[m](dh[m], getattr(g, m))
            dc[m], dc[other] = dc[m] + dx, dc[other] + dmemory
        return {m: back_c[m](dc[m], getattr(g, m)) for m in MODALITIES}

    return out, backward


def summarize(p, x, mask, config, rng, trace):
    """The features of one modality, their positions, their summary c (B, N, d); valid (B, N) or None: all tokens are."""
    z, back_features = features(p, x, trace)
    z, back_positions = positions(z, mask) if config.positions else (z, lambda dz: dz)
    c, valid, back_summary = SUMMARIES[config.summarizer](getattr(p, "summary", None), z, mask, config, rng, trace)
    note(trace, "context", c)

    def backward(dc, g):
        dz = back_summary(dc, getattr(g, "summary", None))
        return back_features(back_positions(dz), g)

    return c, valid, backward


def features(p, x, trace):
    """Weighted sum of layers, if there are any (III-A); a linear map per frame, which is Conv1d with k = 1.   -> (B, T, d)."""
    backs, found = [], {}
    if hasattr(p, "layers"):
        x, back = layer_sum(p.layers, x, found)
        backs.append((back, "layers"))
        note(trace, "layers", np.broadcast_to(found["layers"], (len(x), *found["layers"].shape)))
    if hasattr(p, "project"):
        x, back = linear(p.project, x)
        backs.append((back, "project"))

    def backward(dx, g):
        for back, name in reversed(backs):
            dx = back(dx, getattr(g, name))
        return dx

    return x, backward


def learned_summary(p, x, mask, config, rng, trace):
    """c = Decoder(Q, x) (eq. 1-2). All tokens are valid, whatever there was to read."""
    c, back = learned_context(p, x, config.heads, mask, config.dropout, rng, scope(trace, "summary"))
    return c, None, back


def mean_summary(p, x, mask, config, rng, trace):
    """Ablation: one token, the mean over the frames that are there."""
    c, back = mean_pool(x, mask)
    return c[:, None], None if mask is None else mask.any(1)[:, None], lambda dc, g: back(dc[:, 0])


def strided_summary(p, x, mask, config, rng, trace):
    """Ablation: the means of N windows of equal length. A window of which no frame is there is masked from here on."""
    inside = equal_windows(np.ones(x.shape[:2], bool) if mask is None else mask, config.n_context)
    c, back = window_means(x, inside)
    return c, inside.any(-1), lambda dc, g: back(dc)


SUMMARIES = {"learned": learned_summary, "mean": mean_summary, "strided": strided_summary}


def fuse(p, x, memory, seen, config, rng, trace):
    """Cross-modal encoder (queries x, keys and values memory), self encoder, AS-pool [, linear]   (III-C).   -> (B, pooled)."""
    rates = Rates(config.dropout, 0.0, config.dropout, config.embed_dropout)
    own, other = (None if valid is None else key_mask(valid) for valid in seen)
    y, back_cross = cross_encoder(p.cross, x, memory, config.heads, other, rates, rng, scope(trace, "cross"))
    z, back_encode = encoder(p.encode, y, config.heads, own, rates, rng, scope(trace, "encode"))
    h, back_pool = statistics_pool(p.pool, z, seen[0], scope(trace, "pool"))
    h, back_reduce = linear(p.reduce, h) if config.head == "in" else (h, lambda dh, g: dh)

    def backward(dh, g):
        dz = back_pool(back_reduce(dh, getattr(g, "reduce", None)), g.pool)
        return back_cross(back_encode(dz, g.encode), g.cross)

    return h, backward


def distribution(logits):
    """One softmax over the classes, which is what logits stand for."""
    return {"logits": logits}, lambda dout: dout["logits"]


def independent(logits):
    """K independent probabilities."""
    p = sigmoid(logits)

    def backward(dout):  # a loss looks at the logits alone
        return dout["logits"] + sigmoid_backward(dout.get("probabilities", 0.0), p)

    return {"logits": logits, "probabilities": p}, backward


ANSWERS = {"softmax": distribution, "sigmoid": independent}
LOSSES = {
    ("softmax", "class"): (losses.cross_entropy, losses.cross_entropy_backward),
    ("softmax", "none"): (losses.cross_entropy, losses.cross_entropy_backward),
    ("softmax", "sample"): (losses.sample_weighted_cross_entropy, losses.sample_weighted_cross_entropy_backward),
    ("sigmoid", "class"): (losses.binary_cross_entropy, losses.binary_cross_entropy_backward),
    ("sigmoid", "none"): (losses.binary_cross_entropy, losses.binary_cross_entropy_backward),
}


def loss(out, batch, config):
    """CBCE (eq. 3): the batch's soft `target` (B, K), classes weighted against their `class_count` (K,) in training."""
    f, f_backward = LOSSES[config.output, config.balance]
    value, *saved = f(out["logits"], batch["target"], class_weights(batch["class_count"], config))
    return value, {f.__name__: value}, {"logits": f_backward(1.0, *saved)}


def class_weights(counts, config):
    """(1 - beta) / (1 - beta^n_k), sum K unless as printed; 1 where nothing is balanced.   counts (K,)."""
    if config.balance == "none":
        return np.ones_like(counts)
    N = float(counts.sum())
    beta = (N - 1) / N if config.beta is None else config.beta
    return losses.class_balanced_weights(counts, beta, config.normalise).astype(counts.dtype)


def example(config):
    """4 s of sound at 50 Hz and video at 30 Hz."""
    return {"audio": (200, config.audio_layers, config.audio), "visual": (120, config.visual)}
