"""Scores against the strength of a disturbance: missing frames (002, Fig. 5; 004, Fig. 3), Gaussian noise, noise in the sound.

Every level of a curve uses the same draw: what is missing at 40 % is missing at 50 % too, and noise only gets louder.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from refmer.data import gaps, targets
from refmer.data.corrupt import corrupt
from refmer.evaluate import robustness
from refmer.evaluate.statistics import spread
from refmer.experiments import lines
from refmer.experiments.figures import COLOURS
from refmer.experiments.publish import publish
from refmer.experiments.report import metrics_of, percent, table
from refmer.experiments.run import cell, execute, with_target
from refmer.recognizer import HEADLINES

ROWS = ("auxformer", "raver@emotion", "openface_adaptive@emotion", "concatenation@emotion")


@dataclass(frozen=True)
class Sweep:
    """One kind of corruption, in growing strength.

    Parameters
    ----------
    title, axis : str
        Of the figure.
    senses : tuple of str
        A panel each.
    levels : tuple
        Amounts of `corrupt`, from the mildest; None is clean.
    shown : tuple
        Those in the table, and all there are with `quick`.
    """

    title: str
    axis: str
    senses: tuple
    levels: tuple
    shown: tuple


SWEEPS = {
    "missing": Sweep(
        "Frames that go missing at random",
        "missing frames (%), from 95 on in steps of 1",
        ("face", "voice"),
        gaps.SHARES["004"],
        (0.0, 0.5, 0.9, 1.0),
    ),
    "gaussian": Sweep(
        "Gaussian noise on the features, one draw per clip",
        "standard deviation of the noise, in those of each feature (below: SNR in dB)",
        ("face", "voice"),
        (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
        (0.0, 1.0, 4.0),
    ),
    "white": Sweep(
        "White noise in the sound",
        "signal-to-noise ratio (dB) of the sound, before the front end",
        ("voice",),
        (None, 20.0, 15.0, 10.0, 5.0, 0.0, -5.0, -10.0),
        (None, 10.0, -10.0),
    ),
}
LEFT = {"face": "audio", "voice": "visual"}  # the sense that goes -> the modality of the unimodal network that is left
SUMMARIES = ("auc_robustness", "drop", "effective_vs_baseline", "gain_under_noise")


def curves(out, rows=ROWS, seeds=None, quick=False, jobs=1, protocol="default", corpora=None, scheduler=None):
    """Train every row once per seed and measure its headline score at every level of every sweep.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; cells that are there already are not computed again.
    rows : sequence of str
        Systems and baselines of one target (NAME or NAME@TARGET). The first is "our model" of 002, Fig. 5, whose score on
        complete data is one reference line; the last is the baseline of the robustness summaries.
    seeds : int, optional
        Seeds 0..seeds-1: each draws its own split, initial parameters and disturbances. Default: the protocol's number.
    quick : bool
        Two seeds and few levels.
    jobs : int
        Processes; the results are the same bytes for any number.
    protocol : str
        Name in protocols.PROTOCOLS.
    corpora : dict, optional
        {"clips": Clips} instead of the bundled ones.
    scheduler : str, optional
        Address of a Dask scheduler to run on instead of local processes.

    Returns
    -------
    dict
        What results.json holds: for each sweep and sense the levels, and for each row the scores at each level (mean and sd
        over seeds) and the four summaries of evaluate/robustness.py. Of emotion also the other reference line of 002, Fig. 5:
        `alone`, the network that was trained on the sense that is left, and on nothing else (baselines/unimodal.py).

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown row or protocol, rows of different targets, seeds or jobs below 1, a folder that cannot be written.
    """
    setup = lines.setup(rows, protocol, 2 if quick else seeds, corpora)
    sweeps = {kind: sweep.shown if quick else sweep.levels for kind, sweep in SWEEPS.items()}
    alone = {f"unimodal@{m}": with_target("unimodal", {"modality": m}) for m in LEFT.values() if setup.target == "emotion"}
    models = [
        cells_of(row, resolved, setup, seed, {} if row in alone else sweeps)
        for row, resolved in (setup.rows | alone).items()
        for seed in range(setup.plan.seeds)
    ]
    found = execute(models, measure, setup.corpora, out, jobs, scheduler)
    result = summary(setup, found, sweeps)
    publish(out, result, markdown(result), {kind: chart(kind, result) for kind in SWEEPS})
    return result


def cells_of(row, resolved, setup, seed, sweeps):
    """The cells of one trained model: a sweep of one sense each; without sweeps, the clean score."""
    asked = [{"kind": kind, "sense": s, "levels": list(levels)} for kind, levels in sweeps.items() for s in SWEEPS[kind].senses]
    asked = asked or [{"kind": "clean", "sense": None, "levels": [None]}]
    return [cell(row, *resolved, setup.plan, seed, setup.data, **a) for a in asked]


def measure(model, cell, train, test):
    """The headline score at every level."""

    def score(level):
        broken = test
        if level is not None:
            broken = corrupt(test, cell["sense"], cell["kind"], level, scale_from=train, seed=cell["seed"])
        return model.score(broken)

    return {"scores": [score(level) for level in cell["levels"]], "n": len(test)}


def summary(setup, found, sweeps):
    """What results.json holds."""
    by = {kind: lines.gather([f for f in found if f[0]["kind"] == kind], "sense") for kind in (*sweeps, "clean")}
    ours, baseline = list(setup.rows)[0], list(setup.rows)[-1]
    result = lines.about(setup, found) | {"headline": HEADLINES[targets.task_of(setup.target)], "ours": ours, "sweeps": {}}
    alone = {sense: by["clean"].get(f"unimodal@{modality}") for sense, modality in LEFT.items()}
    result["baseline"] = baseline
    result["alone"] = {sense: spread([r["scores"][0] for r in of[None]]) for sense, of in alone.items() if of}
    for kind, levels in sweeps.items():
        result["sweeps"][kind] = {"levels": list(levels), "senses": {}}
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
    found = {"auc_robustness": robustness.auc_robustness(scores[:, placed], np.abs(x - x[0])), "drop": robustness.drop(scores)}
    for name in SUMMARIES[2:]:
        found[name] = None if baseline is None else getattr(robustness, name)(scores, baseline)
    return {name: None if y is None else spread(y.tolist()) for name, y in found.items()}


def name_of(kind, level):
    """A level as tables and axes say it."""
    if level is None:
        return "clean"
    return f"{100 * level:.0f}" if kind == "missing" else f"{level:g}"


def markdown(result):
    """results.md: a table per sweep and sense."""
    name = metrics_of(result["target"])[result["headline"]]
    text = lines.heading("Scores against the strength of a disturbance", result)
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
    shown = [k for k, level in enumerate(levels) if level in SWEEPS[kind].shown]
    body = [
        [row, *(percent(y["scores"][k]) for k in shown)]
        + ["" if y[s] is None else percent(y[s], signed=s in SUMMARIES[2:]) for s in SUMMARIES]
        for row, y in rows.items()
    ]
    unit = {"missing": " %", "gaussian": " sd", "white": " dB"}[kind]
    head = ["system", *(name_of(kind, levels[k]) + unit * (levels[k] is not None) for k in shown)]
    head += ["AUC robustness", "drop", "effective", "gain"]
    return f"\n## {SWEEPS[kind].title}: {sense}\n\n{table(head, body)}\n"


def chart(kind, result):
    """A panel per sense: mean and sd over seeds at each level, levels evenly spaced."""
    sweep, levels = SWEEPS[kind], result["sweeps"][kind]["levels"]
    figure = Figure(figsize=(3.2 + 3.8 * len(sweep.senses), 4.6), layout="constrained")
    axes = figure.subplots(1, len(sweep.senses), sharey=True, squeeze=False)[0]
    for ax, sense in zip(axes, sweep.senses, strict=True):
        panel(ax, kind, sense, result)
        ax.set_xticks(range(len(levels)), [tick(kind, level) for level in levels], fontsize=8)
        ax.set_title(f"{sense} disturbed", loc="left")
    axes[0].set_ylabel(f"{metrics_of(result['target'])[result['headline']]}, {result['target']} (%)")
    figure.supxlabel(f"{sweep.axis}\nmean, band: sd; {lines.measured(result)}", fontsize=10)
    figure.suptitle(f"{sweep.title} (synthetic corpus)", fontweight="bold")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
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
        ax.plot(x, mean, label=row, markersize=4.5, linewidth=1.8, **lines.look(i))
        ax.fill_between(x, mean - sd, mean + sd, color=COLOURS[i % len(COLOURS)], alpha=0.12, linewidth=0)
    if kind == "missing":
        complete = result["sweeps"][kind]["senses"][sense][result["ours"]]["scores"][0]["mean"]
        ax.axhline(100 * complete, color=COLOURS[0], linewidth=1, label=f"{result['ours']}, complete data")
        if sense in result["alone"]:
            alone = 100 * result["alone"][sense]["mean"]
            ax.axhline(alone, color="0.3", linestyle="--", label="unimodal network of what is left")
    ax.set_ylim(0, 100)
    ax.grid(axis="y", color="0.92")
    ax.spines[["top", "right"]].set_visible(False)
