"""`refmer quantize`: costs and gains of INT8, for a saved recognizer and others like it over folds of speakers and seeds."""

import sys
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer import params
from refmer.data.files import check_writable
from refmer.evaluate.statistics import verdicts
from refmer.experiments import run, style
from refmer.experiments.data import load, origin_of
from refmer.experiments.style import COLOURS
from refmer.int8.model import decisions, quantize, sensitivity, size_table
from refmer.recognizer import Recognizer, load_recognizer
from refmer.systems import find
from refmer.text import table
from refmer.train.fit import step_seconds, take

MARGIN = 0.005  # half a point: no change
BATCHES = {1: 400, 32: 100}  # clips at once: repetitions
NAMES = ("float32", "int8")
SCORES = {"classes": "accuracy", "ordinal": "accuracy", "votes": "macro F1", "regression": "CCC"}


def quantization(
    file, out=None, folder="refmer-quantize", folds=5, seeds=5, jobs=1, options=None, each=False, data=None, groups=None
):
    """Quantize a saved recognizer and report what that changes.

    Parameters
    ----------
    file : str or path
        Written by `Recognizer.save`.
    out : str or path, optional
        Where to write the small one; default: NAME-int8.npz in the same folder.
    folder : str or path
        For the figure and finished trainings, which are not computed again.
    folds, seeds : int
        Cross-validation: each seed divides the speakers into folds, and each fold is tested once. 0 seeds: none.
    jobs : int
        Processes.
    options : dict, optional
        Of `refmer.quantize`: activations, per_channel, clip, observer, finetune.
    each : bool
        Report also each learned map by itself.
    data : str, optional
        NAME:PATH as `refmer.read_data` reads them; default: the bundled corpus.
    groups : str, optional
        What folds keep apart: "speaker" (default), "name" or a label of classes.

    Returns
    -------
    str
        The report.

    Raises
    ------
    ValueError, OSError
        Less than 2 folds, jobs below 1, a file that is no float recognizer, unknown options, a folder that cannot be written.
    """
    if folds < 2 or seeds < 0 or jobs < 1:
        raise ValueError(f"folds is {folds}, seeds {seeds}, jobs {jobs}; accepted: at least 2 folds, 0 seeds, 1 job")
    file, options = Path(file), options or {}
    out = file.with_name(f"{file.stem}-int8.npz") if out is None else Path(out)
    check_writable(out)
    model = load_recognizer(file)
    clips, _ = load(model.config_.target, data, model.config_.target, groups)
    small = quantized(model, clips[np.isin(clips.speaker, model.speakers_)], options)
    small.save(out)
    sizes = [path.stat().st_size for path in (file, out)]
    crossed = cross_validation(model, clips, folder, folds, seeds, jobs, options) if seeds else None
    times = latency(model, small, clips)
    picture = Path(folder) / "figures" / f"{file.stem}-int8.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    style.save(draw(model, sizes, times, origin_of([clips.source]), crossed), picture)
    text = report(model, small, sizes, times, compare(model, small, clips), origin_of([clips.source]), crossed)
    text += f"\n\n{sensitivities(model, clips)}" if each else ""
    return f"{text}\n\nSmall recognizer: {out}; figure: {picture}"


def quantized(model, train, options):
    """The recognizer quantized, with its training clips where the options need any."""
    needed = options.get("finetune") or options.get("activations") == "static"
    return quantize(model, train if needed else None, **options)


def cross_validation(model, clips, folder, folds, seeds, jobs, options):
    """`summary` of a recognizer like this one, trained again for each fold of each seed."""
    speakers = len(np.unique(clips.speaker))
    if folds > speakers:
        raise ValueError(f"folds is {folds}; accepted: at most {speakers}, the number of speakers")
    place = Path(folder) / "cells"
    place.mkdir(parents=True, exist_ok=True)
    like = {"system": model.system, "size": model.size, "config": model.config, "epochs": model.recipe_.epochs}
    like |= {name: getattr(model, name) for name in ("streams", "label") if getattr(model, name) is not None}
    like |= {"kind": "quantize", "options": options, "data": run.checksum(clips), "folds": folds}
    cells = [like | {"seed": seed, "fold": fold} for seed in range(seeds) for fold in range(folds)]
    missing = [cell for cell in cells if run.read(place, cell) is None]
    if missing:
        print(expected(model, clips, len(missing), jobs), file=sys.stderr)
    done = len(cells) - len(missing)
    bar = tqdm(total=len(cells), initial=done, desc="train", unit="model", disable=None)
    with bar, run.pool(jobs, None) as spread:
        for cell, result in spread(train_and_compare, [(clips, cell) for cell in missing]):
            run.write(place, cell, result)
            bar.update()
    pairs = [run.read(place, cell) for cell in cells]
    return summary(pairs, float(np.mean([pair["clips"] / pair["train"] for pair in pairs])))


def train_and_compare(clips, cell):
    """(cell, its result): train on all folds but one, quantize, compare on that one."""
    deal = GroupKFold(cell["folds"], shuffle=True, random_state=cell["seed"])
    train, test = list(deal.split(clips.name, groups=clips.speaker))[cell["fold"]]
    with threadpool_limits(1):
        own = {name: cell[name] for name in ("streams", "label") if name in cell}
        model = Recognizer(cell["system"], cell["size"], cell["config"], cell["seed"], cell["epochs"], **own)
        with redirect_stderr(StringIO()):  # where every training would print its size and time
            model.fit(clips[train], progress=False)
        small = quantized(model, clips[train], cell["options"])
        return cell, compare(model, small, clips[test]) | {"train": len(train)}


def expected(model, clips, trainings, jobs):
    """The expected time of the trainings, in words: as many epochs as the recognizer had, at the pace of one step now."""
    system, recipe, config = find(model.system), model.recipe_, model.config_
    part = clips[: recipe.batch]
    batch, p = take(model.labelled_batch(part, clips), slice(None)), params.init(system.describe(config), 0)
    seconds = step_seconds(system, config, p, batch, recipe) * len(model.history_) * len(clips) / len(part) * trainings / jobs
    return f"{trainings} trainings, {jobs} at a time: about {max(seconds / 60, 0.1):.1f} minutes (fewer: --folds, --seeds)"


def compare(model, small, clips):
    """Scores of both recognizers on the same labelled clips, and their differences.

    worst: of an output (logit, standardised value). But for regressions, also the number of decisions, of equal ones (same),
    and of those that only one recognizer has right (only).
    """
    result = {"clips": len(clips), "scores": [float(m.score(clips)) for m in (model, small)]}
    result["worst"] = float(np.abs(model.outputs(clips)["logits"] - small.outputs(clips)["logits"]).max())
    if model.task == "regression":
        return result
    (answer, right), (small_answer, small_right) = (decisions(m, clips) for m in (model, small))
    result |= {"decisions": right.size, "same": int((answer == small_answer).sum())}
    return result | {"only": [int((right & ~small_right).sum()), int((small_right & ~right).sum())]}


def summary(pairs, test_per_train):
    """Statistics of the results of `compare`, one for each fold and seed: means, `verdicts` of the change, exact McNemar test.

    mcnemar: p that as many decisions are right with float32 only as with int8 only (McNemar 1947). Seeds test the same clips
    again, so that this p is too small if it errs.
    """
    scores = np.array([pair["scores"] for pair in pairs])
    result = {"scores": scores.mean(0).tolist(), "runs": len(pairs), "worst": max(pair["worst"] for pair in pairs)}
    result["change"] = verdicts({"change": scores[:, 1] - scores[:, 0]}, MARGIN, "equal", test_per_train)["change"]
    if "decisions" not in pairs[0]:
        return result
    total, same = (sum(pair[key] for pair in pairs) for key in ("decisions", "same"))
    only = np.sum([pair["only"] for pair in pairs], 0).tolist()
    p = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    return result | {"agreement": same / total, "decisions": total, "only": only, "mcnemar": p}


def latency(model, small, clips):
    """{batch size: [float32, int8], each (median, 99th percentile) in ms per clip} of the forward pass on one thread.

    The two take turns: other load of the machine slows both. Standardised inputs are made before, once for both.
    """
    batch, system, result = model.batch(clips), find(model.system), {}
    with threadpool_limits(1):
        for n, repetitions in BATCHES.items():
            rows, spent = take(batch, np.arange(n) % len(clips)), ([], [])
            for repetition in range(-3, repetitions):
                for m, times in zip((model, small), spent, strict=True):
                    start = time.perf_counter()
                    system.forward(m.p_, rows, m.config_)
                    if repetition >= 0:
                        times.append((time.perf_counter() - start) * 1e3 / n)
            result[n] = [(float(np.median(times)), float(np.quantile(times, 0.99))) for times in spent]
    return result


def report(model, small, sizes, times, own, origin, crossed=None):
    """The report. sizes: bytes of both files; times: `latency`; own: `compare` on clips of `origin`; crossed: `summary`."""
    before, after = sizes
    lines = [
        f"{model.system} ({model.size}), {model.config_.target}: {params.count(model.p_.description):,} parameters",
        f"\n{tensors(small)}\n",
        f"{'file':<11}{before / 1e6:.3f} -> {after / 1e6:.3f} MB ({100 * (after / before - 1):+.1f} %)",
    ]
    for n, (a, b) in times.items():
        both = "".join(f"{name} {m:.3f} ms (p99 {p:.3f}), " for name, (m, p) in zip(NAMES, (a, b), strict=True))
        lines.append(f"{'latency':<11}{n} at once, per clip: {both}{a[0] / b[0]:.2f} times as fast")
    lines += ["", f"This file on {own['clips']} clips ({origin})", *agreement(own)]
    if crossed is not None:
        lines += ["", f"Trained again, {crossed['runs']} times, tested on other speakers", *changes(model, crossed)]
    return "\n".join(lines)


def tensors(small):
    """The size table as text."""
    rows = size_table(small)
    body = [[row["tensor"], row["dtype"], str(row["shape"]), f"{row['bytes']:,}", row["why"]] for row in rows]
    total, inside = sum(row["bytes"] for row in rows), sum(row["bytes"] for row in rows if row["dtype"] == "int8")
    text = table(["tensor", "dtype", "shape", "bytes", "why"], body, right=(3,), markdown=False)
    return f"{text}\n{total:,} bytes, {inside:,} of them in learned maps"


def sensitivities(model, clips):
    """`refmer.int8.sensitivity` as text."""
    body = [
        [r["tensor"], f"{100 * r['score']:+.2f}", f"{r['mean']:.5f}", f"{r['worst']:.5f}"] for r in sensitivity(model, clips)
    ]
    return table(["one map at a time", "score (points)", "mean |d output|", "worst"], body, right=(1, 2), markdown=False)


def agreement(result):
    """Lines on the answers of both: of `compare`, or of `summary`."""
    lines = []
    if "decisions" in result:
        same = result.get("agreement", result.get("same", 0) / result["decisions"])
        lines.append(f"{'agreement':<11}{100 * same:.2f} % of {result['decisions']} decisions")
    return [*lines, f"{'worst':<11}difference of {result['worst']:.4f} in an output"]


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
        (a, b), p = crossed["only"], crossed["mcnemar"]
        lines.append(f"{'McNemar':<11}right in float32 only {a}, in int8 only {b}: p = {p:.3g} (exact)")
    return lines + agreement(crossed)


def draw(model, sizes, times, origin, crossed=None):
    """Size, latency and score, float32 next to int8."""
    n = 2 if crossed is None else 3
    figure, (axes,) = style.panels((3.4 * n, 3.6), 1, n)
    axes[0].bar(NAMES, [size / 1e6 for size in sizes], color=COLOURS[:2])
    axes[0].set_ylabel("file (MB)")
    for i, name in enumerate(NAMES):
        medians, high = (np.array([both[i][k] for both in times.values()]) for k in (0, 1))
        place = np.arange(len(times)) + 0.4 * (i - 0.5)
        axes[1].bar(place, medians, 0.38, color=COLOURS[i], label=name)
        axes[1].errorbar(place, medians, [0 * medians, high - medians], fmt="none", ecolor="black", capsize=3)
    axes[1].set_xticks(range(len(times)), [f"{n} at once,\n{BATCHES[n]} times" for n in times])
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
    figure.suptitle(f"{model.system} ({model.size}) in INT8, {origin}", fontweight="bold")
    return figure
