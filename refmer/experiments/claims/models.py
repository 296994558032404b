"""The models that the claims need, each trained once per seed, and the seconds of a training."""

from typing import NamedTuple

from refmer.experiments.ablate import RUNGS
from refmer.experiments.rows import with_target
from refmer.systems import of_cmaer_cat


class Row(NamedTuple):
    """A system, changes to its tiny Config, seconds of a training with its measurements (of variants estimated)."""

    system: str
    changes: dict
    seconds: float


EMOTION = {"target": "emotion"}
LADDER = tuple(of_cmaer_cat.LADDER)
WEIGHTS = {  # main, audio, visual: Table 4 of paper 002 without its (.33, .33, .33), which is the row "auxformer"
    "auxformer, weights {:.2f} {:.2f} {:.2f}".format(*rung.changes["weights"]): tuple(rung.changes["weights"])
    for rung in RUNGS["auxformer"].values()
    if "weights" in rung.changes
}
CONTEXTS = (4, 8, 16, 32, 64)  # clips have up to 28 steps: as 16 to 256 are to the 120 and 200 steps of paper 004
TEXT = {"modalities": of_cmaer_cat.TEXT}  # IEMOCAP, of Table 4, has no physiology
VARIANTS = {
    "positions": ("off",),
    "within": ("lstm", "gru", "off"),
    "token": ("last_valid", "prepended"),
    "mix": ("fixed", "off"),
}
PARTS = ("tcn", "lstm", "attention")

CLEAN = {"reliability": 0.0}  # paper 000 names no corrupted clips in training
OPENFACE = {
    "gated": Row("openface_adaptive", EMOTION | CLEAN, 3.0),
    "ungated": Row("openface_adaptive", EMOTION | CLEAN | {"gate": False}, 1.5),
    "no transformer": Row("openface_adaptive", EMOTION | CLEAN | {"transformer": False}, 0.6),
    "concatenation": Row("concatenation", EMOTION, 1.2),
    "sentiment": Row("openface_adaptive", CLEAN, 0.7),
    **{
        f"{m} alone": Row("openface_adaptive", EMOTION | CLEAN | {"modalities": (m,)}, 0.5) for m in ("visual", "audio", "text")
    },
}
CMAER = {
    **{step: Row("of_cmaer_cat", TEXT | changes, 3.0) for step, changes in of_cmaer_cat.LADDER.items()},
    "001, entropy as printed": Row("of_cmaer_cat", TEXT | {"literal_entropy": True}, 3.0),
    "001, no entropy": Row("of_cmaer_cat", TEXT | {"entropy": 0.0}, 3.0),
    "001, no contrast": Row("of_cmaer_cat", TEXT | {"contrastive": 0.0}, 3.0),
}
TRAININGS = {  # optimized, the systems' default, and standard
    name + end: Row(system, changes, seconds)
    for end, changes in (("", {}), (", standard", {"training": "standard"}))
    for name, system, seconds in (
        ("auxformer", "auxformer", 4.5),
        ("B1", "auxformer_baseline1", 2.5),
        ("MulT", "mult", 2.5),
        ("B3", "parthasarathy", 1.5),
    )
}
AUXFORMER = {
    **{f"auxformer, {k} {v}": Row("auxformer", {k: v}, 4.0) for k, values in VARIANTS.items() for v in values},
    **{name: Row("auxformer", {"weights": weights}, 4.0) for name, weights in WEIGHTS.items()},
    "voice alone": Row("unimodal", {"modality": "audio"}, 2.5),
    "face alone": Row("unimodal", {"modality": "visual"}, 2.8),
    "MulT, larger": Row("mult", {"width": 45}, 3.5),  # 220,596 parameters on the samples; tiny AuxFormer has 54,598
}
TLAB = {
    "TLAB-JCA": Row("tlab_jca", {}, 4.5),
    "JCA": Row("jca", {}, 3.5),
    "Leader-Follower": Row("leader_follower", {}, 3.5),
    **{f"TLAB-JCA, {part} alone": Row("tlab_jca", {p: False for p in PARTS if p != part}, 3.5) for part in (*PARTS, "nothing")},
}
RAVER = {
    "RAVER": Row("raver", EMOTION, 5.0),
    "RAVER, plain CE": Row("raver", EMOTION | {"balance": "none"}, 3.0),
    "RAVER, windows": Row("raver", EMOTION | {"summarizer": "strided"}, 2.5),
    "RAVER, no dropout": Row("raver", EMOTION | {"modality_dropout": "off"}, 3.0),
    "RAVER, neither": Row("raver", EMOTION | {"summarizer": "strided", "modality_dropout": "off"}, 2.5),
    **{f"RAVER, {n} tokens": Row("raver", EMOTION | {"n_context": n}, 2.5 + n / 16) for n in CONTEXTS if n != 8},
    "VAVL": Row("vavl", {}, 5.0),
    "SFAV": Row("sfav", {}, 1.5),
    "Transformer-LSTM": Row("transformer_lstm", {}, 3.5),
}
ROWS = {
    name: row._replace(changes=with_target(row.system, row.changes)[1])
    for name, row in (OPENFACE | CMAER | TRAININGS | AUXFORMER | TLAB | RAVER).items()
}
CHEAP = frozenset(sorted(ROWS, key=lambda row: ROWS[row].seconds)[: len(ROWS) // 2])
