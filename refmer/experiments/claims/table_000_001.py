"""What papers 000 (OpenFace-Adaptive) and 001 (OF-CMAER-CAT) claim."""

from refmer.experiments.claims import contrasts as c
from refmer.experiments.claims.contrasts import (
    Claim,
    Contrast,
    Score,
    gate,
    lead,
    one,
    sweep,
)
from refmer.experiments.claims.measures import SIGMAS, SNRS
from refmer.experiments.claims.models import LADDER

FACE_SWEEP, SOUND_SWEEP = ([f"face noise {s:g}" for s in SIGMAS], [f"white {s:g} dB" for s in SNRS])
FULL = LADDER[-1]

OPENFACE = (
    Claim(
        "000-a",
        "000 IV-D",
        "the gate resists noise on the face",
        "41.2 against 37.6 at sigma 2: +3.6, beyond the clean difference +2.1",
        dict(zip(("gated - ungated at sigma 2", "beyond the clean difference"), gate("face noise 2"), strict=True)),
    ),
    Claim(
        "000-b",
        "000 Table II",
        "gate, Transformer and fusion help on clean inputs",
        "gate +1.5, Transformer +6.9 over MLP, fusion +3.2 over text",
        {f"gated - {row}": lead("gated", row, name="accuracy") for row in ("ungated", "no transformer", "text alone")},
    ),
    Claim(
        "000-c",
        "000 I, III-C",
        "the gate detects a failing sensor without being taught: area under the ROC curve - 0.5",
        "-",
        {at: one("gated", "trust", at, c.beyond(0.5)) for at in ("face noise 2", "hand", "white 0 dB")},
        margin=0.05,
    ),
    Claim(
        "000-c",
        "000 V",
        "its trust in a covered face falls within 500 ms: 0.5 s - the time to fall by half (1 s: never)",
        ".92 to .05 within 500 ms",
        {"0.5 s - time": one("gated", "trust", "seconds", lambda x: 0.5 - x)},
        margin=0.0,
    ),
    Claim(
        "000-d",
        "000 III-A",
        "degradation grows with the size of the noise: accuracy per step of the sweep",
        "-",
        {"face noise": sweep(["gated"], ["clean", *FACE_SWEEP], c.trend), "sound": sweep(["gated"], SOUND_SWEEP, c.trend)},
        "less",
    ),
    Claim(
        "000-d",
        "000 III-A",
        "it grows more slowly than for concatenation",
        "-",
        {
            "face noise": sweep(["gated", "concatenation"], ["clean", *FACE_SWEEP], c.flatter),
            "sound": sweep(["gated", "concatenation"], SOUND_SWEEP, c.flatter),
        },
    ),
    Claim(
        "000-e",
        "000 IV-B",
        "errors lie between adjacent classes of sentiment: within-one accuracy - that of a permuted confusion",
        "-",
        {"Acc-7": Contrast(c.neighbours, (Score("sentiment", "clean", "within_one"), Score("sentiment", "clean", "accuracy")))},
        margin=0.05,
    ),
    Claim(
        "000-f",
        "000 IV-E",
        "INT8 costs no accuracy: accuracy in int8 - in float32",
        "-",
        {"int8 - float32": one("gated", "int8", "change")},
        "equal",
        0.005,
    ),
)

CMAER = (
    Claim(
        "001-a",
        "001 Table 4",
        "each of CMAA, AWOM, contrastive loss and Transformer adds",
        "81.2, 86.9, 89.7, 91.8, 93.2",
        {b: lead(b, a, name="accuracy") for a, b in zip(LADDER[:-1], LADDER[1:], strict=True)},
    ),
    Claim(
        "001-b",
        "001 3",
        "the weight of a bad modality falls: weight disturbed - clean",
        "-",
        {at: one(FULL, "weights", at) for at in ("face noise 2", "hand", "face lost 1", "white 0 dB")},
        "less",
        note="a missing modality is masked: its weight is 0 by construction",
    ),
    Claim(
        "001-c",
        "001 3",
        "the entropy term prevents dominance: entropy of the weights (nats)",
        "-",
        {
            f"sign of the text - {what}": Contrast(
                c.difference, (Score(FULL, "weights", "entropy"), Score(row, "weights", "entropy"))
            )
            for what, row in (("sign as printed", "001, entropy as printed"), ("none", "001, no entropy"))
        },
    ),
    Claim(
        "001-d",
        "001 3",
        "the contrastive loss raises consistency: cosine of matched pairs - of unmatched ones",
        "-",
        {"with - without": lead(FULL, "001, no contrast", "consistency", "cosine")},
        margin=0.05,
    ),
)
