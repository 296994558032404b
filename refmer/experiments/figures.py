"""Figures of the main job. Colours are those of Okabe and Ito, which colour-blind readers can tell apart."""

import numpy as np
from matplotlib.figure import Figure

from refmer.data.files import replacing
from refmer.experiments.gates import COVERED, HOP, NOISY, WINDOW
from refmer.experiments.report import metrics_of

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"


def draw(result):
    """{name: Figure}: compare, a confusion matrix of the best row of each task with classes, and gates where there are any."""
    drawn = {"compare": chart(result)}
    for target, task in result["tasks"].items():
        if "confusion" in task:
            row = next(iter(task["rows"]))
            drawn[f"confusion-{target}"] = confusion(np.array(task["confusion"][row]), task["classes"], row)
    return drawn | ({"gates": trust(result["gates"])} if "gates" in result else {})


def save(figure, path):
    """PNG without a date or version inside: the same figure, the same bytes."""
    with replacing(path) as f:
        figure.savefig(f, format="png", dpi=150, metadata={"Software": None})


def chart(result):
    """The tables as a chart: a panel per task, in it a group of dots per corruption, a dot per system (mean and sd)."""
    sizes = [1.0 + 0.16 * len(result["columns"]) * (len(task["rows"]) + 1.2) for task in result["tasks"].values()]
    figure = Figure(figsize=(9.5, sum(sizes) + 0.6), layout="constrained")
    axes = figure.subplots(len(sizes), squeeze=False, height_ratios=sizes)[:, 0]
    for ax, (target, task) in zip(axes, result["tasks"].items(), strict=True):
        panel(ax, target, task, result["columns"])
    figure.suptitle("What is left when inputs break (synthetic corpus)", fontweight="bold")
    return figure


def panel(ax, target, task, columns):
    """One task of the chart."""
    (headline, name), scale = next(iter(metrics_of(target).items())), 1 if task["task"] == "regression" else 100
    step = 1 / (len(task["rows"]) + 1.2)
    for i, (row, by) in enumerate(task["rows"].items()):
        points = [(k, by[c][headline]) for k, c in enumerate(columns) if by[c] is not None]
        y = [k + step * (i - (len(task["rows"]) - 1) / 2) for k, _ in points]
        x, sd = [scale * s["mean"] for _, s in points], [scale * (s["sd"] or 0) for _, s in points]
        look = {"fmt": MARKS[i // len(COLOURS) + i % len(MARKS)], "color": COLOURS[i % len(COLOURS)]}
        ax.errorbar(x, y, xerr=sd, markersize=5, capsize=2, elinewidth=1.2, label=row, **look)
    ax.axvline(scale * task["constant"]["mean"], color="grey", linestyle="--", linewidth=1.2, label="constant answer")
    if task["task"] == "classes":
        ax.axvline(100 / len(task["classes"]), color="grey", linestyle=":", linewidth=1.2, label="chance")
    for edge in np.arange(len(columns) - 1) + 0.5:
        ax.axhline(edge, color="0.9", linewidth=0.8)
    ax.set_yticks(range(len(columns)), columns)
    ax.set_ylim(len(columns) - 0.5, -0.5)
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))
    n, unit = task["test_clips"], "" if scale == 1 else " (%)"
    clips = f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}"
    ax.set_xlabel(f"{name}{unit}; {len(n)} seeds, {clips} test clips each")
    ax.set_title(target, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)


def confusion(counts, classes, row):
    """Share of each true class that gets each answer (paper 000, Fig. 2)."""
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.ndindex(shares.shape):
        if counts[i].sum():
            ax.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", color="white" if shares[i, j] > 55 else "black")
    ax.set_xticks(range(len(classes)), classes)
    ax.set_yticks(range(len(classes)), [f"{name}  (n={n})" for name, n in zip(classes, counts.sum(1), strict=True)])
    ax.set_xlabel("answer")
    ax.set_ylabel("truth")
    ax.set_title(f"{row}: answers per true class (%)\nsynthetic corpus, clean test clips of all seeds", loc="left")
    figure.colorbar(image, label="% of the true class", shrink=0.85)
    return figure


def trust(gates):
    """Both gates over time, as paper 000, Fig. 3."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    ax = figure.subplots()
    for modality, label, colour in (("visual", "face", COLOURS[0]), ("audio", "voice", COLOURS[1])):
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
    ax.set_title(
        f"Trust over time: mean and sd over {gates['n']} synthetic clips, {gates['models']} models",
        loc="left",
        fontweight="bold",
    )
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower left", ncols=2)
    return figure
