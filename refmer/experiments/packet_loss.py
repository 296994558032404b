"""Bursty loss in both senses at once (paper 004, IV-C2 and Fig. 5): the same share of frames, in short and in long bursts."""

import numpy as np

from refmer.data.corrupt import corrupt
from refmer.data.gaps import GilbertElliott, extent
from refmer.evaluate.statistics import spread
from refmer.experiments import report, style
from refmer.experiments.report import metrics_of, percent
from refmer.experiments.rows import resolve_all
from refmer.text import table

ROWS = ("raver@emotion", "vavl", "auxformer", "mult", "sfav", "transformer_lstm")
DRAWN = "macro_f1"  # the metric of Fig. 5
SENSES = "voice+face"
SETTINGS = {  # (p_good_to_bad, p_bad_to_good) = (1 - p_N, 1 - p_L), if the paper's p_L and p_N are probabilities of staying
    "none": None,
    "9 %, short bursts": (0.05, 0.5),
    "9 %, long bursts": (0.01, 0.1),
    "33 %, short bursts": (0.25, 0.5),
    "33 %, long bursts": (0.05, 0.1),
    "50 %, short bursts": (0.5, 0.5),
    "50 %, long bursts": (0.1, 0.1),
    "67 %, short bursts": (1.0, 0.5),
    "67 %, long bursts": (0.2, 0.1),
    "90 %, long bursts": (0.9, 0.1),
}
QUICK = ("none", "50 %, short bursts", "50 %, long bursts")


def rows(quick, rows=ROWS):
    """Rows of one target."""
    return resolve_all(rows)


def trainings(setup):
    """Each row with every setting of a Gilbert-Elliott channel.

    Voice and face lose the same moments; the chain has 25 slots a second and starts in the good state, as the paper's.
    """
    channels = [
        {"kind": "packet_loss", "senses": SENSES, "setting": name, "channel": SETTINGS[name]}
        for name in (QUICK if setup.quick else SETTINGS)
    ]
    return [(row, resolved, channels) for row, resolved in setup.rows.items()]


def measure(model, cell, train, test):
    """All scores, and the loss of the channel: expected of clips of these lengths, and counted."""
    broken, lost = test, {"expected": 0.0, "measured": 0.0}
    if cell["channel"] is not None:
        broken = corrupt(test, cell["senses"], "bursty", cell["channel"], seed=cell["seed"])
        lost = {"expected": expected(test, GilbertElliott(*cell["channel"])), "measured": measured(test, broken)}
    scores = model.scores(model.predict(broken), test)
    names = [m for m in metrics_of(model.task, model.class_names_) if m in scores and not np.isnan(scores[m])]
    return {"n": len(test), "scores": {name: scores[name] for name in names}} | lost


def hit_streams(clips):
    """The streams that the channel hits, by name."""
    return {name: s for name, s in clips.streams.items() if s.sense in SENSES.split("+")}


def expected(clips, chain):
    """Expected share of lost time over clips of these lengths: below the long run's, since every clip starts in the good state.

    A clip is as long as the longest of its streams.
    """
    seconds = np.max([extent(s.mask).sum(1) / s.rate for s in hit_streams(clips).values()], axis=0)
    slots = np.maximum(np.round(seconds * chain.rate).astype(int), 1)
    return float(np.average([chain.expected_loss(n) for n in slots.tolist()], weights=slots))


def measured(clips, broken):
    """Share of lost frames: the mean over the streams."""
    return float(np.mean([1 - broken.streams[k].mask.sum() / s.mask.sum() for k, s in hit_streams(clips).items()]))


def summary(setup, results):
    """The settings with their expected and measured loss, and all scores of each row."""
    by = report.gather(results, "setting")
    first = next(iter(by.values()))  # the draws are the same for all rows
    result = report.provenance_of_rows(setup, results) | {"settings": {}, "scores": {}}
    for name, of_row in first.items():
        channel = SETTINGS[name]
        chain = None if channel is None else GilbertElliott(*channel)
        result["settings"][name] = {
            "p_good_to_bad": chain and chain.p_good_to_bad,
            "p_bad_to_good": chain and chain.p_bad_to_good,
            "long_run": chain.expected_loss() if chain else 0.0,
            "burst_seconds": chain and chain.mean_burst() / chain.rate,
        } | {key: float(np.mean([r[key] for r in of_row])) for key in ("expected", "measured")}
    common = [m for m in results[0][1]["scores"] if all(m in r["scores"] for _, r in results)]
    for row, of in by.items():
        result["scores"][row] = {
            name: {m: spread([r["scores"][m] for r in seeds]) for m in common} for name, seeds in of.items()
        }
    return result


def markdown(result):
    """results.md: the loss of the channel, then a table per metric."""
    setting = result["settings"]
    shares = [
        [name, *(f"{x:.2f}" for x in (s["p_good_to_bad"], s["p_bad_to_good"], s["burst_seconds"]))]
        + [f"{100 * s[key]:.1f}" for key in ("long_run", "expected", "measured")]
        for name, s in setting.items()
        if s["p_good_to_bad"] is not None
    ]
    head = ["setting", "p good to bad", "p bad to good", "mean burst (s)", "long run", "expected in these clips", "measured"]
    text = report.preface_of_rows("Bursty loss in voice and face at once", result)
    text += f"""
## What is lost (% of the frames)

{table(head, shares)}

Slots are 1/25 s; every clip starts in the good state (paper 004), so that short clips lose less than the long run. With p_L and
p_N as probabilities of staying, p_N = 1 - p good to bad and p_L = 1 - p bad to good.
"""
    names = metrics_of(result["task"], result["classes"])
    for metric in next(iter(next(iter(result["scores"].values())).values())):
        body = [[row, *(percent(by[name][metric]) for name in setting)] for row, by in result["scores"].items()]
        text += f"\n## {names[metric]} (%)\n\n{table(['system', *setting], body)}\n"
    return text


def draw(result):
    """The macro F1 of every row under every setting, mean and sd over seeds, as 004, Fig. 5."""
    setting, rows = result["settings"], result["scores"]
    figure, ((ax,),) = style.panels((4.2 + 0.8 * len(setting), 4.6))
    for i, (row, by) in enumerate(rows.items()):
        x = np.arange(len(setting)) + 0.75 * ((i + 0.5) / len(rows) - 0.5)
        mean, sd = [100 * by[s][DRAWN]["mean"] for s in setting], [100 * (by[s][DRAWN]["sd"] or 0) for s in setting]
        ax.errorbar(x, mean, yerr=sd, linestyle="none", markersize=5, capsize=2, elinewidth=1.2, label=row, **style.look(i))
    for edge in np.arange(len(setting) - 1) + 0.5:
        ax.axvline(edge, color="0.9", linewidth=0.8)
    ax.set_xticks(range(len(setting)), [tick(s) for s in setting.values()], fontsize=8)
    ax.set_xlim(-0.5, len(setting) - 0.5)
    ax.set_ylim(0, 100)
    ax.set_ylabel(f"{metrics_of(result['task'], result['classes'])[DRAWN]}, {result['target']} (%)")
    ax.set_xlabel(f"expected loss in these clips, mean burst\nmean and sd; {report.measured(result)}")
    figure.suptitle(f"Bursty loss in voice and face at once ({report.origin(result)})", fontweight="bold")
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return {"packet-loss": figure}


def tick(setting):
    """A setting under the axis."""
    if setting["p_good_to_bad"] is None:
        return "nothing\nlost"
    return f"{100 * setting['expected']:.0f} %\n{setting['burst_seconds']:.2f} s"
