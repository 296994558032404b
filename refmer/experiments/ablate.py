"""Each paper's ablation table: take parts of a system away, or exchange them, by the switches of its Config."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from refmer.data import targets
from refmer.evaluate.statistics import spread, verdicts
from refmer.experiments import report
from refmer.experiments.compare import score
from refmer.experiments.figures import COLOURS
from refmer.experiments.publish import prepare, publish
from refmer.experiments.report import preface, provenance
from refmer.experiments.run import cell, execute, with_target
from refmer.recognizer import HEADLINES
from refmer.systems.of_cmaer_cat import LADDER


class Rung(NamedTuple):
    """A line of an ablation table: its group, the changes to the Config, the published score if one is printed."""

    group: str
    changes: dict
    published: float | None = None


def loss_weights(main, audio, visual, published):
    """A line of paper 002's Table 4."""
    return Rung("loss weights (Table 4)", {"weights": [main, audio, visual]}, published)


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
        "mean token": Rung("token (Fig. 7)", {"token": "mean"}),
        "prepended token": Rung("token (Fig. 7)", {"token": "prepended"}),
        "scale fixed at 1/2": Rung("learned scale (3.3)", {"mix": "fixed"}),
        "no scale": Rung("learned scale (3.3)", {"mix": "off"}),
        ".20 .40 .40": loss_weights(0.2, 0.4, 0.4, 0.773),
        ".30 .35 .35": loss_weights(0.3, 0.35, 0.35, 0.774),
        ".40 .30 .30": loss_weights(0.4, 0.3, 0.3, 0.773),
        ".50 .25 .25": loss_weights(0.5, 0.25, 0.25, 0.769),
        ".60 .20 .20": loss_weights(0.6, 0.2, 0.2, 0.772),
        ".70 .15 .15": loss_weights(0.7, 0.15, 0.15, 0.769),
        ".80 .10 .10": loss_weights(0.8, 0.1, 0.1, 0.770),
        "0 .50 .50": loss_weights(0.0, 0.5, 0.5, 0.738),
        ".90 0 .10": loss_weights(0.9, 0.0, 0.1, 0.738),
        ".90 .10 0": loss_weights(0.9, 0.1, 0.0, 0.742),
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
SEEDS, QUICK_SEEDS, QUICK_RUNGS, QUICK_COLUMNS = 5, 2, 2, ("clean", "no face")


def ablate(system, out, seeds=None, quick=False, jobs=1, scheduler=None, protocol="default", corpora=None):
    """Train a system without each of its parts, on the same splits and from the same initial weights of what is left.

    Parameters
    ----------
    system : str
        Name in RUNGS.
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; finished cells are not computed again.
    seeds : int, optional
        Default: 5.
    quick : bool
        2 seeds, the full model and 2 others, clean and without the face.
    jobs, scheduler, protocol, corpora
        As in `compare`.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError, ValueError, OSError
        A system without an ablation table, an unknown protocol, seeds or jobs below 1, a folder that cannot be written.
    """
    if system not in RUNGS:
        raise KeyError(f"{system!r} has no ablation table; accepted: {', '.join(RUNGS)}")
    rungs, columns = RUNGS[system], tuple(COLUMNS)
    if quick:
        others = [name for name, rung in rungs.items() if rung.changes][:QUICK_RUNGS]
        rungs, columns = {name: rungs[name] for name in rungs if not rungs[name].changes or name in others}, QUICK_COLUMNS
    rows = {name: with_target(system, rung.changes) for name, rung in rungs.items()}
    plan, corpora, data = prepare(rows, protocol, QUICK_SEEDS if quick else SEEDS if seeds is None else seeds, corpora)
    models = [
        [cell(row, *rows[row], plan, seed, data, kind="ablation", column=c, corruption=COLUMNS[c]) for c in columns]
        for row in rows
        for seed in range(plan.seeds)
    ]
    found = execute(models, measure, corpora, out, jobs, scheduler, f"ablate {system}")
    result = provenance(plan, protocol, corpora, data) | summary(system, rungs, columns, plan, found)
    publish(out, result, markdown(result), {"ablation": chart(result)})
    return result


def measure(model, cell, train, test):
    """The result of one cell."""
    return score(model, cell, train, test, 0)


def summary(system, rungs, columns, plan, found):
    """Scores of every rung, and its difference to the full model, paired by seed; p: that it is worse, one-sided, Holm."""
    target = found[0][0]["config"]["target"]
    headline = HEADLINES[targets.task_of(target)]
    scores = {}
    for c, result in found:
        scores.setdefault(c["row"], {}).setdefault(c["column"], []).append(result.get(headline))
    (full,) = (name for name, rung in rungs.items() if not rung.changes)
    lines = {
        name: {"group": rung.group, "changes": rung.changes, "published": rung.published}
        | {"scores": {c: None if None in scores[name][c] else spread(scores[name][c]) for c in columns}}
        for name, rung in rungs.items()
    }
    for c in columns:
        differences = {
            name: np.subtract(line["scores"][c]["values"], lines[full]["scores"][c]["values"]).tolist()
            for name, line in lines.items()
            if name != full and line["scores"][c] is not None
        }
        for name, difference in compared(differences, plan).items():
            lines[name].setdefault("differences", {})[c] = difference
    some = next(result for c, result in found if c["row"] == full)
    return {
        "system": system,
        "target": target,
        "metric": report.metrics_of(target)[headline],
        "columns": list(columns),
        "full": full,
        "rungs": lines,
        "test_clips": some["n"],
    }


def compared(differences, plan):
    """{name: spread of its differences, their corrected 95 % interval and p}; of one seed, the spread alone."""
    if plan.seeds < 2 or not differences:
        return {name: spread(values) for name, values in differences.items()}
    tested = verdicts(differences, 0.0, "less", plan.test / (1 - plan.test - plan.dev))
    return {name: found["effect"] | {k: found[k] for k in ("interval", "p")} for name, found in tested.items()}


def units(result):
    """(factor, unit, digits) of the scores: percent, but for a concordance."""
    return (1, "", 2) if targets.task_of(result["target"]) == "regression" else (100, " (%)", 1)


def markdown(result):
    """results.md: scores, and differences to the full model, next to the published ones."""
    factor, unit, digits = units(result)
    show = report.plain if factor == 1 else report.percent
    full, rungs, columns = result["rungs"][result["full"]], result["rungs"], result["columns"]

    def number(value, sign=""):
        return "-" if value is None else f"{factor * value:{sign}.{digits}f}"

    def difference(name, column):
        found = rungs[name].get("differences", {}).get(column)
        if found is None:
            return "-" if name == result["full"] else "="
        text = number(found["mean"], "+") + ("" if found["sd"] is None else f" ± {number(found['sd'])}")
        return text if found["sd"] is None else f"{text} [{', '.join(number(x, '+') for x in found['interval'])}]"

    def published(line):
        return None if None in (line["published"], full["published"]) else line["published"] - full["published"]

    lost = " A sub-sequence without half of its frames counts as missing: of 90 % lost, nothing is left." if factor == 1 else ""
    scores = [
        [name, line["group"], number(line["published"]), *("=" if s is None else show(s) for s in line["scores"].values())]
        for name, line in rungs.items()
    ]
    against = [
        [name, number(published(line), "+"), *(difference(name, c) for c in columns), p_of(line)]
        for name, line in rungs.items()
        if name != result["full"]
    ]
    return f"""{preface(f"Ablation of {result['system']}", result)}
## {result["metric"]}{unit}

{result["target"]}, {result["test_clips"]} test clips. "published": on the paper's own data, "-" where no number is printed.
"=": the row does not use that sense.{lost}

{report.table(["row", "part", "published", *columns], scores)}

## Difference to the full model ({result["full"]})

Paired by seed: mean ± standard deviation [95 % interval, corrected for overlapping splits]. p: one-sided, that the row is worse
on clean inputs, corrected over the rows (Holm).

{report.table(["row", "published", *columns, "p (clean)"], against)}
"""


def p_of(line):
    """p of a row on clean inputs, as text."""
    p = line["differences"]["clean"].get("p")
    return "-" if p is None else f"{p:.3f}"


def chart(result):
    """Differences to the full model: a panel for each condition of the inputs, a row for each rung."""
    factor, unit, _ = units(result)
    rows = {name: line for name, line in result["rungs"].items() if name != result["full"]}
    figure = Figure(figsize=(2.2 + 2.7 * len(result["columns"]), 1.6 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(result["columns"]), sharey=True, sharex=True, squeeze=False)[0]
    groups = list(dict.fromkeys(line["group"] for line in rows.values()))
    for ax, column in zip(axes, result["columns"], strict=True):
        for y, line in enumerate(rows.values()):
            found = line["differences"].get(column)
            if found is None:
                continue
            colour = COLOURS[groups.index(line["group"]) % len(COLOURS)]
            ax.plot(factor * np.array(found["values"]), [y] * len(found["values"]), "o", color=colour, ms=3, alpha=0.35, mew=0)
            ax.errorbar(factor * found["mean"], y, xerr=factor * (found["sd"] or 0), fmt="o", color=colour, ms=6, capsize=2)
        ax.axvline(0, color="grey", linewidth=1)
        ax.set_title(column, loc="left", fontsize=10)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
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
    figure.supxlabel(
        f"{points}; dots: {len(result['seeds'])} seeds, mean ± sd; {result['test_clips']} synthetic test clips each"
    )
    figure.suptitle(f"{result['system']}: what each part is worth (row minus full model)", fontweight="bold")
    return figure
