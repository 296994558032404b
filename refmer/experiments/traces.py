"""Valence and arousal over time against the annotation while the inputs are disturbed (paper 003, Figs 5 and 9)."""

import numpy as np

from refmer.data.corrupt import corrupt
from refmer.evaluate import metrics
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.rows import with_target
from refmer.experiments.style import COLOURS
from refmer.text import table

SYSTEMS = ("leader_follower", "jca", "tlab_jca")
DIMENSIONS = ("valence", "arousal")
SCENES = {  # disturbances and their spans (s); the sound first, since it recomputes the features of the voice
    "one after the other": [
        {"sense": "voice", "kind": "laughter", "amount": -5.0, "span": [9.0, 12.0]},
        {"sense": "face", "kind": "hand", "amount": 1.0, "span": [4.0, 8.0]},
    ],
    "both at once": [
        {"sense": "voice", "kind": "babble", "amount": -5.0, "span": [5.0, 10.0]},
        {"sense": "face", "kind": "hand", "amount": 1.0, "span": [5.0, 10.0]},
    ],
}


def rows(quick):
    """Three systems of paper 003."""
    return {name: with_target(name, {"target": "affect"}) for name in SYSTEMS}


def trainings(setup):
    """Each system, in clean and in disturbed scenes."""
    names = ("clean", *list(SCENES)[: 1 if setup.quick else None])
    scenes = [{"kind": "traces", "scene": name, "corruptions": SCENES.get(name)} for name in names]
    return [(row, resolved, scenes) for row, resolved in setup.rows.items()]


def measure(model, cell, train, test):
    """Scores over all test recordings, and the answer and truth (T, 2) of the first, which was not chosen by its looks."""
    broken = test
    for arguments in cell["corruptions"] or ():
        broken = corrupt(broken, **arguments, scale_from=train, seed=cell["seed"])
    answer = model.predict(broken)
    truth, mask = model.over_time(model.labels(test), answer.shape[1])
    steps = mask[0]
    return {
        "name": str(test.name[0]),
        "time": ((np.arange(steps.sum()) + 0.5) * model.config_.seconds).round(6).tolist(),
        "truth": truth[0][steps].astype(float).tolist(),
        "answer": answer[0][steps].astype(float).tolist(),
        "shown": metrics.regression(truth[:1], answer[:1], mask[:1]),
        "all": metrics.regression(truth, answer, mask),
    }


def summary(setup, results):
    """The traces of seed 0, and the concordances of every seed."""
    traces, names = {}, ("ccc", *(f"ccc_{d}" for d in DIMENSIONS))
    for c, r in results:
        if c["seed"] == 0:
            traces.setdefault(c["row"], {})[c["scene"]] = {k: r[k] for k in ("answer", "shown")}
    first_row, first = results[0][0]["row"], results[0][1]
    return report.provenance(setup) | {
        "recording": {k: first[k] for k in ("name", "time", "truth")},
        "scenes": {scene: SCENES[scene] for scene in SCENES if scene in traces[first_row]},
        "traces": traces,
        "scores": {
            row: {scene: {m: spread([r["all"][m] for r in each]) for m in names} for scene, each in by.items()}
            for row, by in report.gather(results, "scene").items()
        },
        "test_recordings": first["all"]["n"],
    }


def described(arguments):
    """ "hand on the face, 1, 4 to 8 s" of a corruption."""
    start, end = arguments["span"]
    amount = f"{arguments['amount']:g}" + (" dB" if arguments["sense"] == "voice" else "")
    return f"{arguments['kind']} on the {arguments['sense']}, {amount}, {start:g} to {end:g} s"


def markdown(result):
    """results.md: concordance of all systems in all scenes."""
    scenes = "\n".join(f"- {name}: {'; '.join(map(described, parts))}" for name, parts in result["scenes"].items())
    body = [
        [row, scene, *(report.plain(values[m]) for m in ("ccc", "ccc_valence", "ccc_arousal")), f"{ccc:.2f}"]
        for row, by in result["scores"].items()
        for scene, values in by.items()
        for ccc in [result["traces"][row][scene]["shown"]["ccc"]]
    ]
    head = ["system", "inputs", "mean CCC", "CCC valence", "CCC arousal", f"mean CCC of {result['recording']['name']} (seed 0)"]
    return f"""{report.preface("Valence and arousal over time", result)}
{result["test_recordings"]} test recordings, disturbed for a few seconds each:

{scenes}

{table(head, body)}
"""


def draw(result):
    """A chart per scene."""
    return {f"traces-{scene.replace(' ', '-')}": chart(result, scene) for scene in result["scenes"]}


def chart(result, scene):
    """A panel for each system and dimension: annotation, answers to clean and to disturbed inputs, disturbed spans shaded."""
    recording = result["recording"]
    time, truth = np.array(recording["time"]), np.array(recording["truth"])
    paper = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
    high = 1.05 * max(1.0, *(np.abs(by[s]["answer"]).max() for by in result["traces"].values() for s in ("clean", scene)))
    figure, grid = style.panels((12, 5.6), len(DIMENSIONS), len(SYSTEMS), sharex=True, sharey=True)
    for column, system in enumerate(SYSTEMS):
        for k, dimension in enumerate(DIMENSIONS):
            ax = grid[k, column]
            shade(ax, result["scenes"][scene], labelled=k == 0)
            clean, broken = (result["traces"][system][s] for s in ("clean", scene))
            ax.plot(time, truth[:, k], color="black", linestyle="--", linewidth=1.4, label="annotation")
            ax.plot(time, np.array(clean["answer"])[:, k], color=COLOURS[5], linewidth=1.4, label="answer, clean inputs")
            ax.plot(time, np.array(broken["answer"])[:, k], color=COLOURS[1], linewidth=2, label="answer, disturbed inputs")
            ccc = [part["shown"][f"ccc_{dimension}"] for part in (clean, broken)]
            text = f"CCC {ccc[1]:.2f} (clean {ccc[0]:.2f})"
            ax.text(0.02, 0.03, text, transform=ax.transAxes, fontsize=9, bbox=paper)
            ax.set(ylim=(-high, high), xlim=(0, time[-1] + time[0]))
            if column == 0:
                ax.set_ylabel(f"{dimension} (-1 to 1)")
        grid[0, column].set_title(system, loc="left", fontweight="bold", pad=16)
    figure.supxlabel(f"time (s); test recording {recording['name']} ({report.origin(result)}), n = 1, seed 0")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
    figure.suptitle(f"Disturbed: {scene}", x=0.01, ha="left", fontweight="bold")
    return figure


def shade(ax, corruptions, labelled):
    """The disturbed spans, one name over each; those of the same span share it."""
    spans = {}
    for c in corruptions:
        spans.setdefault(tuple(c["span"]), []).append(c["kind"])
    for start, end in spans:
        ax.axvspan(start, end, color=COLOURS[3], alpha=0.18, linewidth=0)
        if labelled:
            place = {"transform": ax.get_xaxis_transform(), "ha": "center", "fontsize": 9, "color": "#8C4A72"}
            ax.text((start + end) / 2, 1.02, " + ".join(spans[start, end]), **place)
