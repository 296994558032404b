"""Systems beside the linear reference on data of the user: `python benchmarks --recipes --data NAME:PATH`."""

import numpy as np
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer.evaluate.statistics import spread, standard_error
from refmer.experiments import protocols, references, report
from refmer.experiments.data import load, origin_of
from refmer.experiments.rows import learning, readable, resolve_all
from refmer.experiments.run import Setup
from refmer.linear import LinearReference
from refmer.recognizer import HEADLINES, Recognizer
from refmer.systems import SYSTEMS
from refmer.text import table

FOLDS = 5
DEV = 0.15  # share of the training groups whose loss selects an epoch; no model is fitted on them
GUIDE = """\
linear: regularised linear model of mean and deviation of the streams that the row reads; {below}: the row's mean is below it.
difference: paired over {folds} folds by group, with the standard error of its mean and a one-sided p in its direction, both
corrected for overlapping training sets (Nadeau and Bengio 2003), p also for the {rows} rows (Holm)."""


def run(data=None, label=None, streams=None, groups=None, names=None, folds=FOLDS):
    """Cross-validate systems and the linear reference on the streams of each.

    Parameters
    ----------
    data, label, streams, groups
        As the options of the command line: see `refmer.experiments.run.run`. Default: the bundled corpus, emotion.
    names : list of str, optional
        Names of systems and baselines. Default: the systems that can read the data.
    folds : int
        Of the cross-validation by group; at least 2.

    Returns
    -------
    str

    Raises
    ------
    KeyError, ValueError, OSError
        As `refmer.experiments.run.run`; fewer groups than folds, fewer than two folds.
    """
    clips, label = load("emotion", data, label, groups)
    corpora = {"data": clips}
    rows = readable(learning(resolve_all(names or tuple(SYSTEMS)), corpora, label), corpora, streams, named=names is not None)
    setup = Setup(rows, protocols.find("default"), "default", corpora, {}, False, 1, {}, streams)
    read, scores, own = references.streams(setup), {row: [] for row in rows}, {row: [] for row in rows}
    parts = list(GroupKFold(folds).split(clips.name, groups=clips.speaker))
    with tqdm(total=folds * len(rows), desc="recipes", unit="model", disable=None) as bar, threadpool_limits(1):
        for seed, (rest, test) in enumerate(parts):
            train, dev = clips[rest].split(test_size=DEV, seed=seed)
            linear = {}
            for row, (system, changes) in rows.items():
                model = Recognizer(system, config=changes, streams=streams, seed=seed)
                scores[row].append(score(model.fit(train, dev=dev, progress=False), clips[test]))
                if read[row] not in linear:
                    _, arguments = references.own(setup, row, read[row])
                    linear[read[row]] = score(LinearReference(**arguments).fit(train), clips[test])
                own[row].append(linear[read[row]])
                bar.update()
    test_per_train = np.mean([len(test) / (len(rest) * (1 - DEV)) for rest, test in parts])
    return as_text(clips, label, scores, own, test_per_train)


def score(model, test):
    """Return the headline score of a fitted model."""
    return model.scores(model.predict(test), test)[HEADLINES[model.task]]


def as_text(clips, label, scores, own, test_per_train):
    """Return the table, best row first, and the meaning of its columns."""
    kind, names = clips.labels[label].kind, clips.labels[label].names
    show = report.plain if kind == "regression" else report.percent
    scores, own = ({row: spread(values) for row, values in each.items()} for each in (scores, own))
    compared = references.over({row: (scores[row], own[row]) for row in scores}, test_per_train)
    folds, body = len(next(iter(scores.values()))["values"]), []
    for row in sorted(scores, key=lambda row: -scores[row]["mean"]):
        effect, *p = compared[row]["effect"], compared[row]["p"], compared[row]["p_reversed"]
        error = {"mean": standard_error(effect["sd"], folds, test_per_train), "sd": None}
        mark = f" {references.BELOW}" * (effect["mean"] < 0)
        body.append([row + mark, show(scores[row]), show(own[row]), show(effect), show(error), f"{min(p):.3f}"])
    metric = next(iter(report.metrics_of(kind, names).values()))
    head = f"{label}: {metric}, {len(clips)} clips, {folds} folds ({origin_of([clips.source])})"
    guide = GUIDE.format(below=references.BELOW, folds=folds, rows=len(scores))
    columns = ["system", "score", "linear", "difference", "standard error", "p"]
    return "\n".join([head, "", table(columns, body, range(1, 6), markdown=False), "", guide])
