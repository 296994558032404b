"""The main job: train systems on speaker-disjoint splits, break their inputs, report what is left beside a linear model."""

import numpy as np
from matplotlib.figure import Figure

from refmer import systems
from refmer.data import labels
from refmer.data.corrupt import corrupt
from refmer.evaluate.statistics import bootstrap_interval, draws_interval, spread
from refmer.experiments import gates, references, report, style
from refmer.experiments.data import corpus_with
from refmer.experiments.references import BELOW, BEST_SENSE, LINEAR
from refmer.experiments.report import metrics_of, percent, plain
from refmer.experiments.rows import resolve_all
from refmer.recognizer import HEADLINES
from refmer.text import table

GATED, UNGATED = "openface_adaptive", "openface_adaptive@no-gate"
UNTOLD = "openface_adaptive@no-reliability"
ROWS = (*systems.SYSTEMS, UNGATED, UNTOLD, "concatenation")  # each on its own task
EMOTION = ("openface_adaptive@emotion", "raver@emotion", "tlab_jca@emotion")  # the others have it for their own
CORRUPTIONS = {  # column of the table -> arguments of corrupt
    "clean": None,
    "face noise (standardised)": {"sense": "face", "kind": "gaussian", "amount": 2.0},
    "face noise (raw)": {"sense": "face", "kind": "gaussian", "amount": 2.0, "space": "raw"},
    "no face": {"sense": "face", "kind": "missing", "amount": 1.0},
    "no voice": {"sense": "voice", "kind": "missing", "amount": 1.0},
    "no words": {"sense": "words", "kind": "missing", "amount": 1.0},
    "90 % of both lost": {"sense": "voice+face", "kind": "missing", "amount": 0.9},
}
CONSTANT = {
    "classes": "always saying the most frequent class of the training clips",
    "ordinal": "always saying the most frequent level of the training clips",
    "votes": "always naming the classes that are above chance on average in training",
    "regression": "always saying 0",
}


def rows(quick, rows=None):
    """Default: all systems on their own labels and, unless `quick`, on emotion; ("all",): the baselines too."""
    if rows == ("all",):
        rows = dict.fromkeys((*ROWS, *EMOTION, *systems.BASELINES))
    return resolve_all((ROWS if quick else ROWS + EMOTION) if rows is None else rows)


def trainings(setup):
    """Each row with its corruptions; the gated system, in both trainings, also with its gates over time."""
    scores = [{"kind": "scores", "column": c, "corruption": corruption} for c, corruption in corruptions(setup).items()]
    with_gates = [{"kind": "gates"}] * (setup.clips.raw is not None)
    rows = [(row, resolved, scores + with_gates * (row in gates.ROWS)) for row, resolved in setup.rows.items()]
    return rows + [(row, resolved, scores) for row, resolved in references.rows(setup)]


def corruptions(setup):
    """{column: arguments of corrupt}: of the senses that the rows read, where the clips lack those of the bundled corpus."""
    clips, result = setup.clips, CORRUPTIONS
    if not {"voice", "face", "words"} <= {s.sense for s in clips.streams.values()}:
        read = dict.fromkeys(sense for row in setup.rows.values() for sense in report.senses(setup, *row))
        noise = {f"{s} noise (standardised)": {"sense": s, "kind": "gaussian", "amount": 2.0} for s in read}
        gone = {f"no {s}": {"sense": s, "kind": "missing", "amount": 1.0} for s in read}
        lost = {"90 % of all lost": {"sense": "+".join(read), "kind": "missing", "amount": 0.9}} if len(read) > 1 else {}
        result = {"clean": None} | noise | gone | lost
    if not setup.quick:
        return result
    chosen = [next(c for c in result if part in c) for part in ("clean", "noise (standardised)", "no ")]
    return {c: result[c] for c in chosen}


def measure(model, cell, train, test):
    """The scores under a corruption, or the gates over time."""
    if cell["kind"] == "gates":
        return gates.measure(model, cell, train, test)["curve"]
    return score(model, cell, train, test, cell["protocol"]["bootstrap"])


def score(model, cell, train, test, bootstrap):
    """Scores under the corruption of a cell, next to a constant answer; {"unused": True} if the broken sense is not used."""
    corruption = cell["corruption"]
    used = {s.sense for s in model.streams_of(test).values()}
    if corruption is not None and not used & set(corruption["sense"].split("+")):
        return {"unused": True}

    def broken(draw):
        if corruption is None:
            return test
        return corrupt(test, **corruption, scale_from=train, seed=cell["seed"] + draw)

    headline = HEADLINES[model.task]
    answer = model.predict(broken(0))
    result = {name: value for name, value in model.scores(answer, test).items() if value == value}  # without nan
    result |= {"headline": headline, "target": model.config_.target, "task": model.task, "classes": list(model.class_names_)}
    result |= {"senses": sorted(used), "over_time": model.label_["rate"] is not None}
    result["constant"] = model.scores(constant_answer(model, train, answer), test)[headline]
    if bootstrap:
        result["over_clips"] = bootstrap_interval(lambda i: model.scores(answer[i], test[i])[headline], len(test), bootstrap)
        if corruption is not None and (corruption["kind"], corruption["amount"]) != ("missing", 1.0):  # that draws nothing
            draws = [model.scores(model.predict(broken(draw)), test)[headline] for draw in range(bootstrap // 50)]
            result["over_draws"] = draws_interval(draws)
    return result


def constant_answer(model, train, answer):
    """The same answer for all clips: the most frequent class, the classes that are above chance on average, or 0."""
    if model.task == "regression":
        return np.zeros_like(answer)
    label = model.labels(train)
    known = label.targets[label.present]
    if model.task == "votes":
        return np.broadcast_to(labels.above_chance(known.mean(0)), answer.shape)
    return np.full(answer.shape, np.bincount(known).argmax())


def summary(setup, results):
    """Scores by target, row and corruption, the gain of the gate, and the mean gates over time."""
    columns, by_target, read = tuple(corruptions(setup)), {}, references.streams(setup)
    for cell, result in results:
        if cell["kind"] == "scores":
            by_row = by_target.setdefault(cell["config"]["target"], {})
            by_row.setdefault(cell["row"], {}).setdefault(cell["column"], {})[cell["seed"]] = result
    tasks = {target: task_summary(by_row, columns, read, setup.plan.test_per_train) for target, by_row in by_target.items()}
    for target, task in tasks.items():
        task["ceiling"] = references.ceiling(setup.corpora[corpus_with(setup.corpora, target)], target)
    result = report.provenance(setup) | {"columns": list(columns), "tasks": tasks}
    for target, task in tasks.items():
        if {GATED, UNGATED} <= set(task["rows"]):
            headline, name = next(iter(metrics_of(task["task"], task["classes"]).items()))
            result["gate_gain"] = gate_gain(task["rows"], columns, headline)
            result["gate_metric"] = f"{name} of {target}"
    curves = gates.averages([(cell, r) for cell, r in results if cell["kind"] == "gates"])
    return result | ({"gates": curves} if curves else {})


def task_summary(by_row, columns, read, test_per_train):
    """One task: its rows, best clean mean first, the score of a constant answer, and each system beside its references."""
    clean = columns[0]
    first = next(iter(by_row.values()))[clean]
    known = metrics_of(first[0]["task"], first[0]["classes"])
    headline, names = next(iter(known)), [m for m in known if all(m in result for result in first.values())]
    values = {}
    for row, by in by_row.items():
        values[row] = {}
        for c in columns:
            seeds = [by[c][s] for s in sorted(by[c])]
            used = not any("unused" in r for r in seeds)
            values[row][c] = {m: spread([r[m] for r in seeds]) for m in names} if used else None
            if used and len(seeds) == 1:  # intervals of paper 004: over the test clips, and over the draws of a corruption
                values[row][c] |= {k: seeds[0][k] for k in ("over_clips", "over_draws") if k in seeds[0]}
    order = sorted(values, key=lambda row: -values[row][clean][headline]["mean"])
    best = next(row for row in order if row in read)
    own = {row: values[references.name(read[row])] for row in order if row in read}
    named = {references.name(read[best]): LINEAR} | {row: row for row in (*own, BEST_SENSE)}
    compared = {
        name: references.over(
            {row: (values[row][clean][headline], ref[clean][headline]) for row, ref in refs.items()}, test_per_train
        )
        for name, refs in ((LINEAR, own), (BEST_SENSE, dict.fromkeys(own, values[BEST_SENSE])))
    }
    task = {
        "task": first[0]["task"],
        "classes": first[0]["classes"],
        "test_clips": [first[s]["n"] for s in sorted(first)],
        "constant": spread([first[s]["constant"] for s in sorted(first)]),
        "rows": {named[row]: values[row] for row in order if row in named},
        "streams": {row: list(read[row]) for row in own},
        "over_time": first[0]["over_time"],
        "best_sense": [" and ".join(by_row[BEST_SENSE][clean][s]["senses"]) for s in sorted(first)],
        "own_linear": {row: ref[clean] for row, ref in own.items()},
        "over": compared,
    }
    if "confusion" in first[0]:
        counts = {row: [r["confusion"] for r in by[clean].values()] for row, by in by_row.items()}
        task["confusion"] = {row: np.sum(each, 0).tolist() for row, each in counts.items() if row in own}
    return task


def gate_gain(by_row, columns, headline="accuracy"):
    """Gated minus ungated score per seed, and the same minus the clean difference (the gain under noise alone)."""
    columns = [c for c in columns if by_row[GATED][c] is not None]
    gain = {c: np.subtract(*(by_row[row][c][headline]["values"] for row in (GATED, UNGATED))) for c in columns}
    return {
        c: {"gain": spread(gain[c].tolist()), "beyond_clean": spread((gain[c] - gain[columns[0]]).tolist())} for c in columns
    }


def entry(values, metric, show):
    """One entry of a table: a mean with its spread, and its intervals if any; "=" where nothing can change."""
    if values is None:
        return "="
    text = show(values[metric])
    for key, what in (("over_clips", "clips"), ("over_draws", "draws")):
        if key in values:
            low, high = (show({"mean": x, "sd": None}) for x in values[key])
            text += f" [{low}, {high}] {what}"
    return text


def markdown(result):
    """results.md: a section per task, and the gain of the gate."""
    text = report.preface("Robustness of the systems", result)
    text += 'Rows are ranked within a task only; "=": the system does not use that sense.\n'
    text += "".join(section(target, task, result["columns"]) for target, task in result["tasks"].items())
    if "gate_gain" in result:
        body = [[c, percent(g["gain"], True), percent(g["beyond_clean"], True)] for c, g in result["gate_gain"].items()]
        gain = table(["inputs", "gated - ungated", "the same, minus the clean difference"], body)
        text += f"\n## What the gate gains (points of {result['gate_metric']}, paired by seed)\n\n{gain}\n"
    return text


def section(target, task, columns):
    """The tables of one task."""
    names, show = metrics_of(task["task"], task["classes"]), plain if task["task"] == "regression" else percent
    headline, unit = next(iter(names)), "" if task["task"] == "regression" else " (%)"
    label = {row: row + f" {BELOW}" * is_below(task, row) for row in task["streams"]} | about(task)
    broken = [[label[row], *(entry(by[c], headline, show) for c in columns)] for row, by in task["rows"].items()]
    metrics = [m for m in names if m in next(iter(task["rows"].values()))[columns[0]]]
    clean = [[label[row], *(show(by[columns[0]][m]) for m in metrics)] for row, by in task["rows"].items()]
    beside = [
        [row, ", ".join(task["streams"][row]), show(task["own_linear"][row][headline])]
        + [text for reference in (LINEAR, BEST_SENSE) for text in difference(task["over"][reference][row], show)]
        for row in task["streams"]
    ]
    unit_read = "step" if task["over_time"] else "clip"
    head = ["system", "streams", "linear on them", "system - linear", "p", "system - best sense", "p"]
    chance = f"Chance is {100 / len(task['classes']):.1f} %; " if task["task"] in ("classes", "ordinal") else ""
    constant = f"{chance}{CONSTANT[task['task']]} gives {show(task['constant'])}{unit and ' %'}."
    constant = constant[0].upper() + constant[1:]
    kinds, clips = "dimensions" if task["task"] == "regression" else "classes", report.counts(task["test_clips"])
    return f"""
## {target}: {names[headline]}{unit} with broken inputs

{len(task["classes"])} {kinds}, {clips} test clips. {constant}

{table(["system", *columns], broken)}

### {target}: clean inputs{unit}

{table(["system", *(names[m] for m in metrics)], clean)}

### {target}: beside linear models of the same streams{unit}

Mean and deviation of the frames of each {unit_read}, scikit-learn. Differences are paired by seed; p, one-sided, is that of the
system being better (in brackets: worse), corrected for splits that overlap (Nadeau and Bengio) and for the number of systems
(Holm). "{BELOW}": the mean is below that of the linear model on the system's own streams.{best_possible(task)}

{table(head, beside)}
"""


def about(task):
    """{row: its name in tables} of the two references."""
    best = next(iter(task["streams"]))
    senses = " or ".join(dict.fromkeys(task["best_sense"]))
    return {LINEAR: f"linear ({', '.join(task['streams'][best])})", BEST_SENSE: f"best sense ({senses}), linear"}


def is_below(task, row):
    """True if a system's mean is below that of the linear model on its own streams."""
    return task["over"][LINEAR][row]["effect"]["mean"] < 0


def difference(x, show):
    """ "+1.2 ± 0.3" and "0.012 (0.988)": a difference and its p."""
    signed = {k: x["effect"][k] for k in ("mean", "sd")}
    text = show(signed) if signed["mean"] < 0 else "+" + show(signed)
    return [text, f"{x['p']:.3f} ({x['p_reversed']:.3f})" if "p" in x else "-"]


def best_possible(task):
    """A sentence on the ceiling, if it is known."""
    if task["ceiling"] is None:
        return ""
    return f"\nNo guess from what the senses show can be expected to reach more than {100 * task['ceiling']:.1f} %."


def draw(result):
    """The tables as a chart, a confusion matrix of the best row of each task with classes, and the gates if measured."""
    drawn = {"compare": chart(result)}
    for target, task in result["tasks"].items():
        if "confusion" in task:
            row = next(iter(task["confusion"]))
            counts = np.array(task["confusion"][row])
            drawn[f"confusion-{target}"] = confusion(counts, task["classes"], row, report.origin(result))
    return drawn | (gates.draw(result) if "gates" in result else {})


def chart(result):
    """A panel per task, in it a group of dots per corruption, a dot per system (mean and sd)."""
    sizes = [1.0 + 0.16 * len(result["columns"]) * (len(task["streams"]) + 1.2) for task in result["tasks"].values()]
    figure, axes = style.panels((9.5, sum(sizes) + 0.6), len(sizes), height_ratios=sizes)
    for ax, (target, task) in zip(axes[:, 0], result["tasks"].items(), strict=True):
        panel(ax, target, task, result["columns"])
    figure.suptitle(f"What is left when inputs break ({report.origin(result)})", fontweight="bold")
    return figure


def panel(ax, target, task, columns):
    """One task of the chart."""
    (headline, name), scale = (
        next(iter(metrics_of(task["task"], task["classes"]).items())),
        1 if task["task"] == "regression" else 100,
    )
    step = 1 / (len(task["streams"]) + 1.2)
    for i, row in enumerate(task["streams"]):
        points = [(k, by[headline]) for k, by in enumerate(map(task["rows"][row].get, columns)) if by is not None]
        y = [k + step * (i - (len(task["streams"]) - 1) / 2) for k, _ in points]
        x, sd = [scale * s["mean"] for _, s in points], [scale * (s["sd"] or 0) for _, s in points]
        look = style.look(i) | ({"markerfacecolor": "white"} if is_below(task, row) else {})
        legend = row + " (below linear)" * is_below(task, row)
        ax.errorbar(x, y, xerr=sd, linestyle="none", markersize=5, capsize=2, elinewidth=1.2, label=legend, **look)
    for (row, legend), line in zip(about(task).items(), ("-", "-."), strict=True):
        points = [(k, by[headline]["mean"]) for k, by in enumerate(map(task["rows"][row].get, columns)) if by is not None]
        x, y = [scale * mean for _, mean in points], [k for k, _ in points]
        ax.vlines(x, np.subtract(y, 0.45), np.add(y, 0.45), color="black", linestyle=line, linewidth=1.4, label=legend)
    if task["ceiling"] is not None:
        ax.vlines(scale * task["ceiling"], -0.45, 0.45, color=style.COLOURS[1], linewidth=3, label="best possible guess")
    ax.axvline(scale * task["constant"]["mean"], color="grey", linestyle="--", linewidth=1.2, label="constant answer")
    if task["task"] in ("classes", "ordinal"):
        ax.axvline(100 / len(task["classes"]), color="grey", linestyle=":", linewidth=1.2, label="chance")
    for edge in np.arange(len(columns) - 1) + 0.5:
        ax.axhline(edge, color="0.9", linewidth=0.8)
    ax.set_yticks(range(len(columns)), columns)
    ax.set_ylim(len(columns) - 0.5, -0.5)
    ax.set_xlim(left=min(0, ax.get_xlim()[0]))
    n, unit = task["test_clips"], "" if scale == 1 else " (%)"
    ax.set_xlabel(f"{name}{unit}; {len(n)} seeds, {report.counts(n)} test clips each")
    ax.set_title(target, loc="left")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)


def confusion(counts, classes, row, origin):
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
    ax.set_title(f"{row}: answers per true class (%)\n{origin}, clean test clips of all seeds", loc="left")
    figure.colorbar(image, label="% of the true class", shrink=0.85)
    return figure
