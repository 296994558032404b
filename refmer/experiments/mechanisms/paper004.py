"""RAVER: learned queries under bursts of loss, beside pooling; calibration with and without class-balanced weights."""

import numpy as np

from refmer.evaluate.calibration import brier_labels, ece_macro
from refmer.experiments import style
from refmer.experiments.calibration import truth
from refmer.experiments.claims.contrasts import difference
from refmer.experiments.claims.measures import BURSTS, CONDITIONS, disturb
from refmer.experiments.style import COLOURS

FULL, WINDOWS, MEAN, PLAIN = "raver", "raver, means of windows", "raver, one mean", "raver, plain cross-entropy"
ROWS = {
    FULL: ("raver", {}),
    WINDOWS: ("raver", {"summarizer": "strided"}),
    MEAN: ("raver", {"summarizer": "mean"}),
    PLAIN: ("raver", {"balance": "none"}),
}
LOST = {"0 %": "clean"} | {name: f"bursts {name}" for name in BURSTS}
NOTE = """\
Bursts take the same frames of voice and face; a summarizer should lose less than means of windows or one mean, beyond the
difference on clean clips. Weights of the classes (CBCE, eq. 3) are to lower the Brier score and the calibration error of the
shares of the votes (above 0: they do)."""


def kept(*scores):
    """Mean of the lossy scores of the first row - that of the second, beyond the difference of their clean scores."""
    ours, other = scores[: len(LOST)], scores[len(LOST) :]
    return np.mean(ours[1:], 0) - np.mean(other[1:], 0) - (ours[0] - other[0])


def over_losses(row):
    """The operands of `kept`."""
    return tuple((r, f"lost {name}") for r in (FULL, row) for name in LOST)


NUMBERS = {
    f"macro F1 under bursts, learned queries - {row.partition(', ')[2]}": (kept, over_losses(row)) for row in (WINDOWS, MEAN)
}
NUMBERS |= {
    f"{name}, plain cross-entropy - class-balanced": (difference, ((PLAIN, name), (FULL, name))) for name in ("Brier", "ECE")
}


def measure(model, train, test, seed):
    """Macro F1 under each loss; Brier score and calibration error on clean clips."""
    numbers = {f"lost {name}": model.score(disturb(test, CONDITIONS[c], train, seed)) for name, c in LOST.items()}
    p, (y, mask) = model.predict_proba(test).astype(np.float64), truth(model, test)
    return numbers | {"Brier": float(brier_labels(y[mask], p[mask])), "ECE": float(ece_macro(y[mask], p[mask]))}


def draw(values, caption):
    """Macro F1 against the share that is lost in bursts; scores of calibration."""
    figure, ((left, right),) = style.panels((11, 4.2), 1, 2, width_ratios=(3, 2))
    share = [float(name.rstrip(" %")) for name in LOST]
    for i, row in enumerate((FULL, WINDOWS, MEAN)):
        style.errorbar(left, share, [values[row, f"lost {name}"] for name in LOST], i, row)
    left.set_xlabel("frames of voice and face lost in bursts (%)")
    left.set_ylabel("macro F1 of votes")
    left.legend(frameon=False, fontsize=9)
    for i, row in enumerate((FULL, PLAIN)):
        style.bars(
            right, np.arange(2) + 0.36 * (i - 0.5), [values[row, k] for k in ("Brier", "ECE")], 0.34, COLOURS[3 * i], row
        )
    right.set_xticks(range(2), ("Brier score", "calibration error"))
    right.set_ylabel("less is better")
    right.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
    figure.suptitle("004: learned queries under bursts of loss; class weights", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(caption, fontsize=9)
    return figure
