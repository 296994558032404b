"""What INT8 changes: a recognizer trained anew over folds of speakers and seeds, each time compared with its quantized self."""

import sys
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer import params
from refmer.data.files import check_writable
from refmer.data.read import load_samples
from refmer.experiments import cells
from refmer.experiments.figures import save
from refmer.experiments.protocols import corpus_of
from refmer.experiments.run import pool
from refmer.int8 import report
from refmer.int8.model import quantize, sensitivity
from refmer.recognizer import Recognizer, load_recognizer
from refmer.systems import find
from refmer.train.fit import take, train_step


def quantization(file, out=None, folder="refmer-quantize", folds=5, seeds=5, jobs=1, options=None, each=False):
    """Quantize a saved recognizer and report what that changes.

    Parameters
    ----------
    file : str or path
        Written by `Recognizer.save`.
    out : str or path, optional
        Where to write the small one; default: beside it, NAME-int8.npz.
    folder : str or path
        For the figure and finished trainings, which are not computed again.
    folds, seeds : int
        Cross-validation: each seed deals the speakers into folds, and each fold is tested once. 0 seeds: none.
    jobs : int
        Processes.
    options : dict, optional
        Of `refmer.quantize`: activations, per_channel, clip, observer, finetune.
    each : bool
        Report also each learned map by itself.

    Returns
    -------
    str
        The report.

    Raises
    ------
    ValueError, OSError
        Less than 2 folds, a single seed of a single fold, jobs below 1, a file that is no float recognizer, options that
        `quantize` refuses, a folder that cannot be written.
    """
    if folds < 2 or seeds < 0 or jobs < 1:
        raise ValueError(f"folds is {folds}, seeds {seeds}, jobs {jobs}; accepted: at least 2 folds, 0 seeds, 1 job")
    file, options = Path(file), options or {}
    out = file.with_name(f"{file.stem}-int8.npz") if out is None else Path(out)
    check_writable(out)
    model = load_recognizer(file)
    clips = load_samples(corpus_of(model.config_.target))
    small = made_small(model, clips[np.isin(clips.speaker, model.speakers_)], options)
    small.save(out)
    sizes = [path.stat().st_size for path in (file, out)]
    crossed = cross_validation(model, clips, folder, folds, seeds, jobs, options) if seeds else None
    times = report.latency(model, small, clips)
    picture = Path(folder) / "figures" / f"{file.stem}-int8.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    save(report.figure(model, sizes, times, crossed), picture)
    said = report.text(model, small, sizes, times, report.compare(model, small, clips), crossed)
    said += f"\n\n{sensitivities(model, clips)}" if each else ""
    return f"{said}\n\nSmall recognizer: {out}; figure: {picture}"


def made_small(model, known, options):
    """The recognizer quantized; clips that it has been trained on are given where the options need any."""
    needed = options.get("finetune") or options.get("activations") == "static"
    return quantize(model, known if needed else None, **options)


def cross_validation(model, clips, folder, folds, seeds, jobs, options):
    """`report.summary` of a recognizer like this one, trained anew for each fold of each seed."""
    speakers = len(np.unique(clips.speaker))
    if folds > speakers:
        raise ValueError(f"folds is {folds}; accepted: at most {speakers}, the speakers there are")
    place = Path(folder) / "cells"
    place.mkdir(parents=True, exist_ok=True)
    like = {"system": model.system, "size": model.size, "config": model.config, "epochs": model.recipe_.epochs}
    like |= {"kind": "quantize", "options": options, "data": cells.checksum(clips), "folds": folds}
    wanted = [like | {"seed": seed, "fold": fold} for seed in range(seeds) for fold in range(folds)]
    missing = [cell for cell in wanted if cells.read(place, cell) is None]
    if missing:
        print(expected(model, clips, len(missing), jobs), file=sys.stderr)
    with tqdm(total=len(wanted), initial=len(wanted) - len(missing), desc="train", unit="model", disable=None) as bar:
        with pool(jobs, None) as spread:
            for cell, result in spread(train_and_compare, [(clips, cell) for cell in missing]):
                cells.write(place, cell, result)
                bar.update()
    found = [cells.read(place, cell) for cell in wanted]
    return report.summary(found, float(np.mean([pair["clips"] / pair["train"] for pair in found])))


def train_and_compare(clips, cell):
    """(cell, its result): train on all folds but one, quantize, compare on that one."""
    deal = GroupKFold(cell["folds"], shuffle=True, random_state=cell["seed"])
    train, test = list(deal.split(clips.name, groups=clips.speaker))[cell["fold"]]
    with threadpool_limits(1):
        model = Recognizer(cell["system"], cell["size"], cell["config"], cell["seed"])
        with redirect_stderr(StringIO()):  # where every training would tell its size and time
            model.fit(clips[train], epochs=cell["epochs"], progress=False)
        small = made_small(model, clips[train], cell["options"])
        return cell, report.compare(model, small, clips[test]) | {"train": len(train)}


def expected(model, clips, trainings, jobs):
    """How long the trainings will take, in words: as many epochs as the recognizer had, at the pace of one step now."""
    system, recipe, config = find(model.system), model.recipe_, model.config_
    part = clips[: recipe.batch]
    batch = model.labelled_batch(part, clips)
    p = params.init(system.describe(config), 0)
    g, moments, rng = params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector)), np.random.default_rng(0)
    for step in (1, 2):  # the first compiles
        start = time.perf_counter()
        train_step(system, config, p, g, take(batch, slice(None)), moments, step, recipe.lr, recipe, rng)
        seconds = time.perf_counter() - start
    seconds *= len(model.history_) * len(clips) / len(part) * trainings / jobs
    return f"{trainings} trainings, {jobs} at a time: about {max(seconds / 60, 0.1):.1f} minutes (fewer: --folds, --seeds)"


def sensitivities(model, clips):
    """`refmer.int8.sensitivity` as text."""
    rows = sensitivity(model, clips)
    wide = max(len(row["tensor"]) for row in rows)
    lines = [f"{'one map at a time':<{wide}}  score (points)  mean |d output|  worst"]
    lines += [f"{r['tensor']:<{wide}}  {100 * r['score']:+14.2f}  {r['mean']:15.5f}  {r['worst']:.5f}" for r in rows]
    return "\n".join(lines)
