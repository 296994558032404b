"""What quantization costs and gains: two recognizers on the same clips, the statistics of many such pairs, text and figure."""

import time

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from refmer import params
from refmer.evaluate.statistics import verdicts
from refmer.int8.model import decisions, size_table
from refmer.systems import find
from refmer.train.fit import take

MARGIN = 0.005  # half a point: what counts as no change
BATCHES = {1: 400, 32: 100}  # clips at once: repetitions
NAMES = ("float32", "int8")
COLOURS = ("#0072B2", "#D55E00")
SCORES = {"classes": "accuracy", "votes": "macro F1", "regression": "CCC"}


def compare(model, small, clips):
    """Both recognizers on the same labelled clips.

    Returns
    -------
    dict
        `clips`; `scores`, of both; `worst`, the largest difference of a logit (of a regression: of valence or arousal); and,
        unless it is a regression, `decisions`, their number, `same`, how many agree, `only`, how many only one has right.
    """
    key = "affect" if model.task == "regression" else "logits"
    found = {"clips": len(clips), "scores": [float(m.score(clips)) for m in (model, small)]}
    found["worst"] = float(np.abs(model.outputs(clips)[key] - small.outputs(clips)[key]).max())
    if key == "affect":
        return found
    (answer, right), (small_answer, small_right) = (decisions(m, clips) for m in (model, small))
    found |= {"decisions": right.size, "same": int((answer == small_answer).sum())}
    return found | {"only": [int((right & ~small_right).sum()), int((small_right & ~right).sum())]}


def summary(pairs, test_per_train):
    """Statistics of the paired results of `compare`, one for each fold and seed.

    Parameters
    ----------
    pairs : list of dict
    test_per_train : float
        Clips tested for each clip trained on: folds overlap in training (evaluate/statistics.py).

    Returns
    -------
    dict
        `scores`, their means; `change`, as from `verdicts` ("equal" within half a point); `worst`; and, unless it is a
        regression, `agreement`, `decisions`, `only` and `mcnemar`: p of the exact test (McNemar 1947) that as many decisions
        are right with float32 only as with int8 only. Seeds test the same clips again, so that p is too small if it errs.
    """
    scores = np.array([pair["scores"] for pair in pairs])
    found = {"scores": scores.mean(0).tolist(), "runs": len(pairs), "worst": max(pair["worst"] for pair in pairs)}
    found["change"] = verdicts({"change": scores[:, 1] - scores[:, 0]}, MARGIN, "equal", test_per_train)["change"]
    if "decisions" not in pairs[0]:
        return found
    total = {key: sum(pair[key] for pair in pairs) for key in ("decisions", "same")}
    only = np.sum([pair["only"] for pair in pairs], 0).tolist()
    p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    return found | {
        "agreement": total["same"] / total["decisions"],
        "decisions": total["decisions"],
        "only": only,
        "mcnemar": p,
    }


def latency(model, small, clips):
    """{batch size: [float32, int8], each (median, 99th percentile) in ms per clip} of the forward pass on one thread.

    The two take turns: what else the machine does slows both. Standardised inputs are made before, once for both.
    """
    batch, system, found = model.batch(clips), find(model.system), {}
    with threadpool_limits(1):
        for n, repetitions in BATCHES.items():
            rows, spent = take(batch, np.arange(n) % len(clips)), ([], [])
            for repetition in range(-3, repetitions):
                for m, times in zip((model, small), spent, strict=True):
                    start = time.perf_counter()
                    system.forward(m.p_, rows, m.config_)
                    if repetition >= 0:
                        times.append((time.perf_counter() - start) * 1e3 / n)
            found[n] = [(float(np.median(times)), float(np.quantile(times, 0.99))) for times in spent]
    return found


def text(model, small, sizes, times, own, crossed=None):
    """The report. sizes: bytes of both files; times: from `latency`; own: `compare` on clips; crossed: `summary`."""
    before, after = sizes
    lines = [
        f"{model.system} ({model.size}), {model.config_.target}: {params.count(model.p_.description):,} parameters",
        "",
        tensors(small),
        "",
        f"{'file':<11}{before / 1e6:.3f} -> {after / 1e6:.3f} MB ({100 * (after / before - 1):+.1f} %)",
    ]
    for n, (a, b) in times.items():
        shown = "".join(f"{name} {m:.3f} ms (p99 {p:.3f}), " for name, (m, p) in zip(NAMES, (a, b), strict=True))
        lines.append(f"{'latency':<11}{n} at once, per clip: {shown}{a[0] / b[0]:.2f} times as fast")
    lines += ["", f"This file on the {own['clips']} bundled synthetic clips", *agreement(own)]
    if crossed is not None:
        lines += ["", f"Trained anew, {crossed['runs']} times, tested on speakers it has not met", *changes(model, crossed)]
    return "\n".join(lines)


def tensors(small):
    """The size table as text."""
    head = {"tensor": "tensor", "dtype": "dtype", "shape": "shape", "bytes": "bytes", "why": "why"}
    rows = [{k: f"{v:,}" if k == "bytes" else str(v) for k, v in row.items()} for row in size_table(small)]
    wide = {k: max(len(row[k]) for row in [head, *rows]) for k in head}
    lines = ["  ".join(row[k].rjust(wide[k]) if k == "bytes" else row[k].ljust(wide[k]) for k in head) for row in [head, *rows]]
    total = sum(row["bytes"] for row in size_table(small))
    inside = sum(row["bytes"] for row in size_table(small) if row["dtype"] == "int8")
    return "\n".join([line.rstrip() for line in lines] + [f"{total:,} bytes, {inside:,} of them in learned maps"])


def agreement(found):
    """Lines on the answers of both: of `compare`, or of `summary`."""
    lines = []
    if "decisions" in found:
        same = found.get("agreement", found.get("same", 0) / found["decisions"])
        lines.append(f"{'agreement':<11}{100 * same:.2f} % of {found['decisions']} decisions")
    return [*lines, f"{'worst':<11}difference of {found['worst']:.4f} in an output"]


def changes(model, crossed):
    """Lines on the change of the score."""
    name, change = SCORES[model.task], crossed["change"]
    low, high = (100 * end for end in change["interval"])
    (a, b), mean = (100 * score for score in crossed["scores"]), 100 * change["effect"]["mean"]
    lines = [
        f"{'score':<11}{name} {a:.2f} -> {b:.2f} %: {mean:+.2f} points, 95 % [{low:+.2f}, {high:+.2f}]",
        f"{'equal':<11}within {100 * MARGIN:g} points: {change['verdict']} (p = {change['p']:.3g})",
    ]
    if "mcnemar" in crossed:
        only = crossed["only"]
        lines.append(
            f"{'McNemar':<11}right in float32 only {only[0]}, in int8 only {only[1]}: p = {crossed['mcnemar']:.3g} (exact)"
        )
    return lines + agreement(crossed)


def figure(model, sizes, times, crossed=None):
    """Size, latency and score, float32 beside int8."""
    panels = 2 if crossed is None else 3
    drawn = Figure(figsize=(3.4 * panels, 3.6), layout="constrained")
    axes = drawn.subplots(1, panels)
    axes[0].bar(NAMES, [n / 1e6 for n in sizes], color=COLOURS)
    axes[0].set_ylabel("file (MB)")
    for i, name in enumerate(NAMES):
        medians, high = (np.array([both[i][k] for both in times.values()]) for k in (0, 1))
        place = np.arange(len(times)) + 0.4 * (i - 0.5)
        axes[1].bar(place, medians, 0.38, color=COLOURS[i], label=name)
        axes[1].errorbar(place, medians, [0 * medians, high - medians], fmt="none", ecolor="black", capsize=3)
    axes[1].set_xticks(range(len(times)), [f"{n} at once" for n in times])
    axes[1].set_yscale("log")
    axes[1].set_ylabel("median per clip, to 99th percentile (ms)")
    axes[1].legend(frameon=False)
    if crossed is not None:
        values = 100 * np.array(crossed["change"]["effect"]["values"])
        low, high = (100 * end for end in crossed["change"]["interval"])
        mean = 100 * crossed["change"]["effect"]["mean"]
        axes[2].axhspan(-100 * MARGIN, 100 * MARGIN, color="0.92")
        axes[2].plot(np.linspace(-0.3, 0.3, len(values)), values, "o", color=COLOURS[1], alpha=0.5, markersize=4)
        axes[2].errorbar([0.6], [mean], [[mean - low], [high - mean]], fmt="s", color="black", capsize=4)
        axes[2].set_xticks([0, 0.6], [f"{len(values)} trainings", "mean, 95 %"])
        axes[2].set_ylabel(f"{SCORES[model.task]}: int8 - float32 (points)")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    drawn.suptitle(f"{model.system} ({model.size}) in INT8, synthetic corpus", fontweight="bold")
    return drawn
