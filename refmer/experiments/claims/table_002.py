"""What paper 002 (AuxFormer) claims."""

from refmer.experiments.claims import contrasts as c
from refmer.experiments.claims.contrasts import (
    Claim,
    Contrast,
    Score,
    lead,
    longer,
)
from refmer.experiments.claims.models import WEIGHTS

BASELINES = ("MulT", "B1", "B3")  # named as in the paper
EVEN, ZERO = ([name for name, w in WEIGHTS.items() if (min(w) > 0) == even] for even in (True, False))
POINT = 0.01
GONE = {"no face": "face lost 1", "no voice": "voice lost 1"}

AUXFORMER = (
    Claim(
        "002-a",
        "002 Table 1",
        "AuxFormer beats B1, MulT and B3",
        "CREMA-D: +3.7 to +15.7 points of macro F1",
        {f"over {b}{end}": lead(f"auxformer{end}", b + end) for end in ("", ", standard") for b in BASELINES},
    ),
    Claim(
        "002-b",
        "002 Table 1, 5.1",
        "optimized training also helps complete data",
        "CREMA-D +.004, MSP-IMPROV -.003",
        {"optimized - standard": lead("auxformer", "auxformer, standard")},
    ),
    Claim(
        "002-c",
        "002 Table 2, Fig. 4",
        "with one modality gone it is above B1, MulT and B3",
        "on MSP-IMPROV without voice below B3 and B4",
        {f"{what}: over {b}": lead("auxformer", b, at) for what, at in GONE.items() for b in BASELINES},
    ),
    Claim(
        "002-c",
        "002 Table 2, Fig. 4",
        "and near B4, which has only the other modality",
        "-",
        {
            f"{what}: to B4": Contrast(c.difference, (Score("auxformer", GONE[what]), Score(b4)))
            for what, b4 in (("no face", "voice alone"), ("no voice", "face alone"))
        },
        "equal",
        0.03,
    ),
    Claim(
        "002-d",
        "002 Fig. 5",
        "with 10 % of the frames of one modality it beats the network of the other",
        "-",
        {
            f"10 % of the {some}": Contrast(c.difference, (Score("auxformer", f"{some} lost 0.9"), Score(f"{b4} alone")))
            for some, b4 in (("face", "voice"), ("voice", "face"))
        },
    ),
    Claim(
        "002-d",
        "002 Fig. 5",
        "with half of the frames it is within 1 point of complete: loss - 1 point",
        "within 1 point at 40 to 50 % missing",
        {
            f"half of the {s}": Contrast(c.loss_beyond(POINT), (Score("auxformer"), Score("auxformer", f"{s} lost 0.5")))
            for s in ("face", "voice")
        },
        "less",
        0.0,
    ),
    Claim(
        "002-e",
        "002 Table 3",
        "positions help slightly, more on longer clips",
        "CREMA-D .766 without, .772 with",
        {
            "with - without": lead("auxformer", "auxformer, positions off"),
            "long - short clips": longer("auxformer", "auxformer, positions off"),
        },
        margin=0.005,
    ),
    Claim(
        "002-f",
        "002 Fig. 6",
        "self-attention > LSTM or GRU > nothing",
        "a figure",
        {f"attention - {w.upper()}": lead("auxformer", f"auxformer, within {w}") for w in ("lstm", "gru")}
        | {f"{w.upper()} - nothing": lead(f"auxformer, within {w}", "auxformer, within off") for w in ("lstm", "gru")},
    ),
    Claim(
        "002-g",
        "002 Fig. 7",
        "last step >= mean > prepended token, more so on longer clips",
        "a figure",
        {
            "mean - prepended": lead("auxformer, token mean", "auxformer, token prepended"),
            "last - prepended": lead("auxformer", "auxformer, token prepended"),
            "last - prepended, long - short clips": longer("auxformer", "auxformer, token prepended"),
        },
    ),
    Claim(
        "002-g",
        "002 Fig. 7",
        "last step >= mean: last - mean + 1 point",
        "a figure",
        {"last - mean": Contrast(lambda a, b: a - b + POINT, (Score("auxformer"), Score("auxformer, token mean")))},
        margin=0.0,
        note="not worse than by a point",
    ),
    Claim(
        "002-h",
        "002 Table 4",
        "loss weights do not matter unless one is zero",
        ".768 to .773",
        {name.removeprefix("auxformer, "): lead(name, "auxformer") for name in EVEN},
        "equal",
        0.02,
    ),
    Claim(
        "002-h",
        "002 Table 4",
        "a weight of zero costs: equal weights - the others",
        ".772 against .736 to .743",
        {name.removeprefix("auxformer, "): lead("auxformer", name) for name in ZERO},
    ),
    Claim(
        "002-i",
        "002 3.3",
        "the learned scale adds robustness to missing modalities",
        "-",
        {
            f"{what}: learned - {mix}": lead("auxformer", f"auxformer, mix {mix}", at)
            for what, at in GONE.items()
            for mix in ("fixed", "off")
        },
    ),
    Claim(
        "002-j",
        "002 Fig. 8, Table 5",
        "a larger MulT is no better: larger - MulT - 1 point",
        "7.07 M parameters against .36 M",
        {"larger - MulT": Contrast(lambda a, b: a - b - POINT, (Score("MulT, larger"), Score("MulT")))},
        "less",
        0.0,
    ),
    Claim(
        "002-j",
        "002 Table 5",
        "an epoch of AuxFormer takes 2.8 times that of MulT",
        "2.8",
        {},
        note="times are no reproducible bytes; multiply-accumulates of a published clip, one forward: {ratio:.1f} times",
    ),
    Claim(
        "002-k",
        "002 5.1",
        "smaller spread over seeds: absolute deviation from the median, theirs - ours",
        "-",
        {f"than {b}": Contrast(c.steadier, (Score("auxformer"), Score(b))) for b in BASELINES},
        margin=0.005,
        note="deviations from one median depend on each other: p is approximate",
    ),
)
