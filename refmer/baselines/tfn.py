"""Tensor fusion network (Zadeh et al. 2017), named in papers 000 and 001: products of features of any subset of modalities.

A vector z_m per modality -> [z_V; 1] x [z_A; 1] x [z_T; 1] -> MLP -> classes. As there, words are read by an LSTM, the others
are means over the clip; `recurrent` says which.
"""

from dataclasses import dataclass, replace

from refmer.data.inputs import sequences, width
from refmer.layers.dense import describe_linear, dropout, linear
from refmer.layers.fusion import describe_tensor_fusion, tensor_fusion
from refmer.layers.sequence import describe_lstm, last_valid_step, lstm, mean_pool
from refmer.ops.activations import relu, relu_backward
from refmer.ops.losses import balanced_weights, cross_entropy, cross_entropy_backward
from refmer.train.augment import mixup

MODALITIES = {"visual": ("units",), "audio": ("prosody", "mfcc"), "text": ("words",)}
RECIPE = "paper-000"
VARIANTS = {"tfn": ({}, None)}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    visual, audio, text : int
        Features per frame.
    classes : int
    target : "sentiment" or "emotion"
    vectors : (int, int, int)
        Widths of z_V, z_A, z_T; those of Zadeh et al. 2017 are 32, 32, 128.
    hidden : int
        The layer after the fusion.
    recurrent : tuple
        The modalities whose frames an LSTM reads; of the others the mean frame counts.
    visual_every, audio_every : int
        Frames of the stream that are averaged into one.
    dropout, mixup : float
        After the fusion; Beta(a, a) of mixup, 0: none.
    """

    visual: int = 713
    audio: int = 74
    text: int = 300
    classes: int = 7
    target: str = "sentiment"
    vectors: tuple = (32, 32, 128)
    hidden: int = 128
    recurrent: tuple = ("text",)
    visual_every: int = 1
    audio_every: int = 1
    dropout: float = 0.3
    mixup: float = 0.2

    def __post_init__(self):
        for name in ("vectors", "recurrent"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, where it comes from JSON
        if len(self.vectors) != len(MODALITIES):
            raise ValueError(f"vectors is {self.vectors}; accepted: three widths, of {', '.join(MODALITIES)}")
        if set(self.recurrent) - set(MODALITIES):
            raise ValueError(f"recurrent is {self.recurrent}; accepted: any of {', '.join(MODALITIES)}")
        if self.target not in ("sentiment", "emotion"):
            raise ValueError(f"target is {self.target!r}; accepted: 'sentiment', 'emotion'")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, whose face and voice become 5 frames a second."""
        return replace(cls(vectors=(8, 8, 8), hidden=32, visual_every=5, audio_every=10), **changes)

    @classmethod
    def paper(cls, **changes):
        """The widths of Zadeh et al. 2017 on the features of paper 000."""
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return [name for names in MODALITIES.values() for name in names]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    return {m: width(streams, names) for m, names in MODALITIES.items()}


def inputs(streams, config):
    """visual, audio, text (B, T, D), each with its mask <modality>_mask (B, T)."""
    return sequences(streams, MODALITIES, config)


def describe(config):
    vectors = dict(zip(MODALITIES, config.vectors, strict=True))
    fusion = {"fuse": describe_tensor_fusion(vectors, config.hidden), "classes": describe_linear(config.hidden, config.classes)}
    return describe_vectors(config) | fusion


def describe_vectors(config):
    tree = {}
    for m, C in zip(MODALITIES, config.vectors, strict=True):
        n = getattr(config, m)
        reader = m in config.recurrent
        tree[m] = {"map": describe_linear(C if reader else n, C)} | ({"lstm": describe_lstm(n, C)} if reader else {})
    return tree


def augment(batch, config, rng):
    """Mixup, as paper 000."""
    return mixup(batch, rng, config.mixup) if config.mixup else batch


def forward(p, batch, config, rng=None, trace=None):
    """logits = W2 dropout(relu(W1 ([z_V; 1] x [z_A; 1] x [z_T; 1]) + b1)) + b2."""
    z, back_vectors = read_vectors(p, batch, config)
    u, back_fuse = tensor_fusion(p.fuse, z)
    r = relu(u)
    h, back_drop = dropout(rng, r, config.dropout)
    logits, back_classes = linear(p.classes, h)

    def backward(dout, g):
        du = relu_backward(back_drop(back_classes(dout["logits"], g.classes)), r)
        return back_vectors(back_fuse(du, g.fuse), g)

    return {"logits": logits}, backward


def read_vectors(p, batch, config):
    """z_m = relu(W s + b); s the mean frame, or the last state of an LSTM.   -> {modality: (B, C_m)}."""
    found = {}
    for m in MODALITIES:
        summary = last_state if m in config.recurrent else mean_frame
        found[m] = read_vector(getattr(p, m), summary, batch[m], batch[f"{m}_mask"])

    def backward(dz, g):
        return {m: back(dz[m], getattr(g, m)) for m, (_, back) in found.items()}

    return {m: z for m, (z, _) in found.items()}, backward


def read_vector(p, summary, x, mask):
    s, back_summary = summary(p, x, mask)
    u, back_map = linear(p.map, s)
    z = relu(u)
    return z, lambda dz, g: back_summary(back_map(relu_backward(dz, z), g.map), g)


def mean_frame(p, x, mask):
    """The mean over valid frames.   x (B, T, D) -> (B, D)."""
    s, back = mean_pool(x, mask)
    return s, lambda ds, g: back(ds)


def last_state(p, x, mask):
    """What an LSTM holds after the last valid frame; 0 where there is none.   x (B, T, D) -> (B, C)."""
    y, back_lstm = lstm(p.lstm, x, mask=mask)
    s, back_last = last_valid_step(y, mask)
    return s, lambda ds, g: back_lstm(back_last(ds), g.lstm)


def loss(out, batch, config):
    """Cross-entropy with the batch's soft `target` (B, K), classes weighted against their `class_count` (K,)."""
    value, *saved = cross_entropy(out["logits"], batch["target"], balanced_weights(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


def example(config):
    """10 s of the features of paper 000."""
    return {m: (frames, getattr(config, m)) for m, frames in zip(MODALITIES, (300, 1000, 25), strict=True)}
