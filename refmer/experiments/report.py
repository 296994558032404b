"""From cells to tables: a pure function of what the cells hold."""

import numpy as np

from refmer.data import targets
from refmer.evaluate.statistics import spread
from refmer.experiments.cells import VERSIONS

METRICS = {  # per task, the headline first
    "classes": {
        "accuracy": "accuracy",
        "acc2_has0": "Acc-2 (0 is positive)",
        "acc2_non0": "Acc-2 (without 0)",
        "uar": "UAR",
        "weighted_f1": "weighted F1",
        "macro_f1": "macro F1",
    },
    "votes": {"macro_f1": "macro F1", "micro_f1": "micro F1", "sample_precision": "sample precision"},
    "regression": {"ccc": "mean CCC", "ccc_valence": "CCC valence", "ccc_arousal": "CCC arousal"},
}
CONSTANT = {
    "classes": "always saying the most frequent class of the training clips",
    "votes": "always naming the classes that are above chance on average in training",
    "regression": "always saying 0",
}
GATED, UNGATED = "openface_adaptive", "openface_adaptive@no-gate"


def metrics_of(target):
    """{key: name} of the metrics of a target, the headline first; accuracy in seven classes of sentiment is called Acc-7."""
    names = METRICS[targets.task_of(target)]
    return names | {"accuracy": "Acc-7"} if target == "sentiment" else names


def provenance(plan, protocol, corpora, data):
    """What every results.json says about itself."""
    about = {
        kind: {"source": c.source, "checksum": data[kind], "clips": len(c), "speakers": len(np.unique(c.speaker))}
        for kind, c in corpora.items()
    }
    return {"data": about, "versions": VERSIONS, "protocol": protocol, "seeds": list(range(plan.seeds))}


def preface(title, result):
    """The head of every results.md."""
    n = len(result["seeds"])
    over = f"mean ± standard deviation over {n} seeds, shared by all rows" if n > 1 else "one seed"
    data = "\n".join(
        f"- {kind}: {d['source']} ({d['clips']} clips, {d['speakers']} speakers, checksum {d['checksum']})"
        for kind, d in result["data"].items()
    )
    return f"""# {title}

{data}

The data are **synthetic**: the numbers compare mechanisms, they say nothing about real people and are not the published ones.
Protocol {result["protocol"]}, {over}.
"""


def summary(found, corpora, data, columns, plan, protocol):
    """What results.json holds.

    Parameters
    ----------
    found : list of (cell, result)
    corpora, data : dict
        The clips and their checksums, by kind.
    columns : sequence of str
        Corruptions, in order.
    plan, protocol : Protocol and its name
    """
    by_target = {}
    for cell, result in found:
        if cell["kind"] == "scores":
            rows = by_target.setdefault(cell["config"]["target"], {})
            rows.setdefault(cell["row"], {}).setdefault(cell["column"], {})[cell["seed"]] = result
    tasks = {target: task_summary(target, rows, columns) for target, rows in by_target.items()}
    result = provenance(plan, protocol, corpora, data) | {
        "columns": list(columns),
        "tasks": tasks,
    }
    scores = tasks.get("sentiment", {"rows": {}})["rows"]
    if GATED in scores and UNGATED in scores:
        result["gate_gain"] = gate_gain(scores, columns)
    traces = [r for cell, r in found if cell["kind"] == "gates"]
    return result | ({"gates": average_gates(traces)} if traces else {})


def task_summary(target, rows, columns):
    """One task: its rows, best clean mean first, and what a constant answer gets."""
    clean, headline = columns[0], next(iter(METRICS[targets.task_of(target)]))
    some = next(iter(rows.values()))[clean]
    names = [m for m in METRICS[targets.task_of(target)] if m in some[0]]
    values = {}
    for row, by in rows.items():
        values[row] = {}
        for c in columns:
            seeds = [by[c][s] for s in sorted(by[c])]
            used = not any("unused" in r for r in seeds)
            values[row][c] = {m: spread([r[m] for r in seeds]) for m in names} if used else None
            if used and len(seeds) == 1:  # intervals of paper 004: over the test clips, and over the draws of a corruption
                values[row][c] |= {k: seeds[0][k] for k in ("over_clips", "over_draws") if k in seeds[0]}
    order = sorted(values, key=lambda row: -values[row][clean][headline]["mean"])
    found = {
        "task": targets.task_of(target),
        "classes": some[0]["classes"],
        "test_clips": [some[s]["n"] for s in sorted(some)],
        "constant": spread([some[s]["constant"] for s in sorted(some)]),
        "rows": {row: values[row] for row in order},
    }
    if "confusion" in some[0]:
        found["confusion"] = {row: np.sum([r["confusion"] for r in by[clean].values()], 0).tolist() for row, by in rows.items()}
    return found


def gate_gain(rows, columns):
    """Gated minus ungated accuracy per seed, and the same minus the clean difference (the gain under noise alone)."""
    gain = {c: np.subtract(*(rows[row][c]["accuracy"]["values"] for row in (GATED, UNGATED))) for c in columns}
    return {
        c: {"gain": spread(gain[c].tolist()), "beyond_clean": spread((gain[c] - gain[columns[0]]).tolist())} for c in columns
    }


def average_gates(traces):
    """Mean over models of the mean gate; its standard deviation over clips, averaged over models."""
    found = {"n": traces[0]["n"], "models": len(traces), "time": traces[0]["time"]}
    for modality in ("visual", "audio"):
        found[modality] = {k: np.mean([t[modality][k] for t in traces], 0).tolist() for k in ("mean", "sd")}
    return found


def percent(value, signed=False):
    """ "41.2 ± 1.0" of a spread in [0, 1]; without a standard deviation, "41.2"."""
    text = f"{100 * value['mean']:{'+' if signed else ''}.1f}"
    return text if value["sd"] is None else f"{text} ± {100 * value['sd']:.1f}"


def plain(value):
    """ "0.41 ± 0.01" of a concordance."""
    return f"{value['mean']:.2f}" if value["sd"] is None else f"{value['mean']:.2f} ± {value['sd']:.2f}"


def entry(values, metric, show):
    """One entry of a table: a mean with its spread, and its intervals where there are any; "=" where nothing can change."""
    if values is None:
        return "="
    text = show(values[metric])
    for key, what in (("over_clips", "clips"), ("over_draws", "draws")):
        if key in values:
            low, high = (show({"mean": x, "sd": None}) for x in values[key])
            text += f" [{low}, {high}] {what}"
    return text


def table(head, rows):
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def markdown(result):
    """results.md: what was run, a section per task, how to read them."""
    text = preface("Robustness of the systems", result)
    text += 'Rows are ranked within a task only; "=": the system does not use that sense.\n'
    text += "".join(section(target, task, result["columns"]) for target, task in result["tasks"].items())
    if "gate_gain" in result:
        rows = [[c, percent(g["gain"], True), percent(g["beyond_clean"], True)] for c, g in result["gate_gain"].items()]
        gain = table(["inputs", "gated - ungated", "the same, minus the clean difference"], rows)
        text += f"\n## What the gate gains (points of accuracy, paired by seed)\n\n{gain}\n"
    return text


def section(target, task, columns):
    """The tables of one task."""
    names, show = metrics_of(target), plain if task["task"] == "regression" else percent
    headline, unit = next(iter(names)), "" if task["task"] == "regression" else " (%)"
    broken = [[row, *(entry(by[c], headline, show) for c in columns)] for row, by in task["rows"].items()]
    shown = [m for m in names if m in next(iter(task["rows"].values()))[columns[0]]]
    clean = [[row, *(show(by[columns[0]][m]) for m in shown)] for row, by in task["rows"].items()]
    chance = f"Chance is {100 / len(task['classes']):.1f} %; " if task["task"] == "classes" else ""
    constant = f"{chance}{CONSTANT[task['task']]} gives {show(task['constant'])}{unit and ' %'}."
    constant = constant[0].upper() + constant[1:]
    kinds, clips = "dimensions" if task["task"] == "regression" else "classes", ", ".join(map(str, task["test_clips"]))
    return f"""
## {target}: {names[headline]}{unit} with broken inputs

{len(task["classes"])} {kinds}, {clips} test clips. {constant}

{table(["system", *columns], broken)}

### {target}: clean inputs{unit}

{table(["system", *(names[m] for m in shown)], clean)}
"""
