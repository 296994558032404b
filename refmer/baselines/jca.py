"""Joint cross-attention (JCA), the stronger of the two systems that paper 003 compares with (Praveen et al. 2022).

Data flow: sub-sequences -> encoders -> a linear map per modality -> joint cross-attention -> regressors for every sub-sequence.
The authors' repository gives its regressors [raw visual features; attended visual], so that the attended sound goes nowhere:
`regress="repository"`; by default they read [attended audio; attended visual].
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from refmer.data.inputs import features, sound_and_face, sound_and_face_shapes, sub_sequence_means
from refmer.layers.answers import LOSSES, answer_for
from refmer.layers.coattention import describe_joint_cross_attention, joint_cross_attention
from refmer.layers.convolution import hide
from refmer.layers.dense import describe_linear, linear
from refmer.layers.subsequences import describe_encoders, encode_face, encode_sound, fold
from refmer.layers.temporal import Rates
from refmer.layers.tlab_jca_code import describe_head, head
from refmer.layers.trace import note
from refmer.train.crop import one_window

RECIPE = "paper-003"
VARIANTS = {"jca": ({}, None), "jca@repository": ({"regress": "repository"}, 314_626)}
ACCEPTED = {"target": ("affect", "emotion"), "regress": ("attended", "repository")}


@dataclass(frozen=True)
class Config:
    """Sizes and switches: those of systems/tlab_jca.py where names agree.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; with encoders, of their last blocks.
    width, hidden, head : int
        Of both modalities in the attention; k; of the regressors.
    regress : "attended" or "repository"
        What the regressors read; see above.
    dropout_head : float
        The repository's.
    """

    audio: int = 512
    visual: int = 512
    sound: tuple = (512,)
    face: tuple = (512,)
    encoders: bool = False
    sound_trunk: tuple = (4, 8)
    face_trunk: tuple = (4, 8)
    bands_as_channels: bool = False
    seconds: float = 0.64
    sampled: int = 8
    every: int = 1
    coarse: int = 1
    steps: int = 16
    classes: int = 2
    target: str = "affect"
    width: int = 128
    hidden: int = 32
    head: int = 128
    regress: str = "attended"
    ddof: int = 0
    dropout_head: float = 0.6

    def __post_init__(self):
        for name in ("sound", "face", "sound_trunk", "face_trunk"):  # lists, where they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, accepted in ACCEPTED.items():
            if getattr(self, name) not in accepted:
                raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {', '.join(map(repr, accepted))}")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled recordings, with the encoders of tiny TLAB-JCA."""
        sizes = {"audio": 16, "visual": 16, "width": 16, "hidden": 8, "head": 16, "dropout_head": 0.1}
        encoders = {"encoders": True, "sound_trunk": (16,), "bands_as_channels": True, "sampled": 4, "every": 2, "coarse": 2}
        return replace(cls(**sizes, **encoders), **changes)

    @classmethod
    def paper(cls, **changes):
        """The network of the repository, on features (16, 512) of frozen backbones."""
        return replace(cls(), **changes)

    @property
    def sound_image(self):
        """What the encoder of sound reads: the shape of an image, and its channels."""
        return ((self.sound[0], 1), self.sound[-1]) if self.bands_as_channels else (self.sound, 1)


def streams(config):
    """The streams that are read."""
    return ["logmel", "frames"] if config.encoders else ["audio", "visual"]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    if config.encoders:
        sound, face = sound_and_face_shapes(streams, config.seconds, config.sampled, config.every, config.coarse)
        return {"sound": sound, "face": face}
    sound, face = (streams[name].x.shape[2:] for name in ("audio", "visual"))
    return {"sound": sound, "face": face, "audio": sound[-1], "visual": face[-1]}


def inputs(streams, config):
    """logmel (B, S, F, mel) and frames (B, S, F, h, w), or audio (B, S, A) and visual (B, S, V), with masks (B, S)."""
    if config.encoders:
        return sound_and_face(streams, config.seconds, config.sampled, config.every, config.coarse)
    return features(streams, ("audio", "visual"))


def target(affect, config):
    """The mean of valence and arousal in each sub-sequence: target (B, S, 2), target_mask (B, S)."""
    return dict(zip(("target", "target_mask"), sub_sequence_means(affect, config.seconds), strict=True))


def describe(config):
    trunks = (*config.sound_trunk, config.audio), (*config.face_trunk, config.visual)
    read = config.width + (config.width if config.regress == "attended" else config.visual)
    return ({"encoders": describe_encoders(*trunks, config.sound_image[1])} if config.encoders else {}) | {
        "audio": describe_linear(config.audio, config.width),
        "visual": describe_linear(config.visual, config.width),
        "attend": describe_joint_cross_attention(config.width, config.width, config.steps, config.hidden),
        "head": describe_head(read, config.head, config.classes),
    }


def augment(batch, config, rng):
    """One window of `steps` consecutive sub-sequences of each recording."""
    return one_window(batch, rng, config.steps)


def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: affect (B, S, 2), or logits (B, K)."""
    names = streams(config)
    B, S = batch[names[0]].shape[:2]
    masks = [batch[f"{name}_mask"] for name in names]
    sound, face, back_encode = encode(p, *(batch[name] for name in names), *masks, config, skip=rng is not None)
    heard, seen = (fold(mask, config.steps)[0] for mask in masks)  # (B W, T)
    sound, back_fold1 = fold(sound, config.steps)  # (B W, T, A)
    face, back_fold2 = fold(face, config.steps)  # (B W, T, V)
    a, back_a = linear(p.audio, sound)
    a, back_hide1 = hide(a, heard)
    v, back_v = linear(p.visual, face)
    v, back_hide2 = hide(v, seen)
    notes = None if trace is None else {}
    (fa, fv), back_attend = joint_cross_attention(p.attend, a, v, heard | seen, notes)
    z, back_read = READ[config.regress](fa, fv, face)
    regress = partial(head, rates=Rates(head=config.dropout_head), rng=rng)
    out, back_answer = answer_for(config.target)(regress, p.head, z, heard | seen, B, S)
    for name, x in (notes or {}).items():
        note(trace, name, x.reshape(B, -1, *x.shape[1:]))  # (B, W, C, D)

    def backward(dout, g):
        dfa, dfv, dface = back_read(back_answer(dout, g.head))
        da, dv = back_attend((dfa, dfv), g.attend)
        dface = dface + back_v(back_hide2(dv), g.visual)
        dsound = back_a(back_hide1(da), g.audio)
        return dict(zip(names, back_encode(back_fold1(dsound), back_fold2(dface), g), strict=True))

    return out, backward


def attended(fa, fv, face):
    """z = [attended audio; attended visual]."""
    return np.concatenate([fa, fv], -1), lambda dz: (*np.split(dz, 2, -1), 0.0)


def repository(fa, fv, face):
    """z = [raw visual; attended visual]."""

    def backward(dz):
        dface, dfv = np.split(dz, [face.shape[-1]], -1)
        return np.zeros_like(dfv), dfv, dface

    return np.concatenate([face, fv], -1), backward


READ = {"attended": attended, "repository": repository}


def encode(p, sound, face, heard, seen, config, skip):
    """Both streams through their encoders, the face's map averaged over its positions; or as they are."""
    if not config.encoders:
        return sound, face, lambda dsound, dface, g: (dsound, dface)
    sound, back_sound = encode_sound(p.encoders.sound, sound, heard, config.bands_as_channels, skip)
    maps, back_face = encode_face(p.encoders.face, face, seen, skip)  # (B, S, N, V)

    def backward(dsound, dface, g):
        dmaps = np.broadcast_to(dface[:, :, None], maps.shape) / maps.shape[2]
        return back_sound(dsound, g.encoders.sound), back_face(dmaps, g.encoders.face)

    return sound, maps.mean(2), backward


def loss(out, batch, config):
    """L = 1 - (rho_a + rho_v) / 2; of emotions, cross-entropy."""
    return LOSSES[config.target](out, batch, config.ddof)


def example(config):
    """A window of 16 sub-sequences."""
    return dict(zip(streams(config), ((config.steps, *config.sound), (config.steps, *config.face)), strict=True))
