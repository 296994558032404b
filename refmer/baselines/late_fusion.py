"""Late fusion, the other end from concatenation (paper 000, I): a classifier per modality on segment means, answers averaged.

Averaged are probabilities, over the modalities that are there; `average="logits"` averages logits, a product of experts.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import segment_means, width
from refmer.layers.dense import describe_mlp, mlp
from refmer.layers.trace import note
from refmer.ops.activations import log_softmax, log_softmax_backward
from refmer.ops.losses import balanced_weights, cross_entropy, cross_entropy_backward
from refmer.train.augment import mixup

MODALITIES = {"visual": ("units",), "audio": ("prosody", "mfcc"), "text": ("words",)}
RECIPE = "paper-000"
VARIANTS = {"late_fusion": ({}, None)}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    visual, audio, text : int
        Widths of the segment means.
    classes : int
    target : "sentiment" or "emotion"
    hidden : int
        The layer of each classifier.
    average : "probabilities" or "logits"
        What is averaged.
    joint : bool
        False: each classifier learns by a loss of its own, as if alone. True: one loss on the averaged answer.
    dropout, mixup : float
        After the layer; Beta(a, a) of mixup, 0: none.
    """

    visual: int = 713
    audio: int = 74
    text: int = 300
    classes: int = 7
    target: str = "sentiment"
    hidden: int = 128
    average: str = "probabilities"
    joint: bool = False
    dropout: float = 0.3
    mixup: float = 0.2

    def __post_init__(self):
        if self.average not in AVERAGES:
            raise ValueError(f"average is {self.average!r}; accepted: {', '.join(map(repr, AVERAGES))}")
        if self.target not in ("sentiment", "emotion"):
            raise ValueError(f"target is {self.target!r}; accepted: 'sentiment', 'emotion'")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus."""
        return replace(cls(hidden=32), **changes)

    @classmethod
    def paper(cls, **changes):
        """Widths are ours: the papers give none."""
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return [name for names in MODALITIES.values() for name in names]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    return {m: width(streams, names) for m, names in MODALITIES.items()}


def inputs(streams, config):
    """Segment means: visual, audio, text (B, D) and visual_mask, ... (B,), False where a modality is missing."""
    batch = {}
    for m, names in MODALITIES.items():
        batch[m], batch[f"{m}_mask"] = segment_means(streams, names)
    return batch


def describe(config):
    return {m: describe_mlp(getattr(config, m), config.hidden, config.classes) for m in MODALITIES}


def augment(batch, config, rng):
    """Mixup, as paper 000."""
    return mixup(batch, rng, config.mixup) if config.mixup else batch


def forward(p, batch, config, rng=None, trace=None):
    """each_m = W2 dropout(relu(W1 x_m + b1)) + b2 (B, M, K); logits (B, K) of the averaged answer."""
    found = [mlp(getattr(p, m), batch[m], config.dropout, rng) for m in MODALITIES]
    each = np.stack([y for y, _ in found], 1)  # (B, M, K)
    logits, back_average = AVERAGES[config.average](each, shares(batch, each.real.dtype))
    note(trace, "logits", each)
    out = {"logits": logits, "each": each}

    def backward(dout, g):
        d = {k: dout.get(k, np.zeros_like(y)) for k, y in out.items()}  # what a loss does not use
        deach = d["each"] + back_average(d["logits"])
        return {m: back(deach[:, i], getattr(g, m)) for i, (m, (_, back)) in enumerate(zip(MODALITIES, found, strict=True))}

    return out, backward


def shares(batch, dtype):
    """1 / n for each of the n modalities that are there (B, M, 1); where none is, all are asked."""
    there = np.stack([batch[f"{m}_mask"] for m in MODALITIES], 1)
    there |= ~there.any(1, keepdims=True)
    return (there / there.sum(1, keepdims=True)).astype(dtype)[..., None]


def mean_probabilities(each, share):
    """y = log sum_m share_m softmax(each_m): softmax(y) is the mean of the probabilities.   (B, M, K) -> (B, K)."""
    logp = log_softmax(each)
    top = logp.real.max(1, keepdims=True)  # log of a sum of exp: subtract the largest
    y = top[:, 0] + np.log((share * np.exp(logp - top)).sum(1))

    def backward(dy):
        return log_softmax_backward(share * np.exp(logp - y[:, None]) * dy[:, None], logp)

    return y, backward


def mean_logits(each, share):
    """y = sum_m share_m each_m.   (B, M, K) -> (B, K)."""
    return (share * each).sum(1), lambda dy: share * dy[:, None]


AVERAGES = {"probabilities": mean_probabilities, "logits": mean_logits}


def loss(out, batch, config):
    """Cross-entropy with soft `target` (B, K), classes weighted against `class_count` (K,): of each classifier, averaged.

    A missing modality has nothing to learn from. With `joint`, of the averaged answer.
    """
    weight = balanced_weights(batch["class_count"])
    if config.joint:
        value, *saved = cross_entropy(out["logits"], batch["target"], weight)
        return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}
    share, found = 1 / len(MODALITIES), []
    for i, m in enumerate(MODALITIES):
        there = batch[f"{m}_mask"][:, None]
        found.append(cross_entropy(out["each"][:, i], batch["target"] * there, weight))
    value = sum(value for value, *_ in found) * share
    return value, {"cross_entropy": value}, {"each": np.stack([cross_entropy_backward(share, *s) for _, *s in found], 1)}


def example(config):
    """One vector for each modality."""
    return {m: (getattr(config, m),) for m in MODALITIES}
