"""AuxFormer (paper 002): cross-modal attention between voice and face, and an auxiliary network for each of them alone.

Data flow: projections (3.1) -> main network: cross encoders (eq. 2-4), encoders within with a learned scale (3.3), two tokens
(eq. 5), head (3.4); auxiliary networks beside it (3.5): one encoder three times, a token, a head that both share. Three losses
(eq. 6), and the mean of three answers. The blocks are in layers/auxformer.py; docs/deviations.md says where paper and
authors' code differ.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.baselines import auxformer_baseline1
from refmer.baselines.auxformer_baseline1 import MODALITIES, augment, example, inputs, streams, widths
from refmer.layers import auxformer as networks
from refmer.layers.trace import note, scope
from refmer.ops.activations import log_softmax, log_softmax_backward
from refmer.ops.losses import cross_entropy, cross_entropy_backward

__all__ = ["RECIPE", "VARIANTS", "Config", "augment", "example", "describe", "forward", "inputs", "loss", "streams", "widths"]

RECIPE = "paper-002"
VARIANTS = {
    "auxformer": ({}, 7_054_748),
    "auxformer@k6": ({"classes": 6}, None),
    "auxformer@no-audio-conv": ({"audio_conv": False}, None),
}
NETWORKS = ("av", *MODALITIES)  # main, audio, visual: the order of eq. 6 and of the answers


@dataclass(frozen=True)
class Config(networks.Network):
    """Sizes and switches: these, and those of Network and Encoding in layers/auxformer.py.

    Parameters
    ----------
    auxiliary_hidden : tuple
        Widths inside the MLP that the auxiliary networks share.
    weights : (float, float, float)
        Of the losses of the main, the audio and the visual network (eq. 6, Table 4), with sum 1.
    average : "logits" or "probabilities"
        What is averaged over the three networks: the code's logits, or the probabilities of which the paper speaks.
    """

    auxiliary_hidden: tuple = (512, 256)
    weights: tuple = (1 / 3, 1 / 3, 1 / 3)
    average: str = "logits"

    def __post_init__(self):
        super().__post_init__()
        for name in ("auxiliary_hidden", "weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, where it comes from JSON
        networks.accept("average", self.average, AVERAGES)
        if len(self.weights) != 3 or min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights are {self.weights}; accepted: three numbers from 0 (main, audio, visual) with sum 1")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus, on three frames a second."""
        base = cls(width=24, heads=4, layers=1, auxiliary_hidden=(48, 32), audio_every=16, visual_every=8)
        return replace(base, **changes)

    @classmethod
    def paper(cls, **changes):
        """The published model size on MSP-IMPROV, 4 classes: 7,054,748 parameters."""
        return replace(cls(), **changes)


def describe(config):
    d = config.width
    return auxformer_baseline1.describe(config) | {
        "auxiliary": {m: networks.describe_auxiliary_encoder(config) for m in MODALITIES}
        | {"head": networks.describe_head(d, config.auxiliary_hidden, config.classes)}
    }


def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K), and those of the networks: av, audio, visual."""
    audio, audio_valid, back_audio = networks.sequence(p.audio, batch["audio"], batch["audio_mask"])
    visual, visual_valid, back_visual = networks.sequence(p.visual, batch["visual"], batch["visual_mask"])
    av, back_av = networks.main(p.main, (audio, audio_valid), (visual, visual_valid), config, rng, scope(trace, "main"))
    a, back_a = auxiliary(p.auxiliary, "audio", audio, audio_valid, config, rng, trace)
    v, back_v = auxiliary(p.auxiliary, "visual", visual, visual_valid, config, rng, trace)
    logits, back_mean = AVERAGES[config.average](np.stack([av, a, v]))
    out = {"logits": logits, "av": av, "audio": a, "visual": v}
    for name in NETWORKS:
        note(trace, f"{name}.logits", out[name])

    def backward(dout, g):
        dnetworks = back_mean(dout["logits"]) if "logits" in dout else np.zeros((3, 1, 1), av.real.dtype)
        dav, da, dv = (d + dout.get(name, 0) for name, d in zip(NETWORKS, dnetworks, strict=True))
        daudio, dvisual = back_av(dav, g.main)
        daudio, dvisual = daudio + back_a(da, g.auxiliary), dvisual + back_v(dv, g.auxiliary)
        return {"audio": back_audio(daudio, g.audio), "visual": back_visual(dvisual, g.visual)}

    return out, backward


def auxiliary(p, modality, x, valid, config, rng=None, trace=None):
    """logits = head(token of one modality), the head shared by both (3.5).   x (B, T, d) -> (B, K)."""
    part = getattr(p, modality)
    token, back_token = networks.auxiliary_token(part, x, valid, config, rng, scope(trace, f"auxiliary.{modality}"))
    logits, back_head = networks.head(p.head, token, config.drop_out, rng)
    return logits, lambda dlogits, g: back_token(back_head(dlogits, g.head), getattr(g, modality))


def mean_logits(x):
    """y = mean_m x_m.   x (M, B, K)."""
    return x.mean(0), lambda dy: np.broadcast_to(dy / len(x), x.shape)


def mean_probabilities(x):
    """y = log mean_m softmax(x_m), so that softmax(y) is the mean of the probabilities.   x (M, B, K)."""
    logp = log_softmax(x)
    top = logp.real.max(0)  # subtracted: the sum never underflows
    y = np.log(np.exp(logp - top).mean(0)) + top

    def backward(dy):
        share = np.exp(logp - y) / len(x)  # dy/dlogp_m = p_m / sum p
        return log_softmax_backward(share * dy, logp)

    return y, backward


AVERAGES = {"logits": mean_logits, "probabilities": mean_probabilities}


def loss(out, batch, config):
    """L = sum_m lambda_m CE(logits_m, target), m = av, audio, visual (eq. 6), with the batch's `target` (B, K)."""
    value, terms, dout = 0.0, {}, {}
    for name, weight in zip(NETWORKS, config.weights, strict=True):
        terms[name], *saved = cross_entropy(out[name], batch["target"], np.ones_like(batch["class_count"]))
        value, dout[name] = value + weight * terms[name], cross_entropy_backward(weight, *saved)
    return value, terms, dout
