"""Late fusion, the opposite of concatenation (paper 000, I): a classifier per modality on segment means, outputs averaged.

The mean is over the probabilities of the available modalities; `average="logits"` averages logits, a product of experts.
"""

from dataclasses import dataclass

import numpy as np

from refmer.baselines import concatenation
from refmer.layers.dense import describe_mlp, mlp
from refmer.layers.trace import note
from refmer.ops.activations import log_softmax, log_softmax_backward
from refmer.ops.contracts import closure
from refmer.ops.losses import balanced_weights, cross_entropy, cross_entropy_backward
from refmer.systems import protocol

MODALITIES = concatenation.MODALITIES
RECIPE = "baselines"
VARIANTS = {"late_fusion": ({}, None)}
inputs, example = concatenation.inputs, concatenation.example


@dataclass(frozen=True)
class Config(concatenation.Config):
    """Sizes and switches: those of concatenation, for each classifier, and these.

    Parameters
    ----------
    average : "probabilities" or "logits"
        The outputs that are averaged; of a regression, always the latter.
    joint : bool
        False: each classifier has a loss and learns independently. True: one loss on the average.
    """

    ACCEPTED = {"average": ("probabilities", "logits")}

    average: str = "probabilities"
    joint: bool = False


def describe(config):
    return {m: describe_mlp(getattr(config, m), config.hidden, config.classes) for m in config.modalities}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """each_m = W2 dropout(relu(W1 x_m + b1)) + b2 (B, M, K); logits (B, K) of their average."""
    parts = [mlp(getattr(p, m), batch[m], config.dropout, rng) for m in config.modalities]
    each = np.stack([y for y, _ in parts], 1)  # (B, M, K)
    logits, back_average = AVERAGES["logits" if config.task == "regression" else config.average](
        each, shares(batch, config, each.real.dtype)
    )
    note(trace, "logits", each)
    out = {"logits": logits, "each": each}

    def backward(dout, g):
        d = {k: dout.get(k, np.zeros_like(y)) for k, y in out.items()}  # 0 where the loss does not use it
        deach = d["each"] + back_average(d["logits"])
        return {
            m: back(deach[:, i], getattr(g, m)) for i, (m, (_, back)) in enumerate(zip(config.modalities, parts, strict=True))
        }

    return out, backward


def shares(batch, config, dtype):
    """Return 1 / n for each of n available modalities (B, M, 1); all modalities count where none is available."""
    available = np.stack([batch[f"{m}_mask"] for m in config.modalities], 1)
    available |= ~available.any(1, keepdims=True)
    return (available / available.sum(1, keepdims=True)).astype(dtype)[..., None]


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
    """The mean of the cross-entropies of all classifiers, as in concatenation; with `joint`, that of their average.

    A clip without a modality does not train the classifier of that modality.
    """
    if config.joint:
        return concatenation.loss(out, batch, config)
    if config.task == "regression":
        each = {m: out["each"][:, i] for i, m in enumerate(config.modalities)}
        masks = {m: batch[f"{m}_mask"] for m in each}
        value, terms, dout = protocol.squared_error(each, batch, dict.fromkeys(each, 1 / len(each)), masks)
        return value, terms, {"each": np.stack(list(dout.values()), 1)}
    weight, share, parts = balanced_weights(batch["class_count"]), 1 / len(config.modalities), []
    for i, m in enumerate(config.modalities):
        parts.append(cross_entropy(out["each"][:, i], batch["target"] * batch[f"{m}_mask"][:, None], weight))
    value = sum(value for value, *_ in parts) * share
    return value, {"cross_entropy": value}, {"each": np.stack([cross_entropy_backward(share, *s) for _, *s in parts], 1)}
