"""Calibration of the systems' probabilities: Brier scores, calibration errors, reliability curves (paper 004, Table 4).

A low Brier score is not calibration: it also rewards answers that tell clips apart. The other way round, the base rates (the
share of each class among the training clips, for all clips) are well calibrated and tell nothing apart. So both numbers are
given, and the base rates are an additional row.
"""

import numpy as np

from refmer.data import labels
from refmer.evaluate.calibration import brier_labels, ece_macro, ece_positive, ece_top_label, reliability
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.report import plain
from refmer.experiments.rows import resolve_all
from refmer.experiments.style import COLOURS
from refmer.text import table

ROWS = (
    "raver",
    *(f"{name}@votes" for name in ("vavl", "sfav", "transformer_lstm", "concatenation")),
    "auxformer",
    *(f"{name}@emotion" for name in ("raver", "of_cmaer_cat", "openface_adaptive", "concatenation")),
)
QUICK = ("concatenation@votes", "concatenation@emotion", "openface_adaptive@emotion")
BASE = "base rates"
PUBLISHED = {"raver": 0.119, "vavl": 0.128, "sfav": 0.134, "transformer_lstm": 0.143}  # Brier of votes, CREMA-D


def rows(quick, rows=None):
    """Rows whose answers are probabilities."""
    return resolve_all(rows if rows is not None else QUICK if quick else ROWS)


def trainings(setup):
    """Each row, measured once."""
    return [(row, resolved, [{"kind": "calibration"}]) for row, resolved in setup.rows.items()]


def measure(model, cell, train, test):
    """Probabilities p (N, K), the truth y (N, K), the base rates (N, K)."""
    p, (y, mask), (y_train, known) = model.predict_proba(test), truth(model, test), truth(model, train)
    p = p[mask].astype(np.float64)
    base = np.broadcast_to(y_train[known].mean(0), p.shape)
    f1 = model.scores(model.predict(test), test)["f1_per_class"]
    result = {"task": model.task, "classes": list(model.class_names_), "f1": f1}
    return result | {"p": p.tolist(), "y": y[mask].astype(int).tolist(), "base": base.tolist()}


def truth(model, clips):
    """The classes of each clip or step (..., K) bool, one, or those above chance in the votes; where they are known (...)."""
    label = model.labels(clips)
    if label.over_time:
        y, mask = model.over_time(label, model.steps_of(clips))
    else:
        y, mask = labels.soft_targets(label), label.present
    return labels.above_chance(y) if model.task == "votes" else y == y.max(-1, keepdims=True), mask


def summary(setup, results):
    """Scores and reliability curve of each row by target, lowest Brier score first."""
    tasks = {}
    for c, result in results:
        tasks.setdefault(c["config"]["target"], {}).setdefault(c["row"], []).append(result)
    tasks = {target: task_summary(by_row) for target, by_row in tasks.items()}
    return report.provenance(setup) | {"tasks": tasks}


def task_summary(by_row):
    """One label. The base rates are the same for all rows, so they are taken from the first."""
    first = next(iter(by_row.values()))
    several = first[0]["task"] == "votes"
    values = {row: scores([(r["y"], r["p"]) for r in seeds], several) for row, seeds in by_row.items()}
    for row, seeds in by_row.items():
        values[row]["f1"] = [spread(list(each)) for each in zip(*(r["f1"] for r in seeds), strict=True)]
    values[BASE] = scores([(r["y"], r["base"]) for r in first], several)
    order = sorted(values, key=lambda row: values[row]["brier"]["mean"])
    return {
        "task": first[0]["task"],
        "classes": first[0]["classes"],
        "test_clips": [len(r["y"]) for r in first],
        "floor": spread([softmax_floor(np.array(r["y"])) for r in first]),
        "rows": {row: values[row] for row in order},
    }


def scores(pairs, several):
    """Scores of one row from its (y, p) of each seed, with one or several classes each; the curve pools all of them."""
    pairs = [(np.array(y), np.array(p)) for y, p in pairs]
    result = {"brier": spread([brier_labels(y, p) for y, p in pairs]), "ece": spread([ece_macro(y, p) for y, p in pairs])}
    if not several:
        result["ece_top_label"] = spread([ece_top_label(y.argmax(1), p) for y, p in pairs])
    for name, score in (("brier_per_class", brier_labels), ("ece_per_class", ece_positive)):
        result[name] = [spread([score(y[:, k], p[:, k]) for y, p in pairs]) for k in range(pairs[0][0].shape[1])]
    curve = reliability(*(np.concatenate([pair[i].ravel() for pair in pairs]) for i in range(2)))
    return result | {"curve": dict(zip(("count", "confidence", "frequency"), (x.tolist() for x in curve), strict=True))}


def softmax_floor(y):
    """The lowest Brier score that probabilities with sum 1 can have on labels y (N, K): of m classes each gets 1 / m.

    Then m of the K terms are (1 - 1/m)^2; without any class each gets 1 / K.
    """
    m, K = y.sum(1), y.shape[1]
    return float(np.mean(np.where(m > 0, (m - 1) ** 2 / np.maximum(m, 1), 1 / K) / K))


def disagreement(task):
    """(a, b), where a has a lower Brier score and a higher ECE than b, as different as possible; or None."""
    rows = list(task["rows"].items())
    pairs = [(b["ece"]["mean"] - a["ece"]["mean"], j, i) for i, (_, b) in enumerate(rows) for j, (_, a) in enumerate(rows[:i])]
    if not pairs or min(pairs)[0] >= 0:
        return None
    _, a, b = min(pairs)
    return rows[a][0], rows[b][0]


def markdown(result):
    """results.md: a section per target."""
    text = report.preface("Calibration of the systems", result)
    return text + "".join(section(target, task) for target, task in result["tasks"].items())


def section(target, task):
    """The tables of one target."""

    def show(value):
        return plain(value, digits=3)

    names = {"brier": "Brier", "ece": "ECE (mean over classes)", "ece_top_label": "ECE (top label)"}
    names = {key: name for key, name in names.items() if key in task["rows"][BASE]}
    published = {k: f"{v:.3f}" for k, v in PUBLISHED.items()} if task["task"] == "votes" else {}
    body = [
        [row, *(show(v[key]) for key in names), published.get(row.partition("@")[0], "-")] for row, v in task["rows"].items()
    ]
    tables = "".join(
        f"\n### {target}: {name} per class\n\n"
        + table(["row", *task["classes"]], [[r, *map(show, v[key])] for r, v in task["rows"].items() if key in v])
        + "\n"
        for key, name in (("f1", "F1"), ("brier_per_class", "Brier"), ("ece_per_class", "ECE"))
    )
    votes = (
        "A row's p is the share of the raters that it expects, used here as the probability that a class is there at all,\n"
        "as paper 004 does: a share of one half is then a certain label, so that frequencies lie above p by construction.\n"
        f"Probabilities with sum 1 cannot come below a Brier score of {show(task['floor'])} on these labels.\n"
    )
    pair = disagreement(task)
    lesson = "" if pair is None else f"Here {pair[0]} has the lower Brier score and yet a higher ECE than {pair[1]}.\n"
    return f"""
## {target}

{", ".join(map(str, task["test_clips"]))} test clips. Less is better. Brier: (1 / NK) sum (p - y)^2, as paper 004. ECE: 10 bins.
"{BASE}": for everyone the share of each class in training. A low Brier score is not calibration.
{lesson}{votes if task["task"] == "votes" else ""}
{table(["row", *names.values(), "Brier, published (CREMA-D)"], body)}
{tables}"""


def draw(result):
    """Reliability of each row, and scores of each class."""
    return {"reliability": curves(result), "classes": classes(result)}


def curves(result):
    """Reliability: a panel for each row, a line of panels for each target; the grey bars are shares of the answers."""
    wide = max(len(task["rows"]) for task in result["tasks"].values())
    high = len(result["tasks"])
    figure, grid = style.panels((2.4 * wide + 0.6, 2.8 * high + 0.7), high, wide, sharex=True, sharey=True)
    for axes, (target, task) in zip(grid, result["tasks"].items(), strict=True):
        for ax, (row, value) in zip(axes, task["rows"].items(), strict=False):
            count, confidence, frequency = (np.array(value["curve"][k]) for k in ("count", "confidence", "frequency"))
            ax.bar(confidence, count / count.sum(), width=0.06, color="0.85", zorder=0)
            ax.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
            ax.plot(confidence, frequency, "o-", color=COLOURS[0 if row != BASE else 1], markersize=4, clip_on=False)
            brier, ece = (f"{value[key]['mean']:.3f}" for key in ("brier", "ece"))
            ax.set_title(f"{row.partition('@')[0]}\nBrier {brier}, ECE {ece}", fontsize=9)
            ax.set_aspect("equal")
        for ax in axes[len(task["rows"]) :]:
            ax.set_visible(False)
        axes[0].set_ylabel(f"{target}\nshare with the class")
        axes[0].set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    n = sum(next(iter(result["tasks"].values()))["test_clips"])
    clips = f"{n} test clips ({report.origin(result)}, {len(result['seeds'])} seeds)"
    figure.supxlabel(f"predicted probability; {clips}, all classes; bars: share of answers")
    figure.suptitle("Reliability; dashed: perfect calibration", fontweight="bold")
    return figure


def classes(result):
    """F1 and Brier score of each class: a line of panels for each target, a dot for each row."""
    names = list(dict.fromkeys(row.partition("@")[0] for task in result["tasks"].values() for row in task["rows"]))
    scores = (("f1", "F1 (more is better)"), ("brier_per_class", "Brier (less is better)"))
    figure, grid = style.panels((13, 3.6 * len(result["tasks"]) + 0.6), len(result["tasks"]), 2)
    for axes, (target, task) in zip(grid, result["tasks"].items(), strict=True):
        for ax, (key, name) in zip(axes, scores, strict=True):
            by_row = {row: value[key] for row, value in task["rows"].items() if key in value}
            for i, (row, values) in enumerate(by_row.items()):
                x = np.arange(len(values)) + (i - (len(by_row) - 1) / 2) * 0.12
                mean, sd = [v["mean"] for v in values], [v["sd"] or 0 for v in values]
                k = names.index(row.partition("@")[0])  # the same look in all panels
                look = {"linestyle": "none", "markersize": 5, "capsize": 2, "elinewidth": 1} | style.look(k)
                ax.errorbar(x, mean, yerr=sd, label=names[k], **look)
            ax.set_xticks(range(len(task["classes"])), task["classes"])
            ax.set_ylim(bottom=0)
            ax.set_ylabel(name)
            ax.set_title(target, loc="left")
        axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    n = next(iter(result["tasks"].values()))["test_clips"]
    figure.supxlabel(f"mean and sd over {len(n)} seeds, {report.counts(n)} test clips each ({report.origin(result)})")
    figure.suptitle("How unequal the classes are", fontweight="bold")
    return figure
