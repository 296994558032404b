"""OF-CMAER-CAT (paper 001): CNN encoders, cross-modal attention alignment, adaptive weights, a Transformer for context.

Data flow: F_i = CNN_i(M_i), eq. 1 -> F_i^a by CMAA, eq. 2-7 -> weights w~ by AWOM, eq. 8-10, and their sum h, eq. 11 -> tokens
w~_i F_i^a of all modalities through a Transformer -> [z_V, z_A, z_P] -> classes, eq. 20-22; without a Transformer h -> classes,
eq. 12-13. Joint loss: eq. 14-19. The paper gives no sizes and no factors, and its authors no code: numbers here are ours, and
docs/deviations.md says how each equation is read. The paper flips, crops and relights raw images (4.1); that did not help here.
"""

from dataclasses import dataclass

import numpy as np

from refmer.choices import ABOVE_0
from refmer.data.inputs import flat, sequences, width
from refmer.layers import cmaer, encoders
from refmer.layers.dense import describe_layer_norm, describe_mlp, layer_norm, mlp
from refmer.layers.trace import scope
from refmer.ops import losses
from refmer.ops.contracts import closure
from refmer.systems import protocol

MODALITIES = {"visual": ("frames",), "audio": ("logmel",), "physiology": ("body",), "text": ("words",)}
RECIPE = "paper-001"
TEXT = ("visual", "audio", "text")  # IEMOCAP and MOSEI have no physiology
VARIANTS = {"of_cmaer_cat": ({}, None), "of_cmaer_cat@text": ({"modalities": TEXT}, None)}
FACES = {  # (describe(size of a frame, width), encoder)
    "mean": (lambda size, width: encoders.describe_face_encoder(width), encoders.face_encoder),
    "patches": (encoders.describe_patch_encoder, encoders.patch_encoder),
}
# Table 4, the accuracies on IEMOCAP beside it: from each line to the next one field changes
LADDER = {
    "CNN encoders only": {"cmaa": False, "awom": False, "contrastive": 0.0, "transformer": False},  # 81.2
    "+ CMAA": {"awom": False, "contrastive": 0.0, "transformer": False},  # 86.9
    "+ AWOM": {"contrastive": 0.0, "transformer": False},  # 89.7
    "+ Contrastive Loss": {"transformer": False},  # 91.8
    "+ Transformer (OF-CMAER-CAT)": {},  # 93.2
}


@dataclass(frozen=True)
class Config(protocol.Config):
    """Sizes and switches.

    Parameters
    ----------
    visual : (int, int)
        Height and width of a frame; (D,) of a vector.
    audio, physiology, text : int
        Features per step: mel bands, signals (DEAP has 40), width of a word.
    classes : int
    target : str
        The label that is learned.
    modalities : tuple
        Two or more of "visual", "audio", "physiology", "text". The equations have V, A, P; IEMOCAP and MOSEI have V, A, T.
    width, hidden, head : int
        d; the MLPs of gate (eq. 7) and score (eq. 8); the layer before the classes (eq. 12, 21).
    layers, heads, ffn : int
        Of the Transformer.
    visual_fps, audio_fps : float, optional
        Frames per second, of which those of the streams are averages. None: all frames.
    encoders : bool
        False: a linear map of each frame takes the place of the encoders of eq. 1. It follows from the clips where the face is
        a stream of vectors and not of images.
    face : "mean" or "patches"
        Images end in their mean over all positions (a global pooling), or nine patches with maps of their own stay side by side
        (layers/encoders.py).
    cmaa, awom, transformer : bool
        The parts that Table 4 adds one by one. Without CMAA F^a = LN(F); without AWOM the available modalities weigh the same.
    mask_attention : bool
        True: missing modalities are masked everywhere. False, the paper: they only lose their weight (eq. 10), and enter
        encoders, attention and Transformer as one frame of zeros.
    dropout, head_dropout : float
        Inside the Transformer, and before the last layer (h_drop, eq. 22).
    classification, contrastive, reconstruction, entropy : float
        lambda_1 to lambda_4, eq. 19; lambda_5 is the weight decay of the recipe.
    temperature : float
        tau, eq. 15-16.
    literal_entropy : bool
        True: the sign of eq. 18-19 as printed, which favours one dominant modality; False: the aim that the text states.
    balanced : bool
        Classes weighted against their counts; eq. 14 has no weights.
    """

    TINY = {"width": 16, "hidden": 16, "head": 32, "heads": 2, "ffn": 32, "face": "patches"}
    TINY |= {"visual_fps": 1.0, "audio_fps": 12.5}  # of the bundled corpus: one image and 12.5 log-mel frames a second
    ACCEPTED = {"face": tuple(FACES)}
    RANGES = {"temperature": ABOVE_0}

    visual: tuple[int, ...] = (64, 64)
    audio: int = 40
    physiology: int = 40
    text: int = 300
    classes: int = 4
    target: str = "emotion"
    modalities: tuple[str, ...] = ("visual", "audio", "physiology")
    width: int = 128
    hidden: int = 128
    head: int = 128
    layers: int = 2
    heads: int = 4
    ffn: int = 256
    visual_fps: float | None = None
    audio_fps: float | None = None
    encoders: bool = True
    face: str = "mean"
    cmaa: bool = True
    awom: bool = True
    transformer: bool = True
    mask_attention: bool = True
    dropout: float = 0.1
    head_dropout: float = 0.3
    classification: float = 1.0
    contrastive: float = 0.1
    reconstruction: float = 0.1
    entropy: float = 0.01
    temperature: float = 0.1
    literal_entropy: bool = False
    balanced: bool = False

    def __post_init__(self):
        super().__post_init__()
        if set(self.modalities) - set(MODALITIES) or len(set(self.modalities)) < max(2, len(self.modalities)):
            raise ValueError(f"modalities is {self.modalities}; accepted: two or more of {', '.join(MODALITIES)}, each once")


def widths(streams, config):
    """Return the Config fields that follow from the streams."""
    shapes = {m: s.x.shape[2:] if m == "visual" else width(s) for m, s in streams.items()}
    return shapes | {"encoders": config.encoders and len(shapes.get("visual", (1, 1))) == 2}


def inputs(streams, config):
    """Return visual (B, T, h, w) or (B, T, D), audio, physiology, text (B, T, D), and their masks (B, T)."""
    batch = sequences(streams, config)
    return {m: x if m == "visual" or m.endswith("_mask") else flat(x) for m, x in batch.items()}


def describe(config):
    d, M = config.width, len(config.modalities)
    maps = config.encoders and {
        "visual": FACES[config.face][0](config.visual, d),
        "audio": encoders.describe_sound_encoder(config.audio, d),
        "physiology": encoders.describe_sequence_encoder(config.physiology, d),
        "text": encoders.describe_sequence_encoder(config.text, d),
    }
    if not config.encoders:
        sizes = {m: np.prod(getattr(config, m), dtype=int) for m in config.modalities}
        maps = {m: encoders.describe_projection(int(n), d) for m, n in sizes.items()}
    tree = {"encoders": {m: maps[m] for m in config.modalities}}
    tree["cmaa"] = cmaer.describe_cmaa(d, config.hidden) if config.cmaa else {"norm": describe_layer_norm(d)}
    if config.awom:
        tree["awom"] = cmaer.describe_awom(d, config.hidden)
    if config.reconstruction:
        tree["decoder"] = cmaer.describe_reconstruction(d, M, d)
    if not config.transformer:
        return tree | {"head": describe_mlp(d, config.head, config.classes)}
    tree["context"] = cmaer.describe_context(M, d, config.ffn, config.layers)
    return tree | {"norm": describe_layer_norm(M * d), "head": describe_mlp(M * d, config.head, config.classes)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """batch: visual (B, T, h, w), audio, physiology, text (B, T, D), and their masks (B, T).

    -> out: logits (B, K); for the loss: weights w~ (B, M), means f (B, M, d), decoded (B, M, d).
    """
    frames, valid, available = masks(batch, config)
    align, weigh = (cmaer.cmaa if config.cmaa else cmaer.keep), (cmaer.awom if config.awom else cmaer.even)
    classify = head_b if config.transformer else head_a

    encoded, back_encoders = encode(p.encoders, batch, frames, config)  # F_i, eq. (1)
    means, back_means = cmaer.time_means(encoded, valid)  # eq. (2)
    aligned, back_align = align(p.cmaa, encoded, valid, None, trace)  # F_i^a, eq. (3)-(7)
    pooled, back_weigh = weigh(getattr(p, "awom", None), encoded, aligned, valid, available, trace)  # eq. (8)-(11)
    logits, back_classify = classify(p, pooled, aligned, valid, config, rng, trace)  # eq. (12)-(13) or (20)-(22)
    h, w = pooled
    out = {"logits": logits, "weights": w, "means": means}
    if config.reconstruction:
        out["decoded"], back_decoder = cmaer.reconstruction(p.decoder, h, len(config.modalities))  # for eq. (19)

    def backward(dout, g):
        d = {k: dout.get(k, np.zeros_like(y)) for k, y in out.items()}  # 0 for what the loss does not use
        dh, dw, daligned = back_classify(d["logits"], g)
        dh = dh + (back_decoder(d["decoded"], g.decoder) if config.reconstruction else 0.0)
        dencoded, dpooled = back_weigh((dh, dw + d["weights"]), getattr(g, "awom", None))
        dkept = back_align({m: daligned[m] + dpooled[m] for m in aligned}, g.cmaa)
        dmeans = back_means(d["means"])
        return back_encoders({m: dencoded[m] + dkept[m] + dmeans[m] for m in encoded}, g.encoders)

    return out, backward


def masks(batch, config):
    """Masks of the frames {modality: (B, T)} and of the encoded steps {modality: (B, T')}; available modalities (B, M)."""
    frames = {m: batch[f"{m}_mask"] for m in config.modalities}
    steps = {m: encoders.sound_mask(mask) if m == "audio" and config.encoders else mask for m, mask in frames.items()}
    available = np.stack([mask.any(1) for mask in steps.values()], 1)
    if config.mask_attention:
        return frames, steps, available
    for i, m in enumerate(frames):
        frames[m], steps[m] = (mask | ((np.arange(mask.shape[1]) == 0) & ~available[:, [i]]) for mask in (frames[m], steps[m]))
    return frames, steps, available


def encode(p, batch, frames, config):
    """F_i = CNN_i(M_i), eq. (1).   {modality: (B, T', d)}."""
    kinds = {"visual": FACES[config.face][1], "audio": encoders.sound_encoder} if config.encoders else {}
    default = encoders.sequence_encoder if config.encoders else encoders.projection

    def encoder(m, x):
        y, back = kinds.get(m, default)(getattr(p, m), x, frames[m])
        return y, lambda dy, g: back(dy, getattr(g, m))

    return cmaer.each(encoder, {m: batch[m] for m in config.modalities})


def head_a(p, pooled, aligned, valid, config, rng, trace):
    """Without Transformer: z = relu(W_p h + b_p), eq. (12); y = softmax(W_cls z + b_cls), eq. (13)."""
    logits, back = mlp(p.head, pooled[0])
    return logits, lambda dlogits, g: (back(dlogits, g.head), 0.0, {m: 0.0 for m in aligned})


def head_b(p, pooled, aligned, valid, config, rng, trace):
    """After the Transformer: z = [z_V, z_A, z_P], eq. (20); W_o dropout(relu(W_ff LN(z) + b_ff)) + b_o, eq. (21)-(22)."""
    h, w = pooled
    z, back_context = cmaer.context(p.context, aligned, w, valid, config.heads, config.dropout, rng, scope(trace, "context"))
    n, back_norm = layer_norm(p.norm, z.reshape(len(z), -1))
    logits, back_head = mlp(p.head, n, config.head_dropout, rng)

    def backward(dlogits, g):
        dz = back_norm(back_head(dlogits, g.head), g.norm)
        daligned, dw = back_context(dz.reshape(z.shape), g.context)
        return np.zeros_like(h), dw, daligned

    return logits, backward


def loss(out, batch, config):
    """L = lambda_1 L_cls + lambda_2 L_con + lambda_3 L_rec + lambda_4 R_ent, eq. (19); lambda_5 |Theta|^2 is in the recipe."""
    available, terms, dout = masks(batch, config)[2], {}, {}
    if config.task == "regression":
        _, terms, dout = protocol.squared_error(out, batch, {"logits": config.classification})
    else:
        weight = losses.balanced_weights(batch["class_count"]) if config.balanced else np.ones_like(batch["class_count"])
        value, *saved = losses.cross_entropy(out["logits"], batch["target"], weight)  # eq. (14)
        terms["cross_entropy"] = config.classification * value
        dout["logits"] = losses.cross_entropy_backward(config.classification, *saved)
    if config.contrastive:
        value, *saved = losses.info_nce(out["means"], available, config.temperature)  # eq. (15)-(17)
        terms["contrastive"] = config.contrastive * value
        dout["means"] = losses.info_nce_backward(config.contrastive, *saved)
    if config.reconstruction:
        value, *saved = losses.mse(out["decoded"], out["means"].real, available)  # .real: a target is data
        terms["reconstruction"] = config.reconstruction * value
        dout["decoded"] = losses.mse_backward(config.reconstruction, *saved)
    if config.entropy and config.awom:
        value, *saved = losses.weight_entropy(out["weights"], config.literal_entropy)  # eq. (18)
        terms["entropy"] = config.entropy * value
        dout["weights"] = losses.weight_entropy_backward(config.entropy, *saved)
    return sum(terms.values()), terms, dout


def example(config):
    """32 images of 5 s, 100 log-mel frames a second, 128 samples of physiology a second, or 16 words."""
    frames = {"visual": 32, "audio": 500, "physiology": 640, "text": 16}
    return {m: (frames[m], *np.atleast_1d(getattr(config, m))) for m in config.modalities}
