"""The main job: train systems on speaker-disjoint splits, break their inputs, report what is left beside a linear model."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
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
BESIDE = LinearSegmentedColormap.from_list("beside", ("#54278f", "#e9e7f0", "#ffee66"))  # grows lighter: also in grey
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
    """The tables as a grid, the corruption that costs most, a confusion matrix per task with classes, the gates if measured."""
    drawn = {"compare": grid(result), "compare-worst": slopes(result)}
    for target, task in result["tasks"].items():
        if "confusion" in task:
            row = next(iter(task["confusion"]))
            counts = np.array(task["confusion"][row])
            drawn[f"confusion-{target}"] = confusion(counts, task["classes"], row, report.origin(result))
    return drawn | (gates.draw(result) if "gates" in result else {})


def means(task, columns):
    """{row: mean scores (columns)}, the references first; nan where the system does not use the sense."""
    headline, order = next(iter(metrics_of(task["task"], task["classes"]))), dict.fromkeys((*about(task), *task["rows"]))
    rows = {row: task["rows"][row] for row in order}
    return {row: np.array([np.nan if by[c] is None else by[c][headline]["mean"] for c in columns]) for row, by in rows.items()}


def shown(task, score):
    """A score as text: .87 of a regression, else 79.7 (%)."""
    return f"{score:.2f}" if task["task"] == "regression" else f"{100 * score:.1f}"


def caption(target, task):
    """Two lines above a panel: what is shown; seeds, clips, the scores of a constant answer and of the best possible guess."""
    name, n = next(iter(metrics_of(task["task"], task["classes"]).values())), task["test_clips"]
    known = {"constant answer": task["constant"]["mean"], "best guess": task["ceiling"]}
    scores = [f"{label} {shown(task, value)}" for label, value in known.items() if value is not None]
    seeds = f"{len(n)} seed{'s' * (len(n) > 1)} of {report.counts(n)} test clips"
    return f"{target}: {name}{' (%)' * (task['task'] != 'regression')}\n{seeds}; {', '.join(scores)}"


def grid(result):
    """A panel per task, rows are systems, columns corruptions: the score, and as colour and small number how many points it is
    above that of the linear model with the same broken inputs."""
    columns, tasks = result["columns"], result["tasks"]
    sizes = [len(task["rows"]) for task in tasks.values()]
    size = 3.6 + 1.15 * len(columns), 1.3 + 0.26 * sum(sizes) + 0.8 * len(sizes)
    figure, axes = style.panels(size, len(sizes), height_ratios=sizes)
    for ax, (target, task) in zip(axes[:, 0], tasks.items(), strict=True):
        scores = means(task, columns)
        table = np.array(list(scores.values()))
        points = 100 * (table - scores[LINEAR])
        image = ax.imshow(points, cmap=BESIDE, vmin=-30, vmax=30, aspect="auto")
        for (i, k), score in np.ndenumerate(table):
            if np.isnan(score):
                ax.text(k, i, "=", ha="center", va="center")
                continue
            color = "black" if points[i, k] > -17 else "white"
            ax.text(k + 0.02, i, shown(task, score), ha="right", va="center", color=color)
            ax.text(k + 0.1, i, f"{points[i, k]:+.0f}" if i else "", ha="left", va="center", color=color, fontsize=8)
        ax.set_yticks(range(len(scores)), [about(task).get(row, row) for row in scores])
        ax.set_xticks(range(len(columns)), [c.replace(" (", "\n(").replace(" of ", "\nof ") for c in columns])
        ax.tick_params(length=0, labelbottom=ax is axes[-1, 0])
        ax.set_title(caption(target, task), loc="left", fontsize=9)
        ax.spines[:].set_visible(False)
    figure.colorbar(
        image, ax=axes, location="bottom", fraction=0.03, aspect=40, label="points above the linear model (=: sense not used)"
    )
    figure.suptitle(f"Scores with broken inputs ({report.origin(result)})", fontweight="bold")
    return figure


def slopes(result):
    """A panel per task: from clean inputs to the corruption that costs its systems most on average, of those that leave more
    than a constant answer."""
    columns, tasks = result["columns"], result["tasks"]
    wide = min(2, len(tasks))
    figure, axes = style.panels((5.4 * wide, 3.8 * -(-len(tasks) // wide) + 0.4), -(-len(tasks) // wide), wide)
    for ax in axes.flat[len(tasks) :]:
        ax.remove()
    for ax, (target, task) in zip(axes.flat, tasks.items(), strict=False):
        scores = means(task, columns)
        systems = np.array([scores[row] for row in task["streams"]])
        constant = task["constant"]["mean"]
        used = [k for k in range(len(columns)) if np.nanmax([constant, *systems[:, k]]) > constant] or [0]
        worst = min(used, key=lambda k: np.nanmean(systems[:, k]))
        ends = {row: score[[0, worst]] for row, score in scores.items() if not np.isnan(score[worst])}
        labels = spaced(
            {row: end for row, (_, end) in ends.items()},
            0.06 * np.ptp([constant, *np.ravel(list(ends.values()))]),
        )
        for i, (row, line) in enumerate(ends.items()):
            ax.plot(line, **({"color": "black", "linewidth": 2.5} if row == LINEAR else style.look(i - 1)))
            name = about(task).get(row, row).split(" (")[0]
            ax.text(1.05, labels[row], f"{name}  {shown(task, line[1])}", va="center", fontsize=8)
        ax.plot([constant] * 2, "--", color="grey", linewidth=1)
        ax.set_xticks([0, 1], [columns[0], columns[worst]])
        ax.set_xlim(-0.1, 2)
        ax.yaxis.set_major_formatter(lambda score, _, task=task: shown(task, score))
        ax.set_title(caption(target, task), loc="left", fontsize=9)
    figure.suptitle(f"The corruption that costs most; dashed: a constant answer ({report.origin(result)})", fontweight="bold")
    return figure


def spaced(places, gap):
    """{name: place}, moved upwards so that each is at least `gap` above the one below: labels that do not overlap."""
    result, last = {}, -np.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        result[name] = last = max(place, last + gap)
    return result


def confusion(counts, classes, row, origin):
    """Share of each true class that gets each answer (paper 000, Fig. 2)."""
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(7, 5.4), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.ndindex(shares.shape):
        if counts[i].sum():
            ax.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", color="white" if shares[i, j] > 55 else "black")
    ax.set_xticks(range(len(classes)), classes, rotation=30)
    ax.set_yticks(range(len(classes)), [f"{name}  (n={n})" for name, n in zip(classes, counts.sum(1), strict=True)])
    ax.set_xlabel("answer")
    ax.set_ylabel("truth")
    ax.set_title(f"{row}: answers per true class (%)\n{origin},\nclean test clips of all seeds", loc="left")
    figure.colorbar(image, label="% of the true class", shrink=0.85)
    return figure
