"""OF-CMAER-CAT (paper 001): CNN encoders, cross-modal attention alignment, adaptive weights, a Transformer for context.

Data flow: F_i = CNN_i(M_i), eq. 1 -> F_i^a by CMAA, eq. 2-7 -> weights w~ by AWOM, eq. 8-10, and their sum h, eq. 11 -> tokens
w~_i F_i^a of all modalities through a Transformer -> [z_V, z_A, z_P] -> classes, eq. 20-22; without a Transformer h -> classes,
eq. 12-13. Joint loss: eq. 14-19. The paper gives no sizes and no factors, and its authors no code: numbers here are ours, and
docs/deviations.md says how each equation is read.
"""

from dataclasses import dataclass, replace

import numpy as np

from refmer.data.inputs import side_by_side, width
from refmer.layers import encoders as cnn
from refmer.layers.cmaer import (
    awom,
    cmaa,
    context,
    describe_awom,
    describe_cmaa,
    describe_context,
    describe_reconstruction,
    even,
    keep,
    reconstruction,
    time_means,
)
from refmer.layers.dense import describe_layer_norm, describe_mlp, layer_norm, mlp
from refmer.layers.encoders import describe_layout_encoder, layout_encoder
from refmer.layers.trace import scope
from refmer.ops.losses import (
    balanced_weights,
    cross_entropy,
    cross_entropy_backward,
    info_nce,
    info_nce_backward,
    mse,
    mse_backward,
    weight_entropy,
    weight_entropy_backward,
)

MODALITIES = {"visual": "frames", "audio": "logmel", "physiology": "body", "text": "words"}
ENCODERS = {"audio": cnn.sound_encoder, "physiology": cnn.sequence_encoder, "text": cnn.sequence_encoder}
FACES = {"mean": cnn.face_encoder, "layout": layout_encoder}
RECIPE = "paper-001"
TEXT = ("visual", "audio", "text")  # IEMOCAP and MOSEI have no physiology
VARIANTS = {"of_cmaer_cat": ({}, None), "of_cmaer_cat@text": ({"modalities": TEXT}, None)}
# Table 4, the accuracies on IEMOCAP beside it: from each line to the next one field changes
LADDER = {
    "CNN encoders only": {"cmaa": False, "awom": False, "contrastive": 0.0, "transformer": False},  # 81.2
    "+ CMAA": {"awom": False, "contrastive": 0.0, "transformer": False},  # 86.9
    "+ AWOM": {"contrastive": 0.0, "transformer": False},  # 89.7
    "+ Contrastive Loss": {"transformer": False},  # 91.8
    "+ Transformer (OF-CMAER-CAT)": {},  # 93.2
}


@dataclass(frozen=True)
class Config:
    """Sizes and switches.

    Parameters
    ----------
    visual : (int, int)
        Height and width of a frame.
    audio, physiology, text : int
        Features per step: mel bands, signals (DEAP has 40), width of a word.
    classes : int
    target : "emotion" or "sentiment"
    modalities : tuple
        Two or more of "visual", "audio", "physiology", "text". The equations have V, A, P; IEMOCAP and MOSEI have V, A, T.
    width, hidden, head : int
        d; the MLPs of gate (eq. 7) and score (eq. 8); the layer before the classes (eq. 12, 21).
    layers, heads, ffn : int
        Of the Transformer.
    visual_every, audio_every : int
        Frames of the stream that are averaged into one.
    face : "mean" or "layout"
        Images end in their mean over all positions (a global pooling), or keep them side by side (layers/encoders.py).
    cmaa, awom, transformer : bool
        The parts that Table 4 adds one by one. Without CMAA F^a = LN(F); without AWOM what is there weighs the same.
    mask_attention : bool
        True: what is missing is left out everywhere. False, the paper: it only loses its weight (eq. 10), and enters encoders,
        attention and Transformer as one frame of zeros.
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

    visual: tuple = (64, 64)
    audio: int = 40
    physiology: int = 40
    text: int = 300
    classes: int = 4
    target: str = "emotion"
    modalities: tuple = ("visual", "audio", "physiology")
    width: int = 128
    hidden: int = 128
    head: int = 128
    layers: int = 2
    heads: int = 4
    ffn: int = 256
    visual_every: int = 1
    audio_every: int = 1
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
        for name in ("visual", "modalities"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, where it comes from JSON
        if set(self.modalities) - set(MODALITIES) or len(set(self.modalities)) < max(2, len(self.modalities)):
            raise ValueError(f"modalities is {self.modalities}; accepted: two or more of {', '.join(MODALITIES)}, each once")
        if self.target not in ("emotion", "sentiment"):
            raise ValueError(f"target is {self.target!r}; accepted: 'emotion', 'sentiment'")
        if self.face not in FACES:
            raise ValueError(f"face is {self.face!r}; accepted: {', '.join(map(repr, FACES))}")
        for name in ("classification", "contrastive", "reconstruction", "entropy"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; accepted: 0 or more (a sign: literal_entropy)")

    @classmethod
    def tiny(cls, **changes):
        """Trains in seconds on the bundled corpus: one image and 12.5 log-mel frames a second; `face="layout"`."""
        small = cls(width=16, hidden=16, head=32, heads=2, ffn=32, visual_every=25, audio_every=4, face="layout")
        return replace(small, **changes)

    @classmethod
    def paper(cls, **changes):
        """The paper states no size: d = 128, one head in CMAA, 2 layers of 4 heads are ours."""
        return replace(cls(), **changes)


def streams(config):
    """The streams that are read."""
    return [MODALITIES[m] for m in config.modalities]


def widths(streams, config):
    """The Config fields that follow from the corpus."""
    found = {m: width(streams, (MODALITIES[m],)) for m in config.modalities if m != "visual"}
    return found | ({"visual": streams["frames"].x.shape[2:]} if "visual" in config.modalities else {})


def inputs(streams, config):
    """visual (B, T, h, w), audio, physiology, text (B, T, D), each with its mask <modality>_mask (B, T)."""
    batch = {}
    for m in config.modalities:
        x, batch[f"{m}_mask"] = side_by_side(streams, (MODALITIES[m],), getattr(config, f"{m}_every", 1))
        batch[m] = x.reshape(*x.shape[:2], *streams[MODALITIES[m]].x.shape[2:])
    return batch


def describe(config):
    d, M = config.width, len(config.modalities)
    tree = {"encoders": {m: describe_cnn(m, config) for m in config.modalities}}
    tree["cmaa"] = describe_cmaa(d, config.hidden) if config.cmaa else {"norm": describe_layer_norm(d)}
    if config.awom:
        tree["awom"] = describe_awom(d, config.hidden)
    if config.reconstruction:
        tree["decoder"] = describe_reconstruction(d, M, d)
    if not config.transformer:
        return tree | {"head": describe_mlp(d, config.head, config.classes)}
    tree["context"] = describe_context(M, d, config.ffn, config.layers)
    return tree | {"norm": describe_layer_norm(M * d), "head": describe_mlp(M * d, config.head, config.classes)}


def describe_cnn(modality, config):
    if modality == "visual":
        layout = config.face == "layout"
        return describe_layout_encoder(config.visual, config.width) if layout else cnn.describe_face_encoder(config.width)
    make = cnn.describe_sound_encoder if modality == "audio" else cnn.describe_sequence_encoder
    return make(getattr(config, modality), config.width)


def augment(batch, config, rng):
    """Nothing: the paper flips, crops and relights raw images (4.1), which did not help here."""
    return batch


def forward(p, batch, config, rng=None, trace=None):
    """out: logits (B, K); for the loss: weights w~ (B, M), means f (B, M, d), decoded (B, M, d)."""
    shown, valid, there = masks(batch, config)
    encoded, back_encoders = encode(p.encoders, batch, shown, config)  # F_i, eq. (1)
    means, back_means = time_means(encoded, valid)  # eq. (2)
    align, weigh = (cmaa if config.cmaa else keep), (awom if config.awom else even)
    aligned, back_align = align(p.cmaa, encoded, valid, None, trace)  # F_i^a, eq. (3)-(7)
    (h, w), back_weigh = weigh(getattr(p, "awom", None), encoded, aligned, valid, there, trace)  # eq. (8)-(11)
    classify = head_b if config.transformer else head_a
    logits, back_classify = classify(p, h, w, aligned, valid, config, rng, trace)
    decoded, back_decoder = decode(p, h, config)
    out = {"logits": logits, "weights": w, "means": means} | decoded

    def backward(dout, g):
        d = {k: dout.get(k, np.zeros_like(y)) for k, y in out.items()}  # what a loss does not use
        dh, dw, daligned = back_classify(d["logits"], g)
        weighed = dh + back_decoder(d, g), dw + d["weights"]
        dencoded, dpooled = back_weigh(weighed, getattr(g, "awom", None))
        dkept = back_align({m: daligned[m] + dpooled[m] for m in aligned}, g.cmaa)
        dmeans = back_means(d["means"])
        return back_encoders({m: dencoded[m] + dkept[m] + dmeans[m] for m in encoded}, g.encoders)

    return out, backward


def masks(batch, config):
    """The frames that encoders see {modality: (B, T)}, the steps they give {modality: (B, T')}, the modalities there (B, M)."""
    shown = {m: batch[f"{m}_mask"] for m in config.modalities}
    steps = {m: cnn.sound_mask(mask) if m == "audio" else mask for m, mask in shown.items()}
    there = np.stack([mask.any(1) for mask in steps.values()], 1)
    if config.mask_attention:
        return shown, steps, there
    for i, m in enumerate(shown):
        shown[m], steps[m] = (mask | ((np.arange(mask.shape[1]) == 0) & ~there[:, [i]]) for mask in (shown[m], steps[m]))
    return shown, steps, there


def encode(p, batch, shown, config):
    """F_i = E_i(M_i), eq. (1).   {modality: (B, T', d)}."""
    encoders = ENCODERS | {"visual": FACES[config.face]}
    found = {m: encoders[m](getattr(p, m), batch[m], shown[m]) for m in config.modalities}

    def backward(dy, g):
        return {m: back(dy[m], getattr(g, m)) for m, (_, back) in found.items()}

    return {m: y for m, (y, _) in found.items()}, backward


def decode(p, h, config):
    """The mean features of all modalities from h, for L_rec of eq. (19)."""
    if not config.reconstruction:
        return {}, lambda d, g: 0.0
    y, back = reconstruction(p.decoder, h, len(config.modalities))
    return {"decoded": y}, lambda d, g: back(d["decoded"], g.decoder)


def head_a(p, h, w, aligned, valid, config, rng, trace):
    """Without Transformer: z = relu(W_p h + b_p), eq. (12); y = softmax(W_cls z + b_cls), eq. (13)."""
    logits, back = mlp(p.head, h)
    return logits, lambda dlogits, g: (back(dlogits, g.head), 0.0, {m: 0.0 for m in aligned})


def head_b(p, h, w, aligned, valid, config, rng, trace):
    """After the Transformer: z = [z_V, z_A, z_P], eq. (20); W_o dropout(relu(W_ff LN(z) + b_ff)) + b_o, eq. (21)-(22)."""
    z, back_context = context(p.context, aligned, w, valid, config.heads, config.dropout, rng, scope(trace, "context"))
    n, back_norm = layer_norm(p.norm, z.reshape(len(z), -1))
    logits, back_head = mlp(p.head, n, config.head_dropout, rng)

    def backward(dlogits, g):
        dz = back_norm(back_head(dlogits, g.head), g.norm)
        daligned, dw = back_context(dz.reshape(z.shape), g.context)
        return np.zeros_like(h), dw, daligned

    return logits, backward


def loss(out, batch, config):
    """L = lambda_1 L_cls + lambda_2 L_con + lambda_3 L_rec + lambda_4 R_ent, eq. (19); lambda_5 |Theta|^2 is in the recipe."""
    there = masks(batch, config)[2]
    weight = balanced_weights(batch["class_count"]) if config.balanced else np.ones_like(batch["class_count"])
    parts = {"cross_entropy": (config.classification, "logits", cross_entropy_backward)}
    found = {"cross_entropy": cross_entropy(out["logits"], batch["target"], weight)}  # eq. (14)
    if config.contrastive:  # eq. (15)-(17)
        parts["contrastive"] = config.contrastive, "means", info_nce_backward
        found["contrastive"] = info_nce(out["means"], there, config.temperature)
    if config.reconstruction:  # its target is data: .real stops the complex step too
        parts["reconstruction"] = config.reconstruction, "decoded", mse_backward
        found["reconstruction"] = mse(out["decoded"], out["means"].real, there)
    if config.entropy and config.awom:  # eq. (18)
        parts["entropy"] = config.entropy, "weights", weight_entropy_backward
        found["entropy"] = weight_entropy(out["weights"], config.literal_entropy)
    terms = {name: parts[name][0] * value for name, (value, *_) in found.items()}
    dout = {key: back(factor, *found[name][1:]) for name, (factor, key, back) in parts.items()}
    return sum(terms.values()), terms, dout


def example(config):
    """32 images of 5 s, 100 log-mel frames a second, 128 samples of physiology a second, or 16 words."""
    frames = {"visual": 32, "audio": 500, "physiology": 640, "text": 16}
    return {m: (frames[m], *np.atleast_1d(getattr(config, m))) for m in config.modalities}
