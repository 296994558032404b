"""What papers 003 (TLAB-JCA) and 004 (RAVER) claim, and what all of them do."""

from refmer.experiments.claims import contrasts as c
from refmer.experiments.claims.contrasts import (
    Claim,
    Contrast,
    Score,
    best_of,
    lead,
    lossy_mean,
    one,
)
from refmer.experiments.claims.measures import BURSTS
from refmer.experiments.claims.models import CONTEXTS

OTHERS = ("VAVL", "auxformer", "MulT", "SFAV", "Transformer-LSTM")
TOKENS = {n: "RAVER" if n == 8 else f"RAVER, {n} tokens" for n in CONTEXTS}
LOSSES = ("face lost 0.9", "voice lost 0.9", "face lost 1", "voice lost 1")

TLAB = (
    Claim(
        "003-a",
        "003 Table 2",
        "TLAB-JCA > JCA > Leader-Follower (mean CCC)",
        ".602, .534, .406; gain of valence .235, not the printed .220",
        {f"{a} - {b}": lead(a, b, name="ccc") for a, b in (("TLAB-JCA", "JCA"), ("JCA", "Leader-Follower"))},
    ),
    Claim(
        "003-b",
        "003 Table 4",
        "TCN and LSTM complement each other",
        ".571, .572 to .610",
        {f"all - {p} alone": lead("TLAB-JCA", f"TLAB-JCA, {p} alone", name="ccc") for p in ("tcn", "lstm")},
    ),
    Claim(
        "003-b",
        "003 Table 4",
        "attention alone adds nothing",
        ".420 = .420",
        {"attention - nothing": lead("TLAB-JCA, attention alone", "TLAB-JCA, nothing alone", name="ccc")},
        "equal",
        0.02,
    ),
    Claim(
        "003-c",
        "003 4.6 against 5",
        "resilient when both senses are disturbed at once (mean CCC)",
        ".385 against .323 Leader-Follower, .225 JCA; the conclusion says critically vulnerable",
        {f"over {b}": lead("TLAB-JCA", b, "hand and laughter", "ccc") for b in ("Leader-Follower", "JCA")},
    ),
    Claim(
        "003-d",
        "003 4.6",
        "occlusion hurts valence more than arousal; laughter-like bursts hurt arousal more",
        "-",
        {
            f"{at}: more of {a} lost": Contrast(
                c.beyond_clean, tuple(Score("TLAB-JCA", x, f"ccc_{n}") for x in (at, "clean") for n in (b, a))
            )
            for at, a, b in (("hand", "valence", "arousal"), ("laughter", "arousal", "valence"))
        },
    ),
)

RAVER = (
    Claim(
        "004-a",
        "004 Table 2, Fig. 3",
        "RAVER >= the others: slight on complete data, larger when frames are missing",
        "CREMA-D macro F1 .777 against .772, .742, .743, .731, .710",
        {f"over {b}, clean": lead("RAVER", b) for b in OTHERS}
        | {f"over {b}, losses": lossy_mean("RAVER", b, LOSSES) for b in OTHERS},
    ),
    Claim(
        "004-a",
        "004 Fig. 3",
        "no cliff at 95 to 100 % missing: loss from 90 to 100 % - 5 points",
        "-",
        {
            s: Contrast(c.loss_beyond(0.05), (Score("RAVER", f"{s} lost 0.9"), Score("RAVER", f"{s} lost 1")))
            for s in ("face", "voice")
        },
        "less",
        0.0,
    ),
    Claim(
        "004-b",
        "004 Table 3",
        "multimodal training beats unimodal systems even with one modality gone",
        "face alone .658 (FER)",
        {
            "no voice: over the face alone": Contrast(c.difference, (Score("RAVER", "voice lost 1"), Score("face alone"))),
            "no face: over the voice alone": Contrast(c.difference, (Score("RAVER", "face lost 1"), Score("voice alone"))),
        },
    ),
    Claim(
        "004-c",
        "004 Fig. 5",
        "best under bursty loss in both modalities (mean over 25, 50 and 75 % lost)",
        "a figure",
        {f"over {b}": lossy_mean("RAVER", b, [f"bursts {n}" for n in BURSTS]) for b in OTHERS},
    ),
    Claim(
        "004-d",
        "004 Table 4",
        "lowest Brier score: RAVER - other",
        ".119",
        {row: lead("RAVER", row, name="brier") for row in ("RAVER, plain CE", *OTHERS)},
        "less",
        0.002,
        "of one-hot emotions, not of votes",
    ),
    Claim(
        "004-e",
        "004 V-B",
        "smaller disparity between emotions: range and sd of F1, RAVER - other",
        "range .253 against .219, .231, .238; sd .0865 against .0808 (VAVL): reversed in its own table",
        {f"{n}, {b}": lead("RAVER", b, name=f"f1_{n}") for n in ("range", "sd") for b in ("auxformer", "VAVL", "MulT")},
        "less",
    ),
    Claim(
        "004-f",
        "004 Fig. 2",
        "as many context tokens as a clip has steps are best (mean over losses, test set)",
        "best at 128, differences small",
        {f"32 - {n}": lossy_mean(TOKENS[32], TOKENS[n], LOSSES) for n in CONTEXTS if n != 32},
    ),
    Claim(
        "004-g",
        "004 III-C",
        "a missing modality makes a near-zero cross update: norm missing / present - 0.1",
        "-",
        {"face missing": one("RAVER", "update", "ratio", c.beyond(0.1))},
        "less",
        0.0,
    ),
    Claim(
        "004-h",
        "004 II, IV",
        "summarizer and modality dropout, together, make it robust (mean over losses)",
        "-",
        {f"both - {what}": lossy_mean("RAVER", f"RAVER, {what}", LOSSES) for what in ("windows", "no dropout", "neither")},
    ),
    Claim(
        "004-i",
        "004 II-B",
        "masking at inference is better than zeroing, 90 % missing",
        "-",
        {at: Contrast(c.difference, (Score("RAVER", at), Score("RAVER", "zeroed", at))) for at in LOSSES[:2]},
        note="the model has learned with masks",
    ),
)

ALL = (
    Claim(
        "all-a",
        "002 1, 003 1",
        "attention aligns the senses: correlation of the lag it finds with the true one",
        "-",
        {row: one(row, "alignment", "r") for row in ("auxformer", "Transformer-LSTM")},
        margin=0.1,
        note="lags of 0.12 s with sd 0.08 s, steps of 0.32 s and 0.16 s",
    ),
    Claim(
        "all-b",
        "all",
        "fusion beats the best single modality",
        "-",
        {"000": best_of("gated", ("visual alone", "audio alone", "text alone"))}
        | {row: best_of(row, ("voice alone", "face alone")) for row in ("auxformer", "RAVER", "VAVL", "Transformer-LSTM")},
    ),
)
