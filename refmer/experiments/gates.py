"""Trust over time (paper 000, Fig. 3): the gates on a sliding window while the face is covered and then the sound is noisy."""

import numpy as np
from sklearn.metrics import roc_auc_score

from refmer.data.corrupt import corrupt
from refmer.data.synthetic.synthesize import synthesize
from refmer.data.windows import windows
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.run import with_target
from refmer.experiments.style import COLOURS
from refmer.text import table

SYSTEM = "openface_adaptive"
SECONDS, WINDOW, HOP = 6.0, 0.5, 0.1
COVERED, NOISY = (2.0, 3.0), (4.0, 5.0)
SPANS = {"visual": COVERED, "audio": NOISY}  # the disturbance of each gate's modality
NAMES = {"visual": ("face", "covered"), "audio": ("voice", "noisy")}
SEED = 1  # of new clips of other speakers: the bundled corpus is seed 0


def rows(quick):
    """One row, trained on clean clips."""
    return {SYSTEM: with_target(SYSTEM, {})}


def trainings(setup):
    """The one system, measured once."""
    return [(SYSTEM, setup.rows[SYSTEM], [{"kind": "trust"}])]


def measure(model, cell, train, test):
    """The curve of both gates, and how each detects the disturbance of its modality."""
    ends, alpha = alphas(model, train)
    return {"curve": curve(ends, alpha), "detection": {m: detection(alpha[m], ends, span) for m, span in SPANS.items()}}


def alphas(model, train):
    """Both gates on every window of new clips.

    From 2 to 3 s a hand covers the whole face (refmer/data/corrupt_face.py: the tracker guesses); from 4 to 5 s white
    noise as loud as the voice (0 dB), before the front end.

    Returns the second at which each window ends, (W,), and {"visual", "audio": (N, W)}.
    """
    clips = synthesize(speakers=4, takes=1, seed=SEED, duration=(SECONDS, SECONDS))
    clips = corrupt(clips, "voice", "white", 0.0, span=NOISY, seed=SEED)
    clips = corrupt(clips, "face", "hand", 1.0, scale_from=train, span=COVERED, seed=SEED)
    parts, ends = windows(clips, WINDOW, HOP)
    trace = model.explain(parts)
    return ends, {m: trace[f"{m}.gate"].reshape(len(clips), len(ends)).astype(float) for m in SPANS}


def curve(ends, alpha):
    """{n, time (W,) in s, visual and audio: {mean (W,), sd (W,)} over clips} of `alphas`, as lists."""
    result = {"n": len(alpha["visual"]), "time": ends.round(6).tolist()}
    return result | {m: {"mean": a.mean(0).tolist(), "sd": a.std(0, ddof=1).tolist()} for m, a in alpha.items()}


def average(curves):
    """Mean over models of the mean gate; its standard deviation over clips, averaged over models."""
    result = {"n": curves[0]["n"], "models": len(curves), "time": curves[0]["time"]}
    return result | {m: {k: np.mean([c[m][k] for c in curves], 0).tolist() for k in ("mean", "sd")} for m in SPANS}


def detection(alpha, ends, span, window=WINDOW):
    """Detection of a disturbance by the gate alpha (N, W) of its modality, on windows that end at ends (W,).

    A window of (end - window, end] is corrupted if all of it lies in the span (start, end) and clean if none of it does; other
    windows belong to neither.

    Returns a dict: before, during, after: mean gate on clean windows before the span, on corrupted ones, on clean ones after;
    fall: seconds from the start of the span until the mean over clips is below half of `before`, None if that does not happen
    while a window touches the span; auroc: area under the ROC curve of 1 - alpha as a detector of corrupted windows among
    corrupted and clean ones, of all clips together (1/2: no better than chance).
    """
    slack, (start, stop) = 1e-9, span
    parts = {
        "before": ends <= start + slack,
        "during": (ends - window >= start - slack) & (ends <= stop + slack),
        "after": ends - window >= stop - slack,
    }
    if not all(part.any() for part in parts.values()):
        raise ValueError(f"windows end at {ends.tolist()} s, the span is {span}; accepted: some before, inside and after it")
    means = {name: float(alpha[:, part].mean()) for name, part in parts.items()}
    touched = (ends > start + slack) & ~parts["after"]
    below = ends[touched & (alpha.mean(0) < means["before"] / 2)]
    corrupted, clean = alpha[:, parts["during"]].ravel(), alpha[:, parts["before"] | parts["after"]].ravel()
    truth = np.repeat([1, 0], [corrupted.size, clean.size])
    auroc = float(roc_auc_score(truth, 1 - np.concatenate([corrupted, clean])))
    return means | {"fall": round(float(below[0] - start), 6) if below.size else None, "auroc": auroc}


def summary(setup, results):
    """Means over models; times to fall below half are kept one by one, since some may be None."""
    detected = {}
    for modality in SPANS:
        each = [r["detection"][modality] for _, r in results]
        detected[modality] = {k: spread([d[k] for d in each]) for k in ("before", "during", "after", "auroc")}
        detected[modality]["fall"] = [d["fall"] for d in each]
    return report.provenance(setup) | {"gates": average([r["curve"] for _, r in results]), "detection": detected}


def markdown(result):
    """results.md: one table."""
    body = []
    for modality, detected in result["detection"].items():
        (sense, how), (start, end) = NAMES[modality], SPANS[modality]
        values = [report.plain(detected[k]) for k in ("before", "during", "after")]
        times = [fallen(detected["fall"]), report.plain(detected["auroc"])]
        body.append([f"{sense} {how} ({start:g} to {end:g} s)", *values, *times])
    head = ["gate of the modality that is disturbed", "before", "during", "after", "time to fall below half", "AUROC"]
    n = result["gates"]["n"]
    return f"""{report.preface("Trust over time", result)}
Paper 000, Fig. 3, prints a fall from 0.92 to 0.05 within 0.5 s. Here: {n} new synthetic clips of {SECONDS:g} s, and windows of
{WINDOW} s; nothing was trained on disturbed clips. "during": windows that lie entirely in the disturbance; "before",
"after": windows that do not touch it. AUROC: of 1 - alpha, windows "during" against the others (0.5: chance; below: the gate
is higher on disturbed windows). Time: from the start of the disturbance until the mean gate is below half of "before".

{table(head, body)}
"""


def fallen(times):
    """Times to fall below half in words: their mean, and the number of models that have one."""
    reached = [t for t in times if t is not None]
    if not reached:
        return f"never (0 of {len(times)} models)"
    return f"{sum(reached) / len(reached):.2f} s ({len(reached)} of {len(times)} models)"


def draw(result):
    """Both gates over time, as paper 000, Fig. 3."""
    gates = result["gates"]
    figure, ((ax,),) = style.panels((8, 4))
    for (modality, (label, _)), colour in zip(NAMES.items(), COLOURS, strict=False):
        mean, sd = (np.array(gates[modality][k]) for k in ("mean", "sd"))
        ax.plot(gates["time"], mean, color=colour, linewidth=2, label=f"trust in the {label}")
        ax.fill_between(gates["time"], mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    for (start, end), what, colour in ((COVERED, "face covered", COLOURS[0]), (NOISY, "sound noisy", COLOURS[1])):
        ax.axvspan(start, end, color=colour, alpha=0.08)
        ax.text((start + end) / 2, 1.02, what, ha="center", color=colour)
    ax.set_ylim(0, 1.1)
    ax.set_xlim(0, gates["time"][-1])
    ax.set_xlabel(f"end of the window (s); window {WINDOW} s, hop {HOP} s")
    ax.set_ylabel("gate alpha")
    title = f"Trust over time: mean and sd over {gates['n']} synthetic clips, {gates['models']} models"
    ax.set_title(title, loc="left", fontweight="bold")
    ax.legend(frameon=False, loc="lower left", ncols=2)
    return {"gates": figure}
