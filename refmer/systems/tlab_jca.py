"""TLAB-JCA (paper 003): LSTM and TCN joined by attention (TLAB) per modality, joint cross-attention, valence and arousal.

Data flow: sub-sequences of sound and images -> encoders -> TLAB of the sound -> audio-guided attention over positions (AVGA) ->
TLAB of the face -> joint cross-attention (JCA) -> BLSTM -> two linear maps, for every sub-sequence. `variant="code"` is another
network, that of the authors' code, whose size is the published one: see docs/deviations.md.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from refmer.choices import FROM_0, plain
from refmer.data.inputs import flat, sound_and_face, sound_and_face_shapes, step_means, width
from refmer.layers import encoders, tlab, tlab_code
from refmer.layers.convolution import describe_tcn
from refmer.layers.dense import describe_mlp, mlp, optional
from refmer.layers.sequence import describe_lstm, lstm
from refmer.layers.trace import scope
from refmer.ops.contracts import closure
from refmer.ops.losses import balanced_weights, ccc_loss, ccc_loss_backward, cross_entropy, cross_entropy_backward
from refmer.systems import protocol
from refmer.train.augment import modality_dropout
from refmer.train.crop import one_window

MODALITIES = {"audio": ("logmel",), "visual": ("frames",)}
FEATURES = {"audio": ("audio",), "visual": ("visual",)}  # of pretrained backbones
RECIPE = "paper-003"
VARIANTS = {"tlab_jca": ({}, None), "tlab_jca@code": ({"variant": "code"}, 26_971_763)}


@dataclass(frozen=True)
class Windows(protocol.Config):
    """Sizes and switches that TLAB-JCA shares with its baseline JCA: what is read, in which windows, and what is learned.

    Parameters
    ----------
    sound, face : tuple
        Shapes of one sub-sequence: log-mel (F, mel) and images (F, h, w), or without encoders features (A,) and (N, V), N
        positions (a stream of vectors has one).
    encoders : bool
        True: read log-mel and frames through small encoders. False: read features (of pretrained backbones, which are
        not part of the network and its published size), usually from streams "audio" and "visual"; their means over each
        sub-sequence, and a linear map of the sound where its width is not that of TLAB. Where the face is a stream of vectors
        and not of images, False follows from the clips.
    sound_trunk, face_trunk : tuple
        Widths of the residual encoders before the last block.
    face_encoder : "r2plus1d" or "patches"
        A small R(2+1)D network, whose filters are shared by all positions, or a map of its own for each of nine patches of the
        images, which keeps what is where (layers/encoders.py).
    sound_dropout : float
        Share of the clips of a training batch that lose their sound, so that the face is learned too.
    bands_as_channels : bool
        Input of the encoder of log-mel: see layers/encoders.py. False: an image, as for the paper's ResNet18.
    sampled, every, coarse : int
        Images taken of a sub-sequence, whose duration is `seconds`; log-mel frames, and pixels along each side, averaged into
        one.
    steps : int
        T, sub-sequences in a window: maps along time fix it. More are consecutive windows, fewer are filled up.
    classes : int
        Outputs: valence and arousal, or classes.
    target : str
        The label that is learned.
    over_time : bool
        It has a value per sub-sequence; False: one for the clip. It follows from the clips.
    ddof : 0 or 1
        Of the moments in the loss; the authors' code has 1 in the loss and 0 in the score.
    """

    TINY = {"encoders": True, "sound_trunk": (16,), "bands_as_channels": True, "face_encoder": "patches", "sound_dropout": 0.1}
    TINY |= {"sampled": 2, "every": 2, "sound": (16, 40), "face": (2, 24, 24)}  # shapes of the bundled corpus
    ACCEPTED = {"ddof": (0, 1), "face_encoder": ("r2plus1d", "patches")}

    sound: tuple[int, ...] = (512,)
    face: tuple[int, ...] = (49, 512)
    encoders: bool = False
    sound_trunk: tuple[int, ...] = (4, 8)
    face_trunk: tuple[int, ...] = (4, 8)
    face_encoder: str = "r2plus1d"
    sound_dropout: float = 0.0
    bands_as_channels: bool = False
    sampled: int = 8
    every: int = 1
    coarse: int = 1
    steps: int = 16
    classes: int = 2
    target: str = "affect"
    task: str = "regression"
    over_time: bool = True
    ddof: int = 0


@dataclass(frozen=True)
class Config(Windows):
    """Sizes and switches: those of Windows, and the following.

    Parameters
    ----------
    variant : "paper" or "code"
        The equations, or the authors' code.
    tcn, lstm, attention : bool
        Parts of TLAB, on and off (Table 4); see `temporal` in layers/tlab.py.
    width, joint, head, hidden, positions : int
        Of TLAB; of the BLSTM, both directions; of the regressor; k of JCA; inside AVGA.
    residual : "tlab" or "input"
        Summand of eq. (11), of variant "paper": the output of TLAB, as in the authors' code, or its input, as the text reads
        ("the original modality inputs"). TLAB averages over time twice, eq. (6): with the second, steps stay apart.
    lstm_layers, joint_layers : int
        Of the LSTM of eq. (2), of the BLSTM (the code's LSTM modules have 2).
    dilations : tuple
        Of the TCN, one per block. The text's "dilation rate of 4" is, in the code, the stride of the sampled frames.
    band : int, optional
        Local attention that is local: |t - s| <= band. Neither the paper nor the code has it.
    pooled : bool
        One answer for a window, from the mean over its steps, as eq. (14) is printed; False: one for every step, as labels
        and code have it.
    dropout_tcn, dropout_lstm, dropout_attention, dropout_fusion, dropout_head : float
        From the authors' code, the paper names none; attention and fusion have it in the code's variant only.
    """

    TINY = Windows.TINY | {"width": 16, "joint": 32, "head": 16, "hidden": 8, "positions": 9, "joint_layers": 1}
    TINY |= {"residual": "input", **dict.fromkeys(("dropout_tcn", "dropout_lstm", "dropout_fusion", "dropout_head"), 0.1)}
    ACCEPTED = Windows.ACCEPTED | {"variant": ("paper", "code"), "residual": ("tlab", "input")}
    RANGES = {"band": FROM_0}

    variant: str = "paper"
    tcn: bool = True
    lstm: bool = True
    attention: bool = True
    width: int = 512
    joint: int = 512
    head: int = 128
    hidden: int = 32
    positions: int = 49
    dilations: tuple[int, ...] = (1, 2)
    lstm_layers: int = 1
    joint_layers: int = 2
    band: int | None = None
    residual: str = "tlab"
    pooled: bool = False
    dropout_tcn: float = 0.2
    dropout_lstm: float = 0.4
    dropout_attention: float = 0.1
    dropout_fusion: float = 0.4
    dropout_head: float = 0.6

    def __post_init__(self):
        super().__post_init__()
        if self.joint % 2 or not self.dilations:
            raise ValueError(f"joint is {self.joint}, dilations {self.dilations}; accepted: an even one, and one or more")
        if self.residual == "input" and self.variant != "paper":
            raise ValueError("residual is 'input' with variant 'code'; accepted: 'tlab', or variant 'paper'")

    @classmethod
    def tiny(cls, **changes):
        """Return the size that trains in seconds on the bundled recordings."""
        return super().tiny(**({"residual": "tlab"} if plain(changes.get("variant")) == "code" else {}) | changes)


def modalities(config):
    """Return {modality: usual names of its streams}."""
    return MODALITIES if config.encoders else FEATURES


def widths(streams, config):
    """Return the Config fields that follow from the streams."""
    frame = streams["visual"].x.shape[2:]
    if config.encoders and len(frame) == 2:
        shapes = sound_and_face_shapes(streams, config.seconds, config.sampled, config.every, config.coarse)
        return {"encoders": True} | dict(zip(("sound", "face"), shapes, strict=True))
    return {"encoders": False, "sound": (width(streams["audio"]),), "face": frame if len(frame) == 2 else (1, frame[0])}


def inputs(streams, config):
    """Return audio (B, S, F, mel) and visual (B, S, F, h, w), or audio (B, S, A) and visual (B, S, N, V), and masks (B, S)."""
    if config.encoders:
        return sound_and_face(streams, config.seconds, config.sampled, config.every, config.coarse)
    batch = step_means(streams, config.seconds)
    return batch | {"audio": flat(batch["audio"]), "visual": batch["visual"].reshape(*batch["visual"].shape[:2], *config.face)}


def describe_encoders(config, sound, face):
    """The encoders of a network that has them, else a map of the sound if its width is not `sound`.

    The last blocks of the encoders have widths `sound` and `face`.
    """
    if not config.encoders:
        return (
            {} if config.sound[-1] == sound else {"encoders": {"sound": encoders.describe_projection(config.sound[-1], sound)}}
        )
    bands = config.sound[-1] if config.bands_as_channels else 1
    images = encoders.describe_r2plus1d((*config.face_trunk, face))
    images = encoders.describe_patches(config.face, face) if config.face_encoder == "patches" else images
    return {"encoders": {"sound": encoders.describe_resnet((*config.sound_trunk, sound), bands), "face": images}}


def describe(config):
    C, T, of_code = config.width, config.steps, config.variant == "code"
    block = {
        "tcn": describe_tcn(C, [C] * len(config.dilations)),
        "lstm": tlab_code.describe_lstm_module(C, C) if of_code else describe_lstm(C, C, config.lstm_layers),
        "attention": tlab_code.describe_tlab_code(C) if of_code else tlab.describe_tlab(C),
    }
    block = {name: part for name, part in block.items() if getattr(config, name)}
    if of_code:
        fuse, join = tlab_code.describe_coattentions(C, T), tlab_code.describe_lstm_module(2 * C, config.joint)
        head = tlab_code.describe_regressors(config.joint, config.head, config.classes)
    else:
        fuse = tlab.describe_joint_cross_attention(C, C, T, config.hidden)
        join = describe_lstm(2 * C, config.joint // 2, config.joint_layers, bidirectional=True)
        head = describe_mlp(config.joint, config.head, config.classes)
    places = tlab.describe_avga(C if config.encoders else config.face[-1], C, C, config.positions)
    parts = {"audio": block, "avga": places, "visual": block, "fuse": fuse, "join": join, "head": head}
    return describe_encoders(config, C, C) | parts


def augment(batch, config, rng):
    """Return one window of `steps` consecutive sub-sequences of each recording, some without sound (stride: one of them)."""
    batch = one_window(batch, rng, config.steps)
    return modality_dropout(batch, rng, {"audio": config.sound_dropout}) if config.sound_dropout else batch


def parts(config, rng):
    """The functions of eq. (1)-(6), (8)-(11), (13) and (14), or those of the authors' code in their places."""
    attend, fuse, recur, regress = tlab.tlab, tlab.joint_cross_attention, lstm, mlp
    if config.variant == "code":
        attend = partial(tlab_code.tlab_code, rate=config.dropout_attention, rng=rng)
        fuse = partial(tlab_code.coattentions, rate=config.dropout_fusion, rng=rng)
        recur, regress = tlab_code.lstm_module, tlab_code.regressors
    options = {"dilations": config.dilations, "rates": (config.dropout_lstm, config.dropout_tcn), "band": config.band}
    block = partial(tlab.temporal, recur=recur, attend=attend, rng=rng, **options)
    join, head = partial(recur, rate=config.dropout_lstm, rng=rng), partial(regress, rate=config.dropout_head, rng=rng)
    return block, fuse, join, head


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: see `inputs` -> out: logits (B, S, K), or (B, K) of a label that is not over time."""
    block, fuse, join, head = parts(config, rng)
    residual = tlab.input_residual if config.residual == "input" else tlab.block_residual
    B, S = batch["audio"].shape[:2]
    notes = None if trace is None else {}
    sound, face, valid_a, valid_v, back_windows = windows(p, batch, config, rng)  # (B W, T, C), (B W, T, N, V), (B W, T) twice
    valid = valid_a | valid_v

    a, back_a = block(p.audio, sound, valid_a, trace=scope(notes, "audio"))  # eq. (1)-(6)
    x, back_avga = tlab.avga(p.avga, face, a, notes)  # eq. (7)
    v, back_v = block(p.visual, x, valid_v, trace=scope(notes, "visual"))  # eq. (1)-(6)
    (fa, fv), back_fuse = fuse(p.fuse, a, v, valid, trace=scope(notes, "fuse"))  # eq. (8)-(11)
    fa, back_residual_a = residual(fa, a, sound, valid, valid_a)
    fv, back_residual_v = residual(fv, v, x, valid, valid_v)
    h, back_join = join(p.join, np.concatenate([fv, fa], -1), mask=valid)  # eq. (12)-(13)
    z, back_gather = tlab.gather(h, valid, B, S, config.over_time, config.pooled)
    y, back_head = head(p.head, z)  # eq. (14)
    out, back_answer = tlab.answer(y, config.steps, B, S, config.over_time)
    tlab.by_clip(notes or {}, B, trace)

    def backward(dout, g):
        dh = back_gather(back_head(back_answer(dout), g.head))
        dfv, dfa = np.split(back_join(dh, g.join), 2, -1)
        (dfa, da, dsound), (dfv, dv, dx) = back_residual_a(dfa), back_residual_v(dfv)
        da2, dv2 = back_fuse((dfa, dfv), g.fuse)
        dface, da3 = back_avga(dx + back_v(dv2 + dv, g.visual), g.avga)
        return back_windows(dsound + back_a(da2 + da + da3, g.audio), dface, g)

    return out, backward


def windows(p, batch, config, rng):
    """Both streams, encoded where there are encoders, as windows, and masks. Training encodes valid sub-sequences only."""
    skip = rng is not None
    (sound, face), (valid_a, valid_v) = (batch[m] for m in MODALITIES), (batch[f"{m}_mask"] for m in MODALITIES)
    if not config.encoders:
        sound, back_sound = optional(getattr(p, "encoders", p), "sound", encoders.projection, sound, valid_a)
    else:
        sound, back_sound = encoders.encode_sound(p.encoders.sound, sound, valid_a, config.bands_as_channels, skip)
        face, back_face = encoders.encode_face(p.encoders.face, face, valid_v, config.face_encoder, skip)
    sound, back_fold1 = tlab.fold(sound, config.steps)
    face, back_fold2 = tlab.fold(face, config.steps)

    def backward(dsound, dface, g):
        dsound, dface = back_fold1(dsound), back_fold2(dface)
        if config.encoders:
            dsound, dface = back_sound(dsound, g.encoders.sound), back_face(dface, g.encoders.face)
        else:
            dsound = back_sound(dsound, getattr(g, "encoders", g))
        return {"audio": dsound, "visual": dface}

    return sound, face, tlab.fold(valid_a, config.steps)[0], tlab.fold(valid_v, config.steps)[0], backward


def loss(out, batch, config):
    """L = 1 - (rho_a + rho_v) / 2 over all valid steps of the batch, eq. (15)-(16); of classes, balanced cross-entropy."""
    z, target, mask = out["logits"], batch["target"], batch.get("target_mask")
    if config.task == "regression":
        value, *saved = ccc_loss(z, target, mask, config.ddof)
        return value, {"ccc": value}, {"logits": ccc_loss_backward(1.0, *saved)}
    rows = target if mask is None else np.where(mask[..., None], target, 0) * (mask.size / max(mask.sum(), 1))
    rows = rows.reshape(-1, rows.shape[-1]).astype(target.dtype)
    value, *saved = cross_entropy(z.reshape(rows.shape), rows, balanced_weights(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved).reshape(z.shape)}


def example(config):
    """A window."""
    return {"audio": (config.steps, *config.sound), "visual": (config.steps, *config.face)}
