"""AuxFormer (paper 002): cross-modal attention between voice and face, and an auxiliary network for each of them alone.

Data flow: projections (3.1) -> main network: cross encoders (eq. 2-4), encoders within each modality with a learned scale
(3.3), two tokens (eq. 5), head (3.4); auxiliary networks (3.5): one encoder three times, a token, a head that both share. Three
losses (eq. 6), and the mean of three outputs. The blocks are in layers/auxformer.py; docs/deviations.md lists where paper and
authors' code differ.
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers import auxformer as networks
from refmer.layers.attention import Rates
from refmer.layers.trace import note, scope
from refmer.ops.attention import SCALES
from refmer.ops.contracts import closure
from refmer.ops.losses import cross_entropy, cross_entropy_backward
from refmer.systems import protocol
from refmer.train.augment import modality_dropout

MODALITIES = {"audio": ("prosody", "mfcc"), "visual": ("units",)}
NETWORKS = ("av", *MODALITIES)  # main, audio, visual: the order of eq. 6 and of the outputs
TRAININGS = ("sample", "batch", "standard")
RECIPE = "paper-002"
VARIANTS = {
    "auxformer": ({}, 7_054_748),
    "auxformer@k6": ({"classes": 6}, None),
    "auxformer@no-audio-conv": ({"audio_conv": False}, None),
}


@dataclass(frozen=True)
class Encoding(protocol.Config):
    """Sizes and switches of sequences and their encoders.

    Parameters
    ----------
    audio, visual : int
        Widths of the frames; published: 130 descriptors of the voice, 4,096 VGG-Face features.
    classes : int
    target : str
        The label that is learned.
    width, heads, layers : int
        d, H, layers of an encoder. The feed-forward width is 4 d.
    audio_conv : bool
        True: the voice has a bias-free projection too, as the published number of parameters says; False: none, as text and
        code say (16,900 fewer), which needs width = audio.
    positions : "valid", "literal" or "off"
        Sinusoidal positions on the valid frames; on those whose channel 0 is not exactly 0 (code); none (Table 3).
    causal : "clip", "padded" or "off"
        ops.attention.causal_between on each clip's own lengths; on padded lengths, as the code, where padding changes outputs;
        no such mask (the paper's text has none).
    hide_padding : bool
        True: missing frames are masked. False: they are attended to, as in paper and code, which only set them to zero.
    token : "last_valid", "last", "mean" or "prepended"
        The vector that represents a sequence (Fig. 7). "last" is the last frame of the padded sequence, as in the code. A
        prepended token attends to every frame; under the causal mask it would attend to itself alone.
    drop_self, drop_relu, drop_residual, drop_embed : float
        Dropout of attention weights within a sequence, after ReLU, before residuals, on what enters an encoder.
    fps : float, optional
        Frames per second, of which those of the streams are averages. None: all frames.
    """

    TINY = {"width": 24, "heads": 4, "layers": 2, "fps": 3.125, "token": "mean"}
    ACCEPTED = {"positions": networks.POSITIONS, "causal": networks.CAUSAL, "token": networks.TOKENS}

    audio: int = 130
    visual: int = 4096
    classes: int = 4
    target: str = "emotion"
    width: int = 130
    heads: int = 10
    layers: int = 5
    audio_conv: bool = True
    positions: str = "valid"
    causal: str = "clip"
    hide_padding: bool = True
    token: str = "last_valid"
    drop_self: float = 0.1
    drop_relu: float = 0.1
    drop_residual: float = 0.1
    drop_embed: float = 0.25
    fps: float | None = None

    def rates(self, attention):
        return Rates(attention, self.drop_relu, self.drop_residual, self.drop_embed)


@dataclass(frozen=True)
class Network(Encoding):
    """Encoding, and the switches of the main network.

    Parameters
    ----------
    scale : "width" or "keys"
        Scores of the cross encoders over the square root of the head's width, or of the number of keys (eq. 2 as printed).
    mix : "learned", "fixed" or "off"
        The scaled residual of the encoders within (3.3): alpha learned, 1/2, or plain residuals.
    within : "attention", "lstm", "gru" or "off"
        The layer after the cross encoders (Fig. 6).
    positions_within : bool
        Positions are added again where a sequence enters the encoder within (MulT).
    drop_cross, drop_out : float
        Dropout of attention weights between the modalities, and inside heads.
    training : "sample", "batch" or "standard"
        Optimized training (3.6): 20 % of each batch lose the voice, 20 % the face; one draw decides for the whole batch (code);
        no clip loses a modality.
    """

    ACCEPTED = Encoding.ACCEPTED | {"scale": SCALES, "mix": networks.MIXES, "within": networks.WITHIN, "training": TRAININGS}

    scale: str = "width"
    mix: str = "learned"
    within: str = "attention"
    positions_within: bool = False
    drop_cross: float = 0.0
    drop_out: float = 0.2
    training: str = "sample"


@dataclass(frozen=True)
class Config(Network):
    """Encoding and Network, and the switches of the auxiliary networks.

    Parameters
    ----------
    auxiliary_hidden : tuple
        Widths inside the MLP that the auxiliary networks share.
    weights : (float, float, float)
        Weights of the losses of the main, the audio and the visual network (eq. 6, Table 4), with sum 1.
    average : "logits" or "probabilities"
        The mean over the three networks is one of logits (code, and of a regression) or of probabilities (paper).
    """

    TINY = Network.TINY | {"layers": 1, "auxiliary_hidden": (48, 32)}
    ACCEPTED = Network.ACCEPTED | {"average": networks.AVERAGES}

    auxiliary_hidden: tuple[int, ...] = (512, 256)
    weights: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
    average: str = "logits"

    def __post_init__(self):
        super().__post_init__()
        if len(self.weights) != 3 or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights is {self.weights}; accepted: three numbers from 0 (main, audio, visual) with sum 1")


def describe(config):
    auxiliary = networks.describe_auxiliary(config, MODALITIES)
    return networks.describe_sequences(config) | {"main": networks.describe_main(config), "auxiliary": auxiliary}


def augment(batch, config, rng):
    """The optimized training (3.6): 20 % of the clips lose the voice, 20 % the face, features and mask."""
    if config.training == "standard":
        return batch
    return modality_dropout(batch, rng, {"audio": 0.2, "visual": 0.2}, per=config.training)


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K), and those of the networks: av, audio, visual."""
    audio, visual, back = networks.sequences(p, batch)
    av, back_av = networks.main(p.main, audio, visual, config, rng, scope(trace, "main"))
    a, back_a = networks.auxiliary(p.auxiliary, "audio", *audio, config, rng, scope(trace, "auxiliary.audio"))
    v, back_v = networks.auxiliary(p.auxiliary, "visual", *visual, config, rng, scope(trace, "auxiliary.visual"))
    logits, back_mean = networks.AVERAGES["logits" if config.task == "regression" else config.average](np.stack([av, a, v]))
    out = {"logits": logits, "av": av, "audio": a, "visual": v}
    for name in NETWORKS:
        note(trace, f"{name}.logits", out[name])

    def backward(dout, g):
        dnetworks = back_mean(dout["logits"]) if "logits" in dout else np.zeros((3, 1, 1), av.real.dtype)
        dav, da, dv = (d + dout.get(name, 0) for name, d in zip(NETWORKS, dnetworks, strict=True))
        daudio, dvisual = back_av(dav, g.main)
        return back(daudio + back_a(da, g.auxiliary), dvisual + back_v(dv, g.auxiliary), g)

    return out, backward


def loss(out, batch, config):
    """L = sum_m lambda_m CE(logits_m, target), m = av, audio, visual (eq. 6), with the batch's `target` (B, K)."""
    return cross_entropies(out, batch, dict(zip(NETWORKS, config.weights, strict=True)), config)


def cross_entropies(out, batch, weights, config):
    """L = sum_m weights[m] CE(out[m], target), classes unweighted; of a regression, squared errors in their place."""
    if config.task == "regression":
        return protocol.squared_error(out, batch, weights)
    value, terms, dout = 0.0, {}, {}
    for name, weight in weights.items():
        terms[name], *saved = cross_entropy(out[name], batch["target"], np.ones_like(batch["class_count"]))
        value, dout[name] = value + weight * terms[name], cross_entropy_backward(weight, *saved)
    return value, terms, dout


def example(config):
    """A mean clip of CREMA-D: 2.54 s, a step of 16 ms, 30 frames a second."""
    return {"audio": (158, config.audio), "visual": (76, config.visual)}
