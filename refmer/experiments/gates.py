"""Trust over time (paper 000, Fig. 3): the gates on a sliding window while the face is covered and then the sound is noisy.

The system is trained twice: on clean clips, as in the paper, and with the term `reliability` on corrupted copies of them.
On data of the user, features are noisy instead, first those of the first gated modality, then those of the second.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from refmer.data.clips import Clips
from refmer.data.corrupt import corrupt
from refmer.data.gaps import extent
from refmer.data.synthetic.synthesize import synthesize
from refmer.data.windows import windows
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.rows import resolve_all, streams_read
from refmer.experiments.style import COLOURS
from refmer.text import table

ROWS = {"openface_adaptive@no-reliability": "trained as in the paper", "openface_adaptive": "trained with reliability labels"}
SECONDS, WINDOW, HOP = 6.0, 0.5, 0.1
COVERED, NOISY = (2.0, 3.0), (4.0, 5.0)
SPANS = {"visual": COVERED, "audio": NOISY}  # the disturbance of each gate's modality
NAMES = {"visual": ("face", "covered"), "audio": ("voice", "noisy")}
SEED = 1  # of new clips of other speakers: the bundled corpus is seed 0


class Scene(NamedTuple):
    """Disturbed clips: of each gated modality the sense, what happens to it, and when (s)."""

    clips: Clips
    disturbed: dict  # {modality: {"sense", "how", "span"}}
    kind: str  # of clips


def rows(quick):
    """The system with its two trainings."""
    return resolve_all(ROWS)


def trainings(setup):
    """Each row, measured once: on new synthetic clips or, of data without their signals, on test clips of one length."""
    own = {} if setup.clips.raw is not None else {"seconds": seconds_of(setup)}
    return [(row, resolved, [{"kind": "trust"} | own]) for row, resolved in setup.rows.items()]


def seconds_of(setup):
    """The length that half of the clips have, at most SECONDS."""
    read = streams_read(*next(iter(setup.rows.values())), setup.clips, setup.streams)
    if setup.label.over_time:
        raise ValueError(f"{setup.target} is a label over time; accepted for gates over time: a label of clips")
    if not set(SPANS) & set(read):
        raise ValueError(
            f"streams are given for {', '.join(read)}; accepted for gates over time: also for {' or '.join(SPANS)}"
        )
    seconds = float(np.median(lengths([setup.clips.streams[name] for names in read.values() for name in names])))
    if seconds < SECONDS * WINDOW:
        raise ValueError(
            f"half of the clips have at most {seconds:.2g} s; accepted for gates over time: {SECONDS * WINDOW:g} s"
        )
    return min(seconds, SECONDS)


def lengths(streams):
    """Seconds of each clip (N,) in the longest of its streams."""
    return np.max([extent(np.asarray(s.mask)).sum(1) / s.rate for s in streams], axis=0)


def measure(model, cell, train, test):
    """The curve of both gates, and how each detects the disturbance of its modality."""
    scene = own_scene(model, train, test, cell) if "seconds" in cell else synthetic_scene(train)
    ends, alpha = alphas(model, scene)
    detected = {m: detection(alpha[m], ends, about["span"]) for m, about in scene.disturbed.items()}
    return {"curve": curve(ends, alpha) | {"disturbed": scene.disturbed, "clips": scene.kind}, "detection": detected}


def synthetic_scene(train):
    """New synthetic clips.

    From 2 to 3 s a hand covers the whole face (refmer/data/corrupt_face.py: the tracker guesses); from 4 to 5 s white
    noise as loud as the voice (0 dB), before the front end.
    """
    clips = synthesize(speakers=4, takes=1, seed=SEED, duration=(SECONDS, SECONDS), streams=tuple(train.streams))
    clips = corrupt(clips, "voice", "white", 0.0, span=NOISY, seed=SEED)
    clips = corrupt(clips, "face", "hand", 1.0, scale_from=train, span=COVERED, seed=SEED)
    disturbed = {m: {"sense": sense, "how": how, "span": list(SPANS[m])} for m, (sense, how) in NAMES.items()}
    return Scene(clips, disturbed, "new synthetic clips")


def own_scene(model, train, test, cell):
    """The test clips of that length, in SPANS at its scale with noise of 2 sd of the features."""
    long, seconds = test[lengths(model.streams_of(test).values()) >= cell["seconds"]], cell["seconds"]
    streams = {k: s.read(slice(None)) for k, s in model.streams_of(long).items()}
    clips, disturbed = Clips(streams, long.name, long.speaker, source=long.source), {}
    for modality in (m for m in SPANS if m in model.streams_):
        sense = "+".join(dict.fromkeys(streams[k].sense for k in model.streams_[modality]))
        span = [t * seconds / SECONDS for t in SPANS[modality]]
        clips = corrupt(clips, sense, "gaussian", 2.0, scale_from=train, span=span, seed=cell["seed"])
        disturbed[modality] = {"sense": sense, "how": "noisy", "span": span}
    return Scene(cut(clips, seconds), disturbed, "test clips")


def cut(clips, seconds):
    """The first seconds of clips."""
    n = {k: max(round(seconds * s.rate), 1) for k, s in clips.streams.items()}
    return clips.with_streams(**{k: replace(s, x=s.x[:, : n[k]], mask=s.mask[:, : n[k]]) for k, s in clips.streams.items()})


def alphas(model, scene):
    """Gates on every window of a scene: the second at which each window ends, (W,), and {modality: (N, W)}."""
    parts, ends = windows(scene.clips, WINDOW, HOP)
    trace = model.explain(parts)
    shape = (len(scene.clips), len(ends))
    return ends, {m: trace[f"{m}.gate"].reshape(shape).astype(float) for m in scene.disturbed}


def curve(ends, alpha):
    """{n, time (W,) in s, of each modality {mean (W,), sd (W,)} over clips} of `alphas`, as lists."""
    result = {"n": len(next(iter(alpha.values()))), "time": ends.round(6).tolist()}
    return result | {
        m: {"mean": a.mean(0).tolist(), "sd": a.std(0, ddof=min(1, len(a) - 1)).tolist()} for m, a in alpha.items()
    }


def average(curves):
    """Mean over models of the mean gate; its standard deviation over clips, averaged over models."""
    first = curves[0]
    result = {"n": first["n"], "models": len(curves)} | {k: first[k] for k in ("time", "disturbed", "clips")}
    return result | {m: {k: np.mean([c[m][k] for c in curves], 0).tolist() for k in ("mean", "sd")} for m in first["disturbed"]}


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


def averages(curves):
    """{row: `average`} of [(cell, curve)], in the order of ROWS."""
    return {row: average(each) for row in ROWS if (each := [c for cell, c in curves if cell["row"] == row])}


def summary(setup, results):
    """By row, means over models; times to fall below half are kept one by one, since some may be None."""
    detected = {}
    for row in setup.rows:
        of_row = [r["detection"] for cell, r in results if cell["row"] == row]
        detected[row] = {}
        for modality in of_row[0]:
            each = [d[modality] for d in of_row]
            detected[row][modality] = {k: spread([d[k] for d in each]) for k in ("before", "during", "after", "auroc")}
            detected[row][modality]["fall"] = [d["fall"] for d in each]
    curves = averages([(cell, r["curve"]) for cell, r in results])
    return report.provenance(setup) | {"gates": curves, "detection": detected}


def markdown(result):
    """results.md: one table."""
    body = []
    for row, detections in result["detection"].items():
        for modality, detected in detections.items():
            sense, how, (start, end) = (result["gates"][row]["disturbed"][modality][k] for k in ("sense", "how", "span"))
            values = [report.plain(detected[k]) for k in ("before", "during", "after")]
            times = [fallen(detected["fall"]), report.plain(detected["auroc"])]
            body.append([ROWS[row], f"{sense} {how} ({start:.3g} to {end:.3g} s)", *values, *times])
    head = ["training", "gate of the modality that is disturbed", "before", "during", "after", "falls below half (s), by seed"]
    curve = next(iter(result["gates"].values()))
    n, kind, seconds = curve["n"], curve["clips"], curve["time"][-1]
    return f"""{report.preface("Trust over time", result)}
Paper 000, Fig. 3, prints a fall from 0.92 to 0.05 within 0.5 s. Here: {n} {kind} of {seconds:.3g} s, and windows of
{WINDOW} s. "trained as in the paper": on clean clips, with the loss of the answer alone; "trained with reliability labels":
on corrupted copies of clips too, with a term that compares the gates with the states of their sensors. "during": windows
that lie entirely in the disturbance; "before", "after": windows that do not touch it. AUROC: of 1 - alpha, windows "during"
against the others (0.5: chance; below: the gate is higher on disturbed windows). Time: from the start of the disturbance
until the mean gate is below half of "before".

{table([*head, "AUROC"], body)}
"""


def fallen(times):
    """Times to fall below half, in words."""
    return ", ".join("never" if t is None else f"{t:.1f}" for t in times)


def draw(result):
    """Both gates over time, as paper 000, Fig. 3: a panel for each training, side by side."""
    curves = {row: result["gates"][row] for row in ROWS if row in result["gates"]}
    figure, axes = style.panels((5.5 * len(curves), 4.2), 1, len(curves), sharey=True)
    for ax, (row, gates) in zip(axes[0], curves.items(), strict=True):
        panel(ax, gates)
        ax.set_title(ROWS[row], loc="left", fontweight="bold", pad=18)
    axes[0, 0].set_ylabel("gate alpha")
    axes[0, -1].legend(frameon=False, loc="lower left")
    about = f"mean and sd over n = {gates['n']} {gates['clips']}, averaged over {gates['models']} models"
    figure.supxlabel(f"end of the window of {WINDOW} s (s); {about} ({report.origin(result)})", fontsize=9)
    figure.suptitle("000: gates while a sensor fails", x=0.01, ha="left", fontweight="bold")
    return {"gates": figure}


def panel(ax, gates):
    """Both gates of one training."""
    for (modality, about), colour, line in zip(gates["disturbed"].items(), COLOURS, ("-", "--"), strict=False):
        mean, sd = (np.array(gates[modality][k]) for k in ("mean", "sd"))
        ax.plot(gates["time"], mean, color=colour, linewidth=2, label=f"gate of the {about['sense']}", linestyle=line)
        ax.fill_between(gates["time"], mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
        ax.axvspan(*about["span"], color=colour, alpha=0.08)
        ax.text(np.mean(about["span"]), 1.02, f"{about['sense']} {about['how']}", ha="center", color=colour)
    ax.set_ylim(0, 1.1)
    ax.set_xlim(0, gates["time"][-1])
