"""TLAB-JCA (paper 003): LSTM and TCN joined by attention (TLAB) per modality, joint cross-attention, valence and arousal.

Data flow: sub-sequences of sound and images -> encoders -> TLAB of the sound -> audio-guided attention over positions (AVGA) ->
TLAB of the face -> joint cross-attention (JCA) -> BLSTM -> two linear maps, for every sub-sequence. `variant="code"` is another
network, that of the authors' code, whose size is the published one: see docs/deviations.md.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from refmer.data.inputs import features, sound_and_face, sound_and_face_shapes, sub_sequence_means
from refmer.layers.answers import LOSSES, answer_for
from refmer.layers.avga import avga, describe_avga
from refmer.layers.subsequences import describe_encoders, encode_face, encode_sound, fold
from refmer.layers.temporal import PARTS, RESIDUALS, Rates, describe_temporal, temporal
from refmer.layers.trace import note, scope
from refmer.train.crop import one_window

RECIPE = "paper-003"
VARIANTS = {"tlab_jca": ({}, None), "tlab_jca@code": ({"variant": "code"}, 26_971_763)}

ACCEPTED = {"target": ("affect", "emotion"), "variant": tuple(PARTS), "residual": ("tlab", "input"), "ddof": (0, 1)}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    sound, face : tuple
        Shapes of one sub-sequence: log-mel (F, mel) and images (F, h, w), or without encoders features (A,) and (N, V), N
        positions.
    encoders : bool
        False: read features of pretrained backbones from streams "audio" and "visual", a frame per sub-sequence; they are not
        part of the network and its published size. True: read log-mel and frames through small residual encoders.
    sound_trunk, face_trunk : tuple
        Widths of the encoders before the last block, which has `width`.
    bands_as_channels : bool
        How the encoder reads log-mel: see layers/subsequences.py. False: as the image that the paper's ResNet18 reads.
    seconds, sampled, every, coarse
        Duration of a sub-sequence; images taken of it; log-mel frames, and pixels along each side, averaged into one.
    steps : int
        T, sub-sequences in a window: maps along time fix it. More are consecutive windows, fewer are filled up.
    classes : int
        Outputs: valence and arousal, or the emotions.
    target : "affect" or "emotion"
    variant : "paper" or "code"
        The equations, or the authors' code.
    tcn, lstm, attention : bool
        Parts of TLAB, on and off (Table 4); see layers/temporal.py.
    width, joint, head, hidden, positions : int
        Of TLAB; of the BLSTM, both directions; of the regressor; k of JCA; inside AVGA.
    residual : "tlab" or "input"
        What eq. (11) adds, of variant "paper": the output of TLAB, as in the authors' code, or what went into it, as the text
        reads ("the original modality inputs"). TLAB averages over time twice, eq. (6): with the second, steps stay apart.
    lstm_layers, joint_layers : int
        Of the LSTM of eq. (2), of the BLSTM (the code's LSTM modules have 2).
    dilations : tuple
        Of the TCN, one per block. The text's "dilation rate of 4" is, in the code, the stride of the sampled frames.
    band : int, optional
        Local attention that is local: |t - s| <= band. Neither the paper nor the code has it.
    pooled : bool
        One answer for a window, from the mean over its steps, as eq. (14) is printed; False: one for every step, as labels
        and code have it.
    ddof : 0 or 1
        Of the moments in the loss; the authors' code has 1 in the loss and 0 in the score.
    dropout_tcn, dropout_lstm, dropout_attention, dropout_fusion, dropout_head : float
        From the authors' code, the paper names none; attention and fusion have it in the code's variant only.
    """

    sound: tuple = (512,)
    face: tuple = (49, 512)
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
    variant: str = "paper"
    tcn: bool = True
    lstm: bool = True
    attention: bool = True
    width: int = 512
    joint: int = 512
    head: int = 128
    hidden: int = 32
    positions: int = 49
    dilations: tuple = (1, 2)
    lstm_layers: int = 1
    joint_layers: int = 2
    band: int | None = None
    residual: str = "tlab"
    pooled: bool = False
    ddof: int = 0
    dropout_tcn: float = 0.2
    dropout_lstm: float = 0.4
    dropout_attention: float = 0.1
    dropout_fusion: float = 0.4
    dropout_head: float = 0.6

    def __post_init__(self):
        for name in ("sound", "face", "sound_trunk", "face_trunk", "dilations"):  # lists, where they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, accepted in ACCEPTED.items():
            if getattr(self, name) not in accepted:
                raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {', '.join(map(repr, accepted))}")
        if self.residual == "input" and self.variant != "paper":
            raise ValueError("residual is 'input' with variant 'code'; accepted: 'tlab', or variant 'paper'")
        if not self.encoders and self.sound[-1] != self.width:
            raise ValueError(f"features of sound have width {self.sound[-1]}; accepted: {self.width}, the width of TLAB")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled recordings."""
        sizes = {"width": 16, "joint": 32, "head": 16, "hidden": 8, "positions": 9, "joint_layers": 1, "residual": "input"}
        encoders = {"encoders": True, "sound_trunk": (16,), "bands_as_channels": True, "sampled": 4, "every": 2, "coarse": 2}
        dropout = {"dropout_tcn": 0.1, "dropout_lstm": 0.1, "dropout_fusion": 0.1, "dropout_head": 0.1}
        changes = {"residual": "tlab"} | changes if changes.get("variant") == "code" else changes
        return replace(cls(**sizes, **encoders, **dropout), **changes)

    @classmethod
    def paper(cls, **changes):
        """The published network on features of frozen backbones, (16, 512) and (16, 49, 512)."""
        return replace(cls(), **changes)

    @property
    def use(self):
        """The parts of TLAB that are on."""
        return [name for name in ("tcn", "lstm", "attention") if getattr(self, name)]

    @property
    def sound_image(self):
        """What the encoder of sound reads: the shape of an image, and its channels."""
        return ((self.sound[0], 1), self.sound[-1]) if self.bands_as_channels else (self.sound, 1)

    @property
    def rates(self):
        return Rates(*(getattr(self, f"dropout_{name}") for name in Rates._fields))


def streams(config):
    """The streams that are read."""
    return ["logmel", "frames"] if config.encoders else ["audio", "visual"]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    if config.encoders:
        sound, face = sound_and_face_shapes(streams, config.seconds, config.sampled, config.every, config.coarse)
    else:
        sound, face = (streams[name].x.shape[2:] for name in ("audio", "visual"))
    return {"sound": sound, "face": face}


def inputs(streams, config):
    """logmel (B, S, F, mel) and frames (B, S, F, h, w), or audio (B, S, A) and visual (B, S, N, V), with masks (B, S)."""
    if config.encoders:
        return sound_and_face(streams, config.seconds, config.sampled, config.every, config.coarse)
    return features(streams, ("audio", "visual"))


def target(affect, config):
    """The mean of valence and arousal in each sub-sequence: target (B, S, 2), target_mask (B, S)."""
    return dict(zip(("target", "target_mask"), sub_sequence_means(affect, config.seconds), strict=True))


def describe(config):
    part, C = PARTS[config.variant], config.width
    block = describe_temporal(config.variant, C, config.lstm_layers, len(config.dilations), config.use)
    trunks = (*config.sound_trunk, C), (*config.face_trunk, C)
    return ({"encoders": describe_encoders(*trunks, config.sound_image[1])} if config.encoders else {}) | {
        "audio": block,
        "avga": describe_avga(C if config.encoders else config.face[-1], C, C, config.positions),
        "visual": block,
        "fuse": part.describe_fuse(C, config.steps, config.hidden),
        "join": part.describe_join(2 * C, config.joint, config.joint_layers),
        "head": part.describe_head(config.joint, config.head, config.classes),
    }


def augment(batch, config, rng):
    """One window of `steps` consecutive sub-sequences of each recording (stride: one sub-sequence)."""
    return one_window(batch, rng, config.steps)


def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: affect (B, S, 2), or logits (B, K)."""
    (name_a, name_v), part = streams(config), PARTS[config.variant]
    B, S = batch[name_a].shape[:2]
    notes = None if trace is None else {}
    masks = [batch[f"{name}_mask"] for name in (name_a, name_v)]
    sound, face, back_encode = encode(p, batch[name_a], batch[name_v], *masks, config, skip=rng is not None)
    heard, seen = (fold(mask, config.steps)[0] for mask in masks)  # (B W, T)
    valid = heard | seen
    sound, back_fold1 = fold(sound, config.steps)  # (B W, T, C)
    face, back_fold2 = fold(face, config.steps)  # (B W, T, N, V)
    regress = partial(part.head, rates=config.rates, rng=rng)
    options = {"variant": config.variant, "rates": config.rates, "rng": rng, "band": config.band, "dilations": config.dilations}
    a, back_a = temporal(p.audio, sound, heard, **options, trace=scope(notes, "audio"))
    x, back_avga = avga(p.avga, face, a, notes)
    v, back_v = temporal(p.visual, x, seen, **options, trace=scope(notes, "visual"))
    (fa, fv), back_fuse = part.fuse(p.fuse, a, v, valid, config.rates, rng, scope(notes, "fuse"))
    fa, fv, back_residual = RESIDUALS[config.residual](fa, fv, a, v, sound, x, heard, seen)
    h, back_join = part.join(p.join, np.concatenate([fv, fa], -1), valid, config.rates, rng)  # eq. (12)-(13)
    out, back_answer = answer_for(config.target, config.pooled)(regress, p.head, h, valid, B, S)
    for name, x in (notes or {}).items():
        for y in x if isinstance(x, list) else [x]:
            note(trace, name, y.reshape(B, -1, *y.shape[1:]))  # (B, W, ...)

    def backward(dout, g):
        dfv, dfa = np.split(back_join(back_answer(dout, g.head), g.join), 2, -1)
        da, dv, dsound, dx = back_residual(dfa, dfv, *back_fuse((dfa, dfv), g.fuse))
        dface, da2 = back_avga(dx + back_v(dv, g.visual), g.avga)
        dsound = dsound + back_a(da + da2, g.audio)
        return dict(zip((name_a, name_v), back_encode(back_fold1(dsound), back_fold2(dface), g), strict=True))

    return out, backward


def encode(p, sound, face, heard, seen, config, skip):
    """Both streams through their encoders, or as they are."""
    if not config.encoders:
        return sound, face, lambda dsound, dface, g: (dsound, dface)
    sound, back_sound = encode_sound(p.encoders.sound, sound, heard, config.bands_as_channels, skip)
    face, back_face = encode_face(p.encoders.face, face, seen, skip)

    def backward(dsound, dface, g):
        return back_sound(dsound, g.encoders.sound), back_face(dface, g.encoders.face)

    return sound, face, backward


def loss(out, batch, config):
    """L = 1 - (rho_a + rho_v) / 2 over all valid steps of the batch, eq. (15)-(16); of emotions, cross-entropy."""
    return LOSSES[config.target](out, batch, config.ddof)


def example(config):
    """A window of 16 sub-sequences."""
    return dict(zip(streams(config), ((config.steps, *config.sound), (config.steps, *config.face)), strict=True))
