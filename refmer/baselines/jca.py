"""Joint cross-attention (JCA), the stronger of the two systems that paper 003 compares with (Praveen et al. 2022).

Data flow: sub-sequences -> encoders -> a linear map per modality -> joint cross-attention -> regressors for every sub-sequence.
The authors' repository gives its regressors [raw visual features; attended visual], so that the attended sound goes nowhere:
`regress="repository"`; by default they read [attended audio; attended visual].
"""

from dataclasses import dataclass

import numpy as np

from refmer.layers.convolution import hide
from refmer.layers.dense import describe_linear, linear
from refmer.layers.tlab import answer, by_clip, describe_joint_cross_attention, gather, joint_cross_attention
from refmer.layers.tlab_code import describe_regressors, regressors
from refmer.ops.contracts import closure
from refmer.systems import tlab_jca
from refmer.systems.tlab_jca import MODALITIES, augment, describe_encoders, example, inputs, loss, modalities, windows  # noqa: F401

RECIPE = "paper-003"
VARIANTS = {"jca": ({}, None), "jca@repository": ({"regress": "repository"}, 314_626)}


@dataclass(frozen=True)
class Config(tlab_jca.Windows):
    """Sizes and switches: those of Windows in systems/tlab_jca.py, and the following.

    Parameters
    ----------
    audio, visual : int
        Widths of the features; with encoders, of their last blocks.
    width, hidden, head : int
        Of both modalities in the attention; k; of the regressors.
    regress : "attended" or "repository"
        Input of the regressors; see above.
    dropout_head : float
        The repository's.
    """

    TINY = tlab_jca.Windows.TINY | {"audio": 16, "visual": 16, "width": 16, "hidden": 8, "head": 16, "dropout_head": 0.1}
    ACCEPTED = tlab_jca.Windows.ACCEPTED | {"regress": ("attended", "repository")}

    face: tuple[int, ...] = (512,)
    audio: int = 512
    visual: int = 512
    width: int = 128
    hidden: int = 32
    head: int = 128
    regress: str = "attended"
    dropout_head: float = 0.6


def widths(streams, config):
    """Return the Config fields that follow from the streams."""
    shapes = tlab_jca.widths(streams, config)
    if shapes["encoders"]:
        return shapes
    face = shapes["face"][1:] if shapes["face"][0] == 1 else shapes["face"]
    return shapes | {"face": face, "audio": shapes["sound"][-1], "visual": face[-1]}


def describe(config):
    read = config.width + (config.width if config.regress == "attended" else config.visual)
    return describe_encoders(config, config.audio, config.visual) | {
        "audio": describe_linear(config.audio, config.width),
        "visual": describe_linear(config.visual, config.width),
        "attend": describe_joint_cross_attention(config.width, config.width, config.steps, config.hidden),
        "head": describe_regressors(read, config.head, config.classes),
    }


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: logits (B, S, K), or (B, K) of a label that is not over time."""
    B, S = batch["audio"].shape[:2]
    notes = None if trace is None else {}
    sound, face, valid_a, valid_v, back_windows = windows(p, batch, config, rng)
    positions = face.shape
    several = face.ndim == 4  # positions
    face = face.mean(2) if several else face  # (B W, T, V)
    a, back_a = linear(p.audio, sound)
    a, back_hide1 = hide(a, valid_a)
    v, back_v = linear(p.visual, face)
    v, back_hide2 = hide(v, valid_v)
    (fa, fv), back_attend = joint_cross_attention(p.attend, a, v, valid_a | valid_v, notes)
    first = fa if config.regress == "attended" else face
    z, back_gather = gather(np.concatenate([first, fv], -1), valid_a | valid_v, B, S, config.over_time)
    y, back_regress = regressors(p.head, z, config.dropout_head, rng)
    out, back_answer = answer(y, config.steps, B, S, config.over_time)
    by_clip(notes or {}, B, trace)

    def backward(dout, g):
        dz = back_gather(back_regress(back_answer(dout), g.head))
        dfirst, dfv = np.split(dz, [first.shape[-1]], -1)
        dfa, dface = (dfirst, 0.0) if config.regress == "attended" else (np.zeros_like(dfv), dfirst)
        da, dv = back_attend((dfa, dfv), g.attend)
        dface = dface + back_v(back_hide2(dv), g.visual)
        dsound = back_a(back_hide1(da), g.audio)
        if several:
            dface = np.broadcast_to(dface[:, :, None], positions) / positions[2]
        return back_windows(dsound, dface, g)

    return out, backward
