"""Scores against the strength of a disturbance: missing frames (002, Fig. 5; 004, Fig. 3), Gaussian noise, noise in the sound.

Every level of a curve uses the same draw: a frame that is missing at 40 % is missing at 50 % too; noise only gets louder.
"""

from typing import NamedTuple

import numpy as np

from refmer.data import gaps
from refmer.data.corrupt import corrupt
from refmer.evaluate import robustness
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.report import metrics_of, percent
from refmer.experiments.rows import resolve_all, with_target
from refmer.experiments.style import COLOURS
from refmer.recognizer import HEADLINES
from refmer.text import table

ROWS = ("auxformer", "raver@emotion", "openface_adaptive@emotion", "concatenation@emotion")


class Sweep(NamedTuple):
    """One kind of corruption, in growing strength."""

    title: str
    axis: str
    senses: tuple  # a panel each
    levels: tuple  # amounts of `corrupt`, from the mildest; None is clean
    shown: tuple  # levels in the table, and all levels with `quick`


# fmt: off
SWEEPS = {
    "missing": Sweep(
        "Frames that go missing at random", "missing frames (%), from 95 on in steps of 1", ("face", "voice"),
        gaps.SHARES["004"], (0.0, 0.5, 0.9, 1.0)),
    "gaussian": Sweep(
        "Gaussian noise on the features, one draw per clip",
        "standard deviation of the noise, in those of each feature (below: SNR in dB)", ("face", "voice"),
        (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (0.0, 1.0, 4.0)),
    "white": Sweep(
        "White noise in the sound", "signal-to-noise ratio (dB) of the sound, before the front end", ("voice",),
        (None, 20.0, 15.0, 10.0, 5.0, 0.0, -5.0, -10.0), (None, 10.0, -10.0)),
}
# fmt: on
LEFT = {"face": "audio", "voice": "visual"}  # the missing sense -> the modality of the unimodal network
SUMMARIES = ("auc_robustness", "drop", "effective_vs_baseline", "gain_under_noise")


def rows(quick, rows=ROWS):
    """Rows of one target: the first is "our model" of 002, Fig. 5, the last is the baseline of the robustness summaries."""
    return resolve_all(rows)


def sweeps_of(setup):
    """{kind: levels} of a run; noise in the sound needs its waves."""
    kinds = [kind for kind in SWEEPS if kind != "white" or setup.clips.raw is not None]
    return {kind: SWEEPS[kind].shown if setup.quick else SWEEPS[kind].levels for kind in kinds}


def trainings(setup):
    """Yield each row with a sweep per kind and sense; of classes also the clean unimodal networks, a line of 002, Fig. 5."""
    sweeps = [
        {"kind": kind, "sense": sense, "levels": list(levels)}
        for kind, levels in sweeps_of(setup).items()
        for sense in SWEEPS[kind].senses
    ]
    for row, resolved in setup.rows.items():
        yield row, resolved, sweeps
    for modality in LEFT.values() if setup.label.kind == "classes" else ():
        clean = {"kind": "clean", "sense": None, "levels": [None]}
        yield f"unimodal@{modality}", with_target("unimodal", {"modality": modality, "target": setup.target}), [clean]


def measure(model, cell, train, test):
    """The headline score at every level."""

    def score(level):
        broken = test
        if level is not None:
            broken = corrupt(test, cell["sense"], cell["kind"], level, scale_from=train, seed=cell["seed"])
        return model.score(broken)

    return {"scores": [score(level) for level in cell["levels"]], "n": len(test)}


def summary(setup, results):
    """Scores of each row at each level of each sweep and sense, with the four summaries of evaluate/robustness.py."""
    sweeps = sweeps_of(setup)
    by = {kind: report.gather([r for r in results if r[0]["kind"] == kind], "sense") for kind in (*sweeps, "clean")}
    ours, baseline = list(setup.rows)[0], list(setup.rows)[-1]
    alone = {sense: by["clean"].get(f"unimodal@{modality}") for sense, modality in LEFT.items()}
    result = report.provenance_of_rows(setup, results) | {
        "headline": HEADLINES[setup.label.kind],
        "ours": ours,
        "baseline": baseline,
        "alone": {sense: spread([r["scores"][0] for r in of[None]]) for sense, of in alone.items() if of},
        "sweeps": {kind: {"levels": list(levels), "senses": {}} for kind, levels in sweeps.items()},
    }
    for kind, levels in sweeps.items():
        for sense in SWEEPS[kind].senses:
            scores = {row: np.array([r["scores"] for r in by[kind][row][sense]]) for row in setup.rows}  # (seeds, levels)
            result["sweeps"][kind]["senses"][sense] = {
                row: {"scores": [spread(s.tolist()) for s in y.T]}
                | summaries(y, levels, None if row == baseline else scores[baseline])
                for row, y in scores.items()
            }
    return result


def summaries(scores, levels, baseline):
    """The four summaries of curves (seeds, levels), each a spread over seeds; None for the baseline against itself.

    The mean over the sweep leaves out a clean level without a place on the axis (an SNR of inf).
    """
    placed = [k for k, level in enumerate(levels) if level is not None]
    x = np.array([levels[k] for k in placed])
    values = {"auc_robustness": robustness.auc_robustness(scores[:, placed], np.abs(x - x[0])), "drop": robustness.drop(scores)}
    for name in SUMMARIES[2:]:
        values[name] = None if baseline is None else getattr(robustness, name)(scores, baseline)
    return {name: None if y is None else spread(y.tolist()) for name, y in values.items()}


def name_of(kind, level):
    """A level in tables and on axes."""
    if level is None:
        return "clean"
    return f"{100 * level:.0f}" if kind == "missing" else f"{level:g}"


def markdown(result):
    """results.md: a table per sweep and sense."""
    name = metrics_of(result["task"], result["classes"])[result["headline"]]
    text = report.preface_of_rows("Scores against the strength of a disturbance", result)
    text += f"""
All numbers are {name} (%) or points of it. Summaries, per seed: *AUC robustness*, the mean over the sweep (trapezoids);
*drop*, first level minus last; *effective*, the sum over levels of what is kept beyond {result["baseline"]} raised to the same
clean score; *gain*, the lead over {result["baseline"]} at the last level.
"""
    for kind, sweep in result["sweeps"].items():
        for sense, rows in sweep["senses"].items():
            text += section(kind, sense, sweep["levels"], rows)
            if kind == "missing" and sense in result["alone"]:
                left, alone = "voice" if sense == "face" else "face", percent(result["alone"][sense])
                text += f"\nThe network of the {left} alone (unimodal), trained without the {sense}: {alone}.\n"
    return text


def section(kind, sense, levels, rows):
    """One table."""
    columns = [k for k, level in enumerate(levels) if level in SWEEPS[kind].shown]
    body = [
        [row, *(percent(y["scores"][k]) for k in columns)]
        + ["" if y[s] is None else percent(y[s], signed=s in SUMMARIES[2:]) for s in SUMMARIES]
        for row, y in rows.items()
    ]
    unit = {"missing": " %", "gaussian": " sd", "white": " dB"}[kind]
    head = ["system", *(name_of(kind, levels[k]) + unit * (levels[k] is not None) for k in columns)]
    head += ["AUC robustness", "drop", "effective", "gain"]
    return f"\n## {SWEEPS[kind].title}: {sense}\n\n{table(head, body)}\n"


def draw(result):
    """A chart per sweep."""
    return {kind: chart(kind, result) for kind in result["sweeps"]}


def chart(kind, result):
    """A panel per sense: mean and sd over seeds at each level; levels are evenly spaced."""
    sweep, levels = SWEEPS[kind], result["sweeps"][kind]["levels"]
    figure, (axes,) = style.panels((3.2 + 3.8 * len(sweep.senses), 4.6), 1, len(sweep.senses), sharey=True)
    for ax, sense in zip(axes, sweep.senses, strict=True):
        panel(ax, kind, sense, result)
        ax.set_xticks(range(len(levels)), [tick(kind, level) for level in levels], fontsize=8)
        ax.set_title(f"{sense} disturbed", loc="left")
    axes[0].set_ylabel(f"{metrics_of(result['task'], result['classes'])[result['headline']]}, {result['target']} (%)")
    figure.supxlabel(f"{sweep.axis}\nmean, band: sd; {report.measured(result)}", fontsize=10)
    figure.suptitle(f"{sweep.title} ({report.origin(result)})", fontweight="bold")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return figure


def tick(kind, level):
    """A level under the axis, with its SNR where that follows from it."""
    text = name_of(kind, level)
    if kind != "gaussian":
        return text
    return f"{text}\n{20 * np.log10(1 / level):+.0f}" if level else f"{text}\nclean"


def panel(ax, kind, sense, result):
    """The curves of one sense, and for missing frames the two reference lines of 002, Fig. 5."""
    for i, (row, y) in enumerate(result["sweeps"][kind]["senses"][sense].items()):
        mean = np.array([100 * s["mean"] for s in y["scores"]])
        sd = np.array([100 * (s["sd"] or 0) for s in y["scores"]])
        x = np.arange(len(mean))
        ax.plot(x, mean, label=row, markersize=4.5, linewidth=1.8, **style.look(i))
        ax.fill_between(x, mean - sd, mean + sd, color=COLOURS[i % len(COLOURS)], alpha=0.12, linewidth=0)
    if kind == "missing":
        complete = result["sweeps"][kind]["senses"][sense][result["ours"]]["scores"][0]["mean"]
        ax.axhline(100 * complete, color=COLOURS[0], linewidth=1, label=f"{result['ours']}, complete data")
        if sense in result["alone"]:
            alone = 100 * result["alone"][sense]["mean"]
            ax.axhline(alone, color="0.3", linestyle="--", label="unimodal network of what is left")
    ax.set_ylim(0, 100)
    ax.grid(axis="y", color="0.92")
