"""Each paper's ablation table: parts of a system removed or exchanged by the switches of its Config."""

from typing import NamedTuple

import numpy as np

from refmer.evaluate.statistics import spread, verdicts
from refmer.experiments import compare, report, style
from refmer.experiments.rows import with_target
from refmer.experiments.style import COLOURS
from refmer.systems.of_cmaer_cat import LADDER
from refmer.text import table


class Rung(NamedTuple):
    """A line of an ablation table: its group, the changes to the Config, the published score if one is printed."""

    group: str
    changes: dict
    published: float | None = None


RUNGS = {  # the full model is the one without changes; published: the headline metric on the paper's own data
    "openface_adaptive": {  # Table II, Acc-7 on CMU-MOSEI
        "full": Rung("parts (Table II)", {}, 0.440),
        "no gate": Rung("parts (Table II)", {"gate": False}, 0.425),
        "no Transformer": Rung("parts (Table II)", {"transformer": False}, 0.371),
        "visual only": Rung("one modality (Table II)", {"modalities": ["visual"]}, 0.263),
        "audio only": Rung("one modality (Table II)", {"modalities": ["audio"]}, 0.272),
        "text only": Rung("one modality (Table II)", {"modalities": ["text"]}, 0.408),
    },
    "of_cmaer_cat": {  # Table 4, accuracy on IEMOCAP
        name: Rung("ladder (Table 4)", changes, published)
        for (name, changes), published in zip(LADDER.items(), (0.812, 0.869, 0.897, 0.918, 0.932), strict=True)
    },
    "auxformer": {  # micro F1 (which is accuracy here) on CREMA-D; Fig. 7 prints no numbers
        "full": Rung("full", {}, 0.773),
        "no positions": Rung("positions (Table 3)", {"positions": "off"}, 0.767),
        "no layer within": Rung("self-attention replaced (Fig. 6)", {"within": "off"}, 0.760),  # "decreases by 1.3 %"
        "LSTM within": Rung("self-attention replaced (Fig. 6)", {"within": "lstm"}),
        "GRU within": Rung("self-attention replaced (Fig. 6)", {"within": "gru"}),
        "last valid step": Rung("token (Fig. 7)", {"token": "last_valid"}),
        "last step, padding masked": Rung("token (Fig. 7)", {"token": "last"}),
        "prepended token": Rung("token (Fig. 7)", {"token": "prepended"}),
        "scale fixed at 1/2": Rung("learned scale (3.3)", {"mix": "fixed"}),
        "no scale": Rung("learned scale (3.3)", {"mix": "off"}),
        **{
            name: Rung("loss weights (Table 4)", {"weights": [float(w) for w in name.split()]}, published)
            for name, published in (
                *((".20 .40 .40", 0.773), (".30 .35 .35", 0.774), (".40 .30 .30", 0.773), (".50 .25 .25", 0.769)),
                *((".60 .20 .20", 0.772), (".70 .15 .15", 0.769), (".80 .10 .10", 0.770)),
                *(("0 .50 .50", 0.738), (".90 0 .10", 0.738), (".90 .10 0", 0.742)),
            )
        },
    },
    "tlab_jca": {  # Table 4, mean CCC on Aff-Wild2; what is not in the text of 4.5 is not printed
        "full": Rung("full", {}, 0.610),
        "TCN + LSTM": Rung("without attention (Table 4)", {"attention": False}),
        "TCN": Rung("without attention (Table 4)", {"attention": False, "lstm": False}, 0.571),
        "LSTM": Rung("without attention (Table 4)", {"attention": False, "tcn": False}, 0.572),
        "nothing": Rung("without attention (Table 4)", {"attention": False, "lstm": False, "tcn": False}, 0.420),
        "TCN + attention": Rung("with attention (Table 4)", {"lstm": False}),
        "LSTM + attention": Rung("with attention (Table 4)", {"tcn": False}),
        "attention": Rung("with attention (Table 4)", {"lstm": False, "tcn": False}, 0.420),
        "residual of TLAB's outputs": Rung("defaults of the tiny size", {"residual": "tlab"}),
        "R(2+1)D of the face": Rung("defaults of the tiny size", {"face_encoder": "r2plus1d"}),
        "sound never hidden": Rung("defaults of the tiny size", {"sound_dropout": 0.0}),
    },
    "raver": {  # Fig. 2 prints no numbers, and its lengths are around that of a clip: so are these
        "full": Rung("full (8 queries)", {}),
        "2 queries": Rung("context length (Fig. 2)", {"n_context": 2}),
        "4 queries": Rung("context length (Fig. 2)", {"n_context": 4}),
        "16 queries": Rung("context length (Fig. 2)", {"n_context": 16}),
        "32 queries": Rung("context length (Fig. 2)", {"n_context": 32}),
        "mean pooling": Rung("summarizer replaced", {"summarizer": "mean"}),
        "strided pooling": Rung("summarizer replaced", {"summarizer": "strided"}),
        "no modality dropout": Rung("training", {"modality_dropout": "off"}),
        "plain cross-entropy": Rung("training", {"balance": "none"}),
        "strided, no dropout": Rung("training", {"summarizer": "strided", "modality_dropout": "off"}),
    },
}
COLUMNS = {
    "clean": None,
    "no face": {"sense": "face", "kind": "missing", "amount": 1.0},
    "no voice": {"sense": "voice", "kind": "missing", "amount": 1.0},
    "90 % of frames lost": {"sense": "voice+face", "kind": "missing", "amount": 0.9},
}
QUICK = ("clean", "no face")


def rows(quick, system):
    """The system without each of its parts; with `quick` the full model and two others."""
    if system not in RUNGS:
        raise KeyError(f"{system!r} has no ablation table; accepted: {', '.join(RUNGS)}")
    changes = {name: rung.changes for name, rung in RUNGS[system].items()}
    names = [name for name in changes if not changes[name]] + [name for name in changes if changes[name]][:2]
    return {name: with_target(system, changes[name]) for name in changes if not quick or name in names}


def trainings(setup):
    """Each row, on inputs as in COLUMNS; the remaining parts of a system start from the same initial weights."""
    kinds = [{"kind": "ablation", "column": c, "corruption": COLUMNS[c]} for c in (QUICK if setup.quick else COLUMNS)]
    return [(row, resolved, kinds) for row, resolved in setup.rows.items()]


def measure(model, cell, train, test):
    """The scores of one cell."""
    return compare.score(model, cell, train, test, 0)


def summary(setup, results):
    """Scores of each row and differences to the full model."""
    system = setup.options["system"]
    rungs = {name: RUNGS[system][name] for name in setup.rows}
    columns = QUICK if setup.quick else tuple(COLUMNS)
    return report.provenance(setup) | differences(system, rungs, columns, setup.plan, results)


def differences(system, rungs, columns, plan, results):
    """Scores of every rung, and its difference to the full model, paired by seed; p: that it is worse, one-sided, Holm."""
    target = results[0][0]["config"]["target"]
    task, classes, headline = (results[0][1][key] for key in ("task", "classes", "headline"))
    by_row = report.gather(results, "column")
    scores = {row: {c: [r.get(headline) for r in of] for c, of in by.items()} for row, by in by_row.items()}
    (full,) = (name for name, rung in rungs.items() if not rung.changes)
    lines = {
        name: {"group": rung.group, "changes": rung.changes, "published": rung.published}
        | {"scores": {c: None if None in scores[name][c] else spread(scores[name][c]) for c in columns}}
        for name, rung in rungs.items()
    }
    for c in columns:
        effects = {
            name: np.subtract(line["scores"][c]["values"], lines[full]["scores"][c]["values"]).tolist()
            for name, line in lines.items()
            if name != full and line["scores"][c] is not None
        }
        for name, difference in compared(effects, plan).items():
            lines[name].setdefault("differences", {})[c] = difference
    return {
        "system": system,
        "target": target,
        "task": task,
        "metric": report.metrics_of(task, classes)[headline],
        "columns": list(columns),
        "full": full,
        "rungs": lines,
        "test_clips": next(result["n"] for c, result in results if c["row"] == full),
    }


def compared(effects, plan):
    """{name: spread of its differences, their corrected 95 % interval and p}; of one seed, the spread alone."""
    if plan.seeds < 2 or not effects:
        return {name: spread(values) for name, values in effects.items()}
    tested = verdicts(effects, 0.0, "less", plan.test_per_train)
    return {name: test["effect"] | {k: test[k] for k in ("interval", "p")} for name, test in tested.items()}


def units(result):
    """(factor, unit, digits) of the scores: percent, but for a concordance."""
    return (1, "", 2) if result["task"] == "regression" else (100, " (%)", 1)


def markdown(result):
    """results.md: scores, and differences to the full model, next to the published ones."""
    factor, unit, digits = units(result)
    show = report.plain if factor == 1 else report.percent
    full, rungs, columns = result["rungs"][result["full"]], result["rungs"], result["columns"]

    def number(value, sign=""):
        return "-" if value is None else f"{factor * value:{sign}.{digits}f}"

    def difference(name, column):
        d = rungs[name].get("differences", {}).get(column)
        if d is None:
            return "-" if name == result["full"] else "="
        text, interval = number(d["mean"], "+"), ", ".join(number(x, "+") for x in d.get("interval", ()))
        return text if d["sd"] is None else f"{text} ± {number(d['sd'])} [{interval}]"

    def published(line):
        return None if None in (line["published"], full["published"]) else line["published"] - full["published"]

    lost = " A sub-sequence without half of its frames counts as missing: of 90 % lost, nothing is left." if factor == 1 else ""
    scores = [
        [name, line["group"], number(line["published"]), *("=" if s is None else show(s) for s in line["scores"].values())]
        for name, line in rungs.items()
    ]
    against = [
        [name, number(published(line), "+"), *(difference(name, c) for c in columns), "-" if p is None else f"{p:.3f}"]
        for name, line in rungs.items()
        if name != result["full"]
        for p in [line["differences"]["clean"].get("p")]
    ]
    return f"""{report.preface(f"Ablation of {result['system']}", result)}
## {result["metric"]}{unit}

{result["target"]}, {result["test_clips"]} test clips. "published": on the paper's own data, "-" where no number is printed.
"=": the row does not use that sense.{lost}

{table(["row", "part", "published", *columns], scores)}

## Difference to the full model ({result["full"]})

Paired by seed: mean ± standard deviation [95 % interval, corrected for overlapping splits]. p: one-sided, that the row is worse
on clean inputs, corrected over the rows (Holm).

{table(["row", "published", *columns, "p (clean)"], against)}
"""


def draw(result):
    """Differences to the full model: a panel for each condition of the inputs, a row for each rung."""
    factor, unit, _ = units(result)
    rows = {name: line for name, line in result["rungs"].items() if name != result["full"]}
    size = (2.2 + 2.7 * len(result["columns"]), 1.6 + 0.3 * len(rows))
    figure, (axes,) = style.panels(size, 1, len(result["columns"]), sharey=True, sharex=True)
    groups = list(dict.fromkeys(line["group"] for line in rows.values()))
    for ax, column in zip(axes, result["columns"], strict=True):
        for y, line in enumerate(rows.values()):
            d = line["differences"].get(column)
            if d is None:
                continue
            colour = COLOURS[groups.index(line["group"]) % len(COLOURS)]
            ax.plot(factor * np.array(d["values"]), [y] * len(d["values"]), "o", color=colour, ms=3, alpha=0.35, mew=0)
            ax.errorbar(factor * d["mean"], y, xerr=factor * (d["sd"] or 0), fmt="o", color=colour, ms=6, capsize=2)
        ax.axvline(0, color="grey", linewidth=1)
        ax.set_title(column, loc="left", fontsize=10)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    full = result["rungs"][result["full"]]["published"]
    printed = [(y, line["published"] - full) for y, line in enumerate(rows.values()) if None not in (line["published"], full)]
    if printed:
        y, x = zip(*printed, strict=True)
        axes[0].plot(factor * np.array(x), y, "D", mfc="none", mec="black", ms=6, label="published (other data)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", frameon=False, fontsize=8)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    points = "difference in " + result["metric"] + (" (points)" if unit else "")
    n, clips = len(result["seeds"]), result["test_clips"]
    figure.supxlabel(f"{points}; dots: {n} seeds, mean ± sd; {clips} test clips each ({report.origin(result)})")
    figure.suptitle(f"{result['system']}: what each part is worth (row minus full model)", fontweight="bold")
    return {"ablation": figure}
