"""From cells to tables: a pure function of what the cells hold."""

import numpy as np

from refmer.experiments.cells import VERSIONS

METRICS = {
    "accuracy": "Acc-7",
    "acc2_has0": "Acc-2 (0 is positive)",
    "acc2_non0": "Acc-2 (without 0)",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
}
GATED, UNGATED = "openface_adaptive", "openface_adaptive@no-gate"


def spread(values):
    """Mean and standard deviation (ddof 1; None for a single value) over seeds."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None, "values": values}


def summary(found, clips, data, columns):
    """What results.json holds.

    Parameters
    ----------
    found : list of (cell, result)
    clips : Clips
    data : str
        Their checksum.
    columns : sequence of str
        Corruptions, in order.
    """
    scores = {}
    for cell, result in found:
        if cell["kind"] == "scores":
            scores.setdefault(cell["row"], {}).setdefault(cell["column"], {})[cell["seed"]] = result
    seeds = sorted({cell["seed"] for cell, _ in found})
    first = next(iter(scores.values()))[columns[0]]
    values = {
        row: {c: {m: spread([by[c][s][m] for s in seeds]) for m in METRICS} for c in columns} for row, by in scores.items()
    }
    result = {
        "data": {"source": clips.source, "checksum": data, "clips": len(clips), "speakers": len(np.unique(clips.speaker))},
        "versions": VERSIONS,
        "seeds": seeds,
        "columns": list(columns),
        "target": first[seeds[0]]["target"],
        "classes": first[seeds[0]]["classes"],
        "test_clips": [first[s]["n"] for s in seeds],
        "majority": spread([first[s]["majority"] for s in seeds]),
        "rows": values,
        "confusion": {row: np.sum([by[columns[0]][s]["confusion"] for s in seeds], 0).tolist() for row, by in scores.items()},
    }
    if GATED in values and UNGATED in values:
        result["gate_gain"] = gate_gain(values, columns)
    traces = [r for cell, r in found if cell["kind"] == "gates"]
    return result | ({"gates": average_gates(traces)} if traces else {})


def gate_gain(values, columns):
    """Gated minus ungated accuracy per seed, and the same minus the clean difference (the gain under noise alone)."""
    gain = {c: np.subtract(*(values[row][c]["accuracy"]["values"] for row in (GATED, UNGATED))) for c in columns}
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
    sign = "+" if signed else ""
    text = f"{100 * value['mean']:{sign}.1f}"
    return text if value["sd"] is None else f"{text} ± {100 * value['sd']:.1f}"


def table(head, rows):
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def markdown(result):
    """results.md: what was run, the tables, how to read them."""
    n, seeds, data = result["test_clips"], result["seeds"], result["data"]
    over = f"mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    corrupted = table(
        ["system", *result["columns"]],
        [[row, *(percent(by[c]["accuracy"]) for c in result["columns"])] for row, by in result["rows"].items()],
    )
    clean = table(
        ["system", *METRICS.values()],
        [[row, *(percent(by[result["columns"][0]][m]) for m in METRICS)] for row, by in result["rows"].items()],
    )
    text = f"""# Robustness of the systems

Data: {data["source"]} ({data["clips"]} clips, {data["speakers"]} speakers, checksum {data["checksum"]}). **Synthetic**: the
numbers compare mechanisms, they say nothing about real people and are not the published ones.
Target: {result["target"]}, {len(result["classes"])} classes. Splits are by speaker, 25 % test ({", ".join(map(str, n))} clips);
{over}. Chance is {100 / len(result["classes"]):.1f} %; always saying the most frequent training class gives
{percent(result["majority"])} %.

## Accuracy (%) with broken inputs

{corrupted}

## Clean inputs (%)

{clean}
"""
    if "gate_gain" in result:
        rows = [[c, percent(g["gain"], True), percent(g["beyond_clean"], True)] for c, g in result["gate_gain"].items()]
        gain = table(["inputs", "gated - ungated", "the same, minus the clean difference"], rows)
        text += f"\n## What the gate gains (points of accuracy, paired by seed)\n\n{gain}\n"
    return text
