"""Leader-Follower, the other system that paper 003 compares with (Zhang et al. 2021): the face leads, sound follows.

Data flow: a TCN per stream (frames, log-mel, MFCC) -> attention between the three at each step, with what it attends to laid
beside the leader -> a linear map for every step. The authors' code trains a network per dimension, on windows of 300 frames;
here one network answers both, for every sub-sequence of paper 003, so that the three systems are scored on the same steps.
"""

from dataclasses import dataclass

import numpy as np

from refmer.data.inputs import flat, step_means, width
from refmer.layers.convolution import describe_tcn, hide, tcn
from refmer.layers.dense import describe_layer_norm, describe_linear, layer_norm, linear
from refmer.layers.encoders import describe_resnet, resnet
from refmer.layers.tlab import answer, gather
from refmer.layers.trace import note
from refmer.ops.attention import attention_weights, attention_weights_backward
from refmer.ops.contracts import closure
from refmer.systems import protocol
from refmer.systems.tlab_jca import loss  # noqa: F401
from refmer.train.crop import one_window

MODALITIES = {"visual": ("frames",), "audio": ("logmel",), "mfcc": ("mfcc",)}  # the leader first
RECIPE = "paper-003"
VARIANTS = {"leader_follower": ({}, None)}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    visual, audio, mfcc : int
        Widths of the features of a step: published IR-50 512, VGGish 128, MFCC 39. With an encoder `visual` is that of its last
        block.
    image : tuple
        (h, w) of a frame, with encoders.
    encoders : bool
        True: the mean image of each sub-sequence goes through a small ResNet in place of IR-50. False: features, as the other
        two streams; this follows from the clips where the face is a stream of vectors. Frames are averaged over each step.
    trunk : tuple
        Widths of the encoder before its last block.
    steps : int
        Consecutive steps of a recording in training; evaluation reads all of it.
    leader, follower : tuple
        Widths of the TCN blocks; kernel `size`.
    width : int
        Of the three tokens.
    """

    TINY = {"visual": 16, "encoders": True, "leader": (16, 16), "follower": (16, 16), "size": 3, "width": 16}
    ACCEPTED = {"ddof": (0, 1)}

    visual: int = 512
    audio: int = 128
    mfcc: int = 39
    image: tuple[int, ...] = ()
    encoders: bool = False
    trunk: tuple[int, ...] = (8, 12)
    steps: int = 16
    classes: int = 2
    target: str = "affect"
    task: str = "regression"
    over_time: bool = True
    leader: tuple[int, ...] = (128, 128, 128, 128)
    follower: tuple[int, ...] = (32, 32, 32, 32)
    size: int = 5
    width: int = 32
    ddof: int = 0
    dropout: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if not (self.leader and self.follower):
            raise ValueError(f"leader is {self.leader}, follower {self.follower}; accepted: one width or more")

    def blocks(self, name):
        return self.leader if name == "visual" else self.follower


def widths(streams, config):
    """Return the Config fields that follow from the streams."""
    frame, sizes = streams["visual"].x.shape[2:], {m: width(s) for m, s in streams.items()}
    if config.encoders and len(frame) == 2:
        return sizes | {"visual": config.visual, "image": frame, "encoders": True}
    return sizes | {"encoders": False}


def inputs(streams, config):
    """Return visual (B, S, h, w) or (B, S, D), audio (B, S, D), mfcc (B, S, D), means of the steps, and masks (B, S)."""
    batch = step_means(streams, config.seconds)
    images = {"visual": batch["visual"]} if config.encoders else {}
    return {m: x if m.endswith("_mask") else flat(x) for m, x in batch.items()} | images


def describe(config):
    ends = {name: config.blocks(name)[-1] for name in MODALITIES}
    tcns = {m: describe_tcn(getattr(config, m), config.blocks(m), config.size, weight_norm=True) for m in MODALITIES}
    return ({"encoder": describe_resnet((*config.trunk, config.visual))} if config.encoders else {}) | {
        "tcns": tcns,
        "fuse": describe_leader_follower(ends, config.width),
        "head": describe_linear(ends["visual"] + 3 * config.width, config.classes),
    }


def augment(batch, config, rng):
    """Return one window of `steps` consecutive steps of each recording."""
    return one_window(batch, rng, config.steps)


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: logits (B, S, K), or (B, K) of a label that is not over time."""
    B, S = batch["audio"].shape[:2]
    valid = np.any([batch[f"{name}_mask"] for name in MODALITIES], 0)
    x, frames = {name: batch[name] for name in MODALITIES}, batch["visual"]
    if config.encoders:
        vectors, back_encode = resnet(p.encoder, frames.reshape(B * S, *frames.shape[2:], 1))  # (B S, C)
        x["visual"] = vectors.reshape(B, S, -1)
    h, backs = {}, {}
    for m in MODALITIES:
        mask = batch[f"{m}_mask"]
        h[m], backs[m] = tcn(getattr(p.tcns, m), x[m], config.size, None, True, mask, config.dropout, rng)
    f, back_fuse = leader_follower(p.fuse, h, trace)
    z, back_hide = hide(np.concatenate([h["visual"], f], -1), valid)  # the leader beside the three tokens
    z, back_gather = gather(z, valid, B, S, config.over_time)
    y, back_head = linear(p.head, z)
    out, back_answer = answer(y, S, B, S, config.over_time)

    def backward(dout, g):
        dz = back_hide(back_gather(back_head(back_answer(dout), g.head)))
        dleader, df = np.split(dz, [h["visual"].shape[-1]], -1)
        dh = back_fuse(df, g.fuse)
        dh["visual"] = dh["visual"] + dleader
        dx = {name: backs[name](dh[name], getattr(g.tcns, name)) for name in MODALITIES}
        if config.encoders:
            dx["visual"] = back_encode(dx["visual"].reshape(vectors.shape), g.encoder).reshape(frames.shape)
        return dx

    return out, backward


def describe_leader_follower(widths, width=32):
    """`widths`: {modality: width of its stream}."""
    maps = {role: {name: describe_linear(n, width) for name, n in widths.items()} for role in ("query", "key", "value")}
    return maps | {"norm": describe_layer_norm(len(widths) * width)}


def leader_follower(p, streams, trace=None):
    """y = LN(softmax(k q^T / sqrt(D)) v + v), a token per modality, side by side; LN over all of them.

    streams {modality: (B, T, C)}, y (B, T, M D). Keys in the place of queries as in the authors' code, which also feeds the
    followers' keys, not their features, to their queries and values: not reproduced. The caller lays the leader beside y.
    """
    steps = [x.shape[:2] for x in streams.values()]
    if len(set(steps)) != 1:
        raise ValueError(f"streams have (clips, steps) {steps}; accepted: the same for all")
    backs = {}

    def tokens(role):  # (B, T, M, D)
        maps = getattr(p, role)
        y, backs[role] = zip(*(linear(getattr(maps, name), x) for name, x in streams.items()), strict=True)
        return np.stack(y, -2)

    q, k, v = (tokens(role) for role in ("query", "key", "value"))
    a, *saved = attention_weights(k, q)  # (B, T, M, M)
    s = a @ v + v
    y, back_norm = layer_norm(p.norm, s.reshape(*s.shape[:2], -1))
    note(trace, "attention", a)

    def backward(dy, g):
        ds = back_norm(dy, g.norm).reshape(s.shape)
        dk, dq = attention_weights_backward(ds @ v.swapaxes(-1, -2), *saved)
        dtokens = {"query": dq, "key": dk, "value": ds + a.swapaxes(-1, -2) @ ds}  # s = a v + v
        dx = dict.fromkeys(streams, 0.0)
        for role, d in dtokens.items():
            for i, (name, back) in enumerate(zip(streams, backs[role], strict=True)):
                dx[name] = dx[name] + back(d[:, :, i], getattr(getattr(g, role), name))
        return dx

    return y, backward


def example(config):
    """A window of 300 frames."""
    shapes = {name: getattr(config, name) for name in MODALITIES} | ({"visual": config.image} if config.encoders else {})
    return {name: (300, *np.atleast_1d(shape)) for name, shape in shapes.items()}
