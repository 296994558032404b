"""The claims of the five papers, line by line. A claim takes several lines where its parts differ in direction or margin."""

from refmer.experiments.claims import contrasts as c
from refmer.experiments.claims.contrasts import Claim, Contrast, Score, best_of, gate, lead, longer, lossy_mean, one, sweep
from refmer.experiments.claims.measures import BURSTS, SIGMAS, SNRS
from refmer.experiments.claims.models import CONTEXTS, LADDER, WEIGHTS

FACE_SWEEP, SOUND_SWEEP = ([f"face noise {s:g}" for s in SIGMAS], [f"white {s:g} dB" for s in SNRS])
FULL = LADDER[-1]
BASELINES = ("MulT", "B1", "B3")  # of paper 002, named as there
EVEN, ZERO = ([name for name, w in WEIGHTS.items() if (min(w) > 0) == even] for even in (True, False))
POINT = 0.01
GONE = {"no face": "face lost 1", "no voice": "voice lost 1"}
OTHERS = ("VAVL", "auxformer", "MulT", "SFAV", "Transformer-LSTM")  # of paper 004
TOKENS = {n: "RAVER" if n == 8 else f"RAVER, {n} tokens" for n in CONTEXTS}
LOSSES = ("face lost 0.9", "voice lost 0.9", "face lost 1", "voice lost 1")
BYPASSED = "with residual='input', tiny's default, the input goes around TLAB: its parts can show little"

# fmt: off
CLAIMS = (
    # 000: OpenFace-Adaptive
    Claim("000-a", "000 IV-D", "the gate resists noise on the face",
        "41.2 against 37.6 at sigma 2: +3.6, beyond the clean difference +2.1",
        dict(zip(("gated - ungated at sigma 2", "beyond the clean difference"), gate("face noise 2"), strict=True))),
    Claim("000-b", "000 Table II", "gate, Transformer and fusion help on clean inputs",
        "gate +1.5, Transformer +6.9 over MLP, fusion +3.2 over text",
        {f"gated - {row}": lead("gated", row, name="accuracy") for row in ("ungated", "no transformer", "text alone")}),
    Claim("000-c", "000 I, III-C", "the gate detects a failing sensor without being taught: area under the ROC curve - 0.5",
        "-",
        {at: one("gated", "trust", at, c.beyond(0.5)) for at in ("face noise 2", "hand", "white 0 dB")}, margin=0.05),
    Claim("000-c", "000 V", "its trust in a covered face falls within 500 ms: 0.5 s - the time to fall by half (1 s: never)",
        ".92 to .05 within 500 ms",
        {"0.5 s - time": one("gated", "trust", "seconds", lambda x: 0.5 - x)}, margin=0.0),
    Claim("000-d", "000 III-A", "degradation grows with the size of the noise: accuracy per step of the sweep", "-",
        {"face noise": sweep(["gated"], ["clean", *FACE_SWEEP], c.trend), "sound": sweep(["gated"], SOUND_SWEEP, c.trend)},
         "less"),
    Claim("000-d", "000 III-A", "it grows more slowly than for concatenation", "-",
        {"face noise": sweep(["gated", "concatenation"], ["clean", *FACE_SWEEP], c.flatter),
         "sound": sweep(["gated", "concatenation"], SOUND_SWEEP, c.flatter)}),
    Claim("000-e", "000 IV-B",
        "errors lie between adjacent classes of sentiment: within-one accuracy - that of a permuted confusion", "-",
        {"Acc-7": Contrast(c.neighbours, (Score("sentiment", "clean", "within_one"), Score("sentiment", "clean", "accuracy")))},
         margin=0.05),
    Claim("000-f", "000 IV-E", "INT8 costs no accuracy: accuracy in int8 - in float32", "-",
        {"int8 - float32": one("gated", "int8", "change")}, "equal", 0.005),
    # 001: OF-CMAER-CAT
    Claim("001-a", "001 Table 4", "each of CMAA, AWOM, contrastive loss and Transformer adds", "81.2, 86.9, 89.7, 91.8, 93.2",
        {b: lead(b, a, name="accuracy") for a, b in zip(LADDER[:-1], LADDER[1:], strict=True)}),
    Claim("001-b", "001 3", "the weight of a bad modality falls: weight disturbed - clean", "-",
        {at: one(FULL, "weights", at) for at in ("face noise 2", "hand", "face lost 1", "white 0 dB")}, "less",
         note="a missing modality is masked: its weight is 0 by construction"),
    Claim("001-c", "001 3", "the entropy term prevents dominance: entropy of the weights (nats)", "-",
        {f"sign of the text - {what}": lead(FULL, row, "weights", "entropy")
         for what, row in (("sign as printed", "001, entropy as printed"), ("none", "001, no entropy"))}),
    Claim("001-d", "001 3", "the contrastive loss raises consistency: cosine of matched pairs - of unmatched ones", "-",
        {"with - without": lead(FULL, "001, no contrast", "consistency", "cosine")}, margin=0.05),
    # 002: AuxFormer
    Claim("002-a", "002 Table 1", "AuxFormer beats B1, MulT and B3", "CREMA-D: +3.7 to +15.7 points of macro F1",
        {f"over {b}{end}": lead(f"auxformer{end}", b + end) for end in ("", ", standard") for b in BASELINES}),
    Claim("002-b", "002 Table 1, 5.1", "optimized training also helps complete data", "CREMA-D +.004, MSP-IMPROV -.003",
        {"optimized - standard": lead("auxformer", "auxformer, standard")}),
    Claim("002-c", "002 Table 2, Fig. 4", "with one modality gone it is above B1, MulT and B3",
        "on MSP-IMPROV without voice below B3 and B4",
        {f"{what}: over {b}": lead("auxformer", b, at) for what, at in GONE.items() for b in BASELINES}),
    Claim("002-c", "002 Table 2, Fig. 4", "and near B4, which has only the other modality", "-",
        {f"{what}: to B4": Contrast(c.difference, (Score("auxformer", GONE[what]), Score(b4)))
         for what, b4 in (("no face", "voice alone"), ("no voice", "face alone"))}, "equal", 0.03),
    Claim("002-d", "002 Fig. 5", "with 10 % of the frames of one modality it beats the network of the other", "-",
        {f"10 % of the {sense}": Contrast(c.difference, (Score("auxformer", f"{sense} lost 0.9"), Score(f"{b4} alone")))
         for sense, b4 in (("face", "voice"), ("voice", "face"))}),
    Claim("002-d", "002 Fig. 5", "with half of the frames it is within 1 point of complete: loss - 1 point",
        "within 1 point at 40 to 50 % missing",
        {f"half of the {s}": Contrast(c.loss_beyond(POINT), (Score("auxformer"), Score("auxformer", f"{s} lost 0.5")))
         for s in ("face", "voice")}, "less", 0.0),
    Claim("002-e", "002 Table 3", "positions help slightly, more on longer clips", "CREMA-D .766 without, .772 with",
        {"with - without": lead("auxformer", "auxformer, positions off"),
         "long - short clips": longer("auxformer", "auxformer, positions off")}, margin=0.005),
    Claim("002-f", "002 Fig. 6", "self-attention > LSTM or GRU > nothing", "a figure",
        {f"attention - {w.upper()}": lead("auxformer", f"auxformer, within {w}") for w in ("lstm", "gru")}
         | {f"{w.upper()} - nothing": lead(f"auxformer, within {w}", "auxformer, within off") for w in ("lstm", "gru")}),
    Claim("002-g", "002 Fig. 7", "last step >= mean > prepended token, more so on longer clips", "a figure",
        {"mean - prepended": lead("auxformer", "auxformer, token prepended"),
         "last - prepended": lead("auxformer, token last_valid", "auxformer, token prepended"),
         "last - prepended, long - short clips": longer("auxformer, token last_valid", "auxformer, token prepended")}),
    Claim("002-g", "002 Fig. 7", "last step >= mean: last - mean + 1 point", "a figure",
        {"last - mean": Contrast(lambda a, b: a - b + POINT, (Score("auxformer, token last_valid"), Score("auxformer")))},
         margin=0.0, note="not worse than by a point"),
    Claim("002-h", "002 Table 4", "loss weights do not matter unless one is zero", ".768 to .773",
        {name.removeprefix("auxformer, "): lead(name, "auxformer") for name in EVEN}, "equal", 0.02),
    Claim("002-h", "002 Table 4", "a weight of zero costs: equal weights - the others", ".772 against .736 to .743",
        {name.removeprefix("auxformer, "): lead("auxformer", name) for name in ZERO}),
    Claim("002-i", "002 3.3", "the learned scale adds robustness to missing modalities", "-",
        {f"{what}: learned - {mix}": lead("auxformer", f"auxformer, mix {mix}", at)
         for what, at in GONE.items() for mix in ("fixed", "off")}),
    Claim("002-j", "002 Fig. 8, Table 5", "a larger MulT is no better: larger - MulT - 1 point",
        "7.07 M parameters against .36 M",
        {"larger - MulT": Contrast(lambda a, b: a - b - POINT, (Score("MulT, larger"), Score("MulT")))}, "less", 0.0),
    Claim("002-j", "002 Table 5", "an epoch of AuxFormer takes 2.8 times that of MulT", "2.8",
        {}, note="times are no reproducible bytes; multiply-accumulates of a published clip, one forward: {ratio:.1f} times"),
    Claim("002-k", "002 5.1", "smaller spread over seeds: absolute deviation from the median, theirs - ours", "-",
        {f"than {b}": Contrast(c.steadier, (Score("auxformer"), Score(b))) for b in BASELINES}, margin=0.005,
         note="deviations from one median depend on each other: p is approximate"),
    # 003: TLAB-JCA
    Claim("003-a", "003 Table 2", "TLAB-JCA > JCA > Leader-Follower (mean CCC)",
        ".602, .534, .406; gain of valence .235, not the printed .220",
        {f"{a} - {b}": lead(a, b, name="ccc") for a, b in (("TLAB-JCA", "JCA"), ("JCA", "Leader-Follower"))}),
    Claim("003-b", "003 Table 4", "TCN and LSTM complement each other", ".571, .572 to .610",
        {f"all - {p} alone": lead("TLAB-JCA", f"TLAB-JCA, {p} alone", name="ccc") for p in ("tcn", "lstm")}, note=BYPASSED),
    Claim("003-b", "003 Table 4", "attention alone adds nothing", ".420 = .420",
        {"attention - nothing": lead("TLAB-JCA, attention alone", "TLAB-JCA, nothing alone", name="ccc")}, "equal", 0.02,
         BYPASSED),
    Claim("003-c", "003 4.6 against 5", "resilient when both senses are disturbed at once (mean CCC)",
        ".385 against .323 Leader-Follower, .225 JCA; the conclusion says critically vulnerable",
        {f"over {b}": lead("TLAB-JCA", b, "hand and laughter", "ccc") for b in ("Leader-Follower", "JCA")}),
    Claim("003-d", "003 4.6", "occlusion hurts valence more than arousal; laughter-like bursts hurt arousal more", "-",
        {f"{at}: more of {a} lost":
         Contrast(c.beyond_clean, tuple(Score("TLAB-JCA", x, f"ccc_{n}") for x in (at, "clean") for n in (b, a)))
         for at, a, b in (("hand", "valence", "arousal"), ("laughter", "arousal", "valence"))}),
    # 004: RAVER
    Claim("004-a", "004 Table 2, Fig. 3", "RAVER >= the others: slight on complete data, larger when frames are missing",
        "CREMA-D macro F1 .777 against .772, .742, .743, .731, .710",
        {f"over {b}, clean": lead("RAVER", b) for b in OTHERS}
         | {f"over {b}, losses": lossy_mean("RAVER", b, LOSSES) for b in OTHERS}),
    Claim("004-a", "004 Fig. 3", "no cliff at 95 to 100 % missing: loss from 90 to 100 % - 5 points", "-",
        {s: Contrast(c.loss_beyond(0.05), (Score("RAVER", f"{s} lost 0.9"), Score("RAVER", f"{s} lost 1")))
         for s in ("face", "voice")}, "less", 0.0),
    Claim("004-b", "004 Table 3", "multimodal training beats unimodal systems even with one modality gone",
        "face alone .658 (FER)",
        {"no voice: over the face alone": Contrast(c.difference, (Score("RAVER", "voice lost 1"), Score("face alone"))),
         "no face: over the voice alone": Contrast(c.difference, (Score("RAVER", "face lost 1"), Score("voice alone")))}),
    Claim("004-c", "004 Fig. 5", "best under bursty loss in both modalities (mean over 25, 50 and 75 % lost)", "a figure",
        {f"over {b}": lossy_mean("RAVER", b, [f"bursts {n}" for n in BURSTS]) for b in OTHERS}),
    Claim("004-d", "004 Table 4", "lowest Brier score: RAVER - other", ".119",
        {row: lead("RAVER", row, name="brier") for row in ("RAVER, plain CE", *OTHERS)}, "less", 0.002,
         "of one-hot emotions, not of votes"),
    Claim("004-e", "004 V-B", "smaller disparity between emotions: range and sd of F1, RAVER - other",
        "range .253 against .219, .231, .238; sd .0865 against .0808 (VAVL): reversed in its own table",
        {f"{n}, {b}": lead("RAVER", b, name=f"f1_{n}") for n in ("range", "sd") for b in ("auxformer", "VAVL", "MulT")},
         "less"),
    Claim("004-f", "004 Fig. 2", "as many context tokens as a clip has steps are best (mean over losses, test set)",
        "best at 128, differences small",
        {f"32 - {n}": lossy_mean(TOKENS[32], TOKENS[n], LOSSES) for n in CONTEXTS if n != 32}),
    Claim("004-g", "004 III-C", "a missing modality makes a near-zero cross update: norm missing / present - 0.1", "-",
        {"face missing": one("RAVER", "update", "ratio", c.beyond(0.1))}, "less", 0.0),
    Claim("004-h", "004 II, IV", "summarizer and modality dropout, together, make it robust (mean over losses)", "-",
        {f"both - {what}": lossy_mean("RAVER", f"RAVER, {what}", LOSSES) for what in ("windows", "no dropout", "neither")}),
    Claim("004-i", "004 II-B", "masking at inference is better than zeroing, 90 % missing", "-",
        {at: Contrast(c.difference, (Score("RAVER", at), Score("RAVER", "zeroed", at))) for at in LOSSES[:2]},
         note="the model has learned with masks"),
    # all of them
    Claim("all-a", "002 1, 003 1", "attention aligns the senses: correlation of the lag it finds with the true one", "-",
        {row: one(row, "alignment", "r") for row in ("auxformer", "Transformer-LSTM")}, margin=0.1,
         note="lags of 0.12 s with sd 0.08 s, steps of 0.32 s and 0.16 s"),
    Claim("all-b", "all", "fusion beats the best single modality", "-",
        {"000": best_of("gated", ("visual alone", "audio alone", "text alone"))}
         | {row: best_of(row, ("voice alone", "face alone")) for row in ("auxformer", "RAVER", "VAVL", "Transformer-LSTM")}),
)
