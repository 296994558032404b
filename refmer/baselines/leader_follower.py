"""Leader-Follower, the other system that paper 003 compares with (Zhang et al. 2021): the face leads, sound follows.

Data flow: a TCN per stream (frames, log-mel, MFCC) -> attention between the three at each step, with what it attends to laid
beside the leader -> a linear map for every step. The authors' code trains a network per dimension, on windows of 300 frames;
here one network answers both, for every sub-sequence of paper 003, so that the three systems are scored on the same steps.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import features, same_steps, sub_sequence_means
from refmer.layers.answers import LOSSES, answer_for
from refmer.layers.convolution import describe_tcn, hide, tcn
from refmer.layers.dense import describe_linear, linear
from refmer.layers.encoders import describe_resnet, resnet
from refmer.layers.leader_follower import describe_leader_follower, leader_follower
from refmer.train.crop import one_window

STREAMS = ("frames", "logmel", "mfcc")  # the leader first
RECIPE = "paper-003"
VARIANTS = {"leader_follower": ({}, None)}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    frames, logmel, mfcc : int
        Widths of the features of a step: published IR-50 512, VGGish 128, MFCC 39. With encoders `frames` is that of its last
        block.
    image : tuple
        (h, w) of a frame, with encoders.
    encoders : bool
        True: the mean image of each sub-sequence through a small ResNet in place of IR-50, the means of log-mel (in place of
        VGGish) and MFCC. False: the streams hold features, a frame per step.
    trunk : tuple
        Widths of the encoder before its last block.
    seconds : float
        Duration of a step.
    steps : int
        Consecutive steps of a recording in training; evaluation reads all of it.
    leader, follower : tuple
        Widths of the TCN blocks; kernel `size`.
    width : int
        Of the three tokens.
    """

    frames: int = 512
    logmel: int = 128
    mfcc: int = 39
    image: tuple = ()
    encoders: bool = False
    trunk: tuple = (8, 12)
    seconds: float = 0.64
    steps: int = 16
    classes: int = 2
    target: str = "affect"
    leader: tuple = (128, 128, 128, 128)
    follower: tuple = (32, 32, 32, 32)
    size: int = 5
    width: int = 32
    ddof: int = 0
    dropout: float = 0.1

    def __post_init__(self):
        for name in ("image", "trunk", "leader", "follower"):  # lists, where they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.target not in LOSSES:
            raise ValueError(f"target is {self.target!r}; accepted: {', '.join(map(repr, LOSSES))}")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled recordings."""
        return replace(cls(frames=16, encoders=True, leader=(16, 16), follower=(16, 16), size=3, width=16), **changes)

    @classmethod
    def paper(cls, **changes):
        """The sizes of the authors' code, on features of pretrained networks; no size is published."""
        return replace(cls(), **changes)

    def blocks(self, name):
        return self.leader if name == STREAMS[0] else self.follower


def streams(config):
    """The streams that are read."""
    return list(STREAMS)


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    shapes = {name: streams[name].x.shape[2:] for name in STREAMS}
    found = {name: shapes[name][-1] for name in STREAMS if name != "frames" or not config.encoders}
    return found | ({"image": shapes["frames"]} if config.encoders else {})


def inputs(streams, config):
    """frames (B, S, h, w), logmel (B, S, D), mfcc (B, S, D), each the mean of a sub-sequence, with masks (B, S)."""
    if not config.encoders:
        return features(streams, STREAMS)
    parts = same_steps(*(sub_sequence_means(streams[name], config.seconds) for name in STREAMS))
    return {key: y for name, (x, m) in zip(STREAMS, parts, strict=True) for key, y in ((name, x), (f"{name}_mask", m))}


def target(affect, config):
    """The mean of valence and arousal in each sub-sequence: target (B, S, 2), target_mask (B, S)."""
    return dict(zip(("target", "target_mask"), sub_sequence_means(affect, config.seconds), strict=True))


def describe(config):
    ends = {name: config.blocks(name)[-1] for name in STREAMS}
    tcns = {name: describe_tcn(getattr(config, name), config.blocks(name), config.size, weight_norm=True) for name in STREAMS}
    return ({"encoder": describe_resnet((*config.trunk, config.frames))} if config.encoders else {}) | {
        "tcns": tcns,
        "fuse": describe_leader_follower(ends, config.width),
        "head": describe_linear(ends[STREAMS[0]] + 3 * config.width, config.classes),
    }


def augment(batch, config, rng):
    """`steps` consecutive sub-sequences of each recording."""
    return one_window(batch, rng, config.steps)


def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: affect (B, S, 2), or logits (B, K)."""
    B, S = batch["logmel"].shape[:2]
    valid = np.any([batch[f"{name}_mask"] for name in STREAMS], 0)
    x, back_encode = encode(p, batch["frames"]) if config.encoders else (batch["frames"], lambda dx, g: dx)
    h, backs = {}, {}
    for name in STREAMS:
        mask, part = batch[f"{name}_mask"], getattr(p.tcns, name)
        x_m = x if name == "frames" else batch[name]
        h[name], backs[name] = tcn(part, x_m, config.size, None, True, mask, config.dropout, rng)
    f, back_fuse = leader_follower(p.fuse, h, trace)
    z, back_hide = hide(np.concatenate([h[STREAMS[0]], f], -1), valid)  # the leader beside the three tokens
    out, back_answer = answer_for(config.target)(linear, p.head, z, valid, B, S)

    def backward(dout, g):
        dz = back_hide(back_answer(dout, g.head))
        dleader, df = np.split(dz, [h[STREAMS[0]].shape[-1]], -1)
        dh = back_fuse(df, g.fuse)
        dh[STREAMS[0]] = dh[STREAMS[0]] + dleader
        dx = {name: backs[name](dh[name], getattr(g.tcns, name)) for name in STREAMS}
        return dx | {"frames": back_encode(dx["frames"], g)}

    return out, backward


def encode(p, images):
    """Every image to a vector.   images (B, S, h, w) -> (B, S, C)."""
    B, S = images.shape[:2]
    y, back = resnet(p.encoder, images.reshape(B * S, *images.shape[2:], 1))
    return y.reshape(B, S, -1), lambda dy, g: back(dy.reshape(y.shape), g.encoder).reshape(images.shape)


def loss(out, batch, config):
    """L = 1 - (rho_a + rho_v) / 2; of emotions, cross-entropy."""
    return LOSSES[config.target](out, batch, config.ddof)


def example(config):
    """A window of 300 frames."""
    shapes = {name: getattr(config, name) for name in STREAMS} | ({"frames": config.image} if config.encoders else {})
    return {name: (300, *np.atleast_1d(shape)) for name, shape in shapes.items()}
