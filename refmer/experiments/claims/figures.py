"""The verdicts on the claims as figures, one per paper: every contrast with its interval, and the region of its claim."""

from refmer.experiments import style
from refmer.experiments.style import COLOURS

LOOKS = {"holds": ("o", COLOURS[2]), "reversed": ("s", COLOURS[1]), "undecided": ("D", "0.45")}
REACH = 0.5  # effects and intervals beyond are cut off


def draw(result):
    """Figures claims-000 to claims-004 and claims-all, each if one of its claims was tested."""
    papers = {}
    for line in result["claims"]:
        if line["contrasts"]:
            papers.setdefault(line["id"].split("-")[0], []).append(line)
    return {f"claims-{paper}": forest(paper, lines, len(result["seeds"])) for paper, lines in papers.items()}


def forest(paper, lines, seeds):
    """A row per contrast, grouped by line; the shade on each row is the region in which the claim would hold."""
    rows = sum(1 + len(line["contrasts"]) for line in lines)
    figure, ((ax,),) = style.panels((10, 1.6 + 0.24 * rows))
    y, names = 0, {}
    look = {"va": "center", "fontsize": 8, "fontweight": "bold", "backgroundcolor": "white"}
    for line in lines:
        ax.text(-REACH, y, f" {line['id']}: {line['claim']}", **look)
        for name, x in line["contrasts"].items():
            y += 1
            names[y] = name
            contrast(ax, y, x, line)
        y += 1
    ax.axvline(0, color="black", linewidth=0.8, zorder=1)
    ax.set_yticks(list(names), list(names.values()), fontsize=8)
    ax.set_ylim(y - 0.5, -0.8)
    ax.set_xlim(-REACH, REACH)
    interval = f"mean and 95 % interval over n = {seeds} seeds, cut off at {REACH}"
    ax.set_xlabel(f"effect (macro F1, accuracy, CCC: 0.1 is 10 points); {interval}")
    who = "All papers" if paper == "all" else f"Paper {paper}"
    ax.set_title(f"{who}: what holds on the synthetic corpus", loc="left", fontweight="bold")
    for verdict, (mark, colour) in LOOKS.items():
        ax.plot([], [], mark, color=colour, label=verdict)
    ax.plot([], [], color=COLOURS[5], alpha=0.3, linewidth=8, label="where the claim would hold")
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.9 / figure.get_figheight()), ncols=4, fontsize=8)
    return figure


def contrast(ax, y, x, line):
    """One row: the claimed region, the interval, the effect."""
    mark, colour = LOOKS[x["verdict"]]
    margin = line["margin"]
    low, high = {"greater": (margin, REACH), "less": (-REACH, -margin), "equal": (-margin, margin)}[line["direction"]]
    ax.barh(y, high - low, left=low, height=0.8, color=COLOURS[5], alpha=0.18, linewidth=0)
    ax.plot(x["interval"], [y, y], color=colour, linewidth=1.4)
    ax.plot(min(max(x["effect"]["mean"], -REACH), REACH), y, mark, color=colour, markersize=5, clip_on=False)
