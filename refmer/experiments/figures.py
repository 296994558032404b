"""Figures of the main job. Colours are those of Okabe and Ito, which colour-blind readers can tell apart."""

import numpy as np
from matplotlib.figure import Figure

from refmer.data.files import replacing
from refmer.experiments.gates import COVERED, HOP, NOISY, WINDOW

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"


def draw(result, folder):
    """Write compare.png, confusion.png and, where there are gates, gates.png."""
    folder.mkdir(parents=True, exist_ok=True)
    save(chart(result), folder / "compare.png")
    row = next(iter(result["rows"]))
    save(confusion(np.array(result["confusion"][row]), result["classes"], row), folder / "confusion.png")
    if "gates" in result:
        save(trust(result["gates"]), folder / "gates.png")


def save(figure, path):
    """PNG without a date or version inside: the same figure, the same bytes."""
    with replacing(path) as f:
        figure.savefig(f, format="png", dpi=150, metadata={"Software": None})


def chart(result):
    """The table as a chart: a group of dots per corruption, a dot per system, mean and standard deviation over seeds."""
    rows, columns = list(result["rows"]), result["columns"]
    figure = Figure(figsize=(8, 1.6 + 0.75 * len(columns)), layout="constrained")
    ax = figure.subplots()
    for i, row in enumerate(rows):
        spreads = [result["rows"][row][c]["accuracy"] for c in columns]
        y = np.arange(len(columns)) + 0.22 * (i - (len(rows) - 1) / 2)
        x, sd = [100 * s["mean"] for s in spreads], [100 * (s["sd"] or 0) for s in spreads]
        ax.errorbar(x, y, xerr=sd, fmt=MARKS[i], color=COLOURS[i], markersize=7, capsize=3, elinewidth=1.4, label=row)
    chance, usual = 100 / len(result["classes"]), 100 * result["majority"]["mean"]
    ax.axvline(chance, color="grey", linestyle=":", linewidth=1.2, label=f"chance ({chance:.1f} %)")
    ax.axvline(usual, color="grey", linestyle="--", linewidth=1.2, label=f"most frequent class ({usual:.1f} %)")
    for edge in np.arange(len(columns) - 1) + 0.5:
        ax.axhline(edge, color="0.9", linewidth=0.8)
    ax.set_yticks(range(len(columns)), columns)
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    n = result["test_clips"]
    ax.set_xlabel(
        f"accuracy, {result['target']} in {len(result['classes'])} classes (%); {len(n)} seeds, {min(n)} test clips each"
    )
    ax.set_title("What is left when inputs break (synthetic corpus)", loc="left", fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


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
