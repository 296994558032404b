"""OF-CMAER-CAT: adaptive weights (AWOM, eq. 8-10) when a modality is broken, beside a network with equal weights."""

import numpy as np

from refmer.experiments import style
from refmer.experiments.claims.contrasts import beyond_clean, difference
from refmer.experiments.claims.measures import CONDITIONS, disturb
from refmer.experiments.style import COLOURS

FULL, EVEN = "of_cmaer_cat", "of_cmaer_cat, equal weights"
ROWS = {FULL: ("of_cmaer_cat", {}), EVEN: ("of_cmaer_cat", {"awom": False})}
BROKEN = {"face noise 2": "visual", "hand": "visual", "white 0 dB": "audio"}  # condition: the modality that it breaks
NAMES = {"visual": "face", "audio": "voice", "physiology": "body"}
NOTE = """\
AWOM weighs the modalities of each clip. Its weight of a broken modality should fall, and with it the system should lose less
than one with equal weights, beyond the difference on clean clips. Nothing was trained on broken clips. A missing modality
is masked: its weight is 0 by construction."""
NUMBERS = {
    f"weight of the {NAMES[m]}, clean - {c}": (difference, ((FULL, f"clean {m}"), (FULL, f"{c} {m}")))
    for c, m in BROKEN.items()
} | {
    f"accuracy under {c}, adaptive - equal weights, beyond clean": (
        beyond_clean,
        tuple((row, f"{at} accuracy") for at in (c, "clean") for row in (FULL, EVEN)),
    )
    for c in BROKEN
}


def measure(model, train, test, seed):
    """Accuracy under each condition, and the mean weights."""
    numbers = {}
    for condition in ("clean", *BROKEN):
        broken = disturb(test, CONDITIONS[condition], train, seed)
        numbers[f"{condition} accuracy"] = model.score(broken)
        w = model.explain(broken)["weights"].mean(0)  # (M,)
        numbers |= {f"{condition} {m}": float(x) for m, x in zip(model.config_.modalities, w, strict=True)}
    return numbers


def draw(values, caption):
    """Weights of the modalities under each condition; accuracy with and without them."""
    figure, ((left, right),) = style.panels((11, 4.2), 1, 2)
    conditions = ("clean", *BROKEN)
    place = np.arange(len(conditions))
    for i, (m, name) in enumerate(NAMES.items()):
        style.bars(left, place + 0.26 * (i - 1), [values[FULL, f"{c} {m}"] for c in conditions], 0.24, COLOURS[i], name)
    left.axhline(1 / 3, color="grey", linestyle="--", linewidth=1, label="equal weights")
    left.set_ylabel("mean weight w~")
    for i, row in enumerate((FULL, EVEN)):
        style.bars(
            right, place + 0.36 * (i - 0.5), [values[row, f"{c} accuracy"] for c in conditions], 0.34, COLOURS[4 - 3 * i], row
        )
    right.set_ylabel("accuracy")
    for ax in (left, right):
        ax.set_xticks(place, conditions)
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=4, fontsize=8)
    figure.suptitle("001: adaptive weights when a modality is broken", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(caption, fontsize=9)
    return figure
