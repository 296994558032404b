"""Standard against optimized training when a sense is missing (paper 002, Tables 1 and 2, Fig. 3).

Optimized training removes the voice from some training clips and the face from others (modality dropout).
"""

import numpy as np

from refmer.data.corrupt import corrupt
from refmer.evaluate.statistics import paired_test, spread, verdicts
from refmer.experiments import report, style
from refmer.experiments.report import percent
from refmer.experiments.rows import resolve_all, with_target
from refmer.experiments.style import COLOURS
from refmer.text import table

NETWORK = {"standard": {"training": "standard"}, "optimized": {"training": "sample"}}
TRAININGS = {  # system -> training -> changes to its Config
    "auxformer": NETWORK,
    "raver": {"standard": {"modality_dropout": "off"}, "optimized": {"modality_dropout": "sample"}},
    "auxformer_baseline1": NETWORK,
    "mult": NETWORK,
    "parthasarathy": NETWORK,
    "sfav": {"standard": {"modality_dropout": 0.0}, "optimized": {"modality_dropout": 0.2}},
}
ROWS = ("auxformer", "raver@emotion", "auxformer_baseline1", "mult", "parthasarathy")
CONDITIONS = {"complete": None, "without face": "face", "without voice": "voice"}
ALONE = {"without face": "audio", "without voice": "visual"}  # -> the modality of the unimodal network, baseline 4
METRICS = {"macro_f1": "macro F1", "micro_f1": "micro F1"}
MICRO = {
    "classes": "accuracy",
    "ordinal": "accuracy",
    "votes": "micro_f1",
}  # with one label for each clip, accuracy is micro F1
BOXES = 4  # fewer seeds are drawn as dots


def rows(quick, rows=ROWS):
    """Rows of one target with two trainings; with `quick` the first two. The first is tested against the others."""
    rows = resolve_all(rows[:2] if quick else rows)
    if unable := [row for row, (system, _) in rows.items() if system not in TRAININGS]:
        raise ValueError(f"{', '.join(unable)}: no standard and optimized training; accepted: {', '.join(TRAININGS)}")
    return rows


def trainings(setup):
    """Yield each row with both trainings under all conditions; of classes also the unimodal networks, baseline 4."""

    def kinds(training, conditions):
        return [{"kind": "missing", "training": training, "condition": c, "lost": CONDITIONS[c]} for c in conditions]

    for row, (system, changes) in setup.rows.items():
        for training, more in TRAININGS[system].items():
            yield row, (system, changes | more), kinds(training, CONDITIONS)
    for condition, modality in ALONE.items() if setup.label.kind == "classes" else ():
        changes = {"modality": modality, "target": setup.target}
        yield "unimodal", with_target("unimodal", changes), kinds("alone", [condition])


def measure(model, cell, train, test):
    """Macro F1 and micro F1 without the sense of the cell."""
    broken = test if cell["lost"] is None else corrupt(test, cell["lost"], "missing", 1.0)
    scores = model.scores(model.predict(broken), test)
    return {"n": len(test), "macro_f1": scores["macro_f1"], "micro_f1": scores[MICRO[model.task]]}


def summary(setup, results):
    """Scores by row, training, condition and metric; the unimodal networks `alone`; from two seeds on `tests` of macro F1."""
    result = report.provenance_of_rows(setup, results) | {"scores": {}, "alone": {}}
    for row, by in report.gather(results, "training", "condition").items():
        means = {key: {m: spread([r[m] for r in seeds]) for m in METRICS} for key, seeds in by.items()}
        for (training, condition), scores in means.items():
            if training == "alone":
                result["alone"][condition] = scores
            else:
                result["scores"].setdefault(row, {}).setdefault(training, {})[condition] = scores
    return result | ({"tests": tests(result["scores"], setup.plan)} if setup.plan.seeds > 1 else {})


def tests(scores, plan):
    """{question: {contrast: one-tailed paired test}} of macro F1; `p_plain` as in the paper, the rest corrected (see NOTE)."""

    def values(row, training, condition):
        return np.array(scores[row][training][condition]["macro_f1"]["values"])

    first, *others = scores
    effects = {
        "optimized - standard": {
            f"{row}, {c}": values(row, "optimized", c) - values(row, "standard", c) for row in scores for c in CONDITIONS
        },
        f"{first} - other, both optimized": {
            f"{row}, {c}": values(first, "optimized", c) - values(row, "optimized", c) for row in others for c in CONDITIONS
        },
    }
    return {
        question: {
            name: test | {"p_plain": paired_test(each[name])["p"]}
            for name, test in verdicts(each, margin=0.0, test_per_train=plan.test_per_train).items()
        }
        for question, each in effects.items()
        if each
    }


def markdown(result):
    """results.md: Tables 1 and 2 in one, for each metric, and the tests."""
    text = report.preface_of_rows("Standard and optimized training when a sense is missing", result)
    for metric, name in METRICS.items():
        body = [
            [row, training, *(percent(by[c][metric]) for c in CONDITIONS)]
            for row, trainings in result["scores"].items()
            for training, by in trainings.items()
        ]
        if result["alone"]:
            left = [percent(result["alone"][c][metric]) if c in result["alone"] else "" for c in CONDITIONS]
            body.append(["unimodal", "on what is left", *left])
        text += f"\n## {name} (%)\n\n{table(['system', 'training', *CONDITIONS], body)}\n"
    for question, contrasts in result.get("tests", {}).items():
        text += f"\n## {question} (points of macro F1)\n\n{table(TEST_HEAD, [test_row(*item) for item in contrasts.items()])}\n"
    if "tests" in result:
        text += NOTE
    return text


TEST_HEAD = ["contrast", "effect", "95 % interval", "p, paired t-test", "p, corrected", "verdict", "detectable"]
NOTE = """
One-tailed tests of a mean above 0 over matched seeds. The plain p is that of paper 002; the corrected one allows for splits
that overlap (Nadeau and Bengio) and for all comparisons of its table (Holm); interval, verdict and the effect that would have
been detected with 80 % power go with the corrected one.
"""


def test_row(name, t):
    """One line of a table of tests."""
    interval = f"[{100 * t['interval'][0]:+.1f}, {100 * t['interval'][1]:+.1f}]"
    detectable = "" if t["detectable"] is None else f"{100 * t['detectable']:.1f}"
    return [name, percent(t["effect"], signed=True), interval, f"{t['p_plain']:.3f}", f"{t['p']:.3f}", t["verdict"], detectable]


def draw(result):
    """Macro F1 over seeds, a panel per condition, both trainings of each row (Fig. 3): boxes, or dots where seeds are few."""
    rows, boxed = list(result["scores"]), len(result["seeds"]) >= BOXES
    figure, (axes,) = style.panels((5 + 0.75 * len(rows) * len(CONDITIONS), 5), 1, len(CONDITIONS), sharey=True)
    for ax, condition in zip(axes, CONDITIONS, strict=True):
        for k, training in enumerate(NETWORK):
            values = [[100 * v for v in result["scores"][r][training][condition]["macro_f1"]["values"]] for r in rows]
            boxes_or_dots(ax, values, np.arange(len(rows)) + 0.36 * (k - 0.5), COLOURS[k], f"{training} training", boxed)
        if condition in result["alone"]:
            alone = 100 * result["alone"][condition]["macro_f1"]["mean"]
            ax.axhline(alone, color="0.3", linestyle="--", linewidth=1.2, label="unimodal network of\nwhat is left (mean)")
        ax.set_title(condition, loc="left")
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.set_xticks(range(len(rows)), rows, rotation=30, ha="right", fontsize=8)
        ax.set_xlim(-0.5, len(rows) - 0.5)
        ax.set_ylim(0, 100)
    axes[0].set_ylabel(f"macro F1, {result['target']} (%)")
    what = "box: quartiles, median; whiskers: 1.5 times the box" if boxed else "a dot per seed"
    figure.supxlabel(f"{report.measured(result)}; {what}", fontsize=9)
    figure.suptitle(f"Standard and optimized training ({report.origin(result)})", fontweight="bold")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return {"missing": figure}


def boxes_or_dots(ax, values, places, colour, label, boxed):
    """Scores over seeds of each row, as boxes or dots."""
    if boxed:
        look = {"boxprops": {"facecolor": colour, "alpha": 0.6}, "medianprops": {"color": "black"}}
        look |= {"flierprops": {"markersize": 3}, "widths": 0.3, "patch_artist": True}
        ax.boxplot(values, positions=places, manage_ticks=False, label=label, **look)
    else:
        x, y = np.repeat(places, [len(v) for v in values]), np.ravel(values)
        ax.plot(x, y, "o", color=colour, markersize=6, alpha=0.8, label=label)
