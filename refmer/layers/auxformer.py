"""The networks of paper 002 (AuxFormer): what its system and its baselines 1 (no auxiliary networks), 2 (MulT) and 4 share.

Data flow: sequence (projection, 3.1) -> branch, one per modality (cross encoder, 3.2; encoder within, 3.3; token, 3.4) -> head.
An auxiliary network (3.5) is one encoder applied three times, a token and a head.
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers.attention import MIXES, Rates, cross_encoder, describe_encoder, encoder
from refmer.layers.dense import describe_linear, describe_mlp, describe_project, linear, mlp, optional, project, stack
from refmer.layers.sequence import (
    describe_gru,
    describe_lstm,
    describe_prepend,
    gru,
    last_step,
    last_valid_step,
    lstm,
    mean_pool,
    positions,
    prepend,
    prepend_mask,
)
from refmer.layers.trace import scope
from refmer.ops.attention import SCALES, causal_between, key_mask

MODALITIES = ("audio", "visual")
TRAININGS = ("sample", "batch", "standard")
PASSES = 3  # of an auxiliary network through its encoder (authors' code)


def accept(name, value, accepted):
    """ValueError unless the value of a switch is one of those accepted."""
    if value not in accepted:
        raise ValueError(f"{name} is {value!r}; accepted: {', '.join(map(repr, accepted))}")


@dataclass(frozen=True)
class Encoding:
    """Sizes and switches of sequences and their encoders.

    Parameters
    ----------
    audio, visual : int
        Widths of the frames; published: 130 descriptors of the voice, 4,096 VGG-Face features.
    classes : int
    target : "emotion"
    width, heads, layers : int
        d, H, layers of an encoder. The feed-forward width is 4 d.
    audio_conv : bool
        True: the voice has a bias-free projection too, as the published number of parameters says; False: none, as text and
        code say (16,900 fewer), which needs width = audio.
    positions : "valid", "literal" or "off"
        Sinusoidal positions on the valid frames; on those whose channel 0 is not exactly 0 (code); none (Table 3).
    causal : "clip", "padded" or "off"
        ops.masks.causal_between on each clip's own lengths; on padded lengths, as the code, where padding changes answers; no
        such mask (the paper's text has none).
    hide_padding : bool
        True: nobody attends to frames that are not there. False: everybody does, as in paper and code, which only have zeros.
    token : "last_valid", "last", "mean" or "prepended"
        What stands for a sequence (Fig. 7). "last" is the last frame of the padded sequence, as the code has it. A prepended
        token sees every frame; under the causal mask it would see itself alone.
    drop_self, drop_relu, drop_residual, drop_embed : float
        Dropout of attention weights within a sequence, after ReLU, before residuals, on what enters an encoder.
    audio_every, visual_every : int
        Frames of the corpus that are averaged into one.
    """

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
    audio_every: int = 1
    visual_every: int = 1

    def __post_init__(self):
        accept("target", self.target, ("emotion",))
        accept("positions", self.positions, PLACES)
        accept("causal", self.causal, CAUSAL)
        accept("token", self.token, TOKENS)
        if self.width % self.heads:
            raise ValueError(f"width is {self.width} and heads {self.heads}; accepted: a width that divides into the heads")
        if min(self.audio_every, self.visual_every) < 1:
            raise ValueError(f"audio_every, visual_every are {self.audio_every}, {self.visual_every}; accepted: 1 or more")

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
        What follows the cross encoders (Fig. 6).
    positions_within : bool
        Positions are added again where a sequence enters the encoder within (MulT).
    drop_cross, drop_out : float
        Dropout of attention weights between the modalities, and inside heads.
    training : "sample", "batch" or "standard"
        Optimized training (3.6): 20 % of each batch lose the voice, 20 % the face; one draw decides for the whole batch (code);
        nobody loses anything.
    """

    scale: str = "width"
    mix: str = "learned"
    within: str = "attention"
    positions_within: bool = False
    drop_cross: float = 0.0
    drop_out: float = 0.2
    training: str = "sample"

    def __post_init__(self):
        super().__post_init__()
        accept("scale", self.scale, SCALES)
        accept("mix", self.mix, MIXES)
        accept("within", self.within, WITHIN)
        accept("training", self.training, TRAININGS)


PLACES = {
    "valid": lambda valid: lambda x: positions(x, valid),
    "literal": lambda valid: lambda x: positions(x, literal=True),
    "off": lambda valid: None,
}
CAUSAL = {
    "clip": causal_between,
    "padded": lambda queries, keys: causal_between(np.ones_like(queries), np.ones_like(keys)),
    "off": lambda queries, keys: np.ones((1, 1, queries.shape[1], keys.shape[1]), bool),
}
TOKENS = {
    "last_valid": last_valid_step,
    "last": lambda x, valid: last_step(x),
    "mean": mean_pool,
    "prepended": lambda x, valid: last_valid_step(x, np.broadcast_to(np.arange(x.shape[1]) == 0, x.shape[:2])),
}


def place(valid, config):
    """What adds positions to a sequence with valid steps (B, T), or None."""
    return PLACES[config.positions](valid)


def sight(queries, keys, config):
    """The steps that each step may attend to.   queries (B, T), keys (B, S) valid -> (B, 1, T, S)."""
    mask = CAUSAL[config.causal](queries, keys)
    if config.token == "prepended":
        mask = mask | (np.arange(queries.shape[1]) == 0)[:, None]
    return mask & key_mask(keys) if config.hide_padding else mask


def describe_sequence(modality, config):
    n_in, tree = getattr(config, modality), {}
    if modality != "audio" or config.audio_conv:
        tree["project"] = describe_project(n_in, config.width)
    elif n_in != config.width:
        raise ValueError(f"audio_conv is False with audio {n_in} and width {config.width}; accepted: audio = width")
    return tree | ({"token": describe_prepend(config.width)} if config.token == "prepended" else {})


def sequence(p, x, valid):
    """z = [token;] x W, a convolution of size 1 without bias (3.1).   x (B, T, D), valid (B, T) -> z (B, T [+ 1], d), valid."""
    z, back_map = optional(p, "project", project, x)
    z, back_token = optional(p, "token", prepend, z)
    valid = prepend_mask(valid) if hasattr(p, "token") else valid
    return z, valid, lambda dz, g: back_map(back_token(dz, g), g)


def describe_head(width, hidden, classes):
    return {"mlp": describe_mlp(width, *hidden, width), "out": describe_linear(width, classes)}


def head(p, z, rate=0.0, rng=None):
    """y = W_o (z + MLP(z)) + b_o, dropout after each ReLU of the MLP (3.4-3.5; the residual is the code's).   z (B, C)."""
    r, back_mlp = mlp(p.mlp, z, rate, rng)
    y, back_out = linear(p.out, z + r)

    def backward(dy, g):
        ds = back_out(dy, g.out)  # s = z + r
        return ds + back_mlp(ds, g.mlp)

    return y, backward


def describe_within(config):
    return describe_encoder(config.width, 4 * config.width, config.layers, config.mix)


def attention_within(p, h, valid, config, rng=None, trace=None):
    """Self-attention with the scaled residual (3.3).   h (B, T, d)."""
    where, rates = place(valid, config) if config.positions_within else None, config.rates(config.drop_self)
    mask = sight(valid, valid, config)
    return encoder(p, h, config.heads, mask, rates, rng, trace, place=where, mix=config.mix)


WITHIN = {  # Fig. 6: how it is described, and what it does
    "attention": (describe_within, attention_within),
    "lstm": (
        lambda c: describe_lstm(c.width, c.width),
        lambda p, h, valid, c, *_: lstm(p, h, mask=valid if c.hide_padding else None),
    ),
    "gru": (
        lambda c: describe_gru(c.width, c.width),
        lambda p, h, valid, c, *_: gru(p, h, mask=valid if c.hide_padding else None),
    ),
    "off": (lambda c: {}, lambda p, h, *_: (h, lambda dh, g: dh)),
}


def describe_main(config):
    d = config.width
    branches = {
        m: {"cross": describe_encoder(d, 4 * d, config.layers), "within": WITHIN[config.within][0](config)} for m in MODALITIES
    }
    return branches | {"head": describe_head(2 * d, (2 * d,), config.classes)}


def main(p, audio, visual, config, rng=None, trace=None):
    """logits = head([branch(audio, visual); branch(visual, audio)])   (eq. 5, in the code's order, which is immaterial).

    audio, visual: pairs of z (B, N, d) and its valid steps (B, N).
    """
    a, back_a = branch(p.audio, *audio, *visual, config, rng, scope(trace, "audio"))
    v, back_v = branch(p.visual, *visual, *audio, config, rng, scope(trace, "visual"))
    logits, back_head = head(p.head, np.concatenate([a, v], -1), config.drop_out, rng)

    def backward(dlogits, g):
        da, dv = np.split(back_head(dlogits, g.head), 2, -1)
        (daudio, dvisual), (dvisual2, daudio2) = back_a(da, g.audio), back_v(dv, g.visual)
        return daudio + daudio2, dvisual + dvisual2

    return logits, backward


def branch(p, x, valid, memory, there, config, rng=None, trace=None):
    """One modality asks the other (eq. 2-4), looks at itself (3.3), and is summed up (3.4).

    x (B, T, d), memory (B, S, d), their valid steps (B, T) and (B, S) -> (B, d). The residual carries the queries: the text
    before eq. 3 says keys and values, which have another length.
    """
    mask, rates, inside = sight(valid, there, config), config.rates(config.drop_cross), scope(trace, "cross")
    places = place(valid, config), place(there, config)
    h, back_cross = cross_encoder(p.cross, x, memory, config.heads, mask, rates, rng, inside, places=places, scale=config.scale)
    s, back_within = WITHIN[config.within][1](p.within, h, valid, config, rng, scope(trace, "within"))
    y, back_token = TOKENS[config.token](s, valid)

    def backward(dy, g):
        return back_cross(back_within(back_token(dy), g.within), g.cross)

    return y, backward


def describe_auxiliary_encoder(config):
    return describe_encoder(config.width, 4 * config.width, config.layers)


def auxiliary_token(p, x, valid, config, rng=None, trace=None):
    """One modality alone: the same encoder three times in a row (code), without positions; then a token.   x (B, T, d)."""
    mask, rates = sight(valid, valid, config), config.rates(config.drop_self)
    z, back_passes = stack(lambda p, x, i: encoder(p, x, config.heads, mask, rates, rng, trace), [p] * PASSES, x)
    y, back_token = TOKENS[config.token](z, valid)
    return y, lambda dy, g: back_passes(back_token(dy), [g] * PASSES)


def audiovisual(p, batch, config, rng=None, trace=None):
    """Two sequences and the main network: all of baselines 1 and 2.   batch: audio, visual and their masks -> logits (B, K)."""
    audio, audio_valid, back_audio = sequence(p.audio, batch["audio"], batch["audio_mask"])
    visual, visual_valid, back_visual = sequence(p.visual, batch["visual"], batch["visual_mask"])
    logits, back_main = main(p.main, (audio, audio_valid), (visual, visual_valid), config, rng, trace)

    def backward(dlogits, g):
        daudio, dvisual = back_main(dlogits, g.main)
        return {"audio": back_audio(daudio, g.audio), "visual": back_visual(dvisual, g.visual)}

    return logits, backward
