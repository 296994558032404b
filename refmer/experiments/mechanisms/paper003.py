"""TLAB-JCA: does joint cross-attention use the lag between voice and face?

Eq. (9) correlates channels, and sums over time: there is no map from steps to steps in which a lag of a clip could be read. The
only place for a lag is W_J, a learned map along time, the same for all clips.
"""

import numpy as np

from refmer.data.corrupt import corrupt
from refmer.experiments import style
from refmer.experiments.claims.contrasts import difference
from refmer.experiments.style import COLOURS

SYSTEM = "tlab_jca"
ROWS = {SYSTEM: ("tlab_jca", {})}
SHIFTS = (-2, -1, 0, 1, 2)  # sub-sequences by which a sense comes late
SENSES = {"voice": "voice late", "face": "face late", "voice+face": "both late"}
OFFSETS = tuple(range(-4, 5))
NOTE = """\
In the synthetic recordings the face leads the voice by 0.12 s on average, a fifth of a sub-sequence. Joint cross-attention
(eq. 9) sums over time, so that a clip's own lag cannot be read from it; the only place for a lag is W_J, a learned map along
time that all clips share. If the network uses how voice and face lie in time, it loses more when one of them is a sub-sequence
late or early than when both are (the control: then only the answer is); below 0, each of them contributes by itself, and the
one in place makes up for the other. W_J: its weights of the voice's steps with equal steps of voice and face, over the mean of
all; and those of the step that the lag points to against the opposite one."""


def loss(sense):
    """The operands of a number: mean CCC with both late or early by a step, and with one sense."""
    return tuple((SYSTEM, f"{moved} {k:+d}") for moved in ("voice+face", sense) for k in (-1, 1))


def misaligned(both_early, both_late, early, late):
    """Mean CCC with both senses moved - with one of them."""
    return (both_early + both_late - early - late) / 2


NUMBERS = {f"CCC, both moved by a step - {sense} alone": (misaligned, loss(sense)) for sense in ("voice", "face")}
NUMBERS |= {"weight of equal steps in W_J / mean weight - 1": (lambda x: x - 1, ((SYSTEM, "W_J +0"),))}
NUMBERS |= {
    "weight of W_J, one step towards the face's lead - one step against it": (
        difference,
        ((SYSTEM, "W_J +1"), (SYSTEM, "W_J -1")),
    )
}


def measure(model, train, test, seed):
    """Mean CCC with senses moved in time; the profile of W_J over the offset of steps."""
    numbers = {}
    for sense in SENSES:
        for k in SHIFTS:
            moved = corrupt(test, sense, "shift", k * model.config_.seconds, seed=seed)
            numbers[f"{sense} {k:+d}"] = model.score(moved)
    return numbers | {f"W_J {k:+d}": x for k, x in zip(OFFSETS, profile(model.p_.fuse.audio.correlate.W), strict=True)}


def profile(W):
    """Return the mean |W| at each of OFFSETS (step of the voice - step of both), over the mean of all.   W (T, T)."""
    size = np.abs(W.astype(float))
    return [float(np.diagonal(size, -k).mean() / size.mean()) for k in OFFSETS]


def draw(values, caption):
    """CCC against the shift of one sense and of both; the profile of W_J."""
    figure, ((left, right),) = style.panels((11, 4.2), 1, 2)
    for i, (sense, name) in enumerate(SENSES.items()):
        style.errorbar(left, SHIFTS, [values[SYSTEM, f"{sense} {k:+d}"] for k in SHIFTS], i, name)
    left.set_xticks(SHIFTS)
    left.set_xlabel("sub-sequences by which it comes late (0.64 s each)")
    left.set_ylabel("mean CCC")
    style.errorbar(right, OFFSETS, [values[SYSTEM, f"W_J {k:+d}"] for k in OFFSETS], 3, "W_J of the voice")
    right.axvline(0.12 / 0.64, color=COLOURS[1], linestyle=":", label="known lag (mean over recordings)")
    right.axhline(1, color="grey", linestyle="--", linewidth=1, label="no preference")
    right.set_xlabel("step of the voice - step of voice and face")
    right.set_ylabel("|W_J| over its mean")
    for ax in (left, right):
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=3, fontsize=8)
    figure.suptitle("003: joint cross-attention and the lag between voice and face", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(caption, fontsize=9)
    return figure
